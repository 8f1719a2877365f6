package cpu

import (
	"math"
	"slices"

	"github.com/gomlx/compute"
	"github.com/gomlx/compute/dtypes"
	"github.com/gomlx/compute/shapeinference"
	"github.com/gomlx/compute/shapes"
	"github.com/pkg/errors"

	"github.com/smalti/smalti/engine/cpu/ir"
)

func isHalf(d dtypes.DType) bool { return d == dtypes.Float16 || d == dtypes.BFloat16 }

// wide converts half precision to float32, in which elementwise operations on it are computed.
func (f *Function) wide(n *ir.Node) *ir.Node {
	if isHalf(n.Shape.DType) {
		return f.convert(n, dtypes.Float32)
	}
	return n
}

// convert returns n as another type.
func (f *Function) convert(n *ir.Node, d dtypes.DType) *ir.Node {
	if n.Shape.DType == d {
		return n
	}
	return f.g.Add(compute.OpTypeConvertDType, shapes.Make(d, n.Shape.Dimensions...), nil, n)
}

// unary records an operation of one operand.
func (f *Function) unary(op compute.OpType, v compute.Value) (compute.Value, error) {
	x, err := f.node(v)
	if err != nil {
		return nil, err
	}
	s, err := shapeinference.UnaryOp(op, x.Shape)
	if err != nil {
		return nil, err
	}
	d := x.Shape.DType
	if isHalf(d) {
		y := f.g.Add(op, shapes.Make(dtypes.Float32, s.Dimensions...), nil, f.wide(x))
		return f.convert(y, s.DType), nil
	}
	if !unaryNative(op, d) {
		return nil, errors.Wrapf(compute.ErrNotImplemented, "cpu: %s of %s", op, x.Shape)
	}
	return f.g.Add(op, s, nil, x), nil
}

// binary records an operation of two operands, which broadcast.
func (f *Function) binary(op compute.OpType, a, b compute.Value) (compute.Value, error) {
	ns, err := f.nodes(a, b)
	if err != nil {
		return nil, err
	}
	x, y := ns[0], ns[1]
	s, err := shapeinference.BinaryOp(op, x.Shape, y.Shape)
	if err != nil {
		return nil, err
	}
	if isHalf(x.Shape.DType) {
		z := f.g.Add(op, shapes.Make(dtypes.Float32, s.Dimensions...), nil, f.wide(x), f.wide(y))
		return f.convert(z, s.DType), nil
	}
	if !binaryNative(op, x.Shape.DType) {
		return nil, errors.Wrapf(compute.ErrNotImplemented, "cpu: %s of %s", op, x.Shape)
	}
	if n := f.simplify(op, s, x, y); n != nil {
		return n, nil
	}
	return f.g.Add(op, s, nil, x, y), nil
}

// simplify knows the neutral elements: x+0, x-0, x*1, x/1. It returns nil when there is nothing to gain.
func (f *Function) simplify(op compute.OpType, s shapes.Shape, x, y *ir.Node) *ir.Node {
	if y.Shape.Size() > 0 && isSplat(y, neutral(op)) && x.Shape.Equal(s) {
		return x
	}
	if op == compute.OpTypeAdd {
		if n := f.joinPads(x, y); n != nil {
			return n
		}
		if n := f.joinPadsBeside(x, y); n != nil {
			return n
		}
	}
	if (op == compute.OpTypeAdd || op == compute.OpTypeMul) && x.Shape.Size() > 0 && isSplat(x, neutral(op)) && y.Shape.Equal(s) {
		return y
	}
	return nil
}

// joinPads turns the sum of two arrays, each padded with zeros where the other has its elements, into a concatenation: the
// gradient of a split. It returns nil for anything else.
func (f *Function) joinPads(x, y *ir.Node) *ir.Node {
	a, b := paddedAxis(x), paddedAxis(y)
	if a < 0 || a != b {
		return nil
	}
	px, py := x.Attr.(ir.Pad).Axes[a], y.Attr.(ir.Pad).Axes[a]
	if px.Start > py.Start {
		x, y, px, py = y, x, py, px
	}
	if px.Start+x.In[0].Shape.Dimensions[a] != py.Start {
		return nil
	}
	parts := []*ir.Node{x.In[0], y.In[0]}
	if c := parts[0]; c.Op == compute.OpTypeConcatenate && c.Attr.(ir.Axes).Axes[0] == a {
		parts = append(slices.Clone(c.In), parts[1])
	}
	if c := parts[len(parts)-1]; c.Op == compute.OpTypeConcatenate && c.Attr.(ir.Axes).Axes[0] == a {
		parts = append(parts[:len(parts)-1], c.In...)
	}
	s := y.In[0].Shape.Clone()
	s.Dimensions[a] += x.In[0].Shape.Dimensions[a]
	n := f.concatenate(s, a, parts)
	pad := compute.PadAxis{Start: px.Start, End: py.End}
	if pad == (compute.PadAxis{}) {
		return n
	}
	axes := make([]compute.PadAxis, s.Rank())
	axes[a] = pad
	return f.g.Add(compute.OpTypePad, x.Shape, ir.Pad{Axes: axes}, n, x.In[1])
}

// joinPadsBeside is joinPads for a sum (rest + padded) + padded: the gradient of a split whose whole was used too. One
// operand of the sum must be padded, and y or x the sum.
func (f *Function) joinPadsBeside(x, y *ir.Node) *ir.Node {
	if y.Op == compute.OpTypeAdd {
		x, y = y, x
	}
	if x.Op != compute.OpTypeAdd || !x.Shape.Equal(y.Shape) || paddedAxis(y) < 0 {
		return nil
	}
	for i, part := range x.In {
		rest := x.In[1-i]
		if !rest.Shape.Equal(x.Shape) {
			continue
		}
		if n := f.joinPads(part, y); n != nil {
			return f.g.Add(compute.OpTypeAdd, x.Shape, nil, rest, n)
		}
	}
	return nil
}

// paddedAxis is the one axis along which n is padded with zeros at the edges, or -1.
func paddedAxis(n *ir.Node) int {
	if n.Op != compute.OpTypePad || !isSplat(n.In[1], 0) {
		return -1
	}
	axis := -1
	for i, p := range n.Attr.(ir.Pad).Axes {
		if p == (compute.PadAxis{}) {
			continue
		}
		if axis >= 0 || p.Interior != 0 || p.Start < 0 || p.End < 0 {
			return -1
		}
		axis = i
	}
	return axis
}

func neutral(op compute.OpType) float64 {
	switch op {
	case compute.OpTypeAdd, compute.OpTypeSub:
		return 0
	case compute.OpTypeMul, compute.OpTypeDiv:
		return 1
	}
	return math.NaN()
}

// isSplat reports whether n is a float constant, perhaps broadcast, all of whose elements are v.
func isSplat(n *ir.Node, v float64) bool {
	for n.Op == compute.OpTypeBroadcastInDim || n.Op == compute.OpTypeReshape {
		n = n.In[0]
	}
	c, ok := n.Attr.(*ir.Constant)
	if !ok || n.Shape.Size() != 1 {
		return false
	}
	switch n.Shape.DType {
	case dtypes.Float32:
		return float64(view[float32](c.Bytes)[0]) == v
	case dtypes.Float64:
		return view[float64](c.Bytes)[0] == v
	}
	return false
}

// comparison records a comparison.
func (f *Function) comparison(op compute.OpType, a, b compute.Value) (compute.Value, error) {
	ns, err := f.nodes(a, b)
	if err != nil {
		return nil, err
	}
	s, err := shapeinference.ComparisonOp(op, ns[0].Shape, ns[1].Shape)
	if err != nil {
		return nil, err
	}
	if plain, ok := totalOrders[op]; ok && !ns[0].Shape.DType.IsFloat() {
		op = plain
	}
	return f.g.Add(op, s, nil, f.wide(ns[0]), f.wide(ns[1])), nil
}

// Where records a selection; branches may be scalars.
func (f *Function) Where(condition, onTrue, onFalse compute.Value) (compute.Value, error) {
	ns, err := f.nodes(condition, onTrue, onFalse)
	if err != nil {
		return nil, err
	}
	s, err := shapeinference.Where(ns[0].Shape, ns[1].Shape, ns[2].Shape)
	if err != nil {
		return nil, err
	}
	if ns[1] == ns[2] && ns[1].Shape.Equal(s) {
		return ns[1], nil
	}
	return f.g.Add(compute.OpTypeWhere, s, nil, ns...), nil
}

// Clamp is Min(Max(x, min), max).
func (f *Function) Clamp(min, x, max compute.Value) (compute.Value, error) {
	y, err := f.binary(compute.OpTypeMax, min, x)
	if err != nil {
		return nil, err
	}
	return f.binary(compute.OpTypeMin, y, max)
}

// ConvertDType records a conversion.
func (f *Function) ConvertDType(v compute.Value, d dtypes.DType) (compute.Value, error) {
	x, err := f.node(v)
	if err != nil {
		return nil, err
	}
	if err := checkShape(shapes.Make(d)); err != nil {
		return nil, err
	}
	return f.convert(x, d), nil
}

// IsFinite records a test for numbers that are neither infinite nor NaN.
func (f *Function) IsFinite(v compute.Value) (compute.Value, error) {
	return f.isSpecial(compute.OpTypeIsFinite, v)
}

// IsNaN records a test for NaN.
func (f *Function) IsNaN(v compute.Value) (compute.Value, error) {
	return f.isSpecial(compute.OpTypeIsNaN, v)
}

func (f *Function) isSpecial(op compute.OpType, v compute.Value) (compute.Value, error) {
	x, err := f.node(v)
	if err != nil {
		return nil, err
	}
	if !x.Shape.DType.IsFloat() {
		answer, err := f.Constant([]bool{op == compute.OpTypeIsFinite}) // of integers and booleans
		if err != nil {
			return nil, err
		}
		return f.broadcast(answer.(*ir.Node), shapes.Make(dtypes.Bool, x.Shape.Dimensions...), nil), nil
	}
	return f.g.Add(op, shapes.Make(dtypes.Bool, x.Shape.Dimensions...), nil, f.wide(x)), nil
}
