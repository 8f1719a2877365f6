package clip

import (
	"fmt"
	"slices"
	"strings"

	"github.com/gomlx/gomlx/core/graph"

	"github.com/smalti/smalti/engine"
	"github.com/smalti/smalti/gx"
)

// Block is a row of the table of a model.
type Block struct {
	Name   string // prefix of its variables
	Out    []int  // shape of its output for one picture or text
	Params int    // numbers in its variables
}

// Inspect lists the blocks in the order of computation, with the shapes that one picture and one text of full length
// have in them. The graph is traced, so the table is what runs.
func (c Config) Inspect(e *engine.Engine) ([]Block, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	var blocks []Block
	p := e.Program("clip inspect", func(v *gx.Vars, in []*graph.Node) []*graph.Node {
		blocks = nil
		t := tower{c, func(name string, y *graph.Node) *graph.Node {
			blocks = append(blocks, Block{Name: name, Out: slices.Clone(y.Shape().Dimensions)})
			return y
		}}
		images, texts := t.vision(v, in[0]), t.text(v, in[1])
		logits := t.see("logit_scale", c.LogitsGraph(v, images, texts))
		return []*graph.Node{logits}
	})
	decls, err := p.Decls(engine.Float32(1, c.ImageSize(), c.ImageSize(), 3), engine.Int32(1, c.Text.ContextLength))
	if err != nil {
		return nil, err
	}
	for _, d := range decls {
		i := slices.IndexFunc(blocks, func(b Block) bool { return d.Name == b.Name || strings.HasPrefix(d.Name, b.Name+".") })
		if i < 0 && c.Vision.Kind == ResNet { // the stem's normalisations: bn1 belongs to conv1
			name := strings.Replace(d.Name, ".bn", ".conv", 1)
			i = slices.IndexFunc(blocks, func(b Block) bool { return strings.HasPrefix(name, b.Name+".") })
		}
		if i < 0 {
			return nil, fmt.Errorf("clip: inspect: variable %q belongs to no block", d.Name)
		}
		blocks[i].Params += d.Shape().Size()
	}
	return blocks, nil
}

// Inspect is Config.Inspect.
func (m *Model) Inspect() ([]Block, error) { return m.config.Inspect(m.e) }
