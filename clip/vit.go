package clip

import (
	"math"

	"github.com/gomlx/gomlx/core/graph"

	"github.com/smalti/smalti/gx"
)

// vit is the vision transformer (Dosovitskiy et al. 2020, arXiv:2010.11929) as in openai/CLIP VisionTransformer:
// x [n,S,S,3] -> patches and a class token [n,l,d] -> blocks -> the class token, projected [n,D].
func (c tower) vit(v *gx.Vars, x *graph.Node) *graph.Node {
	t := c.Vision
	n, d, side := x.Shape().Dimensions[0], t.Width, t.ImageSize/t.PatchSize
	l := side*side + 1
	std := 1 / math.Sqrt(float64(d))

	x = c.see("visual.conv1", patches(v.In("conv1"), x, t.PatchSize, d))
	class := v.Get("class_embedding", gx.Spec{Dims: []int{d}, Init: gx.Normal(std)})
	x = graph.Concatenate([]*graph.Node{graph.BroadcastToDims(graph.Reshape(class, 1, 1, d), n, 1, d), x}, 1)
	x = c.see("visual.class_embedding", x)
	pos := v.Get("positional_embedding", gx.Spec{Dims: []int{l, d}, Init: gx.Normal(std)})
	x = c.see("visual.positional_embedding", graph.Add(x, graph.ExpandLeftToRank(pos, 3)))
	x = c.see("visual.ln_pre", layerNorm(v.In("ln_pre"), x))
	x.AssertDims(n, l, d)

	blocks := transformer{width: d, layers: t.Layers, heads: t.Heads, activation: c.Activation, see: c.see, name: "visual.transformer",
		init: blockInit{qkv: gx.XavierUniform, out: gx.KaimingUniform, fc: gx.KaimingUniform, proj: gx.KaimingUniform}}
	x = graph.Reshape(blocks.graph(v.In("transformer"), x, 1), n, d) // the class token
	x = c.see("visual.ln_post", layerNorm(v.In("ln_post"), x))
	return c.see("visual.proj", project(v, "proj", x, c.EmbedDim))
}

// patches is the convolution of side and stride p, written as the matrix product that it is: x [n,S,S,3] -> [n,(S/p)^2,d].
func patches(v *gx.Vars, x *graph.Node, p, d int) *graph.Node {
	s := x.Shape().Dimensions
	n, side, ch := s[0], s[1]/p, s[3]
	w := v.Get("weight", gx.Spec{Dims: []int{p, p, ch, d}, Layout: gx.Conv, Init: gx.KaimingUniform})
	x = graph.TransposeAllAxes(graph.Reshape(x, n, side, p, side, p, ch), 0, 1, 3, 2, 4, 5)
	x = graph.Reshape(x, n, side*side, p*p*ch)
	return graph.DotGeneral(x, []int{2}, nil, graph.Reshape(w, p*p*ch, d), []int{0}, nil)
}
