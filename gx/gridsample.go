package gx

import (
	"github.com/gomlx/compute/dtypes"
	"github.com/gomlx/compute/shapes"
	"github.com/gomlx/gomlx/core/graph"
)

// Padding says what GridSample sees outside of the picture.
type Padding uint8

const (
	PadZeros   Padding = iota // black
	PadBorder                 // the nearest pixel of the edge
	PadReflect                // the picture mirrored
)

// GridSample takes bilinear samples of x [n,h,w,c] at grid [n,oh,ow,2], which holds (x, y) from -1 (left, top) to
// 1 (right, bottom), as torch.nn.functional.grid_sample does. With alignCorners -1 and 1 are the centres of the outermost
// pixels, without they are the outer edges. It has gradients for x and for grid.
func GridSample(x, grid *graph.Node, padding Padding, alignCorners bool) *graph.Node {
	n, h, w, c := dims4(x)
	gn, oh, ow, _ := dims4(grid)
	grid.AssertDims(n, gn/n*oh, ow, 2)
	s := sampler{padding: padding, alignCorners: alignCorners}
	px := s.position(graph.Slice(grid, graph.AxisRange(), graph.AxisRange(), graph.AxisRange(), graph.AxisElem(0)), w)
	py := s.position(graph.Slice(grid, graph.AxisRange(), graph.AxisRange(), graph.AxisRange(), graph.AxisElem(1)), h)
	xs, ys := s.sides(px, w), s.sides(py, h)
	pixels := graph.Reshape(x, n*h*w, c)
	var sum *graph.Node
	for _, y := range ys {
		for _, x := range xs {
			term := graph.Mul(graph.Gather(pixels, rowOf(x.at, y.at, h, w)), graph.Mul(x.weight, y.weight)) // [n,oh,ow,c]
			if sum == nil {
				sum = term
			} else {
				sum = graph.Add(sum, term)
			}
		}
	}
	return sum
}

// side is one of the two pixels along an axis that a position lies between: its index, moved inside, and its share.
// Both are [n,oh,ow,1]; the index has no gradient.
type side struct{ at, weight *graph.Node }

// sides are the pixels before and after each position. What lies outside has no share if outside is black; each axis
// decides for itself, so that the four corners cost two masks for each axis.
func (s sampler) sides(p *graph.Node, size int) [2]side {
	before := graph.StopGradient(graph.Floor(p))
	after := graph.AddScalar(before, 1)
	f := graph.Sub(p, before)
	out := [2]side{{before, graph.OneMinus(f)}, {after, f}}
	for i, o := range out {
		inside := graph.MinScalar(graph.MaxScalar(o.at, 0), float64(size-1))
		if s.padding == PadZeros {
			out[i].weight = graph.Where(graph.Equal(inside, o.at), o.weight, graph.ZerosLike(o.weight))
		}
		out[i].at = inside
	}
	return out
}

// rowOf is the row of pixel (x, y) of its picture in [n*h*w,c]: int32 [n,oh,ow,1].
func rowOf(x, y *graph.Node, h, w int) *graph.Node {
	g, n := x.Graph(), x.Shape().Dimensions[0]
	exact := n*h*w <= 1<<24 && (x.DType() == dtypes.Float32 || x.DType() == dtypes.Float64)
	if exact { // every row is a number that the type holds: one conversion instead of sums of integers
		picture := graph.MulScalar(graph.Iota(g, shapes.Make(x.DType(), n, 1, 1, 1), 0), float64(h*w))
		return graph.ConvertDType(graph.Add(graph.Add(graph.MulScalar(y, float64(w)), x), picture), dtypes.Int32)
	}
	integer := func(p *graph.Node) *graph.Node { return graph.ConvertDType(p, dtypes.Int32) }
	picture := graph.MulScalar(graph.Iota(g, shapes.Make(dtypes.Int32, n, 1, 1, 1), 0), h*w)
	return graph.Add(graph.Add(graph.MulScalar(integer(y), w), integer(x)), picture)
}

type sampler struct {
	padding      Padding
	alignCorners bool
}

// position turns grid coordinates into pixel coordinates of an axis of the given size, moved inside unless zeros are
// asked for.
func (s sampler) position(g *graph.Node, size int) *graph.Node {
	var p *graph.Node
	if s.alignCorners {
		p = graph.MulScalar(graph.AddScalar(g, 1), float64(size-1)/2)
	} else {
		p = graph.MulScalar(graph.AddScalar(graph.MulScalar(graph.AddScalar(g, 1), float64(size)), -1), 0.5)
	}
	if s.padding == PadReflect {
		p = s.reflect(p, size)
	}
	if s.padding != PadZeros {
		p = graph.MinScalar(graph.MaxScalar(p, 0), float64(size-1))
	}
	return p
}

// reflect mirrors positions at the centres (alignCorners) or the outer edges of the outermost pixels.
func (s sampler) reflect(p *graph.Node, size int) *graph.Node {
	low, span := -0.5, float64(size)
	if s.alignCorners {
		low, span = 0, float64(size-1)
	}
	if span == 0 {
		return graph.ZerosLike(p)
	}
	d := graph.Abs(graph.AddScalar(p, -low))
	turns := graph.StopGradient(graph.Floor(graph.MulScalar(d, 1/span)))
	rest := graph.Sub(d, graph.MulScalar(turns, span))
	odd := graph.Sub(turns, graph.MulScalar(graph.Floor(graph.MulScalar(turns, 0.5)), 2))
	half := graph.Scalar(p.Graph(), p.DType(), 0.5)
	back := graph.AddScalar(graph.Neg(rest), span)
	return graph.AddScalar(graph.Where(graph.GreaterThan(odd, half), back, rest), low)
}

// AffineGrid is torch.nn.functional.affine_grid: theta [n,2,3] applied to the (x, y, 1) of every pixel of a picture of
// h x w; the result is [n,h,w,2], for GridSample.
func AffineGrid(theta *graph.Node, h, w int, alignCorners bool) *graph.Node {
	n := theta.Shape().Dimensions[0]
	theta.AssertDims(n, 2, 3)
	axis := func(size, o int) float64 {
		if alignCorners {
			if size == 1 {
				return 0
			}
			return -1 + 2*float64(o)/float64(size-1)
		}
		return -1 + (2*float64(o)+1)/float64(size)
	}
	base := Matrix{Out: h * w, In: 3}
	for y := range h {
		for x := range w {
			base.Data = append(base.Data, axis(w, x), axis(h, y), 1)
		}
	}
	out := graph.DotGeneral(theta, []int{2}, nil, constant(theta, base), []int{1}, nil) // [n,2,h*w]
	return graph.Reshape(graph.TransposeAllAxes(out, 0, 2, 1), n, h, w, 2)
}
