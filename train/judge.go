package train

import (
	"errors"
	"fmt"

	"github.com/smalti/smalti/clip"
	"github.com/smalti/smalti/engine"
)

// DefaultJudge is the training of the judge: a CLIP that measures pictures and guides none. Its tower, its text tower, its
// size and its seed are others than the painter's; data and loss are the same, because both must know the same things.
func DefaultJudge() ClipConfig {
	c := DefaultClip()
	c.Model = clip.JudgeV1(clip.Vocab{})
	t := &c.Train
	t.Seed = 20111
	t.Steps, t.MicroBatches, t.BatchSize = 4000, 2, 128
	t.LR, t.Schedule, t.Warmup = 1e-3, Cosine, 200
	c.AugmentSteps, c.AugmentTo = 1500, .75
	return c
}

// ErrJudge says that a model that only measures was about to guide, or one that guides about to measure.
var ErrJudge = errors.New("a judge must share nothing with what it judges")

// checkRole refuses a judge that is like the painter.
func (c ClipConfig) checkRole() error {
	if c.Model.Role != clip.Judge {
		return nil
	}
	painter := DefaultClip()
	switch {
	case c.Train.Seed == painter.Train.Seed:
		return fmt.Errorf("train: train.seed is %d, the painter's: %w", c.Train.Seed, ErrJudge)
	case c.Model.Vision.Kind == painter.Model.Vision.Kind:
		return fmt.Errorf("train: model.vision.kind is %q, the painter's: %w", c.Model.Vision.Kind, ErrJudge)
	}
	return nil
}

// checkAncestor refuses weights to start from that would make a judge of a painter or a painter of a judge.
func (c ClipConfig) checkAncestor(from clip.Config) error {
	if c.Model.Role == clip.Judge || from.Role == clip.Judge {
		return fmt.Errorf("train: start from: %w: not even an ancestor", ErrJudge)
	}
	return nil
}

// checkPainter refuses a judge with the tower of the model that paints by default, whatever that is by now.
func (c ClipConfig) checkPainter(o Options) error {
	if c.Model.Role != clip.Judge || o.Lend == nil {
		return nil
	}
	f, _, err := o.Lend("clip", BuiltinClip)
	if err != nil {
		return fmt.Errorf("train: look at the painter: %w", err)
	}
	defer f.Close()
	e, err := engine.New(engine.Options{Threads: 1}) // looks at names and shapes only
	if err != nil {
		return err
	}
	defer e.Close()
	painter, err := clip.Check(e, f, nil)
	switch {
	case err != nil:
		return fmt.Errorf("train: look at the painter: %w", err)
	case painter.Vision.Kind == c.Model.Vision.Kind:
		return fmt.Errorf("train: model.vision.kind is %q, that of %s: %w", c.Model.Vision.Kind, BuiltinClip, ErrJudge)
	}
	return nil
}
