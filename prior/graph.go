package prior

import (
	"fmt"
	"math"

	"github.com/gomlx/compute/dtypes"
	"github.com/gomlx/compute/shapes"
	"github.com/gomlx/gomlx/core/graph"

	"github.com/smalti/smalti/gx"
	"github.com/smalti/smalti/nn"
)

const (
	normEps = 1e-5
	initStd = 0.02 // of every matrix and table (minGPT's _init_weights); positions start at zero
)

// LogitsGraph is the network: ids int32 [n,s], read after the vectors of a prefix [n,p,d] (either may be nil), to the
// logits of what follows each position: [n,p+s,VocabSize].
func (c Config) LogitsGraph(v *gx.Vars, prefix, ids *graph.Node) *graph.Node {
	return c.head(v, c.hidden(v, prefix, ids))
}

// hidden is the network without its head: [n,p+s,d].
func (c Config) hidden(v *gx.Vars, prefix, ids *graph.Node) *graph.Node {
	x := prefix
	if ids != nil {
		e := c.embed(v, ids)
		if x = e; prefix != nil {
			x = graph.Concatenate([]*graph.Node{prefix, e}, 1)
		}
	}
	t := x.Shape().Dimensions[1]
	return c.blocks(v, c.place(v, x), c.whole(c.mask(v.Graph(), t, nil), nil))
}

// PrefixGraph turns a condition into the vectors in front of the codes: tokens int32 [n,p] -> [n,p,d].
func (c Config) PrefixGraph(v *gx.Vars, cond *graph.Node) *graph.Node {
	cond.AssertDims(-1, c.Prefix())
	if c.Condition != Text {
		return c.embed(v, cond)
	}
	text := v.In("text")
	table := text.In("token_embedding").Get("weight", gx.Spec{Dims: []int{c.Text.Vocab + 1, c.Text.Width}, Init: gx.Normal(1)})
	rows := graph.Gather(table, graph.InsertAxes(cond, -1))
	// The table starts at variance 1, so that a matrix like the others would drown the caption.
	return linear(text.In("projection"), rows, c.Width, true, gx.Normal(initStd/math.Sqrt(float64(c.Text.Width))))
}

// CodesGraph is the prediction of a whole sequence (Net2NetTransformer.forward): a condition int32 [n,p] and codes int32
// [n,s] -> the logits of each code given the condition and the codes before it, [n,s,VocabSize].
func (c Config) CodesGraph(v *gx.Vars, cond, codes *graph.Node) *graph.Node {
	prefix, p := c.PrefixGraph(v, cond), c.Prefix()
	s := codes.Shape().Dimensions[1]
	var read *graph.Node // the last code is only predicted
	if s > 1 {
		read = graph.Slice(codes, graph.AxisRange(), graph.AxisRange(0, s-1))
	}
	y := c.hidden(v, prefix, read)
	return c.head(v, graph.Slice(y, graph.AxisRange(), graph.AxisRange(p-1), graph.AxisRange())) // captions are not predicted
}

// embed looks tokens of the network's own vocabulary up: int32 [n,s] -> [n,s,d].
func (c Config) embed(v *gx.Vars, ids *graph.Node) *graph.Node {
	return graph.Gather(c.table(v), graph.InsertAxes(ids, -1))
}

func (c Config) table(v *gx.Vars) *graph.Node {
	return v.In("transformer.tok_emb").Get("weight", gx.Spec{Dims: []int{c.VocabSize, c.Width}, Init: gx.Normal(initStd)})
}

func (c Config) positions(v *gx.Vars) *graph.Node {
	return v.In("transformer").Get("pos_emb", gx.Spec{Dims: []int{1, c.BlockSize, c.Width}})
}

// place adds the vectors of the positions 0..t-1 to x [n,t,d].
func (c Config) place(v *gx.Vars, x *graph.Node) *graph.Node {
	t := x.Shape().Dimensions[1]
	if t > c.BlockSize {
		panic(fmt.Errorf("prior: %d positions, the network has %d", t, c.BlockSize))
	}
	x.AssertDims(-1, t, c.Width)
	return graph.Add(x, graph.Slice(c.positions(v), graph.AxisRange(), graph.AxisRange(0, t), graph.AxisRange()))
}

// mask is what every position may see, to be added to the scores, [1,1,t,t] (or [n,1,t,t] with lengths): itself and what
// is before it, and of the first Unmasked positions each all of them. lengths, int32 [n] or nil, says how many positions
// of each sequence there are when the rest is padding; only unmasked positions could see that.
func (c Config) mask(g *graph.Graph, t int, lengths *graph.Node) *graph.Node {
	square := shapes.Make(dtypes.Int32, 1, 1, t, t)
	row, key := graph.Iota(g, square, 2), graph.Iota(g, square, 3)
	if c.Unmasked > 1 {
		last := graph.Scalar(g, dtypes.Int32, c.Unmasked-1)
		row = graph.Where(graph.LessThan(row, last), graph.BroadcastToShape(last, square), row)
	}
	hidden := graph.GreaterThan(key, row)
	if lengths != nil && c.Unmasked > 1 {
		n := lengths.Shape().Dimensions[0]
		all := []int{n, 1, t, t}
		beyond := graph.GreaterOrEqual(graph.BroadcastToDims(key, all...), graph.BroadcastToDims(graph.Reshape(lengths, n, 1, 1, 1), all...))
		hidden = graph.LogicalOr(graph.BroadcastToDims(hidden, all...), beyond)
	}
	return graph.Where(hidden, graph.Scalar(g, dtypes.Float32, hide), graph.Scalar(g, dtypes.Float32, 0.0))
}

// hide is added to scores that must not count: exp of it is 0 in float32.
const hide = -1e9

// attend maps the queries, keys and values of a layer, [n,t,heads,d/heads] each, to what attention gives.
type attend func(layer int, q, k, v *graph.Node) *graph.Node

// whole is attention over a whole sequence. seen is told the keys and values of each layer; it may be nil.
func (c Config) whole(mask *graph.Node, seen func(k, v *graph.Node)) attend {
	return func(_ int, q, k, v *graph.Node) *graph.Node {
		if seen != nil {
			seen(k, v)
		}
		return gx.Attention(q, k, v, mask)
	}
}

// blocks are the layers and the last norm: x [n,t,d] -> [n,t,d].
func (c Config) blocks(v *gx.Vars, x *graph.Node, a attend) *graph.Node {
	n, t := x.Shape().Dimensions[0], x.Shape().Dimensions[1]
	v = v.In("transformer")
	for i := range c.Layers {
		b := v.In("blocks.%d", i)
		y := nn.LayerNorm(b.In("ln1"), x, normEps)
		head := func(name string) *graph.Node {
			return graph.Reshape(c.dense(b.In("attn.%s", name), y, c.Width), n, t, c.Heads, c.Width/c.Heads)
		}
		y = graph.Reshape(a(i, head("query"), head("key"), head("value")), n, t, c.Width)
		x = graph.Add(x, c.dense(b.In("attn.proj"), y, c.Width))
		y = gx.GELU(c.dense(b.In("mlp.0"), nn.LayerNorm(b.In("ln2"), x, normEps), 4*c.Width))
		x = graph.Add(x, c.dense(b.In("mlp.2"), y, c.Width))
	}
	return nn.LayerNorm(v.In("ln_f"), x, normEps)
}

// head gives the logits of vectors [...,d] -> [...,VocabSize].
func (c Config) head(v *gx.Vars, x *graph.Node) *graph.Node {
	return linear(v.In("transformer.head"), x, c.VocabSize, false, gx.Normal(initStd))
}

func (c Config) dense(v *gx.Vars, x *graph.Node, out int) *graph.Node {
	return linear(v, x, out, true, gx.Normal(initStd))
}

// linear is nn.Linear with minGPT's start: biases at zero.
func linear(v *gx.Vars, x *graph.Node, out int, bias bool, start gx.Init) *graph.Node {
	dims := x.Shape().Dimensions
	in := dims[len(dims)-1]
	w := v.Get("weight", gx.Spec{Dims: []int{in, out}, Layout: gx.Linear, Init: start})
	y := graph.DotGeneral(x, []int{len(dims) - 1}, nil, w, []int{0}, nil)
	if bias {
		y = graph.Add(y, graph.ExpandLeftToRank(v.Get("bias", gx.Spec{Dims: []int{out}}), y.Rank()))
	}
	return y
}
