package main

import (
	"errors"
	"fmt"
	"image"
	"math"
	"strings"

	"github.com/spf13/cobra"

	"github.com/smalti/smalti/event"
	"github.com/smalti/smalti/pixel"
	"github.com/smalti/smalti/run"
	"github.com/smalti/smalti/spec"
)

func (a *app) newShow() *cobra.Command {
	return &cobra.Command{
		Use:   "show PNG",
		Short: "Print the recipe that a picture carries",
		Example: `  smalti show apple.png
  smalti show apple.png --json | jq -r .text.job`,
		Args: exactly(1),
		RunE: func(_ *cobra.Command, args []string) error { return a.runShow(args[0]) },
	}
}

func (a *app) runShow(path string) error {
	kind, data, chunks, err := run.ReadAnyRecipe(path)
	if err != nil {
		return err
	}
	rows, err := recipeRows(kind, data)
	if err != nil {
		return fmt.Errorf("read the recipe of %s: %w", path, err)
	}
	values := map[string]float64{}
	if codes, err := pixel.DecodeCodes(chunks); err == nil {
		values["code_rows"], values["code_columns"] = float64(codes.Rows), float64(codes.Cols)
	}
	if a.json {
		a.sink().Emit(event.Event{Kind: event.Result, Path: path, Text: map[string]string{"job": string(data)}, Values: values})
		return nil
	}
	for _, row := range rows {
		fmt.Fprintf(a.out, "%-10s %s\n", row[0], row[1])
	}
	if len(values) > 0 {
		fmt.Fprintf(a.out, "%-10s %.0fx%.0f\n", "codes", values["code_columns"], values["code_rows"])
	}
	return nil
}

// recipeRows lists what a recipe of any kind says, one line a thing.
func recipeRows(kind string, recipe []byte) ([][2]string, error) {
	switch kind {
	case spec.KindLab:
		l, err := spec.DecodeLab(recipe)
		if err != nil {
			return nil, err
		}
		return describeLab(l), nil
	case spec.KindSample:
		s, err := spec.DecodeSample(recipe)
		if err != nil {
			return nil, err
		}
		return describeSample(s), nil
	case spec.KindPaint:
		j, err := spec.Decode(recipe)
		if err != nil {
			return nil, err
		}
		return describe(j), nil
	}
	if kind == spec.KindFrame {
		h, err := spec.ReadHead(recipe)
		return [][2]string{{"frame", "of a film; the folder it lies in says which"}, {"vqgan", modelLine(h.VQGAN)}}, err
	}
	return nil, fmt.Errorf("recipes of kind %q are not known to this version", kind)
}

func describeSample(s *spec.Sample) [][2]string {
	rows := [][2]string{{"sample", s.Prompt}}
	add := func(name, format string, args ...any) {
		rows = append(rows, [2]string{name, fmt.Sprintf(format, args...)})
	}
	if s.Class != nil {
		add("class", "%d", *s.Class)
	}
	add("size", "%dx%d", s.Width, s.Height)
	add("seed", "%d, picture %d", s.Seed, s.Number)
	add("choice", "temperature %g, top-k %d, top-p %g, guidance %g", s.Temperature, s.TopK, s.TopP, s.Guidance)
	if s.Complete != "" {
		add("complete", "picture %s, its upper %d rows", s.Complete[:min(12, len(s.Complete))], s.Keep)
	}
	add("prior", "%s", modelLine(s.Prior))
	add("vqgan", "%s", modelLine(s.VQGAN))
	add("build", "smalti %s, backend %s, CPU class %s", s.Build.Smalti, s.Build.Backend, s.Build.CPU)
	return rows
}

func describeLab(l *spec.Lab) [][2]string {
	rows := [][2]string{{"lab", l.Op}}
	list := func(name string, operands []spec.Operand) {
		for _, o := range operands {
			what := "picture " + o.Picture[:min(12, len(o.Picture))]
			if o.Prompt != "" {
				what = fmt.Sprintf("%s (seed %d)", o.Prompt, o.Seed)
			}
			rows = append(rows, [2]string{name, what})
		}
	}
	list("of", l.Pictures)
	list("with", l.With)
	list("without", l.Without)
	switch l.Op {
	case "arith":
		rows = append(rows, [2]string{"t", fmt.Sprint(l.T)})
	case "mix":
		rows = append(rows, [2]string{"sigma", fmt.Sprint(l.Sigma)})
	}
	for _, c := range l.Codes {
		rows = append(rows, [2]string{"code", fmt.Sprintf("%d becomes %d", c[0], c[1])})
	}
	if l.Region != nil {
		rows = append(rows, [2]string{"region", regionText(l.Region)})
	}
	rows = append(rows, [2]string{"size", fmt.Sprintf("%dx%d", l.Width, l.Height)}, [2]string{"vqgan", modelLine(l.VQGAN)})
	if l.CLIP.Name != "" {
		rows = append(rows, [2]string{"clip", modelLine(l.CLIP)})
	}
	return append(rows, [2]string{"build", fmt.Sprintf("smalti %s, backend %s, CPU class %s", l.Build.Smalti, l.Build.Backend, l.Build.CPU)})
}

// regionText is a region as flags take it.
func regionText(r *spec.Region) string {
	if r.R > 0 {
		return fmt.Sprintf("circle:%g,%g,%g,%g", r.X, r.Y, r.R, r.Feather)
	}
	return fmt.Sprintf("rect:%g,%g,%g,%g,%g", r.X, r.Y, r.W, r.H, r.Feather)
}

// ladderText names the sizes that a picture is painted at before its own.
func ladderText(rungs []spec.Rung) string {
	var parts []string
	for _, r := range rungs {
		parts = append(parts, fmt.Sprintf("%dx%d to step %d", r.Width, r.Height, r.Until))
	}
	return strings.Join(parts, ", ")
}

func maskText(m *spec.Mask) string {
	text := fmt.Sprintf("outpaint %v", m.Outpaint)
	switch {
	case m.Words != "":
		text = fmt.Sprintf("where it shows %q, heat from %g", m.Words, m.Threshold)
	case m.Picture != "":
		text = "picture " + m.Picture[:min(12, len(m.Picture))]
	case m.Region != nil:
		text = regionText(m.Region)
	}
	if m.Invert {
		text += " inverted"
	}
	return fmt.Sprintf("%s, feather %g, seam %g", text, m.Feather, m.Seam)
}

// promptText is a prompt with what bounds it.
func promptText(p spec.Prompt) string {
	text := p.Text
	switch {
	case p.Image != "":
		text = "picture " + p.Image[:min(12, len(p.Image))]
	case p.Noise != nil:
		text = fmt.Sprintf("noise %d", *p.Noise)
	}
	if p.Region != nil {
		text += " (" + regionText(p.Region) + ")"
	}
	if p.Weight != 1 {
		text += fmt.Sprintf(" (weight %g)", p.Weight)
	}
	if p.Stop != nil {
		text += fmt.Sprintf(" (stop %g)", *p.Stop)
	}
	if p.From > 0 || p.Until > 0 {
		text += fmt.Sprintf(" (steps %d to %d)", p.From, p.Until)
	}
	return text
}

// describe lists what decides a picture, one line a thing.
func describe(j *spec.Job) [][2]string {
	var rows [][2]string
	add := func(name, format string, args ...any) {
		rows = append(rows, [2]string{name, fmt.Sprintf(format, args...)})
	}
	for _, p := range j.Prompts {
		add("prompt", "%s", promptText(p))
	}
	add("size", "%dx%d", j.Width, j.Height)
	if text := ladderText(j.Ladder); text != "" {
		add("coarse", "%s", text)
	}
	add("steps", "%d", j.Steps)
	add("seed", "%d", j.Seed)
	add("vqgan", "%s", modelLine(j.VQGAN))
	for _, c := range j.CLIP {
		add("clip", "%s", modelLine(c))
	}
	add("cuts", "%d %s", j.Cuts.Count, j.Cuts.Scheme)
	add("optimiser", "%s lr %g", j.Optimiser.Name, j.Optimiser.LR)
	start := j.Start.Kind
	if j.Start.Image != "" {
		start += " " + j.Start.Image[:min(12, len(j.Start.Image))]
	}
	if d := j.Start.Draw; d != nil && d.Number != nil {
		start += fmt.Sprintf(" %s, picture %d", modelLine(d.Prior), *d.Number)
	}
	if p := j.Start.PCA; p != nil {
		start += fmt.Sprintf(" %s, spread %g", modelLine(p.PCA), p.Spread)
	}
	if m := j.Start.Memory; m != nil {
		start += " " + modelLine(m.Index)
		for _, k := range m.Found {
			start += fmt.Sprintf(", picture %d %q %s %s", k.Number, k.Label, k.Style, k.Colour)
		}
	}
	add("start", "%s", strings.TrimSpace(start))
	if l := j.Losses.Prior; l != nil {
		add("loss", "prior %g %s", l.Weight, modelLine(l.Prior))
	}
	if u := j.Losses.PCA; u != nil {
		add("loss", "pca %g %s", u.Weight, modelLine(u.PCA))
	}
	for _, l := range j.Losses.Look {
		add("loss", "%s %g %s", l.Name, l.Weight, strings.Join(l.Colours, ",")+l.Head[:min(12, len(l.Head))])
	}
	for _, f := range j.Filters {
		add("filter", "%s %s%s", f.Name, f.Kind, strings.Join(f.Colours, ","))
	}
	if j.Mask != nil {
		add("mask", "%s", maskText(j.Mask))
	}
	if j.Tile != "" {
		add("tile", "%s", j.Tile)
	}
	add("precision", "%s", j.Precision)
	add("build", "smalti %s, backend %s, CPU class %s", j.Build.Smalti, j.Build.Backend, j.Build.CPU)
	return rows
}

func modelLine(m spec.ModelRef) string {
	s := m.Name
	if m.Version != "" {
		s += " " + m.Version
	}
	if m.SHA256 != "" {
		s += " sha256:" + m.SHA256[:min(12, len(m.SHA256))]
	}
	return s
}

func (a *app) newDiff() *cobra.Command {
	var out string
	cmd := &cobra.Command{
		Use:   "diff A B",
		Short: "Compare two pictures: their pixels and their recipes",
		Long:  "Compare two pictures. The exit code is 0 when all pixels are equal and 1 when they are not.",
		Example: `  smalti diff apple.png again.png
  smalti diff apple.png other.png -o difference.png`,
		Args: exactly(2),
		RunE: func(_ *cobra.Command, args []string) error { return a.runDiff(args[0], args[1], out) },
	}
	cmd.Flags().StringVarP(&out, "out", "o", "", "write the difference as a picture to `FILE`")
	return cmd
}

// errDiffer makes diff exit with 1 when the pictures differ.
var errDiffer = errors.New("the pictures differ")

func (a *app) runDiff(pathA, pathB, out string) error {
	pics := make([]image.Image, 2)
	for i, p := range []string{pathA, pathB} {
		img, err := pixel.DecodeFile(p)
		if err != nil {
			return fmt.Errorf("read %s: %w", p, err)
		}
		pics[i] = img
	}
	d, err := pixel.Compare(pics[0], pics[1])
	if err != nil {
		return fmt.Errorf("compare %s with %s: %w", pathA, pathB, err)
	}
	recipe := diffRecipes(pathA, pathB)
	if out != "" {
		img, err := pixel.DifferenceImage(pics[0], pics[1])
		if err != nil {
			return err
		}
		if err := writePNG(out, img); err != nil {
			return err
		}
	}
	if a.json {
		text := map[string]string{}
		for _, r := range recipe {
			text[r[0]] = r[1] + " -> " + r[2]
		}
		a.sink().Emit(event.Event{Kind: event.Result, Text: text, Values: map[string]float64{
			"max": float64(d.Max), "mean": d.Mean, "pixels": float64(d.Pixels), "psnr": d.PSNR, "ssim": d.SSIM}})
	} else {
		a.printDiff(d, recipe)
	}
	if !d.Equal() {
		return errDiffer
	}
	return nil
}

func (a *app) printDiff(d pixel.Difference, recipe [][3]string) {
	if d.Equal() {
		fmt.Fprintln(a.out, "all pixels are equal")
	} else {
		psnr := fmt.Sprintf("%.2f dB", d.PSNR)
		if math.IsInf(d.PSNR, 1) {
			psnr = "infinite"
		}
		fmt.Fprintf(a.out, "%d pixels differ, by up to %d of 255, %.3f in the mean; PSNR %s, SSIM %.4f\n", d.Pixels, d.Max, d.Mean, psnr, d.SSIM)
	}
	for _, r := range recipe {
		fmt.Fprintf(a.out, "%-10s %s -> %s\n", r[0], r[1], r[2])
	}
}

// diffRecipes lists the lines in which two recipes differ; pictures without a recipe have none.
func diffRecipes(pathA, pathB string) [][3]string {
	a, _, errA := run.ReadRecipe(pathA)
	b, _, errB := run.ReadRecipe(pathB)
	if errA != nil || errB != nil {
		return nil
	}
	rowsA, rowsB := joined(describe(a)), joined(describe(b))
	var out [][3]string
	for _, name := range []string{"prompt", "size", "coarse", "steps", "seed", "vqgan", "clip", "cuts", "optimiser", "start", "loss", "filter", "mask", "tile", "precision", "build"} {
		if rowsA[name] != rowsB[name] {
			out = append(out, [3]string{name, rowsA[name], rowsB[name]})
		}
	}
	return out
}

func joined(rows [][2]string) map[string]string {
	out := map[string]string{}
	for _, r := range rows {
		if out[r[0]] != "" {
			out[r[0]] += " | "
		}
		out[r[0]] += r[1]
	}
	return out
}
