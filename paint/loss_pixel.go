package paint

import (
	"fmt"

	"github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"

	"github.com/smalti/smalti/engine"
	"github.com/smalti/smalti/gx"
)

// PixelLoss is a loss over the picture itself.
type PixelLoss interface {
	Name() string
	// Graph returns the scalar loss, without its weight, of a picture x [1,H,W,3] in [0,1].
	Graph(x *graph.Node) *graph.Node
}

// WeightedPixelLoss is a pixel loss with its weight over the steps.
type WeightedPixelLoss struct {
	Loss   PixelLoss
	Weight Schedule
}

// TotalVariation is the mean squared difference of neighbouring pixels, across and down (Rudin et al. 1992, in the
// squared form of guided diffusion): it removes speckles.
type TotalVariation struct{}

func (TotalVariation) Name() string { return "tv" }

func (TotalVariation) Graph(x *graph.Node) *graph.Node {
	d := x.Shape().Dimensions
	var sum *graph.Node
	for axis := 1; axis <= 2; axis++ {
		if d[axis] == 1 {
			continue
		}
		s := graph.ReduceAllSum(graph.Square(graph.Sub(along(x, axis, 1, d[axis]), along(x, axis, 0, d[axis]-1))))
		if sum == nil {
			sum = s
		} else {
			sum = graph.Add(sum, s)
		}
	}
	if sum == nil {
		return graph.ScalarZero(x.Graph(), x.DType())
	}
	return graph.MulScalar(sum, 1/float64(x.Shape().Size()))
}

// Saturation is the mean squared distance of the channels from their mean: a positive weight greys, a negative one
// colours.
type SaturationLoss struct{}

func (SaturationLoss) Name() string { return "saturation" }

func (SaturationLoss) Graph(x *graph.Node) *graph.Node {
	mean := graph.ReduceAndKeep(x, graph.ReduceMean, -1)
	return graph.ReduceAllMean(graph.Square(graph.Sub(x, mean)))
}

// Symmetry is the mean squared difference between the picture and its mirror image, left and right.
type Symmetry struct{}

func (Symmetry) Name() string { return "symmetry" }

func (Symmetry) Graph(x *graph.Node) *graph.Node {
	return graph.ReduceAllMean(graph.Square(graph.Sub(x, graph.Reverse(x, 2))))
}

// pixelLosses evaluates all pixel losses in one graph, whose inputs are the picture and their weights.
type pixelLosses struct {
	losses  []WeightedPixelLoss
	program *engine.Program
}

func newPixelLosses(e *engine.Engine, losses []WeightedPixelLoss) *pixelLosses {
	p := &pixelLosses{losses: losses}
	if len(losses) == 0 {
		return p
	}
	p.program = e.Program("paint: pixel losses", func(_ *gx.Vars, in []*graph.Node) []*graph.Node {
		x, weights := in[0], in[1]
		values := make([]*graph.Node, len(losses))
		for i, l := range losses {
			values[i] = graph.Reshape(l.Loss.Graph(x), 1)
		}
		all := graph.Mul(graph.Concatenate(values, 0), weights)
		return []*graph.Node{all, graph.Gradient(graph.ReduceAllSum(all), x)[0]}
	})
	return p
}

// add appends the weighted values to terms and adds the gradient to dx.
func (p *pixelLosses) add(step int, x *tensors.Tensor, terms []Term, dx []float32) ([]Term, error) {
	if p.program == nil {
		return terms, nil
	}
	weights := make([]float32, len(p.losses))
	for i, l := range p.losses {
		weights[i] = float32(l.Weight.At(step))
	}
	out, err := p.program.Run(nil, x, engine.FromFloats(weights, len(weights)))
	if err != nil {
		return nil, fmt.Errorf("paint: %w", err)
	}
	for i, v := range engine.Floats(out[0]) {
		terms = append(terms, Term{Name: p.losses[i].Loss.Name(), Value: float64(v)})
	}
	for i, g := range engine.Floats(out[1]) {
		dx[i] += g
	}
	return terms, nil
}
