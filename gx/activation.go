package gx

import (
	"math"

	"github.com/gomlx/gomlx/core/graph"
)

// Activations are written from primitives: GoMLX's own compute the forward value twice where they are fused.

// ReLU is max(x, 0); its derivative at 0 is 0, as PyTorch's.
func ReLU(x *graph.Node) *graph.Node { return LeakyReLU(x, 0) }

// LeakyReLU is x where x > 0 and slope*x elsewhere.
func LeakyReLU(x *graph.Node, slope float64) *graph.Node {
	low := graph.ZerosLike(x)
	if slope != 0 {
		low = graph.MulScalar(x, slope)
	}
	return graph.Where(graph.GreaterThan(x, graph.ScalarZero(x.Graph(), x.DType())), x, low)
}

// SiLU is x*sigmoid(x), also called swish.
func SiLU(x *graph.Node) *graph.Node { return graph.Mul(x, graph.Sigmoid(x)) }

// QuickGELU is x*sigmoid(1.702 x), the approximation that OpenAI's CLIP was trained with.
func QuickGELU(x *graph.Node) *graph.Node {
	return graph.Mul(x, graph.Sigmoid(graph.MulScalar(x, 1.702)))
}

// GELU is x*Phi(x) with the normal distribution function Phi, by erf (Hendrycks and Gimpel 2016).
func GELU(x *graph.Node) *graph.Node {
	phi := graph.MulScalar(graph.AddScalar(graph.Erf(graph.MulScalar(x, math.Sqrt2/2)), 1), 0.5)
	return graph.Mul(x, phi)
}

// GELUTanh is the tanh approximation of GELU: x/2*(1 + tanh(sqrt(2/pi)*(x + 0.044715 x^3))).
func GELUTanh(x *graph.Node) *graph.Node {
	cube := graph.MulScalar(graph.Mul(x, graph.Square(x)), 0.044715)
	t := graph.Tanh(graph.MulScalar(graph.Add(x, cube), math.Sqrt(2/math.Pi)))
	return graph.MulScalar(graph.Mul(x, graph.AddScalar(t, 1)), 0.5)
}

// Softplus is log(1 + exp(x)), without overflow.
func Softplus(x *graph.Node) *graph.Node {
	// -|x| by Where, and not by Abs, so that the derivative at 0 is 1/2 too.
	low := graph.Where(graph.GreaterThan(x, graph.ScalarZero(x.Graph(), x.DType())), graph.Neg(x), x)
	return graph.Add(ReLU(x), graph.Log1P(graph.Exp(low)))
}

// LogSigmoid is log(sigmoid(x)), without overflow.
func LogSigmoid(x *graph.Node) *graph.Node { return graph.Neg(Softplus(graph.Neg(x))) }

// Softmax is exp(x)/sum(exp(x)) over the last axis.
func Softmax(x *graph.Node) *graph.Node {
	e := graph.Exp(graph.Sub(x, rowMax(x)))
	return graph.Div(e, graph.ReduceAndKeep(e, graph.ReduceSum, -1))
}

// LogSoftmax is the logarithm of Softmax, without underflow.
func LogSoftmax(x *graph.Node) *graph.Node {
	d := graph.Sub(x, rowMax(x))
	return graph.Sub(d, graph.Log(graph.ReduceAndKeep(graph.Exp(d), graph.ReduceSum, -1)))
}

// rowMax is the largest of the last axis, as a constant: the result of a softmax does not depend on it.
func rowMax(x *graph.Node) *graph.Node {
	return graph.StopGradient(graph.ReduceAndKeep(x, graph.ReduceMax, -1))
}
