package pixel

import (
	"errors"
	"fmt"
	"image"
	"image/color"
	"time"
)

// Caps on films. GIF holds all its frames in memory while it is written; the others take one frame at a time.
const (
	MaxFrames    = 20_000
	MaxGIFPixels = 100_000_000 // of all frames together
)

// Film is a sequence of pictures of one size, asked for one at a time, in order, as often as a format needs.
type Film struct {
	Frames int
	Delay  time.Duration // for which each frame is shown
	Frame  func(i int) (image.Image, error)
	Once   bool // GIF and APNG stop at the end instead of starting again
}

// FilmOf is a film of pictures in memory.
func FilmOf(frames []image.Image, delay time.Duration) Film {
	return Film{Frames: len(frames), Delay: delay, Frame: func(i int) (image.Image, error) { return frames[i], nil }}
}

func (f Film) check() error {
	switch {
	case f.Frames < 1:
		return errors.New("a film without frames")
	case f.Frames > MaxFrames:
		return fmt.Errorf("a film of %d frames is longer than %d", f.Frames, MaxFrames)
	case f.Delay < time.Millisecond || f.Delay > time.Minute:
		return fmt.Errorf("a film with a frame each %v: want 1ms to 1m", f.Delay)
	}
	return nil
}

// each hands every frame to show, laid over white, after checking that it has the size of the first.
func (f Film) each(show func(i int, r raster) error) error {
	if err := f.check(); err != nil {
		return err
	}
	var size image.Point
	for i := range f.Frames {
		img, err := f.Frame(i)
		if err != nil {
			return fmt.Errorf("frame %d: %w", i, err)
		}
		if i == 0 {
			size = img.Bounds().Size()
		}
		if got := img.Bounds().Size(); got != size || got.X < 1 || got.Y < 1 {
			return fmt.Errorf("frame %d is %v, the first %v", i, got, size)
		}
		if err := show(i, flatten(img, color.White)); err != nil {
			return fmt.Errorf("frame %d: %w", i, err)
		}
	}
	return nil
}
