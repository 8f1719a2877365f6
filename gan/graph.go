package gan

import (
	"fmt"

	"github.com/gomlx/gomlx/core/graph"

	"github.com/smalti/smalti/gx"
)

// slope of the leaky ReLUs of discriminators.
const slope = 0.2

// dcganInit is how DCGAN starts convolutions (Radford et al. 2015, section 4).
var dcganInit = gx.Normal(0.02)

// GenerateGraph makes pictures of noise: z [n,k] and classes, int32 [n] (nil without Labels) -> [n,S,S,C] in [-1,1].
// stats is non-nil in training.
func (c Config) GenerateGraph(v *gx.Vars, z, labels *graph.Node, stats *Stats) *graph.Node {
	z.AssertDims(-1, c.Latent)
	n := z.Shape().Dimensions[0]
	if c.Labels > 0 {
		z = graph.Concatenate([]*graph.Node{z, c.oneHot(labels, z)}, 1)
	}
	var x *graph.Node
	switch c.Kind {
	case MLP:
		x = graph.Reshape(c.mlpGenerator(v, z, stats), n, c.Size, c.Size, c.Channels)
	case DCGAN:
		x = c.dcganGenerator(v, graph.Reshape(z, n, 1, 1, lastDim(z)), stats)
	case ResNet:
		x = c.resGenerator(v, z, stats)
	default:
		panic(fmt.Errorf("gan: unknown kind %q", c.Kind))
	}
	x.AssertDims(n, c.Size, c.Size, c.Channels)
	return graph.Tanh(x)
}

// JudgeGraph is the discriminator or critic: pictures x [n,S,S,C] in [-1,1] and classes, int32 [n] (nil without Labels)
// -> one number for each, [n]: the logit of being real, or the critic's value.
func (c Config) JudgeGraph(v *gx.Vars, x, labels *graph.Node, stats *Stats) *graph.Node {
	x.AssertDims(-1, c.Size, c.Size, c.Channels)
	n := x.Shape().Dimensions[0]
	if c.Labels > 0 {
		hot := c.oneHot(labels, x) // as planes of ones and zeros beside the colours
		hot = graph.BroadcastToDims(graph.Reshape(hot, n, 1, 1, c.Labels), n, c.Size, c.Size, c.Labels)
		x = graph.Concatenate([]*graph.Node{x, hot}, 3)
	}
	var y *graph.Node
	switch c.Kind {
	case MLP:
		y = c.mlpDiscriminator(v, graph.Reshape(x, n, -1), stats)
	case DCGAN:
		y = c.dcganDiscriminator(v, x, stats)
	case ResNet:
		y = c.resDiscriminator(v, x, stats)
	default:
		panic(fmt.Errorf("gan: unknown kind %q", c.Kind))
	}
	return graph.Reshape(y, n)
}

func (c Config) oneHot(labels, like *graph.Node) *graph.Node {
	if labels == nil {
		panic(fmt.Errorf("gan: a network of %d classes needs labels", c.Labels))
	}
	return graph.OneHot(labels, c.Labels, like.DType())
}

// sequence numbers layers as PyTorch's Sequential does, where norms and activations count too.
type sequence struct {
	v     *gx.Vars
	stats *Stats
	i     int
}

func (s *sequence) next() *gx.Vars {
	s.i++
	return s.v.In("main.%d", s.i-1)
}

// hidden applies norm and activation to the output of a layer.
func (s *sequence) hidden(x *graph.Node, n Norm, slope float64) *graph.Node {
	if n != NoNorm {
		x = norm(s.next(), x, n, s.stats)
	}
	s.i++
	return gx.LeakyReLU(x, slope)
}

// dcganGenerator: z [n,1,1,k] -> transposed convolutions, the first to Base x Base, each other doubles -> [n,S,S,C].
func (c Config) dcganGenerator(v *gx.Vars, z *graph.Node, stats *Stats) *graph.Node {
	net := c.Generator
	s := sequence{v: v, stats: stats}
	l := layer{kernel: c.Base(), stride: 1, bias: net.Bias, init: dcganInit}
	x := z
	for level := c.Levels - 1; level >= 0; level-- {
		l.out = net.Width * c.mult(level)
		x = s.hidden(l.convT(s.next(), x), net.Norm, 0)
		l.kernel, l.stride, l.pad = 4, 2, 1
	}
	l.out = c.Channels
	return l.convT(s.next(), x)
}

// dcganDiscriminator: convolutions that halve, the first without a norm, and one over all that is left.
func (c Config) dcganDiscriminator(v *gx.Vars, x *graph.Node, stats *Stats) *graph.Node {
	net := c.Discriminator
	s := sequence{v: v, stats: stats}
	l := layer{kernel: 4, stride: 2, pad: 1, bias: net.Bias, init: dcganInit}
	for level := range c.Levels {
		l.out = net.Width * c.mult(level)
		n := net.Norm
		if level == 0 {
			n = NoNorm
		}
		x = s.hidden(l.conv(s.next(), x), n, slope)
	}
	l.out, l.kernel, l.stride, l.pad = 1, c.Base(), 1, 0
	return l.conv(s.next(), x)
}

// mlpGenerator: z [n,k] -> Levels hidden layers, each twice as wide as the one before -> [n,S*S*C].
func (c Config) mlpGenerator(v *gx.Vars, z *graph.Node, stats *Stats) *graph.Node {
	s := sequence{v: v, stats: stats}
	l := layer{bias: true, init: gx.KaimingUniform, out: c.Generator.Width}
	x := z
	for range c.Levels {
		x = s.hidden(l.linear(s.next(), x), c.Generator.Norm, 0)
		l.out *= 2
	}
	l.out = c.Size * c.Size * c.Channels
	return l.linear(s.next(), x)
}

// mlpDiscriminator: x [n,S*S*C] -> max(1, Levels-1) hidden layers, each half as wide as the one before -> [n,1].
func (c Config) mlpDiscriminator(v *gx.Vars, x *graph.Node, stats *Stats) *graph.Node {
	s := sequence{v: v, stats: stats}
	hidden := max(1, c.Levels-1)
	l := layer{bias: true, init: gx.KaimingUniform, out: c.Discriminator.Width << (hidden - 1)}
	for range hidden {
		x = s.hidden(l.linear(s.next(), x), c.Discriminator.Norm, slope)
		l.out /= 2
	}
	l.out = 1
	return l.linear(s.next(), x)
}
