package gan

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/gomlx/compute/shapes"
	"github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"

	"github.com/smalti/smalti/engine"
	"github.com/smalti/smalti/gx"
	"github.com/smalti/smalti/weights"
)

// configKey is the metadata key under which Save leaves the configuration.
const configKey = "smalti.config"

// counter ends the names of PyTorch's counts of batches, which nothing reads while norms have a momentum.
const counter = ".num_batches_tracked"

// ErrNotGAN says that a file holds no network of this package.
var ErrNotGAN = errors.New("not a generator")

// GeneratorDecls lists the variables of the generator, running statistics included, in a fixed order. The engine only
// traces.
func (c Config) GeneratorDecls(e *engine.Engine) ([]gx.Decl, error) {
	return c.decls(e, engine.Float32(1, c.Latent), c.GenerateGraph)
}

// DiscriminatorDecls lists the variables of the discriminator.
func (c Config) DiscriminatorDecls(e *engine.Engine) ([]gx.Decl, error) {
	return c.decls(e, engine.Float32(1, c.Size, c.Size, c.Channels), c.JudgeGraph)
}

func (c Config) decls(e *engine.Engine, in shapes.Shape, net func(v *gx.Vars, x, labels *graph.Node, s *Stats) *graph.Node) ([]gx.Decl, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	p := e.Program("gan variables", func(v *gx.Vars, in []*graph.Node) []*graph.Node {
		return []*graph.Node{net(v, in[0], in[1], nil)}
	})
	return p.Decls(in, engine.Int32(1))
}

// Read reads a generator: cfg is its architecture; nil takes the one that Save left in the file, or infers that of a
// DCGAN. The file may be closed afterwards.
func Read(e *engine.Engine, f *weights.File, cfg *Config) (Config, engine.Tensors, error) {
	l := weights.NewLoader(f)
	c, err := configOf(f, l, cfg)
	if err != nil {
		return Config{}, nil, err
	}
	decls, err := c.GeneratorDecls(e)
	if err != nil {
		return Config{}, nil, err
	}
	ts, err := ReadDecls(l, decls)
	return c, ts, err
}

// ReadDecls takes variables from a file of either network and accounts for the rest of it.
func ReadDecls(l *weights.Loader, decls []gx.Decl) (engine.Tensors, error) {
	out := make(engine.Tensors, len(decls))
	for _, d := range decls {
		data, err := l.Take(d.Name, d.Layout.FileDims(d.Dims)...)
		if err != nil {
			continue // Done reports it
		}
		t := tensors.FromShape(d.Shape())
		if err := tensors.MutableFlatData(t, func(flat []float32) { d.Layout.FromFileInto(flat, data, d.Dims) }); err != nil {
			return nil, fmt.Errorf("gan: %s: %w", d.Name, err)
		}
		out[d.Name] = t
	}
	l.SkipFunc(func(name string) bool { return strings.HasSuffix(name, counter) })
	return out, l.Done()
}

// configOf returns the configuration given, the one in the metadata, or the one that names and shapes tell.
func configOf(f *weights.File, l *weights.Loader, cfg *Config) (Config, error) {
	if cfg != nil {
		return *cfg, cfg.Validate()
	}
	text, ok := f.Metadata()[configKey]
	if !ok {
		return infer(l)
	}
	var c Config
	dec := json.NewDecoder(strings.NewReader(text))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&c); err != nil {
		return Config{}, fmt.Errorf("gan: metadata %q of the file: %w", configKey, err)
	}
	return c, c.Validate()
}

// infer reads the architecture of a DCGAN generator off the shapes of its kernels. What they do not tell, the
// discriminator, is taken to be the generator's mirror image.
func infer(l *weights.Loader) (Config, error) {
	const stride = 3 // convolution, norm, activation
	var kernels [][]int
	for {
		t, ok := l.Peek(fmt.Sprintf("main.%d.weight", stride*len(kernels)))
		if !ok || len(t.Shape) != 4 {
			break
		}
		kernels = append(kernels, t.Shape)
	}
	if len(kernels) < 2 || kernels[0][2] != kernels[0][3] {
		return Config{}, fmt.Errorf("%w: no square kernels main.0.weight, main.3.weight ... of a DCGAN in the file", ErrNotGAN)
	}
	last := kernels[len(kernels)-1] // [width,C,4,4]
	c := Config{Kind: DCGAN, Levels: len(kernels) - 1, Latent: kernels[0][0], Channels: last[1], MaxMult: 1,
		Generator: Net{Width: last[0], Norm: NoNorm, Bias: l.Has("main.0.bias")}}
	c.Size = kernels[0][2] << c.Levels
	for _, k := range kernels[:len(kernels)-1] {
		c.MaxMult = max(c.MaxMult, k[1]/max(1, last[0]))
	}
	if l.Has("main.1.running_mean") {
		c.Generator.Norm = Batch
	} else if l.Has("main.1.weight") {
		c.Generator.Norm = Instance
	}
	c.Discriminator = c.Generator
	return c, c.Validate()
}

// Save writes a generator in PyTorch's layout as float32 safetensors, with its configuration in the metadata.
func Save(w io.Writer, c Config, values engine.Tensors) error {
	return SaveAs(w, c, values, weights.F32)
}

// SaveAs is Save with another element type, such as weights.F16. A number that the type cannot hold is an error.
func SaveAs(w io.Writer, c Config, values engine.Tensors, dtype weights.DType) error {
	e, err := engine.New(engine.Options{Threads: 1}) // traces, does not run
	if err != nil {
		return err
	}
	defer e.Close()
	decls, err := c.GeneratorDecls(e)
	if err != nil {
		return err
	}
	text, err := json.Marshal(c)
	if err != nil {
		return fmt.Errorf("gan: write the configuration: %w", err)
	}
	outs := make([]weights.Out, 0, len(decls))
	for _, d := range decls {
		t, ok := values[d.Name]
		if !ok || !t.Shape().Equal(d.Shape()) {
			return fmt.Errorf("gan: save: variable %q has no value of shape %v", d.Name, d.Dims)
		}
		outs = append(outs, weights.Out{Name: d.Name, DType: dtype, Shape: d.Layout.FileDims(d.Dims), Floats: d.Layout.ToFile(engine.Floats(t), d.Dims)})
	}
	return weights.WriteSafetensors(w, map[string]string{configKey: string(text)}, outs)
}
