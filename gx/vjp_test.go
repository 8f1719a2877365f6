package gx_test

import (
	"math"
	"strings"
	"testing"

	"github.com/gomlx/gomlx/core/graph"

	"github.com/smalti/smalti/gx"
)

// TestAttributes names what gx reads from GoMLX's private structs. If it fails after an upgrade, vjp.go and vjpconv.go
// need a new look before anything is trained.
func TestAttributes(t *testing.T) {
	run := program(t, func(in []*graph.Node) []*graph.Node {
		x, w := in[0], in[1]
		conv := graph.ConvGeneral(x, w, nhwc, []int{2, 1}, [][2]int{{1, 0}, {0, 2}}, nil, []int{1, 2}, 1, 1)
		for _, name := range []string{"axes", "strides", "paddings", "inputDilations", "kernelDilations", "channelGroupCount", "batchGroupCount"} {
			gx.Attribute(conv, name)
		}
		if s := gx.Attribute(conv, "strides"); s.Len() != 2 || s.Index(0).Int() != 2 {
			t.Errorf("strides read as %v", s)
		}
		if p := gx.Attribute(conv, "paddings"); p.Len() != 2 || p.Index(1).Index(1).Int() != 2 {
			t.Errorf("paddings read as %v", p)
		}
		for _, name := range []string{
			"InputBatch", "InputChannels", "InputSpatial", "KernelInputChannels", "KernelOutputChannels",
			"KernelSpatial", "OutputBatch", "OutputChannels", "OutputSpatial",
		} {
			if !gx.Attribute(conv, "axes").FieldByName(name).IsValid() {
				t.Errorf("ConvolveAxesConfig has no field %s", name)
			}
		}
		pad := graph.Pad(x, graph.ScalarZero(x.Graph(), x.DType()), graph.PadAxis{Start: 1, End: 2, Interior: 3})
		axis := gx.Attribute(pad, "axesConfig").Index(0)
		for i, name := range []string{"Start", "End", "Interior"} {
			if f := axis.FieldByName(name); !f.IsValid() || f.Int() != int64(i+1) {
				t.Errorf("PadAxis.%s read as %v", name, f)
			}
		}
		return []*graph.Node{conv}
	})
	run(normal("x", 1, 5, 5, 2), normal("w", 3, 2, 2, 3))
}

func TestMissingAttributeSaysSo(t *testing.T) {
	e, err := startEngine()
	if err != nil {
		t.Fatal(err)
	}
	_, err = e.Program("missing", func(_ *gx.Vars, in []*graph.Node) []*graph.Node {
		gx.Attribute(graph.Reverse(in[0], 0), "nonesuch")
		return in
	}).Run(nil, normal("x", 2))
	if err == nil || !strings.Contains(err.Error(), "nonesuch") || !strings.Contains(err.Error(), "GoMLX") {
		t.Errorf("reading an attribute that is not there: %v", err)
	}
}

// TestGradients holds every repaired or added derivative, and every operation whose derivative goes through one,
// against central differences.
func TestGradients(t *testing.T) {
	dot := func(x, w *graph.Node) *graph.Node { return graph.Dot(x, w).Product() }
	pad := func(axes ...graph.PadAxis) function {
		return func(x, w *graph.Node) *graph.Node {
			return dot(graph.Pad(x, graph.ScalarZero(x.Graph(), x.DType()), axes...), w)
		}
	}
	type axis = graph.PadAxis
	cases := []struct {
		name string
		x, w []int
		f    function
	}{
		{"dense", []int{2, 5}, []int{5, 4}, dot},
		{"reverse", []int{2, 5}, []int{5, 4}, func(x, w *graph.Node) *graph.Node { return dot(graph.Reverse(x, 1), w) }},
		{"reverse both", []int{3, 5}, []int{5, 4}, func(x, w *graph.Node) *graph.Node {
			return dot(graph.Mul(graph.Reverse(x, 0, 1), x), w)
		}},
		{"slice", []int{8, 3}, []int{3, 3}, func(x, w *graph.Node) *graph.Node {
			return dot(graph.Slice(x, graph.AxisRange(2, 5)), w)
		}},
		{"slice strided", []int{8, 3}, []int{3, 3}, func(x, w *graph.Node) *graph.Node {
			return dot(graph.Slice(x, graph.AxisRange(1, 8).Stride(2)), w)
		}},
		{"slice strided, rest", []int{9, 3}, []int{3, 3}, func(x, w *graph.Node) *graph.Node {
			return dot(graph.Slice(x, graph.AxisRange(1, 9).Stride(3)), w)
		}},
		{"concatenate", []int{4, 3}, []int{3, 3}, func(x, w *graph.Node) *graph.Node {
			return dot(graph.Concatenate([]*graph.Node{x, graph.Tanh(x)}, 0), w)
		}},
		{"pad", []int{4, 3}, []int{6, 2}, pad(axis{}, axis{Start: 2, End: 1})},
		{"pad interior", []int{4, 3}, []int{8, 2}, pad(axis{}, axis{Start: 1, End: 2, Interior: 1})},
		{"pad cropping end", []int{5, 4}, []int{4, 2}, pad(axis{End: -2}, axis{Start: 1, End: -1})},
		{"pad cropping start", []int{5, 4}, []int{3, 2}, pad(axis{Start: -1}, axis{Start: -2, End: 1})},
		{"pad cropping with interior", []int{5, 4}, []int{5, 2}, pad(axis{Start: -1, End: -2, Interior: 2}, axis{Start: -1, End: -1, Interior: 1})},
		{"pad cropping all but one", []int{5, 4}, []int{4, 2}, pad(axis{Start: -2, End: -2})},
		{"pad value", []int{4, 3}, []int{5, 2}, func(x, w *graph.Node) *graph.Node {
			return dot(graph.Pad(x, graph.ReduceAllSum(graph.Square(w)), axis{Start: 1}, axis{Start: 1, End: 1}), w)
		}},
		{"rsqrt", []int{4, 3}, []int{3, 2}, func(x, w *graph.Node) *graph.Node {
			return graph.Rsqrt(graph.AddScalar(graph.Square(dot(x, w)), 0.5))
		}},
		{"expm1", []int{4, 3}, []int{3, 2}, func(x, w *graph.Node) *graph.Node { return graph.Expm1(dot(x, w)) }},
		{"round", []int{4, 3}, []int{3, 2}, func(x, w *graph.Node) *graph.Node { // only the smooth part has a gradient
			y := dot(x, w)
			return graph.Add(y, graph.Add(graph.Add(graph.Round(y), graph.Floor(y)), graph.Add(graph.Ceil(y), graph.Sign(y))))
		}},
		{"gather", []int{16, 2}, []int{2, 3}, func(x, w *graph.Node) *graph.Node {
			return dot(graph.Gather(x, graph.Const(x.Graph(), [][]int32{{0}, {3}, {1}, {1}, {15}})), w)
		}},
		{"softmax", []int{3, 4}, []int{4, 5}, func(x, w *graph.Node) *graph.Node { return gx.Softmax(dot(x, w)) }},
		{"log softmax", []int{3, 4}, []int{4, 5}, func(x, w *graph.Node) *graph.Node { return gx.LogSoftmax(dot(x, w)) }},
		{"gelu", []int{3, 4}, []int{4, 5}, func(x, w *graph.Node) *graph.Node { return gx.GELU(dot(x, w)) }},
		{"gelu tanh", []int{3, 4}, []int{4, 5}, func(x, w *graph.Node) *graph.Node { return gx.GELUTanh(dot(x, w)) }},
		{"quick gelu", []int{3, 4}, []int{4, 5}, func(x, w *graph.Node) *graph.Node { return gx.QuickGELU(dot(x, w)) }},
		{"silu", []int{3, 4}, []int{4, 5}, func(x, w *graph.Node) *graph.Node { return gx.SiLU(dot(x, w)) }},
		{"leaky relu", []int{3, 4}, []int{4, 5}, func(x, w *graph.Node) *graph.Node { return gx.LeakyReLU(dot(x, w), 0.2) }},
		{"log sigmoid", []int{3, 4}, []int{4, 5}, func(x, w *graph.Node) *graph.Node { return gx.LogSigmoid(dot(x, w)) }},
		{"arcsin", []int{3, 4}, []int{4, 5}, func(x, w *graph.Node) *graph.Node { return gx.Arcsin(graph.Tanh(dot(x, w))) }},
		{"l2 normalize", []int{3, 4}, []int{4, 5}, func(x, w *graph.Node) *graph.Node { return gx.L2Normalize(dot(x, w), -1) }},
		{"layer norm", []int{3, 4}, []int{4, 5}, func(x, w *graph.Node) *graph.Node {
			return gx.LayerNorm(dot(x, w), row(w), row(graph.Square(w)), 1e-5)
		}},
		{"group norm", []int{2, 3, 3, 4}, []int{1, 1, 4, 6}, func(x, w *graph.Node) *graph.Node {
			return gx.GroupNorm(gx.Convolve(x, w, gx.ConvOptions{}), 2, row(w), row(graph.Square(w)), 1e-5)
		}},
		{"instance norm", []int{2, 3, 3, 4}, []int{1, 1, 4, 3}, func(x, w *graph.Node) *graph.Node {
			return gx.InstanceNorm(gx.Convolve(x, w, gx.ConvOptions{}), row(w), nil, 1e-5)
		}},
		{"batch norm", []int{2, 3, 3, 4}, []int{1, 1, 4, 3}, func(x, w *graph.Node) *graph.Node {
			y, mean, variance := gx.BatchNorm(gx.Convolve(x, w, gx.ConvOptions{}), row(w), row(graph.Square(w)), 1e-5)
			return graph.Add(y, graph.Reshape(graph.Mul(mean, variance), 1, 1, 1, 3))
		}},
		{"attention", []int{2, 4, 2, 3}, []int{2, 4, 2, 3}, func(x, w *graph.Node) *graph.Node {
			return gx.Attention(x, w, graph.Mul(x, w), gx.CausalMask(x.Graph(), x.DType(), 4))
		}},
		{"upsample", []int{2, 3, 4, 2}, []int{2, 6, 8, 2}, func(x, w *graph.Node) *graph.Node {
			return graph.Mul(gx.UpsampleNearest(x, 2), w)
		}},
		{"average pool", []int{2, 5, 4, 2}, []int{2, 2, 2, 2}, func(x, w *graph.Node) *graph.Node {
			return graph.Mul(gx.AvgPool(x, 2), w)
		}},
		{"max pool", []int{2, 4, 4, 2}, []int{2, 2, 2, 2}, func(x, w *graph.Node) *graph.Node {
			return graph.Mul(gx.MaxPool(x, 2), w)
		}},
		{"resample", []int{2, 5, 4, 2}, []int{2, 7, 3, 2}, func(x, w *graph.Node) *graph.Node {
			return graph.Mul(gx.Resample(x, gx.CubicMatrix(5, 7, false), gx.LinearMatrix(4, 3, true)), w)
		}},
		{"grid sample zeros", []int{2, 4, 5, 2}, []int{2, 3, 3, 2}, sampled(gx.PadZeros, false)},
		{"grid sample border", []int{2, 4, 5, 2}, []int{2, 3, 3, 2}, sampled(gx.PadBorder, false)},
		{"grid sample reflection", []int{2, 4, 5, 2}, []int{2, 3, 3, 2}, sampled(gx.PadReflect, true)},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) { checkGradients(t, c.x, c.w, c.f) })
	}
}

// row makes a vector of the last axis of w, so that w can serve as a norm's parameters too.
func row(w *graph.Node) *graph.Node {
	c := w.Shape().Dimensions[w.Rank()-1]
	return graph.ReduceSum(graph.Reshape(w, -1, c), 0)
}

func sampled(p gx.Padding, alignCorners bool) function {
	return func(x, w *graph.Node) *graph.Node { return gx.GridSample(x, w, p, alignCorners) }
}

func TestPadOfNothingLeft(t *testing.T) {
	run := program(t, func(in []*graph.Node) []*graph.Node {
		y := graph.Pad(in[0], graph.ScalarZero(in[0].Graph(), in[0].DType()), graph.PadAxis{Start: -3, End: 2})
		return graph.Gradient(graph.ReduceAllSum(y), in[0])
	})
	for _, v := range doubles(run(normal("x", 3))[0]) {
		if v != 0 || math.IsNaN(v) {
			t.Errorf("gradient %g of an element that is not used", v)
		}
	}
}
