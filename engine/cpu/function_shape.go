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

// Identity returns x itself.
func (f *Function) Identity(x compute.Value) (compute.Value, error) { return f.node(x) }

// Reshape records another shape over the same elements.
func (f *Function) Reshape(v compute.Value, dims ...int) (compute.Value, error) {
	x, err := f.node(v)
	if err != nil {
		return nil, err
	}
	s, err := shapeinference.Reshape(x.Shape, dims)
	if err != nil {
		return nil, err
	}
	return f.reshape(x, s.Dimensions...), nil
}

func (f *Function) reshape(x *ir.Node, dims ...int) *ir.Node {
	for x.Op == compute.OpTypeReshape {
		x = x.In[0]
	}
	if slices.Equal(x.Shape.Dimensions, dims) {
		return x
	}
	return f.g.Add(compute.OpTypeReshape, shapes.Make(x.Shape.DType, dims...), nil, x)
}

// Bitcast records another type over the same bytes.
func (f *Function) Bitcast(v compute.Value, d dtypes.DType) (compute.Value, error) {
	x, err := f.node(v)
	if err != nil {
		return nil, err
	}
	s, err := shapeinference.Bitcast(x.Shape, d)
	if err != nil {
		return nil, err
	}
	if err := checkShape(s); err != nil {
		return nil, err
	}
	return f.g.Add(compute.OpTypeBitcast, s, nil, x), nil
}

// Transpose records a permutation of the axes.
func (f *Function) Transpose(v compute.Value, perm ...int) (compute.Value, error) {
	x, err := f.node(v)
	if err != nil {
		return nil, err
	}
	s, err := shapeinference.Transpose(x.Shape, perm)
	if err != nil {
		return nil, err
	}
	perm = slices.Clone(perm)
	if x.Op == compute.OpTypeTranspose {
		before := x.Attr.(ir.Axes).Axes
		for i, p := range perm {
			perm[i] = before[p]
		}
		x = x.In[0]
	}
	last := -1
	moved := false
	for _, p := range perm {
		if x.Shape.Dimensions[p] != 1 {
			moved = moved || p < last
			last = p
		}
	}
	if !moved {
		return f.reshape(x, s.Dimensions...), nil
	}
	return f.g.Add(compute.OpTypeTranspose, s, ir.Axes{Axes: perm}, x), nil
}

// BroadcastInDim records a repetition along new or size-one axes.
func (f *Function) BroadcastInDim(v compute.Value, shape shapes.Shape, axes []int) (compute.Value, error) {
	x, err := f.node(v)
	if err != nil {
		return nil, err
	}
	if err := shapeinference.BroadcastInDim(x.Shape, shape, axes, nil); err != nil {
		return nil, err
	}
	return f.broadcast(x, shapes.Make(x.Shape.DType, shape.Dimensions...), axes), nil
}

func (f *Function) broadcast(x *ir.Node, s shapes.Shape, axes []int) *ir.Node {
	if !slices.IsSorted(axes) { // a transposition first, so that a broadcast never changes the order of elements
		perm := make([]int, len(axes))
		for i := range perm {
			perm[i] = i
		}
		slices.SortFunc(perm, func(a, b int) int { return axes[a] - axes[b] })
		dims, sorted := make([]int, len(axes)), make([]int, len(axes))
		for i, p := range perm {
			dims[i], sorted[i] = x.Shape.Dimensions[p], axes[p]
		}
		x, axes = f.g.Add(compute.OpTypeTranspose, shapes.Make(s.DType, dims...), ir.Axes{Axes: perm}, x), sorted
	}
	if x.Shape.Size() == s.Size() {
		return f.reshape(x, s.Dimensions...)
	}
	if x.Op == compute.OpTypeBroadcastInDim {
		inner := x.Attr.(ir.Axes).Axes
		composed := make([]int, len(inner))
		for i, a := range inner {
			composed[i] = axes[a]
		}
		return f.broadcast(x.In[0], s, composed)
	}
	return f.g.Add(compute.OpTypeBroadcastInDim, s, ir.Axes{Axes: slices.Clone(axes)}, x)
}

// Slice records a strided part.
func (f *Function) Slice(v compute.Value, starts, limits, strides []int) (compute.Value, error) {
	x, err := f.node(v)
	if err != nil {
		return nil, err
	}
	if len(strides) == 0 {
		strides = ones(len(starts))
	}
	s, err := shapeinference.Slice(x.Shape, starts, limits, strides)
	if err != nil {
		return nil, err
	}
	if s.Equal(x.Shape) {
		return x, nil
	}
	a := ir.Slice{Starts: slices.Clone(starts), Limits: slices.Clone(limits), Strides: slices.Clone(strides)}
	if part := partOf(x, a); part != nil {
		return part, nil
	}
	return f.g.Add(compute.OpTypeSlice, s, a, x), nil
}

// partOf is the operand of a concatenation that a slice takes out whole, or nil.
func partOf(x *ir.Node, a ir.Slice) *ir.Node {
	if x.Op != compute.OpTypeConcatenate {
		return nil
	}
	axis, at := x.Attr.(ir.Axes).Axes[0], 0
	for _, part := range x.In {
		from, n := slices.Clone(a.Starts), part.Shape.Dimensions[axis]
		from[axis] -= at
		to := slices.Clone(a.Limits)
		to[axis] -= at
		at += n
		whole := slices.Max(a.Strides) == 1 && slices.Equal(to, part.Shape.Dimensions)
		if whole && !slices.ContainsFunc(from, func(s int) bool { return s != 0 }) {
			return part
		}
	}
	return nil
}

// Pad records padding at the edges and between elements.
func (f *Function) Pad(v, fill compute.Value, axes ...compute.PadAxis) (compute.Value, error) {
	ns, err := f.nodes(v, fill)
	if err != nil {
		return nil, err
	}
	if !ns[1].Shape.IsScalar() || ns[1].Shape.DType != ns[0].Shape.DType {
		return nil, errors.Errorf("cpu: Pad of %s with %s", ns[0].Shape, ns[1].Shape)
	}
	s, err := shapeinference.Pad(ns[0].Shape, axes...)
	if err != nil {
		return nil, err
	}
	axes = append(slices.Clone(axes), make([]compute.PadAxis, s.Rank()-len(axes))...)
	if !slices.ContainsFunc(axes, func(a compute.PadAxis) bool { return a != compute.PadAxis{} }) {
		return ns[0], nil
	}
	return f.g.Add(compute.OpTypePad, s, ir.Pad{Axes: axes}, ns...), nil
}

func (f *Function) concatenate(s shapes.Shape, axis int, parts []*ir.Node) *ir.Node {
	if whole := wholeOf(parts, axis); whole != nil {
		return f.reshape(whole, s.Dimensions...)
	}
	return f.g.Add(compute.OpTypeConcatenate, s, ir.Axes{Axes: []int{axis}}, parts...)
}

// Concatenate records arrays one after the other along an axis.
func (f *Function) Concatenate(axis int, vs ...compute.Value) (compute.Value, error) {
	ns, err := f.nodes(vs...)
	if err != nil {
		return nil, err
	}
	ss := make([]shapes.Shape, len(ns))
	for i, n := range ns {
		ss[i] = n.Shape
	}
	s, err := shapeinference.Concatenate(ss, axis)
	if err != nil {
		return nil, err
	}
	if len(ns) == 1 {
		return ns[0], nil
	}
	return f.concatenate(s, axis, ns), nil
}

// Reverse records the reversal of axes.
func (f *Function) Reverse(v compute.Value, axes ...int) (compute.Value, error) {
	x, err := f.node(v)
	if err != nil {
		return nil, err
	}
	var long []int
	for _, a := range axes {
		if a < 0 || a >= x.Shape.Rank() {
			return nil, errors.Errorf("cpu: Reverse of axis %d of %s", a, x.Shape)
		}
		if x.Shape.Dimensions[a] > 1 && !slices.Contains(long, a) {
			long = append(long, a)
		}
	}
	slices.Sort(long)
	if len(long) == 0 {
		return x, nil
	}
	if x.Op == compute.OpTypeReverse && slices.Equal(x.Attr.(ir.Axes).Axes, long) {
		return x.In[0], nil
	}
	return f.g.Add(compute.OpTypeReverse, x.Shape, ir.Axes{Axes: long}, x), nil
}

// Iota records the index along an axis.
func (f *Function) Iota(shape shapes.Shape, axis int) (compute.Value, error) {
	if f.returned {
		return nil, errors.New("cpu: the function has returned already")
	}
	if err := checkShape(shape); err != nil {
		return nil, err
	}
	if axis < 0 || axis >= shape.Rank() {
		return nil, errors.Errorf("cpu: Iota of axis %d of %s", axis, shape)
	}
	d := shape.DType
	if isHalf(d) {
		n := f.g.Add(compute.OpTypeIota, shapes.Make(dtypes.Float32, shape.Dimensions...), ir.Axes{Axes: []int{axis}})
		return f.convert(n, d), nil
	}
	if d == dtypes.Bool {
		return nil, errors.Errorf("cpu: Iota of %s", shape)
	}
	return f.g.Add(compute.OpTypeIota, shape, ir.Axes{Axes: []int{axis}}), nil
}

// OptimizationBarrier records barriers: what comes before is not shared with what comes after, so that memory saved by
// recomputation stays saved.
func (f *Function) OptimizationBarrier(vs ...compute.Value) ([]compute.Value, error) {
	ns, err := f.nodes(vs...)
	if err != nil {
		return nil, err
	}
	out := make([]compute.Value, len(ns))
	for i, n := range ns {
		out[i] = f.g.AddUnique(compute.OpTypeOptimizationBarrier, n.Shape, nil, n)
	}
	return out, nil
}

// SchedulingBarrier records that v comes after its dependencies.
func (f *Function) SchedulingBarrier(v compute.Value, dependencies ...compute.Value) (compute.Value, error) {
	ns, err := f.nodes(append([]compute.Value{v}, dependencies...)...)
	if err != nil {
		return nil, err
	}
	return f.g.AddUnique(compute.OpTypeSchedulingBarrier, ns[0].Shape, nil, ns...), nil
}

func ones(n int) []int {
	s := make([]int, n)
	for i := range s {
		s[i] = 1
	}
	return s
}
