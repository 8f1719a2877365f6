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
	x0, y0 := graph.StopGradient(graph.Floor(px)), graph.StopGradient(graph.Floor(py)) // [n,oh,ow,1]
	fx, fy := graph.Sub(px, x0), graph.Sub(py, y0)
	pixels := graph.Reshape(x, n*h*w, c)
	picture := graph.MulScalar(graph.Iota(x.Graph(), shapes.Make(dtypes.Int32, n, oh, ow, 1), 0), h*w)
	var sum *graph.Node
	for dy := range 2 {
		for dx := range 2 {
			cx, cy := graph.AddScalar(x0, dx), graph.AddScalar(y0, dy)
			weight := graph.Mul(corner(fx, dx), corner(fy, dy))
			if padding == PadZeros {
				weight = graph.Where(graph.LogicalAnd(inside(cx, w), inside(cy, h)), weight, graph.ZerosLike(weight))
			}
			row := graph.Add(graph.MulScalar(index(cy, h), w), index(cx, w))
			term := graph.Mul(graph.Gather(pixels, graph.Add(row, picture)), weight) // [n,oh,ow,c]
			if sum == nil {
				sum = term
			} else {
				sum = graph.Add(sum, term)
			}
		}
	}
	return sum
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

// corner is the bilinear weight of the pixel before (0) or after (1) a position with fraction f.
func corner(f *graph.Node, after int) *graph.Node {
	if after == 1 {
		return f
	}
	return graph.OneMinus(f)
}

func inside(p *graph.Node, size int) *graph.Node {
	zero, last := graph.ScalarZero(p.Graph(), p.DType()), graph.Scalar(p.Graph(), p.DType(), float64(size-1))
	return graph.LogicalAnd(graph.GreaterOrEqual(p, zero), graph.LessOrEqual(p, last))
}

func index(p *graph.Node, size int) *graph.Node {
	return graph.ConvertDType(graph.MinScalar(graph.MaxScalar(graph.StopGradient(p), 0), float64(size-1)), dtypes.Int32)
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
