package run

import (
	"context"
	"errors"
	"fmt"
	"image"
	"math"
	"path/filepath"
	"strings"

	"github.com/smalti/smalti/event"
	"github.com/smalti/smalti/latent"
	"github.com/smalti/smalti/paint"
	"github.com/smalti/smalti/pixel"
	"github.com/smalti/smalti/spec"
)

// Story asks for a film that is painted frame by frame: each starts from the one before as a moving camera sees it, and
// is painted on for some steps. Prompts act from frame to frame.
type Story struct {
	Job    spec.Job // Steps are those of the first frame; the prompts' From and Until count frames
	Inputs Inputs

	Frames                       int
	FrameSteps                   int       // of every frame but the first
	Zoom, ShiftX, ShiftY, Rotate spec.Keys // from frame to frame: a factor, pixels, degrees anticlockwise
	// Smooth is the share of the last frame's latent in the start of the next, 0 to below 1: films of a still camera
	// flicker less.
	Smooth float64
	// Sources are pictures that frames should look like, one for each; SourceWeight pulls each frame's latent to its own,
	// SourceBlend is the share of it in the frame's start.
	Sources                   []string
	SourceWeight, SourceBlend float64
	Film
}

const storyFile = "story.json"

func (q *Story) check() error {
	if q.Frames < 2 || q.Frames > pixel.MaxFrames {
		return spec.Refusef(fmt.Sprintf("use 2 to %d", pixel.MaxFrames), "--frames %d is out of range", q.Frames)
	}
	if q.FrameSteps < 0 || q.FrameSteps > spec.MaxSteps {
		return spec.Refusef("use 0 or more", "--frame-steps is %d", q.FrameSteps)
	}
	if q.Job.Mask != nil || q.Job.Tile != "" {
		return spec.Refuse("a story has no masks and no tiles", "smalti paint does")
	}
	for _, s := range []struct {
		name string
		v    float64
		most float64
	}{{"--smooth", q.Smooth, 0.99}, {"--source-weight", q.SourceWeight, 1e6}, {"--source-blend", q.SourceBlend, 1}} {
		if !(s.v >= 0 && s.v <= s.most) {
			return spec.Refusef(fmt.Sprintf("use 0 to %g", s.most), "%s is %g", s.name, s.v)
		}
	}
	for _, err := range []error{q.Zoom.Within("--zoom", 0.1, 10), q.ShiftX.Within("--shift-x", -spec.MaxSide, spec.MaxSide),
		q.ShiftY.Within("--shift-y", -spec.MaxSide, spec.MaxSide), q.Rotate.Within("--rotate", -360, 360), q.Film.check()} {
		if err != nil {
			return err
		}
	}
	return nil
}

// Story makes the film. Frames are kept beside the output; each depends on the one before alone, so that the same story
// started again goes on after the frames that are there, to the same film.
func (r *Runner) Story(ctx context.Context, req Story, sink event.Sink) error {
	if err := req.check(); err != nil {
		return err
	}
	req.Job.Canonicalise()
	if err := r.Check(&req.Job); err != nil {
		return err
	}
	if err := req.checkMemory(req.Frames, req.Job.Width, req.Job.Height); err != nil {
		return err
	}
	if req.Dir == "" {
		req.Dir = strings.TrimSuffix(req.Out[0], filepath.Ext(req.Out[0])) + ".story"
	}
	began := r.now()
	t := &teller{req: &req, sink: sink}
	if err := t.prepare(ctx, r); err != nil {
		return err
	}
	if err := t.reel.open(); err != nil {
		return err
	}
	sink.Emit(event.Event{Kind: event.Started, Steps: req.Frames, Path: req.Dir, Text: t.settings()})
	done, err := t.reel.shoot(ctx, req.Frames, func(i int) (image.Image, []pixel.Chunk, error) { return t.frame(ctx, i) })
	if err == nil {
		err = t.reel.cut(ctx, req.Frames, t.reel.film)
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

// teller paints the frames of one story.
type teller struct {
	*session
	req  *Story
	sink event.Sink
	reel *reel
	book *latent.Book
}

func (t *teller) prepare(ctx context.Context, r *Runner) error {
	q := t.req
	var sources []string
	for _, path := range q.Sources {
		sum, err := q.Inputs.AddInput(path)
		if err != nil {
			return fmt.Errorf("read a source frame: %w", err)
		}
		sources = append(sources, sum)
	}
	q.Job.Start.Weight = q.SourceWeight // the pull to where a frame is held
	var err error
	if t.session, err = r.prepare(ctx, &Painting{Job: q.Job, Inputs: q.Inputs}, 0, t.sink); err != nil {
		return err
	}
	if t.book, err = bookOf(t.decoder); err != nil {
		return err
	}
	words, err := spec.Canonical(map[string]any{"job": t.job, "frames": q.Frames, "frame_steps": q.FrameSteps, "zoom": q.Zoom, "shift_x": q.ShiftX,
		"shift_y": q.ShiftY, "rotate": q.Rotate, "smooth": q.Smooth, "sources": sources, "source_weight": q.SourceWeight, "source_blend": q.SourceBlend})
	if err != nil {
		return fmt.Errorf("run: describe the story: %w", err)
	}
	t.reel = &reel{Film: q.Film, sink: t.sink, label: storyFile, what: "story", words: words, w: t.job.Width, h: t.job.Height}
	return nil
}

// frame paints one.
func (t *teller) frame(ctx context.Context, i int) (image.Image, []pixel.Chunk, error) {
	steps := t.req.FrameSteps
	var err error
	if i == 0 {
		steps = t.job.Steps
		err = t.first(ctx)
	} else {
		err = t.next(i)
	}
	if err != nil {
		return nil, nil, err
	}
	if err := t.tell(i); err != nil {
		return nil, nil, err
	}
	for range steps {
		if _, err := t.painter.Advance(ctx); err != nil {
			return nil, nil, err
		}
	}
	pic, err := t.painter.Picture(paint.Smooth)
	if err != nil {
		return nil, nil, fmt.Errorf("run: %w", err)
	}
	img := toImage(pic)
	t.sink.Emit(event.Event{Kind: event.Preview, Step: i, Steps: t.req.Frames, Picture: img})
	chunk, err := t.codes(pic.Codes)
	return img, chunk, err
}

// first starts the first frame: from its source, or as the job says.
func (t *teller) first(ctx context.Context) error {
	if len(t.req.Sources) == 0 {
		return t.begin(ctx)
	}
	source, err := t.source(0)
	if err != nil {
		return err
	}
	return t.painter.Begin(paint.Start{Kind: paint.StartPicture, Picture: source})
}

// next starts a frame from the last one, read back from its file so that it does not matter in which sitting it was
// painted.
func (t *teller) next(i int) error {
	e, err := openEnd(t.reel.path(i - 1))
	if err != nil {
		return err
	}
	last := pixel.FromImage(e.img)
	camera := pixel.Camera{Zoom: t.req.Zoom.At(i, 1), DX: t.req.ShiftX.At(i, 0), DY: t.req.ShiftY.At(i, 0), Angle: t.req.Rotate.At(i, 0) * math.Pi / 180}
	start := last.Warp(camera)
	var held []float32
	if len(t.req.Sources) > 0 {
		source, err := t.source(i)
		if err != nil {
			return err
		}
		if held, err = t.painter.Encode(source); err != nil {
			return err
		}
		blend := float32(t.req.SourceBlend)
		for k, v := range source {
			start.Pix[k] += float32(blend * (v - start.Pix[k]))
		}
	}
	z, err := t.painter.Encode(start.Pix)
	if err != nil {
		return fmt.Errorf("run: %w", err)
	}
	if s := float32(t.req.Smooth); s > 0 {
		if e.own == nil {
			return fmt.Errorf("frame %d carries no codes", i-1)
		}
		g, err := t.book.Lookup(latent.Codes{H: e.own.H, W: e.own.W, Index: e.own.Idx})
		if err != nil {
			return err
		}
		for k, v := range g.Data {
			z[k] += float32(s * (v - z[k]))
		}
	}
	if held == nil {
		held = z
	}
	return t.painter.BeginFrom(z, held)
}

// source is a source frame on the canvas; the last one stays when there are too few.
func (t *teller) source(i int) ([]float32, error) {
	img, err := pixel.DecodeFile(t.req.Sources[min(i, len(t.req.Sources)-1)])
	if err != nil {
		return nil, err
	}
	return cover(img, t.job.Width, t.job.Height).Pix, nil
}

// tell gives the painter the prompts of a frame, and after the first frame a rate that does not fall.
func (t *teller) tell(i int) error {
	active, err := activeAt(t.job, i)
	if err != nil {
		return err
	}
	targets := t.targetsOf(active)
	lr := rate(t.job)
	if i > 0 {
		lr = paint.Const(t.job.Optimiser.LR)
	}
	return t.painter.Change(paint.Change{Targets: &targets, LR: &lr})
}

// codes carries a frame's codes inside it, with the head of a recipe that says whose they are.
func (t *teller) codes(codes []int32) ([]pixel.Chunk, error) {
	f := t.decoder.Factor()
	if len(codes) != t.job.Width/f*(t.job.Height/f) {
		return nil, fmt.Errorf("run: %d codes of a frame", len(codes))
	}
	tab := table{model: t.decoder, ref: t.job.VQGAN, w: t.job.Width, h: t.job.Height, book: t.book}
	return tab.frameChunks(codes)
}
