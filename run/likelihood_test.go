package run

import (
	"context"
	"math"
	"slices"
	"testing"

	"github.com/smalti/smalti/engine"
	"github.com/smalti/smalti/gx"
	"github.com/smalti/smalti/prior"
	"github.com/smalti/smalti/rng"
	"github.com/smalti/smalti/vqgan"
)

// toyDrawer is a prior for captions on 3x3 codes out of 12, with the VQGAN that they belong to.
func toyDrawer(t *testing.T) (*engine.Engine, *Drawer) {
	t.Helper()
	e, err := engine.New(engine.Options{Threads: 1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(e.Close)
	vc := vqgan.BuiltinV0()
	vc.Ch, vc.Groups, vc.ChMult, vc.NEmbed, vc.EmbedDim = 4, 2, []int{1, 1}, 12, 4
	pc := prior.ForCaptions(12, 3, prior.TextEncoder{Vocab: 9, Length: 3, Width: 4}, 1, 2, 8)
	vd, err := vc.Decls(e)
	if err != nil {
		t.Fatal(err)
	}
	pd, err := pc.Decls(e)
	if err != nil {
		t.Fatal(err)
	}
	fill := func(decls []gx.Decl, scale float32) engine.Tensors {
		values := gx.Materialise(decls, 3)
		for _, x := range values {
			for i := range x {
				x[i] *= scale
			}
		}
		up, err := engine.Upload(decls, values)
		if err != nil {
			t.Fatal(err)
		}
		return up
	}
	d := &Drawer{}
	if d.VQGAN, err = vqgan.New(e, vc, fill(vd, 1)); err != nil {
		t.Fatal(err)
	}
	if d.Prior, err = prior.New(e, pc, fill(pd, 4)); err != nil { // fresh weights have no opinion
		t.Fatal(err)
	}
	return e, d
}

// TestLikelihood compares the loss of latents that are codes with the prior's own number, and its gradient with central
// differences. Two roundings of a mean near 4 over a step of 4e-3 leave some 1e-3; the softmax bends more.
func TestLikelihood(t *testing.T) {
	e, d := toyDrawer(t)
	in := prior.Input{Tokens: []int32{4, 2}}
	l, err := newLikelihood(e, d, 2, in)
	if err != nil {
		t.Fatal(err)
	}
	book, err := d.VQGAN.Book()
	if err != nil {
		t.Fatal(err)
	}
	codes := []int32{0, 3, 5, 7, 11, 1, 1, 2, 9}
	var z []float32
	for _, k := range codes {
		z = append(z, book[4*k:4*k+4]...)
	}
	value := func(z []float32) float64 { return l.Add(0, z, nil, make([]float32, len(z))) }
	want, err := d.Prior.Likelihood(context.Background(), []prior.Input{in}, []prior.Codes{{H: 3, W: 3, Idx: codes}})
	if err != nil {
		t.Fatal(err)
	}
	if got := value(z); math.Abs(got-2*want[0]) > .3*want[0] { // neighbours have exp(-1/softness) of the weight each, near ones more
		t.Errorf("loss of codes %g, twice their likelihood is %g", got, 2*want[0])
	}
	rng.New(1, "z").FillUniform(z, -1, 1)
	grad := make([]float32, len(z))
	before := l.Add(0, z, nil, grad)
	again := make([]float32, len(z))
	if l.Add(7, z, nil, again) != before || !slices.Equal(grad, again) {
		t.Error("the loss depends on the step")
	}
	const h = 2e-3
	largest := 0.
	for i := range z {
		largest = max(largest, math.Abs(float64(grad[i])))
	}
	for i := range z {
		up, down := slices.Clone(z), slices.Clone(z)
		up[i] += h
		down[i] -= h
		slope := (value(up) - value(down)) / (2 * h)
		if math.Abs(slope-float64(grad[i])) > .03*largest {
			t.Errorf("gradient %d is %g, differences say %g", i, grad[i], slope)
		}
	}
	if l.Err() != nil || largest == 0 {
		t.Errorf("error %v, largest gradient %g", l.Err(), largest)
	}
}
