package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/smalti/smalti/run"
	"github.com/smalti/smalti/spec"
)

// sampleOptions are the flags of sample. Their defaults are those of spec.DefaultSample.
type sampleOptions struct {
	sample                    spec.Sample
	out, size, clip, complete string
	n, bestOf, class          int
	keep                      float64
	preview                   bool
	given                     func(flag string) bool
}

func (a *app) newSample() *cobra.Command {
	o := sampleOptions{sample: spec.DefaultSample()}
	cmd := &cobra.Command{
		Use:   "sample [PROMPT]",
		Short: "Draw pictures from a prior: a GPT over the codes of a VQGAN",
		Long: `Draw pictures from a prior, a GPT that invents the codes of a picture one after the other. Nothing is optimised: a picture
takes a second. Several are drawn for each one kept, and CLIP chooses (--best-of). A size larger than the prior's own is
drawn in a window that slides. Each picture carries its recipe: smalti rerun draws it again, byte for byte.`,
		Example: `  smalti sample "a red apple"
  smalti sample "two turtles on a red background" -n 8 --guidance 3 --seed 7
  smalti sample "a house" --complete sketch.png --keep 0.4
  smalti sample --prior taming/imagenet --vqgan taming/imagenet-vqgan --class 207 --size 384x256`,
		Args: atMost(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			o.given = func(flag string) bool { return cmd.Flags().Changed(flag) }
			return a.runSample(cmd.Context(), &o, args)
		},
	}
	o.addFlags(cmd.Flags())
	return cmd
}

func (o *sampleOptions) addFlags(f *pflag.FlagSet) {
	s := &o.sample
	f.StringVarP(&o.out, "out", "o", "", "picture to write to `FILE`; default: named after the prompt. With -n 2 and more, numbers are added")
	f.IntVarP(&o.n, "number", "n", 1, "pictures to keep")
	f.IntVar(&o.bestOf, "best-of", run.DefaultBestOf, "pictures drawn for each one kept, which CLIP likes best; 1 keeps what is drawn")
	f.StringVar(&o.clip, "clip", "builtin/clip", "model that chooses")
	f.StringVar(&s.Prior.Name, "prior", s.Prior.Name, "model that draws")
	f.StringVar(&s.VQGAN.Name, "vqgan", "", "model that the codes belong to; default: the one that the prior was trained with")
	f.IntVar(&o.class, "class", 0, "class to draw, of a prior for classes")
	f.StringVar(&o.size, "size", "", "width and height in pixels, `WxH`; default: the prior's own")
	f.Uint64Var(&s.Seed, "seed", 0, "seed of every random draw; default: a random one, kept in the picture")
	f.Float64Var(&s.Temperature, "temperature", s.Temperature, "below 1 keeps to likely codes; 0 takes the likeliest")
	f.IntVar(&s.TopK, "top-k", s.TopK, "choose among this many likeliest codes; 0 for all")
	f.Float64Var(&s.TopP, "top-p", s.TopP, "choose among the codes that have this share of the probability; 0 for all")
	f.Float64Var(&s.Guidance, "guidance", s.Guidance, "how much to exaggerate what the words change; 1 is their own way")
	f.StringVar(&o.complete, "complete", "", "keep the upper part of the picture in `FILE` and draw the rest")
	f.Float64Var(&o.keep, "keep", 0.5, "share of the height that --complete keeps")
	f.BoolVar(&o.preview, "preview", false, "show the pictures in the terminal")
}

func (a *app) runSample(ctx context.Context, o *sampleOptions, args []string) error {
	req, err := o.sampling(args)
	if err != nil {
		return err
	}
	r, err := a.openRunner()
	if err != nil {
		return err
	}
	sink, done := a.openSink(o.preview)
	defer done()
	_, err = r.Sample(ctx, *req, sink)
	return err
}

// sampling turns flags and prompt into a request, refusing what can be refused without a model.
func (o *sampleOptions) sampling(args []string) (*run.Sampling, error) {
	req := &run.Sampling{Sample: o.sample, BestOf: o.bestOf, CLIP: spec.ModelRef{Name: o.clip}, Share: o.keep}
	s := &req.Sample
	name := "sample"
	if len(args) > 0 {
		s.Prompt, name = args[0], args[0]
	}
	if s.Prompt == "" && !o.given("best-of") {
		req.BestOf = 1 // there are no words to choose by
	}
	if o.given("class") {
		s.Class, name = &o.class, fmt.Sprintf("class-%d", o.class)
	}
	var err error
	if o.size != "" {
		if s.Width, s.Height, err = spec.ParseSize(o.size); err != nil {
			return nil, err
		}
	}
	if !o.given("seed") {
		s.Seed = randomSeed()
	}
	if o.complete != "" {
		if s.Complete, err = req.Inputs.AddInput(o.complete); err != nil {
			return nil, fmt.Errorf("read the picture of --complete: %w", err)
		}
	} else if o.given("keep") {
		return nil, spec.Refuse("--keep has nothing to keep", "name a picture with --complete")
	}
	if o.n < 1 || o.n > 1024 {
		return nil, spec.Refusef("use 1 to 1024", "-n is %d", o.n)
	}
	if o.bestOf < 1 {
		return nil, spec.Refusef("use 1 or more", "--best-of is %d", o.bestOf)
	}
	out, err := outputName(o.out, []string{name})
	if err != nil {
		return nil, err
	}
	req.Outs = run.NumberedOuts(out, o.n)
	return req, s.Validate()
}
