package train

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"image"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/gomlx/gomlx/core/graph"

	"github.com/smalti/smalti/engine"
	"github.com/smalti/smalti/event"
	"github.com/smalti/smalti/gx"
	"github.com/smalti/smalti/rng"
)

// duel is a game of a few numbers: one player fits the mean and slope of data, the other judges it; a statistic of the
// data moves along.
type duel struct {
	c      Config
	poison int // step whose second phase meets a NaN; 0 none
}

func (d duel) Name() string { return "duel" }

func (d duel) net(v *gx.Vars, x *graph.Node) *graph.Node {
	w := v.Get("weight", gx.Spec{Dims: []int{2, 3}, Layout: gx.Linear, Init: gx.KaimingUniform})
	h := graph.Tanh(graph.Dot(x, w).Product())
	return graph.Dot(h, v.Get("out", gx.Spec{Dims: []int{3, 2}, Layout: gx.Linear, Init: gx.KaimingUniform})).Product()
}

func (d duel) Phases() []Phase {
	judge := d.c
	judge.LR, judge.Steps = .01, 2*d.c.Steps
	return []Phase{
		{Name: "judge", Player: "j", Turns: 2, Optimiser: judge, Metrics: []string{"real"}, Loss: func(v *gx.Vars, in []*graph.Node) Played {
			real, fake := d.net(v.In("j"), in[0]), d.net(v.In("j"), graph.StopGradient(d.net(v.In("m"), in[1])))
			m := Move{Name: "m.mean", Batch: graph.ReduceMean(in[0], 0), Start: 1, Momentum: .1}
			return Played{Loss: graph.Sub(graph.ReduceAllMean(graph.Tanh(fake)), graph.ReduceAllMean(graph.Tanh(real))),
				Metrics: []*graph.Node{graph.ReduceAllMean(real)}, Moves: []Move{m, m}}
		}},
		{Name: "maker", Player: "m", Turns: 1, Optimiser: d.c, Loss: func(v *gx.Vars, in []*graph.Node) Played {
			return Played{Loss: graph.Neg(graph.ReduceAllMean(d.net(v.In("j"), d.net(v.In("m"), in[0]))))}
		}},
	}
}

func (d duel) Batch(at Turn) ([]Array, error) {
	s := rng.New(3, "duel", uint64(at.Step), uint64(at.Phase), uint64(at.Turn), uint64(at.Micro))
	x, z := make([]float32, 2*d.c.BatchSize), make([]float32, 2*d.c.BatchSize)
	s.FillUniform(x, 1, 2)
	s.FillNormal(z)
	if d.poison > 0 && at.Step == d.poison && at.Phase == 1 {
		z[0] = float32(math.NaN())
	}
	if at.Phase == 1 {
		return []Array{Floats(z, d.c.BatchSize, 2)}, nil
	}
	return []Array{Floats(x, d.c.BatchSize, 2), Floats(z, d.c.BatchSize, 2)}, nil
}

func (d duel) Evaluate(_ context.Context, _ *engine.Engine, values Values) (Evaluation, error) {
	return Evaluation{Scores: map[string]float64{"distance": float64(values["m.weight"][0]), "mean": float64(values["m.mean"][0])}}, nil
}

func (d duel) Sheet(context.Context, *engine.Engine, Values) (image.Image, error) {
	return image.NewGray(image.Rect(0, 0, 2, 2)), nil
}

func duelLoop(c Config, dir string) GameLoop {
	return GameLoop{Config: c, Game: duel{c: c}, Dir: dir, SheetEvery: 5, Keep: Keep{Last: 2, Best: "distance"},
		Export: func(path string, _ []gx.Decl, values Values) error {
			return os.WriteFile(path, []byte(fmt.Sprint(values["m.weight"], values["m.mean"])), 0o666)
		}}
}

func runDuel(t *testing.T, l GameLoop) Result {
	t.Helper()
	res, err := l.Run(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	return res
}

func TestGameWorkersDoNotMatter(t *testing.T) {
	var states [][]byte
	for _, workers := range []int{1, 3} {
		c := toyConfig()
		c.Workers = workers
		l := duelLoop(c, t.TempDir())
		runDuel(t, l)
		states = append(states, readFile(t, l.Dir, StateFile))
	}
	if !bytes.Equal(states[0], states[1]) {
		t.Error("the state after 12 steps depends on the number of workers")
	}
}

func TestGameResumeIsByteEqual(t *testing.T) {
	c := toyConfig()
	whole := duelLoop(c, t.TempDir())
	want := runDuel(t, whole)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	l := duelLoop(c, t.TempDir())
	l.Sink = cancelAt(6, cancel)
	if res, err := l.Run(ctx); !errors.Is(err, context.Canceled) || res.Step != 6 {
		t.Fatalf("cancelled after step 6: %v at step %d", err, res.Step)
	}
	if bytes.Equal(readFile(t, l.Dir, StateFile), readFile(t, whole.Dir, StateFile)) {
		t.Fatal("the states after 6 and after 12 steps are the same")
	}
	l.Sink, l.Resume = nil, true
	got := runDuel(t, l)
	for _, name := range []string{StateFile, ModelFile, BestFile} {
		if !bytes.Equal(readFile(t, l.Dir, name), readFile(t, whole.Dir, name)) {
			t.Errorf("stopped at 6 and resumed: %s differs from that of one run", name)
		}
	}
	if !slices.Equal(got.EMA["m.mean"], want.EMA["m.mean"]) {
		t.Error("the running statistic differs")
	}
}

func TestGameResumesAfterBeingKilledAnywhere(t *testing.T) {
	c := toyConfig()
	c.SaveEvery = 2
	whole := duelLoop(c, t.TempDir())
	runDuel(t, whole)
	want := readFile(t, whole.Dir, StateFile)
	// A killed process leaves the folder as it is at some moment: here a copy of it at each event.
	dir, copies := t.TempDir(), t.TempDir()
	n := 0
	l := duelLoop(c, dir)
	l.Sink = event.Func(func(event.Event) {
		if hasState(dir) {
			if err := os.CopyFS(filepath.Join(copies, fmt.Sprint(n)), os.DirFS(dir)); err != nil {
				t.Error(err)
			}
			n++
		}
	})
	runDuel(t, l)
	for i := range n {
		l := duelLoop(c, filepath.Join(copies, fmt.Sprint(i)))
		l.Resume = true
		runDuel(t, l)
		if !bytes.Equal(readFile(t, l.Dir, StateFile), want) {
			t.Errorf("killed at event %d: the end differs", i)
		}
	}
	if n < 10 {
		t.Errorf("only %d moments were tried", n)
	}
}

func TestGameRunningStatistics(t *testing.T) {
	c := toyConfig()
	c.Steps = 1
	l := duelLoop(c, t.TempDir())
	res := runDuel(t, l)
	want := float32(1)
	for turn := range 2 {
		for micro := range c.MicroBatches {
			in, err := l.Game.Batch(Turn{Turn: turn, Micro: micro})
			if err != nil {
				t.Fatal(err)
			}
			mean := 0.
			for i := 0; i < len(in[0].F); i += 2 {
				mean += float64(in[0].F[i]) / float64(c.BatchSize)
			}
			for range 2 { // the graph moves it twice
				want = .9*want + .1*float32(mean)
			}
		}
	}
	if got := res.EMA["m.mean"][0]; math.Abs(float64(got-want)) > 1e-5 {
		t.Errorf("running mean %g, want %g", got, want)
	}
}

func TestGameKeepsFilesAndReports(t *testing.T) {
	c := toyConfig()
	c.SaveEvery = 3
	var rec event.Recorder
	l := duelLoop(c, t.TempDir())
	l.Sink = &rec
	runDuel(t, l)
	list := func(dir string) (names []string) {
		entries, err := os.ReadDir(filepath.Join(l.Dir, dir))
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			names = append(names, e.Name())
		}
		return names
	}
	if got := list(CheckpointsDir); !slices.Equal(got, []string{"0000009.safetensors", "0000012.safetensors"}) {
		t.Errorf("kept %v, want the last two", got)
	}
	if got := list(FramesDir); !slices.Equal(got, []string{"0000000.png", "0000005.png", "0000010.png"}) {
		t.Errorf("frames %v", got)
	}
	var steps []int
	for _, e := range rec.Events(event.Scalars) {
		if e.Values == nil {
			continue
		}
		steps = append(steps, e.Step)
		for _, name := range []string{"judge.loss", "judge.real", "judge.gradient_norm", "judge.lr", "maker.loss", "maker.gradient_norm", "images"} {
			if _, ok := e.Values[name]; !ok {
				t.Errorf("step %d: no %s among %v", e.Step, name, e.Values)
			}
		}
	}
	if !slices.Equal(steps, []int{2, 4, 6, 8, 10, 12}) {
		t.Errorf("reports at %v", steps)
	}
	best := math.Inf(1)
	for _, e := range rec.Events(event.Scalars) {
		if d, ok := e.Scores["distance"]; ok {
			best = min(best, d)
		}
	}
	if e, ok := rec.Last(event.Saved); !ok || e.Scores["distance"] != best {
		t.Errorf("best model saved with %v, the best score is %g", e.Scores, best)
	}
}

func TestGameNotFiniteGivesUpAndKeepsACheckpoint(t *testing.T) {
	c := toyConfig()
	l := duelLoop(c, t.TempDir())
	l.Game = duel{c: c, poison: 6}
	var rec event.Recorder
	l.Sink = &rec
	res, err := l.Run(context.Background())
	if !errors.Is(err, ErrNotFinite) || !strings.Contains(err.Error(), "step 7, maker") || res.Step != 4+2 {
		t.Fatalf("got %v at step %d", err, res.Step)
	}
	if w, _ := rec.Last(event.Warning); !strings.Contains(w.Message, "checkpoint of step 4, on at 1/16") {
		t.Errorf("the last warning is %q", w.Message)
	}
	l.Game, l.Resume, l.Sink = duel{c: c}, true, nil
	if res := runDuel(t, l); !res.Finished {
		t.Error("it does not go on from the checkpoint that is left")
	}
}

// stray is a game that uses a variable which nobody trains.
type stray struct{ duel }

func (s stray) Phases() []Phase { return s.duel.Phases()[:1] }

func TestGameRefusesWeightsOfNobody(t *testing.T) {
	c := toyConfig()
	l := GameLoop{Config: c, Game: stray{duel{c: c}}, Dir: t.TempDir()}
	if _, err := l.Run(context.Background()); err == nil || !strings.Contains(err.Error(), "m.") {
		t.Errorf("got %v", err)
	}
}

func TestGameRefusesUsedFolder(t *testing.T) {
	c := toyConfig()
	l := duelLoop(c, t.TempDir())
	runDuel(t, l)
	if _, err := l.Run(context.Background()); !errors.Is(err, ErrHasState) {
		t.Errorf("got %v", err)
	}
}
