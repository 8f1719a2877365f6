package main

import (
	"fmt"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/smalti/smalti/run"
	"github.com/smalti/smalti/spec"
)

// filmOptions are the flags of animations.
type filmOptions struct {
	film run.Film
	fps  float64
}

func (o *filmOptions) addFlags(f *pflag.FlagSet, fps float64) {
	f.StringArrayVarP(&o.film.Out, "out", "o", nil, "write to `FILE`: .webm, .gif, .apng, .mp4 (needs ffmpeg); may be given again")
	f.Float64Var(&o.fps, "fps", fps, "frames per second")
	f.IntVar(&o.film.Quality, "quality", 90, "quality of WebM, 0 to 100")
}

// named gives the film its pace, and a name when the user gave none.
func (o *filmOptions) named(name string) run.Film {
	f := o.film
	if o.fps > 0 {
		f.Delay = time.Duration(float64(time.Second) / o.fps)
	}
	if len(f.Out) == 0 {
		f.Out, f.KeepOther = []string{name}, true
	}
	return f
}

func (a *app) newLabWalk() *cobra.Command {
	var film filmOptions
	var size string
	req := run.Wander{}
	cmd := &cobra.Command{
		Use:   "walk PICTURE",
		Short: "Wander through the latents around a picture, as an animation that comes back",
		Long: `Wander through the latents around a picture, as an animation that ends where it began. With --code the picture turns into one
code instead, as far as --scale says (1 is all the way).`,
		Example: `  smalti lab walk apple.png -o breathing.webm
  smalti lab walk apple.png --scale 0.6 --soft --frames 96 --seed 3 -o dance.gif
  smalti lab walk apple.png --code 12 --scale 0.9 -o dissolve.webm`,
		Args: exactly(1),
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			if cmd.Flags().Changed("code") && req.Code < 0 {
				return spec.Refusef("codes are numbers from 0", "--code is %d", req.Code)
			}
			if size != "" {
				if req.Width, req.Height, err = spec.ParseSize(size); err != nil {
					return err
				}
			}
			req.Picture, req.Film = args[0], film.named(pictureName(args[0])+"-walk.webm")
			r, err := a.openRunner()
			if err != nil {
				return err
			}
			sink, done := a.openSink(false)
			defer done()
			return r.Wander(cmd.Context(), req, sink)
		},
	}
	f := cmd.Flags()
	film.addFlags(f, 24)
	f.StringVar(&size, "size", "", "width and height, `WxH`; default: those of the picture")
	f.StringVar(&req.VQGAN, "vqgan", "", "model; default: that of the picture")
	f.IntVar(&req.Frames, "frames", 72, "frames in all")
	f.Uint64Var(&req.Seed, "seed", 0, "seed of the walk")
	f.Float64Var(&req.Scale, "scale", 0.4, "how far it leads, in standard deviations of the codebook")
	f.IntVar(&req.Code, "code", -1, "code that the picture turns into")
	f.BoolVar(&req.Soft, "soft", false, "paint mixtures as they are, without taking the nearest pieces")
	f.StringVar(&req.Dir, "run", "", "folder of the frames; default: beside the output")
	return cmd
}

func (a *app) newLabDream() *cobra.Command {
	var film filmOptions
	var every int
	o := paintOptions{job: spec.Default()}
	o.sitting = sittingOptions{chunk: 8, saveEvery: 25, previewEvery: 10}
	cmd := &cobra.Command{
		Use:   "dream PICTURE PROMPT...",
		Short: "Let a picture turn into words, and film it",
		Long: `Let a picture turn into words, and film it. It starts from the picture's own codes if smalti made it, else from its
reconstruction; --pull holds it back. What is left at the end is a painted picture like any other: it reruns and continues.`,
		Example: `  smalti lab dream apple.png "a fire engine" -o dream.webm
  smalti lab dream photo.jpg "a mosaic | blurry:-0.5" --size 128x128 --pull 0.5 --steps 80 --every 2 -o mosaic.gif`,
		Args: atLeast(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			o.given = func(flag string) bool { return cmd.Flags().Changed(flag) }
			o.init, o.preset = args[0], "normal"
			if o.size == "" {
				o.size = a.sizeOf(args[0])
			}
			req, err := o.painting(args[1:])
			if err != nil {
				return err
			}
			if every < 1 {
				return spec.Refusef("use 1 or more", "--every is %d", every)
			}
			req.FrameEvery = every
			f := film.named(pictureName(args[0]) + "-dream.webm")
			if o.out == "" && len(film.film.Out) > 0 {
				req.Out = pictureName(film.film.Out[0]) + ".png"
			}
			r, err := a.openRunner()
			if err != nil {
				return err
			}
			sink, done := a.openSink(false)
			defer done()
			return r.Dream(cmd.Context(), run.Dream{Painting: *req, Film: f}, sink)
		},
	}
	f := cmd.Flags()
	film.addFlags(f, 12)
	f.StringVar(&o.out, "picture", "", "write the last picture to `FILE`; default: beside the film")
	f.StringVar(&o.size, "size", "", "width and height, `WxH`; default: those of the picture")
	f.IntVar(&o.job.Steps, "steps", 60, "steps to dream")
	f.IntVar(&every, "every", 1, "steps between frames")
	f.IntVar(&o.job.Cuts.Count, "cuts", o.job.Cuts.Count, "cuts that CLIP looks at in each step")
	f.Float64Var(&o.job.Start.Weight, "pull", 0, "pull towards the picture")
	f.Float64Var(&o.job.Optimiser.LR, "lr", 0.05, "learning rate")
	f.Uint64Var(&o.job.Seed, "seed", 0, "seed of every random draw; default: a random one, kept in the picture")
	f.StringVar(&o.job.VQGAN.Name, "vqgan", o.job.VQGAN.Name, "model that paints")
	f.StringArrayVar(&o.clips, "clip", nil, "model that judges; may be given again")
	f.StringVar(&o.dir, "run", "", "run folder; default: beside the picture")
	return cmd
}

// sizeOf is the size of a picture as a flag says it, near enough to whole pieces of any model; an unreadable picture is
// refused later.
func (a *app) sizeOf(path string) string {
	img, err := decodePicture(path)
	if err != nil {
		return fmt.Sprintf("%dx%d", spec.Default().Width, spec.Default().Height)
	}
	const grain = 16
	round := func(n int) int { return max(grain, (n+grain/2)/grain*grain) }
	return fmt.Sprintf("%dx%d", round(img.Bounds().Dx()), round(img.Bounds().Dy()))
}
