package train

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/smalti/smalti/event"
)

// killedEnv names the folder in which a child of this test trains, killedData the data of a real GAN (a game of numbers
// is trained without), killedAfter the number of events after which it kills itself; 0 lets it end. killsEnv is how often
// children are killed, if not as often as an everyday test has time for: SMALTI_KILLS=20 go test ./train -run Kills -v
const (
	killedEnv   = "SMALTI_TEST_KILLED"
	killedData  = "SMALTI_TEST_KILLED_DATA"
	killedAfter = "SMALTI_TEST_KILLED_AFTER"
	killsEnv    = "SMALTI_KILLS"
	fewKills    = 3
)

func killedConfig() Config {
	c := toyConfig()
	c.Steps, c.SaveEvery, c.EvalEvery, c.ScalarsEvery, c.MicroBatches = 400, 3, 50, 10, 2
	return c
}

// killedGAN is a real training in small, with all its files.
func killedGAN(data string) GANConfig {
	c := tinyGAN(data, WGANGP)
	c.Train.Steps, c.Train.SaveEvery, c.Train.EvalEvery, c.Train.ScalarsEvery, c.SheetEvery = 60, 2, 20, 3, 10
	return c
}

// killable trains in a folder, or goes on: a GAN of data, or a game of numbers.
func killable(dir, data string, sink event.Sink) error {
	if data != "" {
		_, err := RunGAN(context.Background(), killedGAN(data), sink, Options{Dir: dir, Resume: hasState(dir)})
		return err
	}
	l := duelLoop(killedConfig(), dir)
	l.Resume, l.SheetEvery, l.Sink = hasState(dir), 0, sink
	_, err := l.Run(context.Background())
	return err
}

// TestKilledChild is the child: it trains, or goes on. It dies by SIGKILL a random moment after an event, so that how fast the
// machine is does not matter.
func TestKilledChild(t *testing.T) {
	dir := os.Getenv(killedEnv)
	if dir == "" {
		t.Skip("runs as a child of the tests that kill")
	}
	var sink event.Sink
	if left, _ := strconv.Atoi(os.Getenv(killedAfter)); left > 0 {
		self, err := os.FindProcess(os.Getpid())
		if err != nil {
			t.Fatal(err)
		}
		sink = event.Func(func(event.Event) {
			if left--; left == 0 { // the delay is a draw of the clock, not of a training
				time.AfterFunc(time.Duration(rand.IntN(1000))*time.Microsecond, func() { _ = self.Kill() })
			}
		})
	}
	if err := killable(dir, os.Getenv(killedData), sink); err != nil {
		t.Fatal(err)
	}
}

// TestKills kills a training again and again, wherever it is, and lets it end: its files are those of a run in one piece.
func TestKills(t *testing.T) {
	if testing.Short() {
		t.Skip("starts many processes")
	}
	wanted := fewKills
	if n, err := strconv.Atoi(os.Getenv(killsEnv)); err == nil {
		wanted = n
	}
	// A child dies after at most so many events: a whole run of the game has some 180 of them, one of the GAN some 60.
	for name, c := range map[string]struct {
		data   string
		events int
		files  []string
	}{
		"a game of numbers": {"", 4, []string{StateFile, ModelFile, BestFile}},
		"a WGAN-GP":         {barSet(t), 2, []string{StateFile, ModelFile}},
	} {
		t.Run(name, func(t *testing.T) {
			dir, whole := t.TempDir(), t.TempDir()
			kills := 0
			for range wanted {
				if killedChild(t, dir, c.data, 1+rand.IntN(c.events)) {
					kills++
				}
			}
			if killedChild(t, dir, c.data, 0) {
				t.Fatal("the last child was killed, which nobody asked for")
			}
			if err := killable(whole, c.data, nil); err != nil {
				t.Fatal(err)
			}
			for _, name := range c.files {
				if !bytes.Equal(readFile(t, dir, name), readFile(t, whole, name)) {
					t.Errorf("after %d kills %s differs from that of one run", kills, name)
				}
			}
			if got, want := reported(t, readFile(t, dir, EventsFile)), reported(t, readFile(t, whole, EventsFile)); !slices.Equal(got, want) {
				t.Errorf("after %d kills the journal tells of %v, want %v", kills, got, want)
			}
			t.Logf("%d of %d children were killed", kills, wanted)
			if 2*kills < wanted {
				t.Errorf("only %d of %d children were killed before they ended", kills, wanted)
			}
		})
	}
}

// killedChild starts a child, and tells whether it was killed.
func killedChild(t *testing.T, dir, data string, after int) bool {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Skip(err)
	}
	cmd := exec.Command(self, "-test.run", "^TestKilledChild$")
	cmd.Env = append(os.Environ(), killedEnv+"="+dir, killedData+"="+data, fmt.Sprintf("%s=%d", killedAfter, after))
	out, err := cmd.CombinedOutput()
	if err == nil {
		return false
	}
	if cmd.ProcessState.ExitCode() != -1 { // -1: a signal ended it
		t.Fatalf("%v\n%s", err, out)
	}
	return true
}

// reported lists the steps that a journal has figures and scores of: each once and in order, however often a run was cut.
// The figures themselves are means since the last report or start.
func reported(t *testing.T, b []byte) (out []string) {
	t.Helper()
	for line := range bytes.Lines(b) {
		var e event.Event
		if err := json.Unmarshal(line, &e); err != nil {
			t.Errorf("a line of the journal: %v", err)
		}
		if e.Kind == event.Scalars {
			out = append(out, fmt.Sprintf("%d scores:%v", e.Step, len(e.Scores) > 0))
		}
	}
	return out
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
