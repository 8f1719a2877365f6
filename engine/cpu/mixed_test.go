package cpu

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"strings"
	"testing"

	"github.com/gomlx/compute"
	"github.com/gomlx/compute/dtypes"

	"github.com/smalti/smalti/engine/cpu/kernel"
)

// newMixed starts a backend with bfloat16 products, or skips the test on classes that have none.
func newMixed(t testing.TB, threads int) *Backend {
	t.Helper()
	b, err := New(Options{Threads: threads, Class: os.Getenv("SMALTI_CPU"), Precision: Mixed})
	if errors.Is(err, ErrPrecision) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Finalize)
	return b
}

// rmsError is the root mean square of got-want relative to that of want.
func rmsError(got, want []float64) float64 {
	var d, s float64
	for i, w := range want {
		d += (got[i] - w) * (got[i] - w)
		s += w * w
	}
	return math.Sqrt(d / s)
}

// inBF16 counts the steps of an executable that are computed in bfloat16.
func inBF16(exe compute.Executable) (n int) {
	for _, th := range exe.(*Executable).thunks {
		if strings.HasSuffix(th.unit, "in bfloat16") {
			n++
		}
	}
	return n
}

// mixedCase is a product of x with weights w, contracted over one axis of each.
type mixedCase struct {
	x, w   []int
	lx, lw int
	bias   bool
	grad   bool // of weights: all axes but the last are contracted, and w is no parameter
}

func (c mixedCase) build(f compute.Function, in []compute.Value) ([]compute.Value, error) {
	if c.grad {
		dy, err := f.Neg(in[1])
		if err != nil {
			return nil, err
		}
		axes := make([]int, len(c.x)-1)
		for i := range axes {
			axes[i] = i
		}
		v, err := f.DotGeneral(in[0], axes, nil, dy, axes, nil, compute.DotGeneralConfig{})
		return []compute.Value{v}, err
	}
	v, err := f.DotGeneral(in[0], []int{c.lx}, nil, in[1], []int{c.lw}, nil, compute.DotGeneralConfig{})
	if err == nil && c.bias {
		v, err = f.Add(v, in[2])
	}
	return []compute.Value{v}, err
}

func (c mixedCase) inputs(r *rand.Rand) []array {
	in := []array{randomArray(r, c.x...), randomArray(r, c.w...)}
	if c.bias {
		dims := make([]int, len(c.x))
		for i := range dims {
			dims[i] = 1
		}
		dims[len(dims)-1] = c.w[1-c.lw]
		in = append(in, randomArray(r, dims...))
	}
	return in
}

var mixedCases = []mixedCase{
	{x: []int{1, 128}, w: []int{128, 128}, lx: 1},
	{x: []int{7, 129}, w: []int{129, 131}, lx: 1},
	{x: []int{50, 768}, w: []int{768, 161}, lx: 1, bias: true},
	{x: []int{3, 17, 255}, w: []int{255, 257}, lx: 2, bias: true},
	{x: []int{65, 300}, w: []int{200, 300}, lx: 1, lw: 1}, // the gradient for x
	{x: []int{301, 13}, w: []int{301, 140}},               // x by columns
	{x: []int{131, 5, 9}, w: []int{129, 131}, lw: 1, bias: true},
	{x: []int{600, 256}, w: []int{256, 512}, lx: 1},
	{x: []int{3, 50, 131}, w: []int{3, 50, 129}, grad: true},
	{x: []int{5, 128}, w: []int{5, 257}, grad: true},
}

// TestMixed holds products in bfloat16 to the error that mixedTable states, and to the same bytes for any number of
// threads, for weights that are packed in the run and before it, and for donated ones.
func TestMixed(t *testing.T) {
	backends := []*Backend{newMixed(t, 1), newMixed(t, 2), newMixed(t, 3)}
	exact := newBackend(t, 2)
	for _, c := range mixedCases {
		in := c.inputs(rand.New(rand.NewPCG(1, 2)))
		want := run(t, exact, dtypes.Float32, c.build, in...)[0]
		var first []byte
		for _, b := range backends {
			exe, bufs := compileBody(t, b, dtypes.Float32, c.build, in...)
			if inBF16(exe) != 1 {
				t.Fatalf("%v: not in bfloat16", c)
			}
			for try := range 4 {
				var donate []bool
				if try == 3 {
					donate = []bool{true, true, true}[:len(bufs)]
				}
				outs, err := exe.Execute(bufs, donate, 0)
				if err != nil {
					t.Fatal(err)
				}
				mem := outs[0].(*Buffer).mem
				if first == nil {
					first = bytes.Clone(mem)
					if e := rmsError(read(outs)[0].data, want.data); e > mixedTable[0].rms || e < 1e-4 {
						t.Errorf("%v: relative rms error %g, want up to %g (and no less than rounding makes)", c, e, mixedTable[0].rms)
					}
				}
				if !bytes.Equal(mem, first) {
					t.Errorf("%v: other bytes with %d threads in run %d", c, b.threads, try)
				}
			}
		}
	}
}

// TestMixedRowsDoNotDependOnTheBatch computes rows together and apart.
func TestMixedRowsDoNotDependOnTheBatch(t *testing.T) {
	b := newMixed(t, 2)
	r := rand.New(rand.NewPCG(3, 4))
	const m, k, n = 37, 255, 131
	x, w := randomArray(r, m, k), randomArray(r, k, n)
	body := mixedCase{lx: 1}.build
	whole := run(t, b, dtypes.Float32, body, x, w)[0].data
	for lo, size := 0, 1; lo < m; lo, size = lo+size, size+1 {
		size = min(size, m-lo)
		part := run(t, b, dtypes.Float32, body, array{[]int{size, k}, x.data[lo*k : (lo+size)*k]}, w)[0].data
		for i, v := range part {
			if v != whole[lo*n+i] {
				t.Fatalf("row %d alone with %d others: %g, want %g", lo+i/n, size-1, v, whole[lo*n+i])
			}
		}
	}
}

// TestMixedLeavesAlone has products that stay in float32: small ones, ones of two results, ones with batch axes, and those an
// ArgMin chooses by.
func TestMixedLeavesAlone(t *testing.T) {
	b, exact := newMixed(t, 2), newBackend(t, 2)
	r := rand.New(rand.NewPCG(5, 6))
	dot := func(f compute.Function, x, w compute.Value, batch []int) (compute.Value, error) {
		return f.DotGeneral(x, []int{1 + len(batch)}, batch, w, []int{len(batch)}, batch, compute.DotGeneralConfig{})
	}
	for name, c := range map[string]struct {
		build body
		x, w  []int
	}{
		"few columns": {one(func(f compute.Function, in []compute.Value) (compute.Value, error) { return dot(f, in[0], in[1], nil) }), []int{300, 300}, []int{300, 127}},
		"shallow":     {one(func(f compute.Function, in []compute.Value) (compute.Value, error) { return dot(f, in[0], in[1], nil) }), []int{300, 127}, []int{127, 300}},
		"no weights": {one(func(f compute.Function, in []compute.Value) (compute.Value, error) {
			w, err := f.Neg(in[1])
			if err != nil {
				return nil, err
			}
			return dot(f, in[0], w, nil)
		}), []int{200, 200}, []int{200, 200}},
		"gradient of few weights": {func(f compute.Function, in []compute.Value) ([]compute.Value, error) {
			return mixedCase{x: []int{0, 0}, grad: true}.build(f, in)
		}, []int{300, 127}, []int{300, 200}},
		"batch axes": {one(func(f compute.Function, in []compute.Value) (compute.Value, error) {
			return dot(f, in[0], in[1], []int{0})
		}), []int{2, 150, 150}, []int{2, 150, 150}},
		"chooses": {one(func(f compute.Function, in []compute.Value) (compute.Value, error) {
			v, err := dot(f, in[0], in[1], nil)
			if err == nil {
				v, err = f.Neg(v)
			}
			if err != nil {
				return nil, err
			}
			return f.ArgMinMax(v, 1, dtypes.Int32, true)
		}), []int{200, 200}, []int{200, 200}},
	} {
		x, w := randomArray(r, c.x...), randomArray(r, c.w...)
		exe, _ := compileBody(t, b, dtypes.Float32, c.build, x, w)
		if n := inBF16(exe); n != 0 {
			t.Errorf("%s: %d products in bfloat16", name, n)
		}
		got, want := run(t, b, dtypes.Float32, c.build, x, w)[0], run(t, exact, dtypes.Float32, c.build, x, w)[0]
		if fmt.Sprint(got.data) != fmt.Sprint(want.data) {
			t.Errorf("%s: other values than in float32", name)
		}
	}
}

func TestMixedIsRefused(t *testing.T) {
	for _, class := range []string{"generic", "avx2", "avx512"} {
		if c, err := kernel.ParseClass(class); err != nil || c > kernel.Detect() {
			continue
		}
		if _, err := New(Options{Threads: 1, Class: class, Precision: Mixed}); !errors.Is(err, ErrPrecision) {
			t.Errorf("class %s: error %v, want ErrPrecision", class, err)
		}
	}
	if _, err := New(Options{Threads: 1, Precision: "f8"}); !errors.Is(err, ErrPrecision) {
		t.Errorf("f8: error %v, want ErrPrecision", err)
	}
	for _, p := range []string{"", F32} {
		b, err := New(Options{Threads: 1, Precision: p})
		if err != nil {
			t.Fatal(err)
		}
		if b.Precision() != F32 {
			t.Errorf("precision %q is %s", p, b.Precision())
		}
		b.Finalize()
	}
}
