package gx

import (
	"math"

	"github.com/gomlx/compute"
	"github.com/gomlx/compute/dtypes"
	"github.com/gomlx/compute/shapes"
	"github.com/gomlx/gomlx/core/graph"
)

// Attention is scaled dot-product attention (Vaswani et al. 2017, equation 1): softmax(q k^T / sqrt(d) + mask) v.
// q is [batch, queries, heads, d], k and v are [batch, keys, heads, d]; the result is [batch, queries, heads, d].
// mask is added to the scores: nil, or anything of rank 4 that broadcasts to [batch, heads, queries, keys].
//
// In float32, with heads that are narrow (d up to maxFusedWidth), it is one operation of the backend, forward and backward,
// where the backend has it; that one has first derivatives only, and none for the mask.
func Attention(q, k, v, mask *graph.Node) *graph.Node {
	o := compute.ScaledDotProductAttentionConfig{}
	if mask != nil {
		o.Mask = graph.InternalBackendOutputs(graph.StopGradient(mask))[0]
	}
	return attend(q, k, v, o, func() *graph.Node { return mask })
}

// CausalAttention is Attention of n tokens over themselves in which a token sees itself and what came before it.
func CausalAttention(q, k, v *graph.Node) *graph.Node {
	o := compute.ScaledDotProductAttentionConfig{Causal: true}
	return attend(q, k, v, o, func() *graph.Node { return CausalMask(q.Graph(), q.DType(), q.Shape().Dimensions[1]) })
}

// maxFusedWidth bounds the width of heads that are worth an operation for each: wide ones are few, and their products fill
// all threads by themselves.
const maxFusedWidth = 128

func attend(q, k, v *graph.Node, o compute.ScaledDotProductAttentionConfig, mask func() *graph.Node) *graph.Node {
	can := q.Graph().Backend().Capabilities().Operations
	if q.DType() == dtypes.Float32 && q.Shape().Dimensions[3] <= maxFusedWidth &&
		can[compute.OpTypeFusedScaledDotProductAttention] && can[compute.OpTypeFusedScaledDotProductAttentionVJP] {
		y, _ := graph.BackendFusedScaledDotProductAttention(q, k, v, compute.AttentionAxesLayoutBSHD, &o)
		return y
	}
	return attention(q, k, v, mask())
}

// attention is Attention written out.
func attention(q, k, v, mask *graph.Node) *graph.Node {
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
