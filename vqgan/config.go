package vqgan

import (
	"fmt"

	"github.com/smalti/smalti/nn"
)

// Quantiser says how an encoder's output becomes codes.
type Quantiser string

const (
	Nearest Quantiser = "vq"     // the code nearest to the vector
	Gumbel  Quantiser = "gumbel" // the largest of k learnt logits
)

// Config is the architecture of a model. The JSON form travels in the metadata of the files that Save writes.
type Config struct {
	Ch           int       `json:"ch"`             // channels of the first convolution
	ChMult       []int     `json:"ch_mult"`        // factor of Ch for each level, from the finest
	NumResBlocks int       `json:"num_res_blocks"` // of a level of the encoder; the decoder has one more
	Attn         []bool    `json:"attn"`           // for each level; empty for none
	MidAttn      bool      `json:"mid_attn"`       // attention in the middle, which the reference always has
	Groups       int       `json:"groups"`         // of the group norms, 32 in the reference
	ZChannels    int       `json:"z_channels"`     // between encoder and quant_conv
	EmbedDim     int       `json:"embed_dim"`      // of a code
	NEmbed       int       `json:"n_embed"`        // number of codes
	Quantiser    Quantiser `json:"quantiser"`
	L2           bool      `json:"l2,omitempty"`         // codes and vectors are compared and used at unit length (Yu et al. 2021, arXiv:2110.04627)
	Resolution   int       `json:"resolution,omitempty"` // side of the pictures it was trained on, 0 when unknown; any multiple of f works

	// Wrap is no part of the architecture: it makes the sides of pictures continue at the opposite ones.
	Wrap nn.Wrap `json:"-"`
}

// ImageNetF16 is the architecture of taming's ImageNet models with f = 16 and k codes (1024 or 16384 in the published
// ones), from configs/model.yaml beside the published checkpoints.
func ImageNetF16(k int) Config {
	return Config{Ch: 128, ChMult: []int{1, 1, 2, 2, 4}, NumResBlocks: 2, Attn: []bool{false, false, false, false, true}, MidAttn: true, Groups: 32,
		ZChannels: 256, EmbedDim: 256, NEmbed: k, Quantiser: Nearest, Resolution: 256}
}

// BuiltinV0 is the small model that smalti trains for itself: f = 4 and 512 codes of 8 numbers at unit length. It has
// no attention, so its cost grows with the number of pixels only.
func BuiltinV0() Config {
	return Config{Ch: 24, ChMult: []int{1, 2, 4}, NumResBlocks: 1, Groups: 8, ZChannels: 32, EmbedDim: 8, NEmbed: 512, Quantiser: Nearest, L2: true, Resolution: 32}
}

// BuiltinV1 is the second: f = 8 and 1024 codes of 8 numbers at unit length, trained at 64 pixels. It is widest where maps are 8x8 and
// 16x16 and looks about once, in the middle.
func BuiltinV1() Config {
	return Config{Ch: 16, ChMult: []int{1, 2, 6, 8}, NumResBlocks: 1, MidAttn: true, Groups: 4, ZChannels: 64, EmbedDim: 8, NEmbed: 1024, Quantiser: Nearest, L2: true, Resolution: 64}
}

// Factor is f: a code stands for f x f pixels.
func (c Config) Factor() int { return 1 << (max(1, len(c.ChMult)) - 1) }

// Channels is the width of a code, the last axis of z.
func (c Config) Channels() int { return c.EmbedDim }

// NumCodes is the size of the codebook.
func (c Config) NumCodes() int { return c.NEmbed }

// Codec is the encoder and decoder without the quantiser.
func (c Config) Codec() nn.Codec {
	return nn.Codec{Ch: c.Ch, Mult: c.ChMult, ResBlocks: c.NumResBlocks, Attn: c.Attn, MidAttn: c.MidAttn, Groups: c.Groups, In: 3, Out: 3, Z: c.ZChannels, Wrap: c.Wrap}
}

// maxLevels bounds f at 2^11; published models have f from 4 to 32.
const maxLevels = 12

// Validate says what is wrong with a configuration, nil when it can be built.
func (c Config) Validate() error {
	for _, p := range []struct {
		name string
		v    int
	}{{"ch", c.Ch}, {"num_res_blocks", c.NumResBlocks}, {"groups", c.Groups}, {"z_channels", c.ZChannels}, {"embed_dim", c.EmbedDim}, {"n_embed", c.NEmbed}} {
		if p.v < 1 {
			return fmt.Errorf("vqgan config: %s is %d, must be at least 1", p.name, p.v)
		}
	}
	if len(c.ChMult) < 1 || len(c.ChMult) > maxLevels {
		return fmt.Errorf("vqgan config: %d levels, want 1 to %d", len(c.ChMult), maxLevels)
	}
	if n := len(c.Attn); n != 0 && n != len(c.ChMult) {
		return fmt.Errorf("vqgan config: attn has %d levels, ch_mult %d", n, len(c.ChMult))
	}
	for _, m := range append([]int{1}, c.ChMult...) {
		if m < 1 || m*c.Ch%c.Groups != 0 {
			return fmt.Errorf("vqgan config: %d x %d channels do not divide into %d groups", m, c.Ch, c.Groups)
		}
	}
	switch {
	case c.Quantiser != Nearest && c.Quantiser != Gumbel:
		return fmt.Errorf("vqgan config: unknown quantiser %q (there are %q and %q)", c.Quantiser, Nearest, Gumbel)
	case c.Quantiser == Gumbel && c.L2:
		return fmt.Errorf("vqgan config: l2 codes need the quantiser %q", Nearest)
	}
	return nil
}
