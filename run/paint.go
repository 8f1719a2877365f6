package run

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"

	"github.com/smalti/smalti/event"
	"github.com/smalti/smalti/paint"
	"github.com/smalti/smalti/spec"
	"github.com/smalti/smalti/vqgan"
)

// Painting says what to paint and where to put it. What is not in the Job does not change the picture.
type Painting struct {
	Job    spec.Job
	Out    string // picture file
	Dir    string // run folder; empty means FolderFor(Out)
	StopAt int    // step to stop at before Job.Steps; 0 means none
	// AutoStop ends the picture after so many steps without a better score; 0 never does. The recipe has the steps that
	// were painted.
	AutoStop int
	Inputs   Inputs // pictures that the job names by sha256
	// BestOf is how many starts are drawn from a prior for CLIP to choose one; 0 means 8. The job has the number of the one
	// chosen.
	BestOf int

	Chunk        int // cuts that are looked at together; 0 means the loop's default
	SaveEvery    int // steps between saves of the state; 0 means 25
	PreviewEvery int // steps between previews; 0 means 10, negative none
	FrameEvery   int // steps between pictures in the run folder's frames; 0 means none
}

// Result is what a painting led to.
type Result struct {
	Step       int // steps done
	Start, End float64
	Out, Dir   string
}

// Check refuses a job that cannot run before any work is done: unknown models, sizes that the model cannot paint.
func (r *Runner) Check(j *spec.Job) error {
	if err := j.Validate(); err != nil {
		return err
	}
	r, err := r.at(j.Precision)
	if err != nil {
		return err
	}
	m, _, err := r.VQGAN(j.VQGAN)
	if err != nil {
		return err
	}
	for _, c := range j.CLIP {
		if _, _, err := r.guide(c); err != nil {
			return err
		}
	}
	if d := j.Start.Draw; d != nil {
		if err := r.checkDraw(d); err != nil {
			return err
		}
	}
	if p := j.Start.PCA; p != nil {
		if _, err := r.pcaBook(&p.PCA); err != nil {
			return err
		}
	}
	if d := j.Start.Memory; d != nil {
		if err := r.checkMemory(d); err != nil {
			return err
		}
	}
	f := m.Factor()
	if j.Width%f != 0 || j.Height%f != 0 {
		return spec.Refusef(fmt.Sprintf("the nearest size is %dx%d", nearest(j.Width, f), nearest(j.Height, f)),
			"--size %dx%d is not a multiple of %d, the size of a piece of %s", j.Width, j.Height, f, j.VQGAN.Name)
	}
	for _, rung := range j.Ladder {
		if rung.Width%f != 0 || rung.Height%f != 0 {
			return spec.Refusef("choose a smaller --coarse, or a larger --size", "--coarse paints at %dx%d, which is not a multiple of %d, the size of a piece of %s",
				rung.Width, rung.Height, f, j.VQGAN.Name)
		}
	}
	if j.Losses.Prior != nil {
		if _, err := r.checkLikelihood(j); err != nil {
			return err
		}
	}
	if j.Losses.PCA != nil {
		if _, err := r.checkUsual(j); err != nil {
			return err
		}
	}
	_, err = filters(j)
	return err
}

func nearest(n, f int) int { return max(f, (n+f/2)/f*f) }

// Paint paints a picture from its beginning. When ctx ends, the state is saved and the picture as far as it got is
// written; the error then wraps ctx's.
func (r *Runner) Paint(ctx context.Context, req Painting, sink event.Sink) (Result, error) {
	req.Job.Canonicalise()
	if err := r.Check(&req.Job); err != nil {
		return Result{}, err
	}
	if req.Dir == "" {
		req.Dir = FolderFor(req.Out)
	}
	s, err := r.prepare(ctx, &req, 0, sink)
	if err != nil {
		return Result{}, err
	}
	if s.folder, err = createFolder(req.Dir); err != nil {
		return Result{}, err
	}
	if err := s.showFound(); err != nil {
		return Result{}, err
	}
	if err := s.begin(ctx); err != nil {
		return Result{}, fmt.Errorf("run: start the picture: %w", err)
	}
	for sum, data := range s.used { // the pictures of prompts and, since begin, of the start
		if err := s.folder.keepInput(sum, data); err != nil {
			return Result{}, err
		}
	}
	return s.run(ctx)
}

// Continue goes on with a painting. more steps are added to the job's; with 0 an unfinished painting runs to its end.
// The prompts' schedules stay where they were laid out, so that two sittings paint what one would have.
func (r *Runner) Continue(ctx context.Context, dir string, more int, req Painting, sink event.Sink) (Result, error) {
	folder, err := OpenFolder(dir)
	if err != nil {
		return Result{}, err
	}
	j, err := folder.Job()
	if err != nil {
		return Result{}, err
	}
	state, err := folder.readState()
	if err != nil {
		return Result{}, err
	}
	j.Steps += more
	req.Job, req.Dir = *j, folder.path
	if req.Out == "" {
		req.Out = filepath.Join(folder.path, outFile) // the run folder has it anyway
	}
	if err := r.Check(j); err != nil {
		return Result{}, err
	}
	req.Inputs.folder = folder
	s, err := r.prepare(ctx, &req, paint.StepsOf(state), sink)
	if err != nil {
		return Result{}, err
	}
	s.folder = folder
	if err := s.painter.Restore(state); err != nil {
		return Result{}, fmt.Errorf("run: %s: %w", filepath.Join(folder.path, stateFile), err)
	}
	if done := s.painter.Step(); done >= j.Steps {
		return Result{}, spec.Refusef("add steps: smalti continue "+dir+" --steps 50", "the picture is finished: %d of %d steps are done", done, j.Steps)
	}
	if j.Length < j.Steps {
		sink.Emit(event.Event{Kind: event.Notice, Message: fmt.Sprintf("the learning rate's schedule was laid out for %d steps and keeps its end from there on", j.Length)})
	}
	return s.run(ctx)
}

// session is one sitting at a picture.
type session struct {
	*Runner
	req           *Painting
	sink          event.Sink
	job           *spec.Job
	painter       *paint.Painter
	decoder       *vqgan.Model
	width, height int // that the picture has now; the job's, but for a ladder
	eyes          []*eye
	prompts       []spec.Prompt // every prompt of the job and of its edits
	// embeddings[encoder][prompt] are the rows [n,D] of a prompt.
	embeddings [][][]float32
	used       map[string][]byte // inputs by sha256, for the run folder
	found      *found            // the mask, if words found it in this sitting
	folder     *Folder
	journal    *journal
	stage      string // what the painter was last told to do
}

// run takes the steps that are left and writes the results.
func (s *session) run(ctx context.Context) (res Result, err error) {
	if err := s.folder.writeJob(s.job); err != nil {
		return res, fmt.Errorf("run: write the job: %w", err)
	}
	if s.journal, err = s.folder.openJournal(); err != nil {
		return res, err
	}
	defer func() { err = errors.Join(err, s.journal.close()) }()
	s.sink = event.Multi(s.sink, s.journal)

	began := s.now()
	last := s.job.Steps
	if s.req.StopAt > 0 {
		last = min(last, s.req.StopAt)
	}
	s.sink.Emit(event.Event{Kind: event.Started, Step: s.painter.Step(), Steps: last, Path: s.folder.path, Text: s.settings()})
	first, err := s.painter.Picture(paint.Smooth)
	if err != nil {
		return res, fmt.Errorf("run: %w", err)
	}
	s.preview(first, last)
	stepErr := s.steps(ctx, last)
	if err := s.saveState(); err != nil {
		return res, errors.Join(stepErr, err)
	}
	final, err := s.painter.Picture(paint.Smooth)
	if err != nil {
		return res, errors.Join(stepErr, fmt.Errorf("run: %w", err))
	}
	if err := s.writePicture(final); err != nil {
		return res, errors.Join(stepErr, err)
	}
	res = Result{Step: s.painter.Step(), Out: s.req.Out, Dir: s.folder.path}
	if stepErr != nil {
		return res, stepErr
	}
	// The scores come after everything is safe: they judge, they do not make.
	if res.Start, err = s.score(context.WithoutCancel(ctx), first); err == nil {
		res.End, err = s.score(context.WithoutCancel(ctx), final)
	}
	if err != nil {
		return res, fmt.Errorf("run: score the picture: %w", err)
	}
	scores := seams(final, s.job.Tile)
	scores["start"], scores["end"] = res.Start, res.End
	s.sink.Emit(event.Event{Kind: event.Done, Step: res.Step, Steps: last, Path: s.req.Out, Seconds: s.now().Sub(began).Seconds(),
		Scores: scores, Picture: toImage(final)})
	return res, nil
}

// steps advances to a step, with saves and previews on the way.
func (s *session) steps(ctx context.Context, last int) error {
	every := func(n, fallback int) int {
		if n == 0 {
			return fallback
		}
		return n
	}
	save, show, frame := every(s.req.SaveEvery, 25), every(s.req.PreviewEvery, 10), s.req.FrameEvery
	for s.painter.Step() < last {
		if patience := s.req.AutoStop; patience > 0 && s.painter.Idle() > patience {
			s.sink.Emit(event.Event{Kind: event.Notice, Step: s.painter.Step(), Steps: last,
				Message: fmt.Sprintf("stopped at step %d: no better score for %d steps", s.painter.Step(), patience)})
			return nil
		}
		if err := s.climb(ctx); err != nil {
			return err
		}
		if err := s.steer(s.painter.Step()); err != nil {
			return err
		}
		rep, err := s.painter.Advance(ctx)
		var bad *paint.DivergedError
		if errors.As(err, &bad) {
			return &DivergedError{err}
		}
		if err != nil {
			return err
		}
		done := s.painter.Step()
		s.sink.Emit(stepEvent(rep, done, last))
		if done == last {
			break
		}
		if save > 0 && done%save == 0 {
			if err := s.saveState(); err != nil {
				return err
			}
		}
		if wantPreview, wantFrame := show > 0 && done%show == 0, frame > 0 && done%frame == 0; wantPreview || wantFrame {
			if err := s.show(wantPreview, wantFrame, last); err != nil {
				return err
			}
		}
	}
	return nil
}

func (s *session) show(wantPreview, wantFrame bool, last int) error {
	pic, err := s.painter.Picture(paint.Smooth)
	if err != nil {
		return fmt.Errorf("run: %w", err)
	}
	if wantPreview {
		s.preview(pic, last)
	}
	if wantFrame {
		if _, err := s.folder.frame(s.painter.Step(), toImage(pic)); err != nil {
			return fmt.Errorf("run: write a frame: %w", err)
		}
	}
	return nil
}

func (s *session) preview(pic paint.Picture, last int) {
	s.sink.Emit(event.Event{Kind: event.Preview, Step: s.painter.Step(), Steps: last, Picture: toImage(pic)})
}

func stepEvent(rep paint.Report, done, last int) event.Event {
	losses := map[string]float64{}
	for _, t := range rep.Terms {
		losses[t.Name] += t.Value
	}
	return event.Event{Kind: event.Step, Step: done, Steps: last, Loss: rep.Total, Losses: losses,
		Values: map[string]float64{"lr": rep.LR, "grad_norm": rep.GradNorm, "cuts": float64(rep.Cuts)}}
}

// DivergedError is a loss or gradient that is no longer a number. The state of the last good step was saved.
type DivergedError struct{ err error }

func (e *DivergedError) Error() string { return e.err.Error() + "; the last good state was saved" }
func (e *DivergedError) Unwrap() error { return e.err }

// Hint says what to try.
func (e *DivergedError) Hint() string { return "paint again with a smaller --lr" }
