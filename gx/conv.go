package gx

import (
	"fmt"

	"github.com/gomlx/gomlx/core/graph"
)

// nhwc is the one axis order that smalti's graphs use: pictures [batch, height, width, channels], kernels
// [height, width, in, out].
var nhwc = graph.ConvolveAxesConfig{
	InputBatch: 0, InputSpatial: []int{1, 2}, InputChannels: 3,
	KernelSpatial: []int{0, 1}, KernelInputChannels: 2, KernelOutputChannels: 3,
	OutputBatch: 0, OutputSpatial: []int{1, 2}, OutputChannels: 3,
}

// ConvOptions are the options of Convolve. Zero Stride, Dilation and Groups mean 1.
type ConvOptions struct {
	Stride   int       // of both axes
	Pad      [2][2]int // zeros {before, after} the rows and the columns; negative ones crop
	Dilation int       // distance of the kernel's taps, of both axes
	Groups   int       // the kernel sees in/Groups channels
}

// Around pads n zeros on all four sides, as PyTorch's padding=n does.
func Around(n int) [2][2]int { return [2][2]int{{n, n}, {n, n}} }

// Convolve is the two-dimensional cross-correlation of x [n,h,w,in] with w [kh,kw,in/groups,out], as torch.nn.functional.conv2d:
//
//	y[n,i,j,o] = sum over p,q,c of x[n, i*stride + p*dilation - top, j*stride + q*dilation - left, c] * w[p,q,c,o]
func Convolve(x, w *graph.Node, o ConvOptions) *graph.Node {
	groups := max(1, o.Groups)
	x.AssertRank(4)
	w.AssertRank(4)
	if in := x.Shape().Dimensions[3]; in != w.Shape().Dimensions[2]*groups {
		panic(fmt.Errorf("convolution of %d channels with a kernel %s in %d groups", in, w.Shape(), groups))
	}
	return graph.ConvGeneral(x, w, nhwc, both(o.Stride), pads(o.Pad), nil, both(o.Dilation), groups, 1)
}

// WrapPad continues x [n,h,w,c] beyond its sides with what lies at the opposite ones, as on a torus: before rows above,
// after rows below, and so on for columns. No side may grow by more than its length.
func WrapPad(x *graph.Node, rows, columns [2]int) *graph.Node {
	x.AssertRank(4)
	for i, p := range [][2]int{rows, columns} {
		axis := i + 1
		n := x.Shape().Dimensions[axis]
		if p[0] > n || p[1] > n || p[0] < 0 || p[1] < 0 {
			panic(fmt.Errorf("a side of %d pixels wraps around by %v", n, p))
		}
		part := func(from, to int) *graph.Node {
			spec := []graph.SliceAxisSpec{graph.AxisRange(), graph.AxisRange(), graph.AxisRange(), graph.AxisRange()}
			spec[axis] = graph.AxisRange(from, to)
			return graph.Slice(x, spec...)
		}
		list := []*graph.Node{x}
		if p[0] > 0 {
			list = append([]*graph.Node{part(n-p[0], n)}, list...)
		}
		if p[1] > 0 {
			list = append(list, part(0, p[1]))
		}
		if len(list) > 1 {
			x = graph.Concatenate(list, axis)
		}
	}
	return x
}

// ConvTranspose is the transposed convolution of x [n,h,w,in] with w [kh,kw,in,out], as torch.nn.functional.conv_transpose2d
// with square stride, padding and output padding; it is the input gradient of a convolution of that stride and padding.
// A side of h becomes (h-1)*stride - 2*pad + k + outputPad.
func ConvTranspose(x, w *graph.Node, stride, pad, outputPad int) *graph.Node {
	x.AssertRank(4)
	w.AssertRank(4)
	var padding [2][2]int
	for i := range padding {
		edge := w.Shape().Dimensions[i] - 1 - pad
		padding[i] = [2]int{edge, edge + outputPad}
	}
	return graph.ConvGeneral(x, graph.Reverse(w, 0, 1), nhwc, nil, pads(padding), both(stride), nil, 1, 1)
}

// both repeats a value for the two spatial axes; nil is GoMLX's word for ones.
func both(n int) []int {
	if n <= 1 {
		return nil
	}
	return []int{n, n}
}

func pads(p [2][2]int) [][2]int {
	if p == [2][2]int{} {
		return nil
	}
	return [][2]int{p[0], p[1]}
}
