package prior

import (
	"context"
	"errors"
	"fmt"

	"github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"

	"github.com/smalti/smalti/engine"
	"github.com/smalti/smalti/gx"
	"github.com/smalti/smalti/weights"
)

// Errors of use.
var (
	ErrSize  = errors.New("unsuitable size")      // of a grid
	ErrInput = errors.New("unsuitable condition") // of a picture
)

// config is embedded for its methods; Config itself is taken by the method of that name.
type config = Config

// Model is a configuration with its weights on an engine. It is safe for concurrent use, as long as nobody writes the
// weights meanwhile.
type Model struct {
	config
	e      *engine.Engine
	values engine.Tensors

	prefill, step, likelihood *engine.Program // none of them sets a variable
}

// New makes a model of weights by variable name. They are not copied.
func New(e *engine.Engine, c Config, values engine.Tensors) (*Model, error) {
	decls, err := c.Decls(e)
	if err != nil {
		return nil, err
	}
	for _, d := range decls {
		if t, ok := values[d.Name]; !ok || !t.Shape().Equal(d.Shape()) {
			return nil, fmt.Errorf("prior: variable %q has no value of shape %v", d.Name, d.Dims)
		}
	}
	m := &Model{config: c, e: e, values: values}
	m.prefill = e.Program("prior prefill", func(v *gx.Vars, in []*graph.Node) []*graph.Node {
		logits, cache := c.PrefillGraph(v, in[0], in[1], in[2])
		return append([]*graph.Node{logits}, cache...)
	})
	m.step = e.Program("prior step", func(v *gx.Vars, in []*graph.Node) []*graph.Node {
		logits, cache := c.StepGraph(v, in[0], in[1], in[2:])
		return append([]*graph.Node{logits}, cache...)
	})
	m.likelihood = e.Program("prior likelihood", func(v *gx.Vars, in []*graph.Node) []*graph.Node {
		return []*graph.Node{c.LikelihoodGraph(v, in[0], in[1])}
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

// Codes are a picture of H x W codes, row by row.
type Codes struct {
	H, W int
	Idx  []int32
}

// Input is what a picture shall be like.
type Input struct {
	Class  int     // of a model for classes
	Tokens []int32 // of a model for captions: at most Text.Length, the rest is filled with zeros; none for no caption
	Given  []int32 // codes that are known, row by row, Unknown for the others; nil when none is
}

// Unknown marks a code of Input.Given that is to be drawn.
const Unknown = -1

// Conditions are the tokens in front of the codes of pictures, int32 [len(in),p], as the graphs take them.
func (c Config) Conditions(in ...Input) ([]int32, error) {
	var out []int32
	var err error
	for _, x := range in {
		if out, err = c.condition(out, x); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// condition appends the tokens in front of the codes of a picture.
func (c Config) condition(to []int32, in Input) ([]int32, error) {
	switch c.Condition {
	case Class:
		if in.Class < 0 || in.Class >= c.VocabSize || c.Classes > 0 && in.Class >= c.Classes {
			return nil, fmt.Errorf("prior: %w: class %d of %d", ErrInput, in.Class, max(c.Classes, c.VocabSize))
		}
		return append(to, int32(in.Class)), nil
	case Text:
		if len(in.Tokens) == 0 {
			return c.nothing(to), nil
		}
		if len(in.Tokens) > c.Text.Length {
			return nil, fmt.Errorf("prior: %w: a caption of %d tokens, the model reads %d", ErrInput, len(in.Tokens), c.Text.Length)
		}
		for _, t := range in.Tokens {
			if t < 0 || int(t) >= c.Text.Vocab {
				return nil, fmt.Errorf("prior: %w: token %d of %d", ErrInput, t, c.Text.Vocab)
			}
		}
		return append(append(to, in.Tokens...), make([]int32, c.Text.Length-len(in.Tokens))...), nil
	}
	return append(to, int32(c.SOS)), nil
}

// nothing appends the tokens of no caption.
func (c Config) nothing(to []int32) []int32 {
	for range c.Text.Length {
		to = append(to, c.Text.NoCaption())
	}
	return to
}

// Likelihood returns the mean of -log p over the codes of each picture, in nats. All must have the grid of the model, or
// its first rows.
func (m *Model) Likelihood(ctx context.Context, in []Input, pictures []Codes) ([]float64, error) {
	if len(in) != len(pictures) {
		return nil, fmt.Errorf("prior: %w: %d for %d pictures", ErrInput, len(in), len(pictures))
	}
	out := make([]float64, 0, len(in))
	for len(pictures) > 0 {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		n := 1 // of one size, at most likelihoodBatch
		for n < min(len(pictures), likelihoodBatch) && pictures[n].H == pictures[0].H && pictures[n].W == pictures[0].W {
			n++
		}
		some, err := m.likelihoods(in[:n], pictures[:n])
		if err != nil {
			return nil, err
		}
		out, in, pictures = append(out, some...), in[n:], pictures[n:]
	}
	return out, nil
}

// likelihoodBatch is how many pictures are judged at once.
const likelihoodBatch = 16

// likelihoods is Likelihood of pictures of one size.
func (m *Model) likelihoods(in []Input, pictures []Codes) ([]float64, error) {
	cond, err := m.Conditions(in...)
	if err != nil {
		return nil, err
	}
	var codes []int32
	for _, p := range pictures {
		if _, gw := m.Grid(); p.W != gw || p.H < 1 || p.H*p.W > m.MaxCodes() || len(p.Idx) != p.H*p.W {
			return nil, fmt.Errorf("prior: %w: %d codes as %dx%d", ErrSize, len(p.Idx), p.W, p.H)
		}
		if err := m.checkCodes(p.Idx, false); err != nil {
			return nil, err
		}
		codes = append(codes, p.Idx...)
	}
	n := len(pictures)
	outs, err := m.likelihood.Run(m.values, ints(cond, n, len(cond)/n), ints(codes, n, len(codes)/n))
	if err != nil {
		return nil, fmt.Errorf("prior: likelihood: %w", err)
	}
	nll := make([]float64, n)
	for i, x := range engine.Floats(outs[0]) {
		nll[i] = float64(x)
	}
	return nll, nil
}

// checkCodes refuses codes that the model does not draw.
func (c Config) checkCodes(codes []int32, unknownToo bool) error {
	for i, k := range codes {
		if (k < 0 || int(k) >= c.NumCodes()) && !(unknownToo && k == Unknown) {
			return fmt.Errorf("prior: code %d at position %d is outside the %d codes", k, i, c.NumCodes())
		}
	}
	return nil
}

// Judge scores pictures, the higher the better: decode them and ask a CLIP model, say.
type Judge func(ctx context.Context, pictures []Codes) ([]float64, error)

// Best draws several pictures for one input and returns the one that the judge likes best, the first of equals, with the
// scores of all: the i-th is that of the picture number o.First+i.
func (m *Model) Best(ctx context.Context, in Input, of int, judge Judge, o Options) (Codes, []float64, error) {
	if of < 1 {
		return Codes{}, nil, fmt.Errorf("prior: %w: the best of %d pictures", ErrInput, of)
	}
	all := make([]Input, of)
	for i := range all {
		all[i] = in
	}
	pictures, err := m.Sample(ctx, all, o)
	if err != nil {
		return Codes{}, nil, err
	}
	scores, err := judge(ctx, pictures)
	if err != nil {
		return Codes{}, nil, fmt.Errorf("prior: judge: %w", err)
	}
	if len(scores) != of {
		return Codes{}, nil, fmt.Errorf("prior: judge: %d scores for %d pictures", len(scores), of)
	}
	best := 0
	for i, s := range scores {
		if s > scores[best] {
			best = i
		}
	}
	return pictures[best], scores, nil
}

func ints(data []int32, dims ...int) *tensors.Tensor {
	return tensors.FromFlatDataAndDimensions(data, dims...)
}
