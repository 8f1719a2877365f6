package run

import (
	"context"
	"fmt"
	"math"
	"slices"

	"github.com/smalti/smalti/event"
	"github.com/smalti/smalti/paint"
	"github.com/smalti/smalti/pixel"
	"github.com/smalti/smalti/spec"
)

// embedAll makes the targets of every prompt that the job or one of its edits has: targets[encoder][prompt], in the
// order of s.prompts.
func (s *session) embedAll(ctx context.Context) error {
	s.prompts = slices.Clone(s.job.Prompts)
	for _, e := range s.job.Edits {
		now, err := s.job.At(e.Step)
		if err != nil {
			return err
		}
		for _, p := range now.Prompts {
			if s.promptIndex(p) < 0 {
				s.prompts = append(s.prompts, p)
			}
		}
	}
	s.embeddings = make([][][]float32, len(s.eyes))
	for i, e := range s.eyes {
		s.embeddings[i] = make([][]float32, len(s.prompts))
		for k, p := range s.prompts {
			v, err := s.embed(ctx, i, p)
			if err != nil {
				return fmt.Errorf("run: embed a prompt with %s: %w", e.name, err)
			}
			s.embeddings[i][k] = v
		}
	}
	return nil
}

// samePrompt compares what a prompt shows, not how much it weighs or when it acts.
func samePrompt(a, b spec.Prompt) bool {
	noise := a.Noise == nil && b.Noise == nil || a.Noise != nil && b.Noise != nil && *a.Noise == *b.Noise
	return a.Text == b.Text && a.Image == b.Image && noise
}

func (s *session) promptIndex(p spec.Prompt) int {
	return slices.IndexFunc(s.prompts, func(q spec.Prompt) bool { return samePrompt(p, q) })
}

// embed returns the rows [n,D] that describe a prompt to an encoder.
func (s *session) embed(ctx context.Context, encoder int, p spec.Prompt) ([]float32, error) {
	e := s.eyes[encoder]
	switch {
	case p.Image != "":
		img, err := s.picture(p.Image)
		if err != nil {
			return nil, err
		}
		return s.painter.EmbedPicture(ctx, encoder, s.fill(img), s.job.Cuts.Count)
	case p.Noise != nil:
		return paint.NoiseEmbedding(*p.Noise, e.model.EmbedDim()), nil
	}
	if _, cut := e.model.Tokenize(p.Text); cut {
		s.sink.Emit(event.Event{Kind: event.Notice, Message: fmt.Sprintf("the prompt is longer than %d tokens: %s sees its beginning only",
			e.model.Config().Text.ContextLength, e.name)})
	}
	rows, err := e.model.EncodeText(ctx, p.Text)
	if err != nil {
		return nil, err
	}
	return rows[0], nil
}

// steer tells the painter what changes at a step: prompts that begin or end, and edits. It is called before every step
// and depends on the step alone, so that it does not matter where a run was resumed.
func (s *session) steer(step int) error {
	now, err := s.job.At(step)
	if err != nil {
		return err
	}
	active, err := activeAt(now, step)
	if err != nil {
		return err
	}
	stage, err := spec.Canonical([]any{active, now.Cuts, now.Optimiser})
	if err != nil || string(stage) == s.stage {
		return err
	}
	targets := s.targetsOf(active)
	cuts, share, lr := paint.Const(float64(now.Cuts.Count)), paint.Const(now.Cuts.Average), rate(now)
	if err := s.painter.Change(paint.Change{Targets: &targets, Cuts: &cuts, Share: &share, LR: &lr}); err != nil {
		return fmt.Errorf("run: step %d: %w", step, err)
	}
	s.stage = string(stage)
	return nil
}

func activeAt(j *spec.Job, step int) ([]spec.Prompt, error) {
	var active []spec.Prompt
	for _, p := range j.Prompts {
		if step >= p.From && (p.Until == 0 || step < p.Until) {
			active = append(active, p)
		}
	}
	if len(active) == 0 {
		return nil, fmt.Errorf("run: no prompt acts at step %d", step)
	}
	return active, nil
}

// targetsOf returns the loop's targets of prompts, encoder by encoder.
func (s *session) targetsOf(prompts []spec.Prompt) []paint.Target {
	var out []paint.Target
	for i, e := range s.eyes {
		for _, p := range prompts {
			k := s.promptIndex(p)
			out = append(out, paint.Target{Name: targetName(e.name, p, len(s.eyes)), Encoder: i, Embedding: s.embeddings[i][k],
				Weight: p.Weight * e.weight, Stop: p.Stop, Window: window(p.Region, s.width, s.height)})
		}
	}
	return out
}

func targetName(encoder string, p spec.Prompt, encoders int) string {
	name := p.Text
	switch {
	case p.Image != "":
		name = "picture " + short(p.Image)
	case p.Noise != nil:
		name = fmt.Sprintf("noise %d", *p.Noise)
	}
	if encoders > 1 {
		name = encoder + ": " + name
	}
	return name
}

// score is the mean cosine similarity of the whole picture, or of a prompt's region of it, without cuts or augmentations, with the prompts that pull at
// the end, weighted as they are and over all encoders.
func (s *session) score(ctx context.Context, pic paint.Picture) (float64, error) {
	now, err := s.job.At(s.job.Steps)
	if err != nil {
		return 0, err
	}
	prompts, err := activeAt(now, max(0, s.job.Steps-1))
	if err != nil {
		return 0, err
	}
	var sum, weights float64
	for i, e := range s.eyes {
		whole, err := e.model.EncodeImage(ctx, toImage(pic))
		if err != nil {
			return 0, err
		}
		for _, p := range prompts {
			if p.Weight <= 0 {
				continue
			}
			seen := whole
			if w := window(p.Region, pic.W, pic.H); w != nil {
				part := pixel.Image{W: pic.W, H: pic.H, Pix: pic.Pix}.Crop(w.X, w.Y, w.W, w.H)
				if seen, err = e.model.EncodeImage(ctx, part.ToImage()); err != nil {
					return 0, err
				}
			}
			rows := s.embeddings[i][s.promptIndex(p)]
			width := len(seen[0])
			for r := 0; r < len(rows); r += width {
				w := p.Weight * e.weight * float64(width) / float64(len(rows))
				sum += w * cosine(seen[0], rows[r:r+width])
				weights += w
			}
		}
	}
	if weights == 0 {
		return 0, nil
	}
	return sum / weights, nil
}

func cosine(a, b []float32) float64 {
	var ab, aa, bb float64
	for i := range a {
		ab += float64(a[i]) * float64(b[i])
		aa += float64(a[i]) * float64(a[i])
		bb += float64(b[i]) * float64(b[i])
	}
	return ab / math.Sqrt(max(aa*bb, 1e-30))
}
