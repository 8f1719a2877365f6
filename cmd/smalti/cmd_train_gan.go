package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/smalti/smalti/dataset"
	"github.com/smalti/smalti/engine"
	"github.com/smalti/smalti/event"
	"github.com/smalti/smalti/gan"
	"github.com/smalti/smalti/spec"
	"github.com/smalti/smalti/train"
	"github.com/smalti/smalti/weights"
)

// archs are the networks that --arch chooses among.
var archs = []struct {
	name   string
	config gan.Config
}{{"mnist-conv", gan.MNISTConv()}, {"mnist-mlp", gan.MNISTBasic()}, {"faces64", gan.Faces64()}, {"faces128", gan.Faces128()}, {"paper64", gan.Paper64(32)}}

func archNames() string {
	names := make([]string, len(archs))
	for i, a := range archs {
		names[i] = a.name
	}
	return strings.Join(names, ", ")
}

// newTrainGAN builds the verb of a game. Beside what all trainings have it knows networks by name, and takes those that
// suit the data when none are named.
func (a *app) newTrainGAN(name, short, pack string, defaults func() train.GANConfig) *cobra.Command {
	var arch, judge string
	var cmd *cobra.Command
	start := func() train.GANConfig {
		c := defaults()
		c.Judge = judge
		if dir, err := a.packDir(dataFlag(cmd, pack)); err == nil {
			c.Model = networks(arch, c.Game, dir)
		}
		return c
	}
	cmd = newTraining(a, recipe[train.GANConfig]{name, short, pack, pack, start, trainGAN})
	cmd.Long += fmt.Sprintf(`

The networks are the ones that suit the data: strided convolutions of the data's size. --arch takes others
(%s), and --set changes them, for example
model.generator.width=64, or model.labels=10 for networks that know the classes. --judge names a classifier to measure the
pictures by (smalti train classifier). See docs/gan.md.`, archNames())
	cmd.Example = fmt.Sprintf(`  smalti train %[1]s --data mnist --out runs/%[1]s --for 10m --chart
  smalti train %[1]s --data faces --out runs/%[1]s-faces --judge runs/face-judge --set keep_last=3
  smalti train %[1]s --data mnist --arch mnist-mlp --out try --set train.steps=200
  smalti train %[1]s --resume runs/%[1]s`, name)
	f := cmd.Flags()
	f.StringVar(&arch, "arch", "", "networks: "+archNames()+"; default: what suits the data")
	f.StringVar(&judge, "judge", "", "classifier to measure by: its `RUN` folder or model file")
	cmd.PreRunE = func(cmd *cobra.Command, _ []string) (err error) {
		if cmd.Flags().Changed("resume") {
			if arch != "" || judge != "" {
				return spec.Refuse("--resume takes its run as it is", "leave out --arch and --judge")
			}
			return nil
		}
		if arch != "" && archNamed(arch) == nil {
			return spec.Refusef("use one of: "+archNames(), "--arch %q is unknown", arch)
		}
		if judge, err = modelFileOf(judge); err != nil {
			return err
		}
		return a.needPictures(dataFlag(cmd, pack))
	}
	return cmd
}

func (a *app) newTrainClassifier() *cobra.Command {
	const pack = "mnist"
	var cmd *cobra.Command
	start := func() train.ClassifierConfig {
		c := train.DefaultClassifier()
		if dir, err := a.packDir(dataFlag(cmd, pack)); err == nil {
			c.Size, _ = pictureForm(dir)
		}
		return c
	}
	cmd = newTraining(a, recipe[train.ClassifierConfig]{"classifier", "Train a classifier that measures GANs", pack, pack, start, train.RunClassifier})
	cmd.Long += "\n\nIt learns the data's attributes where they have any, as faces do, else their classes."
	cmd.Example = `  smalti train classifier --data mnist --out runs/judge
  smalti train classifier --data faces --out runs/face-judge --set train.steps=400`
	cmd.PreRunE = func(cmd *cobra.Command, _ []string) error {
		switch {
		case cmd.Flags().Changed("init-from"):
			return spec.Refuse("a classifier starts from fresh weights", "leave out --init-from")
		case cmd.Flags().Changed("resume"):
			return nil
		}
		return a.needPictures(dataFlag(cmd, pack))
	}
	return cmd
}

// dataFlag is the value of --data, or the pack that stands for none.
func dataFlag(cmd *cobra.Command, pack string) string {
	if v := cmd.Flags().Lookup("data").Value.String(); v != "" {
		return v
	}
	return pack
}

// trainGAN trains and explains what users can mend.
func trainGAN(ctx context.Context, c train.GANConfig, sink event.Sink, o train.Options) (train.Result, error) {
	if err := checkJudge(c.Judge, c.Model.Size, c.Model.Channels); err != nil {
		return train.Result{}, err
	}
	res, err := train.RunGAN(ctx, c, sink, o)
	if errors.Is(err, train.ErrMisfit) {
		return res, spec.Refusef("leave out --arch for networks that suit the data, or --set model.size and model.channels", "%v", err)
	}
	return res, err
}

// checkJudge refuses a classifier that cannot measure pictures of the given form, before the first evaluation needs it.
func checkJudge(path string, size, channels int) error {
	if path == "" {
		return nil
	}
	const hint = "train one on the same data: smalti train classifier"
	f, err := weights.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	e, err := engine.New(engine.Options{Threads: 1})
	if err != nil {
		return err
	}
	defer e.Close()
	j, err := gan.OpenClassifier(e, f)
	switch {
	case errors.Is(err, gan.ErrNotClassifier):
		return spec.Refusef(hint, "--judge %v", err)
	case err == nil && (j.Size != size || j.Channels != channels):
		return spec.Refusef(hint, "--judge %s knows pictures of %d pixels in %d channels, these have %d in %d", path, j.Size, j.Channels, size, channels)
	}
	return err
}

// needPictures refuses data that are not there, naming what builds them.
func (a *app) needPictures(name string) error {
	if name == train.ShapesData {
		return spec.Refuse(`"shapes" are scenes for clip and vqgan`, "name a pack or a folder of pictures: smalti data list")
	}
	dir, err := a.packDir(name)
	if err != nil || exists(dir) {
		return err
	}
	hint := "check the spelling of the path"
	if packNamed(name) != nil {
		hint = "build it: smalti data build " + name
	}
	return spec.Refusef(hint, "there are no data in %s", dir)
}

// modelFileOf is the model's file of a run folder, or the file that is named; nothing for nothing.
func modelFileOf(path string) (string, error) {
	if path == "" {
		return "", nil
	}
	info, err := os.Stat(path)
	if err == nil && info.IsDir() {
		path = filepath.Join(path, train.ModelFile)
		_, err = os.Stat(path)
	}
	if err != nil {
		return "", spec.Refusef("train one: smalti train classifier --out runs/judge", "%s is no model", path)
	}
	return path, nil
}

func archNamed(name string) *gan.Config {
	for _, a := range archs {
		if a.name == name {
			return &a.config
		}
	}
	return nil
}

// networks are the ones of a name, or those that suit the data in a folder, with a judge that the game allows.
func networks(arch, game, dir string) gan.Config {
	if named := archNamed(arch); named != nil {
		return playable(*named, game)
	}
	return playable(suited(pictureForm(dir)), game)
}

// playable gives the judge of a game its usual norm: batch norm to a discriminator of convolutions, never to a critic.
func playable(c gan.Config, game string) gan.Config {
	batch := c.Discriminator.Norm == gan.Batch
	switch {
	case game == train.WGANGP && batch:
		return c.Critic(gan.Layer)
	case game == train.BasicGAN && c.Kind == gan.DCGAN && !batch:
		c.Discriminator.Norm, c.Discriminator.Bias = gan.Batch, false
	}
	return c
}

// suited are networks for pictures of a size: those of MNIST for grey ones, those of faces for coloured ones, with as
// many levels as the side halves down to 4; fully connected ones where it does not.
func suited(size, channels int) gan.Config {
	c := gan.Faces64()
	if channels == 1 {
		c = gan.MNISTConv()
	}
	if size == c.Size {
		return c
	}
	c.Levels = 0
	for s := size; s%2 == 0 && s >= 8; s /= 2 {
		c.Levels++
	}
	if c.Levels == 0 {
		c = gan.MNISTBasic()
	}
	c.Size, c.Channels = size, channels
	return c
}

// pictureForm is the side and the number of channels of the pictures in a folder, as trainings take them if nothing else
// is said. What cannot be read is found out by the training.
func pictureForm(dir string) (size, channels int) {
	if parts := dataset.IDXParts(dir); len(parts) > 0 {
		if x, err := dataset.OpenIDX(dir, parts[len(parts)-1]); err == nil { // the test part is the small one
			return x.Size(), x.Channels()
		}
		return gan.MNISTConv().Size, 1
	}
	size = gan.Faces64().Size
	if info, err := dataset.Info(dir); err == nil {
		size = min(size, info.Manifest.Size)
	}
	return size, 3
}
