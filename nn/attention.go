package nn

import (
	"fmt"

	"github.com/gomlx/gomlx/core/graph"

	"github.com/smalti/smalti/gx"
)

// Attention is gx.Attention over several heads with its shapes checked: q [n,s,h,d], k and v [n,t,h,d] -> [n,s,h,d].
// With causal set, position i sees positions 0..i only, and s must be t.
func Attention(q, k, v *graph.Node, causal bool) *graph.Node {
	n, s, h, d := dims4(q)
	t := k.Shape().Dimensions[1]
	k.AssertDims(n, t, h, d)
	v.AssertDims(n, t, h, d)
	if causal && s != t {
		panicf("causal attention of %d positions over %d", s, t)
	}
	var y *graph.Node
	if causal {
		y = gx.CausalAttention(q, k, v)
	} else {
		y = gx.Attention(q, k, v, nil)
	}
	y.AssertDims(n, s, h, d)
	return y
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
