package train

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/smalti/smalti/event"
)

// killedEnv names the folder in which a child of this test trains, killedAfter the number of events after which it kills
// itself; 0 lets it end.
const (
	killedEnv   = "SMALTI_TEST_KILLED"
	killedAfter = "SMALTI_TEST_KILLED_AFTER"
)

func killedConfig() Config {
	c := toyConfig()
	c.Steps, c.SaveEvery, c.EvalEvery, c.ScalarsEvery, c.MicroBatches = 400, 3, 50, 10, 2
	return c
}

// TestKilledChild is the child: it trains, or goes on. It dies by SIGKILL a random moment after an event, so that how fast the
// machine is does not matter.
func TestKilledChild(t *testing.T) {
	dir := os.Getenv(killedEnv)
	if dir == "" {
		t.Skip("runs as a child of TestGameSurvivesKills")
	}
	l := duelLoop(killedConfig(), dir)
	l.Resume, l.SheetEvery = hasState(dir), 0
	if left, _ := strconv.Atoi(os.Getenv(killedAfter)); left > 0 {
		self, err := os.FindProcess(os.Getpid())
		if err != nil {
			t.Fatal(err)
		}
		l.Sink = event.Func(func(event.Event) {
			if left--; left == 0 { // the delay is a draw of the clock, not of a training
				time.AfterFunc(time.Duration(rand.IntN(1000))*time.Microsecond, func() { _ = self.Kill() })
			}
		})
	}
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
	child := func(after int) (killed bool) {
		cmd := exec.Command(self, "-test.run", "^TestKilledChild$")
		cmd.Env = append(os.Environ(), killedEnv+"="+dir, fmt.Sprintf("%s=%d", killedAfter, after))
		out, err := cmd.CombinedOutput()
		if err == nil {
			return false
		}
		if cmd.ProcessState.ExitCode() != -1 { // -1: a signal ended it
			t.Fatalf("%v\n%s", err, out)
		}
		return true
	}
	// The whole run has some 180 events, of which 20 children that die after at most 4 see about half.
	kills := 0
	for range 20 {
		if child(1 + rand.IntN(4)) {
			kills++
		}
	}
	if child(0) {
		t.Fatal("the last child was killed, which nobody asked for")
	}
	whole := duelLoop(killedConfig(), t.TempDir())
	whole.SheetEvery = 0
	runDuel(t, whole)
	for _, name := range []string{StateFile, ModelFile, BestFile} {
		if !bytes.Equal(readFile(t, dir, name), readFile(t, whole.Dir, name)) {
			t.Errorf("after %d kills %s differs from that of one run", kills, name)
		}
	}
	if kills < 10 {
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
