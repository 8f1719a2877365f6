package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/smalti/smalti/event"
	"github.com/smalti/smalti/gan"
	"github.com/smalti/smalti/pixel"
	"github.com/smalti/smalti/spec"
	"github.com/smalti/smalti/train"
)

func (a *app) newGAN() *cobra.Command {
	return group("gan", "Make pictures with a GAN, film its training, measure it, compare two kinds", a.newGANSample(), a.newGANFilm(), a.newGANMeasure(), a.newGANCompare())
}

// maxSamples are the pictures on the largest sheet.
const maxSamples = 4096

// ganSample is what `gan sample` makes.
type ganSample struct {
	out, labels    string
	n, steps       int
	seed           uint64
	columns, scale int
	best           bool
	countGiven     bool
}

func (a *app) newGANSample() *cobra.Command {
	var o ganSample
	cmd := &cobra.Command{
		Use: "sample MODEL|RUN", Short: "Make pictures with a generator", Args: exactly(1),
		Long: `Make a sheet of pictures with a generator: a model by name (smalti models list), a model file, or the run folder of a
training. Picture i of a seed is the same whichever others are made; seed 1 shows the noise that trainings show on their
sheets. --interpolate N makes strips: each row goes from one picture to the next in N pictures, on the great circle between
their noise. The sheet says in its PNG text chunk "parameters" how it was made.`,
		Example: `  smalti gan sample runs/gan -o digits.png
  smalti gan sample runs/wgan-gp -o walk.png --interpolate 10 -n 9 --seed 5
  smalti gan sample my/digits -n 100 --labels 0-9 --columns 10 -o classes.png`,
		RunE: func(cmd *cobra.Command, args []string) error {
			o.countGiven = cmd.Flags().Changed("n")
			return a.runGANSample(cmd.Context(), args[0], o)
		},
	}
	o.addFlags(cmd.Flags())
	return cmd
}

func (o *ganSample) addFlags(f *pflag.FlagSet) {
	f.StringVarP(&o.out, "out", "o", "samples.png", "picture to write to `FILE`")
	f.IntVarP(&o.n, "n", "n", 64, "pictures; with --interpolate, those between which it goes, 9 if not given")
	f.Uint64Var(&o.seed, "seed", 1, "seed of the noise")
	f.IntVar(&o.steps, "interpolate", 0, "pictures of a row from one picture to the next; 0 makes none")
	f.StringVar(&o.labels, "labels", "", "classes to take turns, for example 3 or 0,2,5-7, for a generator that knows them; default: all")
	f.IntVar(&o.columns, "columns", 0, "columns of the sheet; 0 makes it about square")
	f.IntVar(&o.scale, "scale", 0, "side of a picture on the sheet in pixels; 0 means its own, or twice that of small ones")
	f.BoolVar(&o.best, "best", false, "of a RUN, the generator with the smallest distance so far instead of the newest")
}

// check refuses what can be refused without a model.
func (o *ganSample) check() error {
	if o.steps != 0 && !o.countGiven {
		o.n = 9
	}
	total := o.n
	switch {
	case o.n < 1 || o.n > maxSamples:
		return spec.Refusef(fmt.Sprintf("use a value from 1 to %d", maxSamples), "-n is %d", o.n)
	case o.steps == 1 || o.steps < 0 || o.steps > maxSamples:
		return spec.Refusef("use 2 or more", "--interpolate is %d", o.steps)
	case o.steps > 0 && o.n < 2:
		return spec.Refusef("use -n 2 or more with --interpolate", "-n is %d", o.n)
	case o.columns < 0 || o.columns > maxSamples:
		return spec.Refusef(fmt.Sprintf("use a value from 0 to %d", maxSamples), "--columns is %d", o.columns)
	case o.scale < 0 || o.scale > 1024:
		return spec.Refusef("use a value from 0 to 1024", "--scale is %d", o.scale)
	case o.steps > 0:
		total = (o.n - 1) * o.steps
	}
	if total > maxSamples {
		return spec.Refusef(fmt.Sprintf("a sheet has at most %d", maxSamples), "that makes %d pictures", total)
	}
	return checkOut(o.out, ".png")
}

// checkOut refuses a file of another kind or in a folder that is not there.
func checkOut(path string, kinds ...string) error {
	if !slices.Contains(kinds, strings.ToLower(filepath.Ext(path))) {
		return spec.Refusef("name a file that ends in "+strings.Join(kinds, " or "), "-o %s is of another kind", path)
	}
	if dir := filepath.Dir(path); !exists(dir) {
		return spec.Refusef("make it first, or choose another place", "the folder %s does not exist", dir)
	}
	return nil
}

func (a *app) runGANSample(ctx context.Context, name string, o ganSample) error {
	if err := o.check(); err != nil {
		return err
	}
	m, ref, err := a.openGAN(name, o.best)
	if err != nil {
		return err
	}
	c := m.Config()
	classes, err := o.classes(c)
	if err != nil {
		return err
	}
	z, columns := o.noise(c)
	pics, err := m.Sample(ctx, z, o.perPicture(classes))
	if err != nil {
		return err
	}
	cells := make([]pixel.Cell, len(pics))
	for i, p := range pics {
		cells[i] = pixel.Cell{Picture: p.ToImage()}
	}
	side := o.scale
	if side == 0 {
		side = max(c.Size, 56)
	}
	how, err := pixel.ITXtChunk("parameters", o.String(ref, classes))
	if err != nil {
		return err
	}
	if err := writePNG(o.out, pixel.Sheet{Columns: columns, CellSize: side, Gap: 1}.Draw(cells), how); err != nil {
		return err
	}
	a.sink().Emit(event.Event{Kind: event.Saved, Path: o.out, Text: map[string]string{"model": ref.Name, "sha256": ref.SHA256},
		Values: map[string]float64{"pictures": float64(len(pics)), "size": float64(c.Size), "seed": float64(o.seed)}})
	return nil
}

// noise is that of all pictures, row by row of the sheet, and the sheet's columns.
func (o ganSample) noise(c gan.Config) (z []float32, columns int) {
	ends := c.Noise(o.seed, 0, o.n)
	if o.steps == 0 {
		return ends, o.columns
	}
	for i := range o.n - 1 {
		z = append(z, gan.Between(ends[i*c.Latent:(i+1)*c.Latent], ends[(i+1)*c.Latent:(i+2)*c.Latent], o.steps)...)
	}
	return z, o.steps
}

// classes are those that take turns; none for a generator without classes.
func (o ganSample) classes(c gan.Config) ([]int32, error) {
	switch {
	case o.labels == "" && c.Labels == 0:
		return nil, nil
	case o.labels == "":
		return c.Classes(c.Labels), nil
	case c.Labels == 0:
		return nil, spec.Refuse("this generator knows no classes", "leave out --labels, or train one with --set model.labels=N")
	}
	var out []int32
	for _, part := range strings.Split(o.labels, ",") {
		lo, hi, span := strings.Cut(strings.TrimSpace(part), "-")
		first, err1 := strconv.Atoi(lo)
		last, err2 := first, error(nil)
		if span {
			last, err2 = strconv.Atoi(hi)
		}
		if err1 != nil || err2 != nil || first < 0 || first > last || last >= c.Labels {
			return nil, spec.Refusef(fmt.Sprintf("write classes from 0 to %d, for example 0,2-3", c.Labels-1), "--labels %q is out of range", part)
		}
		for k := first; k <= last; k++ {
			out = append(out, int32(k))
		}
	}
	return out, nil
}

// perPicture deals classes out: picture by picture, or row by row of an interpolation.
func (o ganSample) perPicture(classes []int32) []int32 {
	if len(classes) == 0 {
		return nil
	}
	rows, each := o.n, 1
	if o.steps > 0 {
		rows, each = o.n-1, o.steps
	}
	var out []int32
	for i := range rows {
		out = append(out, slices.Repeat(classes[i%len(classes):][:1], each)...)
	}
	return out
}

// String says how a sheet was made.
func (o ganSample) String(ref spec.ModelRef, classes []int32) string {
	s := fmt.Sprintf("smalti %s gan sample %s, weights sha256:%s, -n %d, --seed %d", release, ref.Name, ref.SHA256, o.n, o.seed)
	if o.steps > 0 {
		s += fmt.Sprintf(", --interpolate %d", o.steps)
	}
	if len(classes) > 0 {
		s += fmt.Sprintf(", classes %v in turn", classes)
	}
	return s
}

// openGAN opens a generator by its run folder, its file, or its name among the models.
func (a *app) openGAN(name string, best bool) (*gan.Model, spec.ModelRef, error) {
	r, err := a.openRunner()
	if err != nil {
		return nil, spec.ModelRef{}, err
	}
	if !best {
		return r.GANAt(name)
	}
	if info, err := os.Stat(name); err != nil || !info.IsDir() {
		return nil, spec.ModelRef{}, spec.Refusef("name the run's folder, or leave out --best", "%s is no run", name)
	}
	path := filepath.Join(name, train.BestFile)
	if !exists(path) {
		return nil, spec.ModelRef{}, spec.Refusef("it is written at the first evaluation with a --judge", "%s has no %s", name, train.BestFile)
	}
	m, ref, err := r.GANAt(path)
	ref.Name = filepath.Base(name)
	return m, ref, err
}
