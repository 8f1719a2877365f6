package run

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/smalti/smalti/event"
	"github.com/smalti/smalti/paint"
	"github.com/smalti/smalti/pixel"
	"github.com/smalti/smalti/spec"
)

// writePicture writes the picture with its recipe into the run folder and to the output file. The recipe's number of
// steps is what was painted, so that a picture stopped half-way reruns to what it is.
func (s *session) writePicture(pic paint.Picture) error {
	job := *s.job
	job.Steps = s.painter.Step()
	chunks, err := recipeChunks(&job, pic, s.rows())
	if err != nil {
		return err
	}
	var buf bytes.Buffer
	if err := pixel.EncodePNG(&buf, toImage(pic), chunks...); err != nil {
		return fmt.Errorf("run: encode the picture: %w", err)
	}
	for _, path := range []string{filepath.Join(s.folder.path, outFile), s.req.Out} {
		if err := writeFile(path, buf.Bytes()); err != nil {
			return fmt.Errorf("run: write the picture: %w", err)
		}
	}
	s.sink.Emit(event.Event{Kind: event.Saved, Step: job.Steps, Path: s.req.Out})
	return nil
}

func (s *session) rows() int { h, _, _ := s.painter.Latents(); return h }

// recipeChunks is what travels inside the PNG: the job, the same in words that other programs show, and the codes.
func recipeChunks(j *spec.Job, pic paint.Picture, rows int) ([]pixel.Chunk, error) {
	data, err := j.Encode()
	if err != nil {
		return nil, err
	}
	recipe, err := pixel.ITXtChunk(pixel.RecipeKey, string(data))
	if err != nil {
		return nil, fmt.Errorf("run: write the recipe: %w", err)
	}
	words, err := pixel.ITXtChunk(pixel.ParametersKey, parameters(j))
	if err != nil {
		return nil, fmt.Errorf("run: write the recipe: %w", err)
	}
	chunks := []pixel.Chunk{recipe, words}
	chunk, ok, err := codesChunk(pic.Codes, rows)
	if err != nil || !ok {
		return chunks, err
	}
	return append(chunks, chunk), nil
}

// codesChunk carries codes inside a picture; ok is false for a codebook too large for the chunk: such a picture goes without.
func codesChunk(codes []int32, rows int) (chunk pixel.Chunk, ok bool, err error) {
	index := make([]uint16, len(codes))
	for i, c := range codes {
		if c < 0 || c > 0xffff {
			return chunk, false, nil
		}
		index[i] = uint16(c)
	}
	chunk, err = pixel.EncodeCodes(pixel.Codes{Rows: rows, Cols: len(index) / rows, Index: index})
	if err != nil {
		return chunk, false, fmt.Errorf("run: write the codes: %w", err)
	}
	return chunk, true, nil
}

// parameters is the form that viewers of other programs' pictures understand.
func parameters(j *spec.Job) string {
	var pull, push []string
	for _, p := range j.Prompts {
		switch {
		case p.Text == "":
		case p.Weight < 0:
			push = append(push, p.Text)
		default:
			pull = append(pull, p.Text)
		}
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n", strings.Join(pull, " | "))
	if len(push) > 0 {
		fmt.Fprintf(&b, "Negative prompt: %s\n", strings.Join(push, " | "))
	}
	fmt.Fprintf(&b, "Steps: %d, Sampler: %s, CFG scale: 1, Seed: %d, Size: %dx%d, Model: %s, Version: smalti %s",
		j.Steps, j.Optimiser.Name, j.Seed, j.Width, j.Height, j.VQGAN.Name, j.Build.Smalti)
	return b.String()
}

// ReadAnyRecipe reads the recipe inside a picture made by smalti, of whatever kind, with the chunks it came in.
func ReadAnyRecipe(path string) (kind string, recipe []byte, chunks []pixel.Chunk, err error) {
	text, chunks, err := recipeText(path)
	if err != nil {
		return "", nil, nil, err
	}
	head, err := spec.ReadHead([]byte(text))
	if err != nil {
		return "", nil, nil, fmt.Errorf("read the recipe of %s: %w", path, err)
	}
	return head.Kind, []byte(text), chunks, nil
}

// ReadRecipe reads the job inside a painted picture, with the chunks it came in.
func ReadRecipe(path string) (*spec.Job, []pixel.Chunk, error) {
	kind, text, chunks, err := ReadAnyRecipe(path)
	if err != nil {
		return nil, nil, err
	}
	if kind != spec.KindPaint {
		return nil, nil, fmt.Errorf("%s was not painted: its recipe is of kind %q", path, kind)
	}
	job, err := spec.Decode(text)
	if err != nil {
		return nil, nil, fmt.Errorf("read the recipe of %s: %w", path, err)
	}
	return job, chunks, nil
}

func recipeText(path string) (string, []pixel.Chunk, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", nil, err
	}
	defer f.Close()
	chunks, err := pixel.ReadChunks(f)
	if err != nil {
		return "", nil, &NoRecipeError{Path: path, err: err}
	}
	text, err := pixel.FindText(chunks, pixel.RecipeKey)
	if err != nil {
		return "", nil, &NoRecipeError{Path: path, err: err}
	}
	return text, chunks, nil
}

// NoRecipeError says that a picture carries no recipe.
type NoRecipeError struct {
	Path string
	err  error
}

func (e *NoRecipeError) Error() string { return fmt.Sprintf("%s carries no recipe: %v", e.Path, e.err) }
func (e *NoRecipeError) Unwrap() error { return e.err }

// Hint says why.
func (e *NoRecipeError) Hint() string {
	return "only PNG files written by smalti carry one; programs that edit pictures often drop it"
}

// Rerun makes the picture of a recipe again, of whatever kind. With the same build it is the same file, byte for byte.
func (r *Runner) Rerun(ctx context.Context, png string, req Painting, sink event.Sink) (Result, error) {
	kind, text, _, err := ReadAnyRecipe(png)
	if err != nil {
		return Result{}, err
	}
	if kind == spec.KindSample {
		d, err := spec.DecodeSample(text)
		if err != nil {
			return Result{}, err
		}
		_, err = r.Sample(ctx, Sampling{Sample: *d, Outs: []string{req.Out}, Inputs: req.Inputs, near: filepath.Dir(png)}, sink)
		return Result{Out: req.Out}, err
	}
	if kind == spec.KindLab {
		l, err := spec.DecodeLab(text)
		if err != nil {
			return Result{}, err
		}
		return Result{Out: req.Out}, r.Lab(ctx, LabWork{Lab: *l, Out: req.Out, Inputs: req.Inputs, near: filepath.Dir(png)}, sink)
	}
	job, _, err := ReadRecipe(png)
	if err != nil {
		return Result{}, err
	}
	req.Job = *job
	if f, err := OpenFolder(png); err == nil {
		req.Inputs.folder = f
	}
	return r.Paint(ctx, req, sink)
}
