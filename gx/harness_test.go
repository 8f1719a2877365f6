package gx_test

import (
	"math"
	"sync"
	"testing"

	"github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"

	"github.com/smalti/smalti/engine"
	"github.com/smalti/smalti/gx"
	"github.com/smalti/smalti/rng"
)

var startEngine = sync.OnceValues(func() (*engine.Engine, error) { return engine.New(engine.Options{}) })

// function is a graph function of two arrays, x and w.
type function func(x, w *graph.Node) *graph.Node

// program compiles a function of tensors.
func program(t *testing.T, f func(in []*graph.Node) []*graph.Node) func(in ...*tensors.Tensor) []*tensors.Tensor {
	t.Helper()
	e, err := startEngine()
	if err != nil {
		t.Fatal(err)
	}
	p := e.Program(t.Name(), func(_ *gx.Vars, in []*graph.Node) []*graph.Node { return f(in) })
	return func(in ...*tensors.Tensor) []*tensors.Tensor {
		t.Helper()
		out, err := p.Run(nil, in...)
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
}

// normal is a float64 tensor of normal numbers of deviation 0.7, so that tanh bends but does not saturate.
func normal(name string, dims ...int) *tensors.Tensor {
	data := make([]float64, size(dims))
	s := rng.New(1, name)
	for i := range data {
		data[i] = 0.7 * s.Normal()
	}
	return tensors.FromFlatDataAndDimensions(data, dims...)
}

func size(dims []int) int {
	n := 1
	for _, d := range dims {
		n *= d
	}
	return n
}

func doubles(t *tensors.Tensor) []float64 { return tensors.MustCopyFlatData[float64](t) }

// checkGradients compares the derivatives of sum(tanh(f)^2) to first order, and those of a gradient penalty on f to
// second order, with central differences in float64.
func checkGradients(t *testing.T, xDims, wDims []int, f function) {
	t.Helper()
	x, w := normal("x", xDims...), normal("w", wDims...)
	bent := func(x, w *graph.Node) *graph.Node {
		return graph.ReduceAllSum(graph.Square(graph.Tanh(f(x, w))))
	}
	t.Run("first", func(t *testing.T) { checkDifferences(t, x, w, bent) })
	t.Run("second", func(t *testing.T) {
		checkDifferences(t, x, w, func(x, w *graph.Node) *graph.Node { return penalty(bent(x, w), x) })
	})
}

// penalty is the gradient penalty of WGAN-GP (Gulrajani et al. 2017): mean over the batch of (|d out/dx| - 1)^2.
func penalty(out, x *graph.Node) *graph.Node {
	g := graph.Reshape(graph.Gradient(out, x)[0], x.Shape().Dimensions[0], -1)
	norm := graph.Sqrt(graph.AddScalar(graph.ReduceSum(graph.Square(g), 1), 1e-12))
	return graph.ReduceAllMean(graph.Square(graph.AddScalar(norm, -1)))
}

// checkDifferences compares the gradient of a scalar f with central differences of step 1e-5. Their own error is about
// 1e-10 by the third derivative and 1e-11 by rounding; 1e-6 of the largest component leaves room for large derivatives
// and is far below what any wrong formula gives.
func checkDifferences(t *testing.T, x, w *tensors.Tensor, f function) {
	t.Helper()
	const h, tolerance, samples = 1e-5, 1e-6, 20
	gradient := program(t, func(in []*graph.Node) []*graph.Node { return graph.Gradient(f(in[0], in[1]), in[0], in[1]) })
	value := program(t, func(in []*graph.Node) []*graph.Node { return []*graph.Node{f(in[0], in[1])} })
	args := []*tensors.Tensor{x, w}
	for k, got := range gradient(x, w) {
		g, base := doubles(got), doubles(args[k])
		scale := 0.0
		for _, v := range g {
			if math.IsNaN(v) {
				t.Fatalf("the gradient of argument %d has a NaN", k)
			}
			scale = max(scale, math.Abs(v))
		}
		if scale == 0 {
			t.Fatalf("the gradient of argument %d is zero: the case tests nothing", k)
		}
		at := func(i int, d float64) float64 {
			moved := append([]float64(nil), base...)
			moved[i] += d
			in := []*tensors.Tensor{x, w}
			in[k] = tensors.FromFlatDataAndDimensions(moved, args[k].Shape().Dimensions...)
			return tensors.ToScalar[float64](value(in...)[0])
		}
		for i := 0; i < len(base); i += len(base)/samples + 1 {
			want := (at(i, h) - at(i, -h)) / (2 * h)
			if math.Abs(g[i]-want) > tolerance*scale {
				t.Fatalf("derivative by element %d of argument %d is %g, differences give %g (largest %g)", i, k, g[i], want, scale)
			}
		}
	}
}
