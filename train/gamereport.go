package train

import (
	"bytes"
	"context"
	"fmt"
	"image/png"
	"io"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/smalti/smalti/event"
	"github.com/smalti/smalti/weights"
)

// Files of a game's run besides those of every run.
const (
	FramesDir      = "frames"           // sheets, step by step
	CheckpointsDir = "checkpoints"      // older checkpoints that are kept
	BestFile       = "best.safetensors" // the model with the best score
)

// Keep says which checkpoints stay.
type Keep struct {
	Last int    // older ones besides the newest two; 0 none
	Best string // the score whose smallest value marks the best model; empty for none
}

// tally averages named figures since its last restart.
type tally struct {
	sum   map[string]float64
	count map[string]int
	step  int
	since time.Time
}

func (t *tally) restart(now time.Time) {
	*t = tally{sum: map[string]float64{}, count: map[string]int{}, since: now}
}

func (t *tally) add(name string, x float64) { t.sum[name] += x; t.count[name]++ }

func (t *tally) means() map[string]float64 {
	out := make(map[string]float64, len(t.sum))
	for name, s := range t.sum {
		out[name] = s / float64(t.count[name])
	}
	return out
}

// report emits the means of the figures every Config.ScalarsEvery steps.
func (r *gameRun) report() {
	c, n := r.Config, r.state.step
	r.window.step++
	if n%c.ScalarsEvery != 0 && n != c.Steps {
		return
	}
	values, losses := r.window.means(), map[string]float64{}
	for i, p := range r.board.phases {
		losses[p.Name] = values[p.Name+".loss"]
		values[p.Name+".lr"] = r.board.phases[i].Optimiser.Rate(n*p.Turns - 1)
	}
	batch := c.MicroBatches * c.BatchSize
	values["images"] = float64(n * batch)
	if s := r.now().Sub(r.window.since).Seconds(); s > 0 {
		values["images_per_second"] = float64(r.window.step*batch) / s
	}
	r.sink.Emit(event.Event{Kind: event.Scalars, Step: n, Steps: c.Steps, Losses: losses, Values: values, Seconds: r.now().Sub(r.began).Seconds()})
	r.window.restart(r.now())
}

func (r *gameRun) sizes() map[string]float64 {
	out := map[string]float64{}
	for _, p := range r.board.players {
		out[p.name] = float64(len(p.flat.value))
	}
	return out
}

// averages are the weights that are judged and exported: the moving average, with running statistics that fit it.
func (r *gameRun) averages(ctx context.Context) (Values, error) {
	s, ok := r.Game.(Settler)
	if !ok || r.Config.EMA == 0 { // without an average the statistics belong to the weights
		return r.board.values(r.board.flat.ema), nil
	}
	if r.settled == nil || r.settledAt != r.state.step {
		v, err := s.Settle(ctx, r.workers[0].engine, r.board.values(r.board.flat.ema))
		if err != nil {
			return nil, err
		}
		r.settled, r.settledAt = v, r.state.step
	}
	return r.settled, nil
}

// sheet shows what the game makes and writes it into the folder of frames. Its time does not count as training speed.
func (r *gameRun) sheet(ctx context.Context) error {
	s, ok := r.Game.(Sheeter)
	if !ok || r.SheetEvery <= 0 {
		return nil
	}
	before := r.now()
	values, err := r.averages(ctx)
	if err != nil {
		return err
	}
	img, err := s.Sheet(ctx, r.workers[0].engine, values)
	if err != nil {
		return fmt.Errorf("train: sheet after step %d: %w", r.state.step, err)
	}
	path := filepath.Join(r.Dir, FramesDir, fmt.Sprintf("%07d.png", r.state.step))
	var b bytes.Buffer
	if err := png.Encode(&b, img); err != nil {
		return fmt.Errorf("train: sheet: %w", err)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
		return fmt.Errorf("train: sheet: %w", err)
	}
	if err := weights.SaveFile(path, func(w io.Writer) error { _, err := w.Write(b.Bytes()); return err }); err != nil {
		return fmt.Errorf("train: sheet: %w", err)
	}
	r.window.since = r.window.since.Add(r.now().Sub(before))
	r.sink.Emit(event.Event{Kind: event.Samples, Step: r.state.step, Steps: r.Config.Steps, Path: path, Picture: img})
	return nil
}

// evaluate judges the moving average, and keeps the model when it is the best so far.
func (r *gameRun) evaluate(ctx context.Context) (Evaluation, error) {
	before := r.now()
	values, err := r.averages(ctx)
	if err != nil {
		return Evaluation{}, err
	}
	ev, err := r.Game.Evaluate(ctx, r.workers[0].engine, values)
	if err != nil {
		return Evaluation{}, fmt.Errorf("train: evaluate after step %d: %w", r.state.step, err)
	}
	var spreads map[string]event.Histogram
	if p, ok := r.Game.(Prober); ok {
		var scores map[string]float64
		if spreads, scores, err = p.Probe(ctx, r.workers[0].engine, values); err != nil {
			return Evaluation{}, fmt.Errorf("train: probe after step %d: %w", r.state.step, err)
		}
		if ev.Scores == nil {
			ev.Scores = map[string]float64{}
		}
		maps.Copy(ev.Scores, scores)
	}
	r.window.since = r.window.since.Add(r.now().Sub(before))
	n := r.state.step
	r.sink.Emit(event.Event{Kind: event.Scalars, Step: n, Steps: r.Config.Steps, Scores: ev.Scores, Histograms: spreads})
	if ev.Sheet != nil {
		r.sink.Emit(event.Event{Kind: event.Samples, Step: n, Steps: r.Config.Steps, Picture: ev.Sheet})
	}
	score, ok := ev.Scores[r.Keep.Best]
	if !ok || r.Export == nil || math.IsNaN(score) || score >= float64(r.best[0]) {
		return ev, nil
	}
	path := filepath.Join(r.Dir, BestFile)
	if err := r.Export(path, r.board.flat.decls, values); err != nil {
		return ev, fmt.Errorf("train: write the best model: %w", err)
	}
	r.best[0], r.best[1] = float32(score), float32(n)
	r.sink.Emit(event.Event{Kind: event.Saved, Step: n, Path: path, Scores: map[string]float64{r.Keep.Best: score}})
	return ev, nil
}

func (r *gameRun) save() error {
	if err := r.state.save(r.Dir); err != nil {
		return fmt.Errorf("train: checkpoint: %w", err)
	}
	newest := filepath.Join(r.Dir, StateFile)
	if err := r.keep(newest); err != nil {
		return fmt.Errorf("train: keep a checkpoint: %w", err)
	}
	r.sink.Emit(event.Event{Kind: event.Checkpoint, Step: r.state.step, Path: newest})
	if r.Export == nil {
		return nil
	}
	values, err := r.averages(context.Background()) // a checkpoint is whole, also one that a cancelled run leaves
	if err != nil {
		return err
	}
	if err := r.Export(filepath.Join(r.Dir, ModelFile), r.board.flat.decls, values); err != nil {
		return fmt.Errorf("train: write the model: %w", err)
	}
	return nil
}

// keep copies the newest checkpoint to the kept ones and removes those that are too many.
func (r *gameRun) keep(newest string) error {
	if r.Keep.Last < 1 {
		return nil
	}
	dir := filepath.Join(r.Dir, CheckpointsDir)
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return err
	}
	path := filepath.Join(dir, fmt.Sprintf("%07d.safetensors", r.state.step))
	if err := weights.SaveFile(path, func(w io.Writer) error {
		f, err := os.Open(newest)
		if err != nil {
			return err
		}
		defer f.Close()
		_, err = io.Copy(w, f)
		return err
	}); err != nil {
		return err
	}
	entries, err := os.ReadDir(dir) // sorted
	if err != nil {
		return err
	}
	entries = slices.DeleteFunc(entries, func(e os.DirEntry) bool { return !strings.HasSuffix(e.Name(), ".safetensors") })
	for len(entries) > r.Keep.Last {
		if err := os.Remove(filepath.Join(dir, entries[0].Name())); err != nil {
			return err
		}
		entries = entries[1:]
	}
	return nil
}

// stop saves a run that ends before its last step.
func (r *gameRun) stop(ctx context.Context, saved int) (Result, error) {
	if saved != r.state.step {
		if err := r.save(); err != nil {
			return r.result(nil), err
		}
	}
	r.sink.Emit(event.Event{Kind: event.Notice, Step: r.state.step, Steps: r.Config.Steps, Message: "stopped before the last step; the state is saved"})
	return r.result(nil), ctx.Err()
}

func (r *gameRun) result(scores map[string]float64) Result {
	values := r.board.values(r.board.flat.ema)
	if r.settled != nil && r.settledAt == r.state.step {
		values = r.settled
	}
	return Result{Step: r.state.step, Finished: r.state.step >= r.Config.Steps, Decls: r.board.flat.decls, EMA: values, Scores: scores}
}

func (r *gameRun) now() time.Time {
	if r.Config.Now == nil {
		return time.Time{}
	}
	return r.Config.Now()
}

func (r *gameRun) late() bool { return r.Config.For > 0 && r.now().Sub(r.began) >= r.Config.For }
