package vqgan

import (
	"github.com/gomlx/gomlx/core/graph"

	"github.com/smalti/smalti/gx"
)

// actEps is added to the deviation by which an ActNorm divides at its start.
const actEps = 1e-6

// ActNorm is a scale and a shift for each channel that start so that the first batch has mean 0 and deviation 1 (Kingma
// and Dhariwal 2018, arXiv:1807.03039, section 3.1): x [n,h,w,c] -> scale*(x + loc), and the logarithm of the absolute
// determinant of its Jacobian, [n]. Variables: loc and scale, [1,c,1,1] as in taming's files, and the scalar initialized.
func ActNorm(v *gx.Vars, x *graph.Node) (y, logDet *graph.Node) {
	loc, scale := actVars(v, x)
	y = graph.Mul(scale, graph.Add(x, loc))
	d := x.Shape().Dimensions
	sum := graph.MulScalar(graph.ReduceAllSum(graph.Log(graph.Abs(scale))), float64(d[1]*d[2]))
	return y, graph.BroadcastToDims(sum, d[0])
}

// ActNormReverse is the inverse of ActNorm.
func ActNormReverse(v *gx.Vars, y *graph.Node) *graph.Node {
	loc, scale := actVars(v, y)
	return graph.Sub(graph.Div(y, scale), loc)
}

// ActNormInit Sets an ActNorm that has not started yet to what normalises x [n,h,w,c].
func ActNormInit(v *gx.Vars, x *graph.Node) {
	c := x.Shape().Dimensions[3]
	x = graph.StopGradient(x)
	started := graph.GreaterThan(v.Get("initialized", gx.Spec{}), graph.ScalarZero(x.Graph(), x.DType()))
	loc, scale := actVars(v, x)
	mean := graph.ReduceAndKeep(x, graph.ReduceMean, 0, 1, 2)
	count := float64(x.Shape().Size() / c)
	sum := graph.ReduceAndKeep(graph.Square(graph.Sub(x, mean)), graph.ReduceSum, 0, 1, 2)
	std := graph.Sqrt(graph.MulScalar(sum, 1/max(1, count-1))) // unbiased, as torch.std
	set := func(name string, old, new *graph.Node) {
		v.Set(name, graph.Reshape(graph.Where(graph.BroadcastToDims(started, 1, 1, 1, c), old, new), 1, c, 1, 1))
	}
	set("loc", loc, graph.Neg(mean))
	set("scale", scale, graph.Reciprocal(graph.AddScalar(std, actEps)))
	v.Set("initialized", graph.OnesLike(v.Get("initialized", gx.Spec{})))
}

// actVars are the shift and the scale, [1,1,1,c].
func actVars(v *gx.Vars, x *graph.Node) (loc, scale *graph.Node) {
	c := x.Shape().Dimensions[3]
	dims := []int{1, c, 1, 1}
	loc, scale = v.Get("loc", gx.Spec{Dims: dims}), v.Get("scale", gx.Spec{Dims: dims, Init: gx.Ones})
	return graph.Reshape(loc, 1, 1, 1, c), graph.Reshape(scale, 1, 1, 1, c)
}
