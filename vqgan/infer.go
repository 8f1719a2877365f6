package vqgan

import (
	"fmt"

	"github.com/smalti/smalti/weights"
)

// infer reads the architecture off the names and shapes of a file. What shapes do not tell (groups of the norms, L2
// codes) is as in the reference.
func infer(l *weights.Loader, names layout) (Config, error) {
	s := sizes{l: l, names: names}
	c := Config{Groups: 32, Quantiser: Nearest, MidAttn: s.has("encoder.mid.attn_1.norm.weight")}
	codebook := c.codebookName()
	if !s.has("%s", codebook) {
		c.Quantiser = Gumbel
		codebook = c.codebookName()
	}
	if !s.has("encoder.conv_in.weight") || !s.has("%s", codebook) {
		return Config{}, fmt.Errorf("%w: no encoder.conv_in.weight or no codebook (quantize.embedding.weight, quantize.embed.weight) in the file", ErrNotVQGAN)
	}
	c.NEmbed, c.EmbedDim = s.dim(codebook, 0), s.dim(codebook, 1)
	c.Ch = s.dim("encoder.conv_in.weight", 0)
	c.ZChannels = s.dim("decoder.conv_in.weight", 1)
	for i := 0; s.has("encoder.down.%d.block.0.conv1.weight", i) && i < maxLevels; i++ {
		out := s.dim(fmt.Sprintf("encoder.down.%d.block.0.conv1.weight", i), 0)
		if c.Ch == 0 || out%c.Ch != 0 {
			return Config{}, fmt.Errorf("vqgan: level %d has %d channels, not a multiple of the first convolution's %d", i, out, c.Ch)
		}
		c.ChMult = append(c.ChMult, out/c.Ch)
		c.Attn = append(c.Attn, s.has("encoder.down.%d.attn.0.norm.weight", i))
	}
	for s.has("encoder.down.0.block.%d.conv1.weight", c.NumResBlocks) {
		c.NumResBlocks++
	}
	if s.err != nil {
		return Config{}, s.err
	}
	return c, c.Validate()
}

// sizes looks shapes up by the variable's name and keeps the first error.
type sizes struct {
	l     *weights.Loader
	names layout
	err   error
}

func (s *sizes) has(format string, args ...any) bool {
	return s.l.Has(s.names.file(fmt.Sprintf(format, args...)))
}

func (s *sizes) dim(name string, axis int) int {
	t, ok := s.l.Peek(s.names.file(name))
	if ok && axis < len(t.Shape) {
		return t.Shape[axis]
	}
	if s.err == nil {
		s.err = fmt.Errorf("%w: no %s of the expected rank in the file", ErrNotVQGAN, name)
	}
	return 0
}
