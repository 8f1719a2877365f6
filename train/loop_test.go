package train

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/smalti/smalti/event"
)

func readFile(t *testing.T, parts ...string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(parts...))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestLossFalls(t *testing.T) {
	c := toyConfig()
	c.Steps, c.ScalarsEvery = 150, 50
	var rec event.Recorder
	l := Loop{Config: c, Recipe: newToy(c), Dir: t.TempDir(), Sink: &rec}
	res, err := l.Run(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	var losses []float64
	for _, e := range rec.Events(event.Scalars) {
		if e.Values != nil {
			losses = append(losses, e.Loss)
		}
	}
	if len(losses) != 3 || losses[2] > .2*losses[0] {
		t.Errorf("mean losses of 50 steps each: %v, want the last below a fifth of the first", losses)
	}
	if !res.Finished || res.Step != 150 || len(res.EMA["in.weight"]) != 48 || len(res.Scores) != 1 {
		t.Errorf("result %+v", res)
	}
}

func TestWorkersDoNotMatter(t *testing.T) {
	var states [][]byte
	for _, workers := range []int{1, 2, 3} {
		c := toyConfig()
		c.Workers = workers
		dir := t.TempDir()
		runToy(t, context.Background(), c, dir, false)
		states = append(states, readFile(t, dir, StateFile))
	}
	if !bytes.Equal(states[0], states[1]) || !bytes.Equal(states[0], states[2]) {
		t.Error("the state after 12 steps depends on the number of workers")
	}
}

func TestResumeIsByteEqual(t *testing.T) {
	whole, parts := t.TempDir(), t.TempDir()
	c := toyConfig()
	runToy(t, context.Background(), c, whole, false)

	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	l := Loop{Config: c, Recipe: newToy(c), Dir: parts, Sink: cancelAt(6, cancel)}
	res, err := l.Run(ctx)
	if !errors.Is(err, context.Canceled) || res.Step != 6 || res.Finished {
		t.Fatalf("cancelled after step 6: %v at step %d", err, res.Step)
	}
	if bytes.Equal(readFile(t, parts, StateFile), readFile(t, whole, StateFile)) {
		t.Fatal("the states after 6 and after 12 steps are the same")
	}
	runToy(t, context.Background(), c, parts, true)
	if !bytes.Equal(readFile(t, parts, StateFile), readFile(t, whole, StateFile)) {
		t.Error("stopped at 6 and resumed: the state after 12 steps differs from that of one run")
	}
}

func TestResumeFromOlderCheckpoint(t *testing.T) {
	whole, dir := t.TempDir(), t.TempDir()
	c := toyConfig()
	runToy(t, context.Background(), c, whole, false)
	runToy(t, context.Background(), c, dir, false)
	// The newest checkpoint (step 12) is cut short; the one before (step 8) must serve, and lead to the same end.
	if err := os.Truncate(filepath.Join(dir, StateFile), 700); err != nil {
		t.Fatal(err)
	}
	var rec event.Recorder
	l := Loop{Config: c, Recipe: newToy(c), Dir: dir, Resume: true, Sink: &rec}
	if _, err := l.Run(context.Background()); err != nil {
		t.Fatal(err)
	}
	if w, ok := rec.Last(event.Warning); !ok || w.Step != 8 {
		t.Errorf("warning %+v", w)
	}
	if !bytes.Equal(readFile(t, dir, StateFile), readFile(t, whole, StateFile)) {
		t.Error("the end differs")
	}
	var steps []int
	for line := range strings.Lines(string(readFile(t, dir, EventsFile))) {
		var e event.Event
		if err := e.UnmarshalJSON([]byte(line)); err != nil {
			t.Fatal(err)
		}
		if e.Kind == event.Scalars && e.Values != nil {
			steps = append(steps, e.Step)
		}
	}
	if !slices.Equal(steps, []int{2, 4, 6, 8, 10, 12}) {
		t.Errorf("events.jsonl tells of steps %v, want each once", steps)
	}
}

func TestBothCheckpointsBroken(t *testing.T) {
	dir := t.TempDir()
	c := toyConfig()
	runToy(t, context.Background(), c, dir, false)
	for _, name := range []string{StateFile, OlderFile} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("not weights"), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	l := Loop{Config: c, Recipe: newToy(c), Dir: dir, Resume: true}
	if _, err := l.Run(context.Background()); !errors.Is(err, ErrNoState) {
		t.Errorf("got %v", err)
	}
	l.Dir = t.TempDir()
	if _, err := l.Run(context.Background()); !errors.Is(err, ErrNoState) {
		t.Errorf("empty folder: got %v", err)
	}
}

func TestNewRunRefusesUsedFolder(t *testing.T) {
	dir := t.TempDir()
	c := toyConfig()
	runToy(t, context.Background(), c, dir, false)
	before := readFile(t, dir, StateFile)
	l := Loop{Config: c, Recipe: newToy(c), Dir: dir}
	if _, err := l.Run(context.Background()); !errors.Is(err, ErrHasState) {
		t.Errorf("got %v", err)
	}
	if !bytes.Equal(before, readFile(t, dir, StateFile)) {
		t.Error("the state was touched")
	}
}

func TestNotFiniteKeepsLastCheckpoint(t *testing.T) {
	dir := t.TempDir()
	c := toyConfig()
	bad := newToy(c)
	bad.poison = 6 // in the seventh step; the checkpoint of step 4 is the last good one
	l := Loop{Config: c, Recipe: bad, Dir: dir}
	res, err := l.Run(context.Background())
	if !errors.Is(err, ErrNotFinite) || !strings.Contains(err.Error(), "step 7") || res.Step != 6 {
		t.Fatalf("got %v at step %d", err, res.Step)
	}
	var rec event.Recorder
	good := Loop{Config: c, Recipe: newToy(c), Dir: dir, Resume: true, Sink: &rec}
	if res, err = good.Run(context.Background()); err != nil || !res.Finished {
		t.Fatal(err)
	}
	if e, _ := rec.Last(event.Started); e.Step != 4 {
		t.Errorf("resumed after step %d, want 4", e.Step)
	}
}

func TestTimeIsUp(t *testing.T) {
	dir := t.TempDir()
	c := toyConfig()
	var clock time.Time
	c.Now = func() time.Time { clock = clock.Add(time.Second); return clock }
	c.For = 10 * time.Second
	res := runToy(t, context.Background(), c, dir, false)
	if res.Finished || res.Step < 1 || res.Step >= 12 {
		t.Errorf("stopped at step %d, finished %v", res.Step, res.Finished)
	}
	c.For, c.Now = 0, nil
	runToy(t, context.Background(), c, dir, true)
	whole := t.TempDir()
	runToy(t, context.Background(), c, whole, false)
	if !bytes.Equal(readFile(t, dir, StateFile), readFile(t, whole, StateFile)) {
		t.Error("a run in two sittings differs from one in one")
	}
}

func TestWarmStart(t *testing.T) {
	c := toyConfig()
	c.Steps, c.LR = 1, 0
	toy := newToy(c)
	given := make([]float32, 16)
	for i := range given {
		given[i] = float32(i)
	}
	l := Loop{Config: c, Recipe: toy, Dir: t.TempDir(), Warm: Values{"out.weight": given, "head.of.another.model": {1}}}
	res, err := l.Run(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(res.EMA["out.weight"], given) {
		t.Errorf("out.weight starts at %v", res.EMA["out.weight"])
	}
	l.Dir, l.Warm = t.TempDir(), Values{"out.weight": given[:3]}
	if _, err := l.Run(context.Background()); err == nil || !strings.Contains(err.Error(), "out.weight") {
		t.Errorf("wrong size: %v", err)
	}
	l.Dir, l.Warm = t.TempDir(), Values{"nothing": given}
	if _, err := l.Run(context.Background()); err == nil {
		t.Error("weights of another model were accepted")
	}
}

func TestConfigSurvivesTheFolder(t *testing.T) {
	dir := t.TempDir()
	c := toyConfig()
	if err := WriteConfig(dir, c); err != nil {
		t.Fatal(err)
	}
	var back Config
	if err := ReadConfig(dir, &back); err != nil {
		t.Fatal(err)
	}
	if back.Steps != c.Steps || back.EMA != c.EMA || back.Schedule != c.Schedule {
		t.Errorf("read back %+v", back)
	}
	if err := os.WriteFile(filepath.Join(dir, ConfigFile), []byte(`{"stepz": 3}`), 0o666); err != nil {
		t.Fatal(err)
	}
	if err := ReadConfig(dir, &back); err == nil || !strings.Contains(err.Error(), "stepz") {
		t.Errorf("unknown field: %v", err)
	}
}
