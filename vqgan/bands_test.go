package vqgan_test

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/gomlx/compute/shapes"
	"github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"

	"github.com/smalti/smalti/engine"
	"github.com/smalti/smalti/gx"
	"github.com/smalti/smalti/nn"
	"github.com/smalti/smalti/rng"
	"github.com/smalti/smalti/vqgan"
	"github.com/smalti/smalti/weights"
)

// throughBands decodes a latent of size/f x size/f on an engine and takes a gradient back, as a painting does: the picture, then the
// gradient for the latent.
func throughBands(t *testing.T, o engine.Options, open func(t *testing.T, e *engine.Engine) *vqgan.Model, size int) (picture, gradient []float32, m engine.Memory) {
	t.Helper()
	e, err := engine.New(o)
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	d := open(t, e)
	p := e.Staged("decode", "gradient", func(v *gx.Vars, in []*graph.Node) []*graph.Node {
		zq, _ := d.QuantiseGraph(v, in[0])
		x := gx.ClampWithGrad(d.DecodeGraph(v, zq), -1, 1)
		return []*graph.Node{x, graph.Gradient(graph.ReduceAllSum(graph.Mul(x, in[1])), in[0])[0]}
	})
	s := size / d.Factor()
	z, dx := make([]float32, s*s*d.Channels()), make([]float32, size*size*3)
	rng.New(4, "z").FillNormal(z)
	rng.New(4, "dx").FillNormal(dx)
	in, late := []*tensors.Tensor{engine.FromFloats(z, 1, s, s, d.Channels())}, engine.Float32(1, size, size, 3)
	if m, err = p.Memory([]shapes.Shape{in[0].Shape()}, []shapes.Shape{late}); err != nil {
		t.Fatal(err)
	}
	first, rest, err := p.Start(d.Weights(), in, []shapes.Shape{late})
	if err != nil {
		t.Fatal(err)
	}
	second, err := rest.Finish(engine.FromFloats(dx, 1, size, size, 3))
	if err != nil {
		t.Fatal(err)
	}
	return engine.Floats(first[0]), engine.Floats(second[0]), m
}

// openTiny opens the fixture's model, with attention in the middle and in the coarsest level.
func openTiny(t *testing.T, e *engine.Engine) *vqgan.Model {
	t.Helper()
	f, err := weights.Open(filepath.Join(fixture, "model.ckpt"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	m, err := vqgan.Open(e, f, nil)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// TestBandedEqualsWhole decodes and takes gradients back band by band and whole: the same bits for any bands, threads, precision and sides
// that wrap. 512x512, once whole and once in bands, takes 13 s on two cores, mostly in attention, so it waits for SMALTI_LARGE.
func TestBandedEqualsWhole(t *testing.T) {
	size, cases := 128, 3
	if os.Getenv("SMALTI_LARGE") != "" {
		size, cases = 512, 1
	}
	tiled := func(t *testing.T, e *engine.Engine) *vqgan.Model {
		m, err := openTiny(t, e).Tiled(nn.Wrap{Columns: true})
		if err != nil {
			t.Fatal(err)
		}
		return m
	}
	for _, c := range []struct {
		name string
		open func(t *testing.T, e *engine.Engine) *vqgan.Model
		with []engine.Options
	}{
		{"tiny", openTiny, []engine.Options{{Threads: 2, Bands: size << 11}, {Threads: 1, Bands: size << 9}, {Threads: 2, Bands: size << 10, LowMemory: true}}},
		{"tiled", tiled, []engine.Options{{Threads: 2, Bands: size << 10}}},
	} {
		if cases == 1 && c.name != "tiny" {
			continue
		}
		picture, gradient, whole := throughBands(t, engine.Options{Threads: 2}, c.open, size)
		for _, o := range c.with[:min(cases, len(c.with))] {
			x, dz, m := throughBands(t, o, c.open, size)
			if !slices.Equal(x, picture) {
				t.Errorf("%s, %+v: another picture", c.name, o)
			}
			if !slices.Equal(dz, gradient) {
				t.Errorf("%s, %+v: another gradient", c.name, o)
			}
			if c.name == "tiny" && m.Arena+m.Kept > (whole.Arena+whole.Kept)*3/4 {
				t.Errorf("%s, %+v: %d KiB instead of %d", c.name, o, (m.Arena+m.Kept)>>10, (whole.Arena+whole.Kept)>>10)
			}
			t.Logf("%s, %+v: %d KiB instead of %d", c.name, o, (m.Arena+m.Kept)>>10, (whole.Arena+whole.Kept)>>10)
		}
	}
}
