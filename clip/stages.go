package clip

import (
	"fmt"
	"slices"
	"strings"

	"github.com/gomlx/gomlx/core/graph"

	"github.com/smalti/smalti/gx"
)

// StagesGraph is what the image tower sees on its way, from fine to coarse: x [n,H,W,3] RGB in [0,1] -> the outputs of its
// stages, [n,h,w,c] or, of a vision transformer, [n,l,d] after each quarter of its blocks. A Conv tower takes any H and W
// that halve as often as it has stages; the others take the square of ImageSize.
func (c Config) StagesGraph(v *gx.Vars, x *graph.Node) []*graph.Node {
	var out []*graph.Node
	t := tower{c, func(block string, y *graph.Node) *graph.Node {
		if c.isStage(block) {
			out = append(out, y)
		}
		return y
	}}
	x = c.scaled(x)
	if c.Vision.Kind == Conv {
		t.conv(v.In("visual"), x)
	} else {
		t.vision(v, x)
	}
	return out
}

// isStage chooses among the names that a tower tells to see.
func (c Config) isStage(block string) bool {
	switch c.Vision.Kind {
	case Conv, VGG:
		return strings.HasPrefix(block, "visual.stages.")
	case ResNet:
		return slices.ContainsFunc([]int{0, 1, 2, 3}, func(stage int) bool {
			return block == fmt.Sprintf("visual.layer%d.%d", stage+1, c.Vision.Blocks[stage]-1)
		})
	}
	quarter := max(1, c.Vision.Layers/4)
	for i := quarter - 1; i < c.Vision.Layers; i += quarter {
		if block == fmt.Sprintf("visual.transformer.resblocks.%d", i) {
			return true
		}
	}
	return false
}
