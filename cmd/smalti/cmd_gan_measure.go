package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"github.com/spf13/cobra"

	"github.com/smalti/smalti/course"
	"github.com/smalti/smalti/event"
	"github.com/smalti/smalti/gan"
	"github.com/smalti/smalti/spec"
	"github.com/smalti/smalti/train"
	"github.com/smalti/smalti/ui"
)

// ganMeasure is what `gan measure` is asked for.
type ganMeasure struct {
	data, judge, inception string
	n                      int
	best                   bool
}

func (a *app) newGANMeasure() *cobra.Command {
	var o ganMeasure
	cmd := &cobra.Command{
		Use: "measure RUN|FILE", Short: "Measure a generator, and say how its training went", Args: exactly(1),
		Long: `Make pictures with a generator and compare them with real ones: by a classifier of your own data (--judge; a run knows the
one it was trained with), and by Inception v3 if you have its weights (--inception). None come with smalti: FID is defined by
a network of 2015 whose weights are known as pt_inception-2015-12-05-6726825d.pth; torchvision's inception_v3 is taken as
well, but its figures are not comparable with published ones. FID needs tens of thousands of pictures; on two processors
Inception takes about a minute for each thousand. Of a run it also says how the training went, in its own numbers.`,
		Example: `  smalti gan measure runs/gan -n 10000
  smalti gan measure runs/faces --inception pt_inception-2015-12-05-6726825d.pth -n 20000
  smalti gan measure netG.pth --data mnist --judge runs/judge`,
		RunE: func(cmd *cobra.Command, args []string) error { return a.runGANMeasure(cmd.Context(), args[0], o) },
	}
	f := cmd.Flags()
	f.StringVar(&o.data, "data", "", "`PACK` by name, or folder, to compare with; default: the run's")
	f.StringVar(&o.judge, "judge", "", "classifier to measure by, its `RUN` folder or model file; default: the run's")
	f.StringVar(&o.inception, "inception", "", "`FILE` with weights of Inception v3, .pth or .safetensors")
	f.IntVarP(&o.n, "n", "n", 10_000, "pictures to make")
	f.BoolVar(&o.best, "best", false, "of a RUN, the generator with the smallest distance so far instead of the newest")
	return cmd
}

// measured is the generator's file and what its training says of the data.
func (a *app) measured(name string, o *ganMeasure) (path string, cfg train.GANConfig, err error) {
	cfg = train.DefaultGAN()
	info, err := os.Stat(name)
	if err != nil {
		return "", cfg, spec.Refusef("name the folder of a training, or a generator's file", "there is no %s", name)
	}
	path = name
	if info.IsDir() {
		path = filepath.Join(name, train.ModelFile)
		if o.best {
			path = filepath.Join(name, train.BestFile)
		}
		b, err := os.ReadFile(filepath.Join(name, train.ConfigFile))
		if err != nil || !exists(path) || json.Unmarshal(b, &cfg) != nil || cfg.Game == "" {
			return "", cfg, spec.Refusef("name the folder of a smalti train gan or wgan-gp that has come to its first checkpoint", "%s has no generator to measure", name)
		}
	} else if o.best {
		return "", cfg, spec.Refusef("name the run's folder, or leave out --best", "%s is no run", name)
	}
	if o.data != "" {
		if err := a.needPictures(o.data); err != nil {
			return "", cfg, err
		}
		if cfg.Data, err = a.packDir(o.data); err != nil {
			return "", cfg, err
		}
	}
	if cfg.Data == "" || !exists(cfg.Data) {
		return "", cfg, spec.Refuse("there are no pictures to compare with", "name them: --data mnist")
	}
	if o.judge != "" {
		if cfg.Judge, err = modelFileOf(o.judge); err != nil {
			return "", cfg, err
		}
	}
	if cfg.Judge != "" && !exists(cfg.Judge) {
		return "", cfg, spec.Refusef("name it: --judge RUN", "the classifier %s, by which the run was measured, is not there", cfg.Judge)
	}
	return path, cfg, nil
}

func (a *app) runGANMeasure(ctx context.Context, name string, o ganMeasure) error {
	if o.n < 2 || o.n > 100_000 {
		return spec.Refusef("use a value from 2 to 100000", "-n is %d", o.n)
	}
	if o.inception != "" && !exists(o.inception) {
		return spec.Refusef("check the spelling of the path; no weights of Inception come with smalti", "there is no %s", o.inception)
	}
	path, cfg, err := a.measured(name, &o)
	if err != nil {
		return err
	}
	if cfg.Judge == "" && o.inception == "" {
		return spec.Refuse("there is nothing to measure by", "train a classifier on the same data (smalti train classifier) and name it with --judge, or --inception FILE")
	}
	scores := map[string]float64{}
	if cfg.Judge != "" {
		if scores, err = train.MeasureGAN(ctx, path, cfg, o.n); err != nil {
			return measureError(err)
		}
	}
	if o.inception != "" {
		more, standard, err := train.MeasureInception(ctx, path, o.inception, cfg, o.n)
		if err != nil {
			return measureError(err)
		}
		maps.Copy(scores, more)
		if !standard {
			a.sink().Emit(event.Event{Kind: event.Warning, Message: "these are not the weights that FID is defined by: the figures cannot be compared with published ones"})
		}
	}
	return a.printMeasures(name, o.n, scores)
}

// measureError explains what a user can mend.
func measureError(err error) error {
	switch {
	case errors.Is(err, gan.ErrNotGAN):
		return spec.Refusef("name a generator: the model.safetensors of smalti train gan, or PyTorch's netG.pth", "%v", err)
	case errors.Is(err, gan.ErrNotInception):
		return spec.Refusef("name pt_inception-2015-12-05-6726825d.pth, or the state dict of torchvision's inception_v3", "%v", err)
	case errors.Is(err, gan.ErrNotClassifier):
		return spec.Refusef("train one on the same data: smalti train classifier", "%v", err)
	case errors.Is(err, train.ErrMisfit):
		return spec.Refusef("name data like those it was trained on with --data", "%v", err)
	}
	return err
}

// printMeasures shows the scores, and of a run how it went.
func (a *app) printMeasures(name string, n int, scores map[string]float64) error {
	c, err := course.ReadCourse(name)
	isRun := err == nil
	if a.json {
		e := event.Event{Kind: event.Result, Text: map[string]string{"model": name}, Values: map[string]float64{"pictures": float64(n)}, Scores: scores}
		if isRun {
			for k, v := range courseRows(c) {
				e.Values["course_"+k] = v
			}
		}
		a.sink().Emit(e)
		return nil
	}
	t := ui.NewTable("MEASURE", fmt.Sprintf(">%d PICTURES", n))
	for _, k := range sortedNames(scores) {
		t.Row(k, ui.Number(scores[k]))
	}
	if err := t.Write(a.out); err != nil || !isRun {
		return err
	}
	rows := courseRows(c)
	t = ui.NewTable("TRAINING", ">IN ITS JOURNAL")
	for _, k := range sortedNames(rows) {
		t.Row(k, ui.Number(rows[k]))
	}
	fmt.Fprintln(a.out)
	return t.Write(a.out)
}

func sortedNames(m map[string]float64) []string { return slices.Sorted(maps.Keys(m)) }

// courseRows are the numbers of a course that its journal has.
func courseRows(c course.Course) map[string]float64 {
	out := map[string]float64{}
	for name, v := range map[string]float64{"steps": float64(c.Steps), "estimate_peak": c.EstimatePeak, "estimate_end": c.EstimateEnd, "norm_mixed_end": c.MixedEnd,
		"distance_early": c.DistanceEarly, "distance_early_step": float64(c.EarlyStep), "distance_end": c.DistanceEnd, "distance_best": c.DistanceBest,
		"modes_end": c.ModesEnd, "modes_least": c.ModesLeast} {
		if v != -1 {
			out[name] = v
		}
	}
	return out
}
