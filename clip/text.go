package clip

import (
	"math"

	"github.com/gomlx/compute/dtypes"
	"github.com/gomlx/gomlx/core/graph"

	"github.com/smalti/smalti/gx"
)

// TextHidden is the text tower up to its last normalisation: tokens int32 [n,l] -> [n,l,width]. Every position knows
// itself and what stands before it, so what follows a text's end changes nothing and l may be any number of tokens up to
// ContextLength that holds the ends.
func (c Config) TextHidden(v *gx.Vars, tokens *graph.Node) *graph.Node {
	return tower{c, ignore}.textHidden(v, tokens)
}

func (c tower) textHidden(v *gx.Vars, tokens *graph.Node) *graph.Node {
	t := c.Text
	n, l := tokens.Shape().Dimensions[0], tokens.Shape().Dimensions[1]
	table := v.In("token_embedding").Get("weight", gx.Spec{Dims: []int{t.VocabSize, t.Width}, Init: gx.Normal(0.02)})
	x := c.see("token_embedding", graph.Gather(table, graph.InsertAxes(tokens, -1)))
	pos := v.Get("positional_embedding", gx.Spec{Dims: []int{t.ContextLength, t.Width}, Init: gx.Normal(0.01)})
	if l < t.ContextLength {
		pos = graph.Slice(pos, graph.AxisRange(0, l), graph.AxisRange())
	}
	x = c.see("positional_embedding", graph.Add(x, graph.ExpandLeftToRank(pos, 3)))
	x.AssertDims(n, l, t.Width)

	std := 1 / math.Sqrt(float64(t.Width))
	thin := std / math.Sqrt(2*float64(t.Layers)) // the sum of 2 x layers residual branches keeps its variance
	blocks := transformer{width: t.Width, layers: t.Layers, heads: t.Heads, causal: true, activation: c.Activation, see: c.see, name: "transformer",
		init: blockInit{qkv: gx.Normal(std), out: gx.Normal(thin), fc: gx.Normal(std / math.Sqrt2), proj: gx.Normal(thin)}}
	return c.see("ln_final", layerNorm(v.In("ln_final"), blocks.graph(v.In("transformer"), x, l)))
}

// TextGraph is the text tower: tokens int32 [n,l] as Tokenize makes them -> features [n,D], not normalised. A text's
// features are those at its largest token, which is its end.
func (c Config) TextGraph(v *gx.Vars, tokens *graph.Node) *graph.Node {
	return tower{c, ignore}.text(v, tokens)
}

func (c tower) text(v *gx.Vars, tokens *graph.Node) *graph.Node {
	x := c.textHidden(v, tokens)
	end := graph.ArgMax(tokens, 1, dtypes.Int32)
	at := graph.OneHot(end, x.Shape().Dimensions[1], dtypes.Float32)
	return c.see("text_projection", project(v, "text_projection", graph.Einsum("nl,nld->nd", at, x), c.EmbedDim))
}
