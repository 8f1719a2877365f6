package cpu

import (
	"slices"

	"github.com/gomlx/compute"
	"github.com/gomlx/compute/dtypes"
	"github.com/gomlx/compute/shapeinference"
	"github.com/gomlx/compute/shapes"
	"github.com/pkg/errors"

	"github.com/smalti/smalti/engine/cpu/ir"
)

// reduce records a reduction over axes; none means all.
func (f *Function) reduce(op compute.OpType, v compute.Value, axes []int) (compute.Value, error) {
	x, err := f.node(v)
	if err != nil {
		return nil, err
	}
	axes = slices.Clone(axes)
	if len(axes) == 0 {
		for i := range x.Shape.Rank() {
			axes = append(axes, i)
		}
	}
	slices.Sort(axes)
	s := x.Shape
	if len(axes) > 0 {
		if s, err = shapeinference.Reduce(x.Shape, axes); err != nil {
			return nil, err
		}
	}
	if x.Shape.DType == dtypes.Bool {
		switch op {
		case compute.OpTypeReduceMax:
			op = compute.OpTypeReduceLogicalOr
		case compute.OpTypeReduceMin:
			op = compute.OpTypeReduceLogicalAnd
		}
	}
	if !reduceNative(op, x.Shape.DType) {
		return nil, errors.Wrapf(compute.ErrNotImplemented, "cpu: %s of %s", op, x.Shape)
	}
	var long []int
	for _, a := range axes {
		if x.Shape.Dimensions[a] != 1 {
			long = append(long, a)
		}
	}
	if len(long) == 0 {
		return f.reshape(x, s.Dimensions...), nil
	}
	if isHalf(x.Shape.DType) {
		y := f.g.Add(op, shapes.Make(dtypes.Float32, s.Dimensions...), ir.Axes{Axes: axes}, f.wide(x))
		return f.convert(y, s.DType), nil
	}
	return f.g.Add(op, s, ir.Axes{Axes: axes}, x), nil
}

// ArgMinMax records the index of the smallest or largest element of an axis.
func (f *Function) ArgMinMax(v compute.Value, axis int, d dtypes.DType, isMin bool) (compute.Value, error) {
	x, err := f.node(v)
	if err != nil {
		return nil, err
	}
	s, err := shapeinference.ArgMinMax(x.Shape, axis, d)
	if err != nil {
		return nil, err
	}
	return f.g.Add(compute.OpTypeArgMinMax, s, ir.Arg{Axis: axis, Min: isMin}, f.wide(x)), nil
}

// DotGeneral records a product that contracts and batches any axes. Half precision is multiplied in float32.
func (f *Function) DotGeneral(lhs compute.Value, lContract, lBatch []int, rhs compute.Value, rContract, rBatch []int,
	config compute.DotGeneralConfig) (compute.Value, error) {
	ns, err := f.nodes(lhs, rhs)
	if err != nil {
		return nil, err
	}
	x, y := ns[0], ns[1]
	s, err := shapeinference.DotGeneral(x.Shape, lContract, lBatch, y.Shape, rContract, rBatch, config)
	if err != nil {
		return nil, err
	}
	a := ir.Dot{LContract: slices.Clone(lContract), LBatch: slices.Clone(lBatch), RContract: slices.Clone(rContract), RBatch: slices.Clone(rBatch)}
	d := x.Shape.DType
	work := d
	if isHalf(d) {
		work = dtypes.Float32
	}
	if config.AccumulatorDType != dtypes.InvalidDType && config.AccumulatorDType != d {
		work = config.AccumulatorDType
	}
	if isHalf(work) {
		work = dtypes.Float32
	}
	if !isNumber(work) {
		return nil, errors.Wrapf(compute.ErrNotImplemented, "cpu: DotGeneral in %s", work)
	}
	dot := f.g.Add(compute.OpTypeDotGeneral, shapes.Make(work, s.Dimensions...), a, f.convert(x, work), f.convert(y, work))
	return f.convert(dot, s.DType), nil
}

// ConvGeneral records a convolution. A reversed kernel is read backwards instead of being copied.
func (f *Function) ConvGeneral(input, kernel compute.Value, axes compute.ConvolveAxesConfig, strides []int, pads [][2]int,
	inDilate, dilate []int, groups, bGroups int) (compute.Value, error) {
	ns, err := f.nodes(input, kernel)
	if err != nil {
		return nil, err
	}
	x, w := ns[0], ns[1]
	n := x.Shape.Rank() - 2
	c := ir.Conv{Axes: axes.Clone(), Strides: filled(strides, n, 1), Pads: slices.Clone(pads), InDilate: filled(inDilate, n, 1),
		Dilate: filled(dilate, n, 1), Groups: max(1, groups), BGroups: max(1, bGroups)}
	if len(c.Pads) == 0 {
		c.Pads = make([][2]int, max(0, n))
	}
	s, err := shapeinference.ConvGeneral(x.Shape, w.Shape, axes, strides, pads, inDilate, dilate, c.Groups, c.BGroups)
	if err != nil {
		return nil, err
	}
	if !isNumber(f.wide(x).Shape.DType) {
		return nil, errors.Wrapf(compute.ErrNotImplemented, "cpu: ConvGeneral of %s", x.Shape)
	}
	if w.Op == compute.OpTypeReverse {
		if r := w.Attr.(ir.Axes).Axes; coversLong(r, c.Axes.KernelSpatial, w.Shape) {
			c.Reversed, w = true, w.In[0]
		}
	}
	y := f.g.Add(compute.OpTypeConvGeneral, shapes.Make(f.wide(x).Shape.DType, s.Dimensions...), c, f.wide(x), f.wide(w))
	return f.convert(y, s.DType), nil
}

// coversLong reports whether axes are exactly those of spatial that are longer than one.
func coversLong(axes, spatial []int, s shapes.Shape) bool {
	n := 0
	for _, a := range spatial {
		if s.Dimensions[a] > 1 {
			n++
			if !slices.Contains(axes, a) {
				return false
			}
		}
	}
	return n == len(axes)
}

func filled(v []int, n, value int) []int {
	if len(v) > 0 {
		return slices.Clone(v)
	}
	out := make([]int, max(0, n))
	for i := range out {
		out[i] = value
	}
	return out
}

// Gather records the reading of slices at indices.
func (f *Function) Gather(operand, indices compute.Value, indexAxis int, offset, collapsed, startMap, sizes []int, sorted bool) (compute.Value, error) {
	ns, err := f.nodes(operand, indices)
	if err != nil {
		return nil, err
	}
	ns[1] = f.withVectors(ns[1], indexAxis)
	s, err := shapeinference.Gather(ns[0].Shape, ns[1].Shape, indexAxis, offset, collapsed, startMap, sizes, sorted)
	if err != nil {
		return nil, err
	}
	a := ir.Gather{IndexAxis: indexAxis, Offset: slices.Clone(offset), Collapsed: slices.Clone(collapsed),
		StartMap: slices.Clone(startMap), SliceSizes: slices.Clone(sizes)}
	return f.g.Add(compute.OpTypeGather, s, a, ns...), nil
}

// withVectors gives indices the axis of their vectors of one element that the interface lets callers leave out.
func (f *Function) withVectors(indices *ir.Node, axis int) *ir.Node {
	if d := indices.Shape.Dimensions; axis == len(d) {
		return f.reshape(indices, append(slices.Clone(d), 1)...)
	}
	return indices
}

// scatter records the combination of updates into an operand at indices.
func (f *Function) scatter(op compute.OpType, operand, indices, updates compute.Value, a ir.Scatter) (compute.Value, error) {
	ns, err := f.nodes(operand, indices, updates)
	if err != nil {
		return nil, err
	}
	ns[1] = f.withVectors(ns[1], a.IndexAxis)
	s, err := shapeinference.Scatter(ns[0].Shape, ns[1].Shape, ns[2].Shape, a.IndexAxis, a.Window, a.Inserted, a.ToAxes)
	if err != nil {
		return nil, err
	}
	if !isNumber(f.wide(ns[0]).Shape.DType) {
		return nil, notImplemented(op)
	}
	a = ir.Scatter{IndexAxis: a.IndexAxis, Window: slices.Clone(a.Window), Inserted: slices.Clone(a.Inserted), ToAxes: slices.Clone(a.ToAxes)}
	y := f.g.Add(op, f.wide(ns[0]).Shape, a, f.wide(ns[0]), ns[1], f.wide(ns[2]))
	return f.convert(y, s.DType), nil
}

// ScatterSum adds updates.
func (f *Function) ScatterSum(operand, indices, updates compute.Value, indexAxis int, window, inserted, toAxes []int, _, _ bool) (compute.Value, error) {
	return f.scatter(compute.OpTypeScatterSum, operand, indices, updates, ir.Scatter{IndexAxis: indexAxis, Window: window, Inserted: inserted, ToAxes: toAxes})
}

// ScatterMax keeps the largest.
func (f *Function) ScatterMax(operand, indices, updates compute.Value, indexAxis int, window, inserted, toAxes []int, _, _ bool) (compute.Value, error) {
	return f.scatter(compute.OpTypeScatterMax, operand, indices, updates, ir.Scatter{IndexAxis: indexAxis, Window: window, Inserted: inserted, ToAxes: toAxes})
}

// ScatterMin keeps the smallest.
func (f *Function) ScatterMin(operand, indices, updates compute.Value, indexAxis int, window, inserted, toAxes []int, _, _ bool) (compute.Value, error) {
	return f.scatter(compute.OpTypeScatterMin, operand, indices, updates, ir.Scatter{IndexAxis: indexAxis, Window: window, Inserted: inserted, ToAxes: toAxes})
}

// ReduceSum and the like implement compute.StandardOps.
func (f *Function) ReduceSum(x compute.Value, axes ...int) (compute.Value, error) {
	return f.reduce(compute.OpTypeReduceSum, x, axes)
}

// ReduceMax implements compute.StandardOps.
func (f *Function) ReduceMax(x compute.Value, axes ...int) (compute.Value, error) {
	return f.reduce(compute.OpTypeReduceMax, x, axes)
}

// ReduceMin implements compute.StandardOps.
func (f *Function) ReduceMin(x compute.Value, axes ...int) (compute.Value, error) {
	return f.reduce(compute.OpTypeReduceMin, x, axes)
}

// ReduceProduct implements compute.StandardOps.
func (f *Function) ReduceProduct(x compute.Value, axes ...int) (compute.Value, error) {
	return f.reduce(compute.OpTypeReduceProduct, x, axes)
}

// ReduceLogicalAnd implements compute.StandardOps.
func (f *Function) ReduceLogicalAnd(x compute.Value, axes ...int) (compute.Value, error) {
	return f.reduce(compute.OpTypeReduceLogicalAnd, x, axes)
}

// ReduceLogicalOr implements compute.StandardOps.
func (f *Function) ReduceLogicalOr(x compute.Value, axes ...int) (compute.Value, error) {
	return f.reduce(compute.OpTypeReduceLogicalOr, x, axes)
}

// ReduceLogicalXor implements compute.StandardOps.
func (f *Function) ReduceLogicalXor(x compute.Value, axes ...int) (compute.Value, error) {
	return f.reduce(compute.OpTypeReduceLogicalXor, x, axes)
}

// ReduceBitwiseAnd implements compute.StandardOps.
func (f *Function) ReduceBitwiseAnd(x compute.Value, axes ...int) (compute.Value, error) {
	return f.reduce(compute.OpTypeReduceBitwiseAnd, x, axes)
}

// ReduceBitwiseOr implements compute.StandardOps.
func (f *Function) ReduceBitwiseOr(x compute.Value, axes ...int) (compute.Value, error) {
	return f.reduce(compute.OpTypeReduceBitwiseOr, x, axes)
}

// ReduceBitwiseXor implements compute.StandardOps.
func (f *Function) ReduceBitwiseXor(x compute.Value, axes ...int) (compute.Value, error) {
	return f.reduce(compute.OpTypeReduceBitwiseXor, x, axes)
}
