package check

import (
	"maps"
	"strings"

	"github.com/gomlx/gomlx/core/graph"

	"github.com/smalti/smalti/gan"
	"github.com/smalti/smalti/golden"
	"github.com/smalti/smalti/gx"
	"github.com/smalti/smalti/train"
)

func init() { checkers["wgan_gp"] = wganGP }

// wganGP compares WGAN-GP: the penalty and its gradient through the critic's gradient, critic steps, the generator's step.
func wganGP(f *golden.Fixture, r *golden.Report) error {
	g, err := openGAN(f, r, "critic.safetensors")
	if err != nil {
		return err
	}
	c := &g.cfg
	c.Game, c.Penalty, c.Turns = train.WGANGP, g.lambda, g.steps
	c.Train.Steps, c.Train.LR, c.Train.Beta1, c.Train.Beta2 = 1, 1e-4, 0, .9
	if err := g.penalty(); err != nil {
		return err
	}
	after, err := g.criticSteps()
	if err != nil {
		return err
	}
	return g.generatorStep(after)
}

func (g *ganFixture) epsilon(i int) train.Array { return g.part("alpha", i, g.n) }

// batches of a step with any number of critic turns; the generator has the noise after the critic's last.
func (g *ganFixture) criticBatches(at train.Turn) ([]train.Array, error) {
	if at.Phase == 0 {
		return []train.Array{g.real(at.Turn), g.classes(), g.noise(at.Turn), g.epsilon(at.Turn)}, nil
	}
	return []train.Array{g.noise(g.steps), g.classes()}, nil
}

// penalty compares the penalty of the first step by itself.
func (g *ganFixture) penalty() error {
	var decls []gx.Decl
	outs, err := g.run(nil, func(v *gx.Vars, in []*graph.Node) []*graph.Node {
		m, d := g.cfg.Model, v.In("discriminator")
		fake := m.GenerateGraph(v.In("generator"), in[1], nil, &gan.Stats{})
		p := gan.GradientPenalty(func(x *graph.Node) *graph.Node { return m.JudgeGraph(d, x, nil, nil) }, gan.Mix(in[0], graph.StopGradient(fake), in[2]))
		decls = d.Decls()
		outs := []*graph.Node{vqCHW(fake), p.Loss, p.Norms, vqCHW(p.Grad)}
		var nodes []*graph.Node
		for _, decl := range decls {
			nodes = append(nodes, v.Node(decl.Name))
		}
		return append(outs, graph.Gradient(graph.MulScalar(p.Loss, g.lambda), nodes...)...)
	}, g.real(0), g.noise(0), g.epsilon(0))
	if err != nil {
		return err
	}
	for i, name := range []string{"fake0", "gp0", "grad_norm_per_sample0", "grad_interp0"} {
		g.r.Compare(name, outs[i], g.f.Floats(name), ganValues)
	}
	grads := map[string][]float32{}
	for i, d := range decls {
		grads[strings.TrimPrefix(d.Name, "discriminator.")] = d.Layout.ToFile(outs[4+i], d.Dims)
	}
	g.compareAll("gp_param_grad0.", grads, ganGrads)
	return nil
}

// criticSteps compares the critic's steps one by one, and returns the weights after the last and the generator's step.
func (g *ganFixture) criticSteps() (train.Values, error) {
	var logs []float32
	var after train.Values
	for turn := 0; ; turn++ {
		if turn > 0 {
			cfg := g.cfg
			cfg.Turns = turn
			var err error
			if after, err = g.play(cfg, g.criticBatches, nil); err != nil {
				return nil, err
			}
		}
		if turn == g.steps {
			g.r.Compare("critic_logs", logs, g.f.Floats("critic_logs"), ganValues)
			return after, nil
		}
		game, err := train.GANGame(g.cfg, g.criticBatches)
		if err != nil {
			return nil, err
		}
		in, err := g.criticBatches(train.Turn{Turn: turn})
		if err != nil {
			return nil, err
		}
		loss, metrics, grads, err := g.gradients(game.Phases()[0], only("discriminator.", after), in...)
		if err != nil {
			return nil, err
		}
		if turn == 0 {
			g.compareAll("critic_total_grad0.", grads, ganGrads)
		}
		logs = append(logs, metrics[3], metrics[4], metrics[1], loss) // C(real), C(fake), penalty, loss
	}
}

// generatorStep compares the generator's loss and gradient under the trained critic, and both networks at the end.
func (g *ganFixture) generatorStep(after train.Values) error {
	game, err := train.GANGame(g.cfg, g.criticBatches)
	if err != nil {
		return err
	}
	loss, _, grads, err := g.gradients(game.Phases()[1], only("discriminator.", after), g.noise(g.steps), g.classes())
	if err != nil {
		return err
	}
	g.r.Compare("gen_loss", []float32{loss}, g.f.Floats("gen_loss"), ganValues)
	g.compareAll("G_grad.", grads, ganGrads)
	for prefix, player := range map[string]string{"G_final.": "generator", "critic_final.": "discriminator"} {
		got, err := g.final(player, after)
		if err != nil {
			return err
		}
		if player == "discriminator" {
			g.r.Compare(prefix+freeBias, got[freeBias], g.f.Floats(prefix+freeBias), golden.Tolerance{Abs: freeDrift})
			got[freeBias] = g.f.Floats(prefix + freeBias)
		}
		g.compareAll(prefix, got, ganFinal)
	}
	return nil
}

// An instance norm takes away what the bias before it adds: the gradient of freeBias is zero but for rounding (1e-6 beside others of 6), and
// Adam makes steps of full length of it, in whatever direction. With lr 1e-4 and decays 0 and 0.9 the three steps are at
// most 1, 1.38 and 1.65 lr long, so two runs part by at most 8.1e-4.
const (
	freeBias  = "main.2.bias"
	freeDrift = 8.1e-4
)

// only keeps the values whose names begin with a prefix.
func only(prefix string, values train.Values) train.Values {
	out := maps.Clone(values)
	maps.DeleteFunc(out, func(name string, _ []float32) bool { return !strings.HasPrefix(name, prefix) })
	return out
}
