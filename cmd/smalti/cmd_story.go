package main

import (
	"github.com/spf13/cobra"

	"github.com/smalti/smalti/pixel"
	"github.com/smalti/smalti/run"
	"github.com/smalti/smalti/spec"
)

// storyOptions are the flags of story.
type storyOptions struct {
	paint                        paintOptions
	film                         filmOptions
	req                          run.Story
	zoom, shiftX, shiftY, rotate string
	source                       string
}

func (a *app) newStory() *cobra.Command {
	o := storyOptions{paint: paintOptions{job: spec.Default(), preset: "normal"}}
	o.paint.sitting = sittingOptions{chunk: 8, saveEvery: 25, previewEvery: 10}
	cmd := &cobra.Command{
		Use:   "story PROMPT...",
		Short: "Paint a film frame by frame, with prompts over time and a moving camera",
		Long: `Paint a film frame by frame. Each frame starts from the one before, as a moving camera sees it, and is painted on for
--frame-steps. Prompts joined by "^" take turns over the frames. --zoom, --shift-x, --shift-y and --rotate are numbers, or keys
over frames such as "0:1, 30:1.05, 60:1".

--source FOLDER styles a film: frame by frame, its pictures are what is held on to (--source-weight) and mixed into each start
(--source-blend); --smooth keeps a share of the last frame, against flicker. Frames are kept in a folder beside the output,
from which the same command goes on when it was stopped.`,
		Example: `  smalti story "a seed ^ a tree ^ a forest" --frames 90 --zoom 1.02 -o growth.webm
  smalti story "a mosaic" --source frames/ --source-weight 0.5 --source-blend 0.5 --smooth 0.3 -o mosaic.webm
  smalti story "a galaxy" --zoom "0:1, 30:1.06" --rotate 2 --size 128x128 -o spin.gif`,
		Args: atLeast(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			o.paint.given = func(flag string) bool { return cmd.Flags().Changed(flag) }
			if err := o.story(args); err != nil {
				return err
			}
			r, err := a.openRunner()
			if err != nil {
				return err
			}
			sink, done := a.openSink(false)
			defer done()
			return r.Story(cmd.Context(), o.req, sink)
		},
	}
	f := cmd.Flags()
	o.film.addFlags(f, 12)
	j := &o.paint.job
	f.StringVar(&o.paint.size, "size", "128x128", "width and height, `WxH`")
	f.IntVar(&o.req.Frames, "frames", 60, "frames in all")
	f.IntVar(&j.Steps, "steps", 60, "steps of the first frame")
	f.IntVar(&o.req.FrameSteps, "frame-steps", 6, "steps of every other frame")
	f.IntVar(&j.Cuts.Count, "cuts", j.Cuts.Count, "cuts that CLIP looks at in each step")
	f.Float64Var(&j.Optimiser.LR, "lr", j.Optimiser.LR, "learning rate")
	f.Uint64Var(&j.Seed, "seed", 0, "seed of every random draw; default: a random one")
	f.StringVar(&o.zoom, "zoom", "", "from frame to frame this much larger: `KEYS`")
	f.StringVar(&o.shiftX, "shift-x", "", "pixels to the right from frame to frame: `KEYS`")
	f.StringVar(&o.shiftY, "shift-y", "", "pixels down from frame to frame: `KEYS`")
	f.StringVar(&o.rotate, "rotate", "", "degrees anticlockwise from frame to frame: `KEYS`")
	f.Float64Var(&o.req.Smooth, "smooth", 0, "share of the last frame's latent in the start of the next (0..0.99)")
	f.StringVar(&o.source, "source", "", "`FOLDER` of pictures that the frames should look like, in the order of their names")
	f.Float64Var(&o.req.SourceWeight, "source-weight", 0, "pull of each frame to its source, or to its start without sources")
	f.Float64Var(&o.req.SourceBlend, "source-blend", 0, "share of its source in a frame's start (0..1)")
	f.StringVar(&o.paint.init, "init", "", "start from the picture in `FILE`")
	f.StringVar(&o.paint.initNoise, "init-noise", j.Start.Kind, "start from random codes, pixels, gradient or fractal")
	f.StringVar(&j.VQGAN.Name, "vqgan", j.VQGAN.Name, "model that paints")
	f.StringArrayVar(&o.paint.clips, "clip", nil, "model that judges, `NAME[=WEIGHT]`; may be given again")
	f.StringArrayVar(&o.paint.filters, "filter", nil, "change what is seen, as paint has it")
	f.StringArrayVar(&o.paint.losses, "loss", nil, "loss on the look, as paint has it")
	f.StringVar(&o.req.Dir, "run", "", "folder of the frames; default: beside the output")
	return cmd
}

// story turns flags into the request.
func (o *storyOptions) story(args []string) error {
	q := &o.req
	o.paint.out = slug(args[0]) + ".png" // only its check of prompts and models is wanted
	p, err := o.paint.painting(args)
	if err != nil {
		return err
	}
	q.Job, q.Inputs = p.Job, p.Inputs
	if q.Job.Prompts, err = spec.ParsePrompts(args, q.Frames); err != nil { // parts of a story are counted in frames
		return err
	}
	for _, k := range []struct {
		text string
		to   *spec.Keys
	}{{o.zoom, &q.Zoom}, {o.shiftX, &q.ShiftX}, {o.shiftY, &q.ShiftY}, {o.rotate, &q.Rotate}} {
		if k.text == "" {
			continue
		}
		if *k.to, err = spec.ParseKeys(k.text); err != nil {
			return err
		}
	}
	if o.source != "" {
		if q.Sources, err = run.PicturesIn(o.source, pixel.MaxFrames); err != nil {
			return err
		}
	}
	q.Film = o.film.named(slug(args[0]) + ".webm")
	return nil
}
