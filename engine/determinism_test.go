package engine

import (
	"fmt"
	"math"
	"sync"
	"testing"

	"github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"

	"github.com/smalti/smalti/gx"
)

// sharedEngine is one engine for all tests: a tensor belongs to the engine that saw it first.
func sharedEngine(t testing.TB) *Engine {
	t.Helper()
	e, err := benchEngine()
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// TestThreadsDoNotChangeBytes runs products of awkward sizes, convolutions with their gradients, and reductions with
// one, two and three workers.
func TestThreadsDoNotChangeBytes(t *testing.T) {
	conv := func(o gx.ConvOptions) Build {
		return func(_ *gx.Vars, in []*graph.Node) []*graph.Node {
			y := gx.Convolve(in[0], in[1], o)
			return append(graph.Gradient(graph.ReduceAllSum(graph.Mul(y, graph.Sin(y))), in[0], in[1]), y)
		}
	}
	product := func(_ *gx.Vars, in []*graph.Node) []*graph.Node {
		y := graph.Dot(in[0], in[1]).Product()
		return append(graph.Gradient(graph.ReduceAllSum(graph.Mul(y, graph.Sin(y))), in[0], in[1]), y)
	}
	cases := []struct {
		name  string
		build Build
		a, b  []int
	}{
		{"product 1x1x1", product, []int{1, 1}, []int{1, 1}},
		{"product 7x13x5", product, []int{7, 13}, []int{13, 5}},
		{"product 129x257x65", product, []int{129, 257}, []int{257, 65}},
		{"product 3x5000x3", product, []int{3, 5000}, []int{5000, 3}},
		{"product 2000x33x17", product, []int{2000, 33}, []int{33, 17}},
		{"product 511x1030x130", product, []int{511, 1030}, []int{1030, 130}},
		{"conv k3", conv(gx.ConvOptions{Pad: gx.Around(1)}), []int{5, 17, 15, 13}, []int{3, 3, 13, 19}},
		{"conv k4 s2", conv(gx.ConvOptions{Pad: gx.Around(1), Stride: 2}), []int{5, 18, 14, 13}, []int{4, 4, 13, 19}},
		{"conv k1", conv(gx.ConvOptions{}), []int{9, 17, 15, 13}, []int{1, 1, 13, 19}},
		{"conv groups", conv(gx.ConvOptions{Pad: gx.Around(1), Groups: 3}), []int{4, 17, 15, 12}, []int{3, 3, 4, 9}},
		{"reductions", func(_ *gx.Vars, in []*graph.Node) []*graph.Node {
			return []*graph.Node{graph.ReduceAllSum(in[0]), graph.ReduceSum(in[0], 0), graph.ReduceSum(in[0], 1, 2), gx.Softmax(in[0]), gx.LayerNorm(in[0], nil, nil, 1e-5), gx.GroupNorm(in[0], 2, nil, nil, 1e-5)}
		}, []int{9, 33, 31, 14}, []int{1}},
		{"attention", func(_ *gx.Vars, in []*graph.Node) []*graph.Node {
			return graph.Gradient(graph.ReduceAllSum(graph.Square(gx.Attention(in[0], in[1], in[1], nil))), in[0], in[1])
		}, []int{3, 50, 5, 17}, []int{3, 77, 5, 17}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			var want [][]float32
			for _, threads := range []int{1, 2, 3} {
				e, err := New(Options{Threads: threads})
				if err != nil {
					t.Fatal(err)
				}
				out, err := e.Program(c.name, c.build).Run(nil, filled("a", c.a...), filled("b", c.b...))
				if err != nil {
					t.Fatal(err)
				}
				if want == nil {
					for _, o := range out {
						want = append(want, Floats(o))
					}
					continue
				}
				for k, o := range out {
					for i, v := range Floats(o) {
						if math.Float32bits(v) != math.Float32bits(want[k][i]) {
							t.Fatalf("output %d, element %d is %g with %d threads, %g with one", k, i, v, threads, want[k][i])
						}
					}
				}
			}
		})
	}
}

// TestConcurrentRuns runs one program from several goroutines, as the studio does; go test -race looks closer.
func TestConcurrentRuns(t *testing.T) {
	e := sharedEngine(t)
	p := e.Program("concurrent", func(v *gx.Vars, in []*graph.Node) []*graph.Node {
		w := v.Get("w", gx.Spec{Dims: []int{3, 3, 4, 8}})
		y := gx.Convolve(in[0], w, gx.ConvOptions{Pad: gx.Around(1)})
		return []*graph.Node{graph.ReduceSum(y, 1, 2, 3)}
	})
	vars := Tensors{"w": filled("w", 3, 3, 4, 8)}
	x := make([]*tensors.Tensor, 4)
	want := make([][]float32, len(x))
	for i := range x {
		x[i] = filled(fmt.Sprint("x", i), 3, 16, 16, 4)
		out, err := p.Run(vars, x[i])
		if err != nil {
			t.Fatal(err)
		}
		want[i] = Floats(out[0])
	}
	var wg sync.WaitGroup
	for i := range x {
		wg.Go(func() {
			for range 5 {
				out, err := p.Run(vars, x[i])
				if err != nil {
					t.Error(err)
					return
				}
				for k, v := range Floats(out[0]) {
					if v != want[i][k] {
						t.Errorf("goroutine %d: element %d is %g, want %g", i, k, v, want[i][k])
						return
					}
				}
			}
		})
	}
	wg.Wait()
}
