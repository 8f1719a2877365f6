package bench

import (
	"context"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/smalti/smalti/engine"
	"github.com/smalti/smalti/event"
	"github.com/smalti/smalti/rng"
	"github.com/smalti/smalti/train"
)

// Game is a training of a GAN to measure: DCGAN's networks with 64 channels at the finest level for 64 x 64 pixels, 100
// numbers of noise, one turn of the critic or discriminator and one of the generator a step.
type Game struct {
	Kind  string // train.WGANGP or train.BasicGAN
	Batch int    // pictures of a step
	Iters int
	Small bool // narrow networks: to see that it runs
}

// Step is what one step took, in seconds. The first compiles.
type Step struct {
	Iter      int     `json:"iter"`
	Total     float64 `json:"total"`
	Critic    float64 `json:"critic"` // from the start of its first gradient to the generator's: update included
	Generator float64 `json:"generator"`
	RSS       int     `json:"rss_mb"` // most so far
}

// GAN trains as `smalti train` does: the batch is split over one worker for each thread, and their gradients are summed.
// Batch norms then see a part of the batch each, which a reference on the whole batch does not; the work is the same.
func GAN(ctx context.Context, o Options, g Game, report func(Step) error) error {
	if o.Threads < 1 {
		o.Threads = 1
	}
	if g.Batch < o.Threads || g.Batch%o.Threads != 0 || g.Iters < 1 {
		return fmt.Errorf("bench: %d steps of %d pictures on %d threads", g.Iters, g.Batch, o.Threads)
	}
	c := ganConfig(g, o.Threads)
	game, err := train.GANGame(c, func(at train.Turn) ([]train.Array, error) { return ganBatch(c, at), nil })
	if err != nil {
		return fmt.Errorf("bench: %w", err)
	}
	dir, err := os.MkdirTemp("", "smalti-bench-*")
	if err != nil {
		return fmt.Errorf("bench: %w", err)
	}
	defer os.RemoveAll(dir)
	r := engine.Record(engine.RecordOptions{Now: o.Now})
	defer r.Stop()
	s := &steps{recorder: r, report: report, game: c.Game}
	loop := train.GameLoop{Config: c.Train, Game: unjudged{game}, Sink: s, Dir: dir}
	if _, err := loop.Run(ctx); err != nil {
		return fmt.Errorf("bench: %w", err)
	}
	return s.err
}

func ganConfig(g Game, threads int) train.GANConfig {
	c := train.DefaultWGANGP()
	c.Game = g.Kind
	width := 64
	if g.Small {
		width = 4
	}
	c.Model.Latent, c.Model.Generator.Width, c.Model.Discriminator.Width = 100, width, width
	if g.Kind == train.BasicGAN {
		c.Model.Discriminator.Norm, c.Model.Discriminator.Bias = "batch", false
	}
	c.Turns = 1
	t := &c.Train
	t.Steps = g.Iters + 1 // the last one's end is not seen
	t.MicroBatches, t.BatchSize, t.Workers = threads, g.Batch/threads, threads
	t.ScalarsEvery, t.EvalEvery, t.SaveEvery = 1, 0, 0
	return c
}

func ganBatch(c train.GANConfig, at train.Turn) []train.Array {
	n, k, side := c.Train.BatchSize, c.Model.Latent, c.Model.Size
	s := rng.New(1, "bench", uint64(at.Phase), uint64(at.Micro))
	z, labels := make([]float32, n*k), make([]int32, n)
	s.FillNormal(z)
	if at.Phase == 1 {
		return []train.Array{train.Floats(z, n, k), train.Ints(labels, n)}
	}
	x, eps := make([]float32, n*side*side*3), make([]float32, n)
	s.FillUniform(x, -1, 1)
	s.FillUniform(eps, 0, 1)
	in := []train.Array{train.Floats(x, n, side, side, 3), train.Ints(labels, n), train.Floats(z, n, k)}
	if c.Game == train.WGANGP {
		in = append(in, train.Floats(eps, n))
	}
	return in
}

// unjudged is a game without evaluations, which are not what is measured.
type unjudged struct{ train.Game }

func (unjudged) Evaluate(context.Context, *engine.Engine, train.Values) (train.Evaluation, error) {
	return train.Evaluation{}, nil
}

// steps is the sink that turns the spans of each step into a report.
type steps struct {
	recorder  *engine.Recorder
	report    func(Step) error
	game      string
	err       error
	iter      int
	critic    time.Time // start of the turns of the step at hand
	generator time.Time
}

// Emit looks at the spans when a step has ended: the next step has not begun then, so that a step is known when the
// first spans of the one after it are seen.
func (s *steps) Emit(e event.Event) {
	if e.Kind != event.Scalars || s.err != nil {
		return
	}
	var critic, generator time.Time
	for _, p := range s.recorder.Take() {
		first := &critic
		if strings.HasSuffix(p.Program, "/generator") {
			first = &generator
		}
		if strings.HasPrefix(p.Program, "train/"+s.game+"/") && (first.IsZero() || p.Start.Before(*first)) {
			*first = p.Start
		}
	}
	if critic.IsZero() || generator.IsZero() {
		return // the evaluation at the end
	}
	if !s.critic.IsZero() {
		step := Step{Iter: s.iter, Total: critic.Sub(s.critic).Seconds(), Critic: s.generator.Sub(s.critic).Seconds(),
			Generator: critic.Sub(s.generator).Seconds(), RSS: PeakRSS()}
		s.iter++
		s.err = s.report(step)
	}
	s.critic, s.generator = critic, generator
}
