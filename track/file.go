package track

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// handle is what a growing file needs of an os.File.
type handle interface {
	io.Writer
	io.Seeker
	Truncate(size int64) error
	Close() error
}

// openFunc opens a file for writing at its end, making it and its folder if need be, and says how long it is.
type openFunc func(path string) (handle, int64, error)

func openFile(path string) (handle, int64, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
		return nil, 0, err
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o666)
	if err != nil {
		return nil, 0, err
	}
	size, err := f.Seek(0, io.SeekEnd)
	if err != nil {
		return nil, 0, errors.Join(err, f.Close())
	}
	return f, size, nil
}

// growing is a file that grows by whole pieces: a piece that could not be written whole is cut off before the next
// attempt. A file is opened when the first piece comes.
type growing struct {
	path  string
	open  openFunc
	h     handle
	size  int64 // up to here the file is whole
	dirty bool  // there may be a part of a piece after size
}

// start opens the file if it is not open.
func (g *growing) start() error {
	if g.h != nil {
		return nil
	}
	h, size, err := g.open(g.path)
	if err != nil {
		return err
	}
	g.h, g.size, g.dirty = h, size, false
	return nil
}

// append writes a piece, whole or not at all as far as later readers can see.
func (g *growing) append(piece []byte) error {
	if len(piece) == 0 {
		return nil
	}
	if err := g.start(); err != nil {
		return err
	}
	if g.dirty {
		if err := g.h.Truncate(g.size); err != nil {
			return fmt.Errorf("cut off a half-written piece: %w", err)
		}
		if _, err := g.h.Seek(g.size, io.SeekStart); err != nil {
			return err
		}
	}
	g.dirty = true
	if _, err := g.h.Write(piece); err != nil {
		return err
	}
	g.dirty = false
	g.size += int64(len(piece))
	return nil
}

func (g *growing) close() error {
	if g.h == nil {
		return nil
	}
	h := g.h
	g.h = nil
	var err error
	if g.dirty {
		err = h.Truncate(g.size)
	}
	return errors.Join(err, h.Close())
}

// replaceFile writes a file under a temporary name and renames it, so that no reader sees half of it.
func replaceFile(path string, b []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*")
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	err = errors.Join(err, f.Chmod(0o644), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return nil
}
