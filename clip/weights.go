package clip

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"

	"github.com/smalti/smalti/engine"
	"github.com/smalti/smalti/gx"
	"github.com/smalti/smalti/weights"
)

// configKey is the metadata key under which Save leaves the configuration.
const configKey = "smalti.config"

// ErrNotCLIP says that a file holds no model of this package.
var ErrNotCLIP = errors.New("not a CLIP model")

// Decls lists the variables of a model, all of them, in a fixed order. The engine only traces; nothing is compiled.
func (c Config) Decls(e *engine.Engine) ([]gx.Decl, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	p := e.Program("clip variables", func(v *gx.Vars, in []*graph.Node) []*graph.Node {
		return []*graph.Node{c.LogitsGraph(v, c.VisionGraph(v, in[0]), c.TextGraph(v, in[1]))}
	})
	return p.Decls(engine.Float32(1, c.ImageSize(), c.ImageSize(), 3), engine.Int32(1, c.Text.ContextLength))
}

// FileTensor is the name, element type and shape of a tensor in a file.
type FileTensor struct {
	Name  string
	DType weights.DType
	Shape []int
}

// FileTensors lists what OpenAI's file of such a model holds: matrices and kernels in float16, norms and embeddings in
// float32, and the integers that this package ignores.
func (c Config) FileTensors(e *engine.Engine) ([]FileTensor, error) {
	decls, err := c.Decls(e)
	if err != nil {
		return nil, err
	}
	var out []FileTensor
	for _, d := range decls {
		dtype := weights.F16
		if storedInFull(d.Name) {
			dtype = weights.F32
		}
		out = append(out, FileTensor{d.Name, dtype, d.Layout.FileDims(d.Dims)})
		if norm, ok := strings.CutSuffix(d.Name, ".running_var"); ok {
			out = append(out, FileTensor{norm + ".num_batches_tracked", weights.I64, []int{}})
		}
	}
	for _, name := range []string{"input_resolution", "context_length", "vocab_size"} {
		out = append(out, FileTensor{name, weights.I64, []int{}})
	}
	return out, nil
}

// storedInFull reports whether OpenAI's files keep a variable in float32.
func storedInFull(name string) bool {
	if name == "logit_scale" || strings.Contains(name, "embedding") {
		return true
	}
	return slices.ContainsFunc(strings.Split(name, "."), func(part string) bool {
		return strings.HasPrefix(part, "ln_") || strings.HasPrefix(part, "bn")
	}) || strings.Contains(name, ".downsample.1.")
}

// Check tells whether a file holds a model whole, without reading the numbers: it returns the configuration that Open
// would use, or an error that says what is missing, left over or of another shape.
func Check(e *engine.Engine, f *weights.File, cfg *Config) (Config, error) {
	return walk(e, f, cfg, func(gx.Decl, gx.Layout, []*weights.Tensor) error { return nil })
}

// Read reads the weights of a model. cfg is the configuration; nil takes the one that Save left in the file, or infers
// it from names, shapes and, for CLIPModel's files, the config.json beside it. Each variable is converted straight into
// its tensor and that moves to the engine, so that the model is in memory once. The file may be closed afterwards.
func Read(e *engine.Engine, f *weights.File, cfg *Config) (Config, engine.Tensors, error) {
	values := engine.Tensors{}
	c, err := walk(e, f, cfg, func(d gx.Decl, in gx.Layout, ts []*weights.Tensor) error {
		data, err := concat(ts)
		if err != nil {
			return err
		}
		x := tensors.FromShape(d.Shape())
		values[d.Name] = x
		if err := tensors.MutableFlatData(x, func(flat []float32) { in.FromFileInto(flat, data, d.Dims) }); err != nil {
			return err
		}
		return e.Keep(x)
	})
	if err != nil {
		return Config{}, nil, err
	}
	return c, values, nil
}

// concat puts tensors one below the other; the result must not be written.
func concat(ts []*weights.Tensor) ([]float32, error) {
	if len(ts) == 1 {
		return ts[0].Float32()
	}
	var out []float32
	for _, t := range ts {
		part, err := t.Float32()
		if err != nil {
			return nil, err
		}
		out = append(out, part...)
	}
	return out, nil
}

// walk finds the configuration, takes every tensor of the model from the file once, in the order of Decls, and hands
// the ones of each variable to use; then it accounts for the rest of the file.
func walk(e *engine.Engine, f *weights.File, cfg *Config, use func(gx.Decl, gx.Layout, []*weights.Tensor) error) (Config, error) {
	s, err := openSource(f)
	if err != nil {
		return Config{}, err
	}
	c, err := s.config(f, cfg)
	if err != nil {
		return Config{}, err
	}
	decls, err := c.Decls(e)
	if err != nil {
		return Config{}, err
	}
	s.l.SkipFunc(s.ignored)
	var failed []error
	for _, d := range decls {
		in, ts, err := s.take(d)
		if err == nil {
			err = use(d, in, ts)
		}
		if err != nil && ts != nil { // what could not be taken is in the report of Done
			failed = append(failed, fmt.Errorf("%s: %w", d.Name, err))
		}
	}
	return c, errors.Join(append(failed, s.l.Done())...)
}

// take takes the tensors of a variable: nil and an error if one is missing or of another shape.
func (s source) take(d gx.Decl) (gx.Layout, []*weights.Tensor, error) {
	names, in := s.find(d.Name, d.Layout)
	if len(names) == 0 {
		names = []string{d.Name} // the layout has no such thing: reported as missing
	}
	shape := in.FileDims(d.Dims)
	if len(names) > 1 {
		shape[0] /= len(names)
	}
	var ts []*weights.Tensor
	var failed error
	for _, n := range names {
		t, err := s.l.TakeTensor(n, shape...)
		if err != nil {
			failed = err
		}
		ts = append(ts, t)
	}
	if failed != nil {
		return in, nil, failed
	}
	return in, ts, nil
}

// config returns the configuration given, the one in the metadata, or the one that the file tells.
func (s source) config(f *weights.File, cfg *Config) (Config, error) {
	if cfg != nil {
		return *cfg, cfg.Validate()
	}
	var c Config
	if text, ok := f.Metadata()[configKey]; ok {
		dec := json.NewDecoder(strings.NewReader(text))
		dec.DisallowUnknownFields()
		if err := dec.Decode(&c); err != nil {
			return Config{}, fmt.Errorf("clip: metadata %q of the file: %w", configKey, err)
		}
		return c, c.Validate()
	}
	c, err := s.infer()
	if err == nil && s.l.Has("vision_model.embeddings.patch_embedding.weight") {
		err = c.readFolder(f.Path())
	}
	if err != nil {
		return Config{}, fmt.Errorf("clip: %w", err)
	}
	return c, c.Validate()
}

// Save writes a model under OpenAI's names as float32 safetensors, with its configuration in the metadata.
func Save(w io.Writer, c Config, values engine.Tensors) error {
	return SaveAs(w, c, values, weights.F32)
}

// SaveAs is Save with another element type, such as weights.F16. A number that the type cannot hold is an error.
func SaveAs(w io.Writer, c Config, values engine.Tensors, dtype weights.DType) error {
	e, err := engine.New(engine.Options{Threads: 1}) // traces, does not run
	if err != nil {
		return err
	}
	decls, err := c.Decls(e)
	if err != nil {
		return err
	}
	text, err := json.Marshal(c)
	if err != nil {
		return fmt.Errorf("clip: write the configuration: %w", err)
	}
	if err := checkValues(decls, values); err != nil {
		return err
	}
	outs := make([]weights.Out, 0, len(decls))
	for _, d := range decls {
		floats := d.Layout.ToFile(engine.Floats(values[d.Name]), d.Dims)
		outs = append(outs, weights.Out{Name: d.Name, DType: dtype, Shape: d.Layout.FileDims(d.Dims), Floats: floats})
	}
	return weights.WriteSafetensors(w, map[string]string{configKey: string(text)}, outs)
}

// checkValues says which variable has no value of its shape. Values beyond the variables do not matter.
func checkValues(decls []gx.Decl, values engine.Tensors) error {
	for _, d := range decls {
		if t, ok := values[d.Name]; !ok || !t.Shape().Equal(d.Shape()) {
			return fmt.Errorf("clip: variable %q has no value of shape %v", d.Name, d.Dims)
		}
	}
	return nil
}
