package main

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"time"
	"unicode"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/smalti/smalti/latent"
	"github.com/smalti/smalti/run"
	"github.com/smalti/smalti/spec"
)

// morphOptions are the flags of morph.
type morphOptions struct {
	req              run.Morph
	size, loop, grid string
	fps              float64
	given            func(flag string) bool
}

func (a *app) newMorph() *cobra.Command {
	o := morphOptions{}
	cmd := &cobra.Command{
		Use:   "morph A B [C...]",
		Short: "Lead from one picture to another, as an animation or a sheet",
		Long: `Lead from one picture to another. Pictures may be files made by smalti, which are shown exactly as they are, run folders,
any other pictures, which are shown as the model reconstructs them, or prompt:WORDS, which are painted first, with --seed.

--mode tokens exchanges the pieces of glass one at a time, those that change least first. --mode lerp and slerp mix the
latents, straight or along circles, and take the nearest pieces, or with --soft none at all; they also go beyond the
pictures with --from and --to (0 is the first picture, 1 the second). --mode clip goes the way of slerp and paints on it, --steps steps
for each frame, towards what CLIP sees between the two pictures; its frames are even in time, not in distance.

Pictures may also be those of a generator: gan:MODEL#SEED is the first one that smalti gan sample MODEL --seed SEED shows,
gan:MODEL#SEED/3 the fourth. Their noise is mixed, along circles unless --mode lerp.

Frames are placed so that neighbours are equally far apart; --uniform-t places them evenly in time. They are kept in a
folder beside the output (a-to-b.morph), from which the same command goes on when it was stopped. With --grid COLUMNSxROWS
a sheet is made between four pictures at its corners.`,
		Example: `  smalti morph apple.png door.png
  smalti morph apple.png door.png sea.png -o trip.webm -o trip.gif --loop cycle --hold 6 --ease smooth
  smalti morph apple.png door.png --mode slerp --soft --from -0.5 --to 1.5 -o beyond.webm
  smalti morph "prompt:a red apple" door.png --mode clip --steps 10 -o dream.webm
  smalti morph gan:runs/gan#1 gan:runs/gan#2 gan:runs/gan#3 --loop cycle -o digits.gif
  smalti morph a.png b.png c.png d.png --grid 5x5 -o grid.png`,
		Args: atLeast(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			o.given = func(flag string) bool { return cmd.Flags().Changed(flag) }
			return a.runMorph(cmd.Context(), &o, args)
		},
	}
	o.addFlags(cmd.Flags())
	return cmd
}

func (o *morphOptions) addFlags(f *pflag.FlagSet) {
	q := &o.req
	f.StringArrayVarP(&q.Out, "out", "o", nil, "write to `FILE`: .webm, .gif, .apng, .mp4 (needs ffmpeg), .png for a grid; may be given again")
	f.StringVar(&q.Mode, "mode", run.MorphModes[0], "way between pictures: "+strings.Join(run.MorphModes, ", "))
	f.BoolVar(&q.Soft, "soft", false, "paint mixtures as they are, without taking the nearest pieces")
	f.IntVar(&q.Frames, "frames", 60, "frames in all, without those of --hold")
	f.Float64Var(&o.fps, "fps", 24, "frames per second")
	f.StringVar(&q.Ease, "ease", latent.Easings()[0], "pace between two pictures: "+strings.Join(latent.Easings(), ", "))
	f.StringVar(&o.loop, "loop", string(latent.Once), fmt.Sprintf("how it comes back to the beginning: %s, %s, %s", latent.Once, latent.Cycle, latent.Bounce))
	f.IntVar(&q.Hold, "hold", 0, "frames for which each picture stays in addition")
	f.Float64Var(&q.From, "from", 0, "where to begin: 0 is the first picture, 1 the second; may lie outside")
	f.Float64Var(&q.To, "to", 0, "where to end; default: the last picture")
	f.BoolVar(&q.UniformT, "uniform-t", false, "place frames evenly in time, not by how far the pictures move")
	f.StringVar(&o.grid, "grid", "", "make a sheet of `COLUMNSxROWS` between four pictures")
	f.StringVar(&o.size, "size", "", "width and height of the frames, `WxH`; default: those of the first picture made by smalti")
	f.StringVar(&q.VQGAN, "vqgan", "", "model that paints; default: that of the first picture made by smalti")
	f.StringVar(&q.CLIP, "clip", "", "model that looks on where words are painted, and in --mode clip")
	f.IntVar(&q.Steps, "steps", 8, "steps for each frame in --mode clip")
	f.Float64Var(&q.LR, "lr", run.MorphLR, "learning rate half-way between two pictures in --mode clip; it falls to nothing towards them")
	f.Uint64Var(&q.Seed, "seed", 0, "seed of pictures painted of words, and of the order among exchanges of equal size")
	f.IntVar(&q.Quality, "quality", 90, "quality of WebM, 0 to 100")
	f.StringVar(&q.Dir, "run", "", "folder of the frames; default: beside the output")
}

func (a *app) runMorph(ctx context.Context, o *morphOptions, args []string) error {
	req, err := o.morph(args)
	if err != nil {
		return err
	}
	r, err := a.openRunner()
	if err != nil {
		return err
	}
	sink, done := a.openSink(false)
	defer done()
	_, err = r.Morph(ctx, *req, sink)
	return err
}

// morph turns flags into a request, refusing what can be refused without a model.
func (o *morphOptions) morph(args []string) (*run.Morph, error) {
	q := o.req
	q.Pictures, q.Loop = args, latent.Loop(o.loop)
	if !o.given("mode") && strings.HasPrefix(args[0], "gan:") {
		q.Mode = "slerp"
	}
	if !o.given("to") {
		q.To = float64(len(args) - 1)
	}
	if o.fps > 0 {
		q.Delay = time.Duration(float64(time.Second) / o.fps)
	}
	var err error
	if o.size != "" {
		if q.Width, q.Height, err = spec.ParseSize(o.size); err != nil {
			return nil, err
		}
		if q.Width < 1 || q.Height < 1 {
			return nil, spec.Refusef("use 1 or more", "--size is %s", o.size)
		}
	}
	if o.grid != "" {
		if q.Columns, q.Rows, err = spec.ParseSize(o.grid); err != nil || q.Columns < 1 {
			return nil, spec.Refusef("write COLUMNSxROWS, for example 5x5", "--grid %q is no grid", o.grid)
		}
	}
	if len(q.Out) == 0 {
		ext := ".webm"
		if o.grid != "" {
			ext = ".png"
		}
		q.Out, q.KeepOther = []string{pictureName(args[0]) + "-to-" + pictureName(args[len(args)-1]) + ext}, true
	}
	return &q, q.Check()
}

// pictureName is the name of a picture or run folder without its folder and extension.
func pictureName(path string) string {
	if words, ok := strings.CutPrefix(path, "prompt:"); ok {
		const most = 8 // words of a file's name
		list := strings.FieldsFunc(words, func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) })
		return strings.Join(list[:min(most, len(list))], "-")
	}
	if name, ok := strings.CutPrefix(path, "gan:"); ok {
		model, seed, _ := strings.Cut(name, "#")
		return filepath.Base(model) + "-" + strings.ReplaceAll(seed, "/", "-")
	}
	base := filepath.Base(filepath.Clean(path))
	return strings.TrimSuffix(base, filepath.Ext(base))
}
