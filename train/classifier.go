package train

import (
	"context"
	"fmt"
	"io"
	"path/filepath"

	"github.com/gomlx/gomlx/core/graph"

	"github.com/smalti/smalti/dataset"
	"github.com/smalti/smalti/engine"
	"github.com/smalti/smalti/event"
	"github.com/smalti/smalti/gan"
	"github.com/smalti/smalti/gx"
	"github.com/smalti/smalti/rng"
	"github.com/smalti/smalti/weights"
)

// ClassifierConfig is a whole training of the classifier that measures GANs.
type ClassifierConfig struct {
	Train    Config `json:"train"`
	Data     string `json:"data"`     // as in GANConfig
	Size     int    `json:"size"`     // side of the pictures, where the data do not say
	Width    int    `json:"width"`    // channels of the first convolution
	Features int    `json:"features"` // length of a feature vector
	Shift    int    `json:"shift"`    // pictures are moved by up to this many pixels
	HeldOut  int    `json:"held_out"` // as in GANConfig
}

// DefaultClassifier learns MNIST's digits in about a minute.
func DefaultClassifier() ClassifierConfig {
	c := ClassifierConfig{Train: DefaultConfig(), Size: 28, Width: 16, Features: 64, Shift: 2, HeldOut: 1000}
	t := &c.Train
	t.Steps, t.MicroBatches, t.BatchSize, t.LR, t.Warmup, t.EMA = 600, 2, 64, 2e-3, 50, .99
	t.EvalEvery, t.SaveEvery = 200, 200
	return c
}

// Settings are those of the training loop.
func (c *ClassifierConfig) Settings() *Config { return &c.Train }

// Validate reports the first setting that is out of its range.
func (c ClassifierConfig) Validate() error {
	if err := c.Train.Validate(); err != nil {
		return err
	}
	if c.Shift < 0 || c.Shift > 64 || c.HeldOut < 1 {
		return fmt.Errorf("train: shift %d or held_out %d is out of range", c.Shift, c.HeldOut)
	}
	return nil
}

// RunClassifier trains a classifier of the data's tags, or of their classes where they have no tags, and leaves
// model.safetensors in the run's folder. See Loop.Run for how a run ends.
func RunClassifier(ctx context.Context, cfg ClassifierConfig, sink event.Sink, o Options) (Result, error) {
	if err := cfg.Validate(); err != nil {
		return Result{}, err
	}
	data, err := OpenPictures(cfg.Data, cfg.Size, cfg.HeldOut)
	if err != nil {
		return Result{}, err
	}
	r, err := newClassifierRecipe(cfg, data)
	if err != nil {
		return Result{}, err
	}
	if err := openRun(o, cfg); err != nil {
		return Result{}, err
	}
	l := Loop{Config: cfg.Train, Recipe: r, Sink: sink, Dir: o.Dir, Resume: o.Resume, Export: func(decls []gx.Decl, ema Values) error {
		return weights.SaveFile(filepath.Join(o.Dir, ModelFile), func(w io.Writer) error { return gan.SaveClassifier(w, r.model, decls, ema) })
	}}
	return l.Run(ctx)
}

// classifierRecipe is the Recipe of the classifier.
type classifierRecipe struct {
	cfg   ClassifierConfig
	model gan.Classifier
	data  *PictureData
	order *dataset.Order
}

func newClassifierRecipe(cfg ClassifierConfig, data *PictureData) (*classifierRecipe, error) {
	m := gan.Classifier{Size: data.Train.Size(), Channels: data.Train.Channels(), Width: cfg.Width, Features: cfg.Features, Names: data.Train.Classes()}
	if names := tagsOf(data.Train); len(names) > 0 {
		m.Names, m.Tags = names, true
	}
	if len(m.Names) < 2 {
		return nil, fmt.Errorf("train: the pictures have neither classes nor tags, so nothing can be learnt to measure by")
	}
	if err := m.Validate(); err != nil {
		return nil, fmt.Errorf("train: %w", err)
	}
	return &classifierRecipe{cfg: cfg, model: m, data: data, order: dataset.NewOrder(cfg.Train.Seed, data.Train.Len())}, nil
}

func tagsOf(p dataset.Pictures) []string {
	if t, ok := p.(dataset.Tagged); ok {
		return t.Tags()
	}
	return nil
}

func (r *classifierRecipe) Name() string      { return "classifier" }
func (r *classifierRecipe) Metrics() []string { return []string{"right"} }

// Loss has the inputs pictures [n,S,S,C] in [-1,1] and targets [n,k], of zeros and ones.
func (r *classifierRecipe) Loss(v *gx.Vars, in []*graph.Node) Output {
	_, logits := r.model.Graph(v, in[0])
	zero := graph.ZerosLike(logits)
	if r.model.Tags {
		right := graph.Equal(graph.GreaterThan(logits, zero), graph.GreaterThan(in[1], zero))
		return Output{Loss: gx.BCEWithLogits(logits, in[1]), Metrics: []*graph.Node{share(right)}}
	}
	loss := graph.Neg(graph.ReduceAllMean(graph.ReduceSum(graph.Mul(in[1], gx.LogSoftmax(logits)), -1)))
	right := share(graph.Equal(graph.ArgMax(logits, -1), graph.ArgMax(in[1], -1)))
	return Output{Loss: loss, Metrics: []*graph.Node{right}}
}

func (r *classifierRecipe) Batch(step, micro int) ([]Array, error) {
	c, m := r.cfg.Train, r.model
	key := c.batchKey(step, micro)
	index := make([]int, c.BatchSize)
	for i := range index {
		index[i] = r.order.At(key*uint64(c.BatchSize) + uint64(i))
	}
	pix, _, err := dataset.Planes(r.data.Train, index)
	if err != nil {
		return nil, err
	}
	plane := m.Size * m.Size * m.Channels
	for i := range index {
		s := rng.New(c.Seed, "classifier/shift", key, uint64(i))
		shift(pix[i*plane:(i+1)*plane], m.Size, m.Channels, s.IntN(2*r.cfg.Shift+1)-r.cfg.Shift, s.IntN(2*r.cfg.Shift+1)-r.cfg.Shift)
	}
	return []Array{Floats(pix, c.BatchSize, m.Size, m.Size, m.Channels), r.targets(r.data.Train, index)}, nil
}

// shift moves a picture; its edges are repeated where nothing is left.
func shift(pix []float32, size, channels, dx, dy int) {
	from := append([]float32(nil), pix...)
	clamp := func(x int) int { return min(max(x, 0), size-1) }
	for y := range size {
		for x := range size {
			at := (clamp(y-dy)*size + clamp(x-dx)) * channels
			copy(pix[(y*size+x)*channels:][:channels], from[at:at+channels])
		}
	}
}

func (r *classifierRecipe) targets(p dataset.Pictures, index []int) Array {
	k := len(r.model.Names)
	out := make([]float32, len(index)*k)
	for i, n := range index {
		if !r.model.Tags {
			out[i*k+p.Class(n)] = 1
			continue
		}
		for _, t := range p.(dataset.Tagged).Tagged(n) {
			out[i*k+t] = 1
		}
	}
	return Floats(out, len(index), k)
}

// Evaluate reports the share of right answers on the pictures held out, of tags over all tags.
func (r *classifierRecipe) Evaluate(ctx context.Context, e *engine.Engine, values Values) (Evaluation, error) {
	decls, err := r.model.Decls(e)
	if err != nil {
		return Evaluation{}, err
	}
	vars, err := engine.Upload(decls, values)
	if err != nil {
		return Evaluation{}, err
	}
	x := gan.NewExaminer(e, r.model, vars)
	index := firstOf(r.data.Held.Len(), 2000)
	pix, _, err := dataset.Planes(r.data.Held, index)
	if err != nil {
		return Evaluation{}, err
	}
	_, probs, err := x.Examine(pix)
	if err != nil {
		return Evaluation{}, err
	}
	want, k := r.targets(r.data.Held, index).F, len(r.model.Names)
	right, all := 0, 0
	for i := range index {
		best := 0
		for c, p := range probs[i*k : (i+1)*k] {
			if p > probs[i*k+best] {
				best = c
			}
			if r.model.Tags {
				all++
				if (p > .5) == (want[i*k+c] > 0) {
					right++
				}
			}
		}
		if !r.model.Tags {
			all++
			if want[i*k+best] > 0 {
				right++
			}
		}
	}
	return Evaluation{Scores: map[string]float64{"right": float64(right) / float64(all)}}, ctx.Err()
}

// firstOf are the numbers 0..n-1, at most the given count.
func firstOf(n, most int) []int {
	out := make([]int, min(n, most))
	for i := range out {
		out[i] = i
	}
	return out
}
