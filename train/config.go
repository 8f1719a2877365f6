package train

import (
	"fmt"
	"math"
	"runtime"
	"time"

	"github.com/smalti/smalti/engine"
)

// Schedules of the learning rate after the warm-up.
const (
	Cosine   = "cosine"   // half a cosine from LR down to LR*FinalLR at the last step
	Linear   = "linear"   // a line from LR down to LR*FinalLR at the last step
	Constant = "constant" // LR
)

// Config is how a model is trained, whatever the model. Everything that JSON holds is written into train.json of the
// run and decides its numbers; the rest does not.
type Config struct {
	Seed         uint64  `json:"seed"`
	Steps        int     `json:"steps"`         // length of the run and of the schedule, > 0
	MicroBatches int     `json:"micro_batches"` // micro-batches of a step, 1..64
	BatchSize    int     `json:"batch_size"`    // examples of a micro-batch, 1..4096
	LR           float64 `json:"lr"`            // largest learning rate
	FinalLR      float64 `json:"final_lr"`      // last learning rate, as a fraction of LR
	Schedule     string  `json:"schedule"`      // Cosine, Linear or Constant
	Warmup       int     `json:"warmup"`        // steps in which the learning rate rises from 0
	Beta1        float64 `json:"beta1"`         // decay of Adam's first moment, [0,1)
	Beta2        float64 `json:"beta2"`         // decay of Adam's second moment, [0,1)
	Epsilon      float64 `json:"epsilon"`       // added to the root of Adam's second moment
	WeightDecay  float64 `json:"weight_decay"`  // decoupled: weights shrink by lr*WeightDecay a step
	ClipNorm     float64 `json:"clip_norm"`     // largest norm of the whole gradient; 0 does not clip
	EMA          float64 `json:"ema"`           // decay of the moving average of the weights, [0,1)
	ScalarsEvery int     `json:"scalars_every"` // steps between reports of losses
	EvalEvery    int     `json:"eval_every"`    // steps between evaluations; 0 evaluates at the end only
	SaveEvery    int     `json:"save_every"`    // steps between checkpoints; 0 saves at the end only
	// Precision of products in the gradient's graph: engine.F32 or engine.Mixed; empty means F32. Weights, moments and sums are
	// float32 in both.
	Precision string `json:"precision"`

	Workers int              `json:"-"` // engines that compute micro-batches at once; 0 means one for each processor
	For     time.Duration    `json:"-"` // stop and save after this long; 0 means never
	Now     func() time.Time `json:"-"` // the clock, for For and for images/s; nil means no clock
}

// DefaultConfig is a start for small models.
func DefaultConfig() Config {
	return Config{Seed: 1, Steps: 1000, MicroBatches: 2, BatchSize: 64, LR: 1e-3, Schedule: Cosine, Warmup: 100,
		Beta1: .9, Beta2: .98, Epsilon: 1e-8, WeightDecay: .05, ClipNorm: 1, EMA: .998,
		ScalarsEvery: 10, EvalEvery: 250, SaveEvery: 250, Precision: engine.F32}
}

// Validate reports the first setting that is out of its range.
func (c Config) Validate() error {
	in := func(x, lo, hi float64) bool { return x >= lo && x <= hi } // false for NaN
	unit := math.Nextafter(1, 0)
	checks := []struct {
		ok   bool
		name string
		got  any
	}{
		{c.Steps > 0, "steps", c.Steps},
		{c.MicroBatches >= 1 && c.MicroBatches <= 64, "micro_batches", c.MicroBatches},
		{c.BatchSize >= 1 && c.BatchSize <= 4096, "batch_size", c.BatchSize},
		{in(c.LR, 0, 100), "lr", c.LR},
		{in(c.FinalLR, 0, 1), "final_lr", c.FinalLR},
		{c.Schedule == Cosine || c.Schedule == Linear || c.Schedule == Constant, "schedule", c.Schedule},
		{c.Warmup >= 0, "warmup", c.Warmup},
		{in(c.Beta1, 0, unit), "beta1", c.Beta1},
		{in(c.Beta2, 0, unit), "beta2", c.Beta2},
		{in(c.Epsilon, 0, 1), "epsilon", c.Epsilon},
		{in(c.WeightDecay, 0, 10), "weight_decay", c.WeightDecay},
		{in(c.ClipNorm, 0, math.MaxFloat64), "clip_norm", c.ClipNorm},
		{in(c.EMA, 0, unit), "ema", c.EMA},
		{c.ScalarsEvery >= 1, "scalars_every", c.ScalarsEvery},
		{c.EvalEvery >= 0, "eval_every", c.EvalEvery},
		{c.SaveEvery >= 0, "save_every", c.SaveEvery},
		{c.Precision == "" || c.Precision == engine.F32 || c.Precision == engine.Mixed, "precision", c.Precision},
		{c.Workers >= 0, "workers", c.Workers},
	}
	for _, k := range checks {
		if !k.ok {
			return fmt.Errorf("train: %s is out of range: %v", k.name, k.got)
		}
	}
	return nil
}

func (c Config) workers() int {
	n := c.Workers
	if n == 0 {
		n = runtime.GOMAXPROCS(0)
	}
	return min(n, c.MicroBatches)
}

// Rate is the learning rate of a step, counted from 0, in absolute steps of the whole run.
func (c Config) Rate(step int) float64 {
	if step < c.Warmup {
		return c.LR * float64(step+1) / float64(c.Warmup)
	}
	if c.Schedule == Constant || c.Steps <= c.Warmup {
		return c.LR
	}
	t := min(1, float64(step-c.Warmup)/float64(c.Steps-c.Warmup))
	down := 1 - t
	if c.Schedule == Cosine {
		down = (1 + math.Cos(math.Pi*t)) / 2
	}
	return c.LR * (c.FinalLR + (1-c.FinalLR)*down)
}

// averaging is the decay of the moving average at a step: small at first, so that the start is forgotten.
func (c Config) averaging(step int) float64 {
	return min(c.EMA, float64(1+step)/float64(10+step))
}
