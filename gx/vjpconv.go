package gx

import (
	"errors"

	"github.com/gomlx/compute/shapes"
	"github.com/gomlx/gomlx/core/graph"
)

// convolution holds the attributes of a ConvGeneral node, with ones filled in where GoMLX leaves them out.
type convolution struct {
	axes          graph.ConvolveAxesConfig
	stride        []int
	pad           [][2]int
	xDilate       []int // zeros between the input's elements (transposed convolution)
	wDilate       []int // distance of the kernel's taps
	channelGroups int
	spatial       int // number of spatial axes
}

func convolutionOf(node *graph.Node) convolution {
	c := convolution{spatial: node.Inputs()[0].Rank() - 2}
	a := attribute(node, "axes")
	ints := func(name string) []int { return intSlice(a.FieldByName(name)) }
	c.axes = graph.ConvolveAxesConfig{
		InputBatch: intField(a, "InputBatch"), InputChannels: intField(a, "InputChannels"), InputSpatial: ints("InputSpatial"),
		KernelInputChannels:  intField(a, "KernelInputChannels"),
		KernelOutputChannels: intField(a, "KernelOutputChannels"), KernelSpatial: ints("KernelSpatial"),
		OutputBatch: intField(a, "OutputBatch"), OutputChannels: intField(a, "OutputChannels"), OutputSpatial: ints("OutputSpatial"),
	}
	c.stride = orOnes(intSlice(attribute(node, "strides")), c.spatial)
	c.xDilate = orOnes(intSlice(attribute(node, "inputDilations")), c.spatial)
	c.wDilate = orOnes(intSlice(attribute(node, "kernelDilations")), c.spatial)
	c.pad = make([][2]int, c.spatial)
	if p := attribute(node, "paddings"); p.Len() == c.spatial {
		for i := range c.pad {
			c.pad[i] = [2]int{int(p.Index(i).Index(0).Int()), int(p.Index(i).Index(1).Int())}
		}
	}
	c.channelGroups = max(1, int(attribute(node, "channelGroupCount").Int()))
	if attribute(node, "batchGroupCount").Int() > 1 {
		panic(errors.New("gx: convolutions with batch groups have no gradient"))
	}
	return c
}

// convVJP is the adjoint of a convolution for its input and its kernel. Both are convolutions again, so derivatives of
// any order stay among convolutions. In one dimension, with stride s, input dilation a, kernel dilation b, padding p on
// the left, the convolution of x (m long) with w (k long) is
//
//	y[i] = sum over q of X[i*s + q*b - p] w[q],   X[a*j] = x[j], zero elsewhere,
//
// hence dx[j] = sum over q of V[a*j - q*b + p] w[q] with V[s*i] = v[i]: a convolution of v, dilated by s, with the
// reversed kernel, with stride a, dilation b and b*(k-1) - p zeros on the left; and
//
//	dw[q] = sum over i of X[q*b + i*s - p] v[i]: a convolution of x, dilated by a, with v as the kernel, with stride b
//
// and kernel dilation s; channels play the batch there. What is left over on the right follows from the lengths, and may
// be negative.
func convVJP(node *graph.Node, vs []*graph.Node, _ shapes.Shape) []*graph.Node {
	x, w, v := node.Inputs()[0], node.Inputs()[1], vs[0]
	c := convolutionOf(node)
	if c.channelGroups == 1 {
		return []*graph.Node{c.inputAdjoint(x, w, v), c.kernelAdjoint(x, w, v)}
	}
	// Groups are independent convolutions side by side.
	n := c.channelGroups
	xs, ws := graph.Split(x, c.axes.InputChannels, n), graph.Split(w, c.axes.KernelOutputChannels, n)
	vg := graph.Split(v, c.axes.OutputChannels, n)
	dxs, dws := make([]*graph.Node, n), make([]*graph.Node, n)
	for i := range n {
		dxs[i], dws[i] = c.inputAdjoint(xs[i], ws[i], vg[i]), c.kernelAdjoint(xs[i], ws[i], vg[i])
	}
	return []*graph.Node{
		graph.Concatenate(dxs, c.axes.InputChannels),
		graph.Concatenate(dws, c.axes.KernelOutputChannels),
	}
}

// lengths are those of one spatial axis with all dilations applied.
type lengths struct{ x, w, v int }

func (c convolution) lengths(x, w, v *graph.Node, i int) lengths {
	dilated := func(n *graph.Node, axis, step int) int { return 1 + (n.Shape().Dimensions[axis]-1)*step }
	return lengths{
		x: dilated(x, c.axes.InputSpatial[i], c.xDilate[i]),
		w: dilated(w, c.axes.KernelSpatial[i], c.wDilate[i]),
		v: dilated(v, c.axes.OutputSpatial[i], c.stride[i]),
	}
}

func (c convolution) inputAdjoint(x, w, v *graph.Node) *graph.Node {
	a := c.axes
	axes := graph.ConvolveAxesConfig{
		InputBatch: a.OutputBatch, InputChannels: a.OutputChannels, InputSpatial: a.OutputSpatial,
		KernelInputChannels: a.KernelOutputChannels, KernelOutputChannels: a.KernelInputChannels, KernelSpatial: a.KernelSpatial,
		OutputBatch: a.InputBatch, OutputChannels: a.InputChannels, OutputSpatial: a.InputSpatial,
	}
	pad := make([][2]int, c.spatial)
	for i := range pad {
		l := c.lengths(x, w, v, i)
		left := l.w - 1 - c.pad[i][0]
		pad[i] = [2]int{left, l.x + l.w - 1 - l.v - left}
	}
	return graph.ConvGeneral(v, graph.Reverse(w, a.KernelSpatial...), axes,
		nilIfOnes(c.xDilate), pad, nilIfOnes(c.stride), nilIfOnes(c.wDilate), 1, 1)
}

func (c convolution) kernelAdjoint(x, w, v *graph.Node) *graph.Node {
	a := c.axes
	axes := graph.ConvolveAxesConfig{
		InputBatch: a.InputChannels, InputChannels: a.InputBatch, InputSpatial: a.InputSpatial,
		KernelInputChannels: a.OutputBatch, KernelOutputChannels: a.OutputChannels, KernelSpatial: a.OutputSpatial,
		OutputBatch: a.KernelInputChannels, OutputChannels: a.KernelOutputChannels, OutputSpatial: a.KernelSpatial,
	}
	pad := make([][2]int, c.spatial)
	for i := range pad {
		l := c.lengths(x, w, v, i)
		pad[i] = [2]int{c.pad[i][0], l.v + l.w - l.x - 1 - c.pad[i][0]}
	}
	return graph.ConvGeneral(x, v, axes, nilIfOnes(c.wDilate), pad, nilIfOnes(c.xDilate), nilIfOnes(c.stride), 1, 1)
}

func orOnes(v []int, n int) []int {
	if len(v) == n {
		return v
	}
	ones := make([]int, n)
	for i := range ones {
		ones[i] = 1
	}
	return ones
}

func nilIfOnes(v []int) []int {
	for _, x := range v {
		if x != 1 {
			return v
		}
	}
	return nil
}
