package paint

import (
	"github.com/gomlx/gomlx/core/graph"
)

// Smoothness is the mean difference of neighbouring pixels, across and down: unlike the total variation it lets edges
// stand, because a step costs the same however sharp it is (Rudin et al. 1992 in their first power).
type Smoothness struct{}

func (Smoothness) Name() string { return "smoothness" }

func (Smoothness) Graph(x *graph.Node) *graph.Node {
	sum := graph.ScalarZero(x.Graph(), x.DType())
	for axis := 1; axis <= 2; axis++ {
		if n := x.Shape().Dimensions[axis]; n > 1 {
			d := graph.Sub(along(x, axis, 1, n), along(x, axis, 0, n-1))
			sum = graph.Add(sum, graph.ReduceAllMean(softAbs(d)))
		}
	}
	return sum
}

// softAbs is sqrt(d^2 + eps^2) - eps: |d| with a slope at zero.
func softAbs(d *graph.Node) *graph.Node {
	const eps = 1e-3 // a quarter of a step of 8 bit
	return graph.AddScalar(graph.Sqrt(graph.AddScalar(graph.Square(d), eps*eps)), -eps)
}

func along(x *graph.Node, axis, from, to int) *graph.Node {
	spec := []graph.SliceAxisSpec{graph.AxisRange(), graph.AxisRange(), graph.AxisRange(), graph.AxisRange()}
	spec[axis] = graph.AxisRange(from, to)
	return graph.Slice(x, spec...)
}

// Edge is the mean squared distance of a frame around the picture from one colour, for vignettes, stickers and tiles that
// sit on a ground.
type Edge struct {
	Width float64    // share of each side that is frame, above 0 to below 0.5
	RGB   [3]float64 // 0..1
}

func (Edge) Name() string { return "edge" }

func (l Edge) Graph(x *graph.Node) *graph.Node {
	d := x.Shape().Dimensions
	g := x.Graph()
	h, w := d[1], d[2]
	bh, bw := max(1, int(l.Width*float64(h))), max(1, int(l.Width*float64(w)))
	inside := make([]float32, h*w)
	n := 0
	for y := range h {
		for x := range w {
			if y < bh || y >= h-bh || x < bw || x >= w-bw {
				inside[y*w+x] = 1
				n++
			}
		}
	}
	mask := graph.Reshape(graph.Const(g, inside), 1, h, w, 1)
	off := graph.Square(graph.Sub(x, colours(g, l.RGB)))
	return graph.MulScalar(graph.ReduceAllSum(graph.Mul(off, graph.BroadcastToDims(mask, d...))), 1/float64(3*n))
}

// colours is a constant [1,1,1,3].
func colours(g *graph.Graph, rgb [3]float64) *graph.Node {
	return graph.Reshape(graph.Const(g, []float32{float32(rgb[0]), float32(rgb[1]), float32(rgb[2])}), 1, 1, 1, 3)
}

// PaletteLoss is the mean squared distance of each pixel from the nearest colour of a palette.
type PaletteLoss struct{ Colours [][3]float64 } // 0..1

func (PaletteLoss) Name() string { return "palette" }

func (l PaletteLoss) Graph(x *graph.Node) *graph.Node {
	var nearest *graph.Node
	for _, c := range l.Colours {
		d := graph.ReduceSum(graph.Square(graph.Sub(x, colours(x.Graph(), c))), -1)
		if nearest == nil {
			nearest = d
		} else {
			nearest = graph.Min(nearest, d)
		}
	}
	return graph.MulScalar(graph.ReduceAllMean(nearest), 1.0/3)
}
