package nn

import (
	"fmt"

	"github.com/gomlx/gomlx/core/graph"

	"github.com/smalti/smalti/gx"
)

// codecEps is the epsilon of every group norm in taming's and Stable Diffusion's autoencoders.
const codecEps = 1e-6

// Codec describes the convolutional encoder and decoder of taming-transformers (Esser et al. 2021, table 7), which
// Stable Diffusion's autoencoder uses too. Level i works on Ch*Mult[i] channels at 1/2^i of the picture's size.
type Codec struct {
	Ch        int    // channels of the first convolution
	Mult      []int  // factor of Ch for each level
	ResBlocks int    // residual blocks of a level in the encoder; the decoder has one more
	Attn      []bool // whether a level has an attention block after each residual block; nil for none
	MidAttn   bool   // whether there is one between the two blocks in the middle (the reference always has it)
	Groups    int    // of the group norms; the reference has 32
	In, Out   int    // channels of the pictures, 3 for RGB
	Z         int    // channels of the latent
	DoubleZ   bool   // the encoder puts out 2 Z channels (mean and log variance)
	Wrap      Wrap   // sides that continue at the opposite ones; the reference has none

	Seen func(block string, y *graph.Node) // told the output of each block as the graph is built; may be nil
}

// Factor is by how much the encoder shrinks a side.
func (c Codec) Factor() int { return 1 << (len(c.Mult) - 1) }

// seen tells Seen about the output of a block, whose name is formatted as by fmt.Sprintf, and returns it.
func (c Codec) seen(y *graph.Node, format string, args ...any) *graph.Node {
	if c.Seen != nil {
		c.Seen(fmt.Sprintf(format, args...), y)
	}
	return y
}

func (c Codec) attn(level int) bool { return level < len(c.Attn) && c.Attn[level] }

// Encode maps pictures to latents: x [n,H,W,In] -> [n,H/f,W/f,Z] (or 2 Z). H and W must be multiples of f.
// Variables: conv_in, down.i.block.j, down.i.attn.j, down.i.downsample.conv, mid.*, norm_out, conv_out.
func (c Codec) Encode(v *gx.Vars, x *graph.Node) *graph.Node {
	n, height, width, _ := dims4(x)
	x.AssertDims(n, height, width, c.In)
	f := c.Factor()
	if height%f != 0 || width%f != 0 {
		panicf("encoder: %dx%d is not a multiple of %d", width, height, f)
	}
	y := c.seen(c.Wrap.conv3(v.In("conv_in"), x, c.Ch), "conv_in")
	for i, m := range c.Mult {
		name := fmt.Sprintf("down.%d", i)
		y = c.level(v, name, y, c.Ch*m, c.ResBlocks, c.attn(i))
		if i < len(c.Mult)-1 {
			y = c.seen(Downsample(v.In("%s.downsample", name), y, c.Wrap), "%s.downsample", name)
		}
	}
	z := c.Z
	if c.DoubleZ {
		z *= 2
	}
	y = c.finish(v, c.middle(v, y), z)
	y.AssertDims(n, height/f, width/f, z)
	return y
}

// Decode maps latents to pictures: z [n,h,w,Z] -> [n,h*f,w*f,Out], not clamped.
// Variables: conv_in, mid.*, up.i.block.j, up.i.attn.j, up.i.upsample.conv, norm_out, conv_out; the last level runs first.
func (c Codec) Decode(v *gx.Vars, z *graph.Node) *graph.Node {
	n, height, width, _ := dims4(z)
	z.AssertDims(n, height, width, c.Z)
	last := len(c.Mult) - 1
	y := c.seen(c.Wrap.conv3(v.In("conv_in"), z, c.Ch*c.Mult[last]), "conv_in")
	y = c.middle(v, y)
	for i := last; i >= 0; i-- {
		name := fmt.Sprintf("up.%d", i)
		y = c.level(v, name, y, c.Ch*c.Mult[i], c.ResBlocks+1, c.attn(i))
		if i > 0 {
			y = c.seen(Upsample(v.In("%s.upsample", name), y, c.Wrap), "%s.upsample", name)
		}
	}
	y = c.finish(v, y, c.Out)
	f := c.Factor()
	y.AssertDims(n, height*f, width*f, c.Out)
	return y
}

// level is a run of residual blocks, each followed by attention if the level has it.
func (c Codec) level(v *gx.Vars, name string, x *graph.Node, out, blocks int, attn bool) *graph.Node {
	for j := range blocks {
		x = c.seen(ResnetBlock(v.In("%s.block.%d", name, j), x, out, c.Groups, c.Wrap), "%s.block.%d", name, j)
		if attn {
			x = c.seen(AttentionBlock(v.In("%s.attn.%d", name, j), x, c.Groups), "%s.attn.%d", name, j)
		}
	}
	return x
}

func (c Codec) middle(v *gx.Vars, x *graph.Node) *graph.Node {
	out := x.Shape().Dimensions[3]
	x = c.seen(ResnetBlock(v.In("mid.block_1"), x, out, c.Groups, c.Wrap), "mid.block_1")
	if c.MidAttn {
		x = c.seen(AttentionBlock(v.In("mid.attn_1"), x, c.Groups), "mid.attn_1")
	}
	return c.seen(ResnetBlock(v.In("mid.block_2"), x, out, c.Groups, c.Wrap), "mid.block_2")
}

func (c Codec) finish(v *gx.Vars, x *graph.Node, out int) *graph.Node {
	x = c.seen(gx.SiLU(GroupNorm(v.In("norm_out"), x, c.Groups, codecEps)), "norm_out")
	return c.seen(c.Wrap.conv3(v.In("conv_out"), x, out), "conv_out")
}

// ResnetBlock is taming's residual block: x [n,h,w,c] -> [n,h,w,out]. Variables: norm1, conv1, norm2, conv2, and a 1x1
// convolution nin_shortcut when out differs from c.
func ResnetBlock(v *gx.Vars, x *graph.Node, out, groups int, wrap Wrap) *graph.Node {
	n, h, w, c := dims4(x)
	y := gx.SiLU(GroupNorm(v.In("norm1"), x, groups, codecEps))
	y = wrap.conv3(v.In("conv1"), y, out)
	y = gx.SiLU(GroupNorm(v.In("norm2"), y, groups, codecEps))
	y = wrap.conv3(v.In("conv2"), y, out)
	if c != out {
		x = Conv(v.In("nin_shortcut"), x, out, 1, 1, 0, true)
	}
	y = graph.Add(x, y)
	y.AssertDims(n, h, w, out)
	return y
}

// Upsample repeats each pixel 2x2 times and convolves: x [n,h,w,c] -> [n,2h,2w,c]. Variable: conv.
func Upsample(v *gx.Vars, x *graph.Node, wrap Wrap) *graph.Node {
	return wrap.conv3(v.In("conv"), gx.UpsampleNearest(x, 2), x.Shape().Dimensions[3])
}

// Downsample halves a picture by a 3x3 convolution of stride 2, padded by one row below and one column on the right, as
// taming does it: x [n,h,w,c] -> [n,h/2,w/2,c]. h and w must be even. Variable: conv.
func Downsample(v *gx.Vars, x *graph.Node, wrap Wrap) *graph.Node {
	n, h, w, c := dims4(x)
	y := wrap.conv(v.In("conv"), x, c, 3, gx.ConvOptions{Stride: 2, Pad: [2][2]int{{0, 1}, {0, 1}}})
	y.AssertDims(n, h/2, w/2, c)
	return y
}

// Looks says where a decoder has attention: Blocks of them over all Places of a map of Width channels. Their cost grows with the
// square of Places, that of all else with Places.
type Looks struct{ Places, Width, Blocks int }

// DecoderLooks lists the attention of Decode for latents of h x w places, in the order of computation.
func (c Codec) DecoderLooks(h, w int) []Looks {
	var out []Looks
	last := len(c.Mult) - 1
	if c.MidAttn {
		out = append(out, Looks{h * w, c.Ch * c.Mult[last], 1})
	}
	for i := last; i >= 0; i-- {
		if c.attn(i) {
			out = append(out, Looks{h * w << (2 * (last - i)), c.Ch * c.Mult[i], c.ResBlocks + 1})
		}
	}
	return out
}
