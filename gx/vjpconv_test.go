package gx_test

import (
	"math"
	"testing"

	"github.com/gomlx/gomlx/core/graph"

	"github.com/smalti/smalti/gx"
)

var nhwc = graph.ConvolveAxesConfig{
	InputBatch: 0, InputSpatial: []int{1, 2}, InputChannels: 3,
	KernelSpatial: []int{0, 1}, KernelInputChannels: 2, KernelOutputChannels: 3,
	OutputBatch: 0, OutputSpatial: []int{1, 2}, OutputChannels: 3,
}

var nchw = graph.ConvolveAxesConfig{
	InputBatch: 0, InputChannels: 1, InputSpatial: []int{2, 3},
	KernelOutputChannels: 0, KernelInputChannels: 1, KernelSpatial: []int{2, 3},
	OutputBatch: 0, OutputChannels: 1, OutputSpatial: []int{2, 3},
}

// form is one form of convolution: the shapes of x and w, and its attributes.
type form struct {
	name             string
	x, w             []int
	axes             graph.ConvolveAxesConfig
	stride           []int
	pad              [][2]int
	xDilate, wDilate []int
	groups           int
}

func (f form) conv(x, w *graph.Node) *graph.Node {
	return graph.ConvGeneral(x, w, f.axes, f.stride, f.pad, f.xDilate, f.wDilate, max(1, f.groups), 1)
}

var around1 = [][2]int{{1, 1}, {1, 1}}

// forms are those that models use, and those that their derivatives turn into.
var forms = []form{
	{name: "k3 p1", x: []int{2, 6, 5, 2}, w: []int{3, 3, 2, 3}, axes: nhwc, pad: around1},
	{name: "k3 p1 stride 1 written out", x: []int{2, 6, 5, 2}, w: []int{3, 3, 2, 3}, axes: nhwc, pad: around1, stride: []int{1, 1}},
	{name: "k3 p0", x: []int{2, 6, 5, 2}, w: []int{3, 3, 2, 3}, axes: nhwc},
	{name: "k1", x: []int{2, 4, 5, 2}, w: []int{1, 1, 2, 3}, axes: nhwc},
	{name: "k1 s2", x: []int{2, 5, 4, 2}, w: []int{1, 1, 2, 3}, axes: nhwc, stride: []int{2, 2}},
	{name: "k2 p0", x: []int{2, 6, 5, 2}, w: []int{2, 2, 2, 3}, axes: nhwc},
	{name: "k4 same", x: []int{2, 6, 5, 2}, w: []int{4, 4, 2, 3}, axes: nhwc, pad: [][2]int{{1, 2}, {1, 2}}},
	{name: "k4 s2 p1", x: []int{2, 8, 6, 2}, w: []int{4, 4, 2, 3}, axes: nhwc, pad: around1, stride: []int{2, 2}},
	{name: "k4 s4 patch", x: []int{2, 8, 8, 2}, w: []int{4, 4, 2, 3}, axes: nhwc, stride: []int{4, 4}},
	{name: "k4 s4 patch with rest", x: []int{1, 10, 9, 2}, w: []int{4, 4, 2, 3}, axes: nhwc, stride: []int{4, 4}},
	{name: "k3 s2 p1", x: []int{2, 7, 6, 2}, w: []int{3, 3, 2, 3}, axes: nhwc, pad: around1, stride: []int{2, 2}},
	{name: "k3 s2 p0 on 8, rest", x: []int{2, 8, 8, 2}, w: []int{3, 3, 2, 3}, axes: nhwc, stride: []int{2, 2}},
	{name: "k3 s2 p(0,1)", x: []int{2, 8, 6, 2}, w: []int{3, 3, 2, 3}, axes: nhwc, pad: [][2]int{{0, 1}, {0, 1}}, stride: []int{2, 2}},
	{name: "k7 s2 p3", x: []int{1, 9, 8, 2}, w: []int{7, 7, 2, 2}, axes: nhwc, pad: [][2]int{{3, 3}, {3, 3}}, stride: []int{2, 2}},
	{name: "k3 s3", x: []int{1, 8, 8, 2}, w: []int{3, 3, 2, 2}, axes: nhwc, pad: around1, stride: []int{3, 3}},
	{name: "k1x3, k3x1 strides", x: []int{1, 6, 7, 2}, w: []int{1, 3, 2, 2}, axes: nhwc, pad: [][2]int{{0, 0}, {2, 1}}, stride: []int{2, 1}},
	{name: "dilation 2", x: []int{2, 7, 6, 2}, w: []int{3, 3, 2, 3}, axes: nhwc, pad: [][2]int{{2, 2}, {2, 2}}, wDilate: []int{2, 2}},
	{name: "dilation 2, even", x: []int{1, 7, 6, 2}, w: []int{2, 2, 2, 3}, axes: nhwc, wDilate: []int{2, 3}},
	{name: "dilation 2, stride 2", x: []int{1, 9, 8, 2}, w: []int{3, 3, 2, 3}, axes: nhwc, pad: around1, stride: []int{2, 2}, wDilate: []int{2, 2}},
	{name: "groups 2", x: []int{2, 5, 6, 4}, w: []int{3, 3, 2, 4}, axes: nhwc, pad: around1, groups: 2},
	{name: "groups 2, k4 s2", x: []int{1, 6, 8, 4}, w: []int{4, 4, 2, 6}, axes: nhwc, pad: around1, stride: []int{2, 2}, groups: 2},
	{name: "depthwise", x: []int{2, 5, 6, 3}, w: []int{3, 3, 1, 3}, axes: nhwc, pad: around1, groups: 3},
	{name: "transposed k4 s2 p1", x: []int{2, 3, 4, 2}, w: []int{4, 4, 2, 3}, axes: nhwc, pad: [][2]int{{2, 2}, {2, 2}}, xDilate: []int{2, 2}},
	{name: "transposed k3 s2 with output padding", x: []int{2, 3, 4, 2}, w: []int{3, 3, 2, 3}, axes: nhwc, pad: [][2]int{{1, 2}, {1, 2}}, xDilate: []int{2, 2}},
	{name: "transposed k2 s3", x: []int{1, 3, 4, 2}, w: []int{2, 2, 2, 3}, axes: nhwc, pad: around1, xDilate: []int{3, 3}},
	{name: "transposed, stride and dilation", x: []int{1, 4, 5, 2}, w: []int{3, 2, 2, 3}, axes: nhwc, pad: [][2]int{{2, 1}, {1, 3}}, stride: []int{2, 2}, xDilate: []int{3, 3}, wDilate: []int{2, 2}},
	{name: "negative pads", x: []int{2, 7, 8, 2}, w: []int{3, 3, 2, 3}, axes: nhwc, pad: [][2]int{{-1, 1}, {1, -2}}},
	{name: "negative pads, stride", x: []int{1, 9, 8, 2}, w: []int{3, 2, 2, 3}, axes: nhwc, pad: [][2]int{{-1, -1}, {0, -1}}, stride: []int{2, 2}},
	{name: "negative pads, transposed", x: []int{1, 4, 4, 2}, w: []int{2, 2, 2, 3}, axes: nhwc, pad: [][2]int{{-1, 0}, {-2, 1}}, xDilate: []int{2, 2}},
	{name: "channels first k3 p1", x: []int{2, 2, 6, 5}, w: []int{3, 2, 3, 3}, axes: nchw, pad: around1},
	{name: "channels first k4 s2 p1", x: []int{1, 2, 8, 6}, w: []int{3, 2, 4, 4}, axes: nchw, pad: around1, stride: []int{2, 2}},
	{name: "channels first groups", x: []int{1, 4, 5, 6}, w: []int{4, 2, 3, 3}, axes: nchw, pad: around1, groups: 2},
}

// TestConvolutionGradients holds the gradient of each form, and the gradient of a penalty on it, against differences.
func TestConvolutionGradients(t *testing.T) {
	for _, f := range forms {
		t.Run(f.name, func(t *testing.T) { checkGradients(t, f.x, f.w, f.conv) })
	}
}

// TestConvolutionAdjoint checks <conv(x,w), v> = <x, adjoint of x> = <w, adjoint of w>, which holds because a
// convolution is linear in either argument; rounding of float64 sums is all that may remain.
func TestConvolutionAdjoint(t *testing.T) {
	for _, f := range forms {
		t.Run(f.name, func(t *testing.T) {
			run := program(t, func(in []*graph.Node) []*graph.Node {
				x, w := in[0], in[1]
				y := f.conv(x, w)
				v := graph.Sin(graph.AddScalar(graph.Iota(x.Graph(), y.Shape(), 3), 1.3))
				product := graph.ReduceAllSum(graph.Mul(y, graph.Add(v, graph.StopGradient(graph.Square(y)))))
				g := graph.Gradient(product, x, w)
				return []*graph.Node{product, graph.ReduceAllSum(graph.Mul(x, g[0])), graph.ReduceAllSum(graph.Mul(w, g[1]))}
			})
			out := run(normal("x", f.x...), normal("w", f.w...))
			want := doubles(out[0])[0]
			for i, side := range []string{"x", "w"} {
				if got := doubles(out[1+i])[0]; math.Abs(got-want) > 1e-10*(1+math.Abs(want)) {
					t.Errorf("<%s, adjoint> = %.12g, <conv, v> = %.12g", side, got, want)
				}
			}
		})
	}
}

func TestBatchGroupsAreRefused(t *testing.T) {
	e, err := startEngine()
	if err != nil {
		t.Fatal(err)
	}
	_, err = e.Program("batch groups", func(_ *gx.Vars, in []*graph.Node) []*graph.Node {
		y := graph.ConvGeneral(in[0], in[1], nhwc, nil, nil, nil, nil, 1, 2)
		return graph.Gradient(graph.ReduceAllSum(y), in[0])
	}).Run(nil, normal("x", 2, 4, 4, 2), normal("w", 2, 2, 2, 4))
	if err == nil {
		t.Error("the gradient of a convolution with batch groups was not refused")
	}
}
