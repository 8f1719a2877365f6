package clip

import (
	"errors"
	"fmt"
)

// The kinds of image tower.
const (
	ViT    = "vit"    // vision transformer
	ResNet = "resnet" // OpenAI's ModifiedResNet with attention pooling
	Conv   = "conv"   // smalti's small convolutional tower, to be trained on a CPU
	VGG    = "vgg"    // plain convolutions and max pooling, what the judge sees with
)

// The activations of the transformers' MLPs.
const (
	QuickGELU = "quick_gelu" // x sigmoid(1.702 x), which OpenAI's weights want
	GELU      = "gelu"       // the exact one, with erf
)

// Config says everything about a CLIP model but its weights.
type Config struct {
	Vision   Vision `json:"vision"`
	Text     Text   `json:"text"`
	EmbedDim int    `json:"embed_dim"` // D, width of the common space

	Activation string     `json:"activation"` // of the transformers: QuickGELU or GELU
	Mean       [3]float64 `json:"mean"`       // of RGB in [0,1], taken off before the image tower
	Std        [3]float64 `json:"std"`        // divided by after that

	// Vocab names the tokens of a trimmed vocabulary (see Vocab.Pack). Empty: the tokens are OpenAI's 49,408.
	Vocab string `json:"vocab,omitempty"`

	// Role is Judge for a model that measures pictures and must never guide one. Empty: whatever somebody likes.
	Role string `json:"role,omitempty"`
}

// Judge is the role of a model that only measures.
const Judge = "judge"

// Vision says what the image tower is. Fields that its kind does not name are zero.
type Vision struct {
	Kind      string `json:"kind"`                 // ViT, ResNet, Conv or VGG
	ImageSize int    `json:"image_size"`           // S, the side of the square input in pixels
	PatchSize int    `json:"patch_size,omitempty"` // ViT: side of a patch; divides S
	Width     int    `json:"width,omitempty"`      // ViT: width of the transformer. ResNet: channels after the stem
	Layers    int    `json:"layers,omitempty"`     // ViT: transformer blocks
	Heads     int    `json:"heads,omitempty"`      // ViT: attention heads. ResNet: heads of the attention pooling
	Blocks    []int  `json:"blocks,omitempty"`     // ResNet: bottlenecks of each of the four stages
	Widths    []int  `json:"widths,omitempty"`     // Conv: channels of the stem and of each stage of half the size. VGG: of each stage of half the size
}

// Text says what the text tower, a causal transformer, is.
type Text struct {
	ContextLength int `json:"context_length"` // tokens of a text with its start and end
	VocabSize     int `json:"vocab_size"`
	Width         int `json:"width"`
	Heads         int `json:"heads"`
	Layers        int `json:"layers"`
}

// ContextLength is the longest text in tokens, start and end included, of every published CLIP.
const ContextLength = 77

// Mean and standard deviation of RGB, in [0,1], that OpenAI's models were trained with.
var (
	openAIMean = [3]float64{0.48145466, 0.4578275, 0.40821073}
	openAIStd  = [3]float64{0.26862954, 0.26130258, 0.27577711}
)

// ViTB32 is OpenAI's ViT-B/32, the model that most CLIP-guided painting was made with.
func ViTB32() Config {
	return Config{
		Vision:   Vision{Kind: ViT, ImageSize: 224, PatchSize: 32, Width: 768, Layers: 12, Heads: 12},
		Text:     Text{ContextLength: ContextLength, VocabSize: fullVocabSize, Width: 512, Heads: 8, Layers: 12},
		EmbedDim: 512, Activation: QuickGELU, Mean: openAIMean, Std: openAIStd,
	}
}

// RN50 is OpenAI's ResNet-50.
func RN50() Config {
	c := ViTB32()
	c.Vision = Vision{Kind: ResNet, ImageSize: 224, Width: 64, Heads: 32, Blocks: []int{3, 4, 6, 3}}
	c.EmbedDim = 1024
	return c
}

// BuiltinV0 is the shape of the first built-in model: small enough to be trained on two CPU cores within the hour.
// The vocabulary is trimmed to v.
func BuiltinV0(v Vocab) Config {
	return Config{
		Vision:   Vision{Kind: Conv, ImageSize: 32, Widths: []int{24, 56, 112, 208}},
		Text:     Text{ContextLength: ContextLength, VocabSize: v.Size(), Width: 128, Heads: 4, Layers: 1},
		EmbedDim: 128, Activation: QuickGELU, Mean: [3]float64{0.5, 0.5, 0.5}, Std: [3]float64{0.5, 0.5, 0.5},
		Vocab: v.Pack(),
	}
}

// JudgeV1 is the shape of the first judge: another image tower than BuiltinV0's, at another size, and another text tower. It
// has 2.8 million numbers with 4,096 tokens, 5.5 MB in half precision.
func JudgeV1(v Vocab) Config {
	c := BuiltinV0(v)
	c.Vision = Vision{Kind: VGG, ImageSize: 48, Widths: []int{32, 64, 128, 256}}
	c.Text.Width, c.Text.Heads, c.Text.Layers = 160, 5, 2
	c.Activation, c.Role = GELU, Judge
	return c
}

// Bounds of what a configuration may ask for: beyond any model there is, within what a graph can be traced for while
// somebody waits. Configurations come from files of strangers.
const (
	maxLayers  = 512
	maxWidth   = 1 << 16
	maxContext = 1 << 14
	maxVocab   = 1 << 20
)

// Validate says what is wrong with a config, all of it.
func (c Config) Validate() error {
	var errs []error
	need := func(ok bool, format string, args ...any) {
		if !ok {
			errs = append(errs, fmt.Errorf(format, args...))
		}
	}
	c.Vision.validate(need)
	t := c.Text
	need(in(t.ContextLength, 2, maxContext), "context_length is %d, want 2 to %d", t.ContextLength, maxContext)
	need(in(t.VocabSize, 3, maxVocab), "vocab_size is %d, want 3 to %d", t.VocabSize, maxVocab)
	need(in(t.Layers, 1, maxLayers), "text layers is %d, want 1 to %d", t.Layers, maxLayers)
	need(divides(t.Heads, t.Width), "text width %d is not a multiple of %d heads", t.Width, t.Heads)
	need(in(c.EmbedDim, 1, maxWidth), "embed_dim is %d, want 1 to %d", c.EmbedDim, maxWidth)
	need(c.Activation == QuickGELU || c.Activation == GELU, "activation is %q, want %q or %q", c.Activation, QuickGELU, GELU)
	if v, err := UnpackVocab(c.Vocab); err != nil {
		errs = append(errs, err)
	} else if c.Vocab != "" {
		need(v.Size() == t.VocabSize, "vocab_size is %d, but vocab has %d tokens", t.VocabSize, v.Size())
	}
	need(c.Role == "" || c.Role == Judge, "role is %q, want %q or none", c.Role, Judge)
	for i, s := range c.Std {
		need(s > 0, "std[%d] is %g, want above 0", i, s)
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("clip config: %w", err)
	}
	return nil
}

func in(x, lo, hi int) bool { return lo <= x && x <= hi }

// divides reports whether a width is one that heads or patches can share out.
func divides(parts, width int) bool {
	return in(width, 1, maxWidth) && in(parts, 1, width) && width%parts == 0
}

func (v Vision) validate(need func(ok bool, format string, args ...any)) {
	need(in(v.ImageSize, 1, 4096), "image_size is %d, want 1 to 4096", v.ImageSize)
	switch v.Kind {
	case ViT:
		need(divides(v.PatchSize, v.ImageSize), "image_size %d is not a multiple of patch_size %d", v.ImageSize, v.PatchSize)
		need(in(v.Layers, 1, maxLayers), "vision layers is %d, want 1 to %d", v.Layers, maxLayers)
		need(divides(v.Heads, v.Width), "vision width %d is not a multiple of %d heads", v.Width, v.Heads)
	case ResNet:
		need(v.ImageSize%32 == 0, "image_size %d is not a multiple of 32", v.ImageSize)
		need(len(v.Blocks) == 4, "a resnet tower has 4 stages, not %d", len(v.Blocks))
		for i, n := range v.Blocks {
			need(in(n, 1, maxLayers), "stage %d has %d blocks, want 1 to %d", i+1, n, maxLayers)
		}
		need(in(v.Width, 2, maxWidth/32) && v.Width%2 == 0, "resnet width is %d, want an even number up to %d", v.Width, maxWidth/32)
		need(divides(v.Heads, 32*v.Width), "pooling width %d is not a multiple of %d heads", 32*v.Width, v.Heads)
	case Conv:
		n := len(v.Widths)
		need(in(n, 2, 12), "a conv tower has 2 to 12 widths, not %d", n)
		for i, w := range v.Widths {
			need(in(w, 1, maxWidth), "width %d is %d, want 1 to %d", i, w, maxWidth)
		}
		need(!in(n, 2, 12) || v.ImageSize%(1<<(n-1)) == 0, "image_size %d does not halve %d times", v.ImageSize, n-1)
	case VGG:
		n := len(v.Widths)
		need(in(n, 1, 12), "a vgg tower has 1 to 12 widths, not %d", n)
		for i, w := range v.Widths {
			need(in(w, 1, maxWidth), "width %d is %d, want 1 to %d", i, w, maxWidth)
		}
		need(!in(n, 1, 12) || v.ImageSize%(1<<n) == 0, "image_size %d does not halve %d times", v.ImageSize, n)
	default:
		need(false, "vision kind is %q, want %q, %q, %q or %q", v.Kind, ViT, ResNet, Conv, VGG)
	}
}
