package paint

import (
	"github.com/gomlx/gomlx/core/graph"

	"github.com/smalti/smalti/rng"
)

// Draws are the random streams of one augmentation of one cut. They depend on the seed, the augmentation, the step and
// the cut alone, so a cut's parameters do not move when cuts are chunked otherwise or another augmentation is added.
type Draws struct {
	Cut  *rng.Stream // of this cut
	Step *rng.Stream // the same for every cut of a step
	Size int         // side of the cut, in pixels
}

// Augment is a random change of cuts. The parameters of a cut are drawn on the host and enter the graph as numbers, so
// that one compiled graph serves every step.
type Augment interface {
	Name() string
	// Params is how many numbers describe one cut.
	Params() int
	// Draw returns the parameters of one cut.
	Draw(d Draws) []float32
	// Apply changes x [n,h,w,3] with p [n,Params].
	Apply(x, p *graph.Node) *graph.Node
}

// param returns column i of the parameters p [n,k] as [n,1,1,1].
func param(p *graph.Node, i int) *graph.Node {
	col := graph.Slice(p, graph.AxisRange(), graph.AxisElem(i))
	return graph.Reshape(col, p.Shape().Dimensions[0], 1, 1, 1)
}

// choose takes changed where column i of p is set (above 1/2) and x elsewhere; untouched cuts keep every bit.
func choose(p *graph.Node, i int, changed, x *graph.Node) *graph.Node {
	on := graph.GreaterThan(param(p, i), graph.Scalar(p.Graph(), p.DType(), 0.5))
	return graph.Where(graph.BroadcastToDims(on, x.Shape().Dimensions...), changed, x)
}

// clamp01 limits to [0,1] with torch.clamp's gradient: none outside.
func clamp01(x *graph.Node) *graph.Node { return graph.MinScalar(graph.MaxScalar(x, 0), 1) }

func flag(on bool) float32 {
	if on {
		return 1
	}
	return 0
}

// Flip mirrors left and right with probability P.
type Flip struct{ P float64 }

func (Flip) Name() string { return "flip" }
func (Flip) Params() int  { return 1 }
func (f Flip) Draw(d Draws) []float32 {
	return []float32{flag(d.Cut.Bernoulli(f.P))}
}
func (Flip) Apply(x, p *graph.Node) *graph.Node { return choose(p, 0, graph.Reverse(x, 2), x) }
