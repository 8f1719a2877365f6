package bench

import (
	"slices"

	"github.com/gomlx/compute/shapes"
	"github.com/gomlx/gomlx/core/graph"

	"github.com/smalti/smalti/clip"
	"github.com/smalti/smalti/engine"
	"github.com/smalti/smalti/gx"
	"github.com/smalti/smalti/paint"
	"github.com/smalti/smalti/rng"
	"github.com/smalti/smalti/vqgan"
)

// newPainter makes a painter of random models with one random target, after Begin.
func newPainter(e *engine.Engine, p Painting) (*paint.Painter, error) {
	scheme, err := paint.SchemeByName(p.Scheme)
	if err != nil {
		return nil, err
	}
	d, err := newDecoder(e, Decoders[p.Decoder])
	if err != nil {
		return nil, err
	}
	enc, err := newEncoder(e, Encoders[p.Encoder])
	if err != nil {
		return nil, err
	}
	row := make([]float32, enc.EmbedDim())
	rng.New(1, "bench/target").FillNormal(row)
	painter, err := paint.New(e, d, []paint.ImageEncoder{enc}, paint.Config{Seed: 1, Width: p.Size, Height: p.Size, Scheme: scheme, Chunk: p.Chunk,
		Targets: []paint.Target{{Name: "target", Embedding: row, Weight: 1}}, Cuts: paint.Const(float64(p.Cuts)), LR: paint.Const(0.1)})
	if err != nil {
		return nil, err
	}
	return painter, painter.Begin(paint.Start{Kind: paint.StartCodes})
}

// draw makes the random weights that a graph over inputs of the given shapes asks for, one after the other, so that no
// second copy of them is ever held.
func draw(e *engine.Engine, build engine.Build, in ...shapes.Shape) (engine.Tensors, []gx.Decl, error) {
	decls, err := e.Program("bench weights", build).Decls(in...)
	if err != nil {
		return nil, nil, err
	}
	out := engine.Tensors{}
	for _, d := range decls {
		x := engine.FromFloats(gx.Materialise([]gx.Decl{d}, 1)[d.Name], d.Dims...)
		if err := e.Keep(x); err != nil {
			return nil, nil, err
		}
		out[d.Name] = x
	}
	return out, decls, nil
}

// decoder is the half of a VQGAN that paints. It implements paint.Decoder.
type decoder struct {
	vqgan.Config
	values engine.Tensors
	lo, hi []float32
}

func newDecoder(e *engine.Engine, c vqgan.Config) (*decoder, error) {
	d := &decoder{Config: c}
	var err error
	d.values, _, err = draw(e, func(v *gx.Vars, in []*graph.Node) []*graph.Node {
		zq, _ := c.QuantiseGraph(v, in[0])
		return []*graph.Node{c.DecodeGraph(v, zq)}
	}, engine.Float32(1, 2, 2, c.Channels()))
	if err != nil {
		return nil, err
	}
	_, book, err := draw(e, func(v *gx.Vars, in []*graph.Node) []*graph.Node {
		return []*graph.Node{c.LookupGraph(v, in[0])}
	}, engine.Int32(1, 1, 1))
	if err != nil {
		return nil, err
	}
	d.lo, d.hi = ranges(engine.Floats(d.values[book[0].Name]), c.Channels())
	return d, nil
}

// ranges returns the least and the largest value of each channel.
func ranges(codes []float32, channels int) (lo, hi []float32) {
	lo, hi = slices.Clone(codes[:channels]), slices.Clone(codes[:channels])
	for i, v := range codes {
		c := i % channels
		lo[c], hi[c] = min(lo[c], v), max(hi[c], v)
	}
	return lo, hi
}

func (d *decoder) Weights() engine.Tensors { return d.values }

func (d *decoder) CodebookRange() (least, most []float32) { return d.lo, d.hi }

// encoder is the image tower of a CLIP. It implements paint.ImageEncoder.
type encoder struct {
	config
	values engine.Tensors
}

// config is embedded for its methods; EmbedDim is a field of clip.Config and a method of paint.ImageEncoder.
type config = clip.Config

func newEncoder(e *engine.Engine, c clip.Config) (*encoder, error) {
	side := c.ImageSize()
	values, _, err := draw(e, func(v *gx.Vars, in []*graph.Node) []*graph.Node {
		return []*graph.Node{c.ImageGraph(v, in[0])}
	}, engine.Float32(1, side, side, 3))
	if err != nil {
		return nil, err
	}
	return &encoder{c, values}, nil
}

func (m *encoder) EmbedDim() int { return m.config.EmbedDim }

func (m *encoder) Weights() engine.Tensors { return m.values }
