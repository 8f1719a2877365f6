package nn

import (
	"math"

	"github.com/gomlx/gomlx/core/graph"

	"github.com/smalti/smalti/gx"
)

// Linear is y = x W + b over the last axis: x [...,in] -> [...,out]. Variables: weight (file [out,in]), bias [out].
func Linear(v *gx.Vars, x *graph.Node, out int, bias bool) *graph.Node {
	dims := x.Shape().Dimensions
	in := dims[len(dims)-1]
	w := v.Get("weight", gx.Spec{Dims: []int{in, out}, Layout: gx.Linear, Init: gx.KaimingUniform})
	y := graph.DotGeneral(x, []int{x.Rank() - 1}, nil, w, []int{0}, nil) // [...,out]
	if bias {
		y = addLast(y, v.Get("bias", gx.Spec{Dims: []int{out}, Init: biasInit(in)}))
	}
	return y
}

// Conv is a square 2-D convolution with equal padding on all sides: x [n,h,w,in] -> [n,h',w',out] with
// h' = (h + 2 pad - kernel)/stride + 1. Variables: weight (file [out,in,k,k]), bias [out].
func Conv(v *gx.Vars, x *graph.Node, out, kernel, stride, pad int, bias bool) *graph.Node {
	return convPads(v, x, out, kernel, stride, [2][2]int{{pad, pad}, {pad, pad}}, bias)
}

// convPads is Conv with padding given as rows {top, bottom} and columns {left, right}.
func convPads(v *gx.Vars, x *graph.Node, out, kernel, stride int, pads [2][2]int, bias bool) *graph.Node {
	in := x.Shape().Dimensions[3]
	w := v.Get("weight", gx.Spec{Dims: []int{kernel, kernel, in, out}, Layout: gx.Conv, Init: gx.KaimingUniform})
	y := conv(x, w, stride, pads)
	if bias {
		y = addLast(y, v.Get("bias", gx.Spec{Dims: []int{out}, Init: biasInit(in * kernel * kernel)}))
	}
	return y
}

// biasInit is PyTorch's default start of the bias of a linear layer or convolution: U(-b,b), b = 1/sqrt(fan in).
func biasInit(fanIn int) gx.Init { return gx.Uniform(1 / math.Sqrt(float64(max(1, fanIn)))) }

// LayerNorm normalises over the last axis and applies a learnt scale and shift (Ba et al. 2016): x [...,c] -> [...,c].
// Variables: weight [c], bias [c].
func LayerNorm(v *gx.Vars, x *graph.Node, eps float64) *graph.Node {
	return affine(v, normalise(x, eps, x.Rank()-1))
}

// GroupNorm normalises over the pixels and the channels of each group and applies a learnt scale and shift for each
// channel (Wu and He 2018): x [n,h,w,c] -> [n,h,w,c]. groups must divide c. Variables: weight [c], bias [c].
func GroupNorm(v *gx.Vars, x *graph.Node, groups int, eps float64) *graph.Node {
	n, h, w, c := dims4(x)
	if groups < 1 || c%groups != 0 {
		panicf("group norm: %d channels do not divide into %d groups", c, groups)
	}
	y := normalise(graph.Reshape(x, n, h*w, groups, c/groups), eps, 1, 3)
	return affine(v, graph.Reshape(y, n, h, w, c))
}

// Embedding looks rows of a learnt table up: ids int32 [...] -> [...,width]. Ids must lie in [0,rows).
// Variable: weight [rows,width], starting at N(0,1) as PyTorch's does.
func Embedding(v *gx.Vars, ids *graph.Node, rows, width int) *graph.Node {
	table := v.Get("weight", gx.Spec{Dims: []int{rows, width}, Init: gx.Normal(1)})
	return graph.Gather(table, graph.InsertAxes(ids, -1))
}

// SiLU is x sigmoid(x), which taming calls nonlinearity and diffusers swish (Ramachandran et al. 2017).
func SiLU(x *graph.Node) *graph.Node { return graph.Mul(x, graph.Sigmoid(x)) }

// Softmax is exp(x)/sum(exp(x)) over the last axis, written so that the largest exponent is 0.
func Softmax(x *graph.Node) *graph.Node {
	e := graph.Exp(graph.Sub(x, graph.StopGradient(graph.ReduceAndKeep(x, graph.ReduceMax, -1))))
	return graph.Div(e, graph.ReduceAndKeep(e, graph.ReduceSum, -1))
}

// normalise returns (x - mean)/sqrt(var + eps) over axes, with the biased variance.
func normalise(x *graph.Node, eps float64, axes ...int) *graph.Node {
	d := graph.Sub(x, graph.ReduceAndKeep(x, graph.ReduceMean, axes...))
	variance := graph.ReduceAndKeep(graph.Mul(d, d), graph.ReduceMean, axes...)
	return graph.Mul(d, graph.Rsqrt(graph.AddScalar(variance, eps)))
}

// affine applies the variables weight and bias, one of each for each channel of the last axis.
func affine(v *gx.Vars, x *graph.Node) *graph.Node {
	c := x.Shape().Dimensions[x.Rank()-1]
	w := v.Get("weight", gx.Spec{Dims: []int{c}, Init: gx.Ones})
	b := v.Get("bias", gx.Spec{Dims: []int{c}, Init: gx.Zeros})
	return addLast(graph.Mul(x, graph.ExpandLeftToRank(w, x.Rank())), b)
}

// addLast adds b [c] to every row of x [...,c].
func addLast(x, b *graph.Node) *graph.Node { return graph.Add(x, graph.ExpandLeftToRank(b, x.Rank())) }

func dims4(x *graph.Node) (n, h, w, c int) {
	x.AssertRank(4)
	d := x.Shape().Dimensions
	return d[0], d[1], d[2], d[3]
}
