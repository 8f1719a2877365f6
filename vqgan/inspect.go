package vqgan

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
	Out    []int  // shape of its output for one picture
	Params int    // numbers in its variables
}

// Inspect lists the blocks in the order of computation, with the shapes that a picture of w x h pixels has in them; both
// must be multiples of f. The graph is traced, so the table is what runs.
func (c Config) Inspect(e *engine.Engine, w, h int) ([]Block, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	if f := c.Factor(); w < f || h < f || w%f != 0 || h%f != 0 {
		return nil, fmt.Errorf("vqgan: inspect: %w: %dx%d is not a multiple of %d; the nearest is %dx%d", ErrSize, w, h, f, nearestMultiple(w, f), nearestMultiple(h, f))
	}
	var blocks []Block
	seen := func(name string, y *graph.Node) {
		blocks = append(blocks, Block{Name: name, Out: slices.Clone(y.Shape().Dimensions)})
	}
	p := e.Program("vqgan inspect", func(v *gx.Vars, in []*graph.Node) []*graph.Node {
		blocks = nil
		codec := c.Codec()
		codec.Seen = func(name string, y *graph.Node) { seen("encoder."+name, y) }
		z := c.quantConv(v, codec.Encode(v.In("encoder"), in[0]))
		seen("quant_conv", z)
		zq := c.LookupGraph(v, c.CodesGraph(v, z))
		seen("quantize", zq)
		post := c.postQuant(v, zq)
		seen("post_quant_conv", post)
		codec.Seen = func(name string, y *graph.Node) { seen("decoder."+name, y) }
		return []*graph.Node{codec.Decode(v.In("decoder"), post)}
	})
	decls, err := p.Decls(engine.Float32(1, h, w, 3))
	if err != nil {
		return nil, err
	}
	for _, d := range decls {
		i := slices.IndexFunc(blocks, func(b Block) bool { return strings.HasPrefix(d.Name, b.Name+".") })
		if i < 0 {
			return nil, fmt.Errorf("vqgan: inspect: variable %q belongs to no block", d.Name)
		}
		blocks[i].Params += d.Shape().Size()
	}
	return blocks, nil
}

// Inspect is Config.Inspect at the size that the model was trained on, or 256 pixels when that is not known.
func (m *Model) Inspect() ([]Block, error) {
	side := m.Resolution
	if side == 0 {
		side = 256
	}
	side = nearestMultiple(side, m.Factor())
	return m.config.Inspect(m.e, side, side)
}
