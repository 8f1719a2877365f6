package cpu

import (
	"strings"
	"sync"
	"testing"

	"github.com/gomlx/compute"
	"github.com/gomlx/compute/dtypes"
)

// TestDonation checks that donated inputs are used up by a run and others are not, that outputs never share memory with
// inputs, constants or each other, and that a run which fails leaves its inputs as they were.
func TestDonation(t *testing.T) {
	b := newBackend(t, 2)
	x := array{[]int{3}, []float64{1, 2, 3}}
	exe, bufs := compileBody(t, b, dtypes.Float32, func(f compute.Function, in []compute.Value) ([]compute.Value, error) {
		c, err := f.Constant([]float32{7, 8, 9}, 3)
		if err != nil {
			return nil, err
		}
		sum, err := f.Add(in[0], in[1])
		r, err2 := f.Reshape(sum, 1, 3)
		if err == nil {
			err = err2
		}
		return []compute.Value{sum, sum, r, in[0], c}, err
	}, x, x)
	if _, err := exe.Execute(bufs[:1], []bool{true}, 0); err == nil {
		t.Fatal("a missing input went unnoticed")
	}
	if _, err := bufs[0].Shape(); err != nil {
		t.Fatalf("a failed run used up its input: %v", err)
	}
	outs, err := exe.Execute(bufs, []bool{true, false}, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := bufs[0].Shape(); err == nil {
		t.Error("the donated input is still there")
	}
	if _, err := exe.Execute(bufs, nil, 0); err == nil || !strings.Contains(err.Error(), "finalized") {
		t.Errorf("a used up input was taken: %v", err)
	}
	again, err := b.BufferFromFlatData(0, []float32{10, 20, 30}, outs[0].(*Buffer).shape)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := exe.Execute([]compute.Buffer{again, bufs[1]}, nil, 0); err != nil {
		t.Fatal(err)
	}
	for i, o := range outs {
		for j, p := range outs[:i] {
			if &o.(*Buffer).mem[0] == &p.(*Buffer).mem[0] {
				t.Errorf("outputs %d and %d share memory", i, j)
			}
		}
	}
	want := [][]float64{{2, 4, 6}, {2, 4, 6}, {2, 4, 6}, {1, 2, 3}, {7, 8, 9}}
	for i, a := range read(outs) {
		near(t, "output", array{nil, a.data}, array{nil, want[i]}, 0)
	}
}

// TestPanicsBecomeErrors checks that a failing operation names itself and takes nothing down.
func TestPanicsBecomeErrors(t *testing.T) {
	b := newBackend(t, 2)
	bld := b.Builder("division")
	f := bld.Main()
	x, err := f.Constant([]int32{1, 2}, 2)
	if err != nil {
		t.Fatal(err)
	}
	zero, err := f.Constant([]int32{0, 0}, 2)
	if err != nil {
		t.Fatal(err)
	}
	y, err := f.Div(x, zero)
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Return([]compute.Value{y}, nil); err != nil {
		t.Fatal(err)
	}
	exe, err := bld.Compile()
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if _, err := exe.Execute(nil, nil, 0); err == nil || !strings.Contains(err.Error(), "Div") {
			t.Fatalf("division by zero: %v", err)
		}
	}
}

// TestCommonSubexpressions checks that equal operations are recorded once, unless a barrier stands between, and that
// what no output needs is not compiled.
func TestCommonSubexpressions(t *testing.T) {
	b := newBackend(t, 1)
	x := array{[]int{4, 4}, make([]float64, 16)}
	exe, _ := compileBody(t, b, dtypes.Float32, func(f compute.Function, in []compute.Value) ([]compute.Value, error) {
		p, err := f.ReduceSum(in[0], 0)
		q, _ := f.ReduceSum(in[0], 0)
		if p != q {
			t.Error("the same sum was recorded twice")
		}
		barrier, _ := f.OptimizationBarrier(in[0])
		r, _ := f.ReduceSum(barrier[0], 0)
		if p == r {
			t.Error("a sum was shared across a barrier")
		}
		if _, err := f.ReduceMax(in[0], 0); err != nil { // needed by nobody
			t.Error(err)
		}
		return []compute.Value{p, r}, err
	}, x)
	if n := len(exe.(*Executable).thunks); n != 2 {
		t.Errorf("%d steps, want 2", n)
	}
}

// TestFailureInAWorker checks a panic on another goroutine in the middle of a run: the error names the operation, donated inputs
// keep their values, and the executable and the pool go on working.
func TestFailureInAWorker(t *testing.T) {
	b := newBackend(t, 3)
	const n = 200_000
	x, y := array{[]int{n}, make([]float64, n)}, array{[]int{n}, make([]float64, n)}
	for i := range x.data {
		x.data[i], y.data[i] = float64(i), 1
	}
	good := array{y.dims, append([]float64(nil), y.data...)}
	y.data[n-7] = 0
	exe, bufs := compileBody(t, b, dtypes.Int32, func(f compute.Function, in []compute.Value) ([]compute.Value, error) {
		sum, err := f.Add(in[0], in[1])
		if err != nil {
			return nil, err
		}
		q, err := f.Div(sum, in[1])
		return []compute.Value{sum, q}, err
	}, x, y)
	for range 3 {
		_, err := exe.Execute(bufs, []bool{true, true}, 0)
		if err == nil || !strings.Contains(err.Error(), "operation Div") || !strings.Contains(err.Error(), "divide by zero") {
			t.Fatalf("error %v", err)
		}
	}
	for i, want := range []array{x, y} {
		near(t, "a donated input after a failure", read(bufs[i : i+1])[0], want, 0)
	}
	outs, err := exe.Execute([]compute.Buffer{bufs[0], upload(b, bufs[1].(*Buffer).shape, good)}, nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	if got := read(outs)[1].data[n-1]; got != n {
		t.Errorf("after failures: %v, want %d", got, n)
	}
}

// TestOneExecutableConcurrently runs one executable, with a closure inside, from several goroutines; some donate, some fail.
func TestOneExecutableConcurrently(t *testing.T) {
	b := newBackend(t, 2)
	const n = 3000
	exe, bufs := compileBody(t, b, dtypes.Int32, func(f compute.Function, in []compute.Value) ([]compute.Value, error) {
		r := record{t, f}
		s := r.shape(in[0], n)
		cond := r.closure(func(r record, p []compute.Value) []compute.Value {
			return []compute.Value{r.v(r.f.LessThan(r.v(r.f.ReduceMin(p[0])), r.v(r.f.Constant([]int32{20}))))}
		}, s)
		body := r.closure(func(r record, p []compute.Value) []compute.Value { return []compute.Value{r.v(r.f.Add(p[0], in[1]))} }, s)
		out := r.vs(f.While(cond, body, in[0]))
		return []compute.Value{out[0], r.v(f.Div(out[0], in[1]))}, nil
	}, array{[]int{n}, make([]float64, n)}, array{[]int{n}, make([]float64, n)})
	shape := bufs[0].(*Buffer).shape
	fill := func(v int32) compute.Buffer {
		x := b.newBuffer(shape)
		for i := range view[int32](x.mem) {
			view[int32](x.mem)[i] = v
		}
		return x
	}
	var wg sync.WaitGroup
	for g := range int32(4) {
		wg.Go(func() {
			for k := range int32(15) {
				step := 1 + (g+k)%5
				outs, err := exe.Execute([]compute.Buffer{fill(g), fill(step)}, []bool{k%2 == 0, k%3 == 0}, 0)
				if err != nil {
					t.Error(err)
					return
				}
				want := g
				for want < 20 {
					want += step
				}
				for i, v := range view[int32](outs[0].(*Buffer).mem) {
					if q := view[int32](outs[1].(*Buffer).mem)[i]; v != want || q != want/step {
						t.Errorf("goroutine %d, run %d, element %d: %d and %d, want %d and %d", g, k, i, v, q, want, want/step)
						return
					}
				}
			}
		})
	}
	wg.Wait()
}
