package train

import (
	"bytes"
	"context"
	"errors"
	"math"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/smalti/smalti/event"
)

// fragile is a toy that breaks in its sixth step when a weight makes too large a move there.
type fragile struct {
	*toy
	limit float64
	moved *float64 // by how much it moved when it did not break
}

func (f fragile) Memory() Values { return Values{"counter": f.counter} }

func (f fragile) AfterStep(step int, _ [][]Array, w Weights) error {
	value, _, _, _, _ := w.Get("in.weight")
	d := math.Abs(float64(value[0] - f.counter[0]))
	f.counter[0] = value[0]
	if step != 6 {
		return nil
	}
	if d > f.limit {
		value[0] = float32(math.NaN())
	} else if f.moved != nil {
		*f.moved = d
	}
	return nil
}

func TestRollBackGoesOnAtHalfTheRateAndResumesByteEqual(t *testing.T) {
	c := toyConfig() // checkpoints after steps 4 and 8
	var moved float64
	sound := Loop{Config: c, Recipe: fragile{newToy(c), math.Inf(1), &moved}, Dir: t.TempDir()}
	if _, err := sound.Run(context.Background()); err != nil {
		t.Fatal(err)
	}
	limit := .75 * moved // half of it passes
	whole, parts := t.TempDir(), t.TempDir()
	var rec event.Recorder
	l := Loop{Config: c, Recipe: fragile{newToy(c), limit, nil}, Dir: whole, Sink: &rec}
	res, err := l.Run(context.Background())
	if err != nil || !res.Finished {
		t.Fatalf("%v after step %d", err, res.Step)
	}
	w, ok := rec.Last(event.Warning)
	if !ok || !strings.Contains(w.Message, "in step 7: back to the checkpoint of step 4, on at 1/2") {
		t.Errorf("it said %q", w.Message)
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	l = Loop{Config: c, Recipe: fragile{newToy(c), limit, nil}, Dir: parts, Sink: cancelAt(10, cancel)}
	if _, err := l.Run(ctx); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	l = Loop{Config: c, Recipe: fragile{newToy(c), limit, nil}, Dir: parts, Resume: true}
	if _, err := l.Run(context.Background()); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(readFile(t, whole, StateFile), readFile(t, parts, StateFile)) {
		t.Error("a run that was set back and one that was stopped after that differ")
	}
}

// tripped is a duel whose maker meets a NaN in its eighth step the first time it gets there.
type tripped struct {
	duel
	trips *atomic.Int32
}

func (d tripped) Batch(at Turn) ([]Array, error) {
	arrays, err := d.duel.Batch(at)
	if at.Step == 7 && at.Phase == 1 && at.Micro == 0 && d.trips.Add(-1) >= 0 {
		arrays[0].F[0] = float32(math.NaN())
	}
	return arrays, err
}

func TestGameRollBackGoesOnAtHalfTheRatesAndResumesByteEqual(t *testing.T) {
	c := toyConfig()
	game := func(dir string, sink event.Sink) GameLoop {
		l := duelLoop(c, dir)
		trips := new(atomic.Int32)
		trips.Store(1)
		l.Game, l.Sink = tripped{duel{c: c}, trips}, sink
		return l
	}
	var rec event.Recorder
	whole := game(t.TempDir(), &rec)
	runDuel(t, whole)
	w, ok := rec.Last(event.Warning)
	if !ok || !strings.Contains(w.Message, "in step 8: back to the checkpoint of step 4, on at 1/2") {
		t.Errorf("it said %q", w.Message)
	}
	sound := duelLoop(c, t.TempDir())
	runDuel(t, sound)
	if bytes.Equal(readFile(t, whole.Dir, StateFile), readFile(t, sound.Dir, StateFile)) {
		t.Error("half the rates end where the whole ones do")
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	parts := game(t.TempDir(), cancelAt(10, cancel))
	if _, err := parts.Run(ctx); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	parts.Sink, parts.Resume = nil, true
	runDuel(t, parts)
	if !bytes.Equal(readFile(t, whole.Dir, StateFile), readFile(t, parts.Dir, StateFile)) {
		t.Error("a game that was set back and one that was stopped after that differ")
	}
}
