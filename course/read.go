package course

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/smalti/smalti/event"
	"github.com/smalti/smalti/train"
)

// History is what the journal of a run says.
type History struct {
	Steps  int                 // the last step that is told of
	Values map[string]*Series  // figures of the training
	Scores map[string]*Series  // of the evaluations
	Norms  map[string]spreadOf // of the last evaluation: norms of the judge's gradient
}

// Series is a figure over steps.
type Series struct{ Step, Y []float64 }

type spreadOf = event.Histogram

// readHistory reads events.jsonl of a run.
func readHistory(dir string) (*History, error) {
	f, err := os.Open(filepath.Join(dir, train.EventsFile))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	h := &History{Values: map[string]*Series{}, Scores: map[string]*Series{}}
	sc := bufio.NewScanner(f)
	sc.Buffer(nil, 1<<24)
	for line := 1; sc.Scan(); line++ {
		var e event.Event
		if err := json.Unmarshal(sc.Bytes(), &e); err != nil {
			return nil, fmt.Errorf("%s line %d: %w", train.EventsFile, line, err)
		}
		if e.Kind != event.Scalars {
			continue
		}
		h.Steps = max(h.Steps, e.Step)
		add(h.Values, e.Step, e.Values)
		add(h.Scores, e.Step, e.Scores)
		if len(e.Histograms) > 0 {
			h.Norms = e.Histograms
		}
	}
	return h, sc.Err()
}

func add(into map[string]*Series, step int, values map[string]float64) {
	for name, v := range values {
		s := into[name]
		if s == nil {
			s = &Series{}
			into[name] = s
		}
		s.Step, s.Y = append(s.Step, float64(step)), append(s.Y, v)
	}
}

// at is the value at a step, or the mean of what was reported in the given number of steps up to it.
func (s *Series) at(step, window float64) (float64, bool) {
	if s == nil {
		return 0, false
	}
	sum, n := 0., 0.
	for i, x := range s.Step {
		if x > step-window && x <= step {
			sum, n = sum+s.Y[i], n+1
		}
	}
	return sum / max(n, 1), n > 0
}

// since are the values after a share of the steps.
func (s *Series) since(share float64, steps int) []float64 {
	if s == nil {
		return nil
	}
	var out []float64
	for i, x := range s.Step {
		if x > share*float64(steps) {
			out = append(out, s.Y[i])
		}
	}
	return out
}

// until are the values up to a share of the steps.
func (s *Series) until(share float64, steps int) []float64 {
	if s == nil {
		return nil
	}
	n := slices.IndexFunc(s.Step, func(x float64) bool { return x > share*float64(steps) })
	if n < 0 {
		n = len(s.Y)
	}
	return s.Y[:n]
}

// frame is the sheet nearest to a step.
func frame(dir string, step float64) (path string, at int, err error) {
	entries, err := os.ReadDir(filepath.Join(dir, train.FramesDir))
	if err != nil {
		return "", 0, err
	}
	best := -1.
	for _, e := range entries {
		n, err := strconv.Atoi(strings.TrimSuffix(e.Name(), ".png"))
		if err != nil {
			continue
		}
		if d := abs(float64(n) - step); best < 0 || d < best {
			best, at, path = d, n, filepath.Join(dir, train.FramesDir, e.Name())
		}
	}
	if best < 0 {
		return "", 0, fmt.Errorf("%s has no sheets", dir)
	}
	return path, at, nil
}

func abs(x float64) float64 { return max(x, -x) }
