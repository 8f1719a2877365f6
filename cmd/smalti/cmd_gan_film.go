package main

import (
	"context"
	"fmt"
	"image"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/smalti/smalti/event"
	"github.com/smalti/smalti/pixel"
	"github.com/smalti/smalti/spec"
	"github.com/smalti/smalti/train"
	"github.com/smalti/smalti/weights"
)

// ganFilm is what `gan film` makes.
type ganFilm struct {
	out          string
	frames, hold int
	fps          float64
	plain        bool
}

func (a *app) newGANFilm() *cobra.Command {
	var o ganFilm
	cmd := &cobra.Command{
		Use: "film RUN -o FILE", Short: "Film how a generator learnt: the same noise over time", Args: exactly(1),
		Long: "Film the sheets in RUN/frames, which show the same noise every sheet_every steps. The first and the last sheet are always in the film.",
		Example: `  smalti gan film runs/gan -o learning.gif
  smalti gan film runs/wgan-gp -o learning.webm --frames 400 --fps 24`,
		RunE: func(cmd *cobra.Command, args []string) error { return a.runGANFilm(cmd.Context(), args[0], o) },
	}
	f := cmd.Flags()
	f.StringVarP(&o.out, "out", "o", "film.gif", "write to `FILE`: .gif, .webm or .apng")
	f.IntVar(&o.frames, "frames", 100, "at most so many sheets, evenly spaced")
	f.Float64Var(&o.fps, "fps", 8, "sheets per second")
	f.IntVar(&o.hold, "hold", 8, "frames for which the last sheet stays in addition")
	f.BoolVar(&o.plain, "plain", false, "leave out the line that says the step")
	return cmd
}

func (o ganFilm) check() error {
	switch {
	case o.frames < 2 || o.frames > pixel.MaxFrames:
		return spec.Refusef(fmt.Sprintf("use a value from 2 to %d", pixel.MaxFrames), "--frames is %d", o.frames)
	case !(o.fps >= 0.1 && o.fps <= 100):
		return spec.Refusef("use a value from 0.1 to 100", "--fps is %g", o.fps)
	case o.hold < 0 || o.hold > 1000:
		return spec.Refusef("use a value from 0 to 1000", "--hold is %d", o.hold)
	}
	return checkOut(o.out, ".gif", ".webm", ".apng")
}

// sheet is one picture of a run.
type sheet struct {
	step int
	path string
}

// sheetsOf lists the sheets of a run by step.
func sheetsOf(dir string) ([]sheet, error) {
	entries, err := os.ReadDir(filepath.Join(dir, train.FramesDir))
	var out []sheet
	for _, e := range entries {
		name, isPNG := strings.CutSuffix(e.Name(), ".png")
		if step, err := strconv.Atoi(name); err == nil && isPNG {
			out = append(out, sheet{step, filepath.Join(dir, train.FramesDir, e.Name())})
		}
	}
	if err != nil || len(out) == 0 {
		return nil, spec.Refusef("name the folder of a smalti train gan, which keeps sheets in its frames", "%s has no sheets", dir)
	}
	slices.SortFunc(out, func(a, b sheet) int { return a.step - b.step })
	return out, nil
}

// thin keeps at most n, evenly spaced, the ends among them.
func thin(all []sheet, n int) []sheet {
	if len(all) <= n {
		return all
	}
	out := make([]sheet, n)
	for i := range out {
		out[i] = all[i*(len(all)-1)/(n-1)]
	}
	return out
}

func (a *app) runGANFilm(ctx context.Context, dir string, o ganFilm) error {
	if err := o.check(); err != nil {
		return err
	}
	all, err := sheetsOf(dir)
	if err != nil {
		return err
	}
	kept := thin(all, o.frames)
	film := pixel.Film{Frames: len(kept) + o.hold, Delay: time.Duration(float64(time.Second) / o.fps), Frame: func(i int) (image.Image, error) {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		return o.frame(kept[min(i, len(kept)-1)])
	}}
	if err := o.write(film); err != nil {
		return err
	}
	a.sink().Emit(event.Event{Kind: event.Saved, Path: o.out, Values: map[string]float64{"frames": float64(film.Frames),
		"first_step": float64(kept[0].step), "last_step": float64(kept[len(kept)-1].step)}})
	return nil
}

// frame is a sheet with its step below.
func (o ganFilm) frame(s sheet) (image.Image, error) {
	img, err := decodePicture(s.path)
	if err != nil || o.plain {
		return img, err
	}
	return pixel.Sheet{}.Draw([]pixel.Cell{{Picture: img, Caption: fmt.Sprintf("step %d", s.step)}}), nil
}

func (o ganFilm) write(film pixel.Film) error {
	encode := func(w io.Writer) error { return pixel.EncodeAPNG(w, film) }
	switch strings.ToLower(filepath.Ext(o.out)) {
	case ".webm":
		encode = func(w io.Writer) error { return pixel.EncodeWebM(w, film, 90) }
	case ".gif":
		frames, err := inMemory(film)
		if err != nil {
			return err
		}
		encode = func(w io.Writer) error { return pixel.EncodeGIF(w, frames, film.Delay) }
	}
	return weights.SaveFile(o.out, encode)
}

// inMemory loads a film for a format that needs all of it at once.
func inMemory(film pixel.Film) ([]image.Image, error) {
	var out []image.Image
	for i := range film.Frames {
		img, err := film.Frame(i)
		if err != nil {
			return nil, err
		}
		if b := img.Bounds(); b.Dx()*b.Dy() > pixel.MaxGIFPixels/film.Frames {
			return nil, spec.Refusef("use fewer --frames, or a .webm", "a GIF of %d sheets of %dx%d is too large", film.Frames, b.Dx(), b.Dy())
		}
		out = append(out, img)
	}
	return out, nil
}
