package train

import (
	"context"
	"fmt"
	"slices"

	"github.com/smalti/smalti/engine"
	"github.com/smalti/smalti/event"
	"github.com/smalti/smalti/vqgan"
	"github.com/smalti/smalti/weights"
)

// VQGANConfig is a whole training of a VQGAN. What is zero does not take part.
type VQGANConfig struct {
	Train Config       `json:"train"`
	Data  string       `json:"data"` // folder of a data pack or of pictures, an archive, or ShapesData
	Model vqgan.Config `json:"model"`

	Crop     int   `json:"crop"`     // side of the pictures trained on, a multiple of f
	Canvases []int `json:"canvases"` // sides at which scenes are composed before they are cropped, >= Crop; one that is named twice is twice as frequent

	L1         float64          `json:"l1"`      // weight of the mean absolute difference, pictures in [-1,1]
	MSE        float64          `json:"mse"`     // weight of the mean square difference
	Pyramid    float64          `json:"pyramid"` // weight of the Laplacian pyramid's absolute differences
	Levels     int              `json:"levels"`  // of that pyramid
	Perceptual PerceptualConfig `json:"perceptual"`
	Adversary  AdversaryConfig  `json:"adversary"`

	QuantiseFrom int `json:"quantise_from"` // steps without a codebook, which is then begun with what the encoder has learnt

	Codes    float64 `json:"codes"`    // weight of the codebook's loss
	Commit   float64 `json:"commit"`   // weight of commitment inside the codebook's loss (beta)
	Legacy   bool    `json:"legacy"`   // beta on the codebook's side instead, as in taming's old models
	Codebook string  `json:"codebook"` // GradientCodebook or EMACodebook
	Decay    float64 `json:"decay"`    // of an EMACodebook's means, [0,1)
	Freeze   string  `json:"freeze"`   // FreezeEncoder or empty

	ReviveEvery int     `json:"revive_every"` // steps between revivals of dead codes; 0 never
	ReviveUntil int     `json:"revive_until"` // last step of revival
	ReviveBelow float64 `json:"revive_below"` // a code used less than this share of the mean is dead

	EvalPictures int `json:"eval_pictures"` // most pictures of an evaluation
}

// How the codebook learns, and what may stand still.
const (
	GradientCodebook = "gradient" // by the codebook's loss, like every other weight
	EMACodebook      = "ema"      // as moving means of the vectors that chose each code (van den Oord et al. 2017, appendix A.1)
	FreezeEncoder    = "encoder"  // encoder and codebook stay: only the decoder learns, and a prior over the codes stays valid
)

// AdversaryConfig is the discriminator of a VQGAN's training.
type AdversaryConfig struct {
	Weight float64    `json:"weight"` // of the generator's loss, beside the adaptive weight; 0 trains without a discriminator
	Game   vqgan.Game `json:"game"`   // vqgan.Hinge or vqgan.Vanilla
	Width  int        `json:"width"`  // channels of the first convolution
	Layers int        `json:"layers"` // convolutions that halve: a patch is 16, 34 or 70 pixels wide for 1, 2 or 3
	From   int        `json:"from"`   // first step in which it learns, counted from 0
	Start  int        `json:"start"`  // first step in which it counts for the autoencoder, >= From
	Ramp   int        `json:"ramp"`   // steps from there over which its weight rises
	Limit  float64    `json:"limit"`  // largest adaptive weight
	LR     float64    `json:"lr"`     // largest learning rate; 0 is the autoencoder's
	Beta1  float64    `json:"beta1"`
	Beta2  float64    `json:"beta2"`
}

// DefaultVQGAN is the training of the built-in model.
func DefaultVQGAN() VQGANConfig {
	c := VQGANConfig{Train: DefaultConfig(), Model: vqgan.BuiltinV1(), Crop: 64, Canvases: []int{64, 64, 64, 96, 128},
		L1: 1, MSE: .3, Pyramid: .5, Levels: 3, Perceptual: PerceptualConfig{Model: BuiltinClip, Weight: .1},
		Adversary: AdversaryConfig{Weight: .1, Game: vqgan.Hinge, Width: 24, Layers: 2, From: 2900, Start: 3150, Ramp: 200, Limit: 100,
			LR: 2e-4, Beta1: .5, Beta2: .9},
		QuantiseFrom: 200, Codes: .25, Commit: .25, Codebook: GradientCodebook, Decay: .99, ReviveEvery: 50, ReviveBelow: .01, EvalPictures: 200}
	t := &c.Train
	t.Steps, t.MicroBatches, t.BatchSize = 4200, 2, 16
	t.LR, t.Schedule, t.Warmup, t.Beta2, t.FinalLR = 1.2e-3, Cosine, 100, .95, .02
	c.ReviveUntil = 2700
	return c
}

// Settings are those of the loop, for a caller that sets its clock, budget and workers.
func (c *VQGANConfig) Settings() *Config { return &c.Train }

// Validate reports the first setting that is out of its range.
func (c VQGANConfig) Validate() error {
	if err := c.Train.Validate(); err != nil {
		return err
	}
	if err := c.Model.Validate(); err != nil {
		return fmt.Errorf("train: %w", err)
	}
	if c.Model.Quantiser != vqgan.Nearest {
		return fmt.Errorf("train: the quantiser %q is not trained here, only %q", c.Model.Quantiser, vqgan.Nearest)
	}
	if c.Crop < 1 || c.Crop > 1024 || c.Crop%c.Model.Factor() != 0 {
		return fmt.Errorf("train: crop is out of range: %d is not a multiple of %d up to 1024", c.Crop, c.Model.Factor())
	}
	if len(c.Canvases) == 0 {
		return fmt.Errorf("train: canvases is out of range: none given")
	}
	for _, s := range c.Canvases {
		if s < c.Crop || s > 4096 {
			return fmt.Errorf("train: canvases is out of range: %d of %d..4096", s, c.Crop)
		}
	}
	if c.Levels < 0 || c.Levels > 10 || c.Crop%(1<<c.Levels) != 0 {
		return fmt.Errorf("train: levels is out of range: a crop of %d does not halve %d times", c.Crop, c.Levels)
	}
	for _, w := range []struct {
		name string
		v    float64
	}{{"l1", c.L1}, {"mse", c.MSE}, {"pyramid", c.Pyramid}, {"perceptual.weight", c.Perceptual.Weight}, {"codes", c.Codes}, {"commit", c.Commit},
		{"revive_below", c.ReviveBelow}} {
		if !(w.v >= 0) {
			return fmt.Errorf("train: %s is out of range: %g", w.name, w.v)
		}
	}
	switch {
	case c.Codebook != "" && c.Codebook != GradientCodebook && c.Codebook != EMACodebook:
		return fmt.Errorf("train: unknown codebook %q (there are %q and %q)", c.Codebook, GradientCodebook, EMACodebook)
	case c.Codebook == EMACodebook && !(c.Decay >= 0 && c.Decay < 1):
		return fmt.Errorf("train: decay is out of range: %g", c.Decay)
	case c.QuantiseFrom < 0 || c.Adversary.Weight > 0 && c.QuantiseFrom > c.Adversary.From:
		return fmt.Errorf("train: quantise_from is out of range: %d, with a discriminator that learns from step %d", c.QuantiseFrom, c.Adversary.From)
	case c.Freeze != "" && c.Freeze != FreezeEncoder:
		return fmt.Errorf("train: cannot freeze %q, only %q", c.Freeze, FreezeEncoder)
	}
	return c.Adversary.validate()
}

func (a AdversaryConfig) validate() error {
	if a.Weight == 0 {
		return nil
	}
	if err := a.discriminator().Validate(); err != nil {
		return fmt.Errorf("train: %w", err)
	}
	switch {
	case !(a.Weight > 0):
		return fmt.Errorf("train: adversary.weight is out of range: %g", a.Weight)
	case a.Game != vqgan.Hinge && a.Game != vqgan.Vanilla:
		return fmt.Errorf("train: unknown game %q (there are %q and %q)", a.Game, vqgan.Hinge, vqgan.Vanilla)
	case a.From < 0 || a.Start < a.From || a.Ramp < 0:
		return fmt.Errorf("train: a discriminator that learns from step %d and counts from %d over %d steps is out of range", a.From, a.Start, a.Ramp)
	case !(a.Limit > 0):
		return fmt.Errorf("train: adversary.limit is out of range: %g", a.Limit)
	case !(a.LR >= 0 && a.LR <= 100):
		return fmt.Errorf("train: adversary.lr is out of range: %g", a.LR)
	}
	return nil
}

func (a AdversaryConfig) discriminator() vqgan.Discriminator {
	return vqgan.Discriminator{Channels: 3, Width: a.Width, Layers: a.Layers}
}

// RunVQGAN trains a VQGAN, or goes on training it, and leaves model.safetensors in the run's folder: at each checkpoint
// the moving average so far, in the end the finished model. See Loop.Run for how a run ends.
func RunVQGAN(ctx context.Context, cfg VQGANConfig, sink event.Sink, o Options) (Result, error) {
	warm, err := cfg.start(o)
	if err != nil {
		return Result{}, err
	}
	if err := cfg.Validate(); err != nil {
		return Result{}, err
	}
	data, err := openScenes(cfg.Data, slices.Max(cfg.Canvases))
	if err != nil {
		return Result{}, err
	}
	data.tell(sink)
	look, err := openPerceptual(&cfg.Perceptual, o.Lend)
	if err != nil {
		return Result{}, err
	}
	if err := openRun(o, cfg); err != nil {
		return Result{}, err
	}
	r := newVQGANRecipe(cfg, data, look)
	if cfg.Freeze == FreezeEncoder && warm == nil && !o.Resume {
		return Result{}, fmt.Errorf("train: freezing the encoder needs a model to start from")
	}
	l := Loop{Config: cfg.Train, Recipe: r, Sink: sink, Dir: o.Dir, Resume: o.Resume, Warm: warm, Export: r.export(o.Dir)}
	return l.Run(ctx)
}

// start reads the model to start from, if one is given.
func (c *VQGANConfig) start(o Options) (Values, error) {
	if o.InitFrom == "" || o.Resume {
		return nil, nil
	}
	f, err := weights.Open(o.InitFrom)
	if err != nil {
		return nil, fmt.Errorf("train: start from: %w", err)
	}
	defer f.Close()
	e, err := engine.New(engine.Options{Threads: 1})
	if err != nil {
		return nil, err
	}
	model, ts, err := vqgan.Read(e, f, nil)
	if err != nil {
		return nil, fmt.Errorf("train: start from: %w", err)
	}
	c.Model = model
	return floatsOf(ts), nil
}
