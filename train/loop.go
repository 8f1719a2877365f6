package train

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"time"

	"github.com/smalti/smalti/event"
	"github.com/smalti/smalti/gx"
)

// Loop is one training run.
type Loop struct {
	Config Config
	Recipe Recipe
	Sink   event.Sink // may be nil
	Dir    string     // the run's folder, which exists
	Resume bool       // go on from the folder's checkpoint instead of starting
	Warm   Values     // weights to start from instead of drawn ones; may hold a part of the model or more

	// Export writes the model file from the moving average; it is called after each checkpoint. May be nil.
	Export func(decls []gx.Decl, ema Values) error
}

// Result is what a run left.
type Result struct {
	Step     int                // finished steps
	Finished bool               // all steps are done; false when the time given in Config.For was over
	Decls    []gx.Decl          // the trained variables
	EMA      Values             // their moving averages
	Scores   map[string]float64 // the last evaluation, if the run finished
}

// run is a Loop at work.
type run struct {
	Loop
	sink    event.Sink
	workers []*worker
	squads  []squad
	state   state
	began   time.Time
	window  meter
}

// squad is a part of the variables with what it is optimised by.
type squad struct {
	Team
	flat *flat // shares the arrays of the whole
}

// Run trains until the last step, until the time is over, or until ctx is cancelled; in the last two cases it saves a
// checkpoint first, and cancellation is returned as the context's error together with the Result so far. A loss or
// gradient that is not finite ends the run with an error that wraps ErrNotFinite; the checkpoint before stays.
func (l *Loop) Run(ctx context.Context) (res Result, err error) {
	r := &run{Loop: *l}
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
	if err := r.begin(ctx); err != nil {
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

// prepare makes the workers and lays out the variables.
func (r *run) prepare() error {
	for range r.Config.workers() {
		w, err := newWorker(r.Recipe, r.Config.Precision)
		if err != nil {
			return err
		}
		r.workers = append(r.workers, w)
	}
	batch, err := r.Recipe.Batch(0, 0)
	if err != nil {
		return fmt.Errorf("train: first batch: %w", err)
	}
	trained, frozen, err := r.workers[0].decls(r.Recipe, batch)
	if err != nil {
		return err
	}
	decay := decays
	if d, ok := r.Recipe.(Decayer); ok {
		decay = d.Decays
	}
	r.state.flat = newFlat(trained, decay)
	if r.squads, err = squads(r.state.flat, r.Config, teamsOf(r.Recipe)); err != nil {
		return err
	}
	if s, ok := r.Recipe.(Stepper); ok {
		r.state.memory = s.Memory()
	}
	for _, w := range r.workers {
		w.flat = r.state.flat
		if err := w.freeze(frozen, frozenOf(r.Recipe)); err != nil {
			return err
		}
	}
	return nil
}

// squads divides the variables, which lie side by side, among the main optimiser and those of the teams.
func squads(f *flat, c Config, teams []Team) ([]squad, error) {
	var out []squad
	from := 0
	for side, t := range append([]Team{{Optimiser: c}}, teams...) {
		to := from
		for to < len(f.decls) && sideOf(f.decls[to].Name, teams) == side {
			to++
		}
		if side > 0 && from == to {
			return nil, fmt.Errorf("train: team %q has no variables", t.Name)
		}
		if err := t.Optimiser.Validate(); err != nil {
			return nil, fmt.Errorf("team %s: %w", t.Name, err)
		}
		t.Optimiser.Workers, t.Optimiser.MicroBatches = c.Workers, c.MicroBatches
		out = append(out, squad{t, f.part(from, to)})
		from = to
	}
	return out, nil
}

// begin fills the state: from the checkpoint, from a warm start, or by drawing.
func (r *run) begin(ctx context.Context) error {
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
	values, n, err := drawn(r.state.flat.decls, r.Config.Seed, r.Warm)
	if err != nil {
		return err
	}
	if n > 0 {
		tell.Emit(event.Event{Kind: event.Notice, Values: map[string]float64{"given": float64(n), "all": float64(len(values))},
			Message: fmt.Sprintf("%d of %d variables start from the weights given", n, len(values))})
	}
	if s, ok := r.Recipe.(Starter); ok && n == 0 {
		if err := s.Start(ctx, r.workers[0].engine, values); err != nil {
			return fmt.Errorf("train: start: %w", err)
		}
	}
	return r.state.fill(values)
}

// steps is the loop.
func (r *run) steps(ctx context.Context) (Result, error) {
	c := r.Config
	r.sink.Emit(event.Event{Kind: event.Started, Step: r.state.step, Steps: c.Steps, Text: map[string]string{"recipe": r.Recipe.Name()},
		Values: map[string]float64{"variables": float64(len(r.state.flat.value))}})
	ahead := r.prefetch(ctx)
	defer func() { ahead.close() }()
	r.window.restart(r.now())
	saved := -1
	for r.state.step < c.Steps {
		if ctx.Err() != nil || r.late() {
			return r.stop(ctx, saved)
		}
		err := r.step(ctx, ahead)
		if errors.Is(err, ErrNotFinite) {
			if err = r.rollBack(err); err == nil {
				saved = r.state.step
				ahead.close()
				ahead = r.prefetch(ctx)
				continue
			}
		}
		if err != nil {
			if ctx.Err() != nil {
				return r.stop(ctx, saved)
			}
			return r.result(nil), err
		}
		n := r.state.step
		if c.EvalEvery > 0 && n%c.EvalEvery == 0 && n < c.Steps {
			if _, err := r.evaluate(ctx); err != nil && ctx.Err() == nil {
				return r.result(nil), err
			}
		}
		if c.SaveEvery > 0 && n%c.SaveEvery == 0 && n < c.Steps {
			if err := r.save(); err != nil {
				return r.result(nil), err
			}
			saved = n
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

// prefetch prepares the micro-batches from the step at hand on.
func (r *run) prefetch(ctx context.Context) *batches {
	c := r.Config
	return prefetch(ctx, r.Recipe, r.state.step, c.Steps, c.MicroBatches, 2*c.MicroBatches)
}

// stop saves a run that ends before its last step.
func (r *run) stop(ctx context.Context, saved int) (Result, error) {
	if saved != r.state.step {
		if err := r.save(); err != nil {
			return r.result(nil), err
		}
	}
	r.sink.Emit(event.Event{Kind: event.Notice, Step: r.state.step, Steps: r.Config.Steps, Message: "stopped before the last step; the state is saved"})
	return r.result(nil), ctx.Err()
}

// step is one optimiser step.
func (r *run) step(ctx context.Context, ahead *batches) error {
	f := r.state.flat
	if err := r.restart(ctx); err != nil {
		return err
	}
	micros := make([][]Array, r.Config.MicroBatches)
	for i := range micros {
		var err error
		if micros[i], err = ahead.next(); err != nil {
			return err
		}
	}
	outs := gradients(r.workers, r.Recipe, r.state.step, micros)
	sum, err := f.fold(r.Config.workers(), outs)
	if err != nil {
		return fmt.Errorf("train: step %d: %w", r.state.step+1, err)
	}
	norms, err := r.update(sum)
	if err != nil {
		return err
	}
	r.state.step++
	if s, ok := r.Recipe.(Stepper); ok {
		extra := make([][]Array, len(outs))
		for i := range outs {
			extra[i] = outs[i].extra
		}
		if err := s.AfterStep(r.state.step, extra, Weights{f}); err != nil {
			return fmt.Errorf("train: after step %d: %w", r.state.step, err)
		}
	}
	r.report(sum, norms)
	return nil
}

// share is what a micro-batch's part of a sum counts: a joined loss is one of the whole step already.
func (r *run) share() float64 {
	if joinedOf(r.Recipe) != nil {
		return 1
	}
	return 1 / float64(r.Config.MicroBatches)
}

// restart lets the recipe improve weights before a step.
func (r *run) restart(ctx context.Context) error {
	s, ok := r.Recipe.(Restarter)
	if !ok {
		return nil
	}
	f := r.state.flat
	changed, err := s.Restart(ctx, r.workers[0].engine, r.state.step, f.values(f.value))
	if err != nil {
		return fmt.Errorf("train: before step %d: %w", r.state.step+1, err)
	}
	for _, name := range changed {
		value, m, v, ema, _ := Weights{f}.Get(name)
		copy(ema, value)
		clear(m)
		clear(v)
	}
	return nil
}

// update moves every side by its part of the summed gradient and returns the norms of these parts' means. Nothing is moved
// when a number is not finite.
func (r *run) update(sum gradient) ([]float64, error) {
	c := r.Config
	mean := r.share()
	norms, grads := make([]float64, len(r.squads)), make([][]float32, len(r.squads))
	at, bad := 0, sum.loss
	for i, s := range r.squads {
		grads[i] = sum.grad[at : at+len(s.flat.value)]
		at += len(s.flat.value)
		norms[i] = s.flat.norm(c.workers(), grads[i]) * mean
		bad += norms[i]
	}
	if math.IsNaN(bad) || math.IsInf(bad, 0) {
		return nil, fmt.Errorf("train: step %d: loss %g, norm of the gradient %g: %w; the last checkpoint is kept",
			r.state.step+1, sum.loss*mean, norms, ErrNotFinite)
	}
	for i, s := range r.squads {
		count := r.state.step - s.From
		if count < 0 {
			continue
		}
		scale := mean
		if limit := s.Optimiser.ClipNorm; limit > 0 && norms[i] > limit {
			scale *= limit / norms[i]
		}
		o := s.Optimiser
		o.LR = r.state.slower(o.LR)
		s.flat.update(o, count, grads[i], scale)
	}
	return norms, nil
}

// report gathers the figures of a step and emits their means every Config.ScalarsEvery steps.
func (r *run) report(sum gradient, norms []float64) {
	c, n := r.Config, r.state.step
	mean := r.share()
	r.window.add("loss", sum.loss*mean)
	r.window.add("gradient_norm", norms[0])
	for i, s := range r.squads[1:] {
		r.window.add(s.Name+"_gradient_norm", norms[i+1])
	}
	for i, name := range r.Recipe.Metrics() {
		r.window.add(name, sum.metrics[i]*mean)
	}
	if n%c.ScalarsEvery != 0 && n != c.Steps {
		return
	}
	values := r.window.means()
	values["lr"] = c.Rate(n - 1)
	values["images"] = float64(n * c.MicroBatches * c.BatchSize)
	if s := r.now().Sub(r.window.since).Seconds(); s > 0 {
		values["images_per_second"] = float64(r.window.steps*c.MicroBatches*c.BatchSize) / s
	}
	r.sink.Emit(event.Event{Kind: event.Scalars, Step: n, Steps: c.Steps, Loss: values["loss"], Values: values,
		Seconds: r.now().Sub(r.began).Seconds()})
	if w, ok := r.Recipe.(Watcher); ok {
		for _, words := range w.Watch(n, values) {
			r.sink.Emit(event.Event{Kind: event.Warning, Step: n, Steps: c.Steps, Message: words})
		}
	}
	r.window.restart(r.now())
}

// evaluate judges the moving average of the weights. Its time does not count as training speed.
func (r *run) evaluate(ctx context.Context) (Evaluation, error) {
	before := r.now()
	ev, err := r.Recipe.Evaluate(ctx, r.workers[0].engine, r.state.flat.values(r.state.flat.ema))
	if err != nil {
		return Evaluation{}, fmt.Errorf("train: evaluate after step %d: %w", r.state.step, err)
	}
	r.window.since = r.window.since.Add(r.now().Sub(before))
	n := r.state.step
	r.sink.Emit(event.Event{Kind: event.Scalars, Step: n, Steps: r.Config.Steps, Scores: ev.Scores})
	for _, words := range ev.Warnings {
		r.sink.Emit(event.Event{Kind: event.Warning, Step: n, Steps: r.Config.Steps, Message: words})
	}
	if ev.Sheet != nil {
		r.sink.Emit(event.Event{Kind: event.Samples, Step: n, Steps: r.Config.Steps, Picture: ev.Sheet})
	}
	return ev, nil
}

func (r *run) save() error {
	if err := r.state.save(r.Dir); err != nil {
		return fmt.Errorf("train: checkpoint: %w", err)
	}
	r.sink.Emit(event.Event{Kind: event.Checkpoint, Step: r.state.step, Path: filepath.Join(r.Dir, StateFile)})
	if r.Export == nil {
		return nil
	}
	f := r.state.flat
	if err := r.Export(f.decls, f.values(f.ema)); err != nil {
		return fmt.Errorf("train: write the model: %w", err)
	}
	return nil
}

func (r *run) result(scores map[string]float64) Result {
	f := r.state.flat
	return Result{Step: r.state.step, Finished: r.state.step >= r.Config.Steps, Decls: f.decls, EMA: f.values(f.ema), Scores: scores}
}

func (r *run) now() time.Time {
	if r.Config.Now == nil {
		return time.Time{}
	}
	return r.Config.Now()
}

func (r *run) late() bool { return r.Config.For > 0 && r.now().Sub(r.began) >= r.Config.For }

// meter averages named figures since its last restart.
type meter struct {
	sums  map[string]float64
	steps int
	since time.Time
}

func (m *meter) restart(now time.Time) { *m = meter{sums: map[string]float64{}, since: now} }

func (m *meter) add(name string, x float64) {
	if name == "loss" {
		m.steps++
	}
	m.sums[name] += x
}

func (m *meter) means() map[string]float64 {
	out := make(map[string]float64, len(m.sums))
	for k, v := range m.sums {
		out[k] = v / float64(m.steps)
	}
	return out
}

// openDir makes a run's folder.
func openDir(dir string) error {
	if dir == "" {
		return errors.New("train: no folder for the run given")
	}
	return os.MkdirAll(dir, 0o777)
}
