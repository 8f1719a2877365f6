package cpu

import (
	"strings"
	"testing"

	"github.com/gomlx/compute/dtypes"
	"github.com/gomlx/compute/shapes"
	"github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"
)

// pattern is a graph with operations that run as one, named so.
type pattern struct {
	ops   []string // how often each name is wanted among the steps: once for each time it stands here
	build func(in []*graph.Node) []*graph.Node
	in    []array
}

// results runs a pattern's graph in a type and returns the outputs, and the names of the steps.
func (p pattern) results(t testing.TB, b *Backend, d dtypes.DType) (outs []array, steps []string) {
	t.Helper()
	g := graph.NewGraph(b, "pattern")
	var params []*graph.Node
	var in []any
	for i, a := range p.in {
		params = append(params, graph.Parameter(g, string(rune('a'+i)), shapes.Make(d, a.dims...)))
		if d == dtypes.Float64 {
			in = append(in, tensors.FromFlatDataAndDimensions(a.data, a.dims...))
			continue
		}
		data := make([]float32, len(a.data))
		for j, v := range a.data {
			data[j] = float32(v)
		}
		in = append(in, tensors.FromFlatDataAndDimensions(data, a.dims...))
	}
	g.Compile(p.build(params)...)
	b.StartProfile()
	results := g.Run(in...)
	for _, l := range b.StopProfile().Lines() {
		for range l.Count {
			steps = append(steps, l.Name)
		}
	}
	for _, r := range results {
		a := array{dims: r.Shape().Dimensions}
		if d == dtypes.Float64 {
			a.data = tensors.MustCopyFlatData[float64](r)
		} else {
			for _, v := range tensors.MustCopyFlatData[float32](r) {
				a.data = append(a.data, float64(v))
			}
		}
		outs = append(outs, a)
	}
	return outs, steps
}

// check runs a pattern as one operation, as many, and in float64, and compares: exactly as many of the named steps run as
// wanted, results are within tol of float64's, and the same for any threads. It returns what one and many operations gave.
func (p pattern) check(t *testing.T, tol float64) (fused, plain []array) {
	t.Helper()
	b := newBackend(t, 2)
	fused, steps := p.results(t, b, dtypes.Float32)
	for _, op := range p.ops {
		got, want := 0, 0
		for _, s := range steps {
			if strings.HasPrefix(s, op+" ") {
				got++
			}
		}
		for _, o := range p.ops {
			if o == op {
				want++
			}
		}
		if got != want {
			t.Errorf("%d steps %s, want %d: %s", got, op, want, strings.Join(steps, "; "))
		}
	}
	b.plain = true
	plain, _ = p.results(t, b, dtypes.Float32)
	exact, _ := p.results(t, b, dtypes.Float64)
	for i := range fused {
		near(t, "as one", fused[i], exact[i], tol)
		near(t, "as many", plain[i], exact[i], tol)
	}
	for _, threads := range []int{1, 3, 7} {
		again, _ := p.results(t, newBackend(t, threads), dtypes.Float32)
		for i := range fused {
			same(t, again[i], fused[i])
		}
	}
	return fused, plain
}

// firstWord is the name of a step.
func firstWord(s string) string { return strings.Fields(s)[0] }

const f32 = dtypes.Float32

// same fails unless two arrays have the same bits.
func same(t testing.TB, got, want array) {
	t.Helper()
	for i, w := range want.data {
		if g := got.data[i]; g != w && (g == g || w == w) {
			t.Fatalf("element %d is %v, want %v", i, g, w)
		}
	}
}
