package cpu

import (
	"fmt"
	"math"
	"math/bits"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"

	"github.com/gomlx/compute"
	"github.com/gomlx/compute/dtypes"
	"github.com/gomlx/compute/shapes"
)

// TestInterfaceIsComplete goes through the methods of compute.Function: each is this backend's own, or refused with a reason.
func TestInterfaceIsComplete(t *testing.T) {
	own := reflect.TypeFor[*Function]()
	iface := reflect.TypeFor[compute.Function]()
	byName := map[string]compute.OpType{}
	for op := compute.OpTypeInvalid + 1; op < compute.OpTypeLast; op++ {
		byName[op.String()] = op
	}
	caps := newBackend(t, 1).Capabilities()
	if !caps.Functions {
		t.Error("functions are not offered")
	}
	for i := range iface.NumMethod() {
		name := iface.Method(i).Name
		m, _ := own.MethodByName(name)
		embedded := refuses(m)
		op, isOp := byName[name]
		switch {
		case !isOp && embedded:
			t.Errorf("method %s is not implemented", name)
		case isOp && embedded == caps.Operations[op]:
			t.Errorf("operation %s: implemented %v, offered %v", name, !embedded, caps.Operations[op])
		case isOp && embedded && refusedOps[op] == "":
			t.Errorf("operation %s is refused without a reason", name)
		}
		delete(byName, name)
	}
	for name, op := range byName { // parameters and the like, and operations that the interface does not have
		if reason := refusedOps[op]; reason != "" && reason != noMethod && reason != oneDevice {
			t.Errorf("operation %s has no method but is refused because %s", name, reason)
		}
	}
}

// refuses reports whether a method is that of the embedded struct, which refuses everything. Our own methods give up with
// other errors on a Function that has returned.
func refuses(m reflect.Method) (refused bool) {
	b := &Builder{}
	f := b.function("", nil)
	f.returned = true
	in := []reflect.Value{reflect.ValueOf(f)}
	for i := 1; i < m.Type.NumIn(); i++ {
		if m.Type.IsVariadic() && i == m.Type.NumIn()-1 {
			break
		}
		in = append(in, reflect.Zero(m.Type.In(i)))
	}
	_ = protect(func() error {
		out := m.Func.Call(in)
		err, ok := out[len(out)-1].Interface().(error)
		refused = ok && compute.IsNotImplemented(err)
		return nil
	})
	return refused
}

// TestBits compares operations on bits with package math/bits and with Go's own operators.
func TestBits(t *testing.T) {
	b := newBackend(t, 2)
	r := rand.New(rand.NewPCG(1, 41))
	x, y := array{[]int{300}, make([]float64, 300)}, array{[]int{300}, make([]float64, 300)}
	for i := range x.data {
		x.data[i], y.data[i] = float64(r.IntN(256)-128), float64(r.IntN(12)-2)
	}
	got := run(t, b, dtypes.Int8, func(f compute.Function, in []compute.Value) ([]compute.Value, error) {
		rec := record{t, f}
		return []compute.Value{rec.v(f.BitCount(in[0])), rec.v(f.Clz(in[0])), rec.v(f.ShiftLeft(in[0], in[1])), rec.v(f.ShiftRightArithmetic(in[0], in[1])),
			rec.v(f.ShiftRightLogical(in[0], in[1])), rec.v(f.ReduceBitwiseAnd(in[0])), rec.v(f.ReduceBitwiseOr(in[1])), rec.v(f.ReduceBitwiseXor(in[0], 0)), rec.v(f.Abs(in[0]))}, nil
	}, x, y)
	and, or, xor := int8(-1), int8(0), int8(0)
	for i := range x.data {
		v, k := int8(x.data[i]), uint64(int8(y.data[i]))
		and, or, xor = and&v, or|int8(y.data[i]), xor^v
		abs := v
		if v < 0 {
			abs = -v
		}
		for j, want := range []int8{int8(bits.OnesCount8(uint8(v))), int8(bits.LeadingZeros8(uint8(v))), v << k, v >> k, int8(uint8(v) >> k)} {
			if g := int8(got[j].data[i]); g != want {
				t.Fatalf("result %d of %d and %v: %d, want %d", j, v, y.data[i], g, want)
			}
		}
		if g := int8(got[8].data[i]); g != abs {
			t.Fatalf("|%d| = %d", v, g)
		}
	}
	for j, want := range []int8{and, or, xor} {
		if g := int8(got[5+j].data[0]); g != want {
			t.Errorf("reduction %d: %d, want %d", j, g, want)
		}
	}
	u := run(t, b, dtypes.Uint32, func(f compute.Function, in []compute.Value) ([]compute.Value, error) {
		rec := record{t, f}
		return []compute.Value{rec.v(f.Abs(in[0])), rec.v(f.ShiftRightArithmetic(in[0], in[1])), rec.v(f.Clz(in[0])), rec.v(f.Sign(in[0]))}, nil
	}, array{[]int{2}, []float64{1, 1 << 31}}, array{[]int{2}, []float64{0, 31}})
	for j, want := range [][]float64{{1, 1 << 31}, {1, math.MaxUint32}, {31, 0}, {1, 1}} {
		near(t, fmt.Sprint("unsigned ", j), u[j], array{[]int{2}, want}, 0)
	}
}

// TestTotalOrder compares all pairs of special values.
func TestTotalOrder(t *testing.T) {
	b := newBackend(t, 1)
	nan, inf, zero := math.NaN(), math.Inf(1), 0.0
	order := []float64{math.Copysign(nan, -1), -inf, -1, -zero * 1, 0, 1, inf, nan}
	order[3] = math.Copysign(0, -1)
	n := len(order)
	x, y := array{[]int{n * n}, nil}, array{[]int{n * n}, nil}
	for i := range n * n {
		x.data, y.data = append(x.data, order[i/n]), append(y.data, order[i%n])
	}
	for _, d := range []dtypes.DType{dtypes.Float32, dtypes.Float64, dtypes.Float16} {
		got := run(t, b, d, func(f compute.Function, in []compute.Value) ([]compute.Value, error) {
			r := record{t, f}
			return []compute.Value{r.v(f.EqualTotalOrder(in[0], in[1])), r.v(f.NotEqualTotalOrder(in[0], in[1])), r.v(f.LessThanTotalOrder(in[0], in[1])),
				r.v(f.LessOrEqualTotalOrder(in[0], in[1])), r.v(f.GreaterThanTotalOrder(in[0], in[1])), r.v(f.GreaterOrEqualTotalOrder(in[0], in[1]))}, nil
		}, x, y)
		for i := range n * n {
			a, c := i/n, i%n
			for j, want := range []bool{a == c, a != c, a < c, a <= c, a > c, a >= c} {
				if (got[j].data[i] == 1) != want {
					t.Errorf("%s: comparison %d of %v and %v is %v", d, j, order[a], order[c], got[j].data[i])
				}
			}
		}
	}
}

// TestBooleans covers reductions, comparisons and tests that are not arithmetic.
func TestBooleans(t *testing.T) {
	b := newBackend(t, 1)
	x := array{[]int{2, 3}, []float64{1, 0, 1, 1, 1, 1}}
	got := run(t, b, dtypes.Bool, func(f compute.Function, in []compute.Value) ([]compute.Value, error) {
		r := record{t, f}
		number := r.v(f.ConvertDType(in[0], dtypes.Int32))
		return []compute.Value{r.v(f.ReduceLogicalAnd(in[0], 1)), r.v(f.ReduceLogicalOr(in[0], 1)), r.v(f.ReduceLogicalXor(in[0], 1)), r.v(f.ReduceMax(in[0], 0)),
			r.v(f.ReduceMin(in[0], 0)), r.v(f.IsFinite(number)), r.v(f.IsNaN(number)), r.v(f.Equal(in[0], in[0]))}, nil
	}, x)
	for j, want := range []array{{[]int{2}, []float64{0, 1}}, {[]int{2}, []float64{1, 1}}, {[]int{2}, []float64{0, 1}}, {[]int{3}, []float64{1, 1, 1}},
		{[]int{3}, []float64{1, 0, 1}}, {x.dims, []float64{1, 1, 1, 1, 1, 1}}, {x.dims, make([]float64, 6)}, {x.dims, []float64{1, 1, 1, 1, 1, 1}}} {
		near(t, fmt.Sprint("result ", j), got[j], want, 0)
	}
}

// TestBatchNorm checks the three operations against their definitions, and the gradient against differences.
func TestBatchNorm(t *testing.T) {
	b := newBackend(t, 2)
	r := rand.New(rand.NewPCG(1, 42))
	const eps = 1e-3
	for axis, dims := range [][]int{{3, 4, 5}, {2, 6, 3}, {2, 5, 7}} {
		c := dims[axis]
		x, g := randomArray(r, dims...), randomArray(r, dims...)
		scale, offset := randomArray(r, c), randomArray(r, c)
		train := func(f compute.Function, in []compute.Value) ([]compute.Value, error) {
			y, m, v, err := f.BatchNormForTraining(in[0], in[1], in[2], eps, axis)
			return []compute.Value{y, m, v}, err
		}
		out := run(t, b, dtypes.Float64, train, x, scale, offset)
		n := float64(len(x.data) / c)
		mean, variance := make([]float64, c), make([]float64, c)
		channel := func(i int) int { return unflat(dims, i)[axis] }
		for i, v := range x.data {
			mean[channel(i)] += v / n
		}
		for i, v := range x.data {
			variance[channel(i)] += (v - mean[channel(i)]) * (v - mean[channel(i)]) / n
		}
		want := array{dims, make([]float64, len(x.data))}
		for i, v := range x.data {
			k := channel(i)
			want.data[i] = (v-mean[k])/math.Sqrt(variance[k]+float64(float32(eps)))*scale.data[k] + offset.data[k]
		}
		near(t, "normalised", out[0], want, 1e-12)
		near(t, "mean", out[1], array{[]int{c}, mean}, 1e-12)
		near(t, "variance", out[2], array{[]int{c}, variance}, 1e-12)
		infer := one(func(f compute.Function, in []compute.Value) (compute.Value, error) {
			return f.BatchNormForInference(in[0], in[1], in[2], in[3], in[4], eps, axis)
		})
		for d, tolerance := range map[dtypes.DType]float64{dtypes.Float64: 1e-12, dtypes.Float32: 1e-5, dtypes.BFloat16: 0.03} {
			near(t, "inference in "+d.String(), run(t, b, d, infer, x, scale, offset, out[1], out[2])[0], want, tolerance)
		}
		grads := run(t, b, dtypes.Float64, func(f compute.Function, in []compute.Value) ([]compute.Value, error) {
			dx, ds, do, err := f.BatchNormGradient(in[0], in[1], in[2], in[3], in[4], eps, axis)
			return []compute.Value{dx, ds, do}, err
		}, x, scale, out[1], out[2], g)
		loss := func(in ...array) (s float64) {
			for i, v := range run(t, b, dtypes.Float64, train, in...)[0].data {
				s += v * g.data[i]
			}
			return s
		}
		for j, a := range []array{x, scale, offset} {
			for i := range a.data {
				in := []array{x, scale, offset}
				step := func(h float64) float64 {
					in[j] = array{a.dims, slices.Clone(a.data)}
					in[j].data[i] += h
					return loss(in...)
				}
				const h = 1e-5
				if want := (step(h) - step(-h)) / (2 * h); math.Abs(grads[j].data[i]-want) > 1e-6*max(1, math.Abs(want)) {
					t.Fatalf("axis %d: gradient %d, element %d: %v, want %v", axis, j, i, grads[j].data[i], want)
				}
			}
		}
	}
}

// TestConvAny compares convolutions along three axes and with groups of batches with the definition.
func TestConvAny(t *testing.T) {
	b := newBackend(t, 2)
	for seed := range uint64(40) {
		r := rand.New(rand.NewPCG(seed, 43))
		n := 1 + r.IntN(3) // spatial axes
		groups, bGroups := 1, 1
		switch r.IntN(3) {
		case 0:
			groups = 2
		case 1:
			bGroups = 2
		}
		if n < 3 {
			groups, bGroups = 1, 2
		}
		a := compute.ConvolveAxesConfig{InputBatch: 0, InputChannels: n + 1, KernelInputChannels: n, KernelOutputChannels: n + 1, OutputBatch: 0, OutputChannels: 1}
		batch, cin, cout := 2*bGroups, 2*groups, 2*groups*bGroups
		x, w := []int{batch}, []int(nil)
		var strides, inD, dil []int
		var pads [][2]int
		for i := range n {
			a.InputSpatial, a.KernelSpatial, a.OutputSpatial = append(a.InputSpatial, 1+i), append(a.KernelSpatial, i), append(a.OutputSpatial, 2+i)
			x, w = append(x, 3+r.IntN(2)), append(w, 1+r.IntN(3))
			strides, inD, dil = append(strides, 1+r.IntN(2)), append(inD, 1+r.IntN(2)), append(dil, 1+r.IntN(2))
			pads = append(pads, [2]int{r.IntN(2), 2})
		}
		x, w = append(x, cin), append(w, cin/groups, cout)
		xs, ws := randomArray(r, x...), randomArray(r, w...)
		build := one(func(f compute.Function, in []compute.Value) (compute.Value, error) {
			axes := make([]int, n)
			for i := range axes {
				axes[i] = i
			}
			k, err := f.Reverse(in[1], axes...)
			if err != nil {
				return nil, err
			}
			return f.ConvGeneral(in[0], k, a, strides, pads, inD, dil, groups, bGroups)
		})
		got := run(t, b, dtypes.Float64, build, xs, ws)[0]
		want := array{got.dims, make([]float64, len(got.data))}
		for i := range want.data {
			at := unflat(got.dims, i)
			bo, o := at[0], at[1]
			for k := range ws.data {
				kw := unflat(w, k)
				if kw[n+1] != o {
					continue
				}
				from := append(make([]int, n+1), o/(cout/groups)*(cin/groups)+kw[n])
				from[0] = o/(cout/bGroups)*(batch/bGroups) + bo
				ok := true
				for s := range n {
					u := at[2+s]*strides[s] + (w[s]-1-kw[s])*dil[s] - pads[s][0]
					ok = ok && u >= 0 && u%inD[s] == 0 && u/inD[s] < x[1+s]
					from[1+s] = u / inD[s]
				}
				if ok {
					want.data[i] += xs.data[flat(x, from)] * ws.data[k]
				}
			}
		}
		what := fmt.Sprintf("seed %d: %v * %v, groups %d and %d", seed, x, w, groups, bGroups)
		near(t, what, got, want, 1e-12)
		near(t, what, run(t, b, dtypes.Float32, build, xs, ws)[0], want, 1e-5)
		near(t, what, run(t, b, dtypes.BFloat16, build, xs, ws)[0], want, 0.03) // operands of eight bits
	}
}

// TestRealParts of real numbers.
func TestRealParts(t *testing.T) {
	b := newBackend(t, 1)
	x := array{[]int{2}, []float64{3, -4}}
	got := run(t, b, dtypes.Float16, func(f compute.Function, in []compute.Value) ([]compute.Value, error) {
		r := record{t, f}
		return []compute.Value{r.v(f.Real(in[0])), r.v(f.Imag(in[0]))}, nil
	}, x)
	near(t, "real", got[0], x, 0)
	near(t, "imaginary", got[1], array{[]int{2}, make([]float64, 2)}, 0)
}

// TestFallback runs the one kind of operation that is left to GoMLX's Go backend: rows of a table in blocks of eight bits with a
// scale in half precision (GGML Q8_0: 2 bytes of scale, 32 numbers).
func TestFallback(t *testing.T) {
	b := newBackend(t, 1)
	table := make([]uint8, 2*34)
	for row := range 2 {
		table[34*row+1] = 0x38 + uint8(4*row) // 0.5 and 1 in float16
		for i := range 32 {
			table[34*row+2+i] = uint8(int8(i - 16))
		}
	}
	bld := b.Builder("fallback")
	f := bld.Main()
	r := record{t, f}
	data := r.v(f.Parameter("table", shapes.Make(dtypes.Uint8, 2, 34), nil))
	rows := r.v(f.Constant([]int32{1, 0, 1}, 3, 1))
	out := r.v(f.QuantizedEmbeddingLookup(data, rows, &compute.Quantization{Scheme: compute.QuantGGML, GGMLType: compute.GGMLQ8_0}))
	if err := f.Return([]compute.Value{out}, nil); err != nil {
		t.Fatal(err)
	}
	exe, err := bld.Compile()
	if err != nil {
		t.Fatal(err)
	}
	in, err := b.BufferFromFlatData(0, table, shapes.Make(dtypes.Uint8, 2, 34))
	if err != nil {
		t.Fatal(err)
	}
	bufs, err := exe.Execute([]compute.Buffer{in}, nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	got := read(bufs)[0]
	for i, v := range got.data {
		scale := []float64{1, 0.5, 1}[i/32]
		if want := scale * float64(i%32-16); v != want {
			t.Fatalf("element %d is %v, want %v", i, v, want)
		}
	}
	if n := b.Fallbacks()["QuantizedEmbeddingLookup"]; n != 1 {
		t.Errorf("fallbacks %v", b.Fallbacks())
	}
}
