package clip

import (
	"fmt"

	"github.com/gomlx/gomlx/core/graph"

	"github.com/smalti/smalti/gx"
	"github.com/smalti/smalti/nn"
)

// vgg is a tower in the manner of Simonyan and Zisserman 2014 (arXiv:1409.1556): plain 3x3 convolutions, the largest of each
// 2x2 places, and a fully connected end that knows where things stand. It shares no trick with conv - no residuals, no
// strides, no mean over places - so that one can judge what was painted under the other. x [n,S,S,3] -> stages of half the
// size [n,S/2,S/2,w0], [n,S/4,S/4,w1], ... -> all places side by side, projected [n,D].
func (c tower) vgg(v *gx.Vars, x *graph.Node) *graph.Node {
	for i, width := range c.Vision.Widths {
		stage := v.In("stages.%d", i)
		if i > 0 { // at full size one convolution is all that a CPU can afford
			x = gx.ReLU(nn.Conv(stage.In("conv0"), x, width, 3, 1, 1, true))
		}
		x = nn.Conv(stage.In("conv1"), x, width, 3, 1, 1, true)
		x = gx.ReLU(layerNorm(stage.In("ln"), gx.MaxPool(x, 2)))
		x = c.see(fmt.Sprintf("visual.stages.%d", i), x)
	}
	x = graph.Reshape(x, x.Shape().Dimensions[0], -1)
	return c.see("visual.proj", project(v, "proj", x, c.EmbedDim))
}
