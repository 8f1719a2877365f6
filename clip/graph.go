package clip

import (
	"fmt"
	"math"
	"strings"

	"github.com/gomlx/gomlx/core/graph"

	"github.com/smalti/smalti/gx"
)

// ImageSize is the side of the square pictures that the image tower takes, in pixels.
func (c Config) ImageSize() int { return c.Vision.ImageSize }

// ImageGraph is the image tower with its normalisation: x [n,S,S,3] RGB in [0,1] -> features [n,D], not normalised.
func (c Config) ImageGraph(v *gx.Vars, x *graph.Node) *graph.Node {
	return c.VisionGraph(v, c.scaled(x))
}

// scaled takes the mean off x [...,3] in [0,1] and divides by the deviation.
func (c Config) scaled(x *graph.Node) *graph.Node {
	g := x.Graph()
	scale, shift := make([]float32, 3), make([]float32, 3)
	for i := range 3 {
		scale[i] = float32(1 / c.Std[i])
		shift[i] = float32(-c.Mean[i] / c.Std[i])
	}
	s := graph.Reshape(graph.Const(g, scale), 1, 1, 1, 3)
	b := graph.Reshape(graph.Const(g, shift), 1, 1, 1, 3)
	return graph.Add(graph.Mul(x, s), b)
}

// VisionGraph is the image tower: x [n,S,S,3], of which mean and std are taken care of -> features [n,D], not
// normalised. Variables lie below "visual".
func (c Config) VisionGraph(v *gx.Vars, x *graph.Node) *graph.Node {
	return tower{c, ignore}.vision(v, x)
}

// tower is a Config while its graph is built. see is told the output of each block and hands it back.
type tower struct {
	Config
	see func(block string, y *graph.Node) *graph.Node
}

func ignore(_ string, y *graph.Node) *graph.Node { return y }

func (c tower) vision(v *gx.Vars, x *graph.Node) *graph.Node {
	n, size := x.Shape().Dimensions[0], c.Vision.ImageSize
	x.AssertDims(n, size, size, 3)
	v = v.In("visual")
	switch c.Vision.Kind {
	case ViT:
		x = c.vit(v, x)
	case ResNet:
		x = c.resnet(v, x)
	case Conv:
		x = c.conv(v, x)
	case VGG:
		x = c.vgg(v, x)
	default:
		panic(fmt.Errorf("clip: unknown image tower %q", c.Vision.Kind))
	}
	x.AssertDims(n, c.EmbedDim)
	return x
}

// LogitScale is exp of the variable logit_scale, a scalar: what cosines are multiplied by. It starts at 1/0.07.
func (c Config) LogitScale(v *gx.Vars) *graph.Node {
	return graph.Exp(v.Get("logit_scale", gx.Spec{Dims: []int{}, Init: gx.Const(math.Log(1 / 0.07))}))
}

// Normalise scales the rows of x [n,D] to length 1.
func Normalise(x *graph.Node) *graph.Node { return gx.L2Normalize(x, -1) }

// LogitsGraph compares features of pictures [n,D] and of texts [m,D]: scale x cosine, [n,m].
func (c Config) LogitsGraph(v *gx.Vars, images, texts *graph.Node) *graph.Node {
	cosines := graph.Einsum("nd,md->nm", Normalise(images), Normalise(texts))
	return graph.Mul(cosines, c.LogitScale(v))
}

// Trainable reports whether a variable is one to be learnt. The statistics of a ResNet's normalisations are not.
func Trainable(name string) bool {
	return !strings.HasSuffix(name, ".running_mean") && !strings.HasSuffix(name, ".running_var")
}
