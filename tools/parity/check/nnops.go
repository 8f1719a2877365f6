package check

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/gomlx/compute/dtypes"
	"github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"

	"github.com/smalti/smalti/engine"
	"github.com/smalti/smalti/golden"
	"github.com/smalti/smalti/gx"
)

// operation computes y from x and the weights w0, w1 of the fixture, all in PyTorch's layout.
type operation func(x *graph.Node, w []*graph.Node) *graph.Node

// nnOps compares the low-level operations: values, and gradients for every argument. NAME.x, NAME.w0, NAME.w1 are the
// arguments, NAME.y the value; NAME.gy is the upstream gradient and NAME.gx, NAME.gw0, NAME.gw1 the gradients.
func nnOps(f *golden.Fixture, r *golden.Report) error {
	e, err := startEngine()
	if err != nil {
		return err
	}
	for _, name := range f.Names() {
		op, isValue := strings.CutSuffix(name, ".y")
		if !isValue {
			continue
		}
		if err := nnOp(e, f, r, op); err != nil {
			return fmt.Errorf("%s: %w", op, err)
		}
	}
	if err := nnAffineGrid(e, f, r); err != nil {
		return fmt.Errorf("affine_grid: %w", err)
	}
	return nnOptimisers(f, r)
}

// nnOp compares one operation.
func nnOp(e *engine.Engine, f *golden.Fixture, r *golden.Report, name string) error {
	if strings.HasPrefix(name, "batchnorm_train") {
		return nnBatchNorm(e, f, r, name)
	}
	op, err := nnOperation(f, name)
	if err != nil {
		return err
	}
	args := []string{"x"}
	for _, w := range []string{"w0", "w1"} {
		if f.Has(name + "." + w) {
			args = append(args, w)
		}
	}
	in := []*tensors.Tensor{fixtureTensor(f, name+".gy")}
	for _, a := range args {
		in = append(in, fixtureTensor(f, name+"."+a))
	}
	out, err := e.Program(name, func(_ *gx.Vars, in []*graph.Node) []*graph.Node {
		y := op(in[1], in[2:])
		v := graph.ReshapeWithShape(in[0], y.Shape())
		return append([]*graph.Node{y}, graph.Gradient(graph.ReduceAllSum(graph.Mul(y, v)), in[1:]...)...)
	}).Run(nil, in...)
	if err != nil {
		return err
	}
	for i, suffix := range append([]string{"y"}, args...) {
		if i > 0 {
			suffix = "g" + suffix
		}
		r.Compare(name+"."+suffix, engine.Floats(out[i]), f.Floats(name+"."+suffix), nnTolerance)
	}
	return nil
}

// nnTolerance is what the fixture asks for; sums in another order need about a tenth of it.
var nnTolerance = golden.Tolerance{Abs: 1e-5, Rel: 1e-5}

func fixtureTensor(f *golden.Fixture, name string) *tensors.Tensor {
	return engine.FromFloats(slices.Clone(f.Floats(name)), f.Shape(name)...)
}

// nnSimple are the operations that need nothing but x.
var nnSimple = map[string]func(x *graph.Node) *graph.Node{
	"relu": gx.ReLU, "silu": gx.SiLU, "quick_gelu": gx.QuickGELU, "gelu_erf": gx.GELU, "gelu_tanh": gx.GELUTanh,
	"sigmoid": graph.Sigmoid, "tanh": graph.Tanh, "softplus": gx.Softplus, "logsigmoid": gx.LogSigmoid,
	"leaky_relu_0.2":   func(x *graph.Node) *graph.Node { return gx.LeakyReLU(x, 0.2) },
	"arcsin_of_tanh":   func(x *graph.Node) *graph.Node { return gx.Arcsin(graph.Tanh(x)) },
	"softmax_last":     gx.Softmax,
	"log_softmax_last": gx.LogSoftmax,
	"normalize_dim1":   func(x *graph.Node) *graph.Node { return gx.L2Normalize(x, 1) },
}

// nnOperation finds the operation that a name of the fixture stands for.
func nnOperation(f *golden.Fixture, name string) (operation, error) {
	if simple, ok := nnSimple[name]; ok {
		return func(x *graph.Node, _ []*graph.Node) *graph.Node { return simple(x) }, nil
	}
	switch kind, _, _ := strings.Cut(name, "_"); kind {
	case "conv", "convT", "downsample":
		return nnConvolution(name)
	case "groupnorm":
		return nnNorm(func(x, gamma, beta *graph.Node) *graph.Node { return gx.GroupNorm(x, 32, gamma, beta, 1e-6) }), nil
	case "instancenorm":
		return nnNorm(func(x, gamma, beta *graph.Node) *graph.Node { return gx.InstanceNorm(x, gamma, beta, 1e-5) }), nil
	case "layernorm":
		return func(x *graph.Node, w []*graph.Node) *graph.Node { return gx.LayerNorm(x, w[0], w[1], 1e-5) }, nil
	case "grid":
		return nnGridSample(f, name)
	case "sdpa":
		return nnAttention, nil
	case "cross":
		labels := f.Ints(name + ".target")
		return func(x *graph.Node, _ []*graph.Node) *graph.Node {
			return gx.CrossEntropy(x, graph.ConvertDType(graph.Const(x.Graph(), labels), dtypes.Int32))
		}, nil
	case "bce":
		target := slices.Clone(f.Floats(name + ".target"))
		return func(x *graph.Node, _ []*graph.Node) *graph.Node {
			return gx.BCEWithLogits(x, graph.ReshapeWithShape(graph.Const(x.Graph(), target), x.Shape()))
		}, nil
	}
	return nil, fmt.Errorf("no operation of that name")
}

// channelsLast and channelsFirst go between PyTorch's pictures [n,c,h,w] and ours [n,h,w,c].
func channelsLast(x *graph.Node) *graph.Node  { return graph.TransposeAllAxes(x, 0, 2, 3, 1) }
func channelsFirst(x *graph.Node) *graph.Node { return graph.TransposeAllAxes(x, 0, 3, 1, 2) }

// nnConvolution reads the options of conv_ci3_co8_k3_s1_p1_d1_g1 or convT_ci6_co4_k4_s2_p1_op0 from the name.
func nnConvolution(name string) (operation, error) {
	option := map[string]int{}
	for _, part := range strings.Split(name, "_")[1:] {
		key := strings.TrimRight(part, "0123456789")
		if n, err := strconv.Atoi(part[len(key):]); err == nil {
			option[key] = n
		}
	}
	bias := func(y, b *graph.Node) *graph.Node {
		return channelsFirst(graph.Add(y, graph.Reshape(b, 1, 1, 1, -1)))
	}
	if strings.HasPrefix(name, "convT_") {
		return func(x *graph.Node, w []*graph.Node) *graph.Node {
			kernel := graph.TransposeAllAxes(w[0], 2, 3, 0, 1)
			return bias(gx.ConvTranspose(channelsLast(x), kernel, option["s"], option["p"], option["op"]), w[1])
		}, nil
	}
	o := gx.ConvOptions{Stride: option["s"], Pad: gx.Around(option["p"]), Dilation: option["d"], Groups: option["g"]}
	switch {
	case name == "downsample_asym_pad_0101_k3_s2":
		o = gx.ConvOptions{Stride: 2, Pad: [2][2]int{{0, 1}, {0, 1}}}
	case option["s"] == 0:
		return nil, fmt.Errorf("no stride in the name")
	}
	return func(x *graph.Node, w []*graph.Node) *graph.Node {
		return bias(gx.Convolve(channelsLast(x), graph.TransposeAllAxes(w[0], 2, 3, 1, 0), o), w[1])
	}, nil
}

func nnNorm(norm func(x, gamma, beta *graph.Node) *graph.Node) operation {
	return func(x *graph.Node, w []*graph.Node) *graph.Node {
		return channelsFirst(norm(channelsLast(x), w[0], w[1]))
	}
}

// nnBatchNorm compares training-mode batch norm and the running statistics after it: momentum 0.1, from 0 and 1, the
// variance unbiased (times n/(n-1)).
func nnBatchNorm(e *engine.Engine, f *golden.Fixture, r *golden.Report, name string) error {
	var in []*tensors.Tensor
	for _, a := range []string{"gy", "x", "w0", "w1"} {
		in = append(in, fixtureTensor(f, name+"."+a))
	}
	out, err := e.Program(name, func(_ *gx.Vars, in []*graph.Node) []*graph.Node {
		y, mean, variance := gx.BatchNorm(channelsLast(in[1]), in[2], in[3], 1e-5)
		y = channelsFirst(y)
		n := float64(y.Shape().Size() / mean.Shape().Size())
		outs := []*graph.Node{
			y, graph.MulScalar(mean, 0.1),
			graph.AddScalar(graph.MulScalar(variance, 0.1*n/(n-1)), 0.9),
		}
		return append(outs, graph.Gradient(graph.ReduceAllSum(graph.Mul(y, in[0])), in[1:]...)...)
	}).Run(nil, in...)
	if err != nil {
		return err
	}
	for i, suffix := range []string{"y", "running_mean_after", "running_var_after", "gx", "gw0", "gw1"} {
		r.Compare(name+"."+suffix, engine.Floats(out[i]), f.Floats(name+"."+suffix), nnTolerance)
	}
	return nil
}

// nnGridSample reads padding and align_corners of grid_sample_bilinear_zeros_False from the name.
func nnGridSample(f *golden.Fixture, name string) (operation, error) {
	parts := strings.Split(name, "_")
	padding, ok := map[string]gx.Padding{"zeros": gx.PadZeros, "border": gx.PadBorder, "reflection": gx.PadReflect}[parts[3]]
	if !ok {
		return nil, fmt.Errorf("unknown padding %q", parts[3])
	}
	grid, dims := slices.Clone(f.Floats(name+".grid")), f.Shape(name+".grid")
	align := parts[4] == "True"
	return func(x *graph.Node, _ []*graph.Node) *graph.Node {
		at := graph.Reshape(graph.Const(x.Graph(), grid), dims...)
		return channelsFirst(gx.GridSample(channelsLast(x), at, padding, align))
	}, nil
}

// nnAffineGrid compares the grids of affine_grid.theta with those that grid_sample was recorded on.
func nnAffineGrid(e *engine.Engine, f *golden.Fixture, r *golden.Report) error {
	const pattern = "grid_sample_bilinear_zeros_"
	for _, align := range []bool{false, true} {
		want := pattern + map[bool]string{false: "False", true: "True"}[align] + ".grid"
		dims := f.Shape(want)
		out, err := e.Program("affine_grid", func(_ *gx.Vars, in []*graph.Node) []*graph.Node {
			return []*graph.Node{gx.AffineGrid(in[0], dims[1], dims[2], align)}
		}).Run(nil, fixtureTensor(f, "affine_grid.theta"))
		if err != nil {
			return err
		}
		r.Compare("affine_"+want, engine.Floats(out[0]), f.Floats(want), nnTolerance)
	}
	return nil
}

// nnAttention is causal attention over [heads, tokens, width].
func nnAttention(q *graph.Node, w []*graph.Node) *graph.Node {
	heads := func(x *graph.Node) *graph.Node { return graph.InsertAxes(graph.TransposeAllAxes(x, 1, 0, 2), 0) }
	mask := gx.CausalMask(q.Graph(), q.DType(), q.Shape().Dimensions[1])
	y := gx.Attention(heads(q), heads(w[0]), heads(w[1]), mask) // [1, tokens, heads, width]
	return graph.TransposeAllAxes(graph.Squeeze(y, 0), 1, 0, 2)
}
