package search

import (
	"context"
	"errors"
	"fmt"
	"image"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"

	"github.com/smalti/smalti/event"
	"github.com/smalti/smalti/pixel"
)

// Encoder makes features; a *clip.Model is one.
type Encoder interface {
	EncodeImage(ctx context.Context, pictures ...image.Image) ([][]float32, error)
	EncodeText(ctx context.Context, texts ...string) ([][]float32, error)
	ImageSize() int // side of what the encoder looks at, in pixels
	EmbedDim() int
}

// Options say what to index.
type Options struct {
	Dir     string // folder of pictures, with all folders below
	File    string // of the index
	Model   string // sha256 of the encoder's weights
	Rebuild bool   // look at every picture again
}

const (
	batch     = 16  // pictures that are encoded at once
	saveAfter = 512 // pictures: an interrupted indexing loses no more
)

// Update brings the index of a folder up to date and returns it with the number of files that cannot be read as
// pictures. When it is interrupted the index holds what was looked at until then, and the next Update goes on. Progress
// goes to sink as Steps, of the pictures that are new or changed.
func Update(ctx context.Context, enc Encoder, o Options, sink event.Sink) (*Index, int, error) {
	sink = event.Or(sink)
	files, err := list(o.Dir)
	if err != nil {
		return nil, 0, err
	}
	old := &Index{dim: enc.EmbedDim()}
	if !o.Rebuild {
		got, err := load(o.File, o.Model, enc.EmbedDim())
		switch {
		case err == nil:
			old = got
		case errors.Is(err, ErrDamaged):
			sink.Emit(event.Event{Kind: event.Warning, Message: "the index cannot be read and is made anew", Path: o.File})
		case !errors.Is(err, fs.ErrNotExist):
			return nil, 0, err
		}
	}
	u := &updater{enc: enc, o: o, sink: sink, ix: &Index{dim: enc.EmbedDim()}}
	u.keep(old, files)
	err = u.all(ctx)
	if u.dirty || len(u.ix.Entries) != len(old.Entries) || err == nil && !exists(o.File) {
		u.ix.sort()
		err = errors.Join(err, u.ix.save(o.File, o.Model))
	}
	if err != nil {
		return nil, 0, fmt.Errorf("index %s: %w", o.Dir, err)
	}
	return u.ix, len(u.ix.Entries) - u.ix.Pictures(), nil
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

type updater struct {
	enc   Encoder
	o     Options
	sink  event.Sink
	ix    *Index
	todo  []Entry
	dirty bool // the index differs from the file
}

// keep takes over what is unchanged of an old index and notes what is to be looked at.
func (u *updater) keep(old *Index, files []Entry) {
	known := map[Entry]int{}
	for i, e := range old.Entries {
		e.Why = ""
		known[e] = i
	}
	for _, e := range files {
		if i, ok := known[e]; ok {
			u.ix.Entries = append(u.ix.Entries, old.Entries[i])
			u.ix.features = append(u.ix.features, old.features[i])
			continue
		}
		u.todo = append(u.todo, e)
	}
}

func (u *updater) all(ctx context.Context) error {
	for done, since := 0, 0; done < len(u.todo); {
		if err := ctx.Err(); err != nil {
			return err
		}
		part := u.todo[done:min(done+batch, len(u.todo))]
		if err := u.look(ctx, part); err != nil {
			return err
		}
		done += len(part)
		u.dirty = true
		u.sink.Emit(event.Event{Kind: event.Step, Step: done, Steps: len(u.todo), Message: "indexing", Text: map[string]string{"unit": "pictures"}})
		if since += len(part); since >= saveAfter && done < len(u.todo) {
			since = 0
			if err := u.ix.save(u.o.File, u.o.Model); err != nil {
				return err
			}
		}
	}
	return nil
}

// look adds some files to the index.
func (u *updater) look(ctx context.Context, part []Entry) error {
	small := make([]image.Image, len(part))
	errs := make([]error, len(part))
	free := make(chan struct{}, runtime.GOMAXPROCS(0)) // large pictures take memory
	var wg sync.WaitGroup
	for i, e := range part {
		wg.Go(func() {
			free <- struct{}{}
			defer func() { <-free }()
			small[i], errs[i] = shrunk(filepath.Join(u.o.Dir, filepath.FromSlash(e.Name)), u.enc.ImageSize())
		})
	}
	wg.Wait()
	var good []image.Image
	for _, img := range small {
		if img != nil {
			good = append(good, img)
		}
	}
	var rows [][]float32
	if len(good) > 0 {
		var err error
		if rows, err = u.enc.EncodeImage(ctx, good...); err != nil {
			return err
		}
	}
	for i, e := range part {
		var row []float32
		if small[i] != nil {
			row, rows = slices.Clone(rows[0]), rows[1:]
			if !normalise(row) {
				row, errs[i] = nil, errors.New("its features have no direction")
			}
		}
		if errs[i] != nil {
			e.Why = errs[i].Error()
		}
		u.ix.Entries = append(u.ix.Entries, e)
		u.ix.features = append(u.ix.features, row)
	}
	return nil
}

// shrunk reads a picture and keeps what the encoder looks at: its preprocessing changes nothing of a picture that went
// through it already.
func shrunk(path string, side int) (image.Image, error) {
	img, err := pixel.DecodeFile(path)
	if err != nil {
		return nil, err
	}
	if img.Bounds().Empty() {
		return nil, errors.New("a picture without pixels")
	}
	return pixel.CLIPPreprocess(img, side).ToImage(), nil
}

// sort puts the entries in order of their names.
func (ix *Index) sort() {
	order := make([]int, len(ix.Entries))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(a, b int) int { return strings.Compare(ix.Entries[a].Name, ix.Entries[b].Name) })
	entries, features := make([]Entry, len(order)), make([][]float32, len(order))
	for to, from := range order {
		entries[to], features[to] = ix.Entries[from], ix.features[from]
	}
	ix.Entries, ix.features = entries, features
}

// list finds the pictures of a folder by their names' endings, without hidden files and folders. Links to files count,
// links to folders are not followed.
func list(dir string) ([]Entry, error) {
	var out []Entry
	err := filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
		if p == dir {
			return err
		}
		hidden := strings.HasPrefix(d.Name(), ".")
		if err != nil || d.IsDir() {
			if d.IsDir() && (hidden || err != nil) { // what may not be read has no pictures for us
				return fs.SkipDir
			}
			return nil
		}
		if hidden || !IsPicture(p) {
			return nil
		}
		info, err := os.Stat(p)
		if err != nil || !info.Mode().IsRegular() {
			return nil
		}
		rel, err := filepath.Rel(dir, p)
		out = append(out, Entry{Name: filepath.ToSlash(rel), Size: info.Size(), Time: info.ModTime().UnixNano()})
		return err
	})
	return out, err
}

// IsPicture tells by its ending whether a file may be a picture.
func IsPicture(name string) bool {
	switch strings.ToLower(filepath.Ext(name)) {
	case ".png", ".jpg", ".jpeg", ".gif", ".webp", ".bmp", ".tif", ".tiff":
		return true
	}
	return false
}
