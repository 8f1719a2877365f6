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
	return convWith(v, x, out, kernel, gx.ConvOptions{Stride: stride, Pad: gx.Around(pad)}, bias)
}

// Wrap says which sides of a picture continue at the opposite ones, so that copies of it fit together: Rows lets the
// bottom continue at the top, Columns the right at the left.
type Wrap struct{ Rows, Columns bool }

// conv is convWith in which zeros beyond the sides that wrap are replaced by what lies at the opposite ones.
func (w Wrap) conv(v *gx.Vars, x *graph.Node, out, kernel int, o gx.ConvOptions) *graph.Node {
	var around [2][2]int
	for i, on := range []bool{w.Rows, w.Columns} {
		if on {
			around[i], o.Pad[i] = o.Pad[i], [2]int{}
		}
	}
	return convWith(v, gx.WrapPad(x, around[0], around[1]), out, kernel, o, true)
}

// conv3 is a 3x3 convolution that keeps the size.
func (w Wrap) conv3(v *gx.Vars, x *graph.Node, out int) *graph.Node {
	return w.conv(v, x, out, 3, gx.ConvOptions{Pad: gx.Around(1)})
}

// convWith is Conv with all of gx's options but groups.
func convWith(v *gx.Vars, x *graph.Node, out, kernel int, o gx.ConvOptions, bias bool) *graph.Node {
	in := x.Shape().Dimensions[3]
	w := v.Get("weight", gx.Spec{Dims: []int{kernel, kernel, in, out}, Layout: gx.Conv, Init: gx.KaimingUniform})
	y := gx.Convolve(x, w, o)
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
	weight, bias := channels(v, x)
	return gx.LayerNorm(x, weight, bias, eps)
}

// GroupNorm normalises over the pixels and the channels of each group and applies a learnt scale and shift for each
// channel (Wu and He 2018): x [n,h,w,c] -> [n,h,w,c]. groups must divide c. Variables: weight [c], bias [c].
func GroupNorm(v *gx.Vars, x *graph.Node, groups int, eps float64) *graph.Node {
	if c := x.Shape().Dimensions[x.Rank()-1]; groups < 1 || c%groups != 0 {
		panicf("group norm: %d channels do not divide into %d groups", c, groups)
	}
	weight, bias := channels(v, x)
	return gx.GroupNorm(x, groups, weight, bias, eps)
}

// Embedding looks rows of a learnt table up: ids int32 [...] -> [...,width]. Ids must lie in [0,rows).
// Variable: weight [rows,width], starting at N(0,1) as PyTorch's does.
func Embedding(v *gx.Vars, ids *graph.Node, rows, width int) *graph.Node {
	table := v.Get("weight", gx.Spec{Dims: []int{rows, width}, Init: gx.Normal(1)})
	return graph.Gather(table, graph.InsertAxes(ids, -1))
}

// channels declares the variables weight and bias of a norm, one of each for each channel of the last axis.
func channels(v *gx.Vars, x *graph.Node) (weight, bias *graph.Node) {
	c := []int{x.Shape().Dimensions[x.Rank()-1]}
	return v.Get("weight", gx.Spec{Dims: c, Init: gx.Ones}), v.Get("bias", gx.Spec{Dims: c, Init: gx.Zeros})
}

// addLast adds b [c] to every row of x [...,c].
func addLast(x, b *graph.Node) *graph.Node { return graph.Add(x, graph.ExpandLeftToRank(b, x.Rank())) }

func dims4(x *graph.Node) (n, h, w, c int) {
	x.AssertRank(4)
	d := x.Shape().Dimensions
	return d[0], d[1], d[2], d[3]
}
