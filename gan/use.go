package gan

import (
	"context"
	"fmt"
	"math"

	"github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"

	"github.com/smalti/smalti/engine"
	"github.com/smalti/smalti/gx"
	"github.com/smalti/smalti/pixel"
	"github.com/smalti/smalti/rng"
	"github.com/smalti/smalti/weights"
)

// batch is how many pictures are made at once. Runs are filled up to it, so that one graph serves all.
const batch = 32

// Model is a generator ready for use. It is safe for concurrent use.
type Model struct {
	config  Config
	values  engine.Tensors
	program *engine.Program
}

// New makes a model of a generator's weights by variable name. They are not copied.
func New(e *engine.Engine, c Config, values engine.Tensors) (*Model, error) {
	decls, err := c.GeneratorDecls(e)
	if err != nil {
		return nil, err
	}
	for _, d := range decls {
		if t, ok := values[d.Name]; !ok || !t.Shape().Equal(d.Shape()) {
			return nil, fmt.Errorf("gan: variable %q has no value of shape %v", d.Name, d.Dims)
		}
	}
	m := &Model{config: c, values: values}
	m.program = e.Program("gan sample", func(v *gx.Vars, in []*graph.Node) []*graph.Node {
		x := c.GenerateGraph(v, in[0], in[1], nil)
		return []*graph.Node{graph.ClipScalar(graph.MulScalar(graph.AddScalar(x, 1), 0.5), 0, 1)}
	})
	return m, nil
}

// Open reads a generator from a weight file (see Read), which may be closed afterwards.
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

// Noise draws the noise of pictures first..first+n-1 of a seed: picture i is the same whichever others are drawn. The
// result is [n,k], row by row.
func (c Config) Noise(seed uint64, first, n int) []float32 {
	z := make([]float32, n*c.Latent)
	for i := range n {
		rng.New(seed, "gan/z", uint64(first+i)).FillNormal(z[i*c.Latent : (i+1)*c.Latent])
	}
	return z
}

// Classes are labels for n pictures that take turns: 0, 1, ... , Labels-1, 0, ... ; zeros without Labels.
func (c Config) Classes(n int) []int32 {
	out := make([]int32, n)
	for i := range out {
		out[i] = int32(i % max(1, c.Labels))
	}
	return out
}

// Sample makes a picture of each row of z [n,k]. labels are their classes; nil lets them take turns.
func (m *Model) Sample(ctx context.Context, z []float32, labels []int32) ([]pixel.Image, error) {
	planes, err := m.Planes(ctx, z, labels)
	if err != nil {
		return nil, err
	}
	size := m.config.Size * m.config.Size * m.config.Channels
	out := make([]pixel.Image, len(planes)/size)
	for i := range out {
		out[i] = m.config.Picture(planes[i*size : (i+1)*size])
	}
	return out, nil
}

// Picture makes an RGB picture of a plane [S,S,C] in [0,1].
func (c Config) Picture(plane []float32) pixel.Image {
	img := pixel.New(c.Size, c.Size)
	if c.Channels == 3 {
		copy(img.Pix, plane)
		return img
	}
	for i, v := range plane {
		img.Pix[3*i], img.Pix[3*i+1], img.Pix[3*i+2] = v, v, v
	}
	return img
}

// Planes is Sample as an array [n,S,S,C] in [0,1].
func (m *Model) Planes(ctx context.Context, z []float32, labels []int32) ([]float32, error) {
	c := m.config
	if len(z) == 0 || len(z)%c.Latent != 0 {
		return nil, fmt.Errorf("gan: sample: %d numbers of noise are not rows of %d", len(z), c.Latent)
	}
	n := len(z) / c.Latent
	if labels == nil {
		labels = c.Classes(n)
	}
	if len(labels) != n {
		return nil, fmt.Errorf("gan: sample: %d labels for %d pictures", len(labels), n)
	}
	for _, l := range labels {
		if c.Labels > 0 && (l < 0 || int(l) >= c.Labels) {
			return nil, fmt.Errorf("gan: sample: class %d of %d", l, c.Labels)
		}
	}
	var out []float32
	for at := 0; at < n; at += batch {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		part := min(batch, n-at)
		some, classes := make([]float32, batch*c.Latent), make([]int32, batch)
		copy(some, z[at*c.Latent:(at+part)*c.Latent])
		copy(classes, labels[at:at+part])
		outs, err := m.program.Run(m.values, engine.FromFloats(some, batch, c.Latent), tensors.FromFlatDataAndDimensions(classes, batch))
		if err != nil {
			return nil, fmt.Errorf("gan: sample: %w", err)
		}
		out = append(out, engine.Floats(outs[0])[:part*c.Size*c.Size*c.Channels]...)
	}
	return out, nil
}

// Between returns n rows of noise on the great circle from a to b, ends included: spherical interpolation keeps the
// length that noise of many numbers has (White 2016, arXiv:1609.04468). n must be at least 2, a and b of one length.
func Between(a, b []float32, n int) []float32 {
	var aa, bb, ab float64
	for i := range a {
		aa, bb, ab = aa+float64(a[i])*float64(a[i]), bb+float64(b[i])*float64(b[i]), ab+float64(a[i])*float64(b[i])
	}
	angle := math.Acos(max(-1, min(1, ab/math.Max(1e-12, math.Sqrt(aa*bb)))))
	out := make([]float32, 0, n*len(a))
	for k := range n {
		t := float64(k) / float64(n-1)
		wa, wb := 1-t, t
		if s := math.Sin(angle); s > 1e-6 {
			wa, wb = math.Sin((1-t)*angle)/s, math.Sin(t*angle)/s
		}
		for i := range a {
			out = append(out, float32(wa*float64(a[i])+wb*float64(b[i])))
		}
	}
	return out
}
