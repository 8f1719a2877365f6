package train

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/smalti/smalti/event"
	"github.com/smalti/smalti/weights"
)

// journal is a Sink that appends the numbers of a run to events.jsonl. It remembers its first error.
type journal struct {
	f   *os.File
	err error
}

// openJournal opens the journal of a folder. Lines after the given step, left by a run that went on past the checkpoint
// it is resumed from, are dropped first.
func openJournal(dir string, step int) (*journal, error) {
	path := filepath.Join(dir, EventsFile)
	if err := cutJournal(path, step); err != nil {
		return nil, fmt.Errorf("train: %w", err)
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o666)
	if err != nil {
		return nil, fmt.Errorf("train: %w", err)
	}
	return &journal{f: f}, nil
}

func cutJournal(path string, step int) error {
	old, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	var kept bytes.Buffer
	sc := bufio.NewScanner(bytes.NewReader(old))
	sc.Buffer(nil, 1<<22)
	for sc.Scan() {
		var e event.Event
		if json.Unmarshal(sc.Bytes(), &e) == nil && e.Step <= step { // a line cut short by a crash goes as well
			kept.Write(sc.Bytes())
			kept.WriteByte('\n')
		}
	}
	if err := sc.Err(); err != nil {
		return err
	}
	if kept.Len() == len(old) {
		return nil
	}
	return weights.SaveFile(path, func(w io.Writer) error {
		_, err := w.Write(kept.Bytes())
		return err
	})
}

// Emit writes the events that describe the course of a run.
func (j *journal) Emit(e event.Event) {
	if j.err != nil {
		return
	}
	b, err := json.Marshal(e)
	if err == nil {
		_, err = j.f.Write(append(b, '\n'))
	}
	j.err = err
}

func (j *journal) close() error {
	if err := errors.Join(j.err, j.f.Close()); err != nil {
		return fmt.Errorf("train: write %s: %w", EventsFile, err)
	}
	return nil
}
