package bench

import (
	"testing"

	"github.com/gomlx/compute/shapes"
	"github.com/gomlx/gomlx/core/graph"

	"github.com/smalti/smalti/engine"
	"github.com/smalti/smalti/gx"
)

// TestPlansAtRealSize plans the two largest graphs of a painting without running them. Most MiB that they may take: what
// they take today, and a tenth. Run with -v to see what lives at the peak.
func TestPlansAtRealSize(t *testing.T) {
	e, err := engine.New(engine.Options{Threads: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	vjp := func(y, dy, x *graph.Node) []*graph.Node {
		return []*graph.Node{graph.Gradient(graph.ReduceAllSum(graph.Mul(y, dy)), x)[0]}
	}
	d, c := Decoders["vqgan-f16-16384"], Encoders["ViT-B/32"]
	for _, p := range []struct {
		name     string
		most     int
		build    engine.Build
		in, late []shapes.Shape
	}{
		{"gradient of the decoder", 460, func(v *gx.Vars, in []*graph.Node) []*graph.Node {
			return vjp(d.DecodeGraph(v, in[0]), in[1], in[0])
		}, []shapes.Shape{engine.Float32(1, 16, 16, d.Channels()), engine.Float32(1, 256, 256, 3)}, nil},
		{"decoder, then its gradient", 575, func(v *gx.Vars, in []*graph.Node) []*graph.Node {
			x := d.DecodeGraph(v, in[0])
			return append(vjp(x, in[1], in[0]), x)
		}, []shapes.Shape{engine.Float32(1, 16, 16, d.Channels())}, []shapes.Shape{engine.Float32(1, 256, 256, 3)}},
		{"gradient of the encoder, 8 cuts", 180, func(v *gx.Vars, in []*graph.Node) []*graph.Node {
			return vjp(c.ImageGraph(v, in[0]), in[1], in[0])
		}, []shapes.Shape{engine.Float32(8, 224, 224, 3), engine.Float32(8, 512)}, nil},
	} {
		m, err := e.Program(p.name, p.build).Memory(p.in, p.late)
		if err != nil {
			t.Fatal(err)
		}
		if m.Arena+m.Kept > p.most<<20 {
			t.Errorf("%s takes more than %d MiB: %s", p.name, p.most, m)
		}
		t.Logf("%s: %s", p.name, m)
	}
}

// TestPlansInBands plans a decoder of real size, and it with its gradient, for large pictures in bands: most MiB that they may take, what
// they take today and a tenth. Whole, they take 512, 1,568, 2,048 and 6,464.
func TestPlansInBands(t *testing.T) {
	e, err := engine.New(engine.Options{Threads: 1, Bands: engine.BandBytes})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	d := Decoders["vqgan-f16-16384"]
	decode := e.Program("decode", func(v *gx.Vars, in []*graph.Node) []*graph.Node {
		return []*graph.Node{d.DecodeGraph(v, in[0])}
	})
	both := e.Staged("decode", "gradient", func(v *gx.Vars, in []*graph.Node) []*graph.Node {
		x := d.DecodeGraph(v, in[0])
		return []*graph.Node{x, graph.Gradient(graph.ReduceAllSum(graph.Mul(x, in[1])), in[0])[0]}
	})
	for _, p := range []struct{ size, decode, both int }{{512, 335, 1000}, {1024, 1315, 3900}} {
		z, x := engine.Float32(1, p.size/16, p.size/16, d.Channels()), engine.Float32(1, p.size, p.size, 3)
		for _, c := range []struct {
			g    *engine.Program
			late []shapes.Shape
			most int
		}{{decode, nil, p.decode}, {both, []shapes.Shape{x}, p.both}} {
			m, err := c.g.Memory([]shapes.Shape{z}, c.late)
			if err != nil {
				t.Fatal(err)
			}
			if m.Arena+m.Kept > c.most<<20 {
				t.Errorf("%d: more than %d MiB: %s", p.size, c.most, m)
			}
			t.Logf("%d: %d MiB of arena, %d kept", p.size, m.Arena>>20, m.Kept>>20)
		}
	}
}
