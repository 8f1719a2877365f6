package prior

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"

	"github.com/smalti/smalti/engine"
	"github.com/smalti/smalti/gx"
	"github.com/smalti/smalti/weights"
)

// configKey is the metadata key under which Save leaves the configuration.
const configKey = "smalti.config"

// Errors of reading.
var (
	ErrNotPrior = errors.New("not a transformer over codes")
	ErrHeads    = errors.New("the number of attention heads is not in the file")
)

// otherParts are what a checkpoint of taming's training holds beside the network: the model of the codes, and that of a
// condition which is a picture.
var otherParts = []string{"first_stage_model.", "cond_stage_model.", "loss."}

// Decls lists the variables of a model, all of them, in a fixed order. The engine only traces; nothing is compiled.
func (c Config) Decls(e *engine.Engine) ([]gx.Decl, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	p := e.Program("prior variables", func(v *gx.Vars, in []*graph.Node) []*graph.Node {
		logits, _ := c.PrefillGraph(v, in[0], in[1], in[2])
		return []*graph.Node{logits}
	})
	return p.Decls(engine.Int32(1, c.Prefix()), engine.Int32(1, 1), engine.Int32(1))
}

// Infer reads the architecture off the names and shapes of a file. They tell neither the number of heads, which the
// caller gives (0 takes that of taming's published models of the same width), nor the condition: it is taken for
// Unconditional with the token 0, and the caller sets it.
func Infer(f *weights.File, heads int) (Config, error) {
	l := weights.NewLoader(f)
	c := Config{Condition: Unconditional, Heads: heads}
	table, ok := l.Peek("transformer.tok_emb.weight")
	pos, ok2 := l.Peek("transformer.pos_emb")
	if !ok || !ok2 || len(table.Shape) != 2 || len(pos.Shape) != 3 {
		return Config{}, fmt.Errorf("%w: no transformer.tok_emb.weight or no transformer.pos_emb in the file", ErrNotPrior)
	}
	c.VocabSize, c.Width, c.BlockSize = table.Shape[0], table.Shape[1], pos.Shape[1]
	for l.Has(fmt.Sprintf("transformer.blocks.%d.ln1.weight", c.Layers)) {
		c.Layers++
	}
	if heads == 0 {
		c.Heads = publishedHeads(c.Width)
	}
	if c.Heads == 0 {
		return Config{}, fmt.Errorf("prior: %w, and no published model is %d wide", ErrHeads, c.Width)
	}
	var err error
	if c.Unmasked, err = unmasked(l, c.BlockSize); err != nil {
		return Config{}, err
	}
	return c, c.Validate()
}

// publishedHeads is the number of heads in taming's models of a width, 0 for none: 64 numbers a head, but 104 in FacesHQ.
func publishedHeads(width int) int {
	switch width {
	case 1024, 1408, 1536:
		return width / 64
	case 1664:
		return 16
	}
	return 0
}

// maskName is the mask of the first layer, which equals the others.
const maskName = "transformer.blocks.0.attn.mask"

// unmasked reads n_unmasked off the mask that a checkpoint keeps as a buffer: the first row has that many ones.
func unmasked(l *weights.Loader, block int) (int, error) {
	mask, ok := l.Peek(maskName)
	if !ok {
		return 0, nil
	}
	values, err := mask.Float32()
	if err != nil || len(values) != block*block {
		return 0, fmt.Errorf("%w: the mask has shape %v, want %d x %d", ErrNotPrior, mask.Shape, block, block)
	}
	n := 0
	for n < block && values[n] != 0 {
		n++
	}
	if n <= 1 { // a position sees itself in any case
		return 0, nil
	}
	return n, nil
}

// Read reads the weights of a model: a checkpoint of taming's training, or a file that Save wrote. cfg is the
// configuration; nil takes the one that Save left in the file, or that of Infer. The file may be closed afterwards.
func Read(e *engine.Engine, f *weights.File, cfg *Config) (Config, engine.Tensors, error) {
	c, err := configOf(f, cfg)
	if err != nil {
		return Config{}, nil, err
	}
	decls, err := c.Decls(e)
	if err != nil {
		return Config{}, nil, err
	}
	l := weights.NewLoader(f)
	if l.Has(maskName) {
		if n, err := unmasked(l, c.BlockSize); err != nil {
			return Config{}, nil, err
		} else if n != c.Unmasked && max(n, c.Unmasked) > 1 {
			return Config{}, nil, fmt.Errorf("prior: n_unmasked is %d in the configuration and %d in the file", c.Unmasked, n)
		}
	}
	l.Skip(otherParts...)
	l.SkipFunc(func(name string) bool { return strings.HasSuffix(name, ".attn.mask") })
	values := engine.Tensors{}
	var failed []error
	for _, d := range decls {
		data, err := l.Take(d.Name, d.Layout.FileDims(d.Dims)...)
		if err != nil {
			continue // Done reports it
		}
		x := tensors.FromShape(d.Shape())
		if err := tensors.MutableFlatData(x, func(flat []float32) { d.Layout.FromFileInto(flat, data, d.Dims) }); err != nil {
			failed = append(failed, fmt.Errorf("%s: %w", d.Name, err))
		}
		values[d.Name] = x
	}
	if err := errors.Join(append(failed, l.Done())...); err != nil {
		return Config{}, nil, err
	}
	return c, values, nil
}

// configOf returns the configuration given, the one in the metadata, or the one that names and shapes tell.
func configOf(f *weights.File, cfg *Config) (Config, error) {
	if cfg != nil {
		return *cfg, cfg.Validate()
	}
	text, ok := f.Metadata()[configKey]
	if !ok {
		return Infer(f, 0)
	}
	var c Config
	dec := json.NewDecoder(strings.NewReader(text))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&c); err != nil {
		return Config{}, fmt.Errorf("prior: metadata %q of the file: %w", configKey, err)
	}
	return c, c.Validate()
}

// Save writes a model with taming's names as float32 safetensors, with its configuration in the metadata.
func Save(w io.Writer, c Config, values engine.Tensors) error {
	return SaveAs(w, c, values, weights.F32)
}

// SaveAs is Save with another element type, such as weights.F16. A number that the type cannot hold is an error.
func SaveAs(w io.Writer, c Config, values engine.Tensors, dtype weights.DType) error {
	e, err := engine.New(engine.Options{Threads: 1})
	if err != nil {
		return err
	}
	defer e.Close()
	decls, err := c.Decls(e)
	if err != nil {
		return err
	}
	text, err := json.Marshal(c)
	if err != nil {
		return fmt.Errorf("prior: write the configuration: %w", err)
	}
	outs := make([]weights.Out, 0, len(decls))
	for _, d := range decls {
		t, ok := values[d.Name]
		if !ok || !t.Shape().Equal(d.Shape()) {
			return fmt.Errorf("prior: save: variable %q has no value of shape %v", d.Name, d.Dims)
		}
		outs = append(outs, weights.Out{Name: d.Name, DType: dtype, Shape: d.Layout.FileDims(d.Dims), Floats: d.Layout.ToFile(engine.Floats(t), d.Dims)})
	}
	return weights.WriteSafetensors(w, map[string]string{configKey: string(text)}, outs)
}
