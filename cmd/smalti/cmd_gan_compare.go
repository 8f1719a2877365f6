package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/smalti/smalti/course"
	"github.com/smalti/smalti/dataset"
	"github.com/smalti/smalti/event"
	"github.com/smalti/smalti/spec"
	"github.com/smalti/smalti/train"
	"github.com/smalti/smalti/ui"
)

// ganCompare is what `gan compare` is asked for.
type ganCompare struct {
	course.Options
	data string
	sets []string
}

// defaultBudget is the time of each training if nothing is said.
const defaultBudget = 10 * time.Minute

func (a *app) newGANCompare() *cobra.Command {
	var o ganCompare
	cmd := &cobra.Command{
		Use: "compare --out DIR", Short: "Train a basic GAN and a WGAN-GP under one budget and report", Args: exactly(0),
		Long: `Train a classifier, then a basic GAN and a WGAN-GP on the same pictures under the same budget, and write what came out:
report.html with plots and sheets, and report.json. All its claims are the numbers of these runs. What is stopped goes on
with the same command. --set NAME.key=value changes a training: NAME is gan, wgan-gp, minimax, judge, or all for the games.`,
		Example: `  smalti gan compare --data mnist --out compare --for 10m
  smalti gan compare --data fashion-mnist --out fashion --for 20m --minimax
  smalti gan compare --data mnist --out short --steps 300 --judge runs/judge --samples 1000`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if !cmd.Flags().Changed("for") && !cmd.Flags().Changed("steps") {
				o.Budget = defaultBudget
			}
			return a.runGANCompare(cmd.Context(), o)
		},
	}
	f := cmd.Flags()
	f.StringVar(&o.data, "data", "mnist", "mnist, fashion-mnist or a folder of IDX files")
	f.StringVar(&o.Dir, "out", "", "folder of the report and of its runs")
	f.DurationVar(&o.Budget, "for", 0, "time of each training; default: 10m")
	f.IntVar(&o.Steps, "steps", 0, "steps of the basic GAN instead of a time; WGAN-GP gets a third")
	f.BoolVar(&o.Minimax, "minimax", false, "also a basic GAN with the loss as the game is defined")
	f.StringVar(&o.Judge, "judge", "", "classifier to measure by, its `RUN` folder or model file; default: trains one")
	f.IntVar(&o.Samples, "samples", 10_000, "pictures of the last measurement")
	f.Uint64Var(&o.Seed, "seed", 1, "seed of all trainings")
	f.StringArrayVar(&o.sets, "set", nil, "change a setting, `NAME.key=value`, for example all.train.batch_size=16; may be given again")
	return cmd
}

// check refuses what can be refused before any training.
func (o *ganCompare) check(a *app) (err error) {
	switch {
	case o.Dir == "":
		return spec.Refuse("--out is missing", "name a folder for the report, for example --out compare")
	case o.Steps != 0 && o.Budget != 0:
		return spec.Refuse("--steps and --for are both given", "leave one out")
	case o.Steps < 0 || o.Budget < 0 || o.Steps == 0 && o.Budget == 0:
		return spec.Refuse("the budget is not above zero", "use for example --for 10m, or --steps 1000")
	case o.Samples < 2 || o.Samples > 100_000:
		return spec.Refusef("use a value from 2 to 100000", "--samples is %d", o.Samples)
	}
	if o.Judge, err = modelFileOf(o.Judge); err != nil {
		return err
	}
	if err := a.needPictures(o.data); err != nil {
		return err
	}
	if o.Data, err = a.packDir(o.data); err != nil {
		return err
	}
	if len(dataset.IDXParts(o.Data)) == 0 {
		return spec.Refusef("use mnist, fashion-mnist or a folder of IDX files", "the pictures in %s have no classes to count", o.Data)
	}
	size, channels := pictureForm(o.Data)
	if err := checkJudge(o.Judge, size, channels); err != nil {
		return err
	}
	for _, s := range o.sets {
		if err := o.trySet(s); err != nil {
			return err
		}
	}
	return nil
}

// trySet applies a setting to defaults, to refuse what no training has.
func (o *ganCompare) trySet(s string) error {
	name, rest, _ := strings.Cut(s, ".")
	switch name {
	case "all", "gan", "wgan-gp", "minimax":
		c := train.DefaultGAN()
		if err := applySet(&c, rest); err != nil {
			return err
		}
		if err := c.Validate(); err != nil {
			return spec.Refusef("change it", "--set %s: %v", s, err)
		}
		return nil
	case "judge":
		c := train.DefaultClassifier()
		if err := applySet(&c, rest); err != nil {
			return err
		}
		if err := c.Validate(); err != nil {
			return spec.Refusef("change it", "--set %s: %v", s, err)
		}
		return nil
	}
	return spec.Refusef("begin with gan., wgan-gp., minimax., judge. or all.", "--set %q names no training", s)
}

// applySet changes one setting of a configuration.
func applySet[C any](c *C, set string) error {
	tree, err := mergeJSON(map[string]any{}, c)
	if err != nil {
		return err
	}
	if err := setJSON(tree, set); err != nil {
		return err
	}
	data, err := json.Marshal(tree)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(data, c); err != nil { // what is not in the JSON, the clock and the budget, stays
		return spec.Refusef("see train.json of a run for the form", "--set %s: %v", set, err)
	}
	return nil
}

func (a *app) runGANCompare(ctx context.Context, o ganCompare) error {
	if err := o.check(a); err != nil {
		return err
	}
	o.Now = a.now
	size, channels := pictureForm(o.Data)
	o.Tune = func(name string, c *train.GANConfig) {
		c.Train.Workers = a.threads
		if c.Model.Size != size || c.Model.Channels != channels {
			c.Model = playable(suited(size, channels), c.Game)
		}
		for _, s := range o.sets {
			if of, rest, _ := strings.Cut(s, "."); of == name || of == "all" {
				_ = applySet(c, rest) // check has tried it
			}
		}
	}
	o.Learn = func(c *train.ClassifierConfig) {
		c.Train.Workers, c.Size = a.threads, size
		for _, s := range o.sets {
			if rest, ok := strings.CutPrefix(s, "judge."); ok {
				_ = applySet(c, rest)
			}
		}
	}
	sink, done := a.openSink(false)
	r, err := course.Compare(ctx, o.Options, sink)
	done()
	switch {
	case errors.Is(err, context.Canceled):
		return hinted(err, "the same command goes on where it stopped")
	case errors.Is(err, train.ErrMisfit):
		return spec.Refusef("leave the size of the networks to smalti", "%v", err)
	case err != nil:
		return err
	}
	return a.printComparison(r)
}

// printComparison shows the findings side by side.
func (a *app) printComparison(r course.Report) error {
	if a.json {
		for _, s := range r.Sides {
			values := map[string]float64{"steps": float64(s.Steps), "least_modes": s.LeastModes, "swing": s.Swing, "saturated": s.Saturated, "pull_start": s.PullStart,
				"pull_end": s.PullEnd, "loss_tells": s.LossTells, "estimate_tells": s.EstimateTells, "norm_real": s.NormReal, "norm_fake": s.NormFake, "norm_mixed": s.NormMixed}
			a.sink().Emit(event.Event{Kind: event.Result, Text: map[string]string{"name": s.Name, "title": s.Title}, Values: values, Scores: s.Final})
		}
		return nil
	}
	head := []string{"MEASURE"}
	for _, s := range r.Sides {
		head = append(head, ">"+strings.ToUpper(s.Title))
	}
	t := ui.NewTable(head...)
	for _, row := range []struct {
		what string
		of   func(course.Side) float64
	}{
		{"steps of the generator", func(s course.Side) float64 { return float64(s.Steps) }},
		{"classes covered at the end", func(s course.Side) float64 { return s.Final["modes"] }},
		{"fewest in the second half", func(s course.Side) float64 { return s.LeastModes }},
		{"divergence of classes from uniform", func(s course.Side) float64 { return s.Final["kl_uniform"] }},
		{"distance to real pictures", func(s course.Side) float64 { return s.Final["distance"] }},
		{"swing of the generator's loss", func(s course.Side) float64 { return s.Swing }},
		{"rank correlation of loss and distance", func(s course.Side) float64 { return s.LossTells }},
		{"rank correlation of estimate and distance", func(s course.Side) float64 { return s.EstimateTells }},
		{"judge's slope between pictures", func(s course.Side) float64 { return s.NormMixed }},
	} {
		cells := []string{row.what}
		for _, s := range r.Sides {
			cells = append(cells, fmt.Sprintf("%.4g", row.of(s)))
		}
		t.Row(cells...)
	}
	return t.Write(a.out)
}
