package paint

import (
	"testing"

	"github.com/gomlx/gomlx/core/graph"

	"github.com/smalti/smalti/engine"
	"github.com/smalti/smalti/gx"
	"github.com/smalti/smalti/rng"
)

// Toys: a decoder and an encoder small enough to paint with in milliseconds, with random weights.

const (
	toyCodes, toyChannels, toyFactor = 24, 6, 4
	toySide, toyWidth                = 12, 10
)

type toyDecoder struct{ w engine.Tensors }

func (toyDecoder) Factor() int               { return toyFactor }
func (toyDecoder) Channels() int             { return toyChannels }
func (toyDecoder) NumCodes() int             { return toyCodes }
func (d toyDecoder) Weights() engine.Tensors { return d.w }

func (toyDecoder) table(v *gx.Vars) *graph.Node {
	return v.Get("codes", gx.Spec{Dims: []int{toyCodes, toyChannels}, Init: gx.Normal(1)})
}

func (d toyDecoder) QuantiseGraph(v *gx.Vars, z *graph.Node) (zq, codes *graph.Node) {
	dims := z.Shape().Dimensions
	table := d.table(v)
	diff := graph.Sub(graph.Reshape(z, -1, 1, toyChannels), graph.Reshape(table, 1, toyCodes, toyChannels))
	codes = graph.ArgMin(graph.ReduceSum(graph.Square(diff), -1), -1)
	codes = graph.Reshape(codes, dims[0], dims[1], dims[2])
	return gx.StraightThrough(d.LookupGraph(v, codes), z), codes
}

func (d toyDecoder) LookupGraph(v *gx.Vars, codes *graph.Node) *graph.Node {
	return graph.Gather(d.table(v), graph.InsertAxes(codes, -1))
}

func (toyDecoder) DecodeGraph(v *gx.Vars, z *graph.Node) *graph.Node {
	w := v.Get("decode.first", gx.Spec{Dims: []int{3, 3, toyChannels, 8}, Layout: gx.Conv, Init: gx.Normal(0.2)})
	x := graph.Tanh(gx.Convolve(z, w, gx.ConvOptions{Pad: gx.Around(1)}))
	x = gx.UpsampleNearest(x, toyFactor)
	w = v.Get("decode.last", gx.Spec{Dims: []int{3, 3, 8, 3}, Layout: gx.Conv, Init: gx.Normal(0.2)})
	return gx.Convolve(x, w, gx.ConvOptions{Pad: gx.Around(1)})
}

func (toyDecoder) EncodeGraph(v *gx.Vars, x *graph.Node) *graph.Node {
	w := v.Get("encode", gx.Spec{Dims: []int{1, 1, 3, toyChannels}, Layout: gx.Conv, Init: gx.Normal(1)})
	return gx.Convolve(gx.AvgPool(x, toyFactor), w, gx.ConvOptions{})
}

func (d toyDecoder) CodebookRange() (least, most []float32) {
	table := engine.Floats(d.w["codes"])
	least, most = append(least, table[:toyChannels]...), append(most, table[:toyChannels]...)
	for i, v := range table {
		c := i % toyChannels
		least[c], most[c] = min(least[c], v), max(most[c], v)
	}
	return least, most
}

type toyEncoder struct{ w engine.Tensors }

func (toyEncoder) ImageSize() int            { return toySide }
func (toyEncoder) EmbedDim() int             { return toyWidth }
func (e toyEncoder) Weights() engine.Tensors { return e.w }
func (toyEncoder) ImageGraph(v *gx.Vars, x *graph.Node) *graph.Node {
	n := x.Shape().Dimensions[0]
	w := v.Get("see.first", gx.Spec{Dims: []int{3, 3, 3, 6}, Layout: gx.Conv, Init: gx.Normal(0.4)})
	x = gx.SiLU(gx.Convolve(graph.AddScalar(x, -0.5), w, gx.ConvOptions{Stride: 2, Pad: gx.Around(1)}))
	x = graph.Reshape(x, n, -1)
	w = v.Get("see.last", gx.Spec{Dims: []int{x.Shape().Dimensions[1], toyWidth}, Layout: gx.Linear, Init: gx.Normal(0.3)})
	return graph.DotGeneral(x, []int{1}, nil, w, []int{0}, nil)
}

var testEngine = func() *engine.Engine {
	e, err := engine.New(engine.Options{})
	if err != nil {
		panic(err)
	}
	return e
}()

func materialise(t testing.TB, e *engine.Engine, seed uint64, build engine.Build, dims ...int) engine.Tensors {
	t.Helper()
	decls, err := e.Program("toy", build).Decls(engine.Float32(dims...))
	if err != nil {
		t.Fatal(err)
	}
	w, err := engine.Upload(decls, gx.Materialise(decls, seed))
	if err != nil {
		t.Fatal(err)
	}
	return w
}

func toys(t testing.TB, e *engine.Engine) (toyDecoder, toyEncoder) {
	t.Helper()
	d := materialise(t, e, 1, func(v *gx.Vars, in []*graph.Node) []*graph.Node {
		zq, _ := toyDecoder{}.QuantiseGraph(v, toyDecoder{}.EncodeGraph(v, in[0]))
		return []*graph.Node{toyDecoder{}.DecodeGraph(v, zq)}
	}, 1, 8, 8, 3)
	s := materialise(t, e, 2, func(v *gx.Vars, in []*graph.Node) []*graph.Node {
		return []*graph.Node{toyEncoder{}.ImageGraph(v, in[0])}
	}, 1, toySide, toySide, 3)
	return toyDecoder{d}, toyEncoder{s}
}

// toyConfig paints 24x20 with 7 cuts towards two random directions.
func toyConfig(t testing.TB, scheme string) Config {
	t.Helper()
	s, err := SchemeByName(scheme)
	if err != nil {
		t.Fatal(err)
	}
	stop := -1.0
	return Config{Seed: 5, Width: 24, Height: 20, Scheme: s, Cuts: Const(7), Chunk: 3, LR: Const(0.1),
		Targets: []Target{
			{Name: "towards", Embedding: NoiseEmbedding(11, toyWidth), Weight: 1},
			{Name: "away", Embedding: NoiseEmbedding(12, 2*toyWidth), Weight: -0.3, Stop: &stop},
		}}
}

func newPainter(t testing.TB, cfg Config) *Painter {
	t.Helper()
	d, enc := toys(t, testEngine)
	p, err := New(testEngine, d, []ImageEncoder{enc}, cfg)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func begun(t testing.TB, cfg Config) *Painter {
	t.Helper()
	p := newPainter(t, cfg)
	if err := p.Begin(Start{Kind: StartCodes}); err != nil {
		t.Fatal(err)
	}
	return p
}

func advance(t testing.TB, p *Painter, n int) (last Report) {
	t.Helper()
	for range n {
		var err error
		if last, err = p.Advance(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	return last
}

func randomFloats(name string, n int) []float32 {
	out := make([]float32, n)
	rng.New(3, name).FillUniform(out, 0, 1)
	return out
}

// largest returns the largest magnitude of a and of a-b.
func largest(a, b []float32) (value, difference float64) {
	for i := range a {
		value = max(value, abs(float64(a[i])))
		difference = max(difference, abs(float64(a[i])-float64(b[i])))
	}
	return value, difference
}

func abs(v float64) float64 { return max(v, -v) }
