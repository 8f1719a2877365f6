package gan

import (
	"github.com/gomlx/gomlx/core/graph"

	"github.com/smalti/smalti/gx"
)

// resGenerator is GoodGenerator of the WGAN-GP code: z [n,k] -> Base x Base -> residual blocks that double -> [n,S,S,C].
func (c Config) resGenerator(v *gx.Vars, z *graph.Node, stats *Stats) *graph.Node {
	n, base, net := z.Shape().Dimensions[0], c.Base(), c.Generator
	width := net.Width * c.mult(c.Levels-1)
	units := base * base * width
	x := layer{out: units, bias: true, init: glorot(2, lastDim(z), units)}.linear(v.In("input"), z)
	x = graph.Reshape(x, n, base, base, width)
	for i := range c.Levels {
		b := resBlock{out: net.Width * c.mult(max(0, c.Levels-1-i)), norm: net.Norm, stats: stats, up: true}
		if i == 0 {
			b.out = width // the first block keeps its width, as the last of the critic does
		}
		x = b.apply(v.In("res%d", i+1), x)
	}
	x = gx.ReLU(norm(v.In("output_norm"), x, net.Norm, stats))
	return layer{out: c.Channels, kernel: 3, stride: 1, pad: 1, bias: true, init: glorot(2, 9*lastDim(x), 9*c.Channels)}.conv(v.In("output"), x)
}

// resDiscriminator is GoodDiscriminator of the WGAN-GP code: residual blocks that halve, then a linear layer -> [n,1].
func (c Config) resDiscriminator(v *gx.Vars, x *graph.Node, stats *Stats) *graph.Node {
	net := c.Discriminator
	x = layer{out: net.Width, kernel: 3, stride: 1, pad: 1, bias: true, init: glorot(2, 9*lastDim(x), 9*net.Width)}.conv(v.In("input"), x)
	for i := range c.Levels {
		b := resBlock{out: net.Width * c.mult(i+1), norm: net.Norm, stats: stats}
		if i == c.Levels-1 {
			b.out = net.Width * c.mult(i)
		}
		x = b.apply(v.In("res%d", i+1), x)
	}
	flat := graph.Reshape(x, x.Shape().Dimensions[0], -1)
	return layer{out: 1, bias: true, init: glorot(2, lastDim(flat), 1)}.linear(v.In("output"), flat)
}

// resBlock is a residual block with norm and ReLU before each convolution. It doubles the side before its first
// convolution, or halves it by a mean after the second.
type resBlock struct {
	out   int
	norm  Norm
	stats *Stats
	up    bool
}

// apply maps x [n,h,w,in] to [n,2h,2w,out] or [n,h/2,w/2,out].
func (b resBlock) apply(v *gx.Vars, x *graph.Node) *graph.Node {
	in := lastDim(x)
	mid := in
	before, after := func(x *graph.Node) *graph.Node { return x }, func(x *graph.Node) *graph.Node { return gx.AvgPool(x, 2) }
	if b.up {
		mid, before, after = b.out, func(x *graph.Node) *graph.Node { return gx.UpsampleNearest(x, 2) }, before
	}
	short := layer{out: b.out, kernel: 1, stride: 1, bias: true, init: glorot(2, in, b.out)}
	// The shortcut is linear in x, so a 1x1 convolution may come before the repetition and after the mean: a quarter of the work.
	var s *graph.Node
	if b.up {
		s = before(short.conv(v.In("shortcut"), x))
	} else {
		s = short.conv(v.In("shortcut"), after(x))
	}
	conv := layer{kernel: 3, stride: 1, pad: 1}
	y := gx.ReLU(norm(v.In("norm1"), x, b.norm, b.stats))
	conv.out, conv.init = mid, glorot(4, 9*in, 9*mid)
	y = conv.conv(v.In("conv1"), before(y))
	y = gx.ReLU(norm(v.In("norm2"), y, b.norm, b.stats))
	conv.out, conv.init, conv.bias = b.out, glorot(4, 9*mid, 9*b.out), true
	return graph.Add(s, after(conv.conv(v.In("conv2"), y)))
}
