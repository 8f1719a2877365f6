package run

import (
	"fmt"
	"io"
	"maps"
	"path/filepath"

	"github.com/smalti/smalti/event"
	"github.com/smalti/smalti/paint"
	"github.com/smalti/smalti/weights"
)

// saveState writes everything that Continue needs.
func (s *session) saveState() error {
	path := filepath.Join(s.folder.path, stateFile)
	if err := s.writeState(path, nil); err != nil {
		return err
	}
	s.sink.Emit(event.Event{Kind: event.Saved, Step: s.painter.Step(), Path: path})
	return nil
}

// writeState writes the painter's state, with words about it.
func (s *session) writeState(path string, about map[string]string) error {
	arrays, err := s.painter.State()
	if err != nil {
		return fmt.Errorf("run: %w", err)
	}
	outs := make([]weights.Out, len(arrays))
	for i, a := range arrays {
		outs[i] = weights.Out{Name: a.Name, DType: weights.F32, Shape: a.Shape, Floats: a.Data}
	}
	if err := weights.SaveFile(path, func(w io.Writer) error { return weights.WriteSafetensors(w, about, outs) }); err != nil {
		return fmt.Errorf("run: save the state: %w", err)
	}
	return nil
}

// readState reads what saveState wrote.
func (f *Folder) readState() ([]paint.Array, error) {
	arrays, _, err := readState(filepath.Join(f.path, stateFile))
	return arrays, err
}

// readState reads what writeState wrote.
func readState(path string) ([]paint.Array, map[string]string, error) {
	file, err := weights.Open(path)
	if err != nil {
		return nil, nil, fmt.Errorf("run: read the state: %w", err)
	}
	defer file.Close()
	var out []paint.Array
	for _, name := range file.Names() {
		t, _ := file.Tensor(name)
		data, err := t.Float32()
		if err != nil {
			return nil, nil, fmt.Errorf("run: read the state: %s: %w", name, err)
		}
		out = append(out, paint.Array{Name: name, Shape: t.Shape, Data: append([]float32(nil), data...)})
	}
	return out, maps.Clone(file.Metadata()), nil
}
