package paint

import (
	"errors"
	"slices"
	"testing"

	"github.com/gomlx/gomlx/core/graph"

	"github.com/smalti/smalti/engine"
	"github.com/smalti/smalti/gx"
)

// wideEncoder is a toy whose products are large enough for bfloat16, with attention between them as in a transformer.
type wideEncoder struct{ toyEncoder }

func (wideEncoder) ImageGraph(v *gx.Vars, x *graph.Node) *graph.Node {
	const patch, tokens, heads, width = 4, 9, 3, 192
	n := x.Shape().Dimensions[0]
	weight := func(name string, in, out int) *graph.Node {
		return v.Get(name, gx.Spec{Dims: []int{in, out}, Layout: gx.Linear, Init: gx.Normal(0.08)})
	}
	product := func(x *graph.Node, w *graph.Node) *graph.Node {
		return graph.DotGeneral(x, []int{2}, nil, w, []int{0}, nil)
	}
	x = graph.TransposeAllAxes(graph.Reshape(x, n, toySide/patch, patch, toySide/patch, patch, 3), 0, 1, 3, 2, 4, 5)
	x = gx.QuickGELU(product(graph.Reshape(x, n, tokens, patch*patch*3), weight("wide.first", patch*patch*3, width)))
	qkv := graph.Split(product(x, weight("wide.qkv", width, 3*width)), 2, 3)
	for i := range qkv {
		qkv[i] = graph.Reshape(qkv[i], n, tokens, heads, width/heads)
	}
	x = graph.Add(x, graph.Reshape(gx.Attention(qkv[0], qkv[1], qkv[2], nil), n, tokens, width))
	x = graph.Add(x, product(gx.QuickGELU(product(x, weight("wide.fc", width, 2*width))), weight("wide.proj", 2*width, width)))
	return graph.DotGeneral(graph.ReduceMean(x, 1), []int{1}, nil, weight("wide.last", width, toyWidth), []int{0}, nil)
}

// widePainter paints with a wideEncoder on an engine of its own, or skips the test where there is no such precision.
func widePainter(t *testing.T, o engine.Options, cfg Config) *Painter {
	t.Helper()
	e, err := engine.New(o)
	if errors.Is(err, engine.ErrPrecision) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(e.Close)
	d, _ := toys(t, e)
	w := materialise(t, e, 2, func(v *gx.Vars, in []*graph.Node) []*graph.Node {
		return []*graph.Node{wideEncoder{}.ImageGraph(v, in[0])}
	}, 1, toySide, toySide, 3)
	p, err := New(e, d, []ImageEncoder{wideEncoder{toyEncoder{w}}}, cfg)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// TestMixedPaintsTheSameBytes: with products in bfloat16 as with those in float32, latents do not depend on threads or
// on the size of chunks, and a run that stops and goes on with another of both is the whole run.
func TestMixedPaintsTheSameBytes(t *testing.T) {
	run := func(precision string, threads, chunk, steps int, from []Array) []Array {
		cfg := toyConfig(t, "pooled")
		cfg.Chunk = chunk
		p := widePainter(t, engine.Options{Threads: threads, Precision: precision}, cfg)
		var err error
		if from == nil {
			err = p.Begin(Start{Kind: StartCodes})
		} else {
			err = p.Restore(from)
		}
		if err != nil {
			t.Fatal(err)
		}
		advance(t, p, steps)
		state, err := p.State()
		if err != nil {
			t.Fatal(err)
		}
		return state
	}
	const steps = 4
	want := run(engine.Mixed, 2, 3, steps, nil)
	for _, c := range []struct{ threads, chunk, stop int }{{1, 3, 0}, {3, 7, 0}, {2, 1, 0}, {7, 2, 0}, {1, 7, 1}, {2, 3, 3}} {
		var half []Array
		if c.stop > 0 {
			half = run(engine.Mixed, 3, 2, c.stop, nil)
		}
		if got := run(engine.Mixed, c.threads, c.chunk, steps-c.stop, half); !sameState(got, want) {
			t.Errorf("%d threads, chunks of %d, stopped at %d: another state", c.threads, c.chunk, c.stop)
		}
	}
	if sameState(run(engine.F32, 2, 3, steps, nil), want) {
		t.Error("float32 gives the same bytes: nothing was computed in bfloat16")
	}
}

func sameState(a, b []Array) bool {
	return slices.EqualFunc(a, b, func(x, y Array) bool { return x.Name == y.Name && slices.Equal(x.Data, y.Data) })
}
