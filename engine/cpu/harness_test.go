package cpu

import (
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"testing"

	"github.com/gomlx/compute"
	"github.com/gomlx/compute/dtypes"
	"github.com/gomlx/compute/shapes"
)

// array is a test's array of float64, which run turns into the type at hand.
type array struct {
	dims []int
	data []float64
}

func randomArray(r *rand.Rand, dims ...int) array {
	a := array{dims, make([]float64, product(dims))}
	for i := range a.data {
		a.data[i] = float64(float32(r.NormFloat64()))
	}
	return a
}

func newBackend(t testing.TB, threads int) *Backend {
	t.Helper()
	b, err := New(Options{Threads: threads, Class: os.Getenv("SMALTI_CPU")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Finalize)
	return b
}

// body records operations on parameters.
type body func(f compute.Function, in []compute.Value) ([]compute.Value, error)

// run compiles and executes a body on inputs of type d and returns the results as float64.
func run(t testing.TB, b *Backend, d dtypes.DType, build body, in ...array) []array {
	t.Helper()
	exe, bufs := compileBody(t, b, d, build, in...)
	outs, err := exe.Execute(bufs, nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	return read(outs)
}

func compileBody(t testing.TB, b *Backend, d dtypes.DType, build body, in ...array) (compute.Executable, []compute.Buffer) {
	t.Helper()
	bld := b.Builder("test")
	f := bld.Main()
	var params []compute.Value
	var bufs []compute.Buffer
	for i, a := range in {
		s := shapes.Make(d, a.dims...)
		p, err := f.Parameter(fmt.Sprint("p", i), s, nil)
		if err != nil {
			t.Fatal(err)
		}
		params = append(params, p)
		bufs = append(bufs, upload(b, s, a))
	}
	outs, err := build(f, params)
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Return(outs, nil); err != nil {
		t.Fatal(err)
	}
	exe, err := bld.Compile()
	if err != nil {
		t.Fatal(err)
	}
	return exe, bufs
}

// upload makes a buffer of any type.
func upload(b *Backend, s shapes.Shape, a array) *Buffer {
	x := b.newBuffer(s)
	if len(a.data) > 0 {
		converter(b.set, s.DType, dtypes.Float64)(x.mem, bytesOf(a.data))
	}
	return x
}

func read(outs []compute.Buffer) []array {
	var results []array
	for _, o := range outs {
		x := o.(*Buffer)
		a := array{dims: x.shape.Dimensions, data: make([]float64, x.shape.Size())}
		conv := converter(x.backend.set, dtypes.Float64, x.shape.DType)
		if len(a.data) > 0 {
			conv(bytesOf(a.data), x.mem)
		}
		results = append(results, a)
	}
	return results
}

// near fails unless got is want within tol of the largest element (of 1 at least).
func near(t testing.TB, what string, got, want array, tol float64) {
	t.Helper()
	if fmt.Sprint(got.dims) != fmt.Sprint(want.dims) {
		t.Fatalf("%s: shape %v, want %v", what, got.dims, want.dims)
	}
	scale := 1.0
	for _, v := range want.data {
		if !math.IsInf(v, 0) && math.Abs(v) > scale {
			scale = math.Abs(v)
		}
	}
	for i, w := range want.data {
		g := got.data[i]
		if g == w || (math.IsNaN(g) && math.IsNaN(w)) {
			continue
		}
		if !(math.Abs(g-w) <= tol*scale) {
			t.Fatalf("%s: element %d is %v, want %v (tolerance %g of %g)", what, i, g, w, tol, scale)
		}
	}
}

// one wraps a body of one result.
func one(f func(f compute.Function, in []compute.Value) (compute.Value, error)) body {
	return func(g compute.Function, in []compute.Value) ([]compute.Value, error) {
		v, err := f(g, in)
		return []compute.Value{v}, err
	}
}
