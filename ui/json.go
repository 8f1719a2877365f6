package ui

import (
	"encoding/json"
	"fmt"
	"io"
	"sync"

	"github.com/smalti/smalti/event"
)

// JSON writes every event as one line of JSON, in one Write each. It is safe for concurrent use.
type JSON struct {
	mu  sync.Mutex
	w   io.Writer
	err error
}

// NewJSON returns a sink that writes to w.
func NewJSON(w io.Writer) *JSON { return &JSON{w: w} }

// Emit writes e. After a failure it writes nothing more.
func (j *JSON) Emit(e event.Event) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.err != nil {
		return
	}
	line, err := json.Marshal(e)
	if err == nil {
		_, err = j.w.Write(append(line, '\n'))
	}
	if err != nil {
		j.err = fmt.Errorf("write event: %w", err)
	}
}

// Err returns the first failure.
func (j *JSON) Err() error {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.err
}
