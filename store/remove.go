package store

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"strings"

	"github.com/smalti/smalti/event"
)

// ErrBusy says that another import or removal is under way.
var ErrBusy = errors.New("another process is changing the model folder; try again when it is done")

// LockFolder makes a folder if there is none and takes its lock for exclusive use; who comes second gets ErrBusy.
func LockFolder(dir string) (unlock func(), err error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("lock folder: %w", err)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, fmt.Errorf("lock folder: %w", err)
	}
	defer root.Close()
	return lock(root, true)
}

// Remove takes a model out of the store, and its blobs unless other models share them. Builtins cannot be removed.
// While anybody imports it fails with ErrBusy.
func (s *Store) Remove(name string) error {
	m, err := s.Get(name)
	var missing *NotFoundError
	var bad *NameError
	if errors.As(err, &missing) || errors.As(err, &bad) {
		return err
	}
	if err == nil && m.Builtin() {
		return fmt.Errorf("model %s is part of the program and cannot be removed", name)
	}
	// A broken manifest is removed like any other.
	root, err := s.open()
	if err != nil {
		return err
	}
	defer root.Close()
	unlock, err := lock(root, true)
	if err != nil {
		return fmt.Errorf("remove model %s: %w", name, err)
	}
	defer unlock()
	if err := root.Remove(manifestPath(name)); err != nil {
		return fmt.Errorf("remove model %s: %w", name, err)
	}
	for dir := path.Dir(manifestPath(name)); dir != manifestDir; dir = path.Dir(dir) {
		if root.Remove(dir) != nil { // not empty
			break
		}
	}
	return errors.Join(sweepTmp(root), s.sweepBlobs(root))
}

// trySweep removes what nobody needs, unless somebody changes the folder: then the next removal does it.
func (s *Store) trySweep() {
	root, err := s.open()
	if err != nil {
		return
	}
	defer root.Close()
	if unlock, err := lock(root, true); err == nil {
		defer unlock()
		_ = s.sweepBlobs(root)
	}
}

// sweepTmp removes half-written files. The caller holds the exclusive lock, so nobody is writing them.
func sweepTmp(root *os.Root) error {
	entries, err := fs.ReadDir(root.FS(), tmpDir)
	if err != nil {
		return err
	}
	var errs []error
	for _, e := range entries {
		errs = append(errs, root.Remove(path.Join(tmpDir, e.Name())))
	}
	return errors.Join(errs...)
}

// sweepBlobs removes blobs that no manifest names. If any manifest cannot be read it removes nothing, as that one
// might name them. The caller holds the exclusive lock.
func (s *Store) sweepBlobs(root *os.Root) error {
	manifests, err := s.manifests()
	if err != nil {
		return fmt.Errorf("blobs are kept, as a manifest cannot be read: %w", err)
	}
	used := map[string]bool{}
	for _, m := range manifests {
		for _, f := range m.Files {
			used[path.Base(blobPath(f.SHA256))] = true
		}
	}
	entries, err := fs.ReadDir(root.FS(), blobDir)
	if err != nil {
		return fmt.Errorf("sweep blobs: %w", err)
	}
	var errs []error
	for _, e := range entries {
		if !used[e.Name()] && strings.HasPrefix(e.Name(), "sha256-") {
			errs = append(errs, root.Remove(path.Join(blobDir, e.Name())))
		}
	}
	return errors.Join(errs...)
}

// Problem is a file of a model that is not what the manifest says.
type Problem struct {
	Model string
	File  string
	What  string // "missing", "has N bytes instead of M", "content is damaged", or why it cannot be read
}

func (p Problem) String() string { return fmt.Sprintf("%s: %s: %s", p.Model, p.File, p.What) }

// Verify reads all files of the models named, or of all models if none is, and compares their hashes. It returns what
// is wrong; the error is for names that do not exist, broken manifests and a cancelled context. Each model gives a
// Result event with Text model and state ("ok" or "damaged").
func (s *Store) Verify(ctx context.Context, sink event.Sink, names ...string) ([]Problem, error) {
	var models []Model
	var broken error
	if len(names) == 0 {
		models, broken = s.List()
	}
	for _, n := range names {
		m, err := s.Get(n)
		if err != nil {
			return nil, err
		}
		models = append(models, m)
	}
	var out []Problem
	for _, m := range models {
		found, err := s.verify(ctx, m)
		if err != nil {
			return out, err
		}
		state := "ok"
		if len(found) > 0 {
			state = "damaged"
		}
		event.Or(sink).Emit(event.Event{Kind: event.Result, Text: map[string]string{"model": m.Name, "state": state}})
		out = append(out, found...)
	}
	return out, broken
}

func (s *Store) verify(ctx context.Context, m Model) ([]Problem, error) {
	var out []Problem
	for _, f := range m.Files {
		what, err := s.verifyFile(ctx, m, f)
		if err != nil {
			return out, err
		}
		if what != "" {
			out = append(out, Problem{m.Name, f.Name, what})
		}
	}
	return out, nil
}

// verifyFile says what is wrong with a file, "" if nothing. The error is the context's.
func (s *Store) verifyFile(ctx context.Context, m Model, f File) (string, error) {
	hash, size := sha256.New(), int64(0)
	if m.Builtin() {
		b, err := m.Data()
		if err != nil {
			return err.Error(), nil
		}
		hash.Write(b)
		size = int64(len(b))
	} else {
		root, err := s.open()
		if err != nil {
			return err.Error(), nil
		}
		defer root.Close()
		file, err := root.Open(blobPath(f.SHA256))
		if errors.Is(err, fs.ErrNotExist) {
			return "missing", nil
		}
		if err != nil {
			return err.Error(), nil
		}
		defer file.Close()
		size, err = io.CopyBuffer(hash, contextReader{ctx, file}, make([]byte, mib))
		if ctx.Err() != nil {
			return "", ctx.Err()
		}
		if err != nil {
			return err.Error(), nil
		}
	}
	switch {
	case size != f.Size:
		return fmt.Sprintf("has %d bytes instead of %d", size, f.Size), nil
	case hex.EncodeToString(hash.Sum(nil)) != f.SHA256:
		return "content is damaged", nil
	default:
		return "", nil
	}
}

// contextReader stops reading when its context ends.
type contextReader struct {
	ctx context.Context
	r   io.Reader
}

func (c contextReader) Read(p []byte) (int, error) {
	if err := c.ctx.Err(); err != nil {
		return 0, err
	}
	return c.r.Read(p)
}
