package cpu

import (
	"slices"

	"github.com/gomlx/compute"
	"github.com/gomlx/compute/shapeinference"
	"github.com/pkg/errors"

	"github.com/smalti/smalti/engine/cpu/ir"
)

var windowReductions = map[compute.ReduceOpType]compute.OpType{
	compute.ReduceOpSum: compute.OpTypeReduceSum, compute.ReduceOpProduct: compute.OpTypeReduceProduct,
	compute.ReduceOpMax: compute.OpTypeReduceMax, compute.ReduceOpMin: compute.OpTypeReduceMin,
}

// window fills in the defaults: no strides mean that windows lie side by side.
func window(rank int, size, strides, inDilate, dilate []int, pads [][2]int) ir.Window {
	w := ir.Window{Size: filled(size, rank, 1), InDilate: filled(inDilate, rank, 1), Dilate: filled(dilate, rank, 1), Pads: slices.Clone(pads)}
	w.Strides = slices.Clone(strides)
	if len(strides) == 0 {
		w.Strides = slices.Clone(w.Size)
	}
	if len(pads) == 0 {
		w.Pads = make([][2]int, rank)
	}
	return w
}

// ReduceWindow records the reduction of windows that move over an array. Half precision is reduced in float32.
func (f *Function) ReduceWindow(v compute.Value, kind compute.ReduceOpType, size, strides, inDilate, dilate []int, pads [][2]int) (compute.Value, error) {
	x, err := f.node(v)
	if err != nil {
		return nil, err
	}
	s, err := shapeinference.ReduceWindow(x.Shape, size, strides, inDilate, dilate, pads)
	if err != nil {
		return nil, err
	}
	op, ok := windowReductions[kind]
	wide := f.wide(x)
	if !ok || !isNumber(wide.Shape.DType) {
		return nil, errors.Wrapf(compute.ErrNotImplemented, "cpu: ReduceWindow %s of %s", kind, x.Shape)
	}
	a := window(x.Shape.Rank(), size, strides, inDilate, dilate, pads)
	a.Reduce = op
	out := s.Clone()
	out.DType = wide.Shape.DType
	return f.convert(f.g.Add(compute.OpTypeReduceWindow, out, a, wide), s.DType), nil
}

// SelectAndScatterMax records the gradient of pooling by the largest element.
func (f *Function) SelectAndScatterMax(operand, source compute.Value, size, strides []int, pads [][2]int) (compute.Value, error) {
	return f.selectAndScatter(compute.OpTypeSelectAndScatterMax, operand, source, size, strides, pads)
}

// SelectAndScatterMin records the gradient of pooling by the smallest element.
func (f *Function) SelectAndScatterMin(operand, source compute.Value, size, strides []int, pads [][2]int) (compute.Value, error) {
	return f.selectAndScatter(compute.OpTypeSelectAndScatterMin, operand, source, size, strides, pads)
}

func (f *Function) selectAndScatter(op compute.OpType, operand, source compute.Value, size, strides []int, pads [][2]int) (compute.Value, error) {
	ns, err := f.nodes(operand, source)
	if err != nil {
		return nil, err
	}
	s, err := shapeinference.SelectAndScatter(ns[0].Shape, ns[1].Shape, size, strides, pads)
	if err != nil {
		return nil, err
	}
	x, y := f.wide(ns[0]), f.wide(ns[1])
	if !isNumber(x.Shape.DType) {
		return nil, errors.Wrapf(compute.ErrNotImplemented, "cpu: %s of %s", op, s)
	}
	return f.convert(f.g.Add(op, x.Shape, window(s.Rank(), size, strides, nil, nil, pads), x, y), s.DType), nil
}
