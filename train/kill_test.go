package train

import (
	"bytes"
	"context"
	"errors"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// killedEnv names the folder in which a child of this test trains until it is killed.
const killedEnv = "SMALTI_TEST_KILLED"

func killedConfig() Config {
	c := toyConfig()
	c.Steps, c.SaveEvery, c.EvalEvery, c.ScalarsEvery, c.MicroBatches = 400, 3, 50, 10, 2
	return c
}

// TestKilledChild is the child: it trains, or goes on.
func TestKilledChild(t *testing.T) {
	dir := os.Getenv(killedEnv)
	if dir == "" {
		t.Skip("runs as a child of TestGameSurvivesKills")
	}
	l := duelLoop(killedConfig(), dir)
	l.Resume, l.SheetEvery = hasState(dir), 0
	if _, err := l.Run(context.Background()); err != nil {
		t.Fatal(err)
	}
}

// TestGameSurvivesKills kills a training twenty times, wherever it is, and lets it end.
func TestGameSurvivesKills(t *testing.T) {
	if testing.Short() {
		t.Skip("starts many processes")
	}
	self, err := os.Executable()
	if err != nil {
		t.Skip(err)
	}
	dir := t.TempDir()
	child := func(limit time.Duration) error {
		ctx, cancel := context.WithTimeout(context.Background(), limit)
		defer cancel()
		cmd := exec.CommandContext(ctx, self, "-test.run", "^TestKilledChild$")
		cmd.Env = append(os.Environ(), killedEnv+"="+dir)
		out, err := cmd.CombinedOutput() // a context that ends kills with SIGKILL
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		return nil
	}
	kills := 0
	for range 20 {
		if errors.Is(child(time.Duration(80+rand.IntN(170))*time.Millisecond), context.DeadlineExceeded) { // a draw of the clock, not of a training
			kills++
		}
	}
	if err := child(time.Minute); err != nil {
		t.Fatal(err)
	}
	whole := duelLoop(killedConfig(), t.TempDir())
	whole.SheetEvery = 0
	runDuel(t, whole)
	for _, name := range []string{StateFile, ModelFile, BestFile} {
		if !bytes.Equal(readFile(t, dir, name), readFile(t, whole.Dir, name)) {
			t.Errorf("after %d kills %s differs from that of one run", kills, name)
		}
	}
	if kills < 5 {
		t.Errorf("only %d of 20 children were killed before they ended", kills)
	}
}

func TestGameFailingDiskKeepsLastCheckpoint(t *testing.T) {
	c := toyConfig()
	l := duelLoop(c, t.TempDir())
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	l.Sink = cancelAt(6, cancel)
	if _, err := l.Run(ctx); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	good := readFile(t, l.Dir, StateFile)
	// Where the next checkpoint is to be written there is a folder that cannot be replaced.
	block := filepath.Join(l.Dir, "state.next.safetensors")
	if err := os.MkdirAll(filepath.Join(block, "full"), 0o777); err != nil {
		t.Fatal(err)
	}
	l.Sink, l.Resume = nil, true
	if _, err := l.Run(context.Background()); err == nil || !strings.Contains(err.Error(), "checkpoint") {
		t.Errorf("a checkpoint that could not be written: %v", err)
	}
	if !bytes.Equal(readFile(t, l.Dir, StateFile), good) {
		t.Error("the last good checkpoint was touched")
	}
	if err := os.RemoveAll(block); err != nil {
		t.Fatal(err)
	}
	runDuel(t, l)
	whole := duelLoop(c, t.TempDir())
	runDuel(t, whole)
	if !bytes.Equal(readFile(t, l.Dir, StateFile), readFile(t, whole.Dir, StateFile)) {
		t.Error("the end after a failing disk differs")
	}
}
