package vqgan_test

import (
	"bytes"
	"math"
	"testing"

	"github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"

	"github.com/smalti/smalti/engine"
	"github.com/smalti/smalti/gx"
	"github.com/smalti/smalti/rng"
	"github.com/smalti/smalti/vqgan"
	"github.com/smalti/smalti/weights"
)

// duel is a toy of both players.
type duel struct {
	e *engine.Engine
	c vqgan.Config
	a vqgan.Adversarial
	w engine.Tensors // under "model." and "judge."
}

func newDuel(t *testing.T) *duel {
	t.Helper()
	e, err := engine.New(engine.Options{Threads: 1})
	if err != nil {
		t.Fatal(err)
	}
	d := &duel{e: e, a: vqgan.DefaultAdversarial(), w: engine.Tensors{},
		c: vqgan.Config{Ch: 4, ChMult: []int{1, 2}, NumResBlocks: 1, Groups: 2, ZChannels: 4, EmbedDim: 3, NEmbed: 8, Quantiser: vqgan.Nearest}}
	d.a.Discriminator = vqgan.Discriminator{Channels: 3, Width: 4, Layers: 2}
	model, err := d.c.Decls(e)
	if err != nil {
		t.Fatal(err)
	}
	judge, err := d.a.Discriminator.Decls(e)
	if err != nil {
		t.Fatal(err)
	}
	for prefix, decls := range map[string][]gx.Decl{"model.": model, "judge.": judge} {
		ts, err := engine.Upload(decls, gx.Materialise(decls, 1))
		if err != nil {
			t.Fatal(err)
		}
		for name, x := range ts {
			d.w[prefix+name] = x
		}
	}
	return d
}

func noise(name string, dims ...int) *tensors.Tensor {
	n := 1
	for _, d := range dims {
		n *= d
	}
	data := make([]float32, n)
	rng.New(3, name).FillUniform(data, -1, 1)
	return engine.FromFloats(data, dims...)
}

func (d *duel) run(t *testing.T, build engine.Build, in ...*tensors.Tensor) [][]float32 {
	t.Helper()
	outs, err := d.e.Program(t.Name(), build).Run(d.w, in...)
	if err != nil {
		t.Fatal(err)
	}
	got := make([][]float32, len(outs))
	for i, o := range outs {
		got[i] = engine.Floats(o)
	}
	return got
}

// TestAdversarialSwitch trains without the discriminator while the factor is 0 and with it when it is 1. The weight obeys
// its equation, and is a constant: the gradient of the whole is the sum of the parts' gradients.
func TestAdversarialSwitch(t *testing.T) {
	d := newDuel(t)
	d.a.Perceptual = func(x, y *graph.Node) *graph.Node { // brightness for looks, one number a picture
		return graph.ReduceMean(graph.Square(graph.Sub(x, y)), 1, 2, 3)
	}
	d.a.LPIPS = .5
	const last = "model.decoder.conv_out.weight"
	build := func(v *gx.Vars, in []*graph.Node) []*graph.Node {
		r := d.a.Reconstruct(d.c, v.In("model"), v.In("judge"), in[0], in[1], &vqgan.Stats{})
		node := v.Node(last)
		grad := func(x *graph.Node) *graph.Node { return graph.Gradient(x, node)[0] }
		return []*graph.Node{r.Loss, r.NLL, r.L1, r.Distance, r.Weight, r.Generator, r.Quant, grad(r.Loss), grad(r.NLL), grad(r.Generator)}
	}
	x := noise("x", 2, 16, 16, 3)
	for _, factor := range []float32{0, 1} {
		o := d.run(t, build, x, tensors.FromValue(factor))
		loss, nll, l1, dist, weight, g, quant := float64(o[0][0]), float64(o[1][0]), float64(o[2][0]), float64(o[3][0]), float64(o[4][0]), float64(o[5][0]), float64(o[6][0])
		if dist <= 0 || math.Abs(nll-l1-.5*dist) > 1e-6 {
			t.Errorf("nll %g of %g and %g", nll, l1, dist)
		}
		if want := nll + weight*float64(factor)*g + quant; math.Abs(loss-want) > 1e-5 {
			t.Errorf("factor %g: loss %g, its parts %g", factor, loss, want)
		}
		if want := .8 * length(o[8]) / (length(o[9]) + 1e-4); math.Abs(weight-want) > 1e-4*want {
			t.Errorf("weight %g, want %g", weight, want)
		}
		for i := range o[7] {
			// the quantisation loss does not reach the last layer
			if want := float64(o[8][i]) + weight*float64(factor)*float64(o[9][i]); math.Abs(float64(o[7][i])-want) > 1e-5*(1+math.Abs(want)) {
				t.Fatalf("factor %g: gradient %d is %g, want %g", factor, i, o[7][i], want)
			}
		}
	}
}

func length(x []float32) float64 {
	sum := 0.
	for _, v := range x {
		sum += float64(v) * float64(v)
	}
	return math.Sqrt(sum)
}

// TestAdaptiveWeightLimit divides by almost nothing.
func TestAdaptiveWeightLimit(t *testing.T) {
	d := newDuel(t)
	o := d.run(t, func(v *gx.Vars, in []*graph.Node) []*graph.Node {
		large, none := graph.ReduceAllSum(graph.MulScalar(in[0], 1e6)), graph.ReduceAllSum(graph.MulScalar(in[0], 0))
		w := vqgan.AdaptiveWeight(large, none, in[0])
		return []*graph.Node{w, vqgan.AdaptiveWeight(none, large, in[0]), graph.Gradient(graph.Mul(w, graph.ReduceAllSum(in[0])), in[0])[0]}
	}, engine.FromFloats([]float32{1}, 1))
	if o[0][0] != 1e4 || o[1][0] != 0 || o[2][0] != 1e4 {
		t.Errorf("weights %v and %v, gradient %v", o[0], o[1], o[2])
	}
}

// TestJudgeLeavesTheModelAlone: no gradient of the discriminator's loss reaches pictures, its statistics move twice a
// step, and a discriminator that descends its loss gets better at it.
func TestJudgeLeavesTheModelAlone(t *testing.T) {
	d := newDuel(t)
	var names []string
	build := func(v *gx.Vars, in []*graph.Node) []*graph.Node {
		stats := &vqgan.Stats{}
		judge := v.In("judge")
		j := d.a.Judge(judge, in[0], in[1], stats)
		decls := judge.Decls()
		nodes := []*graph.Node{in[0], in[1]}
		for _, x := range decls {
			nodes = append(nodes, v.Node(x.Name))
		}
		gs := graph.Gradient(j.Loss, nodes...)
		names = nil
		for _, m := range stats.Moves {
			names = append(names, m.Name)
		}
		for i, x := range decls {
			v.Set(x.Name, graph.Sub(nodes[2+i], graph.MulScalar(gs[2+i], .1)))
		}
		stats.Apply(v)
		return []*graph.Node{j.Loss, gs[0], gs[1]}
	}
	dark := noise("dark", 2, 16, 16, 3)
	var first, now float32
	for i := range 30 {
		o := d.run(t, build, noise("real", 2, 16, 16, 3), dark)
		if now = o[0][0]; i == 0 {
			first = now
			if length(o[1]) != 0 || length(o[2]) != 0 {
				t.Error("the discriminator's loss has gradients at pictures")
			}
		}
	}
	if now > .8*first || math.Abs(float64(first)-1) > .1 {
		t.Errorf("loss %g at first, %g after 30 steps", first, now)
	}
	if len(names) != 8 || names[0] != "judge.main.3.running_mean" || names[7] != "judge.main.6.running_var" {
		t.Errorf("statistics %v", names)
	}
	if v := engine.Floats(d.w["judge.main.3.running_var"])[0]; v == 1 {
		t.Error("the running variance stands still")
	}
}

// TestReadDiscriminator infers architectures off files and refuses what is none.
func TestReadDiscriminator(t *testing.T) {
	e, err := engine.New(engine.Options{Threads: 1})
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []vqgan.Discriminator{{Channels: 3, Width: 4, Layers: 1}, {Channels: 6, Width: 2, Layers: 3, ActNorm: true}, {Channels: 3, Width: 2, Layers: 5}} {
		decls, err := want.Decls(e)
		if err != nil {
			t.Fatal(err)
		}
		values := gx.Materialise(decls, 2)
		var outs []weights.Out
		for _, d := range decls {
			outs = append(outs, weights.Out{Name: "loss.discriminator." + d.Name, DType: weights.F32, Shape: d.Layout.FileDims(d.Dims), Floats: d.Layout.ToFile(values[d.Name], d.Dims)})
		}
		for drop := range 2 { // whole, and without the last tensor
			var b bytes.Buffer
			if err := weights.WriteSafetensors(&b, nil, outs[:len(outs)-drop]); err != nil {
				t.Fatal(err)
			}
			f, err := weights.OpenBytes(b.Bytes())
			if err != nil {
				t.Fatal(err)
			}
			l := weights.NewLoader(f)
			got, w, err := vqgan.ReadDiscriminator(e, l.Sub("loss.discriminator."))
			if drop == 1 {
				if err == nil {
					t.Errorf("%+v: a tensor is missing and nobody says so", want)
				}
				continue
			}
			if err != nil || got != want {
				t.Fatalf("inferred %+v, want %+v: %v", got, want, err)
			}
			if err := l.Done(); err != nil {
				t.Error(err)
			}
			for _, d := range decls {
				for i, x := range engine.Floats(w[d.Name]) {
					if x != values[d.Name][i] {
						t.Fatalf("%s: element %d is %g, want %g", d.Name, i, x, values[d.Name][i])
					}
				}
			}
			if _, _, err := vqgan.ReadDiscriminator(e, l.Sub("encoder.")); err == nil {
				t.Error("read a discriminator where there is none")
			}
		}
	}
	if (vqgan.Discriminator{Channels: 3, Width: 4}).Validate() == nil {
		t.Error("accepted a discriminator without layers")
	}
}
