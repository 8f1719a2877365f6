package clip

import (
	"context"
	"errors"
	"fmt"
	"image"
	"math"

	"github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"

	"github.com/smalti/smalti/engine"
	"github.com/smalti/smalti/gx"
	"github.com/smalti/smalti/pixel"
	"github.com/smalti/smalti/weights"
)

// ErrNoVocab says that a model has a vocabulary that is neither OpenAI's nor named in its configuration, so that texts
// cannot be turned into tokens for it.
var ErrNoVocab = errors.New("unknown vocabulary")

// config is embedded for its methods; Config itself is taken by the method of that name.
type config = Config

// Model is a configuration with its weights on an engine. It is safe for concurrent use, as long as nobody writes the
// weights meanwhile.
type Model struct {
	config
	e         *engine.Engine
	values    engine.Tensors
	tokenizer *Tokenizer // nil when the vocabulary is unknown

	images, texts *engine.Program // neither sets a variable
}

// maxBatch bounds how many pictures or texts go through a tower at once, and with that the memory.
const maxBatch = 16

// New makes a model of weights by variable name. They are not copied.
func New(e *engine.Engine, c Config, values engine.Tensors) (*Model, error) {
	decls, err := c.Decls(e)
	if err != nil {
		return nil, err
	}
	if err := checkValues(decls, values); err != nil {
		return nil, err
	}
	vocab, err := UnpackVocab(c.Vocab)
	if err != nil {
		return nil, err
	}
	m := &Model{config: c, e: e, values: values}
	if vocab.Size() == c.Text.VocabSize {
		m.tokenizer = NewTokenizer(vocab)
	}
	m.images = e.Program("clip image", func(v *gx.Vars, in []*graph.Node) []*graph.Node {
		return []*graph.Node{c.ImageGraph(v, in[0])}
	})
	m.texts = e.Program("clip text", func(v *gx.Vars, in []*graph.Node) []*graph.Node {
		return []*graph.Node{c.TextGraph(v, in[0])}
	})
	return m, nil
}

// Open reads a model from a weight file (see Read), which may be closed afterwards.
func Open(e *engine.Engine, f *weights.File, cfg *Config) (*Model, error) {
	c, values, err := Read(e, f, cfg)
	if err != nil {
		return nil, err
	}
	return New(e, c, values)
}

// Config returns the architecture.
func (m *Model) Config() Config { return m.config }

// Weights returns the values of the variables by name: the model's own map, not a copy.
func (m *Model) Weights() engine.Tensors { return m.values }

// EmbedDim is D, the length of features.
func (m *Model) EmbedDim() int { return m.config.EmbedDim }

// LogitScale is what cosines are multiplied by before a softmax.
func (m *Model) LogitScale() float64 {
	return math.Exp(float64(engine.Floats(m.values["logit_scale"])[0]))
}

// Tokenize returns the tokens of a text as the text tower takes them, and whether it was too long and was cut. The
// result is nil when the vocabulary is unknown.
func (m *Model) Tokenize(text string) (ids []int32, truncated bool) {
	if m.tokenizer == nil {
		return nil, false
	}
	return m.tokenizer.Tokenize(text, m.Text.ContextLength)
}

// EncodeText returns the features of texts, each of length EmbedDim, not normalised. Texts that are too long are cut
// (ask Tokenize). A text's features do not depend on the others.
func (m *Model) EncodeText(ctx context.Context, texts ...string) ([][]float32, error) {
	if m.tokenizer == nil {
		return nil, fmt.Errorf("clip: %w: %d tokens without a list of them", ErrNoVocab, m.Text.VocabSize)
	}
	byLength := map[int][]int{} // rounded up, so that few graphs are compiled
	ids := make([][]int32, len(texts))
	for i, text := range texts {
		ids[i], _ = m.Tokenize(text)
		l := m.roundedLength(ids[i])
		byLength[l] = append(byLength[l], i)
	}
	out := make([][]float32, len(texts))
	for l, which := range byLength {
		for len(which) > 0 {
			batch := which[:min(maxBatch, len(which))]
			which = which[len(batch):]
			var flat []int32
			for _, i := range batch {
				flat = append(flat, ids[i][:l]...)
			}
			rows, err := m.run(ctx, m.texts, tensors.FromFlatDataAndDimensions(flat, len(batch), l))
			if err != nil {
				return nil, err
			}
			for k, i := range batch {
				out[i] = rows[k]
			}
		}
	}
	return out, nil
}

// roundedLength is the number of tokens up to the end, rounded up to a multiple of 16 or to the context.
func (m *Model) roundedLength(ids []int32) int {
	n := 1
	for n < len(ids) && ids[n-1] != m.tokenizer.End() {
		n++
	}
	return min((n+15)/16*16, m.Text.ContextLength)
}

// EncodeImage returns the features of pictures, each of length EmbedDim, not normalised. Pictures of any size are
// scaled and cropped as openai/CLIP does (pixel.CLIPPreprocess).
func (m *Model) EncodeImage(ctx context.Context, pictures ...image.Image) ([][]float32, error) {
	side := m.ImageSize()
	var out [][]float32
	for len(pictures) > 0 {
		batch := pictures[:min(maxBatch, len(pictures))]
		pictures = pictures[len(batch):]
		flat := make([]float32, 0, len(batch)*side*side*3)
		for _, img := range batch {
			if b := img.Bounds(); b.Empty() {
				return nil, errors.New("clip: a picture without pixels")
			}
			flat = append(flat, pixel.CLIPPreprocess(img, side).Pix...)
		}
		rows, err := m.run(ctx, m.images, engine.FromFloats(flat, len(batch), side, side, 3))
		if err != nil {
			return nil, err
		}
		out = append(out, rows...)
	}
	return out, nil
}

// run returns the rows of the one output of a program.
func (m *Model) run(ctx context.Context, p *engine.Program, in *tensors.Tensor) ([][]float32, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	outs, err := p.Run(m.values, in)
	if err != nil {
		return nil, err
	}
	flat, d := engine.Floats(outs[0]), m.config.EmbedDim
	rows := make([][]float32, len(flat)/d)
	for i := range rows {
		rows[i] = flat[i*d : (i+1)*d : (i+1)*d]
	}
	return rows, nil
}

// Score returns the cosine between a picture and each text, -1 to 1. With CLIP, a text that fits has some 0.2 to 0.35.
func (m *Model) Score(ctx context.Context, picture image.Image, texts ...string) ([]float64, error) {
	features, err := m.EncodeText(ctx, texts...)
	if err != nil {
		return nil, err
	}
	pictures, err := m.EncodeImage(ctx, picture)
	if err != nil {
		return nil, err
	}
	out := make([]float64, len(texts))
	for i, f := range features {
		out[i] = Similarity(pictures[0], f)
	}
	return out, nil
}

// Similarity is the cosine of two vectors of the same length, 0 when one of them is zero.
func Similarity(a, b []float32) float64 {
	var ab, aa, bb float64
	for i := range a {
		x, y := float64(a[i]), float64(b[i])
		ab, aa, bb = ab+x*y, aa+x*x, bb+y*y
	}
	if aa == 0 || bb == 0 {
		return 0
	}
	return ab / math.Sqrt(aa*bb)
}
