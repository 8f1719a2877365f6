package paint

import (
	"math"

	"github.com/gomlx/compute/dtypes"
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
	inside := graph.LogicalAnd(within(p, 1, 1, d), within(p, 3, 2, d))
	on := graph.GreaterThan(graph.BroadcastToDims(param(p, 0), d...), graph.Scalar(p.Graph(), p.DType(), 0.5))
	return graph.Where(graph.LogicalAnd(on, inside), graph.ZerosLike(x), x)
}

// within says which elements of a picture of dims [n,h,w,c] have an index along axis from column i of p (inclusive) to
// column i+1 (exclusive).
func within(p *graph.Node, i, axis int, dims []int) *graph.Node {
	at := graph.Iota(p.Graph(), shapes.Make(dtypes.Float32, dims...), axis)
	from := graph.GreaterOrEqual(at, graph.BroadcastToDims(param(p, i), dims...))
	return graph.LogicalAnd(from, graph.LessThan(at, graph.BroadcastToDims(param(p, i+1), dims...)))
}
