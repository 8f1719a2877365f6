package track

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"image"
	"image/png"
	"os"
	"path/filepath"
	"strings"

	"github.com/smalti/smalti/event"
)

// Files of a run's folder.
const (
	InfoFile    = "run.json"     // what the run is: Info
	StatusFile  = "status.json"  // how it stands, rewritten with every heartbeat: Report
	EventsFile  = "events.jsonl" // its events, one a line, with "time" in seconds since 1970
	SystemFile  = "system.jsonl" // figures of the machine in the same form
	ConsoleFile = "console.log"  // lines that it wrote
	SamplesDir  = "samples"      // its sheets of samples as PNG, but for those that the work writes itself
)

// store is the Sink that keeps a run in its folder.
type store struct {
	dir                     string
	events, system, console *growing // events is nil if the work keeps them itself
	lines                   [3]bytes.Buffer
	pictures                []sample
}

// sample is a picture that waits to be written.
type sample struct {
	path string
	img  image.Image
}

func newStore(dir string, keepsJournal bool, open openFunc) *store {
	file := func(name string) *growing { return &growing{path: filepath.Join(dir, name), open: open} }
	s := &store{dir: dir, system: file(SystemFile), console: file(ConsoleFile)}
	if !keepsJournal {
		s.events = file(EventsFile)
	}
	return s
}

// Take turns a record into lines.
func (s *store) Take(r Record) {
	if line, ok := consoleLine(r); ok {
		s.lines[2].WriteString(line + "\n")
	}
	switch r.Kind {
	case Console:
		return
	case System:
		appendRecord(&s.lines[1], r)
		return
	case event.Samples:
		if r.Path == "" && r.Picture != nil && !r.Picture.Bounds().Empty() { // with a path, the work has written it already
			r.Path = filepath.ToSlash(filepath.Join(SamplesDir, fmt.Sprintf("%s-%08d.png", fileName(sampleName(r.Event)), r.Step)))
			s.pictures = append(s.pictures, sample{r.Path, r.Picture})
		}
	}
	if s.events != nil {
		appendRecord(&s.lines[0], r)
	}
}

// appendRecord writes an event's line with its time.
func appendRecord(b *bytes.Buffer, r Record) {
	line, err := json.Marshal(r.Event)
	if err != nil { // an Event has nothing that JSON cannot hold
		line = []byte(fmt.Sprintf(`{"kind":%q}`, r.Kind))
	}
	fmt.Fprintf(b, `{"time":%d.%06d,%s`+"\n", r.Time.Unix(), r.Time.Nanosecond()/1000, line[1:])
}

// Flush writes pictures, then lines, so that no line names a picture that is not there.
func (s *store) Flush(context.Context) error {
	for len(s.pictures) > 0 {
		if err := s.picture(s.pictures[0]); err != nil {
			return err
		}
		s.pictures = s.pictures[1:]
	}
	for i, g := range []*growing{s.events, s.system, s.console} {
		if g == nil || s.lines[i].Len() == 0 {
			continue
		}
		if err := s.mend(g); err != nil {
			return err
		}
		if err := g.append(s.lines[i].Bytes()); err != nil {
			return fmt.Errorf("write %s: %w", filepath.Base(g.path), err)
		}
		s.lines[i].Reset()
	}
	return nil
}

// mend ends a last line that a crash of an earlier process cut, so that the next one stands alone. Readers skip it.
func (s *store) mend(g *growing) error {
	if g.h != nil {
		return nil
	}
	if err := g.start(); err != nil {
		return err
	}
	r, ok := g.h.(*os.File)
	if !ok || g.size == 0 {
		return nil
	}
	var last [1]byte
	if _, err := r.ReadAt(last[:], g.size-1); err != nil {
		return err
	}
	if last[0] != '\n' {
		return g.append([]byte{'\n'})
	}
	return nil
}

func (s *store) picture(p sample) error {
	var b bytes.Buffer
	if err := png.Encode(&b, p.img); err != nil {
		return nil // a picture that no PNG can hold; the numbers matter more
	}
	path := filepath.Join(s.dir, filepath.FromSlash(p.path))
	if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
		return err
	}
	return replaceFile(path, b.Bytes())
}

// Close closes the files.
func (s *store) Close(context.Context, End) error {
	for _, g := range []*growing{s.events, s.system, s.console} {
		if g == nil {
			continue
		}
		if err := g.close(); err != nil {
			return err
		}
	}
	return nil
}

// sampleName is the name of a sheet: Text["name"], or "samples".
func sampleName(e event.Event) string {
	if n := e.Text["name"]; n != "" {
		return n
	}
	return "samples"
}

// fileName makes a name fit for a file.
func fileName(s string) string {
	s = strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9', r == '-', r == '_', r == '.':
			return r
		default:
			return '_'
		}
	}, s)
	if s = strings.Trim(s, "."); s == "" {
		return "_"
	}
	return s[:min(len(s), 100)]
}

// consoleLine is what a record adds to the log of lines, without a line break.
func consoleLine(r Record) (string, bool) {
	switch r.Kind {
	case Console:
		return r.Message, true
	case event.Notice, event.Warning, event.Failed:
		return string(r.Kind) + ": " + strings.ReplaceAll(r.Message, "\n", " "), true
	default:
		return "", false
	}
}
