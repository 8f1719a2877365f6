package run

import (
	"context"
	"fmt"
	"strings"

	"github.com/smalti/smalti/event"
	"github.com/smalti/smalti/paint"
	"github.com/smalti/smalti/spec"
	"github.com/smalti/smalti/vqgan"
)

// promptWords returns the words of prompt:WORDS; ok is false for anything else.
func promptWords(arg string) (words string, ok bool, err error) {
	words, ok = strings.CutPrefix(arg, "prompt:")
	if ok && strings.TrimSpace(words) == "" {
		return "", false, spec.Refuse("the prompt is empty", `write, for example, "prompt:a red apple"`)
	}
	return words, ok, nil
}

// sketch is words to paint, and the CLIP that looks on; one without a name is the default one.
type sketch struct {
	spec.Operand
	clip spec.ModelRef
}

// sketch paints words quickly, with the preset draft, with the table's model at its size. It returns the codes and the
// CLIP that looked on, pinned.
func (r *Runner) sketch(ctx context.Context, t *table, o sketch, sink event.Sink) (vqgan.Codes, spec.ModelRef, error) {
	none := vqgan.Codes{}
	job := spec.Default()
	draft := spec.Presets["draft"]
	job.Prompts = []spec.Prompt{{Text: o.Prompt, Weight: 1}}
	job.Seed, job.Width, job.Height = o.Seed, t.w, t.h
	job.Steps, job.Length, job.Cuts.Count = draft.Steps, draft.Steps, draft.Cuts
	job.VQGAN = t.ref
	if o.clip.Name != "" {
		job.CLIP = []spec.ModelRef{o.clip}
	}
	if err := r.Check(&job); err != nil {
		return none, o.clip, err
	}
	s, err := r.prepare(ctx, &Painting{Job: job}, 0, sink)
	if err != nil {
		return none, o.clip, err
	}
	if err := s.begin(ctx); err != nil {
		return none, o.clip, fmt.Errorf("run: start a sketch: %w", err)
	}
	for step := range job.Steps {
		if err := s.steer(step); err != nil {
			return none, o.clip, err
		}
		rep, err := s.painter.Advance(ctx)
		if err != nil {
			return none, o.clip, err
		}
		e := stepEvent(rep, step+1, job.Steps)
		e.Message = "painting " + o.Prompt
		sink.Emit(e)
	}
	pic, err := s.painter.Picture(paint.Smooth)
	if err != nil {
		return none, o.clip, fmt.Errorf("run: %w", err)
	}
	f := t.model.Factor()
	return vqgan.Codes{H: t.h / f, W: t.w / f, Idx: pic.Codes}, s.job.CLIP[0], nil
}
