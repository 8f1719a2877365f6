package run

import (
	"context"
	"fmt"

	"github.com/smalti/smalti/event"
	"github.com/smalti/smalti/paint"
	"github.com/smalti/smalti/pixel"
	"github.com/smalti/smalti/prior"
	"github.com/smalti/smalti/spec"
	"github.com/smalti/smalti/vqgan"
)

// DefaultBestOf is how many pictures are drawn for CLIP to choose one: the judge ranks those of 32 higher than those of 8 (docs/quality.md).
const DefaultBestOf = 32

// checkDraw refuses a start that a prior cannot draw, and pins the prior.
func (r *Runner) checkDraw(d *spec.Draw) error {
	from, err := r.Drawer(d.Prior, spec.ModelRef{})
	if err != nil {
		return err
	}
	d.Prior = from.Ref
	if _, _, err := from.input(d.Prompt, nil); err != nil {
		return err
	}
	if from.words != nil && d.Prompt == "" {
		return spec.Refuse("the prior has no words to draw by", "give a prompt in words that pulls from the first step on")
	}
	return nil
}

// drawStart draws the start from a prior. The first time, CLIP chooses among several and the job remembers which; a job that
// has a number draws that one alone, to the same codes.
func (s *session) drawStart(ctx context.Context) (paint.Start, error) {
	d := *s.job.Start.Draw // the caller's job keeps its own
	s.job.Start.Draw = &d
	from, err := s.Drawer(d.Prior, spec.ModelRef{})
	if err != nil {
		return paint.Start{}, err
	}
	d.Prior = from.Ref
	in, _, err := from.input(d.Prompt, nil)
	if err != nil {
		return paint.Start{}, err
	}
	first, n := 0, s.req.BestOf
	if n < 1 {
		n = DefaultBestOf
	}
	if d.Number != nil {
		first, n = *d.Number, 1
	}
	drawn, err := s.drawStarts(ctx, from, in, first, n)
	if err != nil {
		return paint.Start{}, err
	}
	best, score, err := s.chooseStart(ctx, from, drawn, d.Prompt)
	if err != nil {
		return paint.Start{}, err
	}
	if d.Number == nil {
		k := first + best
		d.Number = &k
		s.sink.Emit(event.Event{Kind: event.Notice, Scores: map[string]float64{"clip": score},
			Message: fmt.Sprintf("the start is picture %d of %d drawn from %s", k+1, n, from.Ref.Name)})
	}
	return s.startOf(from, drawn[best])
}

// drawStarts draws n pictures on the prior's own grid.
func (s *session) drawStarts(ctx context.Context, from *Drawer, in prior.Input, first, n int) ([]prior.Codes, error) {
	d := s.job.Start.Draw
	all := make([]prior.Input, n)
	for i := range all {
		all[i] = in
	}
	o := prior.Options{Choice: prior.Choice{Temperature: d.Temperature, TopK: d.TopK, TopP: d.TopP}, Seed: s.job.Seed, First: first, Guidance: d.Guidance}
	if from.words == nil {
		o.Guidance = 1
	}
	o.Progress = func(done, total int) {
		s.sink.Emit(event.Event{Kind: event.Step, Step: done, Steps: total, Message: "drawing the start"})
	}
	out, err := from.Prior.Sample(ctx, all, o)
	if err != nil {
		return nil, fmt.Errorf("run: draw the start: %w", err)
	}
	return out, nil
}

// chooseStart returns the picture that the job's first CLIP likes best.
func (s *session) chooseStart(ctx context.Context, from *Drawer, drawn []prior.Codes, prompt string) (best int, score float64, err error) {
	if len(drawn) == 1 || prompt == "" {
		return 0, 0, nil
	}
	judge := s.eyes[0].model
	words, err := judge.EncodeText(ctx, prompt)
	if err != nil {
		return 0, 0, err
	}
	for i, c := range drawn {
		if err := ctx.Err(); err != nil {
			return 0, 0, err
		}
		pic, err := from.picture(c)
		if err != nil {
			return 0, 0, err
		}
		seen, err := judge.EncodeImage(ctx, pic.ToImage())
		if err != nil {
			return 0, 0, err
		}
		if x := cosine(seen[0], words[0]); i == 0 || x > score {
			best, score = i, x
		}
	}
	return best, score, nil
}

func (d *Drawer) picture(c prior.Codes) (pixel.Image, error) {
	return d.VQGAN.Decode(vqgan.Codes{H: c.H, W: c.W, Idx: c.Idx})
}

// startOf brings drawn codes to the canvas: as they are when it is that of the prior, through the picture when it is larger
// or another VQGAN paints.
func (s *session) startOf(from *Drawer, c prior.Codes) (paint.Start, error) {
	f := from.VQGAN.Factor()
	if from.VQGANRef.SHA256 == s.job.VQGAN.SHA256 && c.W*f == s.width && c.H*f == s.height {
		return paint.Start{Kind: paint.StartGrid, Codes: c.Idx}, nil
	}
	pic, err := from.picture(c)
	if err != nil {
		return paint.Start{}, err
	}
	return paint.Start{Kind: paint.StartPicture, Picture: s.whole(pic)}, nil
}
