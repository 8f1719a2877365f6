// Package course is the seed course of this project as a program: it trains a basic GAN and a WGAN-GP on the same digits
// under the same budget, and reports what the course says of them, in the numbers of these very runs: modes that are
// covered, gradients that vanish, losses that swing, losses that say nothing.
//
// Start with Compare. read.go reads the journals of the runs, findings.go computes, report.go writes the page. How a GAN
// is trained is in package train, how it is measured in package gan.
package course

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/smalti/smalti/event"
	"github.com/smalti/smalti/gan"
	"github.com/smalti/smalti/train"
)

// Options say what is compared.
type Options struct {
	Dir     string                                // folder of the report and of the runs below it
	Data    string                                // folder of MNIST, or another set with classes
	Seed    uint64                                // of all trainings
	Budget  time.Duration                         // time of each training; 0 trains Steps steps instead
	Steps   int                                   // steps of the basic GAN without a Budget; WGAN-GP, whose step has five turns of the critic, gets a third
	Minimax bool                                  // a third training: the basic GAN with the loss as the game defines it
	Judge   string                                // model file of a classifier; empty trains one
	Samples int                                   // pictures of the last measurement
	Now     func() time.Time                      // the clock, for Budget; nil means none
	Tune    func(name string, c *train.GANConfig) // changes a training; may be nil
	Learn   func(c *train.ClassifierConfig)       // changes the classifier's; may be nil

	scale float64 // of the figures, 0 is the usual one; tests draw small ones
}

// contestant is one training of the comparison.
type contestant struct {
	Name  string // folder and key
	Title string
	cfg   train.GANConfig
}

// contestants are what is compared, in order.
func (o Options) contestants(judge string) []contestant {
	basic := train.DefaultGAN()
	basic.Data, basic.Judge, basic.KeepLast, basic.EvalSamples = o.Data, judge, 0, 1000
	basic.RealLabel = 1 // the game as the course tells it
	basic.Train.Seed, basic.Train.Steps, basic.Train.Now = o.Seed, max(o.Steps, 1), o.Now
	if o.Budget > 0 {
		basic.Train.Steps, basic.Train.For = 1_000_000, o.Budget // the schedule is constant, so the length does not matter
	}
	basic.Train.EvalEvery, basic.Train.SaveEvery, basic.SheetEvery, basic.Train.ScalarsEvery = 100, 200, 20, 5
	minimax, w := basic, basic
	minimax.Goal = gan.Minimax
	w.Game, w.Turns, w.Model = train.WGANGP, 5, gan.MNISTConv().Critic(gan.Layer)
	w.Train.LR, w.Train.Beta1, w.Train.Beta2 = 2e-4, 0, .9
	if o.Budget == 0 {
		w.Train.Steps = max(o.Steps/3, 1)
	}
	w.Train.EvalEvery, w.Train.SaveEvery, w.SheetEvery, w.Train.ScalarsEvery = 30, 60, 5, 2
	all := []contestant{{"gan", "basic GAN", basic}, {"wgan-gp", "WGAN-GP", w}}
	if o.Minimax {
		all = append(all, contestant{"minimax", "basic GAN, minimax loss", minimax})
	}
	if o.Tune != nil {
		for i := range all {
			o.Tune(all[i].Name, &all[i].cfg)
		}
	}
	return all
}

// Compare trains what is not trained yet, measures, and writes report.html with its pictures and report.json. It can be
// stopped and called again: trainings go on from their checkpoints, with what is left of their steps, or with a Budget of
// their own again for those that were stopped before it was over.
func Compare(ctx context.Context, o Options, sink event.Sink) (Report, error) {
	if o.Dir == "" || o.Data == "" {
		return Report{}, errors.New("compare: no folder for the report or none with data given")
	}
	if o.Budget == 0 && o.Steps < 1 || o.Budget > 0 && o.Now == nil || o.Samples < 2 {
		return Report{}, errors.New("compare: a budget with a clock, or steps, and at least two samples are needed")
	}
	judge, err := o.judge(ctx, sink)
	if err != nil {
		return Report{}, fmt.Errorf("compare: classifier: %w", err)
	}
	r := Report{Data: filepath.Base(o.Data), Seed: o.Seed, Budget: o.Budget, Samples: o.Samples, scale: o.scale}
	for _, c := range o.contestants(judge) {
		sink.Emit(event.Event{Kind: event.Notice, Message: "training the " + c.Title})
		if err := o.train(ctx, c, sink); err != nil {
			return Report{}, fmt.Errorf("compare: %s: %w", c.Title, err)
		}
		s, err := o.finding(ctx, c)
		if err != nil {
			return Report{}, fmt.Errorf("compare: %s: %w", c.Title, err)
		}
		r.Sides = append(r.Sides, s)
	}
	if err := r.write(o.Dir); err != nil {
		return Report{}, fmt.Errorf("compare: %w", err)
	}
	sink.Emit(event.Event{Kind: event.Saved, Path: filepath.Join(o.Dir, pageFile)})
	return r, nil
}

// judge trains the classifier, unless one is given or there already.
func (o Options) judge(ctx context.Context, sink event.Sink) (string, error) {
	if o.Judge != "" {
		return o.Judge, nil
	}
	dir := filepath.Join(o.Dir, "judge")
	path := filepath.Join(dir, train.ModelFile)
	c := train.DefaultClassifier()
	c.Data, c.Train.Seed, c.Train.Now = o.Data, o.Seed, o.Now
	if o.Learn != nil {
		o.Learn(&c)
	}
	if done(dir, doneFile) {
		return path, nil
	}
	if _, err := train.RunClassifier(ctx, c, sink, train.Options{Dir: dir, Resume: begun(dir)}); err != nil {
		return "", err
	}
	return path, mark(dir)
}

// train runs a training, or what is left of it.
func (o Options) train(ctx context.Context, c contestant, sink event.Sink) error {
	dir := filepath.Join(o.Dir, c.Name)
	if done(dir, doneFile) {
		return nil
	}
	if _, err := train.RunGAN(ctx, c.cfg, sink, train.Options{Dir: dir, Resume: begun(dir)}); err != nil {
		return err
	}
	return mark(dir)
}

// doneFile says that the training in a folder had its whole budget.
const doneFile = "finished"

func mark(dir string) error { return os.WriteFile(filepath.Join(dir, doneFile), nil, 0o666) }

func done(dir, name string) bool {
	_, err := os.Stat(filepath.Join(dir, name))
	return err == nil
}

// begun tells whether a folder has a checkpoint.
func begun(dir string) bool {
	_, err := os.Stat(filepath.Join(dir, train.StateFile))
	return !errors.Is(err, fs.ErrNotExist)
}
