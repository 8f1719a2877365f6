package cpu

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/gomlx/compute"
	"github.com/gomlx/compute/dtypes"
	"github.com/gomlx/compute/shapes"
)

// both compares float32 with float64.
func both(t *testing.T, b *Backend, what string, tol float64, build body, in ...array) {
	t.Helper()
	got, want := run(t, b, dtypes.Float32, build, in...), run(t, b, dtypes.Float64, build, in...)
	for i := range want {
		near(t, what, got[i], want[i], tol)
	}
}

// TestDotForms draws axes of all kinds and checks the float32 products against the plain loops, and these against the
// definition in one case that is easy to write down.
func TestDotForms(t *testing.T) {
	b := newBackend(t, 2)
	for seed := range uint64(120) {
		r := rand.New(rand.NewPCG(seed, 3))
		sizes := []int{1, 2, 3, 5, 8, 17, 40}
		draw := func(n int) (out []int) {
			for range n {
				out = append(out, sizes[r.IntN(len(sizes))])
			}
			return out
		}
		batch, contract := draw(r.IntN(3)), draw(r.IntN(3))
		x, lb, lc := place(r, batch, contract, draw(r.IntN(3)))
		y, rb, rc := place(r, batch, contract, draw(r.IntN(3)))
		if product(x)*product(y) > 1<<22 {
			continue
		}
		what := fmt.Sprintf("seed %d: %v %v %v x %v %v %v", seed, x, lc, lb, y, rc, rb)
		both(t, b, what, 1e-5, one(func(f compute.Function, in []compute.Value) (compute.Value, error) {
			return f.DotGeneral(in[0], lc, lb, in[1], rc, rb, compute.DotGeneralConfig{})
		}), randomArray(r, x...), randomArray(r, y...))
	}
	x := array{[]int{2, 3}, []float64{1, 2, 3, 4, 5, 6}}
	y := array{[]int{3, 2}, []float64{7, 8, 9, 10, 11, 12}}
	got := run(t, b, dtypes.Float64, one(func(f compute.Function, in []compute.Value) (compute.Value, error) {
		return f.DotGeneral(in[0], []int{1}, nil, in[1], []int{0}, nil, compute.DotGeneralConfig{})
	}), x, y)
	near(t, "definition", got[0], array{[]int{2, 2}, []float64{58, 64, 139, 154}}, 0)
}

// place shuffles batch, contracted and free axes and returns the dimensions and where the first two went.
func place(r *rand.Rand, batch, contract, free []int) (dims, batchAxes, contractAxes []int) {
	all := slices.Concat(batch, contract, free)
	p := r.Perm(len(all))
	dims = make([]int, len(all))
	for i, at := range p {
		dims[at] = all[i]
	}
	return dims, p[:len(batch)], p[len(batch) : len(batch)+len(contract)]
}

func TestReductions(t *testing.T) {
	b := newBackend(t, 2)
	for seed := range uint64(80) {
		r := rand.New(rand.NewPCG(seed, 4))
		dims := [][]int{{3, 40, 24}, {20000}, {2, 30000}, {30000, 3}, {5, 1, 7, 2, 3}, {1, 9000, 5}, {64, 64, 16}, {2, 3, 2, 5, 4, 24}}[seed%8]
		var axes []int
		for i := range dims {
			if r.IntN(2) == 0 {
				axes = append(axes, i)
			}
		}
		x := randomArray(r, dims...)
		what := fmt.Sprintf("%v over %v", dims, axes)
		both(t, b, what, 1e-5, func(f compute.Function, in []compute.Value) ([]compute.Value, error) {
			var outs []compute.Value
			for _, op := range []func(compute.Value, ...int) (compute.Value, error){f.ReduceSum, f.ReduceMax, f.ReduceMin} {
				v, err := op(in[0], axes...)
				if err != nil {
					return nil, err
				}
				outs = append(outs, v)
			}
			return outs, nil
		}, x)
	}
}

// TestMoves compares copies in float32 (with transposition kernels) with those in float64 (plain).
func TestMoves(t *testing.T) {
	b := newBackend(t, 2)
	for seed := range uint64(80) {
		r := rand.New(rand.NewPCG(seed, 5))
		dims := [][]int{{3, 40, 24}, {70, 33}, {2, 3, 4, 5}, {1, 17, 1, 9}, {200, 130}}[seed%5]
		n := len(dims)
		p := r.Perm(n)
		starts, limits, steps := make([]int, n), make([]int, n), make([]int, n)
		pads := make([]compute.PadAxis, n)
		for i, d := range dims {
			starts[i] = r.IntN(d)
			limits[i] = starts[i] + 1 + r.IntN(d-starts[i])
			steps[i] = 1 + r.IntN(3)
			pads[i] = compute.PadAxis{Start: r.IntN(4) - min(1, d/3), End: r.IntN(4) - min(1, d/3), Interior: r.IntN(3)}
		}
		build := func(f compute.Function, in []compute.Value) ([]compute.Value, error) {
			tr, err1 := f.Transpose(in[0], p...)
			sl, err2 := f.Slice(in[0], starts, limits, steps)
			rev, err3 := f.Reverse(in[0], p[:1+r.IntN(n)]...)
			cat, err4 := f.Concatenate(p[0], in[0], in[0], in[0])
			pad, err5 := f.Pad(in[0], in[1], pads...)
			for _, err := range []error{err1, err2, err3, err4, err5} {
				if err != nil {
					return nil, err
				}
			}
			return []compute.Value{tr, sl, rev, cat, pad}, nil
		}
		r = rand.New(rand.NewPCG(seed, 6))
		x := randomArray(r, dims...)
		r = rand.New(rand.NewPCG(seed, 9))
		got := run(t, b, dtypes.Float32, build, x, array{nil, []float64{-3}})
		r = rand.New(rand.NewPCG(seed, 9))
		want := run(t, b, dtypes.Float64, build, x, array{nil, []float64{-3}})
		for i := range want {
			near(t, fmt.Sprintf("seed %d, %d", seed, i), got[i], want[i], 0)
		}
		// And one against the definition.
		for o := range got[4].data {
			at := unflat(got[4].dims, o)
			v, inside := -3.0, true
			from := make([]int, n)
			for i, a := range at {
				a -= pads[i].Start
				step := pads[i].Interior + 1
				inside = inside && a >= 0 && a%step == 0 && a/step < dims[i]
				from[i] = a / step
			}
			if inside {
				v = x.data[flat(dims, from)]
			}
			if got[4].data[o] != v {
				t.Fatalf("seed %d: pad %+v of %v: element %v is %v, want %v", seed, pads, dims, at, got[4].data[o], v)
			}
		}
	}
}

func unflat(dims []int, i int) []int {
	at := make([]int, len(dims))
	for k := len(dims) - 1; k >= 0; k-- {
		at[k] = i % dims[k]
		i /= dims[k]
	}
	return at
}

// TestScatterWindows adds windows smaller than the operand on axes that others follow, where GoMLX's Go backend errs, and
// gathers them back.
func TestScatterWindows(t *testing.T) {
	b := newBackend(t, 2)
	r := rand.New(rand.NewPCG(1, 1))
	operand, updates := []int{5, 6, 4}, []int{3, 2, 3, 4}
	x, u := randomArray(r, operand...), randomArray(r, updates...)
	idx := []int32{0, 1, 3, 2, 0, 1} // three windows [2,3,4] at (row, column); the last meets the first
	want := slices.Clone(x.data)
	for w := range 3 {
		for i := range 2 {
			for j := range 3 {
				for k := range 4 {
					want[flat(operand, []int{int(idx[2*w]) + i, int(idx[2*w+1]) + j, k})] += u.data[flat(updates, []int{w, i, j, k})]
				}
			}
		}
	}
	build := func(f compute.Function, in []compute.Value) ([]compute.Value, error) {
		at, err := f.Constant(idx, 3, 2)
		if err != nil {
			return nil, err
		}
		s, err := f.ScatterSum(in[0], at, in[1], 1, []int{1, 2, 3}, nil, []int{0, 1}, false, false)
		if err != nil {
			return nil, err
		}
		g, err := f.Gather(in[0], at, 1, []int{1, 2, 3}, nil, []int{0, 1}, []int{2, 3, 4}, false)
		return []compute.Value{s, g}, err
	}
	for _, d := range []dtypes.DType{dtypes.Float32, dtypes.Float64} {
		got := run(t, b, d, build, x, u)
		near(t, "scatter", got[0], array{operand, want}, 1e-6)
		for o, v := range got[1].data {
			at := unflat(updates, o)
			if w := x.data[flat(operand, []int{int(idx[2*at[0]]) + at[1], int(idx[2*at[0]+1]) + at[2], at[3]})]; v != w {
				t.Fatalf("gather: element %v is %v, want %v", at, v, w)
			}
		}
	}
}

// TestZeroSizes checks that arrays without elements pass through operations.
func TestZeroSizes(t *testing.T) {
	b := newBackend(t, 2)
	empty := array{dims: []int{0, 3}}
	got := run(t, b, dtypes.Float32, func(f compute.Function, in []compute.Value) ([]compute.Value, error) {
		add, err1 := f.Add(in[0], in[0])
		sum, err2 := f.ReduceSum(in[0], 0)
		all, err3 := f.ReduceMax(in[0])
		cat, err4 := f.Concatenate(0, in[0], in[1])
		dot, err5 := f.DotGeneral(in[0], []int{0}, nil, in[0], []int{0}, nil, compute.DotGeneralConfig{})
		tr, err6 := f.Transpose(in[0], 1, 0)
		for _, err := range []error{err1, err2, err3, err4, err5, err6} {
			if err != nil {
				return nil, err
			}
		}
		return []compute.Value{add, sum, all, cat, dot, tr}, nil
	}, empty, array{[]int{1, 3}, []float64{1, 2, 3}})
	near(t, "sum", got[1], array{[]int{3}, []float64{0, 0, 0}}, 0)
	near(t, "concatenation", got[3], array{[]int{1, 3}, []float64{1, 2, 3}}, 0)
	near(t, "product", got[4], array{[]int{3, 3}, make([]float64, 9)}, 0)
	if len(got[0].data) != 0 || len(got[5].data) != 0 {
		t.Error("elements out of nothing")
	}
}

// TestPadsJoin checks that the gradient of a split, a sum of padded parts, is a concatenation and right in any order.
func TestPadsJoin(t *testing.T) {
	b := newBackend(t, 1)
	parts := []array{{[]int{2, 1}, []float64{1, 2}}, {[]int{2, 2}, []float64{3, 4, 5, 6}}, {[]int{2, 1}, []float64{7, 8}}}
	want := array{[]int{2, 4}, []float64{1, 3, 4, 7, 2, 5, 6, 8}}
	for _, order := range [][]int{{0, 1, 2}, {2, 1, 0}, {1, 2, 0}, {0, 2, 1}} {
		build := one(func(f compute.Function, in []compute.Value) (compute.Value, error) {
			zero, err := f.Constant([]float32{0})
			if err != nil {
				return nil, err
			}
			var sum compute.Value
			for _, i := range order {
				start := []int{0, 1, 3}[i]
				p, err := f.Pad(in[i], zero, compute.PadAxis{}, compute.PadAxis{Start: start, End: 4 - start - parts[i].dims[1]})
				if err != nil {
					return nil, err
				}
				if sum == nil {
					sum = p
				} else if sum, err = f.Add(sum, p); err != nil {
					return nil, err
				}
			}
			return sum, nil
		})
		exe, bufs := compileBody(t, b, dtypes.Float32, build, parts...)
		outs, err := exe.Execute(bufs, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		near(t, fmt.Sprint(order), read(outs)[0], want, 0)
		if n := len(exe.(*Executable).thunks); n != 1 && order[1] == 1 {
			t.Errorf("%v: %d steps, want one concatenation", order, n)
		}
	}
}

// TestRefusals checks that what is unsupported is refused when it is recorded, with GoMLX's error.
func TestRefusals(t *testing.T) {
	b := newBackend(t, 1)
	f := b.Builder("refusals").Main()
	if _, err := f.Parameter("x", shapes.Make(dtypes.Complex64, 2), nil); !compute.IsNotImplemented(err) {
		t.Errorf("complex parameter: %v", err)
	}
	x, err := f.Parameter("x", shapes.Make(dtypes.Float32, 2, 2), nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.FusedSoftmax(x, 1); !compute.IsNotImplemented(err) {
		t.Errorf("fused softmax: %v", err)
	}
	other := b.Builder("other").Main()
	if _, err := other.Neg(x); err == nil {
		t.Error("a value of another function was taken")
	}
}
