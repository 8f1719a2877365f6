package gx

import (
	"math"

	"github.com/gomlx/compute/dtypes"
	"github.com/gomlx/compute/shapes"
	"github.com/gomlx/gomlx/core/graph"
)

// Attention is scaled dot-product attention (Vaswani et al. 2017, equation 1): softmax(q k^T / sqrt(d) + mask) v.
// q is [batch, queries, heads, d], k and v are [batch, keys, heads, d]; the result is [batch, queries, heads, d].
// mask is added to the scores: nil, or anything of rank 4 that broadcasts to [batch, heads, queries, keys].
func Attention(q, k, v, mask *graph.Node) *graph.Node {
	d := q.Shape().Dimensions[3]
	q = graph.MulScalar(q, 1/math.Sqrt(float64(d)))
	scores := graph.DotGeneral(q, []int{3}, []int{0, 2}, k, []int{3}, []int{0, 2}) // [batch, heads, queries, keys]
	if mask != nil {
		scores = graph.Add(scores, mask)
	}
	out := graph.DotGeneral(Softmax(scores), []int{3}, []int{0, 1}, v, []int{1}, []int{0, 2}) // [batch, heads, queries, d]
	return graph.TransposeAllAxes(out, 0, 2, 1, 3)
}

// CausalMask is the mask [1,1,n,n] that lets a token see itself and what came before it: 0 there, -1e9 elsewhere.
func CausalMask(g *graph.Graph, dtype dtypes.DType, n int) *graph.Node {
	i32 := shapes.Make(dtypes.Int32, 1, 1, n, n)
	later := graph.GreaterThan(graph.Iota(g, i32, 3), graph.Iota(g, i32, 2))
	return graph.Where(later, graph.Scalar(g, dtype, -1e9), graph.Scalar(g, dtype, 0.0))
}
