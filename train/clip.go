package train

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"path/filepath"

	"github.com/gomlx/gomlx/core/graph"

	"github.com/smalti/smalti/clip"
	"github.com/smalti/smalti/dataset"
	"github.com/smalti/smalti/engine"
	"github.com/smalti/smalti/event"
	"github.com/smalti/smalti/gx"
	"github.com/smalti/smalti/rng"
	"github.com/smalti/smalti/weights"
)

// ClipConfig is a whole training of a CLIP.
type ClipConfig struct {
	Train Config      `json:"train"`
	Data  string      `json:"data"`  // folder of a data pack, or ShapesData
	Model clip.Config `json:"model"` // with no Vocab, RunClip trims one to the data

	Vocabulary     int     `json:"vocabulary"`      // largest number of tokens of a trimmed vocabulary
	Captions       int     `json:"captions"`        // captions sampled to choose it
	Tokens         int     `json:"tokens"`          // captions are cut to this many tokens in training, >= 4
	Smoothing      float64 `json:"smoothing"`       // label smoothing, [0,1)
	ConceptWeight  float64 `json:"concept_weight"`  // weight of naming what is shown, from the picture alone
	MaxTemperature float64 `json:"max_temperature"` // cap of what cosines are multiplied by
	AugmentFrom    float64 `json:"augment_from"`    // strength of augmentation at the first step
	AugmentTo      float64 `json:"augment_to"`      // and from AugmentSteps on
	AugmentSteps   int     `json:"augment_steps"`
	EvalPictures   int     `json:"eval_pictures"` // most pictures of an evaluation

	// Join compares the examples of all micro-batches of a step with one another, at the memory of one of them and the price
	// of a second forward pass; without it each micro-batch is compared in itself.
	Join bool `json:"join"`

	Adversarial float64 `json:"adversarial"`  // weight of the loss for pictures moved against the model; 0 for none
	EpsilonFrom float64 `json:"epsilon_from"` // least length of that move, Euclidean over a picture with values in [0,1]
	EpsilonTo   float64 `json:"epsilon_to"`   // and greatest
}

// DefaultClip is the training of the built-in model: facts of small towers on emoji, learnt in an hour of CPU.
func DefaultClip() ClipConfig {
	c := ClipConfig{Train: DefaultConfig(), Model: clip.BuiltinV0(clip.Vocab{}), Vocabulary: 4096, Captions: 50000, Tokens: 24,
		Smoothing: .03, ConceptWeight: .5, MaxTemperature: 55, AugmentFrom: .3, AugmentTo: .75, EvalPictures: 400, EpsilonFrom: .6, EpsilonTo: 2}
	t := &c.Train
	t.Steps, t.MicroBatches, t.BatchSize = 2300, 2, 96
	t.LR, t.Schedule, t.Warmup = 2e-3, Linear, 80
	c.AugmentSteps = 600
	return c
}

// Settings are those of the loop, for a caller that sets its clock, budget and workers.
func (c *ClipConfig) Settings() *Config { return &c.Train }

// Validate reports the first setting that is out of its range. The model is checked when it is built.
func (c ClipConfig) Validate() error {
	if err := c.Train.Validate(); err != nil {
		return err
	}
	if err := c.checkRole(); err != nil {
		return err
	}
	switch {
	case c.Train.BatchSize < 2:
		return fmt.Errorf("train: batch_size is out of range: %d; contrast needs at least 2", c.Train.BatchSize)
	case c.Tokens < 4 || c.Tokens > c.Model.Text.ContextLength:
		return fmt.Errorf("train: tokens is out of range: %d of 4..%d", c.Tokens, c.Model.Text.ContextLength)
	case !(c.Smoothing >= 0 && c.Smoothing < 1):
		return fmt.Errorf("train: smoothing is out of range: %g", c.Smoothing)
	case !(c.ConceptWeight >= 0):
		return fmt.Errorf("train: concept_weight is out of range: %g", c.ConceptWeight)
	case !(c.Adversarial >= 0) || c.Adversarial > 0 && !(c.EpsilonFrom > 0 && c.EpsilonTo >= c.EpsilonFrom && c.EpsilonTo <= 1000):
		return fmt.Errorf("train: adversarial is out of range: weight %g, moves of %g to %g", c.Adversarial, c.EpsilonFrom, c.EpsilonTo)
	case c.Adversarial > 0 && c.Join:
		return errors.New("train: adversarial pictures and a joined contrast cannot be had at once")
	case !(c.MaxTemperature >= 1):
		return fmt.Errorf("train: max_temperature is out of range: %g", c.MaxTemperature)
	case !(c.AugmentFrom >= 0 && c.AugmentFrom <= 2 && c.AugmentTo >= 0 && c.AugmentTo <= 2):
		return fmt.Errorf("train: augmentation is out of range: %g to %g", c.AugmentFrom, c.AugmentTo)
	}
	return nil
}

// Options say where a training works and what it starts from.
type Options struct {
	Dir      string // the run's folder; made when it is not there
	Resume   bool   // go on from the folder's checkpoint; the configuration given must be the folder's, save for its length
	InitFrom string // model file to start from with fresh moments
	Lend     Lender // for trainings that use another model
}

// Lender opens the weight file of a model of a kind ("vqgan", "clip") by its name, and says the sha256 of the file. What it
// returns is closed by the caller.
type Lender func(kind, name string) (f *weights.File, sha256 string, err error)

// RunClip trains a CLIP, or goes on training it, and leaves model.safetensors in the run's folder: at each checkpoint
// the moving average so far, in the end the finished model. See Loop.Run for how a run ends.
func RunClip(ctx context.Context, cfg ClipConfig, sink event.Sink, o Options) (Result, error) {
	if err := cfg.Validate(); err != nil {
		return Result{}, err
	}
	if err := cfg.checkPainter(o); err != nil {
		return Result{}, err
	}
	data, err := openScenes(cfg.Data, cfg.Model.ImageSize())
	if err != nil {
		return Result{}, err
	}
	data.tell(sink)
	warm, err := cfg.start(data, o)
	if err != nil {
		return Result{}, err
	}
	if err := openRun(o, cfg); err != nil {
		return Result{}, err
	}
	r := newClipRecipe(cfg, data)
	l := Loop{Config: cfg.Train, Recipe: r, Sink: sink, Dir: o.Dir, Resume: o.Resume, Warm: warm, Export: r.export(o.Dir)}
	return l.Run(ctx)
}

// start reads the model to start from, or chooses a vocabulary for the data.
func (c *ClipConfig) start(data *scenes, o Options) (Values, error) {
	if o.InitFrom != "" && !o.Resume {
		f, err := weights.Open(o.InitFrom)
		if err != nil {
			return nil, fmt.Errorf("train: start from: %w", err)
		}
		defer f.Close()
		e, err := engine.New(engine.Options{Threads: 1})
		if err != nil {
			return nil, err
		}
		model, ts, err := clip.Read(e, f, nil)
		if err != nil {
			return nil, fmt.Errorf("train: start from: %w", err)
		}
		if err := c.checkAncestor(model); err != nil {
			return nil, err
		}
		c.Model = model
		return floatsOf(ts), nil
	}
	if c.Model.Vocab == "" && !o.Resume {
		v := clip.TrimVocab(captionsOf(data, c.Train.Seed, c.Captions), c.Vocabulary)
		c.Model.Vocab, c.Model.Text.VocabSize = v.Pack(), v.Size()
	}
	return nil, nil
}

func floatsOf(ts engine.Tensors) Values {
	out := make(Values, len(ts))
	for name, t := range ts {
		out[name] = engine.Floats(t)
	}
	return out
}

// captionsOf samples what a composer says, and adds every label, tag and colour; of an album it takes all captions.
func captionsOf(data *scenes, seed uint64, samples int) []string {
	var out []string
	if data.own != nil {
		for _, a := range []*dataset.Album{data.own, data.held} {
			for _, p := range a.Pictures {
				out = append(out, p.Captions...)
			}
		}
		return out
	}
	const side = 4 // only the words are wanted
	for i := range samples {
		out = append(out, data.train.Sample(seed, math.MaxUint64, uint64(i), side).Caption)
	}
	for _, list := range [][]*dataset.Sprite{data.sprites, data.heldConcepts, data.heldStyle, data.heldOthers} {
		for _, s := range list {
			out = append(append(out, s.Label), s.Tags...)
		}
	}
	return append(out, dataset.ColourNames()...)
}

// openRun makes the run's folder and writes its configuration.
func openRun(o Options, cfg any) error {
	if o.Dir == "" {
		return errors.New("train: no folder for the run given")
	}
	if err := openDir(o.Dir); err != nil {
		return fmt.Errorf("train: %w", err)
	}
	if !o.Resume && hasState(o.Dir) {
		return fmt.Errorf("train: %s: %w", o.Dir, ErrHasState)
	}
	return WriteConfig(o.Dir, cfg)
}

// clipRecipe is the Recipe of CLIP.
type clipRecipe struct {
	cfg    ClipConfig
	data   *scenes
	tokens *clip.Tokenizer
	judge  clipJudge
}

func newClipRecipe(cfg ClipConfig, data *scenes) *clipRecipe {
	v, err := clip.UnpackVocab(cfg.Model.Vocab)
	if err != nil {
		v = clip.Vocab{} // Validate of the model reports it when the graph is built
	}
	r := &clipRecipe{cfg: cfg, data: data, tokens: clip.NewTokenizer(v)}
	r.judge = newClipJudge(r)
	return r
}

func (r *clipRecipe) Name() string { return "clip" }

func (r *clipRecipe) Metrics() []string {
	m := []string{"contrast", "concept", "right", "temperature"}
	if r.cfg.Adversarial > 0 {
		m = append(m, "adversarial", "adversarial_right")
	}
	return m
}

// Inputs of Loss: pictures [n,S,S,3] in [0,1], tokens [n,l], then what tells which pairs count, then concepts [n,2], then, for
// adversarial pictures, lengths [n]. What tells is a matrix [n,n], or two columns [n,2] where micro-batches are joined.
const (
	clipPictures = iota
	clipTokens
	clipPairs
	clipConcepts
	clipEpsilon
)

// Loss is the contrast of one micro-batch, and that of its adversarial pictures.
func (r *clipRecipe) Loss(v *gx.Vars, in []*graph.Node) Output {
	if r.cfg.Join {
		return r.Join(v, r.Embed(v, in), []*graph.Node{in[clipPairs], in[clipConcepts]})
	}
	embedded := r.Embed(v, in)
	texts := embedded[1]
	clean := r.compare(v, embedded[0], texts, in[clipPairs], in[clipConcepts])
	if r.cfg.Adversarial == 0 {
		return clean
	}
	moved := movedAgainst(in[clipPictures], clean.Metrics[0], in[clipEpsilon])
	hard := r.compare(v, r.cfg.Model.ImageGraph(v, moved), texts, in[clipPairs], in[clipConcepts])
	clean.Loss = graph.Add(clean.Loss, graph.MulScalar(hard.Loss, r.cfg.Adversarial))
	clean.Metrics = append(clean.Metrics, hard.Metrics[0], hard.Metrics[2])
	return clean
}

// movedAgainst moves pictures x [n,h,w,c] by lengths epsilon [n] in the direction in which a loss grows fastest: x + epsilon g/|g|
// (Goodfellow et al. 2015, arXiv:1412.6572, with the Euclidean norm). The result is a constant to whoever differentiates.
func movedAgainst(x, loss, epsilon *graph.Node) *graph.Node {
	g := graph.Gradient(loss, x)[0]
	n := x.Shape().Dimensions[0]
	unit := graph.Reshape(gx.L2Normalize(graph.Reshape(g, n, -1), -1), x.Shape().Dimensions...)
	return graph.StopGradient(graph.Add(x, graph.Mul(unit, graph.Reshape(epsilon, n, 1, 1, 1))))
}

// compare is the loss of features of pictures and texts [n,d]. Metrics are those of Metrics without the adversarial ones.
func (r *clipRecipe) compare(v *gx.Vars, features, texts, keep, concepts *graph.Node) Output {
	m := r.cfg.Model
	scale := graph.MinScalar(m.LogitScale(v), r.cfg.MaxTemperature)
	cosines := graph.Einsum("nd,md->nm", clip.Normalise(features), clip.Normalise(texts))
	contrast, right := contrastive(graph.Mul(cosines, scale), keep, r.cfg.Smoothing)
	named := graph.ScalarZero(contrast.Graph(), contrast.DType())
	if len(r.data.train.Concepts()) > 0 { // of somebody's own pictures nobody knows
		named = r.concepts(v.In("concept_head"), features, concepts)
	}
	loss := graph.Add(contrast, graph.MulScalar(named, r.cfg.ConceptWeight))
	return Output{Loss: loss, Metrics: []*graph.Node{contrast, named, right, scale}}
}

// Joins, Embed, JoinInputs and Join compare all pictures of a step with all of its texts.
func (r *clipRecipe) Joins() bool { return r.cfg.Join }

// Embed returns the features of pictures and of texts, [n,d] each, not normalised.
func (r *clipRecipe) Embed(v *gx.Vars, in []*graph.Node) []*graph.Node {
	return []*graph.Node{r.cfg.Model.ImageGraph(v, in[clipPictures]), r.cfg.Model.TextGraph(v, in[clipTokens])}
}

// JoinInputs are what tells which pairs count, and concepts.
func (r *clipRecipe) JoinInputs() []int { return []int{clipPairs, clipConcepts} }

// Join is compare over the whole step.
func (r *clipRecipe) Join(v *gx.Vars, embedded, in []*graph.Node) Output {
	return r.compare(v, embedded[0], embedded[1], keepOf(in[0]), in[1])
}

// concepts names what is shown from the picture's features alone. The head is not part of the model that is saved.
func (r *clipRecipe) concepts(v *gx.Vars, features, labels *graph.Node) *graph.Node {
	k, d := len(r.data.train.Concepts()), r.cfg.Model.EmbedDim
	w := v.Get("weight", gx.Spec{Dims: []int{d, k}, Layout: gx.Linear, Init: gx.KaimingUniform})
	b := v.Get("bias", gx.Spec{Dims: []int{k}})
	return twoLabels(graph.Add(graph.Dot(features, w).Product(), graph.ExpandLeftToRank(b, 2)), labels)
}

func (r *clipRecipe) Batch(step, micro int) ([]Array, error) {
	c, n, size := r.cfg.Train, r.cfg.Train.BatchSize, r.cfg.Model.ImageSize()
	key := c.batchKey(step, micro)
	b := r.data.train.Batch(c.Seed, key, n, size)
	dataset.AugmentBatch(b, c.Seed, key, r.strength(step), c.workers())
	labels := make([]int32, 2*n)
	for i, shown := range b.Concepts {
		labels[2*i], labels[2*i+1] = int32(shown[0]), int32(shown[len(shown)-1])
	}
	pairs := Floats(distinct(b), n, n)
	if r.cfg.Join {
		pairs = Ints(marks(b), n, 2)
	}
	out := []Array{Floats(b.Pix, n, size, size, 3), r.tokenize(b.Captions, r.cfg.Tokens), pairs, Ints(labels, n, 2)}
	if r.cfg.Adversarial > 0 {
		epsilon := make([]float32, n)
		rng.New(c.Seed, "clip/epsilon", key).FillUniform(epsilon, r.cfg.EpsilonFrom, r.cfg.EpsilonTo)
		out = append(out, Floats(epsilon, n))
	}
	return out, nil
}

// strength is how much pictures are distorted at a step.
func (r *clipRecipe) strength(step int) float64 {
	c := r.cfg
	t := 1.
	if c.AugmentSteps > 0 {
		t = min(1, float64(step)/float64(c.AugmentSteps))
	}
	return c.AugmentFrom + t*(c.AugmentTo-c.AugmentFrom)
}

// tokenize gives [len(captions), length]. The tower is causal: texts cut to a length that holds them are exact.
func (r *clipRecipe) tokenize(captions []string, length int) Array {
	ids := make([]int32, 0, len(captions)*length)
	for _, c := range captions {
		one, _ := r.tokens.Tokenize(c, length)
		ids = append(ids, one...)
	}
	return Ints(ids, len(captions), length)
}

// export returns the function that writes the model file.
func (r *clipRecipe) export(dir string) func(decls []gx.Decl, ema Values) error {
	return func(decls []gx.Decl, ema Values) error {
		up, err := engine.Upload(decls, ema)
		if err != nil {
			return err
		}
		scale := min(float64(ema["logit_scale"][0]), math.Log(r.cfg.MaxTemperature))
		up["logit_scale"] = engine.FromFloats([]float32{float32(scale)})
		return weights.SaveFile(filepath.Join(dir, ModelFile), func(w io.Writer) error {
			return clip.SaveAs(w, r.cfg.Model, up, weights.F16)
		})
	}
}
