package prior

import "fmt"

// Condition says what stands in front of the codes.
type Condition string

const (
	Unconditional Condition = "uncond" // one token, the same for every picture (taming's SOSProvider)
	Class         Condition = "class"  // one token, the number of a class (taming's Labelator)
	Text          Condition = "text"   // the tokens of a caption, through an encoder of their own
)

// Config is the architecture of a model. The JSON form travels in the metadata of the files that Save writes; the names
// of the network's own sizes are taming's.
type Config struct {
	VocabSize int `json:"vocab_size"` // of the network: codes, and tokens of a condition that is no text
	BlockSize int `json:"block_size"` // most positions
	Layers    int `json:"n_layer"`
	Heads     int `json:"n_head"`
	Width     int `json:"n_embd"`
	Unmasked  int `json:"n_unmasked,omitempty"` // of the first positions each sees all of them

	Condition Condition    `json:"condition"`
	SOS       int          `json:"sos_token,omitempty"` // token of Unconditional
	Classes   int          `json:"n_classes,omitempty"` // of Class; 0 when unknown
	Text      *TextEncoder `json:"text,omitempty"`      // of Text

	Codes int `json:"codes,omitempty"`  // codes that are drawn: 0..Codes-1; 0 for all of the vocabulary
	GridH int `json:"grid_h,omitempty"` // rows of codes that it was trained on, 0 when unknown
	GridW int `json:"grid_w,omitempty"` // columns

	Codebook *Codebook `json:"codebook,omitempty"` // nil when unknown
}

// Codebook says whose codes a model draws. To any other VQGAN they are noise.
type Codebook struct {
	Name   string `json:"name"`   // of the VQGAN when the model was trained
	SHA256 string `json:"sha256"` // of its weight file, which decides
	Factor int    `json:"factor"` // pixels on a side of a code
}

// TextEncoder is the part of a model that reads captions. A caption is Length tokens, the rest filled with tokens that
// mean nothing; each is a row of a small table, brought to the network's width. The network's first Length positions
// are unmasked, so that its layers read the caption in both directions.
type TextEncoder struct {
	Vocab  int    `json:"vocab_size"`
	Length int    `json:"length"`
	Width  int    `json:"width"`            // of the table's rows
	Tokens string `json:"tokens,omitempty"` // the tokenizer's vocabulary in its own words; means nothing here
}

// NoCaption is the token, beyond the vocabulary, that a caption consists of when there is none: what training puts in
// place of dropped captions, and what guidance compares with.
func (t TextEncoder) NoCaption() int32 { return int32(t.Vocab) }

// ImageNet is the architecture of taming's class-conditional model of ImageNet (configs of 2021-04-03T19-39-50_cin):
// 16x16 codes out of 16384.
func ImageNet() Config {
	return Config{VocabSize: 16384, BlockSize: 256, Layers: 48, Heads: 24, Width: 1536, Condition: Class, Classes: 1000, GridH: 16, GridW: 16}
}

// ForCaptions is a network of the given size that draws grids of side x side codes for captions.
func ForCaptions(codes, side int, text TextEncoder, layers, heads, width int) Config {
	return Config{VocabSize: codes, BlockSize: text.Length + side*side - 1, Layers: layers, Heads: heads, Width: width, Unmasked: text.Length,
		Condition: Text, Text: &text, GridH: side, GridW: side}
}

// Prefix is p, the number of positions of the condition.
func (c Config) Prefix() int {
	if c.Condition == Text {
		return c.Text.Length
	}
	return 1
}

// NumCodes is k, the number of codes that may be drawn.
func (c Config) NumCodes() int {
	if c.Codes > 0 {
		return c.Codes
	}
	return c.VocabSize
}

// MaxCodes is the largest number of codes in a sequence: the last code is drawn and never read.
func (c Config) MaxCodes() int { return c.BlockSize - c.Prefix() + 1 }

// Grid returns the grid that a model was trained on. When it is unknown, it is taken for the largest square.
func (c Config) Grid() (h, w int) {
	if c.GridH > 0 {
		return c.GridH, c.GridW
	}
	side := 1
	for (side+1)*(side+1) <= c.MaxCodes() {
		side++
	}
	return side, side
}

// Validate says what is wrong with a configuration, nil when it can be built.
func (c Config) Validate() error {
	for _, p := range []struct {
		name string
		v    int
	}{{"vocab_size", c.VocabSize}, {"block_size", c.BlockSize}, {"n_layer", c.Layers}, {"n_head", c.Heads}, {"n_embd", c.Width}} {
		if p.v < 1 || p.v > 1<<20 {
			return fmt.Errorf("prior config: %s is out of range: %d", p.name, p.v)
		}
	}
	switch {
	case c.Width%c.Heads != 0:
		return fmt.Errorf("prior config: a width of %d does not divide into %d heads", c.Width, c.Heads)
	case c.Unmasked < 0 || c.Unmasked > c.BlockSize:
		return fmt.Errorf("prior config: n_unmasked is out of range: %d of %d positions", c.Unmasked, c.BlockSize)
	case c.Codes < 0 || c.Codes > c.VocabSize:
		return fmt.Errorf("prior config: codes is out of range: %d of %d", c.Codes, c.VocabSize)
	}
	if err := c.validateCondition(); err != nil {
		return err
	}
	if b := c.Codebook; b != nil && (len(b.SHA256) != 64 || b.Factor < 1) {
		return fmt.Errorf("prior config: codebook is out of range: sha256 of %d digits, factor %d", len(b.SHA256), b.Factor)
	}
	if c.BlockSize <= c.Prefix() {
		return fmt.Errorf("prior config: %d positions leave none for codes", c.BlockSize)
	}
	if (c.GridH == 0) != (c.GridW == 0) || c.GridH < 0 || c.GridW < 0 || c.GridH*c.GridW > c.MaxCodes() {
		return fmt.Errorf("prior config: a grid of %dx%d codes does not fit into %d", c.GridW, c.GridH, c.MaxCodes())
	}
	return nil
}

func (c Config) validateCondition() error {
	switch c.Condition {
	case Unconditional:
		if c.SOS < 0 || c.SOS >= c.VocabSize {
			return fmt.Errorf("prior config: sos_token is out of range: %d of %d", c.SOS, c.VocabSize)
		}
	case Class:
		if c.Classes < 0 || c.Classes > c.VocabSize {
			return fmt.Errorf("prior config: n_classes is out of range: %d of %d", c.Classes, c.VocabSize)
		}
	case Text:
		t := c.Text
		if t == nil {
			return fmt.Errorf("prior config: a model for captions without a text encoder")
		}
		if t.Vocab < 1 || t.Width < 1 || t.Length < 1 || t.Length > c.BlockSize {
			return fmt.Errorf("prior config: text encoder is out of range: %d tokens of %d, width %d", t.Length, t.Vocab, t.Width)
		}
		// Otherwise the codes would be visible to the caption, and through it to codes before them.
		if c.Unmasked > t.Length {
			return fmt.Errorf("prior config: n_unmasked is %d, more than the %d tokens of a caption", c.Unmasked, t.Length)
		}
	default:
		return fmt.Errorf("prior config: unknown condition %q (there are %q, %q and %q)", c.Condition, Unconditional, Class, Text)
	}
	return nil
}
