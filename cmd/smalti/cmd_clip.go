package main

import (
	"context"
	"fmt"
	"image"
	"io"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/smalti/smalti/clip"
	"github.com/smalti/smalti/event"
	"github.com/smalti/smalti/run"
	"github.com/smalti/smalti/spec"
	"github.com/smalti/smalti/ui"
	"github.com/smalti/smalti/weights"
)

func (a *app) newCLIP() *cobra.Command {
	var name string
	cmd := group("clip", "Compare pictures with words, and look inside CLIP",
		a.newCLIPScore(&name), a.newCLIPEmbed(&name), a.newCLIPClassify(&name), a.newCLIPSearch(&name), a.newCLIPHeat(&name), a.newCLIPHead(&name), a.newCLIPInspect(&name))
	cmd.PersistentFlags().StringVar(&name, "clip", spec.Default().CLIP[0].Name, "model to use")
	return cmd
}

func (a *app) openCLIP(name string) (*clip.Model, *run.Runner, error) {
	r, err := a.openRunner()
	if err != nil {
		return nil, nil, err
	}
	m, _, err := r.CLIP(spec.ModelRef{Name: name})
	return m, r, err
}

func (a *app) newCLIPScore(name *string) *cobra.Command {
	return &cobra.Command{
		Use: "score PICTURE TEXT...", Short: "Print how well a picture fits texts", Args: atLeast(2),
		Long: "Print the cosine similarity of a picture with each text, best first.",
		Example: `  smalti clip score apple.png "a red apple" "a green pear"
  smalti clip score cat.jpg "a cat" --clip openai/vit-b-32 --json`,
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.runCLIPScore(cmd.Context(), *name, args[0], args[1:])
		},
	}
}

func (a *app) runCLIPScore(ctx context.Context, name, path string, texts []string) error {
	if err := checkTexts(texts); err != nil {
		return err
	}
	m, _, err := a.openCLIP(name)
	if err != nil {
		return err
	}
	img, err := decodePicture(path)
	if err != nil {
		return err
	}
	scores, err := m.Score(ctx, img, texts...)
	if err != nil {
		return err
	}
	a.noticeCut(m, texts)
	return a.printRanking("COSINE", texts, scores)
}

func checkTexts(texts []string) error {
	for _, t := range texts {
		if strings.TrimSpace(t) == "" {
			return spec.Refuse("a text is empty", "write some words")
		}
	}
	return nil
}

// noticeCut says which texts were longer than the model reads.
func (a *app) noticeCut(m *clip.Model, texts []string) {
	for _, t := range texts {
		if _, cut := m.Tokenize(t); cut {
			a.sink().Emit(event.Event{Kind: event.Notice, Message: fmt.Sprintf("a text is longer than %d tokens: only its beginning counts", m.Config().Text.ContextLength)})
		}
	}
}

// printRanking shows texts with their numbers, largest first.
func (a *app) printRanking(what string, texts []string, values []float64) error {
	order := make([]int, len(texts))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(x, y int) int {
		switch {
		case values[x] > values[y]:
			return -1
		case values[x] < values[y]:
			return 1
		}
		return 0
	})
	t := ui.NewTable(">"+what, "TEXT")
	for rank, i := range order {
		if a.json {
			a.sink().Emit(event.Event{Kind: event.Result, Text: map[string]string{"text": texts[i]},
				Values: map[string]float64{"rank": float64(rank + 1), strings.ToLower(what): values[i]}})
		}
		t.Row(fmt.Sprintf("%.4f", values[i]), texts[i])
	}
	if a.json {
		return nil
	}
	return t.Write(a.out)
}

func (a *app) newCLIPClassify(name *string) *cobra.Command {
	var labels, templates []string
	cmd := &cobra.Command{
		Use: "classify PICTURE LABEL...", Short: "Say which of some labels a picture shows", Args: atLeast(1),
		Example: `  smalti clip classify pet.jpg cat dog rabbit
  smalti clip classify pet.jpg --labels cat,dog --template "a photo of a {}, a type of pet."`,
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.runCLIPClassify(cmd.Context(), *name, args[0], append(args[1:], labels...), templates)
		},
	}
	cmd.Flags().StringSliceVar(&labels, "labels", nil, "more labels, separated by commas")
	cmd.Flags().StringArrayVar(&templates, "template", nil, "sentence around a label, with {} in its place; may be given again")
	return cmd
}

func (a *app) runCLIPClassify(ctx context.Context, name, path string, labels, templates []string) error {
	if len(labels) < 2 {
		return spec.Refuse("there are fewer than two labels to choose from", "name some: smalti clip classify pet.jpg cat dog")
	}
	if err := checkTexts(labels); err != nil {
		return err
	}
	for _, t := range templates {
		if !strings.Contains(t, "{}") {
			return spec.Refusef(`write for example "a photo of a {}."`, "--template %q has no {} for the label", t)
		}
	}
	m, _, err := a.openCLIP(name)
	if err != nil {
		return err
	}
	img, err := decodePicture(path)
	if err != nil {
		return err
	}
	c, err := m.NewClassifier(ctx, labels, templates...)
	if err != nil {
		return err
	}
	features, err := m.EncodeImage(ctx, img)
	if err != nil {
		return err
	}
	return a.printRanking("PROBABILITY", labels, c.Classify(features[0]))
}

func (a *app) newCLIPEmbed(name *string) *cobra.Command {
	var out string
	cmd := &cobra.Command{
		Use: "embed PICTURE|TEXT...", Short: "Write features of pictures and texts", Args: atLeast(1),
		Long: "Write the features of pictures and texts as safetensors. An argument that is a file is a picture, any other a text.",
		Example: `  smalti clip embed cat.png dog.png -o pets.safetensors
  smalti clip embed "a red apple" "a green apple" -o apples.safetensors`,
		RunE: func(cmd *cobra.Command, args []string) error { return a.runCLIPEmbed(cmd.Context(), *name, out, args) },
	}
	cmd.Flags().StringVarP(&out, "out", "o", "embeddings.safetensors", "safetensors `FILE` to write: features [n,D] float32, names in the metadata")
	return cmd
}

func (a *app) runCLIPEmbed(ctx context.Context, name, out string, args []string) error {
	m, _, err := a.openCLIP(name)
	if err != nil {
		return err
	}
	var all []float32
	meta := map[string]string{"clip": name}
	for i, arg := range args {
		rows, err := embedOne(ctx, m, arg)
		if err != nil {
			return err
		}
		all = append(all, rows[0]...)
		label := arg
		if exists(arg) {
			label = filepath.Base(arg)
		}
		meta[fmt.Sprintf("name.%d", i)] = label
	}
	tensor := weights.Out{Name: "features", DType: weights.F32, Shape: []int{len(args), m.EmbedDim()}, Floats: all}
	err = weights.SaveFile(out, func(w io.Writer) error { return weights.WriteSafetensors(w, meta, []weights.Out{tensor}) })
	if err != nil {
		return err
	}
	a.sink().Emit(event.Event{Kind: event.Saved, Path: out})
	return nil
}

// embedOne returns the features of a picture file or of a text.
func embedOne(ctx context.Context, m *clip.Model, arg string) ([][]float32, error) {
	if !exists(arg) {
		if looksLikeFile(arg) {
			return nil, spec.Refusef("check the path; any other argument is taken as a text", "the picture %s does not exist", arg)
		}
		if err := checkTexts([]string{arg}); err != nil {
			return nil, err
		}
		return m.EncodeText(ctx, arg)
	}
	img, err := decodePicture(arg)
	if err != nil {
		return nil, err
	}
	return m.EncodeImage(ctx, []image.Image{img}...)
}

// looksLikeFile tells a mistyped path from a text.
func looksLikeFile(s string) bool {
	switch strings.ToLower(filepath.Ext(s)) {
	case ".png", ".jpg", ".jpeg", ".gif", ".webp", ".bmp", ".tif", ".tiff":
		return !strings.Contains(s, " ")
	}
	return false
}

func (a *app) newCLIPInspect(name *string) *cobra.Command {
	return &cobra.Command{
		Use: "inspect", Short: "Show every block of the model with its real shapes", Args: exactly(0),
		Example: `  smalti clip inspect
  smalti clip inspect --clip openai/vit-b-32 --json`,
		RunE: func(*cobra.Command, []string) error { return a.runCLIPInspect(*name) },
	}
}

func (a *app) runCLIPInspect(name string) error {
	m, _, err := a.openCLIP(name)
	if err != nil {
		return err
	}
	blocks, err := m.Inspect()
	if err != nil {
		return err
	}
	rows := make([]blockRow, len(blocks))
	for i, b := range blocks {
		rows[i] = blockRow{b.Name, b.Out, b.Params}
	}
	return a.printBlocks(rows)
}
