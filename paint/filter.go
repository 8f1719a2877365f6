package paint

import (
	"fmt"

	"github.com/gomlx/gomlx/core/graph"

	"github.com/smalti/smalti/gx"
)

// Filter changes the picture between the decoder and everything that looks at it: what is painted, judged and saved is
// the filtered picture, and gradients come back through the filter.
type Filter interface {
	Name() string
	// Check refuses sizes that the filter cannot take.
	Check(width, height int) error
	// Graph maps pictures [n,H,W,3] in [0,1], which may leave it a little, to pictures of the same shape.
	Graph(x *graph.Node) *graph.Node
}

// Filtered is a decoder whose pictures pass through filters, in order.
type Filtered struct {
	Decoder
	Filters []Filter
}

// DecodeGraph returns the filtered pictures, in the decoder's range [-1,1].
func (f Filtered) DecodeGraph(v *gx.Vars, zq *graph.Node) *graph.Node {
	x := graph.MulScalar(graph.AddScalar(f.Decoder.DecodeGraph(v, zq), 1), 0.5)
	for _, filter := range f.Filters {
		shape := x.Shape()
		x = filter.Graph(x)
		x.AssertDims(shape.Dimensions...)
	}
	return graph.AddScalar(graph.MulScalar(x, 2), -1)
}

// PixelArt shows the picture in squares of Side pixels, each of the mean of what lies under it.
type PixelArt struct{ Side int }

func (PixelArt) Name() string { return "pixelart" }

func (f PixelArt) Check(w, h int) error {
	if f.Side < 1 || w%f.Side != 0 || h%f.Side != 0 {
		return fmt.Errorf("squares of %d pixels do not fill %dx%d", f.Side, w, h)
	}
	return nil
}

func (f PixelArt) Graph(x *graph.Node) *graph.Node {
	d := x.Shape().Dimensions
	n, h, w, c, s := d[0], d[1], d[2], d[3], f.Side
	blocks := graph.Reshape(x, n, h/s, s, w/s, s, c)
	mean := graph.ReduceAndKeep(blocks, graph.ReduceMean, 2, 4)
	return graph.Reshape(graph.BroadcastToDims(mean, n, h/s, s, w/s, s, c), d...)
}

// Mirror makes the picture symmetric by averaging it with its images: left and right, top and bottom, both (a kaleidoscope
// of two mirrors), or, for squares, the eight of a square's own symmetry.
type Mirror struct{ Kind string } // of Mirrors

// Mirrors are the kinds, after the point groups of the plane: a mirror upright or lying, two mirrors, half a turn, four
// quarter turns, and those with mirrors.
var Mirrors = []string{"left", "top", "both", "turn", "quarter", "square"}

func (Mirror) Name() string { return "mirror" }

func (f Mirror) Check(w, h int) error {
	if (f.Kind == "quarter" || f.Kind == "square") && w != h {
		return fmt.Errorf("the mirror %q needs a square picture, not %dx%d", f.Kind, w, h)
	}
	return nil
}

func (f Mirror) Graph(x *graph.Node) *graph.Node {
	with := func(x, image *graph.Node) *graph.Node { return graph.MulScalar(graph.Add(x, image), 0.5) }
	across := func(x *graph.Node) *graph.Node { return with(x, graph.Reverse(x, 2)) }
	down := func(x *graph.Node) *graph.Node { return with(x, graph.Reverse(x, 1)) }
	turn := func(x *graph.Node) *graph.Node { return with(x, graph.Reverse(x, 1, 2)) }
	quarter := func(x *graph.Node) *graph.Node {
		return with(x, graph.Reverse(graph.TransposeAllDims(x, 0, 2, 1, 3), 1))
	}
	switch f.Kind {
	case "left":
		return across(x)
	case "top":
		return down(x)
	case "both":
		return down(across(x))
	case "turn":
		return turn(x)
	case "quarter":
		return quarter(turn(x))
	}
	return across(quarter(turn(x)))
}

// Posterise takes each pixel to the nearest colour of a palette; gradients pass as if it had not.
type Posterise struct{ Colours [][3]float64 } // 0..1, at least two

func (Posterise) Name() string { return "posterise" }

func (f Posterise) Check(int, int) error {
	if len(f.Colours) < 2 {
		return fmt.Errorf("a palette of %d colours", len(f.Colours))
	}
	return nil
}

func (f Posterise) Graph(x *graph.Node) *graph.Node {
	d := x.Shape().Dimensions
	var best, out *graph.Node
	for _, c := range f.Colours {
		rgb := colours(x.Graph(), c)
		far := graph.ReduceAndKeep(graph.Square(graph.Sub(x, rgb)), graph.ReduceSum, -1)
		if best == nil {
			best, out = far, graph.BroadcastToDims(rgb, d...)
			continue
		}
		nearer := graph.BroadcastToDims(graph.LessThan(far, best), d...)
		out = graph.Where(nearer, graph.BroadcastToDims(rgb, d...), out)
		best = graph.Min(best, far)
	}
	return gx.StraightThrough(out, x)
}
