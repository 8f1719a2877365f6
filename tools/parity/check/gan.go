package check

import (
	"context"
	"fmt"
	"maps"
	"os"
	"strings"

	"github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"

	"github.com/smalti/smalti/engine"
	"github.com/smalti/smalti/event"
	"github.com/smalti/smalti/gan"
	"github.com/smalti/smalti/golden"
	"github.com/smalti/smalti/gx"
	"github.com/smalti/smalti/train"
	"github.com/smalti/smalti/weights"
)

// Tolerances of the GAN fixtures: theirs for what the networks compute. Weights after the steps lie within 4e-5: Adam
// moves a weight by the sign of its gradient where that is tiny, so rounding shows there first.
var (
	ganValues = golden.Tolerance{Abs: 1e-5, Rel: 1e-3}
	ganGrads  = golden.Tolerance{Abs: 1e-5, Rel: 1e-3}
	ganFinal  = golden.Tolerance{Abs: 4e-5}
)

func init() { checkers["gan"] = ganBasic }

// ganFixture is what both kinds of fixture have: networks, noise, pictures, and a game over them.
type ganFixture struct {
	f        *golden.Fixture
	r        *golden.Report
	e        *engine.Engine
	cfg      train.GANConfig
	n, steps int
	lambda   float64
	gen      engine.Tensors // by the names of the generator's file
	judge    engine.Tensors
}

// openGAN reads the networks; judgeFile holds the discriminator.
func openGAN(f *golden.Fixture, r *golden.Report, judgeFile string) (*ganFixture, error) {
	var c struct {
		Model struct {
			Batch, NZ, NGF, NDF, Steps int
			Lambda                     float64
			RealLabel                  float64 `json:"real_label"`
		}
	}
	if err := f.Config(&c); err != nil {
		return nil, err
	}
	e, err := startEngine()
	if err != nil {
		return nil, err
	}
	m := c.Model
	g := &ganFixture{f: f, r: r, e: e, cfg: train.DefaultGAN(), n: m.Batch, steps: m.Steps, lambda: m.Lambda}
	g.cfg.Model = gan.Config{Kind: gan.DCGAN, Size: 16, Channels: 3, Levels: 2, MaxMult: 2, Latent: m.NZ,
		Generator: gan.Net{Width: m.NGF, Norm: gan.Batch}, Discriminator: gan.Net{Width: m.NDF, Norm: gan.Batch}}
	if m.Lambda > 0 {
		g.cfg.Model = g.cfg.Model.Critic(gan.Instance)
	} else {
		g.cfg.RealLabel = m.RealLabel
	}
	t := &g.cfg.Train
	t.MicroBatches, t.BatchSize, t.EMA, t.ScalarsEvery, t.EvalEvery, t.SaveEvery = 1, m.Batch, 0, 1, 0, 0
	if err := g.readGenerator("generator.safetensors"); err != nil {
		return nil, err
	}
	return g, g.readJudge(judgeFile)
}

// readGenerator reads a file of the generator, whose architecture must be read off it.
func (g *ganFixture) readGenerator(file string) error {
	wf, err := g.f.Weights(file)
	if err != nil {
		return err
	}
	defer wf.Close()
	c, w, err := gan.Read(g.e, wf, nil)
	if err != nil {
		return err
	}
	want := g.cfg.Model
	want.Discriminator = want.Generator
	if c != want {
		return fmt.Errorf("%s: inferred %+v, want %+v", file, c, want)
	}
	g.gen = w
	return nil
}

func (g *ganFixture) readJudge(file string) error {
	wf, err := g.f.Weights(file)
	if err != nil {
		return err
	}
	defer wf.Close()
	decls, err := g.cfg.Model.DiscriminatorDecls(g.e)
	if err != nil {
		return err
	}
	g.judge, err = gan.ReadDecls(weights.NewLoader(wf), decls)
	return err
}

// players are the weights of both under the names that the game gives them.
func (g *ganFixture) players() engine.Tensors {
	out := engine.Tensors{}
	for name, t := range g.gen {
		out["generator."+name] = t
	}
	for name, t := range g.judge {
		out["discriminator."+name] = t
	}
	return out
}

// part is the i-th slice along the first axis of a tensor of the fixture, in the graph's order of axes when it holds
// pictures.
func (g *ganFixture) part(name string, i int, dims ...int) train.Array {
	size := 1
	for _, d := range dims {
		size *= d
	}
	data := g.f.Floats(name)[i*size : (i+1)*size]
	if len(dims) == 4 {
		return toNHWC(data, dims[0], dims[1], dims[2]*dims[3], dims[3])
	}
	return train.Floats(data, dims...)
}

// toNHWC reorders n pictures of c planes of the given area and width.
func toNHWC(data []float32, n, c, area, width int) train.Array {
	out := make([]float32, len(data))
	for i := range n {
		for k := range c {
			for at := range area {
				out[(i*area+at)*c+k] = data[(i*c+k)*area+at]
			}
		}
	}
	return train.Floats(out, n, area/width, width, c)
}

func (g *ganFixture) real(i int) train.Array  { return g.part("real", i, g.n, 3, 16, 16) }
func (g *ganFixture) noise(i int) train.Array { return g.part("z", i, g.n, g.cfg.Model.Latent) }
func (g *ganFixture) classes() train.Array    { return train.Ints(make([]int32, g.n), g.n) }

// play runs the game for some steps from the fixture's weights and returns the weights of both players after it.
func (g *ganFixture) play(cfg train.GANConfig, batches func(train.Turn) ([]train.Array, error), sink event.Sink) (train.Values, error) {
	game, err := train.GANGame(cfg, batches)
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "parity-gan-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	start := g.players()
	l := train.GameLoop{Config: cfg.Train, Game: game, Dir: dir, Sink: sink, Warm: func(decls []gx.Decl, stats train.Values) (train.Values, []string, error) {
		out := train.Values{}
		for _, d := range decls {
			out[d.Name] = engine.Floats(start[d.Name])
		}
		for name, s := range stats {
			copy(s, engine.Floats(start[name]))
		}
		return out, nil, nil
	}}
	res, err := l.Run(context.Background())
	return res.EMA, err // with a decay of 0 the moving average is the weights
}

// run runs a graph over the fixture's networks, some of them replaced by values of a game.
func (g *ganFixture) run(values train.Values, build engine.Build, in ...train.Array) ([][]float32, error) {
	p := g.e.Program(g.f.Name, build)
	ts := make([]*tensors.Tensor, len(in))
	for i, a := range in {
		if a.I != nil {
			ts[i] = tensors.FromFlatDataAndDimensions(a.I, a.Dims...)
		} else {
			ts[i] = engine.FromFloats(a.F, a.Dims...)
		}
	}
	vars := g.players()
	for name, v := range values {
		vars[name] = engine.FromFloats(v, vars[name].Shape().Dimensions...)
	}
	outs, err := p.Run(vars, ts...)
	if err != nil {
		return nil, err
	}
	got := make([][]float32, len(outs))
	for i, t := range outs {
		got[i] = engine.Floats(t)
	}
	return got, nil
}

// gradients runs a phase of the game and returns its loss, its metrics and the gradient of its player by the file's names,
// in the file's layout.
func (g *ganFixture) gradients(p train.Phase, values train.Values, in ...train.Array) (loss float32, metrics []float32, grads map[string][]float32, err error) {
	var decls []gx.Decl
	outs, err := g.run(values, func(v *gx.Vars, in []*graph.Node) []*graph.Node {
		played := p.Loss(v, in)
		decls = v.In("%s", p.Player).Decls()
		nodes := make([]*graph.Node, len(decls))
		for i, d := range decls {
			nodes[i] = v.Node(d.Name)
		}
		outs := append([]*graph.Node{played.Loss}, played.Metrics...)
		return append(outs, graph.Gradient(played.Loss, nodes...)...)
	}, in...)
	if err != nil {
		return 0, nil, nil, err
	}
	for _, m := range outs[1 : 1+len(p.Metrics)] {
		metrics = append(metrics, m[0])
	}
	grads = map[string][]float32{}
	for i, d := range decls {
		grads[strings.TrimPrefix(d.Name, p.Player+".")] = d.Layout.ToFile(outs[1+len(p.Metrics)+i], d.Dims)
	}
	return outs[0][0], metrics, grads, nil
}

// compareAll compares every tensor of the fixture with a prefix with values by the rest of the name.
func (g *ganFixture) compareAll(prefix string, got map[string][]float32, tol golden.Tolerance) {
	for _, name := range g.f.Names() {
		rest, ok := strings.CutPrefix(name, prefix)
		if !ok || strings.HasSuffix(rest, ".num_batches_tracked") {
			continue
		}
		g.r.Compare(name, got[rest], g.f.Floats(name), tol)
	}
}

// final are a player's values after a game by the file's names, in the file's layout.
func (g *ganFixture) final(player string, values train.Values) (map[string][]float32, error) {
	list := g.cfg.Model.GeneratorDecls
	if player == "discriminator" {
		list = g.cfg.Model.DiscriminatorDecls
	}
	decls, err := list(g.e)
	if err != nil {
		return nil, err
	}
	out := map[string][]float32{}
	for _, d := range decls {
		out[d.Name] = d.Layout.ToFile(values[player+"."+d.Name], d.Dims)
	}
	return out, nil
}

// ganBasic compares a DCGAN with BCE losses: networks, the first gradients, and three steps of both players.
func ganBasic(f *golden.Fixture, r *golden.Report) error {
	g, err := openGAN(f, r, "discriminator.safetensors")
	if err != nil {
		return err
	}
	if err := g.inference(); err != nil {
		return err
	}
	if err := g.readGenerator("netG.pth"); err != nil { // the same numbers out of a pickle
		return err
	}
	if err := g.inference(); err != nil {
		return err
	}
	batches := func(at train.Turn) ([]train.Array, error) {
		if at.Phase == 0 {
			return []train.Array{g.real(at.Step), g.classes(), g.noise(at.Step)}, nil
		}
		return []train.Array{g.noise(at.Step), g.classes()}, nil
	}
	if err := g.firstSteps(batches); err != nil {
		return err
	}
	cfg := g.cfg
	cfg.Train.Steps = g.steps
	var rec event.Recorder
	values, err := g.play(cfg, batches, &rec)
	if err != nil {
		return err
	}
	var losses []float32
	for _, e := range rec.Events(event.Scalars) {
		if v := e.Values; v != nil {
			losses = append(losses, float32(v["discriminator.loss_real"]), float32(v["discriminator.loss_fake"]), float32(v["generator.loss"]))
		}
	}
	r.Compare("losses", losses, f.Floats("losses"), ganValues)
	for prefix, player := range map[string]string{"G_final.": "generator", "D_final.": "discriminator"} {
		got, err := g.final(player, values)
		if err != nil {
			return err
		}
		g.compareAll(prefix, got, ganFinal)
	}
	return nil
}

// inference compares both networks with their running statistics.
func (g *ganFixture) inference() error {
	outs, err := g.run(nil, func(v *gx.Vars, in []*graph.Node) []*graph.Node {
		m := g.cfg.Model
		return []*graph.Node{vqCHW(m.GenerateGraph(v.In("generator"), in[0], nil, nil)), m.JudgeGraph(v.In("discriminator"), in[1], nil, nil)}
	}, g.noise(0), g.real(0))
	if err != nil {
		return err
	}
	g.r.Compare("G_eval_out", outs[0], g.f.Floats("G_eval_out"), ganValues)
	g.r.Compare("D_eval_logits", outs[1], g.f.Floats("D_eval_logits"), ganValues)
	return nil
}

// firstSteps compares what the first step sees and the gradients of both of its phases.
func (g *ganFixture) firstSteps(batches func(train.Turn) ([]train.Array, error)) error {
	outs, err := g.run(nil, func(v *gx.Vars, in []*graph.Node) []*graph.Node {
		m, d := g.cfg.Model, v.In("discriminator")
		fake := m.GenerateGraph(v.In("generator"), in[0], nil, &gan.Stats{})
		return []*graph.Node{vqCHW(fake), m.JudgeGraph(d, in[1], nil, &gan.Stats{}), m.JudgeGraph(d, fake, nil, &gan.Stats{})}
	}, g.noise(0), g.real(0))
	if err != nil {
		return err
	}
	for i, name := range []string{"fake0", "logits_real0", "logits_fake0"} {
		g.r.Compare(name, outs[i], g.f.Floats(name), ganValues)
	}
	cfg := g.cfg
	cfg.Train.Steps = 1
	game, err := train.GANGame(cfg, batches)
	if err != nil {
		return err
	}
	judge, maker := game.Phases()[0], game.Phases()[1]
	_, _, grads, err := g.gradients(judge, nil, g.real(0), g.classes(), g.noise(0))
	if err != nil {
		return err
	}
	g.compareAll("D_grad0.", grads, ganGrads)
	after, err := g.play(cfg, batches, nil) // the generator is judged by the discriminator after its step
	if err != nil {
		return err
	}
	maps.DeleteFunc(after, func(name string, _ []float32) bool { return strings.HasPrefix(name, "generator.") })
	if _, _, grads, err = g.gradients(maker, after, g.noise(0), g.classes()); err != nil {
		return err
	}
	g.compareAll("G_grad0.", grads, ganGrads)
	return nil
}
