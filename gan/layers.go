package gan

import (
	"math"

	"github.com/gomlx/gomlx/core/graph"

	"github.com/smalti/smalti/gx"
)

// normEps is added to variances, as in PyTorch's norms.
const normEps = 1e-5

// Stats makes batch norms use the statistics of their batch, as in training, and remembers them. Without it (nil) they
// use the running ones.
type Stats struct {
	Moves []Move
}

// Move is what a forward pass in training wants of one running statistic.
type Move struct {
	Name  string      // full name of the variable
	Batch *graph.Node // statistic of the batch, [c]; the variance is the unbiased one
	Start float32     // where the running statistic begins
}

// Momentum is how far a running statistic goes towards that of the batch in a forward pass: PyTorch's default.
const Momentum = 0.1

// Apply sets the running statistics in the graph itself: running <- (1 - Momentum) running + Momentum batch.
func (s *Stats) Apply(v *gx.Vars) {
	for _, m := range s.Moves {
		old := v.Get(m.Name, gx.Spec{Dims: m.Batch.Shape().Dimensions, Init: gx.Const(float64(m.Start))})
		v.Set(m.Name, graph.Add(graph.MulScalar(old, 1-Momentum), graph.MulScalar(graph.StopGradient(m.Batch), Momentum)))
	}
}

// batchNorm is a batch norm over all axes but the last: weight, bias, running_mean, running_var.
func batchNorm(v *gx.Vars, x *graph.Node, s *Stats) *graph.Node {
	c := []int{lastDim(x)}
	weight, bias := v.Get("weight", gx.Spec{Dims: c, Init: gx.Ones}), v.Get("bias", gx.Spec{Dims: c})
	if s == nil {
		mean, variance := v.Get("running_mean", gx.Spec{Dims: c}), v.Get("running_var", gx.Spec{Dims: c, Init: gx.Ones})
		return gx.BatchNormWith(x, mean, variance, weight, bias, normEps)
	}
	y, mean, variance := gx.BatchNorm(x, weight, bias, normEps)
	count := float64(x.Shape().Size() / c[0])
	unbiased := graph.MulScalar(variance, count/max(1, count-1))
	s.Moves = append(s.Moves, Move{v.Name("running_mean"), mean, 0}, Move{v.Name("running_var"), unbiased, 1})
	return y
}

// norm applies a norm to x [n,...,c].
func norm(v *gx.Vars, x *graph.Node, kind Norm, s *Stats) *graph.Node {
	c := []int{lastDim(x)}
	affine := func() (weight, bias *graph.Node) {
		return v.Get("weight", gx.Spec{Dims: c, Init: gx.Ones}), v.Get("bias", gx.Spec{Dims: c})
	}
	switch kind {
	case Batch:
		return batchNorm(v, x, s)
	case Instance:
		weight, bias := affine()
		return gx.InstanceNorm(x, weight, bias, normEps)
	case Layer:
		weight, bias := affine()
		if x.Rank() == 2 {
			return gx.LayerNorm(x, weight, bias, normEps)
		}
		return gx.GroupNorm(x, 1, weight, bias, normEps)
	}
	return x
}

// layer is a linear layer or a convolution with its own start.
type layer struct {
	out    int
	kernel int
	stride int
	pad    int
	bias   bool
	init   gx.Init
}

// conv maps x [n,h,w,in] to [n,h',w',out].
func (l layer) conv(v *gx.Vars, x *graph.Node) *graph.Node {
	w := v.Get("weight", gx.Spec{Dims: []int{l.kernel, l.kernel, lastDim(x), l.out}, Layout: gx.Conv, Init: l.init})
	return l.shift(v, gx.Convolve(x, w, gx.ConvOptions{Stride: l.stride, Pad: gx.Around(l.pad)}))
}

// convT maps x [n,h,w,in] to [n,h',w',out] by a transposed convolution.
func (l layer) convT(v *gx.Vars, x *graph.Node) *graph.Node {
	w := v.Get("weight", gx.Spec{Dims: []int{l.kernel, l.kernel, lastDim(x), l.out}, Layout: gx.ConvT, Init: l.init})
	return l.shift(v, gx.ConvTranspose(x, w, l.stride, l.pad, 0))
}

// linear maps x [n,in] to [n,out].
func (l layer) linear(v *gx.Vars, x *graph.Node) *graph.Node {
	w := v.Get("weight", gx.Spec{Dims: []int{lastDim(x), l.out}, Layout: gx.Linear, Init: l.init})
	return l.shift(v, graph.Dot(x, w).Product())
}

func (l layer) shift(v *gx.Vars, y *graph.Node) *graph.Node {
	if !l.bias {
		return y
	}
	b := v.Get("bias", gx.Spec{Dims: []int{l.out}})
	return graph.Add(y, graph.ExpandLeftToRank(b, y.Rank()))
}

func lastDim(x *graph.Node) int { return x.Shape().Dimensions[x.Rank()-1] }

// glorot is the start of the WGAN-GP code: uniform with the variance gain/(fan in + fan out); gain 2 is Glorot's, 4 is
// that of layers before a ReLU.
func glorot(gain float64, fanIn, fanOut int) gx.Init {
	return gx.Uniform(math.Sqrt(3 * gain / float64(fanIn+fanOut)))
}
