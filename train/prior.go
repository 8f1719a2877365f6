package train

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"sync"

	"github.com/gomlx/gomlx/core/graph"

	"github.com/smalti/smalti/clip"
	"github.com/smalti/smalti/engine"
	"github.com/smalti/smalti/event"
	"github.com/smalti/smalti/gx"
	"github.com/smalti/smalti/prior"
	"github.com/smalti/smalti/rng"
	"github.com/smalti/smalti/weights"
)

// ModelPin names a model that a training uses and does not change.
type ModelPin struct {
	Name   string `json:"name"`   // in the store, or a weight file
	SHA256 string `json:"sha256"` // of its weight file; found out when a run begins, and held to when it goes on
}

// PriorConfig is a whole training of a prior: a GPT that reads a caption and then the codes of a picture, and predicts each
// code from what is before it.
type PriorConfig struct {
	Train Config       `json:"train"`
	Data  string       `json:"data"`  // folder of a data pack, or ShapesData
	VQGAN ModelPin     `json:"vqgan"` // whose codes are learnt
	Model prior.Config `json:"model"` // sizes; RunPrior fills in what data and VQGAN decide

	Size       int      `json:"size"`       // side of the pictures in pixels, a multiple of f; 0 takes the VQGAN's
	Vocabulary int      `json:"vocabulary"` // largest number of tokens of the trimmed vocabulary
	Captions   int      `json:"captions"`   // captions sampled to choose it
	Drop       float64  `json:"drop"`       // share of captions taken away, which guidance needs, [0,1)
	Styles     []string `json:"styles"`     // drawings of a pack to learn, by style; none means all
	Calm       bool     `json:"calm"`       // composed scenes have things in the middle, at one size, on pure grounds
	Keep       float64  `json:"keep"`       // share of codes read as they are, the others replaced, (0,1]
	Repeat     int      `json:"repeat"`     // steps after which the same scenes come again, their codes remembered; 0 never

	EvalPictures int      `json:"eval_pictures"` // pictures of each set of an evaluation
	Prompts      []string `json:"prompts"`       // of the sheet of samples
	Samples      int      `json:"samples"`       // pictures of each prompt
	Guidance     float64  `json:"guidance"`      // of the samples
}

// DefaultPrior is the training of the built-in model.
func DefaultPrior() PriorConfig {
	text := prior.TextEncoder{Length: 16, Width: 128}
	c := PriorConfig{Train: DefaultConfig(), VQGAN: ModelPin{Name: "builtin/vqgan"}, Styles: []string{},
		Model:      prior.Config{Layers: 4, Heads: 8, Width: 256, Condition: prior.Text, Text: &text},
		Vocabulary: 4096, Captions: 20000, Drop: .1, Calm: true, Keep: 1, Repeat: 2400, EvalPictures: 160, Samples: 2, Guidance: 2,
		Prompts: []string{"a red apple", "a yellow banana on a blue background", "a house", "a fire engine", "a penguin on a white background",
			"a green frog", "a pizza", "two turtles on a red background", "a star to the left of a heart", "a blue car above a tree",
			"a pink tulip", "a red circle on a black background"}}
	t := &c.Train
	t.Steps, t.MicroBatches, t.BatchSize = 9400, 2, 32
	t.LR, t.FinalLR, t.Warmup, t.Beta2, t.WeightDecay, t.EMA = 1e-3, .02, 200, .95, .1, .999
	t.EvalEvery = 500
	return c
}

// Settings are those of the loop, for a caller that sets its clock, budget and workers.
func (c *PriorConfig) Settings() *Config { return &c.Train }

// Validate reports the first setting that is out of its range. The model is checked when data and VQGAN are known.
func (c PriorConfig) Validate() error {
	if err := c.Train.Validate(); err != nil {
		return err
	}
	switch {
	case c.VQGAN.Name == "":
		return errors.New("train: vqgan.name is out of range: no VQGAN given")
	case c.Model.Condition != prior.Text || c.Model.Text == nil:
		return fmt.Errorf("train: model.condition is out of range: %q; captions are trained, %q", c.Model.Condition, prior.Text)
	case c.Model.Text.Length < 1 || c.Model.Text.Length > 256 || c.Model.Text.Width < 1:
		return fmt.Errorf("train: model.text is out of range: %d tokens, width %d", c.Model.Text.Length, c.Model.Text.Width)
	case c.Model.Layers < 1 || c.Model.Heads < 1 || c.Model.Width < 1 || c.Model.Width%c.Model.Heads != 0:
		return fmt.Errorf("train: model is out of range: %d layers, %d heads, width %d", c.Model.Layers, c.Model.Heads, c.Model.Width)
	case c.Size < 0 || c.Size > 1024:
		return fmt.Errorf("train: size is out of range: %d", c.Size)
	case !(c.Drop >= 0 && c.Drop < 1):
		return fmt.Errorf("train: drop is out of range: %g", c.Drop)
	case !(c.Keep > 0 && c.Keep <= 1):
		return fmt.Errorf("train: keep is out of range: %g", c.Keep)
	case c.Repeat < 0 || c.Repeat > 1<<16:
		return fmt.Errorf("train: repeat is out of range: %d", c.Repeat)
	case c.EvalPictures < 1 || c.EvalPictures > 1<<14:
		return fmt.Errorf("train: eval_pictures is out of range: %d", c.EvalPictures)
	case c.Samples < 0 || c.Samples > 64:
		return fmt.Errorf("train: samples is out of range: %d", c.Samples)
	case !(c.Guidance >= 0 && c.Guidance <= 100):
		return fmt.Errorf("train: guidance is out of range: %g", c.Guidance)
	}
	return nil
}

// ErrCodebook says that a prior and a VQGAN do not belong together.
var ErrCodebook = errors.New("the prior was trained on the codes of another VQGAN")

// RunPrior trains a prior, or goes on training it, and leaves model.safetensors in the run's folder: at each checkpoint the
// moving average so far, in the end the finished model. See Loop.Run for how a run ends.
func RunPrior(ctx context.Context, cfg PriorConfig, sink event.Sink, o Options) (Result, error) {
	if err := cfg.Validate(); err != nil {
		return Result{}, err
	}
	const ownSide = 128 // of own pictures as they are kept, where the VQGAN decides on the size
	data, err := openScenes(cfg.Data, cmp.Or(cfg.Size, ownSide))
	if err != nil {
		return Result{}, err
	}
	data.tell(sink)
	if err := data.only(cfg.Styles); err != nil {
		return Result{}, err
	}
	if cfg.Calm {
		data.calm()
	}
	coder, err := openCoder(&cfg.VQGAN, o, 1)
	if err != nil {
		return Result{}, err
	}
	defer coder.close()
	warm, err := cfg.start(data, coder, o)
	if err != nil {
		return Result{}, err
	}
	if err := openRun(o, cfg); err != nil {
		return Result{}, err
	}
	r, err := newPriorRecipe(cfg, data, coder)
	if err != nil {
		return Result{}, err
	}
	l := Loop{Config: cfg.Train, Recipe: r, Sink: sink, Dir: o.Dir, Resume: o.Resume, Warm: warm, Export: r.export(o.Dir)}
	return l.Run(ctx)
}

// start reads the model to start from, or fits one to the data and the VQGAN.
func (c *PriorConfig) start(data *scenes, coder *coder, o Options) (Values, error) {
	name := c.VQGAN.Name
	if filepath.IsAbs(name) { // a file's folder is nobody else's business
		name = filepath.Base(name)
	}
	book := prior.Codebook{Name: name, SHA256: c.VQGAN.SHA256, Factor: coder.model.Factor()}
	var warm Values
	switch {
	case o.Resume:
	case o.InitFrom != "":
		var err error
		if warm, err = c.initFrom(o.InitFrom, book); err != nil {
			return nil, err
		}
	default:
		if err := c.fit(data, coder, book); err != nil {
			return nil, err
		}
	}
	if gh, gw := c.Model.Grid(); c.Size != gw*book.Factor || gh != gw {
		return nil, fmt.Errorf("train: size is out of range: %d pixels for a grid of %dx%d codes of %d", c.Size, gw, gh, book.Factor)
	}
	return warm, c.Model.Validate()
}

// fit fills in what data and VQGAN decide.
func (c *PriorConfig) fit(data *scenes, coder *coder, book prior.Codebook) error {
	f := book.Factor
	if c.Size == 0 {
		c.Size = trainedSize(coder.model)
	}
	if c.Size%f != 0 {
		return fmt.Errorf("train: size is out of range: %d is not a multiple of %d, the side of a code of %s", c.Size, f, book.Name)
	}
	v := clip.TrimVocab(captionsOf(data, c.Train.Seed, c.Captions), c.Vocabulary)
	text := prior.TextEncoder{Vocab: v.Size(), Length: c.Model.Text.Length, Width: c.Model.Text.Width, Tokens: v.Pack()}
	c.Model = prior.ForCaptions(coder.model.NumCodes(), c.Size/f, text, c.Model.Layers, c.Model.Heads, c.Model.Width)
	c.Model.Codebook = &book
	return nil
}

// initFrom takes architecture, vocabulary and weights of a model that was trained on the same VQGAN's codes.
func (c *PriorConfig) initFrom(path string, book prior.Codebook) (Values, error) {
	f, err := weights.Open(path)
	if err != nil {
		return nil, fmt.Errorf("train: start from: %w", err)
	}
	defer f.Close()
	e, err := engine.New(engine.Options{Threads: 1})
	if err != nil {
		return nil, err
	}
	defer e.Close()
	model, ts, err := prior.Read(e, f, nil)
	if err != nil {
		return nil, fmt.Errorf("train: start from: %w", err)
	}
	switch b := model.Codebook; {
	case model.Condition != prior.Text || b == nil:
		return nil, fmt.Errorf("train: start from: %s is no prior for captions that names its VQGAN", path)
	case b.SHA256 != book.SHA256:
		return nil, fmt.Errorf("train: start from: %w: %s with sha256 %.16s, not %s with %.16s", ErrCodebook, b.Name, b.SHA256, book.Name, book.SHA256)
	}
	_, gw := model.Grid()
	c.Model, c.Size = model, gw*book.Factor
	return floatsOf(ts), nil
}

// priorRecipe is the Recipe of a prior.
type priorRecipe struct {
	cfg    PriorConfig
	data   *scenes
	coder  *coder
	tokens *clip.Tokenizer
	judge  priorJudge

	mu    sync.Mutex
	known map[uint64]coded // scenes that come again, by the key of their micro-batch
}

// coded are the captions [n,p] and the codes [n,s] of a micro-batch of scenes; shared, not to be written.
type coded struct{ captions, codes []int32 }

func newPriorRecipe(cfg PriorConfig, data *scenes, coder *coder) (*priorRecipe, error) {
	v, err := clip.UnpackVocab(cfg.Model.Text.Tokens)
	if err != nil {
		return nil, fmt.Errorf("train: %w", err)
	}
	r := &priorRecipe{cfg: cfg, data: data, coder: coder, tokens: clip.NewTokenizer(v), known: map[uint64]coded{}}
	r.judge, err = newPriorJudge(r)
	return r, err
}

func (r *priorRecipe) Name() string { return "prior" }

func (r *priorRecipe) Metrics() []string { return []string{"right"} }

// Loss has the inputs captions [n,p], the codes as they are read [n,s] and as they are [n,s].
func (r *priorRecipe) Loss(v *gx.Vars, in []*graph.Node) Output {
	loss, right := r.cfg.Model.LossGraph(v, in[0], in[1], in[2])
	return Output{Loss: loss, Metrics: []*graph.Node{right}}
}

// Decays picks the matrices of linear layers, as minGPT does: tables, positions, norms and biases do not decay.
func (r *priorRecipe) Decays(d gx.Decl) bool { return prior.Decays(d) }

// Batch draws scenes and drops some of their captions; what is dropped and replaced differs when the scenes come again.
func (r *priorRecipe) Batch(step, micro int) ([]Array, error) {
	c, n := r.cfg, r.cfg.Train.BatchSize
	key := c.Train.batchKey(step, micro)
	b, err := r.scenes(step, micro)
	if err != nil {
		return nil, err
	}
	captions, seen := slices.Clone(b.captions), b.codes
	c.Model.DropCaptions(captions, c.Drop, rng.New(c.Train.Seed, "prior/drop", key))
	if c.Keep < 1 {
		seen = c.Model.Corrupt(b.codes, c.Keep, rng.New(c.Train.Seed, "prior/corrupt", key))
	}
	p, s := c.Model.Prefix(), len(b.codes)/n
	return []Array{Ints(captions, n, p), Ints(seen, n, s), Ints(b.codes, n, s)}, nil
}

// scenes composes and encodes the scenes of a micro-batch, or remembers them.
func (r *priorRecipe) scenes(step, micro int) (coded, error) {
	c, n := r.cfg, r.cfg.Train.BatchSize
	if c.Repeat > 0 {
		step %= c.Repeat
	}
	key := c.Train.batchKey(step, micro)
	r.mu.Lock()
	b, ok := r.known[key]
	r.mu.Unlock()
	if ok {
		return b, nil
	}
	drawn := r.data.train.Batch(c.Train.Seed, key, n, c.Size)
	var err error
	if b.codes, err = r.coder.encode(drawn.Pix, n, c.Size); err != nil {
		return b, err
	}
	if b.captions, err = r.conditions(drawn.Captions); err != nil {
		return b, err
	}
	if c.Repeat > 0 {
		r.mu.Lock()
		r.known[key] = b
		r.mu.Unlock()
	}
	return b, nil
}

// conditions are the tokens of captions, [len(captions),p].
func (r *priorRecipe) conditions(captions []string) ([]int32, error) {
	return r.cfg.Model.Conditions(r.inputs(captions)...)
}

func (r *priorRecipe) inputs(captions []string) []prior.Input {
	in := make([]prior.Input, len(captions))
	for i, c := range captions {
		in[i].Tokens, _ = r.tokens.Caption(c, r.cfg.Model.Text.Length)
	}
	return in
}

// export returns the function that writes the model file.
func (r *priorRecipe) export(dir string) func(decls []gx.Decl, ema Values) error {
	return func(decls []gx.Decl, ema Values) error {
		up, err := engine.Upload(decls, ema)
		if err != nil {
			return err
		}
		return weights.SaveFile(filepath.Join(dir, ModelFile), func(w io.Writer) error {
			return prior.SaveAs(w, r.cfg.Model, up, weights.F16)
		})
	}
}
