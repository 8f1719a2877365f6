package check

import (
	"errors"
	"fmt"
	"maps"
	"strings"

	"github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"

	"github.com/smalti/smalti/engine"
	"github.com/smalti/smalti/golden"
	"github.com/smalti/smalti/gx"
	"github.com/smalti/smalti/vqgan"
	"github.com/smalti/smalti/weights"
)

// Tolerances of the discriminator: the fixture's for what it computes; gradients pass two norms over small batches.
var (
	discValues = golden.Tolerance{Abs: 1e-5, Rel: 2e-4}
	discGrads  = golden.Tolerance{OfMax: 2e-4}
	discNorms  = golden.Tolerance{Rel: 2e-4}
)

func init() { checkers["discriminator"] = discriminator }

// judge is a discriminator with the fixture that it is held against.
type judge struct {
	vqgan.Discriminator
	f   *golden.Fixture
	r   *golden.Report
	e   *engine.Engine
	w   engine.Tensors
	tag string // "bn." or "actnorm."
}

// discriminator compares taming's PatchGAN with batch norms, from both of its files, and with ActNorms.
func discriminator(f *golden.Fixture, r *golden.Report) error {
	for _, from := range []struct{ file, prefix, tag string }{
		{"model.safetensors", "bn.", "bn."}, {"disc_bn_legacy.pth", "", "bn."}, {"model.safetensors", "actnorm.", "actnorm."},
	} {
		j, err := openJudge(f, r, from.file, from.prefix, from.tag)
		if err != nil {
			return err
		}
		for _, check := range []func() error{j.eval, j.train} {
			if err := check(); err != nil {
				return fmt.Errorf("%s %s: %w", from.file, from.tag, err)
			}
		}
	}
	return actNorm(f, r)
}

func openJudge(f *golden.Fixture, r *golden.Report, file, prefix, tag string) (*judge, error) {
	var c struct {
		Model struct {
			Width  int `json:"ndf"`
			Layers int `json:"n_layers"`
		}
	}
	if err := f.Config(&c); err != nil {
		return nil, err
	}
	e, err := startEngine()
	if err != nil {
		return nil, err
	}
	wf, err := f.Weights(file)
	if err != nil {
		return nil, err
	}
	defer wf.Close()
	l := weights.NewLoader(wf)
	d, w, err := vqgan.ReadDiscriminator(e, l.Sub(prefix))
	if err != nil {
		return nil, err
	}
	if want := (vqgan.Discriminator{Channels: 3, Width: c.Model.Width, Layers: c.Model.Layers, ActNorm: tag == "actnorm."}); d != want {
		return nil, fmt.Errorf("%s: inferred %+v, want %+v", file, d, want)
	}
	l.SkipFunc(func(name string) bool { return prefix != "" && !strings.HasPrefix(name, prefix) }) // the other form
	return &judge{d, f, r, e, w, tag}, l.Done()
}

func (j *judge) eval() error {
	outs, err := j.e.Program(j.f.Name, func(v *gx.Vars, in []*graph.Node) []*graph.Node {
		return []*graph.Node{vqCHW(j.Graph(v, vqHWC(in[0]), nil))}
	}).Run(j.w, fixtureTensor(j.f, "real"))
	if err != nil {
		return err
	}
	j.r.Compare(j.tag+"eval_logits_real", engine.Floats(outs[0]), j.f.Floats(j.tag+"eval_logits_real"), discValues)
	return nil
}

// train compares a forward pass of real pictures and one of generated ones in training, and what comes of them.
func (j *judge) train() error {
	w := maps.Clone(j.w)
	if j.ActNorm { // its first pictures start it
		_, err := j.e.Program(j.f.Name, func(v *gx.Vars, in []*graph.Node) []*graph.Node {
			return []*graph.Node{j.InitGraph(v, vqHWC(in[0]))}
		}).Run(w, fixtureTensor(j.f, "real"))
		if err != nil {
			return err
		}
	}
	for _, game := range []vqgan.Game{vqgan.Hinge, vqgan.Vanilla} {
		after := maps.Clone(w)
		if err := j.play(game, after); err != nil {
			return err
		}
		if game == vqgan.Hinge {
			j.after(after)
		}
	}
	return nil
}

// play compares one game: its losses and gradients.
func (j *judge) play(game vqgan.Game, w engine.Tensors) error {
	var decls []gx.Decl
	outs, err := j.e.Program(j.f.Name, func(v *gx.Vars, in []*graph.Node) []*graph.Node {
		stats := &vqgan.Stats{}
		real, fake := j.Graph(v, vqHWC(in[0]), stats), j.Graph(v, vqHWC(in[1]), stats)
		loss := vqgan.DiscriminatorLoss(real, fake, game)
		decls = v.Decls()
		nodes := []*graph.Node{in[0]}
		for _, d := range decls {
			nodes = append(nodes, v.Node(d.Name))
		}
		grads := graph.Gradient(loss, nodes...)
		stats.Apply(v)
		return append([]*graph.Node{vqCHW(real), vqCHW(fake), loss, vqgan.GeneratorLoss(fake)}, grads...)
	}).Run(w, fixtureTensor(j.f, "real"), fixtureTensor(j.f, "fake"))
	if err != nil {
		return err
	}
	name := j.tag + string(game)
	for i, tensor := range []string{j.tag + "train_logits_real", j.tag + "train_logits_fake", name + "_d_loss", j.tag + "g_loss"} {
		j.r.Compare(tensor, engine.Floats(outs[i]), j.f.Floats(tensor), discValues)
	}
	j.r.Compare(name+"_grad_real", engine.Floats(outs[4]), j.f.Floats(name+"_grad_real"), discGrads)
	return j.gradients(name+"_grad", decls, outs[5:])
}

// gradients compares those that the fixture holds, and the norms of all.
func (j *judge) gradients(name string, decls []gx.Decl, grads []*tensors.Tensor) error {
	var c struct{ Info map[string]map[string]float64 }
	if err := j.f.Config(&c); err != nil {
		return err
	}
	norms := c.Info[name+"_norms"]
	var got, want []float32
	for i, d := range decls {
		grad := d.Layout.ToFile(engine.Floats(grads[i]), d.Dims)
		if tensor := name + "." + d.Name; j.f.Has(tensor) {
			j.r.Compare(tensor, grad, j.f.Floats(tensor), discGrads)
		}
		norm, ok := norms[d.Name]
		if !ok {
			return fmt.Errorf("the fixture has no gradient of %s", d.Name)
		}
		got, want = append(got, euclid(grad)), append(want, float32(norm))
	}
	if len(got) != len(norms) {
		return fmt.Errorf("%d variables have gradients, in the fixture %d", len(got), len(norms))
	}
	j.r.Compare(name+"_norms", got, want, discNorms)
	return nil
}

// after compares the statistics and the ActNorms after both passes.
func (j *judge) after(w engine.Tensors) {
	prefix := j.tag + "after."
	for _, tensor := range j.f.Names() {
		name, ok := strings.CutPrefix(tensor, prefix)
		if !ok || strings.HasSuffix(name, ".num_batches_tracked") { // nothing uses it
			continue
		}
		t, ok := w[name]
		switch {
		case !ok:
			j.r.Fail(tensor, "no such variable")
		case strings.HasSuffix(name, ".initialized"):
			j.r.Exact(tensor, []int64{int64(engine.Floats(t)[0])}, j.f.Ints(tensor))
		default:
			j.r.Compare(tensor, engine.Floats(t), j.f.Floats(tensor), discValues)
		}
	}
}

// actNorm compares one ActNorm: its start, its value, its determinant and the way back.
func actNorm(f *golden.Fixture, r *golden.Report) error {
	e, err := startEngine()
	if err != nil {
		return err
	}
	c := f.Shape("actnorm_init.x")[1]
	w := engine.Tensors{"loc": engine.FromFloats(make([]float32, c), 1, c, 1, 1), "scale": engine.FromFloats(make([]float32, c), 1, c, 1, 1), "initialized": tensors.FromValue(float32(0))}
	build := func(v *gx.Vars, in []*graph.Node) []*graph.Node {
		x := vqHWC(in[0])
		vqgan.ActNormInit(v, x)
		h, logDet := vqgan.ActNorm(v, x)
		return []*graph.Node{vqCHW(h), logDet, vqCHW(vqgan.ActNormReverse(v, h)), v.Get("loc", gx.Spec{Dims: []int{1, c, 1, 1}}), v.Get("scale", gx.Spec{Dims: []int{1, c, 1, 1}})}
	}
	p := e.Program(f.Name, build)
	for range 2 { // the second start changes nothing
		outs, err := p.Run(w, fixtureTensor(f, "actnorm_init.x"))
		if err != nil {
			return err
		}
		for i, name := range []string{"h", "logdet", "reverse", "loc", "scale"} {
			r.Compare("actnorm_init."+name, engine.Floats(outs[i]), f.Floats("actnorm_init."+name), discValues)
		}
	}
	if engine.Floats(w["initialized"])[0] != 1 {
		return errors.New("the ActNorm did not note that it started")
	}
	return nil
}
