package cpu

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/gomlx/compute"
	"github.com/gomlx/compute/dtypes"
	"github.com/gomlx/compute/shapes"
)

// TestClusters draws graphs of elementwise operations over operands of many broadcast shapes, mixed with reshapes,
// broadcasts, reductions and transpositions, and compares float32, which runs in clusters, with float64, which runs one
// plain loop after the other.
func TestClusters(t *testing.T) {
	b := newBackend(t, 3)
	for seed := range uint64(160) {
		shape := [][]int{{3, 5, 7, 24}, {2, 40, 33}, {1, 6, 6, 300}, {7}, {2, 1100, 3}, {4, 3, 1, 5, 2}, {1, 1}, {3, 1, 512}}[seed%8]
		build, in := randomGraph(seed, shape)
		got := run(t, b, dtypes.Float32, build, in...)
		want := run(t, b, dtypes.Float64, build, in...)
		for i := range want {
			near(t, fmt.Sprintf("seed %d, output %d", seed, i), got[i], want[i], 2e-5)
		}
	}
}

// randomGraph draws operands and a body. The body is a pure function of the seed.
func randomGraph(seed uint64, shape []int) (body, []array) {
	r := rand.New(rand.NewPCG(seed, 7))
	var in []array
	for range 5 {
		dims := make([]int, len(shape))
		for i, d := range shape {
			dims[i] = d
			if r.IntN(3) == 0 {
				dims[i] = 1
			}
		}
		in = append(in, randomArray(r, dims...))
	}
	in = append(in, randomArray(r, shape...), randomArray(r, shape...), randomArray(r))
	return func(f compute.Function, params []compute.Value) ([]compute.Value, error) {
		g := &drawing{f: f, r: rand.New(rand.NewPCG(seed, 8))}
		for _, p := range params {
			g.add(p, nil)
		}
		for range 25 {
			g.step()
		}
		outs := g.values[len(params):]
		if len(outs) > 3 {
			outs = outs[len(outs)-3:]
		}
		return append(append([]compute.Value(nil), outs...), g.values[len(params)]), g.err
	}, in
}

// drawing draws one graph.
type drawing struct {
	f      compute.Function
	r      *rand.Rand
	values []compute.Value
	err    error
}

func (g *drawing) add(v compute.Value, err error) {
	if err != nil {
		g.err = err
		return
	}
	g.values = append(g.values, v)
}

func (g *drawing) shape(v compute.Value) shapes.Shape {
	s, err := g.f.Shape(v)
	if err != nil {
		g.err = err
	}
	return s
}

func (g *drawing) pick() (compute.Value, []int) {
	v := g.values[g.r.IntN(len(g.values))]
	if g.r.IntN(2) == 0 {
		v = g.values[max(0, len(g.values)-1-g.r.IntN(3))]
	}
	return v, g.shape(v).Dimensions
}

func (g *drawing) step() {
	x, dx := g.pick()
	y, dy := g.pick()
	if len(dx) != len(dy) && len(dx) != 0 && len(dy) != 0 {
		return
	}
	unary := []func(compute.Value) (compute.Value, error){g.f.Neg, g.f.Abs, g.f.Tanh, g.f.Logistic, g.f.Cos, g.f.Erf}
	binary := []func(x, y compute.Value) (compute.Value, error){g.f.Add, g.f.Sub, g.f.Mul, g.f.Max, g.f.Min}
	switch k := g.r.IntN(9); {
	case k < 2:
		g.add(unary[g.r.IntN(len(unary))](x))
	case k < 5:
		g.then(g.f.Tanh)(binary[g.r.IntN(len(binary))](x, y)) // so that values stay small
	case len(dx) == 0:
	case k == 5:
		g.selection(x, y)
	case k == 6: // a reshape away and back
		v, err := g.f.Reshape(x, product(dx))
		g.then(g.f.Neg, func(v compute.Value) (compute.Value, error) { return g.f.Reshape(v, dx...) })(v, err)
	case k == 7: // the largest of an axis, so that it broadcasts
		a := g.r.IntN(len(dx))
		keep := append([]int(nil), dx...)
		keep[a] = 1
		g.then(func(v compute.Value) (compute.Value, error) { return g.f.Reshape(v, keep...) })(g.f.ReduceMax(x, a))
	case k == 8 && len(dx) > 1: // two transpositions that undo each other, with something between
		p := make([]int, len(dx))
		for i := range p {
			p[i] = i
		}
		p[0], p[len(p)-1] = p[len(p)-1], p[0]
		back := func(v compute.Value) (compute.Value, error) { return g.f.Transpose(v, p...) }
		g.then(g.f.Tanh, back)(g.f.Transpose(x, p...))
	}
}

// then adds what steps make of a value.
func (g *drawing) then(steps ...func(compute.Value) (compute.Value, error)) func(v compute.Value, err error) {
	return func(v compute.Value, err error) {
		for _, s := range steps {
			if err == nil {
				v, err = s(v)
			}
		}
		g.add(v, err)
	}
}

// selection adds x or y, whichever is less, or the other one.
func (g *drawing) selection(x, y compute.Value) {
	cond, err := g.f.LessThan(x, y)
	if err == nil && g.r.IntN(2) == 0 {
		cond, err = g.f.LogicalNot(cond)
	}
	if err != nil {
		g.err = err
		return
	}
	s := g.shape(cond)
	full := func(v compute.Value) compute.Value {
		sv := g.shape(v)
		if sv.Size() == s.Size() || sv.IsScalar() {
			return v
		}
		axes := make([]int, sv.Rank())
		for i := range axes {
			axes[i] = i
		}
		w, err := g.f.BroadcastInDim(v, shapes.Make(sv.DType, s.Dimensions...), axes)
		if err != nil {
			g.err = err
		}
		return w
	}
	g.add(g.f.Where(cond, full(x), full(y)))
}

// TestClusterSpecials checks that NaN and infinities pass through clusters as through Go's operators.
func TestClusterSpecials(t *testing.T) {
	b := newBackend(t, 1)
	inf, nan := math.Inf(1), math.NaN()
	x := array{[]int{8}, []float64{1, -1, 0, inf, -inf, nan, nan, 2}}
	y := array{[]int{8}, []float64{nan, 2, nan, -inf, 1, nan, 3, 2}}
	build := func(f compute.Function, in []compute.Value) ([]compute.Value, error) {
		var outs []compute.Value
		for _, op := range []func(x, y compute.Value) (compute.Value, error){f.Add, f.Sub, f.Mul, f.Div, f.Max, f.Min, f.Equal, f.NotEqual,
			f.LessThan, f.LessOrEqual, f.GreaterThan, f.GreaterOrEqual} {
			v, err := op(in[0], in[1])
			if err != nil {
				return nil, err
			}
			outs = append(outs, v)
		}
		for _, op := range []func(x compute.Value) (compute.Value, error){f.Exp, f.Log, f.Sqrt, f.Tanh, f.Logistic, f.IsNaN, f.IsFinite, f.Sign, f.Rsqrt} {
			v, err := op(in[0])
			if err != nil {
				return nil, err
			}
			outs = append(outs, v)
		}
		return outs, nil
	}
	got, want := run(t, b, dtypes.Float32, build, x, y), run(t, b, dtypes.Float64, build, x, y)
	for i := range want {
		near(t, fmt.Sprint("output ", i), got[i], want[i], 1e-6)
	}
}
