package cpu

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/gomlx/compute"
	"github.com/gomlx/compute/dtypes"
)

type unaryFloatOp struct {
	name string
	op   func(f compute.Function, x compute.Value) (compute.Value, error)
	want func(x float64) float64
}

var unaryFloats = []unaryFloatOp{
	{"Abs", compute.Function.Abs, math.Abs}, {"Neg", compute.Function.Neg, func(x float64) float64 { return -x }}, {"Sign", compute.Function.Sign, doubleFuncs[compute.OpTypeSign]},
	{"Ceil", compute.Function.Ceil, math.Ceil}, {"Floor", compute.Function.Floor, math.Floor}, {"Round", compute.Function.Round, math.RoundToEven},
	{"Cos", compute.Function.Cos, math.Cos}, {"Sin", compute.Function.Sin, math.Sin}, {"Erf", compute.Function.Erf, math.Erf}, {"Exp", compute.Function.Exp, math.Exp},
	{"Expm1", compute.Function.Expm1, math.Expm1}, {"Log", compute.Function.Log, math.Log}, {"Log1p", compute.Function.Log1p, math.Log1p},
	{"Sqrt", compute.Function.Sqrt, math.Sqrt}, {"Rsqrt", compute.Function.Rsqrt, func(x float64) float64 { return 1 / math.Sqrt(x) }},
	{"Tanh", compute.Function.Tanh, math.Tanh}, {"Logistic", compute.Function.Logistic, func(x float64) float64 { return 1 / (1 + math.Exp(-x)) }},
}

type binaryFloatOp struct {
	name string
	op   func(f compute.Function, x, y compute.Value) (compute.Value, error)
	want func(x, y float64) float64
}

var binaryFloats = []binaryFloatOp{
	{"Add", compute.Function.Add, func(x, y float64) float64 { return x + y }}, {"Sub", compute.Function.Sub, func(x, y float64) float64 { return x - y }},
	{"Mul", compute.Function.Mul, func(x, y float64) float64 { return x * y }}, {"Div", compute.Function.Div, func(x, y float64) float64 { return x / y }},
	{"Max", compute.Function.Max, func(x, y float64) float64 { return max(x, y) }}, {"Min", compute.Function.Min, func(x, y float64) float64 { return min(x, y) }},
	{"Pow", compute.Function.Pow, math.Pow}, {"Rem", compute.Function.Rem, math.Mod}, {"Atan2", compute.Function.Atan2, math.Atan2},
}

// floatTypes have the error that one rounding to them makes, relative, and the smallest and largest normal number. Bounds of functions are two
// of these roundings of float32 beside: kernels are right to 2 units.
var floatTypes = []struct {
	d                    dtypes.DType
	rounding, small, big float64
}{{dtypes.Float64, 0x1p-50, 0x1p-1022, math.MaxFloat64}, {dtypes.Float32, 0x1p-22, 0x1p-126, math.MaxFloat32},
	{dtypes.BFloat16, 0x1p-8, 0x1p-126, 0x1.fep127}, {dtypes.Float16, 0x1p-11, 0x1p-14, 65504}}

// sameFloat compares a result with the exact value, allowing what the type cannot hold: overflow and underflow.
func sameFloat(got, want, rounding, small, big float64) bool {
	switch {
	case math.IsNaN(want):
		return math.IsNaN(got)
	case got == want:
		return true
	case math.Abs(want) >= big*(1-rounding): // rounds to infinity, or nearly
		return math.IsInf(got, int(math.Copysign(1, want))) || math.Abs(got) >= big*(1-2*rounding) && got*want > 0
	case math.Abs(want) < small:
		return math.Abs(got-want) <= small
	}
	return math.Abs(got-want) <= rounding*math.Abs(want)+4*small*rounding
}

// TestFloatTypes runs every elementwise operation in every float type, at lengths that no vector divides, on numbers and on
// infinities, NaN and zeros of both signs.
func TestFloatTypes(t *testing.T) {
	b := newBackend(t, 2)
	r := rand.New(rand.NewPCG(1, 61))
	nan, inf := math.NaN(), math.Inf(1)
	special := []float64{nan, inf, -inf, 0, math.Copysign(0, -1), 1, -1, 2.5, -2.5, 0.5, 1e30, -1e30, 1e-30}
	x, y := array{data: nil}, array{data: nil}
	for _, a := range special {
		for _, c := range special {
			x.data, y.data = append(x.data, a), append(y.data, c)
		}
	}
	for len(x.data) < 1037 {
		x.data, y.data = append(x.data, 3*r.NormFloat64()), append(y.data, 3*r.NormFloat64())
	}
	x.dims, y.dims = []int{len(x.data)}, []int{len(y.data)}
	for _, ft := range floatTypes {
		held := run(t, b, ft.d, func(_ compute.Function, in []compute.Value) ([]compute.Value, error) { return in, nil }, x, y) // as the type has them
		for _, u := range unaryFloats {
			got := run(t, b, ft.d, one(func(f compute.Function, in []compute.Value) (compute.Value, error) { return u.op(f, in[0]) }), x)[0]
			for i, v := range held[0].data {
				if (u.name == "Sin" || u.name == "Cos") && math.Abs(v) > 1e4 && ft.d != dtypes.Float64 {
					continue // float32's reduction of the angle is not made for them
				}
				if want := u.want(v); !sameFloat(got.data[i], want, ft.rounding, ft.small, ft.big) && !(math.Abs(got.data[i]-want) < 2*ft.rounding && (u.name == "Sin" || u.name == "Cos")) {
					t.Errorf("%s of %v in %s is %v, want %v", u.name, v, ft.d, got.data[i], want)
				}
			}
		}
		for _, o := range binaryFloats {
			got := run(t, b, ft.d, one(func(f compute.Function, in []compute.Value) (compute.Value, error) { return o.op(f, in[0], in[1]) }), x, y)[0]
			for i, v := range held[0].data {
				w := held[1].data[i]
				rounding := ft.rounding
				if o.name == "Pow" && ft.d == dtypes.Float32 {
					rounding = 0x1p-19 // the exponent is rounded before it is raised
				}
				if want := o.want(v, w); !sameFloat(got.data[i], want, rounding, ft.small, ft.big) {
					t.Errorf("%s of %v and %v in %s is %v, want %v", o.name, v, w, ft.d, got.data[i], want)
				}
			}
		}
	}
}

// TestIntegerTypes runs arithmetic in every integer type, with what overflows, against Go's own.
func TestIntegerTypes(t *testing.T) {
	b := newBackend(t, 2)
	wrap := map[dtypes.DType]func(v int64) float64{
		dtypes.Int8: func(v int64) float64 { return float64(int8(v)) }, dtypes.Int16: func(v int64) float64 { return float64(int16(v)) },
		dtypes.Int32: func(v int64) float64 { return float64(int32(v)) }, dtypes.Int64: func(v int64) float64 { return float64(v) },
		dtypes.Uint8: func(v int64) float64 { return float64(uint8(v)) }, dtypes.Uint16: func(v int64) float64 { return float64(uint16(v)) },
		dtypes.Uint32: func(v int64) float64 { return float64(uint32(v)) }, dtypes.Uint64: func(v int64) float64 { return float64(uint64(v)) },
	}
	for d, w := range wrap {
		r := rand.New(rand.NewPCG(uint64(d), 62))
		x, y := array{[]int{3, 67}, make([]float64, 201)}, array{[]int{3, 67}, make([]float64, 201)}
		for i := range x.data {
			x.data[i], y.data[i] = float64(r.IntN(100)), float64(1+r.IntN(100))
			if d == dtypes.Int8 || d == dtypes.Int16 || d == dtypes.Int32 {
				x.data[i] -= 50
			}
		}
		got := run(t, b, d, func(f compute.Function, in []compute.Value) ([]compute.Value, error) {
			rec := record{t, f}
			return []compute.Value{rec.v(f.Add(in[0], in[1])), rec.v(f.Sub(in[0], in[1])), rec.v(f.Mul(in[0], in[1])), rec.v(f.Div(in[0], in[1])), rec.v(f.Rem(in[0], in[1])),
				rec.v(f.Max(in[0], in[1])), rec.v(f.Min(in[0], in[1])), rec.v(f.ReduceSum(in[0], 1)), rec.v(f.DotGeneral(in[0], []int{1}, nil, in[1], []int{1}, nil, compute.DotGeneralConfig{}))}, nil
		}, x, y)
		var sums, dots [9]int64
		for i := range x.data {
			p, q := int64(x.data[i]), int64(y.data[i])
			for j, v := range []int64{p + q, p - q, p * q, p / q, p % q, max(p, q), min(p, q)} {
				if want := w(v); d != dtypes.Uint64 && got[j].data[i] != want {
					t.Fatalf("%s: operation %d of %d and %d is %v, want %v", d, j, p, q, got[j].data[i], want)
				}
			}
			sums[i/67] += p
		}
		for i := range 3 {
			if want := w(sums[i]); got[7].data[i] != want {
				t.Errorf("%s: sum %d is %v, want %v", d, i, got[7].data[i], want)
			}
			for j := range 3 {
				for k := range 67 {
					dots[3*i+j] += int64(x.data[67*i+k]) * int64(y.data[67*j+k])
				}
				if want := w(dots[3*i+j]); got[8].data[3*i+j] != want {
					t.Errorf("%s: product %d,%d is %v, want %v", d, i, j, got[8].data[3*i+j], want)
				}
			}
		}
	}
}

// TestEveryLength runs a cluster, reductions, a product and a transposition on every length up to 70 in float32 against float64.
func TestEveryLength(t *testing.T) {
	b := newBackend(t, 2)
	for n := 1; n <= 70; n++ {
		r := rand.New(rand.NewPCG(uint64(n), 63))
		both(t, b, fmt.Sprint("length ", n), 1e-5, func(f compute.Function, in []compute.Value) ([]compute.Value, error) {
			rec := record{t, f}
			cluster := rec.v(f.Mul(rec.v(f.Tanh(rec.v(f.Add(in[0], in[1])))), rec.v(f.Logistic(in[0]))))
			return []compute.Value{cluster, rec.v(f.ReduceSum(cluster, 0)), rec.v(f.ReduceMax(cluster, 1)), rec.v(f.Transpose(cluster, 1, 0)),
				rec.v(f.DotGeneral(in[0], []int{1}, nil, in[2], []int{1}, nil, compute.DotGeneralConfig{}))}, nil
		}, randomArray(r, 5, n), randomArray(r, 1, n), randomArray(r, n, n))
	}
}

// TestNothing runs operations on arrays without elements: the results are empty, or the neutral element.
func TestNothing(t *testing.T) {
	b := newBackend(t, 2)
	empty, row, kernel, picture := array{dims: []int{0, 3}}, array{[]int{3}, []float64{1, 2, 3}}, array{dims: []int{3, 3, 2, 0}}, array{dims: []int{0, 5, 5, 2}}
	for _, d := range []dtypes.DType{dtypes.Float32, dtypes.Float64, dtypes.BFloat16, dtypes.Int32} {
		got := run(t, b, d, func(f compute.Function, in []compute.Value) ([]compute.Value, error) {
			rec := record{t, f}
			none := rec.v(f.Constant([]int32{}, 0, 1))
			zero := rec.v(f.Reshape(rec.v(f.Slice(in[1], []int{0}, []int{1}, nil))))
			axes := compute.ConvolveAxesConfig{InputBatch: 0, InputSpatial: []int{1, 2}, InputChannels: 3, KernelSpatial: []int{0, 1}, KernelInputChannels: 2,
				KernelOutputChannels: 3, OutputBatch: 0, OutputSpatial: []int{1, 2}, OutputChannels: 3}
			one := rec.v(f.Pad(in[2], zero, compute.PadAxis{}, compute.PadAxis{}, compute.PadAxis{}, compute.PadAxis{End: 4})) // [3,3,2,4]
			full := rec.v(f.Pad(in[3], zero, compute.PadAxis{End: 1}, compute.PadAxis{}, compute.PadAxis{}, compute.PadAxis{}))
			return []compute.Value{
				rec.v(f.ReduceSum(in[0], 0)), rec.v(f.ReduceProduct(in[0], 0)), // [3] of neutral elements
				rec.v(f.Gather(in[1], none, 1, nil, []int{0}, []int{0}, []int{1}, false)),                                       // [0]
				rec.v(f.ScatterSum(in[1], none, rec.v(f.ReduceSum(in[0], 1)), 1, nil, []int{0}, []int{0}, false, false)),        // the operand
				rec.v(f.ConvGeneral(in[3], one, axes, nil, nil, nil, nil, 1, 1)),                                                // no pictures
				rec.v(f.ConvGeneral(full, in[2], axes, nil, nil, nil, nil, 1, 1)),                                               // no channels
				rec.v(f.ReduceWindow(in[0], compute.ReduceOpSum, []int{2, 1}, []int{1, 1}, nil, nil, [][2]int{{2, 1}, {0, 0}})), // [2,3] of zeros
				rec.v(f.Reverse(in[0], 0)), rec.v(f.ConvertDType(in[0], dtypes.Float64)), rec.v(f.Where(rec.v(f.Equal(in[0], in[0])), in[0], in[0])),
				rec.v(f.BroadcastInDim(in[0], rec.shape(in[0], 2, 0, 3), []int{1, 2})), rec.v(f.ArgMinMax(in[0], 1, dtypes.Int32, true)),
			}, nil
		}, empty, row, kernel, picture)
		for i, want := range []array{{[]int{3}, []float64{0, 0, 0}}, {[]int{3}, []float64{1, 1, 1}}, {dims: []int{0}}, row, {dims: []int{0, 3, 3, 4}}, {dims: []int{1, 3, 3, 0}},
			{[]int{2, 3}, make([]float64, 6)}, {dims: []int{0, 3}}, {dims: []int{0, 3}}, {dims: []int{0, 3}}, {dims: []int{2, 0, 3}}, {dims: []int{0}}} {
			near(t, fmt.Sprintf("%s: result %d", d, i), got[i], want, 0)
		}
	}
}
