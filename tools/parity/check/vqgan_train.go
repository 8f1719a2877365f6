package check

import (
	"fmt"
	"math"
	"strings"

	"github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"

	"github.com/smalti/smalti/engine"
	"github.com/smalti/smalti/golden"
	"github.com/smalti/smalti/gx"
	"github.com/smalti/smalti/vqgan"
	"github.com/smalti/smalti/weights"
)

// Tolerances of the three iterations. Adam moves a weight by the sign of its gradient where that is tiny, so that from the
// first step on rounding shows: the fixture allows 1e-4 of the first figures and 1e-2 of the later ones. The first step of
// the discriminator comes after one of the autoencoder. Gradients that are zero but for rounding are below 1e-6.
var (
	playFirst = golden.Tolerance{Rel: 1e-4}
	// The fixture's own advice for later figures is 1e-2. Biases before a group norm of few channels have a true gradient
	// near zero, and Adam moves each of them by a whole step in the direction of rounding: engines that add in another
	// order end up 1.2e-2 apart in step 2, so the bound is twice the advice.
	playLater = golden.Tolerance{Rel: 2e-2}
	playGrads = golden.Tolerance{OfMax: 1e-3}
	playNorms = golden.Tolerance{Abs: 1e-6, Rel: 1e-3}
	playLast  = golden.Tolerance{OfMax: 2e-2} // gradients and pictures after steps
)

func init() { checkers["vqgan_train"] = vqganTrain }

// contest is a training of taming's VQModel against its discriminator.
type contest struct {
	f    *golden.Fixture
	r    *golden.Report
	e    *engine.Engine
	c    vqgan.Config
	loss vqgan.Adversarial
	w    engine.Tensors // of both, under "model." and "judge."
	adam adam

	logs  []map[string]float64
	norms []playedNorms
}

// playedNorms are the norms of the gradients of both sides: each, or of a side's whole.
type playedNorms struct {
	AE, Disc  map[string]float64
	AETotal   float64 `json:"ae_total"`
	DiscTotal float64 `json:"disc_total"`
}

// vqganTrain compares three iterations of both players: figures, pictures, gradients.
func vqganTrain(f *golden.Fixture, r *golden.Report) error {
	t, err := openContest(f, r)
	if err != nil {
		return err
	}
	for step := range t.logs {
		if err := t.autoencoder(step); err != nil {
			return err
		}
		if err := t.discriminator(step); err != nil {
			return err
		}
	}
	return nil
}

func openContest(f *golden.Fixture, r *golden.Report) (*contest, error) {
	var c struct {
		Weights string
		Loss    struct {
			Weight   float64 `json:"disc_weight"`
			Codebook float64 `json:"codebook_weight"`
		}
		Logs  []map[string]float64
		Norms []playedNorms `json:"grad_norms"`
	}
	if err := f.Config(&c); err != nil {
		return nil, err
	}
	if len(c.Logs) != len(c.Norms) || len(c.Logs) < 2 {
		return nil, fmt.Errorf("%d logs, %d norms", len(c.Logs), len(c.Norms))
	}
	e, err := startEngine()
	if err != nil {
		return nil, err
	}
	dir, err := golden.Open(f.Sibling(c.Weights))
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	wf, err := dir.Weights("model.ckpt")
	if err != nil {
		return nil, err
	}
	defer wf.Close()
	model, w, err := vqgan.Read(e, wf, nil)
	if err != nil {
		return nil, err
	}
	d, dw, err := vqgan.ReadDiscriminator(e, weights.NewLoader(wf).Sub("loss.discriminator."))
	if err != nil {
		return nil, err
	}
	t := &contest{f: f, r: r, e: e, c: model, w: engine.Tensors{}, logs: c.Logs, norms: c.Norms, adam: adam{lr: 1e-3, beta1: .5, beta2: .9}}
	t.loss = vqgan.Adversarial{Discriminator: d, Game: vqgan.Hinge, Weight: c.Loss.Weight, Codebook: c.Loss.Codebook, VQ: vqgan.LossOptions{Beta: .25, Legacy: true}}
	for name, x := range w {
		t.w["model."+name] = x
	}
	for name, x := range dw {
		t.w["judge."+name] = x
	}
	return t, nil
}

// player is a graph of one side's step: its loss, figures to compare by the names of the logs, and a picture or nil.
type player func(v *gx.Vars, x *graph.Node, stats *vqgan.Stats) (loss *graph.Node, figures []*graph.Node, picture *graph.Node)

// play runs a side's step: it returns the figures, the picture and the gradients by the file's names and layout, and moves
// the weights of that side and the running statistics.
func (t *contest) play(side string, p player, figures int) (got []float32, picture []float32, grads map[string][]float32, err error) {
	var decls []gx.Decl
	outs, err := t.e.Program(t.f.Name+" "+side, func(v *gx.Vars, in []*graph.Node) []*graph.Node {
		stats := &vqgan.Stats{}
		loss, values, pic := p(v, vqHWC(in[0]), stats)
		decls = v.In("%s", side).Decls()
		nodes := make([]*graph.Node, len(decls))
		for i, d := range decls {
			nodes[i] = v.Node(d.Name)
		}
		gs := graph.Gradient(loss, nodes...)
		stats.Apply(v)
		return append(append(values, vqCHW(pic)), gs...)
	}).Run(t.w, fixtureTensor(t.f, "x"))
	if err != nil {
		return nil, nil, nil, err
	}
	for _, o := range outs[:figures] {
		got = append(got, engine.Floats(o)[0])
	}
	grads = map[string][]float32{}
	for i, d := range decls {
		g := engine.Floats(outs[figures+1+i])
		t.w[d.Name] = t.adam.move(d.Name, t.w[d.Name], g)
		grads[strings.TrimPrefix(d.Name, side+".")] = d.Layout.ToFile(g, d.Dims)
	}
	return got, engine.Floats(outs[figures]), grads, nil
}

// compare compares figures with the logs of a step.
func (t *contest) compare(step int, got []float32, names ...string) {
	tol := playLater
	if step == 0 {
		tol = playFirst
	}
	for i, name := range names {
		t.r.Compare(fmt.Sprintf("step%d.%s", step, name), got[i:i+1], []float32{float32(t.logs[step]["train/"+name])}, tol)
	}
}

func (t *contest) autoencoder(step int) error {
	figures := []string{"total_loss", "quant_loss", "nll_loss", "rec_loss", "p_loss", "d_weight", "g_loss"}
	got, picture, grads, err := t.play("model", func(v *gx.Vars, x *graph.Node, stats *vqgan.Stats) (*graph.Node, []*graph.Node, *graph.Node) {
		factor := graph.Scalar(v.Graph(), x.DType(), 1.0)
		rec := t.loss.Reconstruct(t.c, v.In("model"), v.In("judge"), x, factor, stats)
		return rec.Loss, []*graph.Node{rec.Loss, rec.Quant, rec.NLL, rec.L1, rec.Distance, rec.Weight, rec.Generator}, rec.Picture
	}, len(figures))
	if err != nil {
		return err
	}
	t.compare(step, got, figures...)
	name, tol := fmt.Sprintf("step%d.xrec", step), playLast
	if step == 0 {
		tol = vqValues
	}
	want := t.f.Floats(name) // of the first pictures
	t.r.Compare(name, picture[:min(len(picture), len(want))], want, tol)
	return t.gradients(step, "ae_grad", grads, t.norms[step].AE, t.norms[step].AETotal)
}

func (t *contest) discriminator(step int) error {
	figures := []string{"disc_loss", "logits_real", "logits_fake"}
	got, _, grads, err := t.play("judge", func(v *gx.Vars, x *graph.Node, stats *vqgan.Stats) (*graph.Node, []*graph.Node, *graph.Node) {
		model := v.In("model")
		zq, _ := t.c.QuantiseGraph(model, t.c.EncodeGraph(model, x))
		fake := t.c.DecodeGraph(model, zq)
		j := t.loss.Judge(v.In("judge"), x, fake, stats)
		return j.Loss, []*graph.Node{j.Loss, j.Real, j.Fake}, fake
	}, len(figures))
	if err != nil {
		return err
	}
	t.compare(step, got, figures...)
	return t.gradients(step, "disc_grad", grads, t.norms[step].Disc, t.norms[step].DiscTotal)
}

// gradients compares the gradients that the fixture holds, and the norms of all, or where it has not these, of their whole.
func (t *contest) gradients(step int, kind string, grads map[string][]float32, norms map[string]float64, total float64) error {
	prefix, tol := fmt.Sprintf("step%d.%s", step, kind), playLast
	if step == 0 {
		tol = playGrads
	}
	var got, want []float32
	sum := 0.
	for name, g := range grads {
		if tensor := prefix + "." + name; t.f.Has(tensor) {
			t.r.Compare(tensor, g, t.f.Floats(tensor), tol)
		}
		norm := euclid(g)
		sum += float64(norm) * float64(norm)
		if norms == nil {
			continue
		}
		n, ok := norms[name]
		if !ok {
			return fmt.Errorf("%s: the fixture has no gradient of %s", prefix, name)
		}
		got, want = append(got, norm), append(want, float32(n))
	}
	if norms == nil {
		t.r.Compare(prefix+"_total", []float32{float32(math.Sqrt(sum))}, []float32{float32(total)}, playLater)
		return nil
	}
	if len(got) != len(norms) {
		return fmt.Errorf("%s: %d variables have gradients, in the fixture %d", prefix, len(got), len(norms))
	}
	t.r.Compare(prefix+"_norms", got, want, playNorms)
	return nil
}

// adam is torch.optim.Adam (Kingma and Ba 2014, algorithm 1), with the moments of each weight by name.
type adam struct {
	lr, beta1, beta2 float64
	moments          map[string]*moments
}

type moments struct {
	step int
	m, v []float64
}

// move returns a weight after a step.
func (a *adam) move(name string, w *tensors.Tensor, grad []float32) *tensors.Tensor {
	const eps = 1e-8
	if a.moments == nil {
		a.moments = map[string]*moments{}
	}
	s := a.moments[name]
	if s == nil {
		s = &moments{m: make([]float64, len(grad)), v: make([]float64, len(grad))}
		a.moments[name] = s
	}
	s.step++
	m, v := 1-math.Pow(a.beta1, float64(s.step)), 1-math.Pow(a.beta2, float64(s.step))
	out := engine.Floats(w)
	for i, g := range grad {
		x := float64(g)
		s.m[i] = a.beta1*s.m[i] + (1-a.beta1)*x
		s.v[i] = a.beta2*s.v[i] + (1-a.beta2)*x*x
		out[i] -= float32(a.lr * (s.m[i] / m) / (math.Sqrt(s.v[i]/v) + eps))
	}
	return engine.FromFloats(out, w.Shape().Dimensions...)
}
