package run

import (
	"context"
	"errors"
	"fmt"
	"image"
	"path/filepath"
	"strings"

	"github.com/smalti/smalti/event"
	"github.com/smalti/smalti/latent"
	"github.com/smalti/smalti/pixel"
	"github.com/smalti/smalti/spec"
)

// Wander asks for an animation around a picture, or of a picture that turns into a code.
type Wander struct {
	Picture       string
	VQGAN         string
	Width, Height int
	Frames        int
	Seed          uint64
	Scale         float64 // how far it leads, in the codebook's standard deviations; towards a code, 0 to 1
	Code          int     // negative: a walk around the picture that ends where it began; else towards this code
	Soft          bool    // paint mixtures as they are instead of their nearest codes
	Film
}

const wanderFile = "walk.json"

func (q *Wander) check() error {
	switch {
	case q.Frames < 2 || q.Frames > pixel.MaxFrames:
		return spec.Refusef(fmt.Sprintf("use 2 to %d", pixel.MaxFrames), "--frames %d is out of range", q.Frames)
	case !(q.Scale > 0 && q.Scale <= 10):
		return spec.Refusef("use a value above 0, up to 10", "--scale is %g", q.Scale)
	}
	return q.Film.check()
}

// Wander makes the animation. The first frame is the picture itself. Frames are kept beside the output, from which the
// same work goes on when it was stopped.
func (r *Runner) Wander(ctx context.Context, req Wander, sink event.Sink) error {
	if err := req.check(); err != nil {
		return err
	}
	if req.Dir == "" {
		req.Dir = strings.TrimSuffix(req.Out[0], filepath.Ext(req.Out[0])) + ".walk"
	}
	began := r.now()
	t, err := r.lay([]string{req.Picture}, wanted{vqgan: req.VQGAN, w: req.Width, h: req.Height}, sink)
	if err != nil {
		return err
	}
	if req.Code >= t.book.K {
		return spec.Refusef(fmt.Sprintf("use 0 to %d", t.book.K-1), "%s has no code %d", t.ref.Name, req.Code)
	}
	if err := req.checkMemory(req.Frames, t.w, t.h); err != nil {
		return err
	}
	words, err := spec.Canonical(map[string]any{"build": r.Build(), "vqgan": t.ref, "picture": t.ends[0].sum, "width": t.w, "height": t.h,
		"frames": req.Frames, "seed": req.Seed, "scale": req.Scale, "code": req.Code, "soft": req.Soft})
	if err != nil {
		return fmt.Errorf("run: describe the walk: %w", err)
	}
	reel := &reel{Film: req.Film, sink: sink, label: wanderFile, what: "walk", words: words, w: t.w, h: t.h}
	if err := reel.open(); err != nil {
		return err
	}
	sink.Emit(event.Event{Kind: event.Started, Steps: req.Frames, Path: req.Dir, Text: map[string]string{"picture": req.Picture, "vqgan": t.ref.Name}})
	way := wanderer{table: t, req: &req, spread: t.book.Spread()}
	done, err := reel.shoot(ctx, req.Frames, way.frame)
	if err == nil {
		err = reel.cut(ctx, req.Frames, reel.film)
	}
	if errors.Is(err, context.Canceled) {
		return &StoppedMorphError{done, req.Frames, err}
	}
	if err != nil {
		return err
	}
	sink.Emit(event.Event{Kind: event.Done, Step: req.Frames, Steps: req.Frames, Path: req.Out[0], Seconds: r.now().Sub(began).Seconds()})
	return nil
}

type wanderer struct {
	*table
	req    *Wander
	spread float64
}

func (w wanderer) frame(i int) (image.Image, []pixel.Chunk, error) {
	c := w.ends[0].codes
	if i > 0 {
		z := w.bounds().Clamp(w.at(i))
		if w.req.Soft {
			img, err := w.model.DecodeLatent(z.Data, z.H, z.W)
			if err != nil {
				return nil, nil, err
			}
			return img.ToImage(), nil, nil
		}
		var err error
		if c, err = w.model.NearestCodes(z.Data, z.H, z.W); err != nil {
			return nil, nil, err
		}
	}
	img, err := w.model.Decode(c)
	if err != nil {
		return nil, nil, err
	}
	chunks, err := w.codesChunk(c.Idx)
	return img.ToImage(), chunks, err
}

// at is the latent of a frame: a walk comes back to the picture after the last one, the way to a code ends in it.
func (w wanderer) at(i int) latent.Grid {
	z, n := w.grids[0], w.req.Frames
	if w.req.Code < 0 {
		return latent.Walk{Seed: w.req.Seed}.At(z, w.req.Scale*w.spread, float64(i)/float64(n))
	}
	goal := z.Clone()
	for k := range goal.H * goal.W {
		copy(goal.Data[k*goal.C:(k+1)*goal.C], w.book.Code(int32(w.req.Code)))
	}
	return latent.Lerp(z, goal, w.req.Scale*float64(i)/float64(n-1))
}

// Dream asks for a picture that slowly turns into words, and the film of it.
type Dream struct {
	Painting      // Job.Start.Image names the picture
	Film     Film // of the frames, every Painting.FrameEvery steps
}

// Dream paints on from a picture, from its own codes if smalti made it, and makes a film of what is seen on the way. The
// run folder is like any other: a dream that was stopped goes on with Continue, and the picture reruns.
func (r *Runner) Dream(ctx context.Context, req Dream, sink event.Sink) error {
	if err := req.Film.check(); err != nil {
		return err
	}
	if req.FrameEvery < 1 {
		req.FrameEvery = 1
	}
	res, err := r.Paint(ctx, req.Painting, sink)
	if err != nil {
		return err
	}
	paths, err := filepath.Glob(filepath.Join(res.Dir, framesDir, "*.png")) // in order: names have six digits
	if err != nil {
		return err
	}
	paths = append(paths, filepath.Join(res.Dir, outFile))
	if err := req.Film.checkMemory(len(paths), req.Job.Width, req.Job.Height); err != nil {
		return err
	}
	film := pixel.Film{Frames: len(paths), Delay: req.Film.Delay, Frame: func(i int) (image.Image, error) {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		return pixel.DecodeFile(paths[i])
	}}
	reel := &reel{Film: req.Film, sink: sink}
	for _, out := range req.Film.Out {
		if err := reel.film(ctx, out, film); err != nil {
			return fmt.Errorf("run: %s: %w", out, err)
		}
		sink.Emit(event.Event{Kind: event.Saved, Path: out})
	}
	return nil
}
