package cpu

import (
	"math"
	"math/bits"

	"github.com/gomlx/compute"
	"github.com/gomlx/compute/dtypes"

	"github.com/smalti/smalti/engine/cpu/ir"
)

// Elementwise operations outside of clusters: all types but float32, and what clusters leave out. Plain loops over
// functions of one element.

type integer interface {
	~int8 | ~int16 | ~int32 | ~int64 | ~uint8 | ~uint16 | ~uint32 | ~uint64
}

type float interface{ ~float32 | ~float64 }

type number interface{ integer | float }

// kinds are sets of types.
type kinds uint8

const (
	ints kinds = 1 << iota
	double
	single
	boolean
)

func kindOf(d dtypes.DType) kinds {
	switch {
	case d == dtypes.Float32:
		return single
	case d == dtypes.Float64:
		return double
	case d == dtypes.Bool:
		return boolean
	case isNumber(d):
		return ints
	}
	return 0
}

// unaryTypes and binaryTypes say for which types operations exist here (in clusters: float32 and bool).
var unaryTypes = map[compute.OpType]kinds{
	compute.OpTypeAbs: ints | double | single, compute.OpTypeNeg: ints | double | single, compute.OpTypeSign: ints | double | single,
	compute.OpTypeBitwiseNot: ints, compute.OpTypeBitCount: ints, compute.OpTypeClz: ints, compute.OpTypeLogicalNot: boolean,
	compute.OpTypeCeil: double | single, compute.OpTypeCos: double | single, compute.OpTypeErf: double | single, compute.OpTypeExp: double | single,
	compute.OpTypeExpm1: double | single, compute.OpTypeFloor: double | single, compute.OpTypeLog: double | single,
	compute.OpTypeLog1p: double | single, compute.OpTypeLogistic: double | single, compute.OpTypeRound: double | single,
	compute.OpTypeRsqrt: double | single, compute.OpTypeSin: double | single, compute.OpTypeSqrt: double | single, compute.OpTypeTanh: double | single,
}

var binaryTypes = map[compute.OpType]kinds{
	compute.OpTypeAdd: ints | double | single, compute.OpTypeSub: ints | double | single, compute.OpTypeMul: ints | double | single,
	compute.OpTypeDiv: ints | double | single, compute.OpTypeMax: ints | double | single, compute.OpTypeMin: ints | double | single,
	compute.OpTypePow: ints | double | single, compute.OpTypeRem: ints | double | single, compute.OpTypeAtan2: double | single,
	compute.OpTypeBitwiseAnd: ints, compute.OpTypeBitwiseOr: ints, compute.OpTypeBitwiseXor: ints,
	compute.OpTypeShiftLeft: ints, compute.OpTypeShiftRightArithmetic: ints, compute.OpTypeShiftRightLogical: ints,
	compute.OpTypeLogicalAnd: boolean, compute.OpTypeLogicalOr: boolean, compute.OpTypeLogicalXor: boolean,
}

func unaryNative(op compute.OpType, d dtypes.DType) bool { return unaryTypes[op]&kindOf(d) != 0 }

func binaryNative(op compute.OpType, d dtypes.DType) bool { return binaryTypes[op]&kindOf(d) != 0 }

// byType calls the instance of a generic function for a type.
type byType[F any] struct {
	f32, f64, i8, i16, i32, i64, u8, u16, u32, u64 F
}

func (t byType[F]) get(d dtypes.DType) F {
	switch d {
	case dtypes.Float32:
		return t.f32
	case dtypes.Float64:
		return t.f64
	case dtypes.Int8:
		return t.i8
	case dtypes.Int16:
		return t.i16
	case dtypes.Int32:
		return t.i32
	case dtypes.Int64:
		return t.i64
	case dtypes.Uint8:
		return t.u8
	case dtypes.Uint16:
		return t.u16
	case dtypes.Uint32:
		return t.u32
	}
	return t.u64
}

func makeUnary(c *compiler, n *ir.Node) (func(f *frame), float64, error) {
	make := byType[func(c *compiler, n *ir.Node) func(f *frame)]{unaryFloat[float32], unaryFloat[float64], unaryInt[int8], unaryInt[int16],
		unaryInt[int32], unaryInt[int64], unaryInt[uint8], unaryInt[uint16], unaryInt[uint32], unaryInt[uint64]}
	return make.get(n.Shape.DType)(c, n), float64(n.Size()), nil
}

func unaryInt[T integer](c *compiler, n *ir.Node) func(f *frame) {
	switch n.Op {
	case compute.OpTypeAbs:
		return mapUnary(c, n, func(x T) T {
			if x < 0 { // never of an unsigned type
				return -x
			}
			return x
		})
	case compute.OpTypeBitCount:
		return mapUnary(c, n, func(x T) T { return T(bits.OnesCount64(unsigned(x))) })
	case compute.OpTypeClz:
		return mapUnary(c, n, func(x T) T { return T(width[T]() - bits.Len64(unsigned(x))) })
	case compute.OpTypeNeg:
		return mapUnary(c, n, func(x T) T { return -x })
	case compute.OpTypeBitwiseNot:
		return mapUnary(c, n, func(x T) T { return ^x })
	}
	return mapUnary(c, n, func(x T) T { // Sign
		switch {
		case x > 0:
			return 1
		case x == 0:
			return 0
		}
		var one T = 1
		return -one
	})
}

var doubleFuncs = map[compute.OpType]func(float64) float64{
	compute.OpTypeAbs: math.Abs, compute.OpTypeNeg: func(x float64) float64 { return -x }, compute.OpTypeCeil: math.Ceil, compute.OpTypeCos: math.Cos,
	compute.OpTypeErf: math.Erf, compute.OpTypeExp: math.Exp, compute.OpTypeExpm1: math.Expm1, compute.OpTypeFloor: math.Floor,
	compute.OpTypeLog: math.Log, compute.OpTypeLog1p: math.Log1p, compute.OpTypeRound: math.RoundToEven, compute.OpTypeSin: math.Sin,
	compute.OpTypeSqrt: math.Sqrt, compute.OpTypeTanh: math.Tanh, compute.OpTypeRsqrt: func(x float64) float64 { return 1 / math.Sqrt(x) },
	compute.OpTypeLogistic: func(x float64) float64 { return 1 / (1 + math.Exp(-x)) },
	compute.OpTypeSign: func(x float64) float64 {
		switch {
		case x > 0:
			return 1
		case x < 0:
			return -1
		}
		return x
	},
}

func unaryFloat[T float](c *compiler, n *ir.Node) func(f *frame) {
	g := doubleFuncs[n.Op]
	return mapUnary(c, n, func(x T) T { return T(g(float64(x))) })
}

func mapUnary[S, D any](c *compiler, n *ir.Node, g func(x S) D) func(f *frame) {
	dst, src := c.slot(n), c.slot(n.In[0])
	return func(f *frame) {
		d, s := view[D](f.slots[dst]), view[S](f.slots[src])
		f.b.pool.Run(len(d), 4<<10, func(lo, hi int) {
			s, d := s[lo:hi], d[lo:hi]
			for i, x := range s {
				d[i] = g(x)
			}
		})
	}
}

func makeBinary(c *compiler, n *ir.Node) (func(f *frame), float64, error) {
	make := byType[func(c *compiler, n *ir.Node) func(f *frame)]{binaryFloat[float32], binaryFloat[float64], binaryInt[int8], binaryInt[int16],
		binaryInt[int32], binaryInt[int64], binaryInt[uint8], binaryInt[uint16], binaryInt[uint32], binaryInt[uint64]}
	return make.get(n.Shape.DType)(c, n), float64(n.Size()), nil
}

func binaryNumber[T number](op compute.OpType) func(x, y T) T {
	switch op {
	case compute.OpTypeAdd:
		return func(x, y T) T { return x + y }
	case compute.OpTypeSub:
		return func(x, y T) T { return x - y }
	case compute.OpTypeMul:
		return func(x, y T) T { return x * y }
	case compute.OpTypeDiv:
		return func(x, y T) T { return x / y }
	case compute.OpTypeMax:
		return func(x, y T) T { return max(x, y) }
	case compute.OpTypeMin:
		return func(x, y T) T { return min(x, y) }
	}
	return nil
}

func binaryFloat[T float](c *compiler, n *ir.Node) func(f *frame) {
	g := binaryNumber[T](n.Op)
	switch n.Op {
	case compute.OpTypePow:
		g = func(x, y T) T { return T(math.Pow(float64(x), float64(y))) }
	case compute.OpTypeRem:
		g = func(x, y T) T { return T(math.Mod(float64(x), float64(y))) }
	case compute.OpTypeAtan2:
		g = func(x, y T) T { return T(math.Atan2(float64(x), float64(y))) }
	}
	return mapBinary(c, n, g)
}

func binaryInt[T integer](c *compiler, n *ir.Node) func(f *frame) {
	g := binaryNumber[T](n.Op)
	switch n.Op {
	case compute.OpTypePow:
		g = power[T]
	case compute.OpTypeRem:
		g = func(x, y T) T { return x % y }
	case compute.OpTypeBitwiseAnd:
		g = func(x, y T) T { return x & y }
	case compute.OpTypeBitwiseOr:
		g = func(x, y T) T { return x | y }
	case compute.OpTypeBitwiseXor:
		g = func(x, y T) T { return x ^ y }
	case compute.OpTypeShiftLeft: // by the width or more, or by a negative number: nothing is left
		g = func(x, y T) T { return x << uint64(y) }
	case compute.OpTypeShiftRightArithmetic:
		g = func(x, y T) T { return T(signed(x) >> uint64(y)) }
	case compute.OpTypeShiftRightLogical:
		g = func(x, y T) T { return T(unsigned(x) >> uint64(y)) }
	}
	return mapBinary(c, n, g)
}

// power is x^y by squaring; negative exponents give 0, except of 1 and -1.
func power[T integer](x, y T) T {
	var one T = 1
	if y < 0 {
		switch x {
		case one:
			return one
		case -one:
			if y&1 == 0 {
				return one
			}
			return x
		}
		return 0
	}
	r := one
	for ; y > 0; y >>= 1 {
		if y&1 == 1 {
			r *= x
		}
		x *= x
	}
	return r
}

// mapBinary compiles a function of two elements, which may be of another type than the result.
func mapBinary[S, D any](c *compiler, n *ir.Node, g func(x, y S) D) func(f *frame) {
	dims := n.Shape.Dimensions
	t := newNest(dims, contiguous(dims), broadcastStrides(n.In[0].Shape.Dimensions, dims), broadcastStrides(n.In[1].Shape.Dimensions, dims))
	dst, left, right := c.slot(n), c.slot(n.In[0]), c.slot(n.In[1])
	inner, sx, sy := t.inner(), t.stride(1), t.stride(2)
	return func(f *frame) {
		d, x, y := view[D](f.slots[dst]), view[S](f.slots[left]), view[S](f.slots[right])
		if t.rows() == 1 {
			f.b.pool.Run(inner, 4<<10, func(lo, hi int) {
				for i := lo; i < hi; i++ {
					d[i] = g(x[i*sx], y[i*sy])
				}
			})
			return
		}
		f.b.pool.Run(t.rows(), max(1, rowGrain(inner)/4), func(lo, hi int) {
			t.run(lo, hi, func(at []int) {
				d, x, y := d[at[0]:][:inner], x[at[1]:], y[at[2]:]
				for i := range d {
					d[i] = g(x[i*sx], y[i*sy])
				}
			})
		})
	}
}

func makeCompare(c *compiler, n *ir.Node) (func(f *frame), float64, error) {
	d := n.In[0].Shape.DType
	if d == dtypes.Bool {
		d = dtypes.Uint8
	}
	make := byType[func(c *compiler, n *ir.Node) func(f *frame)]{compare[float32], compare[float64], compare[int8], compare[int16],
		compare[int32], compare[int64], compare[uint8], compare[uint16], compare[uint32], compare[uint64]}
	return make.get(d)(c, n), float64(n.Size()), nil
}

func compare[T number](c *compiler, n *ir.Node) func(f *frame) {
	return mapBinary(c, n, comparisonOf[T](n.Op))
}

func comparisonOf[T number](op compute.OpType) func(x, y T) bool {
	switch op {
	case compute.OpTypeEqual:
		return func(x, y T) bool { return x == y }
	case compute.OpTypeNotEqual:
		return func(x, y T) bool { return x != y }
	case compute.OpTypeLessThan:
		return func(x, y T) bool { return x < y }
	case compute.OpTypeLessOrEqual:
		return func(x, y T) bool { return x <= y }
	case compute.OpTypeGreaterThan:
		return func(x, y T) bool { return x > y }
	}
	return func(x, y T) bool { return x >= y }
}

func makeIsSpecial(c *compiler, n *ir.Node) (func(f *frame), float64, error) {
	if n.In[0].Shape.DType == dtypes.Float64 {
		return isSpecial[float64](c, n), float64(n.Size()), nil
	}
	return isSpecial[float32](c, n), float64(n.Size()), nil
}

func isSpecial[T float](c *compiler, n *ir.Node) func(f *frame) {
	if n.Op == compute.OpTypeIsNaN {
		return mapUnary(c, n, func(x T) bool { return x != x })
	}
	return mapUnary(c, n, func(x T) bool { return x-x == 0 })
}

// makeWhere compiles a selection by the size of an element.
func makeWhere(c *compiler, n *ir.Node) (func(f *frame), float64, error) {
	var run func(f *frame)
	switch elementSize(n) {
	case 1:
		run = where[uint8](c, n)
	case 2:
		run = where[uint16](c, n)
	case 4:
		run = where[uint32](c, n)
	default:
		run = where[uint64](c, n)
	}
	return run, float64(n.Size()), nil
}

func where[T any](c *compiler, n *ir.Node) func(f *frame) {
	dims := n.Shape.Dimensions
	strides := [][]int{contiguous(dims)}
	slots := []int{c.slot(n)}
	for _, in := range n.In {
		strides = append(strides, broadcastStrides(in.Shape.Dimensions, dims))
		slots = append(slots, c.slot(in))
	}
	t := newNest(dims, strides...)
	inner, sc, sx, sy := t.inner(), t.stride(1), t.stride(2), t.stride(3)
	return func(f *frame) {
		d, cond := view[T](f.slots[slots[0]]), view[bool](f.slots[slots[1]])
		x, y := view[T](f.slots[slots[2]]), view[T](f.slots[slots[3]])
		f.b.pool.Run(t.rows(), max(1, rowGrain(inner)/4), func(lo, hi int) {
			t.run(lo, hi, func(at []int) {
				d, cond, x, y := d[at[0]:][:inner], cond[at[1]:], x[at[2]:], y[at[3]:]
				for i := range d {
					if cond[i*sc] {
						d[i] = x[i*sx]
					} else {
						d[i] = y[i*sy]
					}
				}
			})
		})
	}
}
