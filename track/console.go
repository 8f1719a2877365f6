package track

import (
	"bytes"
	"strings"
	"sync"

	"github.com/smalti/smalti/event"
)

// Console returns a writer for lines that the program writes: they become Console events.
func (t *Tracker) Console() *ConsoleWriter { return &ConsoleWriter{t: t} }

// ConsoleWriter cuts what is written into lines. It is safe for concurrent use.
type ConsoleWriter struct {
	t    *Tracker
	mu   sync.Mutex
	rest []byte
}

// maxLine is where a line without an end is cut.
const maxLine = 64 << 10

// Write never fails.
func (c *ConsoleWriter) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.rest = append(c.rest, p...)
	for {
		i := bytes.IndexByte(c.rest, '\n')
		n := i + 1
		if i < 0 {
			if len(c.rest) < maxLine {
				return len(p), nil
			}
			i, n = maxLine, maxLine
		}
		line := strings.ToValidUTF8(strings.TrimSuffix(string(c.rest[:i]), "\r"), "\uFFFD")
		if j := strings.LastIndexByte(line, '\r'); j >= 0 { // what a progress bar showed last
			line = line[j+1:]
		}
		c.rest = append(c.rest[:0], c.rest[n:]...)
		c.t.record(event.Event{Kind: Console, Message: line})
	}
}
