package main

import (
	"context"
	"fmt"
	"image"
	"os"

	"github.com/spf13/cobra"

	"github.com/smalti/smalti/clip"
	"github.com/smalti/smalti/dataset"
	"github.com/smalti/smalti/pixel"
	"github.com/smalti/smalti/quality"
	"github.com/smalti/smalti/run"
	"github.com/smalti/smalti/spec"
)

// defaultJudge is the judge of the repository, which is not part of the program.
const defaultJudge = "assets/judge/judge.safetensors"

type qualityOptions struct {
	prompts, judge, prior, data, out string
	limit                            int
	seed                             uint64
	sets, settings                   []string
	preset, initNoise                string
}

func (a *app) newBenchQuality() *cobra.Command {
	var o qualityOptions
	cmd := &cobra.Command{
		Use: "quality", Short: "Measure how well painted pictures show what their prompts say, by a judge that guides none", Args: exactly(0),
		Long: `Paint prompts and let a judge - a CLIP of another architecture that never guides - rank each picture against its caption and
99 others of other things. Beside it stands what the judge makes of real pictures of the same captions, composed from a
drawing style that no training saw: the ceiling. Several settings are compared prompt by prompt.

Pictures stay in the folder of --out and are not painted again. blind.png there has no captions: let somebody write what
each picture shows before opening key.tsv. The CLIP that guides scores everything high and is no result.`,
		Example: `  smalti bench quality --limit 24 --preset draft
  smalti bench quality --setting "start: --init-noise prior" --setting "plain:" --json
  smalti bench quality --prompts mine.txt --judge judge.safetensors --prior other-prior.safetensors`,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.runBenchQuality(cmd.Context(), &o) },
	}
	f := cmd.Flags()
	f.StringVar(&o.prompts, "prompts", "", "`FILE` with one prompt a line; default: 180 prompts of three classes")
	f.IntVar(&o.limit, "limit", 0, "paint so many of them, evenly spread; 0 paints all. The others still compete")
	f.StringVar(&o.judge, "judge", defaultJudge, "weight `FILE` of the judge")
	f.StringVar(&o.prior, "prior", "", "prior that took no part in the painting, by `FILE` or name: how likely it finds the pictures")
	f.StringVar(&o.data, "data", defaultPack, "pack for the real pictures, by name or folder")
	f.StringVarP(&o.out, "out", "o", "quality", "`FOLDER` for pictures and sheets; what is there already is kept")
	f.Uint64Var(&o.seed, "seed", 7, "seed of pictures, of who competes and of the real pictures")
	f.StringArrayVar(&o.sets, "set", nil, "a flag of paint for all settings, `flag=value`, for example steps=60; may be given again")
	f.StringVar(&o.preset, "preset", "", "short for --set preset=...: "+presetNames())
	f.StringVar(&o.initNoise, "init-noise", "", "short for --set init-noise=...")
	f.StringArrayVar(&o.settings, "setting", nil, "a way to paint, `NAME: FLAGS` of paint; may be given again to compare several")
	return cmd
}

// realVariants are the pictures composed of each caption for the ceiling.
const realVariants = 4

// rivals are the captions that a picture's own competes with.
const rivals = 99

// qualityBench is a bench quality at work.
type qualityBench struct {
	*app
	o        *qualityOptions
	runner   *run.Runner
	judge    *clip.Model
	other    *run.Drawer // nil without --prior
	all      []quality.Prompt
	which    []int // of all, to paint
	pools    [][]int
	settings []*setting
	real     *reality // nil without a pack
}

func (a *app) runBenchQuality(ctx context.Context, o *qualityOptions) error {
	b := &qualityBench{app: a, o: o}
	if err := b.prepare(); err != nil {
		return err
	}
	for _, s := range b.settings {
		if err := b.paintAll(ctx, s); err != nil {
			return err
		}
	}
	if err := b.measureReal(ctx); err != nil {
		return err
	}
	for _, s := range b.settings {
		if err := b.measure(ctx, s); err != nil {
			return err
		}
		if err := b.sheet(s); err != nil {
			return err
		}
	}
	return b.report()
}

// prepare finds out all that can be wrong before the first picture is painted.
func (b *qualityBench) prepare() (err error) {
	if b.all, err = b.o.readPrompts(); err != nil {
		return err
	}
	if b.o.limit < 0 {
		return spec.Refusef("use 1 or more, or 0 for all", "--limit is %d", b.o.limit)
	}
	b.which = quality.Spread(b.all, b.o.limit)
	b.pools = quality.Pools(b.all, b.o.seed, rivals)
	if b.settings, err = b.o.parseSettings(); err != nil {
		return err
	}
	if b.runner, err = b.openRunner(); err != nil {
		return err
	}
	if !exists(b.o.judge) {
		return spec.Refusef("train one: smalti train clip --role judge --out runs/judge; then --judge runs/judge/model.safetensors", "there is no judge at %s", b.o.judge)
	}
	if b.judge, _, err = b.runner.Judge(b.o.judge); err != nil {
		return err
	}
	if err := b.openOther(); err != nil {
		return err
	}
	return b.openReality()
}

func (o *qualityOptions) readPrompts() ([]quality.Prompt, error) {
	if o.prompts == "" {
		return quality.Default(), nil
	}
	f, err := os.Open(o.prompts)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	all, err := quality.Read(f)
	if err == nil && len(all) < 2 {
		return nil, spec.Refusef("write one prompt a line", "%s has %d prompts; ranks need others to compete with", o.prompts, len(all))
	}
	return all, err
}

// openOther opens the prior of --prior, which must have had no part in any painting.
func (b *qualityBench) openOther() (err error) {
	switch {
	case b.o.prior == "":
		return nil
	case isFile(b.o.prior):
		b.other, err = b.runner.DrawerFile(b.o.prior)
	default:
		b.other, err = b.runner.Drawer(spec.ModelRef{Name: b.o.prior}, spec.ModelRef{})
	}
	if err != nil {
		return err
	}
	for _, s := range b.settings {
		req, err := s.painting("a cat", b.o.seed, "cat.png")
		if err != nil {
			return err
		}
		if took, err := b.runner.TookPart(b.other.Ref.SHA256, &req.Job); err != nil {
			return err
		} else if took {
			return spec.Refusef("measure by a prior of another seed", "setting %s paints with the prior %s, which would judge its own work", s.name, b.o.prior)
		}
	}
	return nil
}

// reality are pictures composed of the prompts' captions.
type reality struct {
	which    []int // of qualityBench.all, realVariants times each
	pictures []image.Image
	quality.Measurement
	nll []float64 // nil without --prior
}

// openReality composes real pictures. Without a pack it says so: the figures then have nothing beside them.
func (b *qualityBench) openReality() error {
	dir, err := b.packDir(b.o.data)
	if err != nil {
		return err
	}
	if !exists(dir) {
		fmt.Fprintf(b.err, "note: there is no pack in %s, so there is no ceiling\nhint: build it: smalti data build %s\n", dir, defaultPack)
		return nil
	}
	pack, err := dataset.OpenPack(dir)
	if err != nil {
		return err
	}
	first, err := b.settings[0].painting("a cat", b.o.seed, "cat.png")
	if err != nil {
		return err
	}
	il, r := dataset.NewIllustrator(pack.HeldStyle()), &reality{}
	for _, p := range b.which {
		wish, ok := dataset.ReadWish(b.all[p].Caption)
		for v := range realVariants {
			var s dataset.Sample
			if ok {
				s, ok = il.Draw(wish, b.o.seed, uint64(p*realVariants+v), min(first.Job.Width, first.Job.Height))
			}
			if ok {
				r.which = append(r.which, p)
				r.pictures = append(r.pictures, pixel.Image{W: s.Size, H: s.Size, Pix: s.Pix}.ToImage())
			}
		}
	}
	if len(r.pictures) == 0 {
		fmt.Fprintf(b.err, "note: the pack has pictures of none of the prompts, so there is no ceiling\n")
		return nil
	}
	b.real = r
	return nil
}

func (b *qualityBench) measureReal(ctx context.Context) (err error) {
	if b.real == nil {
		return nil
	}
	r := b.real
	if r.Measurement, err = quality.Measure(ctx, b.judge, b.all, b.pools, r.which, r.pictures); err != nil {
		return err
	}
	if b.other != nil {
		r.nll, err = b.other.Likelihood(ctx, b.captions(r.which), r.pictures)
	}
	return err
}

func (b *qualityBench) captions(which []int) []string {
	out := make([]string, len(which))
	for i, p := range which {
		out[i] = b.all[p].Caption
	}
	return out
}

func (b *qualityBench) measure(ctx context.Context, s *setting) (err error) {
	if s.Measurement, err = quality.Measure(ctx, b.judge, b.all, b.pools, b.which, s.pictures); err != nil {
		return err
	}
	if b.other != nil {
		s.nll, err = b.other.Likelihood(ctx, b.captions(b.which), s.pictures)
	}
	return err
}
