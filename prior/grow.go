package prior

import (
	"github.com/gomlx/compute/dtypes"
	"github.com/gomlx/compute/shapes"
	"github.com/gomlx/gomlx/core/graph"

	"github.com/smalti/smalti/gx"
)

// A sequence that grows has room for t positions from the start, so that one compiled graph serves all its lengths: what
// is not there yet is padding that nothing sees. PrefillGraph reads a whole sequence, StepGraph one more code; both do the
// same arithmetic on the same rows of the same arrays.

// PrefillGraph reads sequences of the given lengths: a condition int32 [n,p], codes int32 [n,t-p] of which the first
// lengths[i]-p are there and the rest is any valid code, and lengths int32 [n] in p..t. It returns the logits of the code
// that comes next, [n,VocabSize], and the keys and values of each layer, [n,t,heads,d/heads], in the order k0 v0 k1 v1 ...
func (c Config) PrefillGraph(v *gx.Vars, cond, codes, lengths *graph.Node) (logits *graph.Node, cache []*graph.Node) {
	x := graph.Concatenate([]*graph.Node{c.PrefixGraph(v, cond), c.embed(v, codes)}, 1)
	n, t := x.Shape().Dimensions[0], x.Shape().Dimensions[1]
	lengths.AssertDims(n)
	var padded *graph.Node
	if c.Unmasked > c.Prefix() {
		padded = lengths
	}
	y := c.blocks(v, c.place(v, x), c.whole(c.mask(v.Graph(), t, padded), func(k, v *graph.Node) { cache = append(cache, k, v) }))
	last := graph.OneHot(graph.AddScalar(lengths, -1), t, dtypes.Float32) // [n,t]
	return c.head(v, graph.Einsum("nt,ntd->nd", last, y)), cache
}

// StepGraph reads one more code of every sequence: codes int32 [n], which become position at (int32, a scalar), and the
// cache that PrefillGraph or the last StepGraph returned. It returns the next logits and the cache with the code in it.
// at must be at least Unmasked: codes at unmasked positions change what is before them.
func (c Config) StepGraph(v *gx.Vars, codes, at *graph.Node, cache []*graph.Node) (logits *graph.Node, next []*graph.Node) {
	codes.AssertRank(1)
	g := v.Graph()
	n, t := codes.Shape().Dimensions[0], cache[0].Shape().Dimensions[1]
	x := c.embed(v, graph.Reshape(codes, n, 1))
	table := graph.Reshape(c.positions(v), c.BlockSize, c.Width)
	x = graph.Add(x, graph.Reshape(graph.Gather(table, graph.Reshape(at, 1)), 1, 1, c.Width))
	index := graph.Iota(g, shapes.Make(dtypes.Int32, 1, 1, 1, t), 3)
	mask := graph.Where(graph.GreaterThan(index, at), graph.Scalar(g, dtypes.Float32, hide), graph.Scalar(g, dtypes.Float32, 0.0))
	here := graph.Equal(graph.Reshape(index, 1, t, 1, 1), at)
	insert := func(old, new *graph.Node) *graph.Node {
		dims := old.Shape().Dimensions
		return graph.Where(graph.BroadcastToDims(here, dims...), graph.BroadcastToDims(new, dims...), old)
	}
	y := c.blocks(v, x, func(layer int, q, k, val *graph.Node) *graph.Node {
		k, val = insert(cache[2*layer], k), insert(cache[2*layer+1], val)
		next = append(next, k, val)
		return gx.Attention(q, k, val, mask)
	})
	return c.head(v, graph.Reshape(y, n, c.Width)), next
}
