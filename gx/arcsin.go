package gx

import (
	"math"

	"github.com/gomlx/compute/dtypes"
	"github.com/gomlx/gomlx/core/graph"
)

// Arcsin is the inverse sine of x in [-1, 1], NaN elsewhere; GoMLX has no operation for it. It is right to 2 units in
// the last place of float32. Its derivative is 1/sqrt(1-x^2), infinite at the ends.
//
// Method: above 1/2, arcsin(x) = pi/2 - 2 arcsin(sqrt((1-x)/2)) reduces the argument to [0, 1/2], where an odd
// polynomial of degree 11 (that of Cephes' asinf, Moshier 1992) is as exact as float32 can tell; float64 takes two
// steps of Newton's method more.
func Arcsin(x *graph.Node) *graph.Node {
	// The argument of the closure is the node with this very gradient; second derivatives need x itself.
	path := graph.IdentityWithCustomGradient(x, func(_, g *graph.Node) *graph.Node {
		return graph.Mul(g, graph.Rsqrt(graph.OneMinus(graph.Square(x))))
	})
	return StraightThrough(arcsin(graph.StopGradient(x)), path)
}

func arcsin(x *graph.Node) *graph.Node {
	a := graph.Abs(x)
	far := graph.GreaterThan(a, graph.Scalar(x.Graph(), x.DType(), 0.5))
	t := graph.Where(far, graph.Sqrt(graph.MulScalar(graph.OneMinus(a), 0.5)), a) // in [0, 1/2]
	z := graph.Square(t)
	p := graph.MulScalar(z, 4.2163199048e-2)
	for _, c := range []float64{2.4181311049e-2, 4.5470025998e-2, 7.4953002686e-2} {
		p = graph.Mul(graph.AddScalar(p, c), z)
	}
	p = graph.AddScalar(p, 1.6666752422e-1)
	y := graph.Add(graph.Mul(graph.Mul(p, z), t), t)
	if x.DType() == dtypes.Float64 {
		for range 2 {
			y = graph.Sub(y, graph.Div(graph.Sub(graph.Sin(y), t), graph.Cos(y)))
		}
	}
	y = graph.Where(far, graph.AddScalar(graph.MulScalar(y, -2), math.Pi/2), y)
	return graph.Where(graph.LessThan(x, graph.ScalarZero(x.Graph(), x.DType())), graph.Neg(y), y)
}
