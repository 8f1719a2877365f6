package train

import (
	"context"
	"errors"
	"fmt"
	"math"
	"path/filepath"
	"time"

	"github.com/smalti/smalti/event"
	"github.com/smalti/smalti/gx"
)

// GameLoop is one training run of a Game. Like Loop, its numbers depend on the configuration alone.
type GameLoop struct {
	Config     Config // length, micro-batches, seed, reports; of the optimiser's settings only those of the phases count
	Game       Game
	Sink       event.Sink // may be nil
	Dir        string     // the run's folder, which exists
	Resume     bool       // go on from the folder's checkpoint instead of starting
	Warm       WarmStart  // where weights come from besides the draw; may be nil
	SheetEvery int        // steps between sheets (Sheeter), the first at step 0; 0 never
	Keep       Keep       // checkpoints to keep besides the newest two

	// Export writes the model file from the moving average and the running statistics; it is called after each
	// checkpoint. May be nil.
	Export func(path string, decls []gx.Decl, values Values) error
}

// WarmStart gives starting values of variables in the graph's layout, and says in words what did not fit.
type WarmStart func(decls []gx.Decl, stats Values) (values Values, misfits []string, err error)

// gameRun is a GameLoop at work.
type gameRun struct {
	GameLoop
	sink    event.Sink
	workers []*gameWorker
	board   *board
	state   state
	best    []float32 // in the state's memory: the best score so far and its step; NaN before
	began   time.Time
	window  tally

	settled   Values // the averages as a Settler left them
	settledAt int    // after this step
}

// Run trains until the last step, until the time is over, or until ctx is cancelled; see Loop.Run.
func (l *GameLoop) Run(ctx context.Context) (res Result, err error) {
	r := &gameRun{GameLoop: *l}
	if err := r.Config.Validate(); err != nil {
		return Result{}, err
	}
	if !r.Resume && hasState(r.Dir) {
		return Result{}, fmt.Errorf("train: %s: %w", r.Dir, ErrHasState)
	}
	defer func() {
		for _, w := range r.workers {
			w.engine.Close()
		}
	}()
	if err := r.prepare(); err != nil {
		return Result{}, err
	}
	if err := r.begin(); err != nil {
		return Result{}, err
	}
	j, err := openJournal(r.Dir, r.state.step)
	if err != nil {
		return Result{}, err
	}
	defer func() { err = errors.Join(err, j.close()) }()
	r.sink = event.Multi(j, r.Sink)
	r.began = r.now()
	return r.steps(ctx)
}

// bestName holds the best score in checkpoints.
const bestName = "best"

func (r *gameRun) prepare() error {
	for range r.Config.workers() {
		w, err := newGameWorker(r.Game, r.Config.Precision)
		if err != nil {
			return err
		}
		r.workers = append(r.workers, w)
	}
	b, err := newBoard(r.Game, r.workers[0])
	if err != nil {
		return err
	}
	for _, p := range b.phases {
		if p.Turns < 1 {
			return fmt.Errorf("train: phase %s: %d turns", p.Name, p.Turns)
		}
		if err := p.Optimiser.Validate(); err != nil {
			return fmt.Errorf("phase %s: %w", p.Name, err)
		}
	}
	r.board = b
	r.best = []float32{float32(math.NaN()), 0}
	memory := Values{bestName: r.best}
	for name, s := range b.stats {
		memory[name] = s
	}
	r.state = state{flat: b.flat, memory: memory}
	return nil
}

// begin fills the state: from the checkpoint, or by drawing and from a warm start.
func (r *gameRun) begin() error {
	tell := event.Or(r.Sink)
	if r.Resume {
		used, newer, err := r.state.load(r.Dir)
		if err != nil {
			return err
		}
		if newer != nil {
			tell.Emit(event.Event{Kind: event.Warning, Path: filepath.Join(r.Dir, used), Step: r.state.step,
				Message: fmt.Sprintf("the newest checkpoint cannot be read (%v); the one before is used", newer)})
		}
		return nil
	}
	values := Values(gx.Materialise(r.board.flat.decls, r.Config.Seed))
	if r.Warm != nil {
		warm, misfits, err := r.Warm(r.board.flat.decls, r.board.stats)
		if err != nil {
			return err
		}
		for name, v := range warm {
			copy(values[name], v)
		}
		for _, m := range misfits {
			tell.Emit(event.Event{Kind: event.Warning, Message: m})
		}
		tell.Emit(event.Event{Kind: event.Notice, Values: map[string]float64{"given": float64(len(warm)), "all": float64(len(values))},
			Message: fmt.Sprintf("%d of %d variables start from the weights given", len(warm), len(values))})
	}
	return r.state.fill(values)
}

// turns lists the micro-batches of a step for prefetching.
type turns struct {
	game  Game
	order []Turn
}

func newTurns(g Game, micros int) turns {
	t := turns{game: g}
	for i, p := range g.Phases() {
		for turn := range p.Turns {
			for m := range micros {
				t.order = append(t.order, Turn{Phase: i, Turn: turn, Micro: m})
			}
		}
	}
	return t
}

// Batch is the i-th micro-batch of a step.
func (t turns) Batch(step, i int) ([]Array, error) {
	at := t.order[i]
	at.Step = step
	return t.game.Batch(at)
}

// steps is the loop.
func (r *gameRun) steps(ctx context.Context) (Result, error) {
	c := r.Config
	r.sink.Emit(event.Event{Kind: event.Started, Step: r.state.step, Steps: c.Steps, Text: map[string]string{"recipe": r.Game.Name()}, Values: r.sizes()})
	t := newTurns(r.Game, c.MicroBatches)
	begin := func() *batches { return prefetch(ctx, t, r.state.step, c.Steps, len(t.order), 2*c.MicroBatches) }
	ahead := begin()
	defer func() { ahead.close() }()
	r.window.restart(r.now())
	saved := -1
	if r.state.step == 0 {
		if err := r.sheet(ctx); err != nil {
			return r.result(nil), err
		}
	}
	for r.state.step < c.Steps {
		if ctx.Err() != nil || r.late() {
			return r.stop(ctx, saved)
		}
		micros, err := r.gather(ahead)
		if err != nil && ctx.Err() != nil {
			return r.stop(ctx, saved)
		}
		if err == nil {
			err = r.step(micros)
		}
		if errors.Is(err, ErrNotFinite) {
			if err = r.rollBack(err); err == nil {
				saved = r.state.step
				ahead.close()
				ahead = begin()
				continue
			}
		}
		if err != nil {
			return r.result(nil), err
		}
		if err := r.after(ctx, &saved); err != nil {
			return r.result(nil), err
		}
	}
	if err := r.save(); err != nil {
		return r.result(nil), err
	}
	ev, err := r.evaluate(ctx)
	if err != nil {
		return r.result(nil), err
	}
	r.sink.Emit(event.Event{Kind: event.Done, Step: c.Steps, Steps: c.Steps, Scores: ev.Scores, Seconds: r.now().Sub(r.began).Seconds()})
	return r.result(ev.Scores), nil
}

// after does what is due after a step that is not the last.
func (r *gameRun) after(ctx context.Context, saved *int) error {
	c, n := r.Config, r.state.step
	due := func(every int) bool { return every > 0 && n%every == 0 }
	if due(r.SheetEvery) {
		if err := r.sheet(ctx); err != nil && ctx.Err() == nil {
			return err
		}
	}
	if n == c.Steps {
		return nil
	}
	if due(c.EvalEvery) {
		if _, err := r.evaluate(ctx); err != nil && ctx.Err() == nil {
			return err
		}
	}
	if due(c.SaveEvery) {
		if err := r.save(); err != nil {
			return err
		}
		*saved = n
	}
	return nil
}

// gather takes the micro-batches of a step: all of them before the first is used, so that only whole steps are stopped.
func (r *gameRun) gather(ahead *batches) (micros [][]Array, err error) {
	n := 0
	for _, p := range r.board.phases {
		n += p.Turns * r.Config.MicroBatches
	}
	micros = make([][]Array, n)
	for i := range micros {
		if micros[i], err = ahead.next(); err != nil {
			return nil, err
		}
	}
	return micros, nil
}

// step plays every phase once through. After an error the state must not be saved, only set back: the players are at different steps.
func (r *gameRun) step(micros [][]Array) error {
	m := r.Config.MicroBatches
	for i, p := range r.board.phases {
		for turn := range p.Turns {
			if err := r.turn(i, r.state.step*p.Turns+turn, micros[:m]); err != nil {
				return err
			}
			micros = micros[m:]
		}
	}
	r.state.step++
	r.report()
	return nil
}

// turn is one update of a phase's player; count is the number of those before.
func (r *gameRun) turn(phase, count int, micros [][]Array) error {
	p, pl, workers := r.board.phases[phase], r.board.players[phase], r.Config.workers()
	outs := r.board.gradientsOf(r.workers, phase, micros)
	sum, err := pl.flat.fold(workers, outs)
	if err != nil {
		return fmt.Errorf("train: step %d, %s: %w", r.state.step+1, p.Name, err)
	}
	mean := 1 / float64(r.Config.MicroBatches)
	norm := pl.flat.norm(workers, sum.grad) * mean
	if bad := sum.loss + norm; math.IsNaN(bad) || math.IsInf(bad, 0) {
		return fmt.Errorf("train: step %d, %s: loss %g, norm of the gradient %g: %w; the last checkpoint is kept",
			r.state.step+1, p.Name, sum.loss*mean, norm, ErrNotFinite)
	}
	scale := mean
	if limit := p.Optimiser.ClipNorm; limit > 0 && norm > limit {
		scale *= limit / norm
	}
	c := p.Optimiser
	c.LR = r.state.slower(c.LR)
	c.Workers, c.MicroBatches = r.Config.Workers, r.Config.MicroBatches
	pl.flat.update(c, count, sum.grad, scale)
	pl.version++
	r.board.move(phase, outs)
	r.window.add(p.Name+".loss", sum.loss*mean)
	r.window.add(p.Name+".gradient_norm", norm)
	for i, name := range p.Metrics {
		r.window.add(p.Name+"."+name, sum.metrics[i]*mean)
	}
	return nil
}
