package nn

import (
	"fmt"
	"math"

	"github.com/gomlx/compute/dtypes"
	"github.com/gomlx/compute/shapes"
	"github.com/gomlx/gomlx/core/graph"

	"github.com/smalti/smalti/gx"
)

// Attention is scaled dot-product attention over several heads (Vaswani et al. 2017, equation 1):
// q [n,s,h,d], k and v [n,t,h,d] -> [n,s,h,d]. With causal set, position i sees positions 0..i only, and s must be t.
func Attention(q, k, v *graph.Node, causal bool) *graph.Node {
	n, s, h, d := dims4(q)
	t := k.Shape().Dimensions[1]
	k.AssertDims(n, t, h, d)
	v.AssertDims(n, t, h, d)
	q = graph.MulScalar(q, 1/math.Sqrt(float64(d)))
	scores := graph.DotGeneral(q, []int{3}, []int{0, 2}, k, []int{3}, []int{0, 2}) // [n,h,s,t]
	if causal {
		if s != t {
			panicf("causal attention of %d positions over %d", s, t)
		}
		scores = graph.Add(scores, graph.ExpandLeftToRank(CausalMask(q.Graph(), s), 4))
	}
	out := graph.DotGeneral(Softmax(scores), []int{3}, []int{0, 1}, v, []int{1}, []int{0, 2}) // [n,h,s,d]
	return graph.TransposeAllAxes(out, 0, 2, 1, 3)
}

// CausalMask is [s,s]: 0 where the column is not after the row, -1e9 elsewhere; add it to scores before a softmax. The
// value is finite so that no gradient meets infinity minus infinity, and exp(-1e9) is 0 in float32.
func CausalMask(g *graph.Graph, s int) *graph.Node {
	shape := shapes.Make(dtypes.Int32, s, s)
	later := graph.GreaterThan(graph.Iota(g, shape, 1), graph.Iota(g, shape, 0))
	return graph.MulScalar(graph.ConvertDType(later, dtypes.Float32), -1e9)
}

// AttentionBlock is taming's AttnBlock: attention of all pixels over all pixels with one head, after a group norm and
// around a residual: x [n,h,w,c] -> [n,h,w,c]. Variables: norm, and 1x1 convolutions q, k, v, proj_out.
func AttentionBlock(v *gx.Vars, x *graph.Node, groups int) *graph.Node {
	n, h, w, c := dims4(x)
	y := GroupNorm(v.In("norm"), x, groups, codecEps)
	head := func(name string) *graph.Node {
		return graph.Reshape(Conv(v.In("%s", name), y, c, 1, 1, 0, true), n, h*w, 1, c)
	}
	y = graph.Reshape(Attention(head("q"), head("k"), head("v"), false), n, h, w, c)
	return graph.Add(x, Conv(v.In("proj_out"), y, c, 1, 1, 0, true))
}

func panicf(format string, args ...any) { panic(fmt.Errorf("nn: "+format, args...)) }
