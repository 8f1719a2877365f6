package track

import (
	"encoding/json"
	"hash/fnv"
	"io"
	"maps"
	"os"
	"path/filepath"
	"time"

	"github.com/smalti/smalti/event"
)

// indexFile is in the folder of runs. It may be deleted at any time.
const indexFile = ".runs-index.json"

// indexVersion changes with the form of digests, so that old ones are made anew.
const indexVersion = 1

// digest is what a journal says, so that a list of runs need not read journals again, and only reads what was added.
type digest struct {
	Size     int64       `json:"size"`     // of the journal when it was read
	Modified time.Time   `json:"modified"` // then
	Read     int64       `json:"read"`     // bytes of whole lines
	Tail     uint64      `json:"tail"`     // checksum of what is before Read, to notice a journal that was written anew
	Status   Status      `json:"status"`
	Step     int         `json:"step"`
	Steps    int         `json:"steps"`
	Message  string      `json:"message,omitempty"`
	Last     event.Event `json:"last"`
}

// tailSize is how much of a journal is compared before reading on.
const tailSize = 4096

type index struct {
	Version int               `json:"version"`
	Runs    map[string]digest `json:"runs"` // by path below the root, with slashes
	seen    map[string]digest
}

// readIndex reads the index of a folder of runs; one that cannot be read counts as empty.
func readIndex(root string) *index {
	ix := &index{seen: map[string]digest{}}
	b, err := os.ReadFile(filepath.Join(root, indexFile))
	if err == nil && (json.Unmarshal(b, ix) != nil || ix.Version != indexVersion) {
		ix.Runs = nil
	}
	return ix
}

// write keeps what was seen, if that is new. Failures do not matter.
func (ix *index) write(root string) {
	same := len(ix.Runs) == len(ix.seen)
	for k, d := range ix.seen {
		old, ok := ix.Runs[k]
		same = same && ok && old.Size == d.Size && old.Modified.Equal(d.Modified) && old.Tail == d.Tail
	}
	if same {
		return
	}
	b, err := json.Marshal(index{Version: indexVersion, Runs: ix.seen})
	if err == nil {
		_ = replaceFile(filepath.Join(root, indexFile), b)
	}
}

// run reads a folder, if it holds a run.
func (ix *index) run(root, rel string, now time.Time) (Run, bool) {
	dir := filepath.Join(root, rel)
	is := false
	for _, name := range []string{InfoFile, StatusFile, EventsFile} {
		if st, err := os.Stat(filepath.Join(dir, name)); err == nil && st.Mode().IsRegular() {
			is = true
		}
	}
	if !is {
		return Run{}, false
	}
	key := filepath.ToSlash(rel)
	d := ix.Runs[key].refresh(filepath.Join(dir, EventsFile))
	if ix.seen != nil {
		ix.seen[key] = d
	}
	return readRun(dir, d, now), true
}

// refresh brings a digest up to date with its journal.
func (d digest) refresh(path string) digest {
	f, err := os.Open(path)
	if err != nil {
		return digest{Status: Running}
	}
	defer f.Close() //nolint:errcheck // only read
	st, err := f.Stat()
	if err != nil {
		return digest{Status: Running}
	}
	if d.Size == st.Size() && d.Modified.Equal(st.ModTime()) && d.Status != "" {
		return d
	}
	if d.Status == "" || d.Read > st.Size() || tail(f, d.Read) != d.Tail {
		d = digest{Status: Running}
	}
	last := d.last()
	if _, err := f.Seek(d.Read, io.SeekStart); err != nil {
		return d
	}
	n, err := scan(f, func(r Record) bool {
		d.observe(r.Event, last)
		return true
	})
	if err != nil {
		return d
	}
	d.Read += n
	d.Size, d.Modified, d.Tail = st.Size(), st.ModTime(), tail(f, d.Read)
	d.Last = event.Event{Kind: event.Scalars, Values: last}
	return d
}

func (d digest) last() map[string]float64 {
	if d.Last.Values == nil {
		return map[string]float64{}
	}
	return maps.Clone(d.Last.Values)
}

func (d *digest) observe(e event.Event, last map[string]float64) {
	maps.Copy(last, Numbers(e))
	d.Step, d.Steps = max(d.Step, e.Step), max(d.Steps, e.Steps)
	switch e.Kind {
	case event.Started:
		d.Status, d.Step, d.Message = Running, e.Step, ""
	case event.Done:
		d.Status = Done
	case event.Failed:
		d.Status, d.Message = Failed, e.Message
	}
}

// tail is a checksum of the bytes before an offset.
func tail(f *os.File, before int64) uint64 {
	n := min(before, tailSize)
	b := make([]byte, n)
	if _, err := f.ReadAt(b, before-n); err != nil {
		return 0
	}
	h := fnv.New64a()
	_, _ = h.Write(b)
	return h.Sum64()
}
