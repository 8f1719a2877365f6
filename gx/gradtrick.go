package gx

import (
	"fmt"

	"github.com/gomlx/gomlx/core/graph"
)

// StraightThrough returns value, and sends the gradient to grad instead, which has the same shape (Bengio et al. 2013;
// replace_grad of VQGAN-CLIP). The result equals value to the last bit: grad - grad is added, not value - grad.
func StraightThrough(value, grad *graph.Node) *graph.Node {
	if !value.Shape().Equal(grad.Shape()) {
		panic(fmt.Errorf("straight-through of %s with the gradient of %s", value.Shape(), grad.Shape()))
	}
	return graph.Add(graph.StopGradient(value), graph.Sub(grad, graph.StopGradient(grad)))
}

// ClampWithGrad limits x to [lo, hi]. Its gradient passes where x is inside, and where it is outside but a step against
// the gradient would lead back in: g * [g*(x - clamp(x)) >= 0] (clamp_with_grad of VQGAN-CLIP).
func ClampWithGrad(x *graph.Node, lo, hi float64) *graph.Node {
	clamp := func(x *graph.Node) *graph.Node { return graph.MinScalar(graph.MaxScalar(x, lo), hi) }
	zero := graph.ScalarZero(x.Graph(), x.DType())
	path := graph.IdentityWithCustomGradient(x, func(_, g *graph.Node) *graph.Node {
		x := graph.StopGradient(x)
		pass := graph.GreaterOrEqual(graph.Mul(graph.StopGradient(g), graph.Sub(x, clamp(x))), zero)
		return graph.Where(pass, g, graph.ZerosLike(g))
	})
	return StraightThrough(clamp(x), path)
}

// GlobalNorm is the Euclidean norm of all elements of all nodes together.
func GlobalNorm(nodes []*graph.Node) *graph.Node {
	var sum *graph.Node
	for _, n := range nodes {
		s := graph.ReduceAllSum(graph.Square(n))
		if sum == nil {
			sum = s
		} else {
			sum = graph.Add(sum, s)
		}
	}
	return graph.Sqrt(sum)
}

// ClipByGlobalNorm scales gradients down together so that their global norm is at most limit (Pascanu et al. 2013). It
// returns the norm before.
func ClipByGlobalNorm(grads []*graph.Node, limit float64) (clipped []*graph.Node, norm *graph.Node) {
	norm = GlobalNorm(grads)
	scale := graph.MinScalar(graph.Div(graph.Scalar(norm.Graph(), norm.DType(), limit), graph.AddScalar(norm, 1e-6)), 1)
	for _, g := range grads {
		clipped = append(clipped, graph.Mul(g, scale))
	}
	return clipped, norm
}
