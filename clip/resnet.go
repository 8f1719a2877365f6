package clip

import (
	"fmt"
	"math"

	"github.com/gomlx/gomlx/core/graph"

	"github.com/smalti/smalti/gx"
	"github.com/smalti/smalti/nn"
)

// resnet is openai/CLIP's ModifiedResNet: a stem of three convolutions, average pooling before every stride, and
// attention instead of the last mean. x [n,S,S,3] -> [n,S/32,S/32,32 Width] -> [n,D].
func (c tower) resnet(v *gx.Vars, x *graph.Node) *graph.Node {
	w := c.Vision.Width
	for i, out := range []int{w / 2, w / 2, w} {
		stride := 1
		if i == 0 {
			stride = 2
		}
		x = gx.ReLU(convNorm(v, i+1, x, out, 3, stride))
		c.see(fmt.Sprintf("visual.conv%d", i+1), x)
	}
	x = gx.AvgPool(x, 2)
	for stage, blocks := range c.Vision.Blocks {
		for i := range blocks {
			stride := 1
			if stage > 0 && i == 0 {
				stride = 2
			}
			x = bottleneck(v.In("layer%d.%d", stage+1, i), x, w<<stage, stride)
			c.see(fmt.Sprintf("visual.layer%d.%d", stage+1, i), x)
		}
	}
	return c.see("visual.attnpool", c.attentionPool(v.In("attnpool"), x))
}

// bottleneck is the residual block of He et al. 2015 with the stride taken by average pooling: x [n,h,w,in] ->
// [n,h/stride,w/stride,4 planes].
func bottleneck(v *gx.Vars, x *graph.Node, planes, stride int) *graph.Node {
	out := 4 * planes
	y := gx.ReLU(convNorm(v, 1, x, planes, 1, 1))
	y = gx.ReLU(convNorm(v, 2, y, planes, 3, 1))
	y = convNorm(v, 3, pool(y, stride), out, 1, 1)
	if stride > 1 || x.Shape().Dimensions[3] != out {
		down := v.In("downsample")
		x = nn.Conv(down.In("0"), pool(x, stride), out, 1, 1, 0, false)
		x = frozenNorm(down.In("1"), x, gx.Ones)
	}
	return gx.ReLU(graph.Add(x, y))
}

// convNorm is the convolution "conv<i>" and the normalisation "bn<i>". The third of a block starts at zero, so that
// blocks start as identities.
func convNorm(v *gx.Vars, i int, x *graph.Node, out, k, stride int) *graph.Node {
	scale := gx.Ones
	if i == 3 && k == 1 {
		scale = gx.Zeros
	}
	return frozenNorm(v.In("bn%d", i), nn.Conv(v.In("conv%d", i), x, out, k, stride, k/2, false), scale)
}

// frozenNorm is batch normalisation (Ioffe and Szegedy 2015) with the stored statistics, in training too: x [n,h,w,ch].
func frozenNorm(v *gx.Vars, x *graph.Node, scale gx.Init) *graph.Node {
	dims := []int{x.Shape().Dimensions[3]}
	w := v.Get("weight", gx.Spec{Dims: dims, Init: scale})
	b := v.Get("bias", gx.Spec{Dims: dims})
	mean := v.Get("running_mean", gx.Spec{Dims: dims})
	variance := v.Get("running_var", gx.Spec{Dims: dims, Init: gx.Ones})
	return gx.BatchNormWith(x, mean, variance, w, b, normEps)
}

// pool is a stride taken as the mean of squares.
func pool(x *graph.Node, stride int) *graph.Node {
	if stride == 1 {
		return x
	}
	return gx.AvgPool(x, stride)
}

// attentionPool lets the mean of all places ask each place, and itself: x [n,h,w,d] -> [n,D] (AttentionPool2d).
func (c Config) attentionPool(v *gx.Vars, x *graph.Node) *graph.Node {
	s := x.Shape().Dimensions
	n, l, d, a := s[0], s[1]*s[2]+1, s[3], c.Vision.Heads
	std := 1 / math.Sqrt(float64(d))
	x = graph.Reshape(x, n, l-1, d)
	mean := graph.InsertAxes(graph.ReduceMean(x, 1), 1)
	pos := v.Get("positional_embedding", gx.Spec{Dims: []int{l, d}, Init: gx.Normal(std)})
	x = graph.Add(graph.Concatenate([]*graph.Node{mean, x}, 1), graph.ExpandLeftToRank(pos, 3))
	first := graph.Slice(x, graph.AxisRange(), graph.AxisRange(0, 1), graph.AxisRange())
	head := func(name string, x *graph.Node) *graph.Node {
		y := linear(v.In("%s", name), x, d, gx.Normal(std), gx.Uniform(std))
		return graph.Reshape(y, n, -1, a, d/a)
	}
	y := nn.Attention(head("q_proj", first), head("k_proj", x), head("v_proj", x), false)
	return linear(v.In("c_proj"), graph.Reshape(y, n, d), c.EmbedDim, gx.Normal(std), gx.Uniform(std))
}
