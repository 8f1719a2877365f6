package cpu

import (
	"math"
	"unsafe"

	"github.com/gomlx/compute"
	"github.com/gomlx/compute/dtypes"

	"github.com/smalti/smalti/engine/cpu/ir"
)

// Operations on the bits of elements.

// width is the number of bits of a type.
func width[T integer]() int {
	var x T
	return 8 * int(unsafe.Sizeof(x))
}

// unsigned is x without its sign: its bits, with zeros above.
func unsigned[T integer](x T) uint64 { return uint64(x) & (math.MaxUint64 >> (64 - width[T]())) }

// signed reads the bits of x as a number with a sign.
func signed[T integer](x T) int64 {
	unused := 64 - width[T]()
	return int64(unsigned(x)<<unused) >> unused
}

func isBitwise(op compute.OpType) bool {
	switch op {
	case compute.OpTypeReduceLogicalXor, compute.OpTypeReduceBitwiseAnd, compute.OpTypeReduceBitwiseOr, compute.OpTypeReduceBitwiseXor:
		return true
	}
	return false
}

func makeReduceBits(c *compiler, n *ir.Node, d dtypes.DType) (func(f *frame), float64, error) {
	make := byType[func(c *compiler, n *ir.Node) func(f *frame)]{nil, nil, reduceBits[int8], reduceBits[int16], reduceBits[int32], reduceBits[int64],
		reduceBits[uint8], reduceBits[uint16], reduceBits[uint32], reduceBits[uint64]}
	return make.get(d)(c, n), float64(n.In[0].Size()), nil
}

func reduceBits[T integer](c *compiler, n *ir.Node) func(f *frame) {
	var start T
	combine := func(x, y T) T { return x ^ y }
	switch n.Op {
	case compute.OpTypeReduceBitwiseAnd:
		start, combine = ^start, func(x, y T) T { return x & y }
	case compute.OpTypeReduceBitwiseOr:
		combine = func(x, y T) T { return x | y }
	}
	return reduceSteps(c, n, func(f *frame, dst, src []T, r reduction) { foldLoop(f, start, combine, dst, src, r) })
}

// totalOrders are the comparisons of -NaN < -Inf < ... < -0 < +0 < ... < +Inf < +NaN, and their plain twins.
var totalOrders = map[compute.OpType]compute.OpType{
	compute.OpTypeEqualTotalOrder: compute.OpTypeEqual, compute.OpTypeLessThanTotalOrder: compute.OpTypeLessThan,
	compute.OpTypeLessOrEqualTotalOrder: compute.OpTypeLessOrEqual, compute.OpTypeGreaterThanTotalOrder: compute.OpTypeGreaterThan,
	compute.OpTypeGreaterOrEqualTotalOrder: compute.OpTypeGreaterOrEqual,
}

// ordinal is an integer that is ordered as the total order of floats.
func ordinal[T float](x T) int64 {
	b := int64(math.Float64bits(float64(x)))
	if b < 0 {
		b ^= math.MaxInt64
	}
	return b
}

// makeTotalOrder compiles a comparison of floats in total order.
func makeTotalOrder(c *compiler, n *ir.Node) (func(f *frame), float64, error) {
	if n.In[0].Shape.DType == dtypes.Float64 {
		return totalOrder[float64](c, n), float64(n.Size()), nil
	}
	return totalOrder[float32](c, n), float64(n.Size()), nil
}

func totalOrder[T float](c *compiler, n *ir.Node) func(f *frame) {
	holds := comparisonOf[int64](totalOrders[n.Op])
	return mapBinary(c, n, func(x, y T) bool { return holds(ordinal(x), ordinal(y)) })
}
