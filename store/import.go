package store

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"reflect"
	"slices"
	"strings"

	"github.com/smalti/smalti/event"
)

// Input is a file to import.
type Input struct {
	Name string // in the manifest
	Path string // on disk
}

// Inputs lists what lies at a path: the file itself, or the files of a folder and its folders in order of their
// names, without hidden ones.
func Inputs(p string) ([]Input, error) {
	info, err := os.Stat(p)
	if err != nil {
		return nil, err
	}
	if !info.IsDir() {
		return []Input{{Name: filepath.Base(p), Path: p}}, nil
	}
	var out []Input
	err = filepath.WalkDir(p, func(at string, d fs.DirEntry, err error) error {
		if err != nil || at == p {
			return err
		}
		if strings.HasPrefix(d.Name(), ".") {
			if d.IsDir() {
				return filepath.SkipDir
			}
			return nil
		}
		if info, err := os.Stat(at); err != nil || !info.Mode().IsRegular() {
			return err
		}
		rel, err := filepath.Rel(p, at)
		out = append(out, Input{Name: filepath.ToSlash(rel), Path: at})
		return err
	})
	if err == nil && len(out) == 0 {
		err = fmt.Errorf("folder %s holds no files", p)
	}
	return out, err
}

// Request says what to import and as what.
type Request struct {
	Name    string
	Kind    string
	Version string
	Config  json.RawMessage
	Source  string
	Licence string
	Files   []Input
	Replace bool // an existing model of the name; without it that is an ErrExists, unless it is the very same
}

// ErrExists says that the name is taken by another model.
var ErrExists = errors.New("a model of that name exists")

// Import copies files into the store and then writes the manifest. Copies are streamed, hashed on the way, synced and
// renamed, so a model is complete as soon as Get finds it, and after a failure nothing of it is left. Progress goes to
// sink as Steps in MiB with the file's name in Text["file"], and at last one Saved.
func (s *Store) Import(ctx context.Context, req Request, sink event.Sink) (Model, error) {
	m, err := s.importModel(ctx, req, event.Or(sink))
	if err != nil {
		return Model{}, fmt.Errorf("import model %s: %w", req.Name, err)
	}
	if req.Replace {
		s.trySweep()
	}
	return Model{Manifest: m, root: s.root}, nil
}

func (s *Store) importModel(ctx context.Context, req Request, sink event.Sink) (Manifest, error) {
	m, err := req.manifest()
	if err != nil {
		return Manifest{}, err
	}
	root, unlock, err := s.begin()
	if err != nil {
		return Manifest{}, err
	}
	defer root.Close()
	defer unlock()
	im := importer{store: s, root: root, sink: sink, total: totalSize(req.Files)}
	defer im.cleanUp()
	for i, in := range req.Files {
		f, err := im.copy(ctx, in)
		if err != nil {
			return Manifest{}, err
		}
		m.Files[i] = f
	}
	old, err := s.readManifest(m.Name)
	switch {
	case err == nil && reflect.DeepEqual(old, m):
		return m, im.publish(m) // again: a damaged blob is healed
	case err == nil && !req.Replace:
		return Manifest{}, ErrExists
	case err != nil && !errors.Is(err, fs.ErrNotExist) && !req.Replace:
		return Manifest{}, err
	}
	return m, im.publish(m)
}

// manifest checks the request before anything is read. Hashes and sizes are still empty.
func (req Request) manifest() (Manifest, error) {
	m := Manifest{Schema: Schema, Name: req.Name, Kind: req.Kind, Version: req.Version, Source: req.Source, Licence: req.Licence}
	var err error
	if m.Config, err = compact(req.Config); err != nil {
		return Manifest{}, err
	}
	if strings.HasPrefix(req.Name, BuiltinPrefix) {
		return Manifest{}, fmt.Errorf("names that start with %s belong to the program", BuiltinPrefix)
	}
	for _, in := range req.Files {
		m.Files = append(m.Files, File{Name: in.Name, SHA256: strings.Repeat("0", 64)})
	}
	return m, m.check()
}

// compact gives a config the one form in which configs are compared.
func compact(config json.RawMessage) (json.RawMessage, error) {
	if len(config) == 0 {
		return nil, nil
	}
	var b bytes.Buffer
	if err := json.Compact(&b, config); err != nil {
		return nil, fmt.Errorf("config: %w", err)
	}
	return b.Bytes(), nil
}

func totalSize(files []Input) int64 {
	var n int64
	for _, in := range files {
		if info, err := os.Stat(in.Path); err == nil {
			n += info.Size()
		}
	}
	return n
}

// begin makes the folders and takes the shared lock, after sweeping what crashed imports left if nobody else imports.
func (s *Store) begin() (*os.Root, func(), error) {
	if s.root == "" {
		return nil, nil, ErrNoRoot
	}
	if err := os.MkdirAll(s.root, 0o755); err != nil {
		return nil, nil, fmt.Errorf("make model folder: %w", err)
	}
	root, err := s.open()
	if err != nil {
		return nil, nil, err
	}
	for _, d := range []string{blobDir, manifestDir, tmpDir} {
		if err := root.Mkdir(d, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
			root.Close()
			return nil, nil, fmt.Errorf("make model folder: %w", err)
		}
	}
	if unlock, err := lock(root, true); err == nil {
		_ = sweepTmp(root)
		unlock()
	}
	unlock, err := lock(root, false)
	if err != nil {
		root.Close()
		return nil, nil, err
	}
	return root, unlock, nil
}

// importer is one import under way.
type importer struct {
	store *Store
	root  *os.Root
	sink  event.Sink
	total int64
	done  int64
	tmp   []string // files in tmp that are not renamed yet
	ready []staged
}

// staged is a complete temporary file and where it belongs.
type staged struct{ tmp, final string }

const mib = 1 << 20

// copy streams a file into tmp and returns what it is.
func (im *importer) copy(ctx context.Context, in Input) (File, error) {
	src, err := os.Open(in.Path)
	if err != nil {
		return File{}, err
	}
	defer src.Close()
	if info, err := src.Stat(); err != nil || !info.Mode().IsRegular() {
		return File{}, errors.Join(fmt.Errorf("%s is not a regular file", in.Path), err)
	}
	hash := sha256.New()
	var size int64
	tmp, err := im.write(func(w io.Writer) error {
		buf := make([]byte, mib)
		for {
			if err := ctx.Err(); err != nil {
				return err
			}
			n, err := src.Read(buf)
			hash.Write(buf[:n])
			if _, err := w.Write(buf[:n]); err != nil {
				return err
			}
			size += int64(n)
			im.progress(in.Name, int64(n))
			if err == io.EOF {
				return nil
			}
			if err != nil {
				return err
			}
		}
	})
	if err != nil {
		return File{}, fmt.Errorf("copy %s: %w", in.Path, err)
	}
	f := File{Name: in.Name, SHA256: hex.EncodeToString(hash.Sum(nil)), Size: size}
	im.ready = append(im.ready, staged{tmp, blobPath(f.SHA256)})
	return f, nil
}

// progress reports whole MiB.
func (im *importer) progress(file string, n int64) {
	before := im.done / mib
	im.done += n
	if now := im.done / mib; now != before {
		im.sink.Emit(event.Event{
			Kind: event.Step, Step: int(now), Steps: int(max(im.total/mib, now)),
			Text: map[string]string{"file": file, "unit": "MiB"},
		})
	}
}

// write makes a new file in tmp, lets fill write it, and syncs it. On failure it is gone.
func (im *importer) write(fill func(io.Writer) error) (string, error) {
	name := path.Join(tmpDir, rand.Text())
	f, err := im.root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return "", err
	}
	im.tmp = append(im.tmp, name)
	w := io.Writer(f)
	if im.store.wrap != nil {
		w = im.store.wrap(f)
	}
	err = fill(w)
	if err == nil {
		err = f.Sync()
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	return name, err
}

// publish renames the blobs and, when they are all in place, the manifest.
func (im *importer) publish(m Manifest) error {
	var raw bytes.Buffer
	enc := json.NewEncoder(&raw)
	enc.SetIndent("", " ")
	enc.SetEscapeHTML(false)
	if err := enc.Encode(m); err != nil {
		return fmt.Errorf("write manifest: %w", err)
	}
	if raw.Len() > maxManifest {
		return fmt.Errorf("manifest of %d bytes is larger than %d", raw.Len(), maxManifest)
	}
	tmp, err := im.write(func(w io.Writer) error { _, err := w.Write(raw.Bytes()); return err })
	if err != nil {
		return fmt.Errorf("write manifest: %w", err)
	}
	final := manifestPath(m.Name)
	if err := im.root.MkdirAll(path.Dir(final), 0o755); err != nil {
		return fmt.Errorf("write manifest: %w", err)
	}
	for _, f := range im.ready {
		if err := im.rename(f.tmp, f.final); err != nil {
			return err
		}
	}
	if err := syncDir(im.root, blobDir); err != nil {
		return err
	}
	if err := im.rename(tmp, final); err != nil {
		return err
	}
	if err := syncDir(im.root, path.Dir(final)); err != nil {
		return err
	}
	im.sink.Emit(event.Event{Kind: event.Saved, Path: filepath.Join(im.store.root, filepath.FromSlash(final)), Text: map[string]string{"model": m.Name}})
	return nil
}

func (im *importer) rename(from, to string) error {
	if err := im.root.Rename(from, to); err != nil {
		return fmt.Errorf("put in place: %w", err)
	}
	im.tmp = slices.DeleteFunc(im.tmp, func(n string) bool { return n == from })
	return nil
}

// cleanUp removes what was not put in place.
func (im *importer) cleanUp() {
	for _, n := range im.tmp {
		_ = im.root.Remove(n)
	}
}

// syncDir makes renames in a folder last. Systems that cannot sync folders do not need it.
func syncDir(root *os.Root, dir string) error {
	d, err := root.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	if err := d.Sync(); err != nil && !errors.Is(err, errors.ErrUnsupported) && !errors.Is(err, os.ErrInvalid) {
		return fmt.Errorf("sync %s: %w", dir, err)
	}
	return nil
}
