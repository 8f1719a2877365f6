package vqgan

import (
	"fmt"

	"github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"

	"github.com/smalti/smalti/engine"
	"github.com/smalti/smalti/gx"
	"github.com/smalti/smalti/pixel"
)

// Book returns the codebook as the decoder receives it: NumCodes rows of Channels numbers, of unit length with L2.
func (m *Model) Book() ([]float32, error) {
	all := make([]int32, m.NEmbed)
	for i := range all {
		all[i] = int32(i)
	}
	p := m.e.Program("vqgan codebook", func(v *gx.Vars, in []*graph.Node) []*graph.Node {
		return []*graph.Node{m.LookupGraph(v, in[0])}
	})
	outs, err := p.Run(m.values, tensors.FromFlatDataAndDimensions(all, 1, 1, m.NEmbed))
	if err != nil {
		return nil, fmt.Errorf("vqgan: codebook: %w", err)
	}
	return engine.Floats(outs[0]), nil
}

// NearestCodes returns the codes nearest to a latent [h,w,e], as a latent under optimisation is decoded.
func (m *Model) NearestCodes(z []float32, h, w int) (Codes, error) {
	if h < 1 || w < 1 || len(z) != h*w*m.EmbedDim {
		return Codes{}, fmt.Errorf("vqgan: nearest codes: %w: %d numbers for a latent of %dx%dx%d", ErrSize, len(z), h, w, m.EmbedDim)
	}
	outs, err := m.nearest.Run(m.values, engine.FromFloats(z, 1, h, w, m.EmbedDim))
	if err != nil {
		return Codes{}, fmt.Errorf("vqgan: nearest codes: %w", err)
	}
	return Codes{H: h, W: w, Idx: engine.Ints(outs[0])}, nil
}

// DecodeLatent paints a latent [h,w,e] as it is, between the codes, which decoders take well though they never saw it.
// With L2 its vectors are brought to unit length. The picture is limited to [0,1].
func (m *Model) DecodeLatent(z []float32, h, w int) (pixel.Image, error) {
	if h < 1 || w < 1 || len(z) != h*w*m.EmbedDim {
		return pixel.Image{}, fmt.Errorf("vqgan: decode a latent: %w: %d numbers for a latent of %dx%dx%d", ErrSize, len(z), h, w, m.EmbedDim)
	}
	outs, err := m.between.Run(m.values, engine.FromFloats(z, 1, h, w, m.EmbedDim))
	if err != nil {
		return pixel.Image{}, fmt.Errorf("vqgan: decode a latent: %w", err)
	}
	f := m.Factor()
	return pixel.Image{W: w * f, H: h * f, Pix: engine.Floats(outs[0])}, nil
}

// latentPrograms compiles nothing yet.
func (m *Model) latentPrograms() {
	c := m.config
	m.nearest = m.e.Program("vqgan nearest codes", func(v *gx.Vars, in []*graph.Node) []*graph.Node {
		_, codes := c.QuantiseGraph(v, in[0])
		return []*graph.Node{codes}
	})
	m.between = m.e.Program("vqgan decode latent", func(v *gx.Vars, in []*graph.Node) []*graph.Node {
		return []*graph.Node{toPixels(c.DecodeGraph(v, c.unit(in[0])))}
	})
}
