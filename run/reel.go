package run

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"image"
	"image/draw"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/smalti/smalti/event"
	"github.com/smalti/smalti/pixel"
	"github.com/smalti/smalti/spec"
	"github.com/smalti/smalti/weights"
)

// Film says where an animation goes and how it is shown.
type Film struct {
	Out       []string      // files: .webm, .gif, .apng, .mp4
	Dir       string        // folder of the frames; empty means beside Out[0]
	Delay     time.Duration // for which a frame is shown
	Quality   int           // of WebM, 0 to 100
	KeepOther bool          // do not write over files of another animation
}

// formats by the extension of the output.
var formats = []string{".webm", ".gif", ".apng", ".mp4"}

// check refuses what cannot be written, before any work.
func (f *Film) check() error {
	if len(f.Out) == 0 {
		return spec.Refuse("the animation has no output", "name one with -o")
	}
	if f.Delay < time.Millisecond || f.Delay > time.Minute {
		return spec.Refuse("--fps is out of range", "use 0.02 to 1000 frames per second")
	}
	if f.Quality < 0 || f.Quality > 100 {
		return spec.Refusef("use 0 to 100", "--quality is %d", f.Quality)
	}
	if err := checkExtensions(f.Out, formats, "an animation is WebM, GIF, animated PNG or MP4"); err != nil {
		return err
	}
	return checkFolders(f.Out)
}

func checkExtensions(outs, known []string, why string) error {
	for _, out := range outs {
		ext := strings.ToLower(filepath.Ext(out))
		if !slices.Contains(known, ext) {
			return spec.Refusef("use one of: "+strings.Join(known, ", "), "-o %s: %s", out, why)
		}
		if _, err := pixel.FindFFmpeg(); err != nil && ext == ".mp4" {
			return spec.Refusef("install ffmpeg, or name a .webm, which needs no other program", "-o %s: %v", out, err)
		}
	}
	return nil
}

func checkFolders(outs []string) error {
	for _, out := range outs {
		if dir := filepath.Dir(out); !isDir(dir) {
			return spec.Refusef("make it first: mkdir -p "+dir, "the folder %s does not exist", dir)
		}
	}
	return nil
}

// reel is the folder in which an animation's frames lie until they are put together. The file named by label holds, as
// canonical JSON, what decides the frames: the same words mean the same frames, so the same command goes on after those
// that are there.
type reel struct {
	Film
	sink  event.Sink
	label string // name of the file with the words
	what  string // for messages: "morph"
	words []byte
	also  []string // other names in the folder that belong to the work
	w, h  int
}

// open makes the folder. One that holds the same work is gone on with, one of other work of its kind is cleared, and
// anything else refused.
func (r *reel) open() error {
	old, err := readCapped(filepath.Join(r.Dir, r.label), 1<<20)
	if err == nil && bytes.Equal(old, r.words) {
		return nil
	}
	if r.KeepOther {
		for _, path := range append([]string{r.Dir}, r.Out...) {
			if _, err := os.Lstat(path); err == nil {
				return spec.Refusef("choose another name with -o, which may also name this one", "%s is there already", path)
			}
		}
	}
	if entries, dirErr := os.ReadDir(r.Dir); dirErr == nil && len(entries) > 0 && errors.Is(err, fs.ErrNotExist) {
		return spec.Refusef("choose another folder with --run", "%s exists and holds no %s", r.Dir, r.what)
	}
	for _, name := range append([]string{r.label, framesDir}, r.also...) {
		if err := os.RemoveAll(filepath.Join(r.Dir, name)); err != nil {
			return fmt.Errorf("clear the folder of the %s: %w", r.what, err)
		}
	}
	if err := os.MkdirAll(filepath.Join(r.Dir, framesDir), 0o755); err != nil {
		return fmt.Errorf("make the folder of the %s: %w", r.what, err)
	}
	return writeFile(filepath.Join(r.Dir, r.label), r.words)
}

func (r *reel) path(i int) string { return filepath.Join(r.Dir, framesDir, fmt.Sprintf("%06d.png", i)) }

// shoot writes the frames that are not there yet, each whole, and returns how many there are.
func (r *reel) shoot(ctx context.Context, frames int, paint func(i int) (image.Image, []pixel.Chunk, error)) (int, error) {
	for i := range frames {
		if err := ctx.Err(); err != nil {
			return i, err
		}
		if _, err := os.Lstat(r.path(i)); errors.Is(err, fs.ErrNotExist) {
			img, chunks, err := paint(i)
			if err != nil {
				return i, fmt.Errorf("run: frame %d: %w", i, err)
			}
			if err := weights.SaveFile(r.path(i), func(w io.Writer) error { return pixel.EncodePNG(w, img, chunks...) }); err != nil {
				return i, err
			}
		}
		r.sink.Emit(event.Event{Kind: event.Step, Step: i + 1, Steps: frames, Text: map[string]string{"unit": "frame"}})
	}
	return frames, nil
}

// read reads a frame back, so that files are made of the same pixels in whichever sitting they were painted.
func (r *reel) read(i int) (*image.NRGBA, error) {
	img, err := pixel.DecodeFile(r.path(i))
	if err != nil {
		return nil, err
	}
	if img.Bounds() != image.Rect(0, 0, r.w, r.h) {
		return nil, fmt.Errorf("frame %d is %v, not %dx%d", i, img.Bounds(), r.w, r.h)
	}
	if n, ok := img.(*image.NRGBA); ok {
		return n, nil
	}
	out := image.NewNRGBA(img.Bounds())
	draw.Draw(out, out.Rect, img, image.Point{}, draw.Src)
	return out, nil
}

// cut makes the output files of the frames.
func (r *reel) cut(ctx context.Context, frames int, write func(ctx context.Context, out string, film pixel.Film) error) error {
	film := pixel.Film{Frames: frames, Delay: r.Delay,
		Frame: func(i int) (image.Image, error) {
			if err := ctx.Err(); err != nil {
				return nil, err
			}
			return r.read(i)
		}}
	for _, out := range r.Out {
		if err := write(ctx, out, film); err != nil {
			return fmt.Errorf("run: %s: %w", out, err)
		}
		r.sink.Emit(event.Event{Kind: event.Saved, Path: out})
	}
	return nil
}

// film writes an animation in the format of its name.
func (r *reel) film(ctx context.Context, out string, film pixel.Film) error {
	var buf bytes.Buffer
	var err error
	switch strings.ToLower(filepath.Ext(out)) {
	case ".mp4":
		return pixel.WriteMP4(ctx, out, film)
	case ".webm":
		err = pixel.EncodeWebM(&buf, film, r.Quality)
	case ".gif":
		var frames []image.Image
		if frames, err = all(film); err == nil {
			err = pixel.EncodeGIF(&buf, frames, film.Delay)
		}
	default:
		err = pixel.EncodeAPNG(&buf, film)
	}
	if err != nil {
		return err
	}
	return writeFile(out, buf.Bytes())
}

// all loads a film into memory; what calls it bounds its size.
func all(film pixel.Film) ([]image.Image, error) {
	var frames []image.Image
	for i := range film.Frames {
		f, err := film.Frame(i)
		if err != nil {
			return nil, err
		}
		frames = append(frames, f)
	}
	return frames, nil
}

// checkMemory refuses what GIF cannot hold, all of whose frames are in memory at once.
func (f *Film) checkMemory(frames, w, h int) error {
	for _, out := range f.Out {
		if strings.EqualFold(filepath.Ext(out), ".gif") && frames > pixel.MaxGIFPixels/(w*h) {
			return spec.Refusef("make fewer or smaller frames, or an animation as .webm or .apng",
				"%d frames of %dx%d are too many for %s", frames, w, h, out)
		}
	}
	return nil
}
