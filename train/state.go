package train

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/smalti/smalti/gx"
	"github.com/smalti/smalti/weights"
)

// Files of a run's folder.
const (
	StateFile  = "state.safetensors"      // the newest checkpoint
	OlderFile  = "state.prev.safetensors" // the one before
	ConfigFile = "train.json"             // the configuration, whole
	EventsFile = "events.jsonl"           // the numbers of the run, one event a line
	ModelFile  = "model.safetensors"      // the finished model
)

// Prefixes of tensor names in a checkpoint. Arrays have the layout of the reference's files.
const (
	valuePrefix  = "value."
	firstPrefix  = "adam_m."
	secondPrefix = "adam_v."
	emaPrefix    = "ema."
	memoryPrefix = "memory."
	stepName     = "step"
	backName     = "roll_backs" // absent when there were none
)

var (
	// ErrNotFinite is wrapped by the error of a run whose loss or gradient became NaN or infinite.
	ErrNotFinite = errors.New("not finite")
	// ErrNoState is wrapped by the error of a resume without a usable checkpoint.
	ErrNoState = errors.New("no checkpoint to resume from")
	// ErrHasState is wrapped by the error of a new run in a folder that holds a run.
	ErrHasState = errors.New("the folder holds a run already")
)

// state is everything that the next step depends on.
type state struct {
	step   int // finished steps
	flat   *flat
	memory Values // of a Stepper

	rollBacks int // how often the run was set back because its numbers were not finite; each halves the rates
}

// parts are the arrays of a checkpoint that every variable has.
func (s *state) parts() []struct {
	prefix string
	array  []float32
} {
	return []struct {
		prefix string
		array  []float32
	}{{valuePrefix, s.flat.value}, {firstPrefix, s.flat.m}, {secondPrefix, s.flat.v}, {emaPrefix, s.flat.ema}}
}

// write writes the state as a safetensors file.
func (s *state) write(w io.Writer) error {
	var outs []weights.Out
	for _, p := range s.parts() {
		for i, d := range s.flat.decls {
			outs = append(outs, weights.Out{Name: p.prefix + d.Name, DType: weights.F32, Shape: d.Layout.FileDims(d.Dims),
				Floats: d.Layout.ToFile(s.flat.of(p.array, i), d.Dims)})
		}
	}
	for name, data := range s.memory {
		outs = append(outs, weights.Out{Name: memoryPrefix + name, DType: weights.F32, Shape: []int{len(data)}, Floats: data})
	}
	outs = append(outs, weights.Out{Name: stepName, DType: weights.I64, Shape: []int{1}, Ints: []int64{int64(s.step)}})
	if s.rollBacks > 0 {
		outs = append(outs, weights.Out{Name: backName, DType: weights.I64, Shape: []int{1}, Ints: []int64{int64(s.rollBacks)}})
	}
	return weights.WriteSafetensors(w, map[string]string{"format": "smalti training state"}, outs)
}

// save makes the state the newest checkpoint of a folder and keeps the one before. At every moment the folder holds a
// whole checkpoint under one of the two names.
func (s *state) save(dir string) error {
	next := filepath.Join(dir, "state.next.safetensors")
	if err := weights.SaveFile(next, s.write); err != nil {
		return err
	}
	newest := filepath.Join(dir, StateFile)
	if err := os.Rename(newest, filepath.Join(dir, OlderFile)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return os.Rename(next, newest)
}

// load fills the state from the newest whole checkpoint of a folder. It returns the name of the file used and, when
// that is the older one although there was a newer, what was wrong with the newer.
func (s *state) load(dir string) (used string, newer error, err error) {
	first := s.read(filepath.Join(dir, StateFile))
	if first == nil {
		return StateFile, nil, nil
	}
	second := s.read(filepath.Join(dir, OlderFile))
	switch {
	case second == nil:
		return OlderFile, first, nil
	case errors.Is(first, fs.ErrNotExist) && errors.Is(second, fs.ErrNotExist):
		return "", nil, fmt.Errorf("train: %s: %w", dir, ErrNoState)
	case errors.Is(first, fs.ErrNotExist):
		first = second
	}
	return "", nil, fmt.Errorf("train: %w: %w", ErrNoState, first)
}

func (s *state) read(path string) error {
	f, err := weights.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	l := weights.NewLoader(f)
	for _, p := range s.parts() {
		for i, d := range s.flat.decls {
			if data, err := l.Take(p.prefix+d.Name, d.Layout.FileDims(d.Dims)...); err == nil {
				copy(s.flat.of(p.array, i), d.Layout.FromFile(data, d.Dims))
			}
		}
	}
	for name, into := range s.memory {
		if data, err := l.Take(memoryPrefix+name, len(into)); err == nil {
			copy(into, data)
		}
	}
	step, _ := l.TakeInt64(stepName, 1)
	back := []int64{0}
	if l.Has(backName) {
		back, _ = l.TakeInt64(backName, 1)
	}
	if err := l.Done(); err != nil {
		return fmt.Errorf("%s does not belong to this training: %w", path, err)
	}
	if step[0] < 0 || back[0] < 0 || back[0] > maxRollBacks {
		return fmt.Errorf("%s: step %d, set back %d times", path, step[0], back[0])
	}
	s.step, s.rollBacks = int(step[0]), int(back[0])
	return nil
}

// fill copies starting values in; every variable needs one.
func (s *state) fill(values Values) error {
	for i, d := range s.flat.decls {
		v, ok := values[d.Name]
		if !ok || len(v) != d.Shape().Size() {
			return fmt.Errorf("train: variable %q of shape %v has %d starting values", d.Name, d.Dims, len(v))
		}
		copy(s.flat.of(s.flat.value, i), v)
		copy(s.flat.of(s.flat.ema, i), v)
	}
	return nil
}

// hasState reports whether a folder holds a checkpoint.
func hasState(dir string) bool {
	return slices.ContainsFunc([]string{StateFile, OlderFile}, func(name string) bool {
		_, err := os.Stat(filepath.Join(dir, name))
		return err == nil
	})
}

// WriteConfig writes a run's configuration into its folder.
func WriteConfig(dir string, cfg any) error {
	b, err := json.MarshalIndent(cfg, "", "  ")
	if err != nil {
		return fmt.Errorf("train: configuration: %w", err)
	}
	return weights.SaveFile(filepath.Join(dir, ConfigFile), func(w io.Writer) error {
		_, err := w.Write(append(b, '\n'))
		return err
	})
}

// ReadConfig reads the configuration of a run's folder into cfg. A field that cfg does not know is an error.
func ReadConfig(dir string, cfg any) error {
	f, err := os.Open(filepath.Join(dir, ConfigFile))
	if err != nil {
		return fmt.Errorf("train: %w", err)
	}
	defer f.Close()
	dec := json.NewDecoder(io.LimitReader(f, 1<<24))
	dec.DisallowUnknownFields()
	if err := dec.Decode(cfg); err != nil {
		return fmt.Errorf("train: %s: %w", f.Name(), err)
	}
	return nil
}

// drawn returns starting values of variables from a seed, overlaid with those of a warm start. It returns how many
// variables the warm start gave.
func drawn(decls []gx.Decl, seed uint64, warm Values) (Values, int, error) {
	values := Values(gx.Materialise(decls, seed))
	n := 0
	for _, d := range decls {
		v, ok := warm[d.Name]
		if !ok {
			continue
		}
		if len(v) != d.Shape().Size() {
			return nil, 0, fmt.Errorf("train: warm start: %q has %d values, want %v", d.Name, len(v), d.Dims)
		}
		copy(values[d.Name], v)
		n++
	}
	if len(warm) > 0 && n == 0 {
		return nil, 0, errors.New("train: warm start: no variable of the model is among the weights given")
	}
	return values, n, nil
}
