package vqgan

import (
	"fmt"
	"strings"

	"github.com/gomlx/gomlx/core/graph"

	"github.com/smalti/smalti/engine"
	"github.com/smalti/smalti/gx"
	"github.com/smalti/smalti/weights"
)

// Discriminator is the PatchGAN that a VQGAN is trained against (Isola et al. 2016, arXiv:1611.07004; taming's
// NLayerDiscriminator): convolutions that say of each patch of a picture, and not of the whole, how real it looks.
type Discriminator struct {
	Channels int  `json:"in_channels"`           // of the pictures, 3 for RGB
	Width    int  `json:"ndf"`                   // channels of the first convolution, 64 in taming
	Layers   int  `json:"n_layers"`              // convolutions that halve; a patch is 16, 34 or 70 pixels wide for 1, 2 or 3
	ActNorm  bool `json:"use_actnorm,omitempty"` // norms without batch statistics, instead of batch norms
}

const (
	discKernel = 4
	discSlope  = 0.2 // of the leaky ReLUs
	discMult   = 8   // most channels, in Widths
	batchEps   = 1e-5
)

// Validate says what is wrong with a configuration, nil when it can be built.
func (d Discriminator) Validate() error {
	if d.Channels < 1 || d.Width < 1 || d.Layers < 1 || d.Layers > 8 {
		return fmt.Errorf("vqgan: discriminator of %d channels, width %d and %d layers", d.Channels, d.Width, d.Layers)
	}
	return nil
}

// Stats makes batch norms use the statistics of their batch, as in training, and remembers them in the order of the
// forward passes. Without it (nil) they use the running ones.
type Stats struct {
	Moves []Move
}

// Move is what a forward pass in training wants of one running statistic.
type Move struct {
	Name  string      // full name of the variable
	Batch *graph.Node // statistic of the batch, [c]; the variance is the unbiased one
	Start float32     // where the running statistic begins
}

// Momentum is how far a running statistic goes towards that of the batch in a forward pass: PyTorch's default.
const Momentum = 0.1

// Apply sets the running statistics in the graph itself: running <- (1 - Momentum) running + Momentum batch. v is the
// view of all variables.
func (s *Stats) Apply(v *gx.Vars) {
	for _, m := range s.Moves {
		old := v.Get(m.Name, gx.Spec{Dims: m.Batch.Shape().Dimensions, Init: gx.Const(float64(m.Start))})
		v.Set(m.Name, graph.Add(graph.MulScalar(old, 1-Momentum), graph.MulScalar(graph.StopGradient(m.Batch), Momentum)))
	}
}

// Graph judges pictures: x [n,H,W,Channels] in [-1,1] -> one logit for each patch, [n,h,w,1], the higher the more real.
// stats is non-nil in training; ActNorms have none and take no notice.
func (d Discriminator) Graph(v *gx.Vars, x *graph.Node, stats *Stats) *graph.Node {
	return d.walk(v, x, func(v *gx.Vars, x *graph.Node) *graph.Node {
		if d.ActNorm {
			y, _ := ActNorm(v, x)
			return y
		}
		return batchNorm(v, x, stats)
	})
}

// InitGraph starts the ActNorms of a new discriminator by the first pictures that it sees, layer by layer, and judges
// these. It Sets variables: run it once before training. What was started before stays as it is.
func (d Discriminator) InitGraph(v *gx.Vars, x *graph.Node) *graph.Node {
	if !d.ActNorm {
		panic(fmt.Errorf("vqgan: a discriminator without ActNorms needs no start"))
	}
	return d.walk(v, x, func(v *gx.Vars, x *graph.Node) *graph.Node {
		ActNormInit(v, x)
		y, _ := ActNorm(v, x)
		return y
	})
}

// walk numbers the layers as PyTorch's Sequential does, where norms and activations count too.
func (d Discriminator) walk(v *gx.Vars, x *graph.Node, norm func(v *gx.Vars, x *graph.Node) *graph.Node) *graph.Node {
	x.AssertDims(-1, -1, -1, d.Channels)
	at := 0
	next := func() *gx.Vars {
		at++
		return v.In("main.%d", at-1)
	}
	x = gx.LeakyReLU(discConv(next(), x, d.Width, 2, true), discSlope)
	at++
	for i := 1; i <= d.Layers; i++ {
		stride := 2
		if i == d.Layers {
			stride = 1
		}
		x = discConv(next(), x, d.Width*min(1<<i, discMult), stride, d.ActNorm)
		x = gx.LeakyReLU(norm(next(), x), discSlope)
		at++
	}
	return discConv(next(), x, 1, 1, true)
}

// discConv maps [n,h,w,in] to [n,h',w',out] with 4x4 taps, h' = (h-2)/stride + 1. Weights start at N(0, 0.02^2).
func discConv(v *gx.Vars, x *graph.Node, out, stride int, bias bool) *graph.Node {
	in := x.Shape().Dimensions[3]
	w := v.Get("weight", gx.Spec{Dims: []int{discKernel, discKernel, in, out}, Layout: gx.Conv, Init: gx.Normal(0.02)})
	y := gx.Convolve(x, w, gx.ConvOptions{Stride: stride, Pad: gx.Around(1)})
	if bias {
		b := v.Get("bias", gx.Spec{Dims: []int{out}})
		y = graph.Add(y, graph.ExpandLeftToRank(b, 4))
	}
	return y
}

// batchNorm is a batch norm over all axes but the last: weight, bias, running_mean, running_var.
func batchNorm(v *gx.Vars, x *graph.Node, s *Stats) *graph.Node {
	c := []int{x.Shape().Dimensions[3]}
	weight, bias := v.Get("weight", gx.Spec{Dims: c, Init: gx.Ones}), v.Get("bias", gx.Spec{Dims: c})
	if s == nil {
		mean, variance := v.Get("running_mean", gx.Spec{Dims: c}), v.Get("running_var", gx.Spec{Dims: c, Init: gx.Ones})
		return gx.BatchNormWith(x, mean, variance, weight, bias, batchEps)
	}
	y, mean, variance := gx.BatchNorm(x, weight, bias, batchEps)
	count := float64(x.Shape().Size() / c[0])
	unbiased := graph.MulScalar(variance, count/max(1, count-1))
	s.Moves = append(s.Moves, Move{v.Name("running_mean"), mean, 0}, Move{v.Name("running_var"), unbiased, 1})
	return y
}

// Decls lists the variables of a discriminator, running statistics and marks of ActNorms included.
func (d Discriminator) Decls(e *engine.Engine) ([]gx.Decl, error) {
	if err := d.Validate(); err != nil {
		return nil, err
	}
	side := 4 << d.Layers
	return e.Program("discriminator variables", func(v *gx.Vars, in []*graph.Node) []*graph.Node {
		if d.ActNorm {
			return []*graph.Node{d.InitGraph(v, in[0])}
		}
		return []*graph.Node{d.Graph(v, in[0], nil)}
	}).Decls(engine.Float32(1, side, side, d.Channels))
}

// ReadDiscriminator takes a discriminator from a file, whose names begin with main.0 where l looks, and reads its
// architecture off them: l is Sub("loss.discriminator.") of a Loader over a checkpoint of taming's training. What else
// is in the file is the caller's business; the Loader's Done tells.
func ReadDiscriminator(e *engine.Engine, l *weights.Loader) (Discriminator, engine.Tensors, error) {
	d, err := inferDiscriminator(l)
	if err != nil {
		return d, nil, err
	}
	decls, err := d.Decls(e)
	if err != nil {
		return d, nil, err
	}
	values := map[string][]float32{}
	for _, decl := range decls {
		t, err := l.TakeTensor(decl.Name, decl.Layout.FileDims(decl.Dims)...)
		if err != nil {
			return d, nil, fmt.Errorf("vqgan: discriminator: %w", err)
		}
		data, err := floatsOf(t)
		if err != nil {
			return d, nil, fmt.Errorf("vqgan: discriminator: %s: %w", decl.Name, err)
		}
		values[decl.Name] = decl.Layout.FromFile(data, decl.Dims)
	}
	l.SkipFunc(func(name string) bool { return strings.HasSuffix(name, ".num_batches_tracked") })
	ts, err := engine.Upload(decls, values)
	return d, ts, err
}

// floatsOf reads numbers of any type: the mark of an ActNorm is a byte.
func floatsOf(t *weights.Tensor) ([]float32, error) {
	if t.DType != weights.U8 {
		return t.Float32()
	}
	ints, err := t.Int64()
	out := make([]float32, len(ints))
	for i, x := range ints {
		out[i] = float32(x)
	}
	return out, err
}

// inferDiscriminator reads the architecture off names and shapes.
func inferDiscriminator(l *weights.Loader) (Discriminator, error) {
	first, ok := l.Peek("main.0.weight")
	if !ok || len(first.Shape) != 4 {
		return Discriminator{}, fmt.Errorf("vqgan: no discriminator in the file: no main.0.weight of rank 4")
	}
	d := Discriminator{Channels: first.Shape[1], Width: first.Shape[0], ActNorm: l.Has("main.3.loc")}
	for l.Has(fmt.Sprintf("main.%d.weight", 2+3*d.Layers)) { // a convolution, a norm, an activation
		d.Layers++
	}
	d.Layers-- // the last convolution is no layer
	return d, d.Validate()
}
