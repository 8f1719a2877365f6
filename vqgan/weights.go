package vqgan

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

// trainingOnly are the parts of a taming checkpoint that only its training needs: the discriminator and the perceptual
// network of the loss.
const trainingOnly = "loss."

// ErrNotVQGAN says that a file holds no model of this package.
var ErrNotVQGAN = errors.New("not a VQGAN")

// Decls lists the variables of a model, all of them, in a fixed order. The engine only traces; nothing is compiled.
func (c Config) Decls(e *engine.Engine) ([]gx.Decl, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	f := c.Factor()
	p := e.Program("vqgan variables", func(v *gx.Vars, in []*graph.Node) []*graph.Node {
		z := c.EncodeGraph(v, in[0])
		return []*graph.Node{c.DecodeGraph(v, c.LookupGraph(v, c.CodesGraph(v, z)))}
	})
	return p.Decls(engine.Float32(1, f, f, 3))
}

// FileTensor is the name and the shape of a tensor in a file.
type FileTensor struct {
	Name  string
	Shape []int
}

// FileTensors lists what a file of this model in taming's layout holds.
func (c Config) FileTensors(e *engine.Engine) ([]FileTensor, error) {
	decls, err := c.Decls(e)
	if err != nil {
		return nil, err
	}
	out := make([]FileTensor, len(decls))
	for i, d := range decls {
		out[i] = FileTensor{d.Name, d.Layout.FileDims(d.Dims)}
	}
	return out, nil
}

// Check tells whether a file holds a model whole, without reading the numbers: it returns the configuration that Open
// would use, or an error that says what is missing, left over or of another shape.
func Check(e *engine.Engine, f *weights.File, cfg *Config) (Config, error) {
	return walk(e, f, cfg, func(gx.Decl, *weights.Tensor) error { return nil })
}

// Read reads the weights of a model. cfg is the configuration; nil takes the one that Save left in the file, or infers
// it from names and shapes. Each variable is converted straight into its tensor and that moves to the engine, so that beside the result there is
// never more than one variable in memory. The file may be closed afterwards.
func Read(e *engine.Engine, f *weights.File, cfg *Config) (Config, engine.Tensors, error) {
	values := engine.Tensors{}
	c, err := walk(e, f, cfg, func(d gx.Decl, t *weights.Tensor) error {
		data, err := t.Float32()
		if err != nil {
			return err
		}
		x := tensors.FromShape(d.Shape())
		values[d.Name] = x
		if err := tensors.MutableFlatData(x, func(flat []float32) { d.Layout.FromFileInto(flat, data, d.Dims) }); err != nil {
			return err
		}
		return e.Keep(x)
	})
	if err != nil {
		return Config{}, nil, err
	}
	return c, values, nil
}

// walk finds the configuration, takes every tensor of the model from the file once, in the order of Decls, and hands it
// to use; then it accounts for the rest of the file.
func walk(e *engine.Engine, f *weights.File, cfg *Config, use func(gx.Decl, *weights.Tensor) error) (Config, error) {
	l := weights.NewLoader(f)
	names := layoutOf(l)
	c, err := configOf(f, l, names, cfg)
	if err != nil {
		return Config{}, err
	}
	decls, err := c.Decls(e)
	if err != nil {
		return Config{}, err
	}
	l.Skip(trainingOnly)
	var failed []error
	for _, d := range decls {
		t, err := takeTensor(l, names.file(d.Name), d)
		if err != nil {
			continue // Done reports it
		}
		if err := use(d, t); err != nil {
			failed = append(failed, fmt.Errorf("%s: %w", d.Name, err))
		}
	}
	return c, errors.Join(append(failed, l.Done())...)
}

// takeTensor takes a variable from the file. diffusers keeps the 1x1 convolutions of attention as matrices [out,in],
// which are the same numbers.
func takeTensor(l *weights.Loader, name string, d gx.Decl) (*weights.Tensor, error) {
	shape := d.Layout.FileDims(d.Dims)
	t, ok := l.Peek(name)
	if ok && name != d.Name && strings.Contains(name, ".attentions.") && len(t.Shape) == 2 && len(shape) == 4 && shape[2]*shape[3] == 1 {
		shape = shape[:2]
	}
	return l.TakeTensor(name, shape...)
}

// configOf returns the configuration given, the one in the metadata, or the one that names and shapes tell.
func configOf(f *weights.File, l *weights.Loader, names layout, cfg *Config) (Config, error) {
	if cfg != nil {
		return *cfg, cfg.Validate()
	}
	text, ok := f.Metadata()[configKey]
	if !ok {
		return infer(l, names)
	}
	var c Config
	dec := json.NewDecoder(strings.NewReader(text))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&c); err != nil {
		return Config{}, fmt.Errorf("vqgan: metadata %q of the file: %w", configKey, err)
	}
	return c, c.Validate()
}

// Save writes a model in taming's layout as float32 safetensors, with its configuration in the metadata.
func Save(w io.Writer, c Config, values engine.Tensors) error {
	return SaveAs(w, c, values, weights.F32)
}

// SaveAs is Save with another element type, such as weights.F16. A number that the type cannot hold is an error.
func SaveAs(w io.Writer, c Config, values engine.Tensors, dtype weights.DType) error {
	if err := c.Validate(); err != nil {
		return err
	}
	e, err := engine.New(engine.Options{Threads: 1})
	if err != nil {
		return err
	}
	decls, err := c.Decls(e)
	if err != nil {
		return err
	}
	text, err := json.Marshal(c)
	if err != nil {
		return fmt.Errorf("vqgan: write the configuration: %w", err)
	}
	outs := make([]weights.Out, 0, len(decls))
	for _, d := range decls {
		t, ok := values[d.Name]
		if !ok || !t.Shape().Equal(d.Shape()) {
			return fmt.Errorf("vqgan: save: variable %q has no value of shape %v", d.Name, d.Dims)
		}
		outs = append(outs, weights.Out{Name: d.Name, DType: dtype, Shape: d.Layout.FileDims(d.Dims), Floats: d.Layout.ToFile(engine.Floats(t), d.Dims)})
	}
	return weights.WriteSafetensors(w, map[string]string{configKey: string(text)}, outs)
}
