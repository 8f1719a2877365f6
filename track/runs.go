package track

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
	"slices"
	"strings"
	"time"

	"github.com/smalti/smalti/event"
)

// Run is a run in its folder.
type Run struct {
	Info
	Dir     string
	Status  Status
	Step    int
	Steps   int                // 0 is unknown
	Updated time.Time          // when it last said something
	Message string             // why it failed
	Last    map[string]float64 // the last value of each number
	Sinks   []Delivery         // how its sinks fared
}

// missed is how many heartbeats a run may miss before it counts as dead.
const missed = 4

// quiet is how long a run without heartbeats may say nothing before it counts as dead.
const quiet = 10 * time.Minute

// deepest is how far below the root a run's folder may be.
const deepest = 3

// Runs lists the runs in the folders below root, the newest first. A folder with run.json, status.json or events.jsonl
// is a run, and what is below it is its own. Folders that cannot be read are skipped. The index that makes this fast is
// written if it can be.
func Runs(root string) ([]Run, error) { return runsAt(root, time.Now()) }

func runsAt(root string, now time.Time) ([]Run, error) {
	if _, err := os.Stat(root); errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	} else if err != nil {
		return nil, fmt.Errorf("track: %w", err)
	}
	ix := readIndex(root)
	var out []Run
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.IsDir() {
			return skipUnreadable(d, err)
		}
		rel, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		if strings.HasPrefix(d.Name(), ".") && path != root || strings.Count(rel, string(filepath.Separator)) >= deepest {
			return fs.SkipDir
		}
		if r, ok := ix.run(root, rel, now); ok {
			out = append(out, r)
			return fs.SkipDir
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("track: %w", err)
	}
	ix.write(root)
	slices.SortStableFunc(out, func(a, b Run) int { return b.Created.Compare(a.Created) })
	return out, nil
}

func skipUnreadable(d fs.DirEntry, err error) error {
	if err != nil && d != nil && d.IsDir() {
		return fs.SkipDir
	}
	return nil
}

// OpenRun reads one run's folder.
func OpenRun(dir string) (Run, error) {
	r, ok := (&index{}).run(dir, ".", time.Now())
	if !ok {
		return Run{}, fmt.Errorf("track: %s holds no run (no %s, %s or %s)", dir, InfoFile, StatusFile, EventsFile)
	}
	return r, nil
}

// readRun makes a Run of what its folder's files say; d is the digest of its journal.
func readRun(dir string, d digest, now time.Time) Run {
	r := Run{Dir: dir}
	if info, err := readInfo(filepath.Join(dir, InfoFile)); err == nil {
		r.Info = info
	}
	if r.Name == "" {
		r.Name = filepath.Base(dir)
	}
	var rep Report
	if b, err := os.ReadFile(filepath.Join(dir, StatusFile)); err == nil && json.Unmarshal(b, &rep) == nil && rep.Status != "" {
		r.Status, r.Step, r.Steps, r.Updated, r.Message = rep.Status, rep.Step, rep.Steps, rep.Time, rep.Message
		r.Last, r.Sinks = rep.Last.Values, rep.Sinks
		beat := max(time.Duration(rep.Beat*float64(time.Second)), time.Second)
		if r.Status == Running && now.Sub(rep.Time) > missed*beat {
			r.Status, r.Message = Failed, "it stopped without a word"
		}
	} else {
		r.Status, r.Step, r.Steps, r.Updated, r.Message = d.Status, d.Step, d.Steps, d.Modified, d.Message
		r.Last = d.last()
		if r.Status == Running && now.Sub(d.Modified) > quiet {
			r.Status, r.Message = Failed, "it stopped without a word"
		}
	}
	if r.Created.IsZero() {
		r.Created = r.Updated
	}
	return r
}

// maxEventLine bounds a line of a journal.
const maxEventLine = 16 << 20

// Events calls do for the events of a run in order, with the zero time where the journal tells none, until do returns
// false. Lines that cannot be read, such as one cut by a crash, are skipped.
func (r Run) Events(do func(Record) bool) error {
	f, err := os.Open(filepath.Join(r.Dir, EventsFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("track: %w", err)
	}
	defer f.Close() //nolint:errcheck // only read
	if _, err := scan(f, do); err != nil {
		return fmt.Errorf("track: read %s: %w", f.Name(), err)
	}
	return nil
}

// scan reads lines of events and returns how many bytes whole lines took.
func scan(r io.Reader, do func(Record) bool) (n int64, err error) {
	b := bufio.NewReaderSize(r, 64<<10)
	for {
		line, size, whole, err := readLine(b)
		if err != nil && err != io.EOF {
			return n, err
		}
		if whole {
			n += size
		}
		if rec, ok := parseLine(line); ok && !do(rec) {
			return n, nil
		}
		if err == io.EOF {
			return n, nil
		}
	}
}

// readLine returns the next line; a longer one than maxEventLine is returned empty.
func readLine(b *bufio.Reader) (line []byte, size int64, whole bool, err error) {
	for {
		part, err := b.ReadSlice('\n')
		size += int64(len(part))
		if size <= maxEventLine {
			line = append(line, part...)
		} else {
			line = nil
		}
		if err == bufio.ErrBufferFull {
			continue
		}
		return line, size, err == nil, err
	}
}

func parseLine(line []byte) (Record, bool) {
	line = bytes.TrimSpace(line)
	if len(line) == 0 {
		return Record{}, false
	}
	var t struct{ Time float64 }
	var e event.Event
	if json.Unmarshal(line, &e) != nil || json.Unmarshal(line, &t) != nil || e.Kind == "" {
		return Record{}, false
	}
	r := Record{Event: e}
	if t.Time > 0 && t.Time < 1e11 {
		r.Time = time.UnixMicro(int64(t.Time * 1e6)).UTC()
	}
	return r, true
}
