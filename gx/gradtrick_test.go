package gx_test

import (
	"math"
	"testing"

	"github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"

	"github.com/smalti/smalti/engine"
	"github.com/smalti/smalti/gx"
)

func TestStraightThroughIsExactAndSendsTheGradient(t *testing.T) {
	run := program(t, func(in []*graph.Node) []*graph.Node {
		y := gx.StraightThrough(in[0], in[1])
		return append(graph.Gradient(graph.ReduceAllSum(graph.Mul(y, y)), in[0], in[1]), y)
	})
	value := []float32{0.1, 1e-20, -3, 7}
	out := run(engine.FromFloats(value, 4), engine.FromFloats([]float32{1e8, 3, -2e30, 0.3}, 4))
	toValue, toGrad, y := engine.Floats(out[0]), engine.Floats(out[1]), engine.Floats(out[2])
	for i, v := range value {
		if y[i] != v || toValue[i] != 0 || toGrad[i] != 2*v {
			t.Errorf("element %d: y %g want %g, gradients %g and %g", i, y[i], v, toValue[i], toGrad[i])
		}
	}
}

func TestClampWithGrad(t *testing.T) {
	run := program(t, func(in []*graph.Node) []*graph.Node {
		y := gx.ClampWithGrad(in[0], 0, 1)
		return append(graph.Gradient(graph.ReduceAllSum(graph.Mul(y, in[1])), in[0]), y)
	})
	// A step goes against the gradient: above 1 a positive gradient leads back, below 0 a negative one does.
	x := []float32{-0.5, -0.5, 0.25, 0.25, 1.5, 1.5, 0, 1}
	g := []float32{-2, 2, -2, 2, -2, 2, 2, -2}
	wantY := []float32{0, 0, 0.25, 0.25, 1, 1, 0, 1}
	wantG := []float32{-2, 0, -2, 2, 0, 2, 2, -2}
	out := run(engine.FromFloats(x, 8), engine.FromFloats(g, 8))
	gotG, gotY := engine.Floats(out[0]), engine.Floats(out[1])
	for i := range x {
		if gotY[i] != wantY[i] || gotG[i] != wantG[i] {
			t.Errorf("x %g, g %g: y %g want %g, gradient %g want %g", x[i], g[i], gotY[i], wantY[i], gotG[i], wantG[i])
		}
	}
}

// TestClampWithGradSecondOrder: where the gradient passes, the derivative of a squared gradient is that of the identity.
func TestClampWithGradSecondOrder(t *testing.T) {
	run := program(t, func(in []*graph.Node) []*graph.Node {
		y := gx.ClampWithGrad(in[0], 0, 1)
		g := graph.Gradient(graph.ReduceAllSum(graph.Mul(y, graph.Mul(y, y))), in[0])[0] // 3y^2 inside
		return append(graph.Gradient(graph.ReduceAllSum(graph.Square(g)), in[0]), g)
	})
	x := []float32{0.25, 0.5, -1}
	out := run(engine.FromFloats(x, 3))
	got := engine.Floats(out[0])
	for i, want := range []float64{36 * 0.25 * 0.25 * 0.25, 36 * 0.5 * 0.5 * 0.5, 0} { // d (3y^2)^2/dy = 36 y^3
		if math.Abs(float64(got[i])-want) > 1e-5 {
			t.Errorf("x %g: second derivative %g, want %g", x[i], got[i], want)
		}
	}
}

func TestArcsinValues(t *testing.T) {
	run := program(t, func(in []*graph.Node) []*graph.Node { return []*graph.Node{gx.Arcsin(in[0])} })
	const n = 2001
	x32, x64 := make([]float32, n), make([]float64, n)
	for i := range n {
		x64[i] = -1 + 2*float64(i)/(n-1)
		x32[i] = float32(x64[i])
	}
	for i, y := range engine.Floats(run(engine.FromFloats(x32, n))[0]) {
		want := math.Asin(float64(x32[i]))
		if math.Abs(float64(y)-want) > 2.5e-7*math.Abs(want) { // two units in the last place
			t.Errorf("arcsin(%g) = %g, want %g", x32[i], y, want)
		}
	}
	for i, y := range doubles(run(tensors.FromFlatDataAndDimensions(x64, n))[0]) {
		if math.Abs(y-math.Asin(x64[i])) > 1e-14 {
			t.Errorf("arcsin(%g) = %g, want %g", x64[i], y, math.Asin(x64[i]))
		}
	}
	out := engine.Floats(run(engine.FromFloats([]float32{1.5}, 1))[0])
	if !math.IsNaN(float64(out[0])) {
		t.Errorf("arcsin(1.5) = %g, want NaN", out[0])
	}
}

func TestClipByGlobalNorm(t *testing.T) {
	run := program(t, func(in []*graph.Node) []*graph.Node {
		clipped, norm := gx.ClipByGlobalNorm(in, 2)
		return append(clipped, norm)
	})
	out := run(engine.FromFloats([]float32{3, 0}, 2), engine.FromFloats([]float32{4}, 1))
	if n := engine.Floats(out[2])[0]; n != 5 {
		t.Errorf("norm %g, want 5", n)
	}
	if a, b := engine.Floats(out[0])[0], engine.Floats(out[1])[0]; math.Abs(float64(a)-1.2) > 1e-5 || math.Abs(float64(b)-1.6) > 1e-5 {
		t.Errorf("clipped to %g and %g, want 1.2 and 1.6", a, b)
	}
	out = run(engine.FromFloats([]float32{0.3, 0}, 2), engine.FromFloats([]float32{0.4}, 1))
	if a := engine.Floats(out[0])[0]; a != 0.3 {
		t.Errorf("a small gradient was scaled to %g", a)
	}
}

// TestResampleMatrices: rows sum to one, and constants and (with aligned corners) straight lines come out as they were.
func TestResampleMatrices(t *testing.T) {
	for _, size := range [][2]int{{5, 12}, {12, 5}, {7, 7}, {1, 4}, {4, 1}, {3, 6}} {
		in, out := size[0], size[1]
		for name, m := range map[string]gx.Matrix{
			"linear": gx.LinearMatrix(in, out, false), "linear aligned": gx.LinearMatrix(in, out, true),
			"cubic": gx.CubicMatrix(in, out, false), "cubic aligned": gx.CubicMatrix(in, out, true),
			"nearest": gx.NearestMatrix(in, out), "area": gx.AreaMatrix(in, out),
		} {
			if m.In != in || m.Out != out || len(m.Data) != in*out {
				t.Fatalf("%s %d to %d: %dx%d, %d numbers", name, in, out, m.Out, m.In, len(m.Data))
			}
			for o := range out {
				sum, line := 0.0, 0.0
				for i := range in {
					sum += m.Data[o*in+i]
					line += m.Data[o*in+i] * float64(i)
				}
				if math.Abs(sum-1) > 1e-6 { // weights may be float32, as PyTorch's are
					t.Errorf("%s %d to %d: row %d sums to %g", name, in, out, o, sum)
				}
				if name == "linear aligned" && out > 1 {
					if want := float64(o) * float64(in-1) / float64(out-1); math.Abs(line-want) > 1e-6*float64(in) {
						t.Errorf("%s %d to %d: a line at %d is %g, want %g", name, in, out, o, line, want)
					}
				}
			}
		}
	}
}
