package gan

import (
	"github.com/gomlx/gomlx/core/graph"

	"github.com/smalti/smalti/gx"
)

// inceptionNet is Inception v3 (Szegedy et al. 2015, arXiv:1512.00567) up to the mean over all places, with the names of
// torchvision's state dict. The weights that the Frechet Inception distance is defined by (Heusel et al. 2017) belong to
// a variant, "fid": means leave out the padding, and the last block takes maxima instead.
type inceptionNet struct {
	divide  int // channels of every layer are divided by this: 1, but for tests
	classes int
	fid     bool
}

const (
	inceptionSide     = 299
	inceptionFeatures = 2048
	inceptionEps      = 1e-3
)

// graph maps pictures [n,h,w,3] in [-1,1] to features [n,2048/divide] and logits [n,classes].
func (c inceptionNet) graph(v *gx.Vars, x *graph.Node) (features, logits *graph.Node) {
	x = c.conv(v.In("Conv2d_1a_3x3"), x, 32, kernel{3, 3, 2, false})
	x = c.conv(v.In("Conv2d_2a_3x3"), x, 32, kernel{3, 3, 1, false})
	x = c.conv(v.In("Conv2d_2b_3x3"), x, 64, square(3))
	x = maxPool(x, 2, false)
	x = c.conv(v.In("Conv2d_3b_1x1"), x, 80, square(1))
	x = c.conv(v.In("Conv2d_4a_3x3"), x, 192, kernel{3, 3, 1, false})
	x = maxPool(x, 2, false)
	for i, pool := range []int{32, 64, 64} {
		x = c.blockA(v.In("Mixed_5%c", 'b'+i), x, pool)
	}
	x = c.blockB(v.In("Mixed_6a"), x)
	for i, inner := range []int{128, 160, 160, 192} {
		x = c.blockC(v.In("Mixed_6%c", 'b'+i), x, inner)
	}
	x = c.blockD(v.In("Mixed_7a"), x)
	x = c.blockE(v.In("Mixed_7b"), x, false)
	x = c.blockE(v.In("Mixed_7c"), x, c.fid)
	features = graph.ReduceMean(x, 1, 2)
	return features, layer{out: c.classes, bias: true}.linear(v.In("fc"), features)
}

// kernel is the form of a convolution; padded ones keep the size.
type kernel struct {
	h, w, stride int
	padded       bool
}

func square(side int) kernel { return kernel{side, side, 1, true} }

var (
	across = kernel{1, 7, 1, true}
	down   = kernel{7, 1, 1, true}
	halve  = kernel{3, 3, 2, false}
)

// conv is a convolution without bias, a batch norm and a ReLU.
func (c inceptionNet) conv(v *gx.Vars, x *graph.Node, out int, k kernel) *graph.Node {
	o := gx.ConvOptions{Stride: k.stride}
	if k.padded {
		o.Pad = [2][2]int{{k.h / 2, k.h / 2}, {k.w / 2, k.w / 2}}
	}
	out /= c.divide
	x = gx.Convolve(x, v.In("conv").Get("weight", gx.Spec{Dims: []int{k.h, k.w, lastDim(x), out}, Layout: gx.Conv, Init: gx.KaimingUniform}), o)
	b, n := v.In("bn"), gx.Spec{Dims: []int{out}}
	one := gx.Spec{Dims: n.Dims, Init: gx.Ones}
	return gx.ReLU(gx.BatchNormWith(x, b.Get("running_mean", n), b.Get("running_var", one), b.Get("weight", one), b.Get("bias", n), inceptionEps))
}

// step is one convolution of a branch.
type step struct {
	name string
	out  int
	k    kernel
}

// branch applies convolutions one after the other.
func (c inceptionNet) branch(v *gx.Vars, x *graph.Node, steps ...step) *graph.Node {
	for _, s := range steps {
		x = c.conv(v.In("%s", s.name), x, s.out, s.k)
	}
	return x
}

func beside(parts ...*graph.Node) *graph.Node { return graph.Concatenate(parts, 3) }

// pool is the fourth branch of most blocks.
func (c inceptionNet) pool(v *gx.Vars, x *graph.Node, out int, maxima bool) *graph.Node {
	if maxima {
		x = maxPool(x, 1, true)
	} else {
		x = meanPool(x, !c.fid)
	}
	return c.branch(v, x, step{"branch_pool", out, square(1)})
}

func (c inceptionNet) blockA(v *gx.Vars, x *graph.Node, pool int) *graph.Node {
	return beside(c.branch(v, x, step{"branch1x1", 64, square(1)}),
		c.branch(v, x, step{"branch5x5_1", 48, square(1)}, step{"branch5x5_2", 64, square(5)}),
		c.branch(v, x, step{"branch3x3dbl_1", 64, square(1)}, step{"branch3x3dbl_2", 96, square(3)}, step{"branch3x3dbl_3", 96, square(3)}),
		c.pool(v, x, pool, false))
}

func (c inceptionNet) blockB(v *gx.Vars, x *graph.Node) *graph.Node {
	return beside(c.branch(v, x, step{"branch3x3", 384, halve}),
		c.branch(v, x, step{"branch3x3dbl_1", 64, square(1)}, step{"branch3x3dbl_2", 96, square(3)}, step{"branch3x3dbl_3", 96, halve}),
		maxPool(x, 2, false))
}

func (c inceptionNet) blockC(v *gx.Vars, x *graph.Node, inner int) *graph.Node {
	return beside(c.branch(v, x, step{"branch1x1", 192, square(1)}),
		c.branch(v, x, step{"branch7x7_1", inner, square(1)}, step{"branch7x7_2", inner, across}, step{"branch7x7_3", 192, down}),
		c.branch(v, x, step{"branch7x7dbl_1", inner, square(1)}, step{"branch7x7dbl_2", inner, down}, step{"branch7x7dbl_3", inner, across},
			step{"branch7x7dbl_4", inner, down}, step{"branch7x7dbl_5", 192, across}),
		c.pool(v, x, 192, false))
}

func (c inceptionNet) blockD(v *gx.Vars, x *graph.Node) *graph.Node {
	return beside(c.branch(v, x, step{"branch3x3_1", 192, square(1)}, step{"branch3x3_2", 320, halve}),
		c.branch(v, x, step{"branch7x7x3_1", 192, square(1)}, step{"branch7x7x3_2", 192, across}, step{"branch7x7x3_3", 192, down}, step{"branch7x7x3_4", 192, halve}),
		maxPool(x, 2, false))
}

func (c inceptionNet) blockE(v *gx.Vars, x *graph.Node, maxima bool) *graph.Node {
	row, column := kernel{1, 3, 1, true}, kernel{3, 1, 1, true}
	y := c.branch(v, x, step{"branch3x3_1", 384, square(1)})
	z := c.branch(v, x, step{"branch3x3dbl_1", 448, square(1)}, step{"branch3x3dbl_2", 384, square(3)})
	return beside(c.branch(v, x, step{"branch1x1", 320, square(1)}),
		c.branch(v, y, step{"branch3x3_2a", 384, row}), c.branch(v, y, step{"branch3x3_2b", 384, column}),
		c.branch(v, z, step{"branch3x3dbl_3a", 384, row}), c.branch(v, z, step{"branch3x3dbl_3b", 384, column}),
		c.pool(v, x, 192, maxima))
}

// slide combines x [n,h,w,c] with itself one and two places on along an axis, every stride places: windows of three.
func slide(x *graph.Node, axis, stride int, with func(a, b *graph.Node) *graph.Node) *graph.Node {
	out := (x.Shape().Dimensions[axis]-3)/stride + 1
	part := func(from int) *graph.Node {
		specs := []graph.SliceAxisSpec{graph.AxisRange(), graph.AxisRange(), graph.AxisRange(), graph.AxisRange()}
		specs[axis] = graph.AxisRange(from, from+(out-1)*stride+1).Stride(stride)
		return graph.Slice(x, specs...)
	}
	return with(with(part(0), part(1)), part(2))
}

// around puts a border of one place of a value around pictures.
func around(x *graph.Node, value float64) *graph.Node {
	none, one := graph.PadAxis{}, graph.PadAxis{Start: 1, End: 1}
	return graph.Pad(x, graph.Scalar(x.Graph(), x.DType(), value), none, one, one, none)
}

// maxPool takes the largest of 3x3 places; bordered windows go one place beyond the edge.
func maxPool(x *graph.Node, stride int, bordered bool) *graph.Node {
	if bordered {
		x = around(x, 0) // what comes is never negative, so zero stands for nothing
	}
	return slide(slide(x, 1, stride, graph.Max), 2, stride, graph.Max)
}

// meanPool takes the mean of 3x3 places around every place: of all nine, zeros beyond the edge, or of those that are there.
func meanPool(x *graph.Node, nine bool) *graph.Node {
	sum := func(x *graph.Node) *graph.Node { return slide(slide(around(x, 0), 1, 1, graph.Add), 2, 1, graph.Add) }
	if nine {
		return graph.DivScalar(sum(x), 9)
	}
	count := sum(graph.OnesLike(graph.Slice(x, graph.AxisRange(0, 1), graph.AxisRange(), graph.AxisRange(), graph.AxisRange(0, 1))))
	return graph.Div(sum(x), graph.BroadcastToDims(count, x.Shape().Dimensions...))
}
