package hub

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/smalti/smalti/event"
	"github.com/smalti/smalti/store"
)

const mib = 1 << 20

// Fetched is a model that lies on this machine, every file of it checked.
type Fetched struct {
	Path string // what to import: the weight file, or a folder where several files are one model

	set   string   // folder that shows the files under their names
	blobs []string // downloads in Client.Dir
	free  func()
}

// Discard removes the downloads: the store has its own copy. Other clients' caches are left alone.
func (f *Fetched) Discard() {
	for _, b := range f.blobs {
		os.Remove(b)
	}
	f.Keep()
}

// Keep ends the fetch and leaves the downloads for another try.
func (f *Fetched) Keep() {
	os.RemoveAll(f.set)
	f.free()
}

const setPrefix = "set-"

// Fetch brings all files of a plan and checks each against its hash, those that were here before as well. Progress goes
// to sink as Steps in MiB with the file's name in Text["file"]. One fetch at a time works in a folder; another gets
// store.ErrBusy. The caller ends with Discard or Keep.
func (c *Client) Fetch(ctx context.Context, p Plan, sink event.Sink) (*Fetched, error) {
	unlock, err := store.LockFolder(c.Dir)
	if err != nil {
		return nil, err
	}
	f := &Fetched{free: unlock}
	if err := c.fetch(ctx, p, event.Or(sink), f); err != nil {
		f.Keep()
		return nil, err
	}
	return f, nil
}

func (c *Client) fetch(ctx context.Context, p Plan, sink event.Sink, out *Fetched) error {
	old, _ := filepath.Glob(filepath.Join(c.Dir, setPrefix+"*")) // of crashed fetches: we hold the lock
	for _, o := range old {
		os.RemoveAll(o)
	}
	set := filepath.Join(c.Dir, setPrefix+rand.Text())
	if err := os.Mkdir(set, 0o755); err != nil {
		return fmt.Errorf("fetch: %w", err)
	}
	out.set = set
	all, _ := p.Bytes()
	m := &meter{sink: sink, total: all}
	for _, f := range p.Files {
		at, err := c.obtain(ctx, f, m)
		if err != nil {
			return err
		}
		if filepath.Dir(at) == filepath.Clean(c.Dir) {
			out.blobs = append(out.blobs, at)
		}
		name := path.Base(f.Name)
		if strings.HasSuffix(name, indexSuffix) {
			name, out.Path = "model.safetensors"+indexSuffix, set // the name by which a folder's index is found
		}
		if err := show(at, filepath.Join(set, name)); err != nil {
			return fmt.Errorf("fetch %s: %w", f.Name, err)
		}
	}
	if out.Path == "" {
		out.Path = filepath.Join(set, path.Base(p.Files[0].Name))
	}
	return nil
}

// obtain returns the place of a file, downloaded unless it is here whole.
func (c *Client) obtain(ctx context.Context, f File, m *meter) (string, error) {
	if f.Have != "" {
		err := verify(ctx, f.Have, f)
		if err == nil {
			m.add(f.Name, max(f.Size, 0))
			return f.Have, nil
		}
		if ctx.Err() != nil || f.url == "" || c.Offline {
			return "", err
		}
		m.sink.Emit(event.Event{Kind: event.Warning, Message: "a file in the cache is damaged and is fetched again: " + f.Name})
	}
	return c.download(ctx, f, m)
}

// show gives a file a name in a folder, as a link where that works.
func show(at, name string) error {
	abs, err := filepath.Abs(at)
	if err != nil {
		return err
	}
	if os.Symlink(abs, name) == nil {
		return nil
	}
	if os.Link(abs, name) == nil {
		return nil
	}
	in, err := os.Open(abs)
	if err != nil {
		return err
	}
	defer in.Close()
	w, err := os.Create(name)
	if err != nil {
		return err
	}
	_, err = io.Copy(w, in)
	return errors.Join(err, w.Close())
}

// meter counts bytes of a fetch and reports whole MiB.
type meter struct {
	sink        event.Sink
	total, done int64
	file        string
	start       int64 // done when the file began
}

// at says how much of a file is here.
func (m *meter) at(file string, bytes int64) {
	if file != m.file {
		m.file, m.start = file, m.done
	}
	m.add(file, m.start+bytes-m.done)
}

func (m *meter) add(file string, n int64) {
	if file != m.file {
		m.file, m.start = file, m.done
	}
	before := m.done / mib
	m.done += n
	if now := m.done / mib; now > before {
		m.sink.Emit(event.Event{Kind: event.Step, Step: int(now), Steps: int(max(m.total/mib, now)),
			Text: map[string]string{"file": file, "unit": "MiB"}})
	}
}
