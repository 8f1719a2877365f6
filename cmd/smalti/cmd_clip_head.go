package main

import (
	"bytes"
	"context"
	"fmt"
	"image"

	"github.com/spf13/cobra"

	"github.com/smalti/smalti/clip"
	"github.com/smalti/smalti/clip/head"
	"github.com/smalti/smalti/event"
	"github.com/smalti/smalti/run"
	"github.com/smalti/smalti/spec"
	"github.com/smalti/smalti/ui"
)

// headOptions are the flags of clip head.
type headOptions struct {
	out     string
	penalty float64
	seed    uint64
}

func (a *app) newCLIPHead(name *string) *cobra.Command {
	var o headOptions
	cmd := &cobra.Command{
		Use: "head LIKED OTHER", Short: "Learn from two folders of pictures which ones you like", Args: exactly(2),
		Long: `Learn to tell the pictures of one folder from those of another: a score that is linear in CLIP's features, fitted by logistic
regression. smalti paint --loss aesthetic:WEIGHT:FILE paints pictures that score high. Printed is how often a score is right about pictures
that it was not fitted to (0.5 is chance).`,
		Example: `  smalti clip head favourites rejects -o mine.safetensors
  smalti clip head paintings photos --clip openai/vit-b-32 --penalty 10 --json`,
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.runCLIPHead(cmd.Context(), *name, &o, args)
		},
	}
	f := cmd.Flags()
	f.StringVarP(&o.out, "out", "o", "head.safetensors", "safetensors `FILE` to write: weight [1,D], bias [1]")
	f.Float64Var(&o.penalty, "penalty", 1, "weight of the square of the head; higher trusts the pictures less")
	f.Uint64Var(&o.seed, "seed", 0, "seed of the split into parts that judge one another")
	return cmd
}

// maxLiked bounds the pictures of a folder of clip head.
const maxLiked = 100_000

func (a *app) runCLIPHead(ctx context.Context, name string, o *headOptions, dirs []string) error {
	if !(o.penalty >= 1e-6 && o.penalty <= 1e6) {
		return spec.Refusef("use a value from 1e-6 to 1e6", "--penalty is %g", o.penalty)
	}
	var paths [2][]string
	for i, dir := range dirs {
		var err error
		if paths[i], err = run.PicturesIn(dir, maxLiked); err != nil {
			return err
		}
		if n := len(paths[i]); n < 2 {
			return spec.Refusef("put more there: some twenty on each side are a beginning", "%s holds %d picture", dir, n)
		}
	}
	r, err := a.openRunner()
	if err != nil {
		return err
	}
	m, ref, err := r.CLIP(spec.ModelRef{Name: name})
	if err != nil {
		return err
	}
	var features [2][][]float32
	for i, list := range paths {
		if features[i], err = embedFiles(ctx, m, list); err != nil {
			return err
		}
	}
	h, report, err := head.Fit(features[0], features[1], o.penalty, o.seed)
	if err != nil {
		return err
	}
	h.CLIP, h.SHA256 = ref.Name, ref.SHA256
	var buf bytes.Buffer
	if err := h.Write(&buf); err != nil {
		return err
	}
	if err := a.save(o.out, buf.Bytes()); err != nil {
		return err
	}
	return a.printHead(report)
}

// embedFiles returns the features of picture files, a few of which are in memory at a time.
func embedFiles(ctx context.Context, m *clip.Model, paths []string) ([][]float32, error) {
	var out [][]float32
	for len(paths) > 0 {
		batch := paths[:min(16, len(paths))]
		paths = paths[len(batch):]
		pictures := make([]image.Image, len(batch))
		for i, p := range batch {
			var err error
			if pictures[i], err = decodePicture(p); err != nil {
				return nil, err
			}
		}
		rows, err := m.EncodeImage(ctx, pictures...)
		if err != nil {
			return nil, err
		}
		out = append(out, rows...)
	}
	return out, nil
}

func (a *app) printHead(r head.Report) error {
	if a.json {
		a.sink().Emit(event.Event{Kind: event.Result, Values: map[string]float64{"liked": float64(r.Liked), "other": float64(r.Other),
			"folds": float64(r.Folds), "accuracy": r.HeldOut, "area": r.AUC, "seen": r.Seen}})
		return nil
	}
	t := ui.NewTable()
	t.Row("pictures", fmt.Sprintf("%d and %d", r.Liked, r.Other), "liked and others")
	t.Row("held out", fmt.Sprintf("%.3f", r.HeldOut), fmt.Sprintf("right about pictures it was not fitted to, in %d parts; 0.5 is chance", r.Folds))
	t.Row("area", fmt.Sprintf("%.3f", r.AUC), "chance that a liked one scores higher than another")
	t.Row("seen", fmt.Sprintf("%.3f", r.Seen), "right about pictures it was fitted to")
	return t.Write(a.out)
}
