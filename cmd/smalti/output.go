package main

import (
	"errors"
	"fmt"
	"image"
	"io"
	"os"

	"github.com/smalti/smalti/event"
	"github.com/smalti/smalti/pixel"
	"github.com/smalti/smalti/run"
	"github.com/smalti/smalti/spec"
	"github.com/smalti/smalti/store"
	"github.com/smalti/smalti/store/builtin"
	"github.com/smalti/smalti/ui"
	"github.com/smalti/smalti/weights"
)

// sink is where events of queries and short work go: JSON lines when asked for, else a terminal on standard error.
func (a *app) sink() event.Sink {
	s, _ := a.openSink(false)
	return s
}

// openSink returns the sink of a verb and what ends it.
func (a *app) openSink(preview bool) (event.Sink, func()) {
	if a.json {
		return ui.NewJSON(a.out), func() {}
	}
	t := ui.NewTerminal(a.err, ui.Options{Screen: ui.Detect(a.err, a.env), Now: a.now, Preview: preview, Quiet: a.quiet})
	return t, t.Close
}

func (a *app) emitFailed(what, hint string) {
	ui.NewJSON(a.out).Emit(event.Event{Kind: event.Failed, Message: oneLine(what), Hint: oneLine(hint)})
}

// openStore returns the models on disk with those inside the program.
func (a *app) openStore() *store.Store {
	return store.New(store.DefaultRoot(a.env), builtin.Models()...)
}

func (a *app) openRunner() (*run.Runner, error) {
	r, err := run.New(run.Options{Store: a.openStore(), Threads: a.threads, LowMemory: a.lowMemory, Bands: int(a.bands), Class: a.env("SMALTI_CPU"), Version: release, Now: a.now})
	if err != nil {
		return nil, spec.Refusef("SMALTI_CPU may be avx512bf16, avx512, avx2 or generic, up to what this machine has", "%v", err)
	}
	return r, nil
}

// writePNG writes a picture whole or not at all.
func writePNG(path string, img image.Image, chunks ...pixel.Chunk) error {
	return weights.SaveFile(path, func(w io.Writer) error { return pixel.EncodePNG(w, img, chunks...) })
}

// withHint is an error that tells the user what to try.
type withHint struct {
	err  error
	hint string
}

func (e *withHint) Error() string { return e.err.Error() }
func (e *withHint) Unwrap() error { return e.err }

// Hint says what to try.
func (e *withHint) Hint() string { return e.hint }

func hinted(err error, hint string) error { return &withHint{err, hint} }

// exists reports whether something is at path.
func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

// decodePicture reads a picture file of any format that smalti knows.
func decodePicture(path string) (image.Image, error) {
	img, err := pixel.DecodeFile(path)
	var big *pixel.TooLargeError
	switch {
	case errors.As(err, &big):
		return nil, hinted(fmt.Errorf("read %s: %w", path, err), "make it smaller first")
	case errors.Is(err, pixel.ErrFormat):
		return nil, hinted(fmt.Errorf("read %s: %w", path, err), "save it as PNG or JPEG")
	case err != nil:
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	return img, nil
}

// save writes a file whole or not at all and says so.
func (a *app) save(path string, data []byte) error {
	err := weights.SaveFile(path, func(w io.Writer) error {
		_, err := w.Write(data)
		return err
	})
	if err == nil {
		a.sink().Emit(event.Event{Kind: event.Saved, Path: path})
	}
	return err
}

// savePicture is save for a picture.
func (a *app) savePicture(path string, img image.Image) error {
	if err := writePNG(path, img); err != nil {
		return err
	}
	a.sink().Emit(event.Event{Kind: event.Saved, Path: path})
	return nil
}

// capped fails a read that goes beyond a number of bytes.
type capped struct {
	r    io.Reader
	left int64
}

func (c *capped) Read(p []byte) (int, error) {
	if c.left <= 0 {
		return 0, errors.New("the file is too large")
	}
	n, err := c.r.Read(p[:min(int64(len(p)), c.left)])
	c.left -= int64(n)
	return n, err
}
