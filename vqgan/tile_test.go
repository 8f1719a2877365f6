package vqgan_test

import (
	"math"
	"testing"

	"github.com/gomlx/gomlx/core/graph"

	"github.com/smalti/smalti/engine"
	"github.com/smalti/smalti/gx"
	"github.com/smalti/smalti/nn"
	"github.com/smalti/smalti/rng"
	"github.com/smalti/smalti/vqgan"
)

// rolled moves a map [h,w,c] by whole cells around a torus.
func rolled(v []float32, h, w, c, dy, dx int) []float32 {
	out := make([]float32, len(v))
	for y := range h {
		for x := range w {
			copy(out[((y+dy)%h*w+(x+dx)%w)*c:][:c], v[(y*w+x)*c:][:c])
		}
	}
	return out
}

// TestTiledDecoderFollowsARoll: decode(roll(z)) = roll(decode(z)) along the axes that wrap, and not along others; the
// encoder likewise.
func TestTiledDecoderFollowsARoll(t *testing.T) {
	e, err := engine.New(engine.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	c := vqgan.Config{Ch: 8, ChMult: []int{1, 2, 2}, NumResBlocks: 1, Attn: []bool{false, false, true}, MidAttn: true, Groups: 4, ZChannels: 6, EmbedDim: 5, NEmbed: 32, Quantiser: vqgan.Nearest}
	decls, err := c.Decls(e)
	if err != nil {
		t.Fatal(err)
	}
	values, err := engine.Upload(decls, gx.Materialise(decls, 3))
	if err != nil {
		t.Fatal(err)
	}
	const h, w, f = 5, 6, 4
	z := make([]float32, h*w*c.EmbedDim)
	rng.New(1, "z").FillNormal(z)
	x := make([]float32, h*f*w*f*3)
	rng.New(1, "x").FillUniform(x, -1, 1)
	run := func(wrap nn.Wrap, z, x []float32) (picture, latent []float32) {
		c := c
		c.Wrap = wrap
		p := e.Program("tiled", func(v *gx.Vars, in []*graph.Node) []*graph.Node {
			return []*graph.Node{c.DecodeGraph(v, in[0]), c.EncodeGraph(v, in[1])}
		})
		out, err := p.Run(values, engine.FromFloats(z, 1, h, w, c.EmbedDim), engine.FromFloats(x, 1, h*f, w*f, 3))
		if err != nil {
			t.Fatal(err)
		}
		return engine.Floats(out[0]), engine.Floats(out[1])
	}
	apart := func(a, b []float32) float64 {
		var d, top float64
		for i := range a {
			d, top = max(d, math.Abs(float64(a[i]-b[i]))), max(top, math.Abs(float64(a[i])))
		}
		return d / top
	}
	for _, k := range []struct {
		wrap   nn.Wrap
		dy, dx int
		equal  bool
	}{
		{nn.Wrap{Rows: true, Columns: true}, 2, 3, true}, {nn.Wrap{Columns: true}, 0, 5, true}, {nn.Wrap{Rows: true}, 1, 0, true},
		{nn.Wrap{Columns: true}, 1, 0, false}, {nn.Wrap{}, 2, 3, false},
	} {
		whole, latent := run(k.wrap, z, x)
		moved, movedLatent := run(k.wrap, rolled(z, h, w, c.EmbedDim, k.dy, k.dx), rolled(x, h*f, w*f, 3, k.dy*f, k.dx*f))
		d := apart(rolled(whole, h*f, w*f, 3, k.dy*f, k.dx*f), moved)
		dl := apart(rolled(latent, h, w, c.EmbedDim, k.dy, k.dx), movedLatent)
		if k.equal && (d > 1e-5 || dl > 1e-5) { // Winograd's tiles fall elsewhere
			t.Errorf("%+v moved by %d,%d: pictures %g apart, latents %g", k.wrap, k.dy, k.dx, d, dl)
		}
		if !k.equal && (d < 1e-3 || dl < 1e-3) {
			t.Errorf("%+v moved by %d,%d: pictures only %g apart, latents %g: the test shows nothing", k.wrap, k.dy, k.dx, d, dl)
		}
	}
}
