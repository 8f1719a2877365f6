package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/smalti/smalti/dataset"
	"github.com/smalti/smalti/engine"
	"github.com/smalti/smalti/event"
	"github.com/smalti/smalti/spec"
	"github.com/smalti/smalti/train"
)

// trainOptions are the flags that all trainings share.
type trainOptions struct {
	data, out, config, resume, initFrom string
	vqgan                               string // of a training that needs one
	perceptual                          string // of a VQGAN's training
	role                                string // of a CLIP
	sets                                []string
	budget                              time.Duration

	name               string
	tags               []string
	tensorBoard, wandb bool
	chart              bool
}

func (o *trainOptions) addFlags(f *pflag.FlagSet, pack, small string) {
	data := "`PACK` by name, or folder, or several as A,B:WEIGHT; default: " + pack
	if small != pack {
		data += "; " + small + " needs no files"
	}
	f.StringVar(&o.data, "data", "", data)
	f.StringVarP(&o.out, "out", "o", "", "run `FOLDER` to make")
	f.StringVar(&o.config, "config", "", "JSON `FILE` with settings to change; see train.json of a run")
	f.StringVar(&o.resume, "resume", "", "go on with the run in folder `RUN`")
	f.StringVar(&o.initFrom, "init-from", "", "start from the weights in `FILE`, with fresh moments")
	f.DurationVar(&o.budget, "for", 0, "stop and save after this time, for example 90m")
	f.StringArrayVar(&o.sets, "set", nil, "change one setting, `key=value`, for example train.steps=5000; may be given again")
	f.StringVar(&o.name, "name", "", "`NAME` of the run in lists and plots; default: its folder's")
	f.StringArrayVar(&o.tags, "tag", nil, "`WORD` that says what the run belongs to; may be given again")
	f.BoolVar(&o.tensorBoard, "tensorboard", false, "write TensorBoard's event files into RUN/tensorboard")
	f.BoolVar(&o.wandb, "wandb", false, "keep the run for Weights & Biases: offline in RUN/wandb, online if WANDB_API_KEY is set")
	f.BoolVar(&o.chart, "chart", false, "draw the loss above the progress line; in a log, at every evaluation")
}

const defaultPack = "emoji"

// recipe is a model that can be trained. C is its configuration, all of which is in train.json; train's settings are
// found by its method Settings, and what it refuses by Validate.
type recipe[C any] struct {
	name, short string
	pack        string // data if none are named
	small       string // data of the example that needs little
	defaults    func() C
	run         func(context.Context, C, event.Sink, train.Options) (train.Result, error)
}

func (a *app) newTrain() *cobra.Command {
	return group("train", "Train models on your own pictures or on open packs",
		a.newTrainClip(),
		a.newTrainVQGAN(),
		a.newTrainPrior(),
		a.newTrainPCA(),
		a.newTrainGAN("gan", "Train a basic GAN", "mnist", train.DefaultGAN),
		a.newTrainGAN("wgan-gp", "Train a WGAN with gradient penalty", "faces", train.DefaultWGANGP),
		a.newTrainClassifier(),
	)
}

// newTraining builds the verb of one recipe.
func newTraining[C any](a *app, r recipe[C]) *cobra.Command {
	return trainingCommand(a, r, &trainOptions{})
}

// trainingCommand is newTraining with options that have more flags.
func trainingCommand[C any](a *app, r recipe[C], o *trainOptions) *cobra.Command {
	cmd := &cobra.Command{
		Use: r.name, Short: r.short, Args: exactly(0),
		Long: r.short + `. Every setting is in train.json of the run folder; --config and --set change them. A run that is stopped
(Ctrl-C, --for, a crash) goes on with --resume and ends with the same bytes as one that was never stopped. Its numbers,
samples and log are kept in the folder: see smalti runs.`,
		Example: fmt.Sprintf(`  smalti train %[1]s --data %[2]s --out runs/%[1]s --for 60m
  smalti train %[1]s --resume runs/%[1]s --chart
  smalti train %[1]s --data %[3]s --out try --set train.steps=200 --tensorboard`, r.name, r.pack, r.small),
		RunE: func(cmd *cobra.Command, _ []string) error { return runTraining(cmd.Context(), a, r, o) },
	}
	o.addFlags(cmd.Flags(), r.pack, r.small)
	return cmd
}

func runTraining[C any](ctx context.Context, a *app, r recipe[C], o *trainOptions) error {
	cfg, opts, err := trainingConfig(a, r, o)
	if err != nil {
		return err
	}
	again := fmt.Sprintf("go on with --resume %s, or choose another --out", opts.Dir)
	if !opts.Resume && exists(filepath.Join(opts.Dir, train.StateFile)) { // before anything there is touched
		return spec.Refusef(again, "%s: %v", opts.Dir, train.ErrHasState)
	}
	sink, done := a.openSink(false)
	defer done()
	fresh := !exists(opts.Dir)
	t, err := a.openTracker(r.name, cfg, o, opts, sink)
	if err != nil {
		return err
	}
	began := false
	watch := event.Func(func(e event.Event) { began = began || e.Kind == event.Started })
	_, err = r.run(ctx, cfg, event.Multi(sink, recorder(t, a.now), a.liveChart(o, opts, sink), watch), opts)
	closeTracker(t, err, sink)
	if err != nil && fresh && !began { // refused before its first step: a folder of its own would only be in the way
		err = errors.Join(err, os.RemoveAll(opts.Dir))
	}
	switch {
	case errors.Is(err, context.Canceled):
		return hinted(err, fmt.Sprintf("go on with: smalti train %s --resume %s", r.name, opts.Dir))
	case errors.Is(err, train.ErrHasState):
		return spec.Refusef(again, "%v", err)
	case errors.Is(err, engine.ErrPrecision):
		return spec.Refusef("use --set train.precision=f32", "%v", err)
	}
	return err
}

// trainingConfig assembles the configuration: the recipe's defaults or the resumed run's, then --config, then --set.
func trainingConfig[C any](a *app, r recipe[C], o *trainOptions) (cfg C, opts train.Options, err error) {
	base := any(r.defaults())
	if o.role != "" {
		if base, err = roleSettings(o.role); err != nil {
			return cfg, opts, err
		}
	}
	opts = train.Options{Dir: o.out, InitFrom: o.initFrom, Lend: a.lend}
	if o.resume != "" {
		if o.out != "" || o.data != "" || o.initFrom != "" || o.config != "" || o.vqgan != "" || o.perceptual != "" || o.role != "" {
			return cfg, opts, spec.Refuse("--resume takes its run as it is", "leave out --out, --data, --config, --vqgan, --perceptual, --role and --init-from; --set train.steps=N may lengthen it")
		}
		opts.Dir, opts.Resume = o.resume, true
		data, err := os.ReadFile(filepath.Join(o.resume, train.ConfigFile))
		if err != nil {
			return cfg, opts, spec.Refusef("name the folder that train made", "%s is no training: %v", o.resume, err)
		}
		base = json.RawMessage(data)
	} else if o.out == "" {
		return cfg, opts, spec.Refuse("--out is missing", "name a folder for the run, for example --out runs/first")
	}
	tree, err := a.settings(base, r.pack, o)
	if err != nil {
		return cfg, opts, err
	}
	data, err := json.Marshal(tree)
	if err != nil {
		return cfg, opts, err
	}
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	if err := d.Decode(&cfg); err != nil {
		return cfg, opts, spec.Refusef("see train.json of a run for the names", "the settings do not fit: %v", err)
	}
	if t, ok := any(&cfg).(interface{ Settings() *train.Config }); ok {
		s := t.Settings()
		s.Workers, s.For, s.Now = a.threads, o.budget, a.now
	}
	if v, ok := any(cfg).(interface{ Validate() error }); ok {
		if err := v.Validate(); err != nil {
			return cfg, opts, spec.Refusef("change it with --set", "%v", err)
		}
	}
	return cfg, opts, nil
}

// settings lays --config, the flags that name models, --set and --data over a base.
func (a *app) settings(base any, pack string, o *trainOptions) (map[string]any, error) {
	tree, err := mergeJSON(map[string]any{}, base)
	if err != nil {
		return nil, err
	}
	if o.config != "" {
		data, err := os.ReadFile(o.config)
		if err != nil {
			return nil, err
		}
		if tree, err = mergeJSON(tree, json.RawMessage(data)); err != nil {
			return nil, spec.Refusef("see train.json of a run for its form", "--config %s: %v", o.config, err)
		}
	}
	if o.vqgan != "" {
		if tree["vqgan"], err = a.pinOf(o.vqgan); err != nil {
			return nil, err
		}
	}
	if o.perceptual != "" {
		over, err := a.perceptualSettings(o.perceptual)
		if err != nil {
			return nil, err
		}
		overlay(tree, over)
	}
	for _, s := range o.sets {
		if err := setJSON(tree, s); err != nil {
			return nil, err
		}
	}
	if o.resume == "" {
		if tree["data"], err = a.trainingData(o.data, pack); err != nil {
			return nil, err
		}
	}
	return tree, nil
}

// trainingData is the folder of the data, the mixture with its packs' folders, or the name of data that need none.
func (a *app) trainingData(name, pack string) (string, error) {
	switch name {
	case train.ShapesData:
		return name, nil
	case "":
		name = pack
	}
	if mix, ok, err := a.mixture(name); ok || err != nil {
		return dataset.FormatMix(mix), err
	}
	dir, err := a.packDir(name)
	if err != nil {
		return "", err
	}
	if !exists(dir) {
		return "", spec.Refusef("build it: smalti data build "+pack, "there are no data in %s", dir)
	}
	return dir, nil
}

// mergeJSON lays the fields of v over those of tree.
func mergeJSON(tree map[string]any, v any) (map[string]any, error) {
	data, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	var over map[string]any
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	if err := d.Decode(&over); err != nil {
		return nil, err
	}
	overlay(tree, over)
	return tree, nil
}

func overlay(tree, over map[string]any) {
	for k, v := range over {
		sub, isMap := v.(map[string]any)
		old, wasMap := tree[k].(map[string]any)
		if isMap && wasMap {
			overlay(old, sub)
			continue
		}
		tree[k] = v
	}
}

// setJSON sets one field, "a.b=value". The value is JSON, or a bare word for text.
func setJSON(tree map[string]any, s string) error {
	path, value, ok := strings.Cut(s, "=")
	parts := strings.Split(path, ".")
	if !ok || slices.Contains(parts, "") {
		return spec.Refusef("write for example --set train.lr=0.001", "--set %q is not key=value", s)
	}
	var v any
	d := json.NewDecoder(strings.NewReader(value))
	d.UseNumber()
	if d.Decode(&v) != nil || d.More() {
		v = value
	}
	for _, p := range parts[:len(parts)-1] {
		sub, ok := tree[p].(map[string]any)
		if !ok {
			return spec.Refusef("see train.json of a run for the names", "--set %s: there is no group %q", path, p)
		}
		tree = sub
	}
	last := parts[len(parts)-1]
	if _, known := tree[last]; !known {
		return spec.Refusef("the names here are: "+strings.Join(sortedKeys(tree), ", "), "--set %s: there is no setting %q", path, last)
	}
	tree[last] = v
	return nil
}

func sortedKeys(m map[string]any) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
