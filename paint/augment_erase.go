package paint

import (
	"math"

	"github.com/gomlx/compute/shapes"
	"github.com/gomlx/gomlx/core/graph"

	"github.com/smalti/smalti/rng"
)

// Erase blackens a rectangle with probability P (Zhong et al. 2020, with the ranges of VQGAN-CLIP). All cuts of a step
// share the rectangle unless Own is set.
type Erase struct {
	P      float64
	Area   [2]float64 // share of the cut's area, from and to
	Aspect [2]float64 // height / width, from and to; where it spans 1, half of the draws are below 1
	Own    bool       // each cut draws for itself
}

func (Erase) Name() string { return "erase" }

// Params: whether to erase; then top, bottom, left, right in pixels, where bottom and right are the first ones outside.
func (Erase) Params() int { return 5 }

func (e Erase) Draw(d Draws) []float32 {
	s := d.Step
	if e.Own {
		s = d.Cut
	}
	on := flag(s.Bernoulli(e.P))
	area := s.Uniform(e.Area[0], e.Area[1]) * float64(d.Size*d.Size)
	aspect := e.aspect(s)
	side := func(v float64) float64 { return min(max(math.Round(math.Sqrt(v)), 1), float64(d.Size)) }
	h, w := side(area*aspect), side(area/aspect)
	left := math.Floor(s.Float64() * (float64(d.Size) - w + 1))
	top := math.Floor(s.Float64() * (float64(d.Size) - h + 1))
	return []float32{on, float32(top), float32(top + h), float32(left), float32(left + w)}
}

func (e Erase) aspect(s *rng.Stream) float64 {
	lo, hi := e.Aspect[0], e.Aspect[1]
	if lo < 1 && hi > 1 {
		if s.Bernoulli(0.5) {
			hi = 1
		} else {
			lo = 1
		}
	}
	return s.Uniform(lo, hi)
}

func (Erase) Apply(x, p *graph.Node) *graph.Node {
	d := x.Shape().Dimensions
	inside := graph.Mul(within(p, 1, 1, d[1]), within(p, 3, 2, d[2])) // [n,h,w,1]: a row's part times a column's
	erased := graph.Mul(inside, numberOf(graph.GreaterThan(param(p, 0), graph.Scalar(p.Graph(), p.DType(), 0.5)), p))
	zero := graph.ScalarZero(p.Graph(), p.DType())
	return graph.Where(graph.GreaterThan(graph.BroadcastToDims(erased, d...), zero), graph.ZerosLike(x), x)
}

// within says which of size indices along axis lie from column i of p (inclusive) to column i+1 (exclusive): 1 or 0, as
// [n,size,1,1] or [n,1,size,1].
func within(p *graph.Node, i, axis, size int) *graph.Node {
	dims := []int{1, 1, 1, 1}
	dims[axis] = size
	at := graph.Iota(p.Graph(), shapes.Make(p.DType(), dims...), axis)
	dims[0] = p.Shape().Dimensions[0]
	all := func(x *graph.Node) *graph.Node { return graph.BroadcastToDims(x, dims...) }
	from := graph.GreaterOrEqual(all(at), all(param(p, i)))
	return numberOf(graph.LogicalAnd(from, graph.LessThan(all(at), all(param(p, i+1)))), p)
}

// numberOf is 1 where set and 0 elsewhere, in the type of like.
func numberOf(set, like *graph.Node) *graph.Node { return graph.ConvertDType(set, like.DType()) }
