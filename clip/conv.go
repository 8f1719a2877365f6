package clip

import (
	"fmt"

	"github.com/gomlx/gomlx/core/graph"

	"github.com/smalti/smalti/gx"
	"github.com/smalti/smalti/nn"
)

// conv is smalti's own small tower, made to learn fast on a CPU: channel LayerNorm and ReLU cost a tenth of the
// usual norms and GELU there. x [n,S,S,3] -> stem [n,S,S,w0] -> stages of half the size [n,S/2,S/2,w1], ... -> mean [n,D].
func (c tower) conv(v *gx.Vars, x *graph.Node) *graph.Node {
	widths := c.Vision.Widths
	x = c.see("visual.stem", gx.ReLU(nn.Conv(v.In("stem"), x, widths[0], 3, 1, 1, true)))
	for i, width := range widths[1:] {
		stage := v.In("stages.%d", i)
		if i > 0 { // the stem ends in a ReLU
			x = layerNorm(stage.In("ln"), x)
		}
		x = nn.Conv(stage.In("down"), x, width, 3, 2, 1, true)
		x = c.see(fmt.Sprintf("visual.stages.%d", i), residual(stage.In("res"), x))
	}
	x = c.see("visual.ln_post", gx.ReLU(layerNorm(v.In("ln_post"), x)))
	return c.see("visual.proj", project(v, "proj", graph.ReduceMean(x, 1, 2), c.EmbedDim))
}

// residual is x + conv3(relu(conv3(relu(LN x)))); its last convolution starts near zero, so that the block starts as
// the identity.
func residual(v *gx.Vars, x *graph.Node) *graph.Node {
	width := x.Shape().Dimensions[3]
	y := gx.ReLU(layerNorm(v.In("ln"), x))
	y = gx.ReLU(nn.Conv(v.In("conv1"), y, width, 3, 1, 1, true))
	last := v.In("conv2")
	last.Get("weight", gx.Spec{Dims: []int{3, 3, width, width}, Layout: gx.Conv, Init: gx.Normal(1e-3)})
	last.Get("bias", gx.Spec{Dims: []int{width}})
	return graph.Add(x, nn.Conv(last, y, width, 3, 1, 1, true))
}
