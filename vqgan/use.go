package vqgan

import (
	"errors"
	"fmt"
	"image"
	"math"
	"slices"

	"github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"

	"github.com/smalti/smalti/engine"
	"github.com/smalti/smalti/gx"
	"github.com/smalti/smalti/nn"
	"github.com/smalti/smalti/pixel"
	"github.com/smalti/smalti/weights"
)

// ErrSize says that a picture or a grid of codes has a size that the model cannot take.
var ErrSize = errors.New("unsuitable size")

// config is embedded for its methods; Config itself is taken by the method of that name.
type config = Config

// Model is a configuration with its weights on an engine. It is safe for concurrent use, as long as nobody writes the
// weights meanwhile.
type Model struct {
	config
	e      *engine.Engine
	values engine.Tensors
	lo, hi []float32 // range of the codes for each channel

	encode, decode, through *engine.Program // none of them sets a variable
	nearest, between        *engine.Program
}

// New makes a model of weights by variable name. They are not copied.
func New(e *engine.Engine, c Config, values engine.Tensors) (*Model, error) {
	decls, err := c.Decls(e)
	if err != nil {
		return nil, err
	}
	for _, d := range decls {
		if t, ok := values[d.Name]; !ok || !t.Shape().Equal(d.Shape()) {
			return nil, fmt.Errorf("vqgan: variable %q has no value of shape %v", d.Name, d.Dims)
		}
	}
	m := &Model{config: c, e: e, values: values}
	m.lo, m.hi = c.codeRange(engine.Floats(values[c.codebookName()]))
	m.encode = e.Program("vqgan encode", func(v *gx.Vars, in []*graph.Node) []*graph.Node {
		return []*graph.Node{c.CodesGraph(v, c.EncodeGraph(v, fromPixels(in[0])))}
	})
	m.decode = e.Program("vqgan decode", func(v *gx.Vars, in []*graph.Node) []*graph.Node {
		return []*graph.Node{toPixels(c.DecodeGraph(v, c.LookupGraph(v, in[0])))}
	})
	m.through = e.Program("vqgan reconstruct", func(v *gx.Vars, in []*graph.Node) []*graph.Node {
		codes := c.CodesGraph(v, c.EncodeGraph(v, fromPixels(in[0])))
		return []*graph.Node{toPixels(c.DecodeGraph(v, c.LookupGraph(v, codes)))}
	})
	m.latentPrograms()
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

// Tiled returns the same model for pictures whose sides continue at the opposite ones, so that copies of a picture fit
// together without a seam. The weights are shared.
func (m *Model) Tiled(wrap nn.Wrap) (*Model, error) {
	c := m.config
	c.Wrap = wrap
	return New(m.e, c, m.values)
}

// Config returns the architecture.
func (m *Model) Config() Config { return m.config }

// Weights returns the values of the variables by name: the model's own map, not a copy.
func (m *Model) Weights() engine.Tensors { return m.values }

// CodebookRange returns the smallest and the largest value of each channel over all codes, which bound a latent under
// optimisation. With L2 these are the codes at unit length. The slices are the caller's.
func (m *Model) CodebookRange() (lo, hi []float32) { return slices.Clone(m.lo), slices.Clone(m.hi) }

// EncodeGraph maps pictures x [n,H,W,3] in [-1,1] to a latent [n,h,w,e] that QuantiseGraph turns into the codes of the
// pictures: Config.EncodeGraph, or with the Gumbel quantiser the vectors of the codes themselves, because there the
// encoder's output is not in the space of the codes.
func (m *Model) EncodeGraph(v *gx.Vars, x *graph.Node) *graph.Node {
	z := m.config.EncodeGraph(v, x)
	if m.Quantiser == Gumbel {
		return m.LookupGraph(v, m.CodesGraph(v, z))
	}
	return z
}

// Codes are a picture of H x W codes, row by row.
type Codes struct {
	H, W int
	Idx  []int32
}

// Encode returns the codes of a picture, transparent parts over white. Its sides must be multiples of f: an error that
// wraps ErrSize offers the nearest size that is.
func (m *Model) Encode(img image.Image) (Codes, error) { return m.EncodePixels(pixel.FromImage(img)) }

// EncodePixels is Encode of a plane.
func (m *Model) EncodePixels(img pixel.Image) (Codes, error) {
	f := m.Factor()
	if err := img.Valid(); err != nil {
		return Codes{}, fmt.Errorf("vqgan: encode: %w", err)
	}
	if img.W%f != 0 || img.H%f != 0 {
		return Codes{}, fmt.Errorf("vqgan: encode: %w: %dx%d is not a multiple of %d; the nearest is %dx%d", ErrSize, img.W, img.H, f, nearestMultiple(img.W, f), nearestMultiple(img.H, f))
	}
	outs, err := m.encode.Run(m.values, engine.FromFloats(img.Pix, 1, img.H, img.W, 3))
	if err != nil {
		return Codes{}, fmt.Errorf("vqgan: encode: %w", err)
	}
	return Codes{H: img.H / f, W: img.W / f, Idx: engine.Ints(outs[0])}, nil
}

// Decode returns the picture of W*f x H*f pixels that codes stand for, limited to [0,1].
func (m *Model) Decode(c Codes) (pixel.Image, error) {
	if c.H < 1 || c.W < 1 || len(c.Idx) != c.H*c.W {
		return pixel.Image{}, fmt.Errorf("vqgan: decode: %w: %d codes for a grid of %dx%d", ErrSize, len(c.Idx), c.W, c.H)
	}
	for i, k := range c.Idx {
		if k < 0 || int(k) >= m.NEmbed {
			return pixel.Image{}, fmt.Errorf("vqgan: decode: code %d at position %d is outside the codebook of %d", k, i, m.NEmbed)
		}
	}
	outs, err := m.decode.Run(m.values, tensors.FromFlatDataAndDimensions(c.Idx, 1, c.H, c.W))
	if err != nil {
		return pixel.Image{}, fmt.Errorf("vqgan: decode: %w", err)
	}
	f := m.Factor()
	return pixel.Image{W: c.W * f, H: c.H * f, Pix: engine.Floats(outs[0])}, nil
}

// Reconstruct encodes and decodes a picture of any size. When its sides are not multiples of f, the last row and column
// are repeated up to the next multiple and cut off again afterwards: the result has the picture's own size.
func (m *Model) Reconstruct(img image.Image) (pixel.Image, error) {
	return m.ReconstructPixels(pixel.FromImage(img))
}

// ReconstructPixels is Reconstruct of a plane.
func (m *Model) ReconstructPixels(img pixel.Image) (pixel.Image, error) {
	if err := img.Valid(); err != nil {
		return pixel.Image{}, fmt.Errorf("vqgan: reconstruct: %w", err)
	}
	whole := padTo(img, m.Factor())
	outs, err := m.through.Run(m.values, engine.FromFloats(whole.Pix, 1, whole.H, whole.W, 3))
	if err != nil {
		return pixel.Image{}, fmt.Errorf("vqgan: reconstruct: %w", err)
	}
	return pixel.Image{W: whole.W, H: whole.H, Pix: engine.Floats(outs[0])}.Crop(0, 0, img.W, img.H), nil
}

// padTo repeats the last row and column until both sides are multiples of f.
func padTo(img pixel.Image, f int) pixel.Image {
	w, h := (img.W+f-1)/f*f, (img.H+f-1)/f*f
	if w == img.W && h == img.H {
		return img
	}
	out := pixel.New(w, h)
	for y := range h {
		for x := range w {
			from := (min(y, img.H-1)*img.W + min(x, img.W-1)) * 3
			copy(out.Pix[(y*w+x)*3:][:3], img.Pix[from:from+3])
		}
	}
	return out
}

// nearestMultiple is the multiple of f nearest to n, at least f; of two equally near ones the larger.
func nearestMultiple(n, f int) int { return max(f, (n+f/2)/f*f) }

// fromPixels maps [0,1] to the model's [-1,1], toPixels back and limits.
func fromPixels(x *graph.Node) *graph.Node { return graph.AddScalar(graph.MulScalar(x, 2), -1) }

func toPixels(x *graph.Node) *graph.Node {
	return graph.ClipScalar(graph.MulScalar(graph.AddScalar(x, 1), 0.5), 0, 1)
}

// codeRange returns the range of each channel over the rows of a codebook as it is stored.
func (c Config) codeRange(table []float32) (lo, hi []float32) {
	e := c.EmbedDim
	lo, hi = make([]float32, e), make([]float32, e)
	for row := range c.NEmbed {
		code := table[row*e : (row+1)*e]
		scale := float32(1)
		if c.L2 {
			sum := 0.0
			for _, x := range code {
				sum += float64(x) * float64(x)
			}
			scale = float32(1 / math.Sqrt(max(sum, 1e-24)))
		}
		for i, x := range code {
			x *= scale
			if row == 0 || x < lo[i] {
				lo[i] = x
			}
			if row == 0 || x > hi[i] {
				hi[i] = x
			}
		}
	}
	return lo, hi
}
