package gx

import (
	"fmt"

	"github.com/gomlx/gomlx/core/graph"
)

// The norms are written from primitives, so that they have derivatives of any order on every backend. gamma and beta
// are [channels] or nil for none; eps is added to the variance. Statistics are biased (divided by the count), as
// PyTorch's norms use them.

// GroupNorm normalises x [n,...,c] over all positions and the channels of each of the groups (Wu and He 2018).
func GroupNorm(x *graph.Node, groups int, gamma, beta *graph.Node, eps float64) *graph.Node {
	dims := x.Shape().Dimensions
	n, c := dims[0], dims[len(dims)-1]
	if c%groups != 0 {
		panic(fmt.Errorf("group norm of %d channels in %d groups", c, groups))
	}
	// mean over positions first, then over the channels of a group: [n,p,c] -> [n,1,c] -> [n,1,g,1] -> [n,1,c]
	groupMean := func(x *graph.Node) *graph.Node {
		m := graph.ReduceMean(x, 1)
		if groups == c {
			return graph.Reshape(m, n, 1, c)
		}
		m = graph.ReduceAndKeep(graph.Reshape(m, n, groups, c/groups), graph.ReduceMean, 2)
		return graph.Reshape(graph.BroadcastToDims(m, n, groups, c/groups), n, 1, c)
	}
	flat := graph.Reshape(x, n, -1, c)
	d := graph.Sub(flat, groupMean(flat))
	y := affine(d, groupMean(graph.Square(d)), gamma, beta, eps)
	return graph.Reshape(y, dims...)
}

// InstanceNorm normalises each channel of each picture of x [n,...,c] over its positions (Ulyanov et al. 2016).
func InstanceNorm(x, gamma, beta *graph.Node, eps float64) *graph.Node {
	return GroupNorm(x, x.Shape().Dimensions[x.Rank()-1], gamma, beta, eps)
}

// LayerNorm normalises x [...,c] over its last axis (Ba et al. 2016).
func LayerNorm(x, gamma, beta *graph.Node, eps float64) *graph.Node {
	d := graph.Sub(x, graph.ReduceAndKeep(x, graph.ReduceMean, -1))
	return affine(d, graph.ReduceAndKeep(graph.Square(d), graph.ReduceMean, -1), gamma, beta, eps)
}

// BatchNorm normalises x [n,...,c] per channel over everything else (Ioffe and Szegedy 2015), for training. It returns
// the mean and the biased variance of the batch, [c] each, for the running statistics.
func BatchNorm(x, gamma, beta *graph.Node, eps float64) (y, mean, variance *graph.Node) {
	dims := x.Shape().Dimensions
	c := dims[len(dims)-1]
	flat := graph.Reshape(x, -1, c)
	mean = graph.ReduceAndKeep(flat, graph.ReduceMean, 0)
	d := graph.Sub(flat, mean)
	variance = graph.ReduceAndKeep(graph.Square(d), graph.ReduceMean, 0)
	y = graph.Reshape(affine(d, variance, gamma, beta, eps), dims...)
	return y, graph.Reshape(mean, c), graph.Reshape(variance, c)
}

// BatchNormWith normalises x [...,c] with given statistics [c], for inference.
func BatchNormWith(x, mean, variance, gamma, beta *graph.Node, eps float64) *graph.Node {
	return affine(graph.Sub(x, lastAxis(mean, x)), lastAxis(variance, x), gamma, beta, eps)
}

// affine returns d / sqrt(variance + eps) * gamma + beta. The factor is formed in the small shape of variance and
// gamma, so that d is read only twice.
func affine(d, variance, gamma, beta *graph.Node, eps float64) *graph.Node {
	scale := graph.Rsqrt(graph.AddScalar(variance, eps))
	if gamma != nil {
		g := lastAxis(gamma, d)
		if variance.Shape().Dimensions[variance.Rank()-1] == 1 { // layer norm: the product would be as large as d
			d = graph.Mul(d, scale)
			scale = g
		} else {
			scale = graph.Mul(scale, g)
		}
	}
	y := graph.Mul(d, scale)
	if beta != nil {
		y = graph.Add(y, lastAxis(beta, d))
	}
	return y
}

// lastAxis reshapes v [c] to the rank of x, for broadcasting over all but the last axis.
func lastAxis(v, x *graph.Node) *graph.Node {
	dims := make([]int, x.Rank())
	for i := range dims {
		dims[i] = 1
	}
	dims[len(dims)-1] = v.Shape().Size()
	return graph.Reshape(v, dims...)
}

// L2Normalize divides x by its Euclidean norm along an axis, but by no less than 1e-12, as
// torch.nn.functional.normalize does. At zero its gradient is that of the division by 1e-12, not NaN.
func L2Normalize(x *graph.Node, axis int) *graph.Node {
	sum := graph.ReduceAndKeep(graph.Square(x), graph.ReduceSum, axis)
	return graph.Mul(x, graph.Rsqrt(graph.MaxScalar(sum, 1e-24)))
}
