package cpu

import (
	"sync"

	"github.com/gomlx/compute"
	"github.com/gomlx/compute/gobackend"
	"github.com/gomlx/compute/shapes"
	"github.com/pkg/errors"

	"github.com/smalti/smalti/engine/cpu/ir"
)

// An operation that this backend lacks is built as a graph of that one operation on GoMLX's Go backend, which runs it
// on copies of its operands. Backend.Fallbacks counts them.

// innerBackend is the Go backend, with operations one after the other: in parallel it can deadlock.
var innerBackend = sync.OnceValues(func() (compute.Backend, error) { return gobackend.New("ops_sequential") })

// fallback is the attribute of an ir.OpFallback node: result out of a compiled graph.
type fallback struct {
	name string
	exe  compute.Executable
	in   []shapes.Shape
	out  int
	mu   *sync.Mutex
}

// String names the operation.
func (f *fallback) String() string { return f.name }

type buildFallback func(g compute.Function, in []compute.Value) ([]compute.Value, error)

// fallback records an operation for the Go backend.
func (f *Function) fallback(name string, in []*ir.Node, build buildFallback) ([]compute.Value, error) {
	inner, err := innerBackend()
	if err != nil {
		return nil, err
	}
	b := inner.Builder("fallback " + name)
	g := b.Main()
	fb := fallback{name: name, mu: &sync.Mutex{}}
	params := make([]compute.Value, len(in))
	for i, n := range in {
		if params[i], err = g.Parameter("p"+string(rune('a'+i)), n.Shape, nil); err != nil {
			return nil, err
		}
		fb.in = append(fb.in, n.Shape)
	}
	outs, err := build(g, params)
	if err != nil {
		return nil, err
	}
	if err := g.Return(outs, nil); err != nil {
		return nil, err
	}
	if fb.exe, err = b.Compile(); err != nil {
		return nil, err
	}
	var values []compute.Value
	for i, s := range fb.exe.Outputs() {
		if err := checkShape(s); err != nil {
			return nil, err
		}
		one := fb
		one.out = i
		values = append(values, f.g.AddUnique(ir.OpFallback, s, &one, in...))
	}
	return values, nil
}

// fallback1 is fallback for operations of one result.
func (f *Function) fallback1(name string, in []*ir.Node, build func(g compute.Function, in []compute.Value) (compute.Value, error)) (compute.Value, error) {
	vs, err := f.fallback(name, in, func(g compute.Function, in []compute.Value) ([]compute.Value, error) {
		v, err := build(g, in)
		return []compute.Value{v}, err
	})
	if err != nil {
		return nil, err
	}
	return vs[0], nil
}

// run executes the graph on operands in memory and writes its result to dst.
func (fb *fallback) run(dst []byte, in [][]byte) error {
	inner, err := innerBackend()
	if err != nil {
		return err
	}
	fb.mu.Lock()
	defer fb.mu.Unlock()
	bufs, donate := make([]compute.Buffer, len(in)), make([]bool, len(in))
	for i, mem := range in {
		flat := shapes.UnsafeSliceForDType(fb.in[i].DType, pointer(mem), fb.in[i].Size())
		if bufs[i], err = inner.BufferFromFlatData(0, flat, fb.in[i]); err != nil {
			return err
		}
		donate[i] = true
	}
	outs, err := fb.exe.Execute(bufs, donate, 0)
	if err != nil {
		return err
	}
	s := fb.exe.Outputs()[fb.out]
	err = outs[fb.out].ToFlatData(shapes.UnsafeSliceForDType(s.DType, pointer(dst), s.Size()))
	for _, o := range outs {
		_ = o.Finalize()
	}
	return err
}

func (f *Function) fallbackUnary(op compute.OpType, x *ir.Node) (compute.Value, error) {
	build, ok := fallbackUnaries[op]
	if !ok {
		return nil, notImplemented(op)
	}
	return f.fallback1(op.String(), []*ir.Node{x}, func(g compute.Function, in []compute.Value) (compute.Value, error) { return build(g, in[0]) })
}

func (f *Function) fallbackBinary(op compute.OpType, x, y *ir.Node) (compute.Value, error) {
	build, ok := fallbackBinaries[op]
	if !ok {
		return nil, notImplemented(op)
	}
	return f.fallback1(op.String(), []*ir.Node{x, y}, func(g compute.Function, in []compute.Value) (compute.Value, error) {
		return build(g, in[0], in[1])
	})
}

// DynamicSlice falls back.
func (f *Function) DynamicSlice(operand compute.Value, starts []compute.Value, dims []int) (compute.Value, error) {
	ns, err := f.nodes(append([]compute.Value{operand}, starts...)...)
	if err != nil {
		return nil, err
	}
	return f.fallback1("DynamicSlice", ns, func(g compute.Function, in []compute.Value) (compute.Value, error) {
		return g.DynamicSlice(in[0], in[1:], dims)
	})
}

// DynamicUpdateSlice falls back.
func (f *Function) DynamicUpdateSlice(operand, update compute.Value, starts []compute.Value) (compute.Value, error) {
	ns, err := f.nodes(append([]compute.Value{operand, update}, starts...)...)
	if err != nil {
		return nil, err
	}
	return f.fallback1("DynamicUpdateSlice", ns, func(g compute.Function, in []compute.Value) (compute.Value, error) {
		return g.DynamicUpdateSlice(in[0], in[1], in[2:])
	})
}

// ReduceWindow falls back.
func (f *Function) ReduceWindow(v compute.Value, kind compute.ReduceOpType, window, strides, inDilate, dilate []int, pads [][2]int) (compute.Value, error) {
	ns, err := f.nodes(v)
	if err != nil {
		return nil, err
	}
	return f.fallback1("ReduceWindow", ns, func(g compute.Function, in []compute.Value) (compute.Value, error) {
		return g.ReduceWindow(in[0], kind, window, strides, inDilate, dilate, pads)
	})
}

// SelectAndScatterMax falls back.
func (f *Function) SelectAndScatterMax(operand, source compute.Value, window, strides []int, pads [][2]int) (compute.Value, error) {
	return f.selectAndScatter("SelectAndScatterMax", compute.Function.SelectAndScatterMax, operand, source, window, strides, pads)
}

// SelectAndScatterMin falls back.
func (f *Function) SelectAndScatterMin(operand, source compute.Value, window, strides []int, pads [][2]int) (compute.Value, error) {
	return f.selectAndScatter("SelectAndScatterMin", compute.Function.SelectAndScatterMin, operand, source, window, strides, pads)
}

type selectAndScatter func(g compute.Function, operand, source compute.Value, window, strides []int, pads [][2]int) (compute.Value, error)

func (f *Function) selectAndScatter(name string, build selectAndScatter, operand, source compute.Value, window, strides []int, pads [][2]int) (compute.Value, error) {
	ns, err := f.nodes(operand, source)
	if err != nil {
		return nil, err
	}
	return f.fallback1(name, ns, func(g compute.Function, in []compute.Value) (compute.Value, error) {
		return build(g, in[0], in[1], window, strides, pads)
	})
}

// RNGBitGenerator falls back.
func (f *Function) RNGBitGenerator(state compute.Value, shape shapes.Shape) (newState, values compute.Value, err error) {
	ns, err := f.nodes(state)
	if err != nil {
		return nil, nil, err
	}
	vs, err := f.fallback("RNGBitGenerator", ns, func(g compute.Function, in []compute.Value) ([]compute.Value, error) {
		s, v, err := g.RNGBitGenerator(in[0], shape)
		return []compute.Value{s, v}, err
	})
	if err != nil {
		return nil, nil, errors.WithStack(err)
	}
	return vs[0], vs[1], nil
}

var fallbackReductions = map[compute.OpType]func(g compute.Function, x compute.Value, axes ...int) (compute.Value, error){
	compute.OpTypeReduceSum: compute.Function.ReduceSum, compute.OpTypeReduceMax: compute.Function.ReduceMax,
	compute.OpTypeReduceMin: compute.Function.ReduceMin, compute.OpTypeReduceProduct: compute.Function.ReduceProduct,
	compute.OpTypeReduceLogicalAnd: compute.Function.ReduceLogicalAnd, compute.OpTypeReduceLogicalOr: compute.Function.ReduceLogicalOr,
	compute.OpTypeReduceLogicalXor: compute.Function.ReduceLogicalXor, compute.OpTypeReduceBitwiseAnd: compute.Function.ReduceBitwiseAnd,
	compute.OpTypeReduceBitwiseOr: compute.Function.ReduceBitwiseOr, compute.OpTypeReduceBitwiseXor: compute.Function.ReduceBitwiseXor,
}

var fallbackUnaries = map[compute.OpType]func(g compute.Function, x compute.Value) (compute.Value, error){
	compute.OpTypeAbs:        compute.Function.Abs,
	compute.OpTypeBitCount:   compute.Function.BitCount,
	compute.OpTypeBitwiseNot: compute.Function.BitwiseNot,
	compute.OpTypeCeil:       compute.Function.Ceil,
	compute.OpTypeClz:        compute.Function.Clz,
	compute.OpTypeCos:        compute.Function.Cos,
	compute.OpTypeErf:        compute.Function.Erf,
	compute.OpTypeExp:        compute.Function.Exp,
	compute.OpTypeExpm1:      compute.Function.Expm1,
	compute.OpTypeFloor:      compute.Function.Floor,
	compute.OpTypeLog:        compute.Function.Log,
	compute.OpTypeLog1p:      compute.Function.Log1p,
	compute.OpTypeLogicalNot: compute.Function.LogicalNot,
	compute.OpTypeLogistic:   compute.Function.Logistic,
	compute.OpTypeNeg:        compute.Function.Neg,
	compute.OpTypeRound:      compute.Function.Round,
	compute.OpTypeRsqrt:      compute.Function.Rsqrt,
	compute.OpTypeSign:       compute.Function.Sign,
	compute.OpTypeSin:        compute.Function.Sin,
	compute.OpTypeSqrt:       compute.Function.Sqrt,
	compute.OpTypeTanh:       compute.Function.Tanh,
	compute.OpTypeIsFinite:   compute.Function.IsFinite,
	compute.OpTypeIsNaN:      compute.Function.IsNaN,
}

var fallbackBinaries = map[compute.OpType]func(g compute.Function, x, y compute.Value) (compute.Value, error){
	compute.OpTypeAdd:                      compute.Function.Add,
	compute.OpTypeAtan2:                    compute.Function.Atan2,
	compute.OpTypeBitwiseAnd:               compute.Function.BitwiseAnd,
	compute.OpTypeBitwiseOr:                compute.Function.BitwiseOr,
	compute.OpTypeBitwiseXor:               compute.Function.BitwiseXor,
	compute.OpTypeDiv:                      compute.Function.Div,
	compute.OpTypeLogicalAnd:               compute.Function.LogicalAnd,
	compute.OpTypeLogicalOr:                compute.Function.LogicalOr,
	compute.OpTypeLogicalXor:               compute.Function.LogicalXor,
	compute.OpTypeMax:                      compute.Function.Max,
	compute.OpTypeMin:                      compute.Function.Min,
	compute.OpTypeMul:                      compute.Function.Mul,
	compute.OpTypePow:                      compute.Function.Pow,
	compute.OpTypeRem:                      compute.Function.Rem,
	compute.OpTypeShiftLeft:                compute.Function.ShiftLeft,
	compute.OpTypeShiftRightArithmetic:     compute.Function.ShiftRightArithmetic,
	compute.OpTypeShiftRightLogical:        compute.Function.ShiftRightLogical,
	compute.OpTypeSub:                      compute.Function.Sub,
	compute.OpTypeEqual:                    compute.Function.Equal,
	compute.OpTypeEqualTotalOrder:          compute.Function.EqualTotalOrder,
	compute.OpTypeGreaterOrEqual:           compute.Function.GreaterOrEqual,
	compute.OpTypeGreaterOrEqualTotalOrder: compute.Function.GreaterOrEqualTotalOrder,
	compute.OpTypeGreaterThan:              compute.Function.GreaterThan,
	compute.OpTypeGreaterThanTotalOrder:    compute.Function.GreaterThanTotalOrder,
	compute.OpTypeLessOrEqual:              compute.Function.LessOrEqual,
	compute.OpTypeLessOrEqualTotalOrder:    compute.Function.LessOrEqualTotalOrder,
	compute.OpTypeLessThan:                 compute.Function.LessThan,
	compute.OpTypeLessThanTotalOrder:       compute.Function.LessThanTotalOrder,
	compute.OpTypeNotEqual:                 compute.Function.NotEqual,
	compute.OpTypeNotEqualTotalOrder:       compute.Function.NotEqualTotalOrder,
}
