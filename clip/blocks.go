package clip

import (
	"fmt"
	"math"

	"github.com/gomlx/gomlx/core/graph"

	"github.com/smalti/smalti/gx"
	"github.com/smalti/smalti/nn"
)

// Letters in shapes: n batch, h w height and width, l tokens, d width, a attention heads, D width of the common space.

const normEps = 1e-5 // of every LayerNorm and BatchNorm in CLIP

// transformer is a stack of residual attention blocks.
type transformer struct {
	width, layers, heads int
	causal               bool
	activation           string
	init                 blockInit

	name string // of the variables, for see
	see  func(block string, y *graph.Node) *graph.Node
}

// blockInit is how the matrices of a block start.
type blockInit struct{ qkv, out, fc, proj gx.Init }

// graph runs x [n,l,d] through the blocks "resblocks.0", "resblocks.1", ... and returns the first keep tokens of what the
// last one makes, [n,keep,d]. What nobody reads is not computed: the last block then has keep queries, but all keys. A
// token's numbers are the same to the last bit, whatever others are computed with it.
func (t transformer) graph(v *gx.Vars, x *graph.Node, keep int) *graph.Node {
	l := x.Shape().Dimensions[1]
	for i := range t.layers {
		b := v.In("resblocks.%d", i)
		y := t.block(b, x, l)
		t.see(fmt.Sprintf("%s.resblocks.%d", t.name, i), y) // dead, and dropped by the engine, if the short one below replaces it
		if i == t.layers-1 && keep < l {
			y = t.block(b, x, keep)
		}
		x = y
	}
	return x
}

// block is one residual attention block: x [n,l,d] -> the first keep tokens [n,keep,d].
func (t transformer) block(v *gx.Vars, x *graph.Node, keep int) *graph.Node {
	y := graph.Add(first(x, keep), t.attention(v.In("attn"), layerNorm(v.In("ln_1"), x), keep))
	return graph.Add(y, t.mlp(v.In("mlp"), layerNorm(v.In("ln_2"), y)))
}

// first is the first n of axis 1 of x.
func first(x *graph.Node, n int) *graph.Node {
	if n == x.Shape().Dimensions[1] {
		return x
	}
	return graph.Slice(x, graph.AxisRange(), graph.AxisRange(0, n))
}

// attention is multi-head self-attention over x [n,l,d] with one matrix for queries, keys and values
// (torch.nn.MultiheadAttention), for the first keep tokens.
func (t transformer) attention(v *gx.Vars, x *graph.Node, keep int) *graph.Node {
	n, l, d := x.Shape().Dimensions[0], x.Shape().Dimensions[1], t.width
	w := v.Get("in_proj_weight", gx.Spec{Dims: []int{d, 3 * d}, Layout: gx.Linear, Init: t.init.qkv})
	b := v.Get("in_proj_bias", gx.Spec{Dims: []int{3 * d}})
	x = graph.Add(graph.DotGeneral(x, []int{2}, nil, w, []int{0}, nil), graph.ExpandLeftToRank(b, 3))
	qkv := graph.Split(x, 2, 3)
	for i := range qkv {
		qkv[i] = graph.Reshape(qkv[i], n, l, t.heads, d/t.heads)
	}
	y := graph.Reshape(nn.Attention(first(qkv[0], keep), qkv[1], qkv[2], t.causal), n, keep, d)
	return linear(v.In("out_proj"), y, d, t.init.out, gx.Zeros)
}

func (t transformer) mlp(v *gx.Vars, x *graph.Node) *graph.Node {
	d := t.width
	h := activate(t.activation, linear(v.In("c_fc"), x, 4*d, t.init.fc, uniform(d)))
	return linear(v.In("c_proj"), h, d, t.init.proj, uniform(4*d))
}

// activate is the nonlinearity of the MLPs.
func activate(name string, x *graph.Node) *graph.Node {
	switch name {
	case QuickGELU:
		return gx.QuickGELU(x)
	case GELU:
		return gx.GELU(x)
	}
	panic(fmt.Errorf("clip: unknown activation %q", name))
}

// uniform is PyTorch's start of biases.
func uniform(fanIn int) gx.Init { return gx.Uniform(1 / math.Sqrt(float64(fanIn))) }

// linear is nn.Linear with a chosen start of its matrix and bias: the first use of a variable decides.
func linear(v *gx.Vars, x *graph.Node, out int, weight, bias gx.Init) *graph.Node {
	in := x.Shape().Dimensions[x.Rank()-1]
	v.Get("weight", gx.Spec{Dims: []int{in, out}, Layout: gx.Linear, Init: weight})
	v.Get("bias", gx.Spec{Dims: []int{out}, Init: bias})
	return nn.Linear(v, x, out, true)
}

// layerNorm is nn.LayerNorm with CLIP's epsilon.
func layerNorm(v *gx.Vars, x *graph.Node) *graph.Node { return nn.LayerNorm(v, x, normEps) }

// project is x w with a matrix stored as [in,out] in files too (proj, text_projection): [n,in] -> [n,out].
func project(v *gx.Vars, name string, x *graph.Node, out int) *graph.Node {
	in := x.Shape().Dimensions[1]
	return graph.Dot(x, v.Get(name, gx.Spec{Dims: []int{in, out}, Init: gx.Normal(1 / math.Sqrt(float64(in)))})).Product()
}
