package run

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/smalti/smalti/event"
	"github.com/smalti/smalti/latent"
	"github.com/smalti/smalti/pixel"
	"github.com/smalti/smalti/spec"
	"github.com/smalti/smalti/vqgan"
)

// LabWork asks for a picture made of other pictures' latents.
type LabWork struct {
	Lab    spec.Lab // pictures by sha256, see Inputs; the size may be 0: that of the first picture made by smalti
	Out    string   // PNG
	Inputs Inputs
	near   string // folder in which pictures are looked for that Inputs does not have
}

// maxOperands bounds a folder that is averaged.
const maxOperands = 1000

// Operands reads what the user wrote for a side of the arithmetic: a picture, a run folder, a folder of pictures, or
// prompt:WORDS, which become a picture painted with the seed.
func (in *Inputs) Operands(arg string, seed uint64) ([]spec.Operand, error) {
	if words, ok, err := promptWords(arg); ok || err != nil {
		return []spec.Operand{{Prompt: words, Seed: seed}}, err
	}
	paths := []string{arg}
	switch {
	case isRun(arg):
		paths[0] = filepath.Join(arg, outFile)
	case isDir(arg):
		var err error
		if paths, err = PicturesIn(arg, maxOperands); err != nil {
			return nil, err
		}
	}
	var out []spec.Operand
	for _, p := range paths {
		sum, err := in.AddInput(p)
		if err != nil {
			return nil, err
		}
		out = append(out, spec.Operand{Picture: sum})
	}
	return out, nil
}

// PicturesIn lists a folder's pictures in the order of their names, at most most of them.
func PicturesIn(dir string, most int) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("read the folder: %w", err)
	}
	var out []string
	for _, e := range entries {
		if ext := strings.ToLower(filepath.Ext(e.Name())); e.Type().IsRegular() && slices.Contains([]string{".png", ".jpg", ".jpeg", ".gif", ".webp"}, ext) {
			out = append(out, filepath.Join(dir, e.Name()))
		}
	}
	switch {
	case len(out) == 0:
		return nil, spec.Refusef("name a folder with PNG, JPEG, GIF or WebP files", "%s holds no pictures", dir)
	case len(out) > most:
		return nil, spec.Refusef(fmt.Sprintf("take %d or fewer", most), "%s holds %d pictures", dir, len(out))
	}
	return out, nil
}

// Lab makes the picture. The same work on the same build gives the same file.
func (r *Runner) Lab(ctx context.Context, req LabWork, sink event.Sink) error {
	began := r.now()
	l := &req.Lab
	unsized := l.Width == 0
	if unsized {
		l.Width, l.Height = 1, 1
	}
	if err := l.Validate(); err != nil {
		return err
	}
	if unsized {
		l.Width, l.Height = 0, 0
	}
	if err := checkExtensions([]string{req.Out}, []string{".png"}, "a picture of the lab is a PNG"); err != nil {
		return err
	}
	if err := checkFolders([]string{req.Out}); err != nil {
		return err
	}
	b := &labBench{Runner: r, work: &req, sink: sink}
	if err := b.lay(ctx); err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	codes, err := b.make()
	if err != nil {
		return err
	}
	img, err := b.model.Decode(codes)
	if err != nil {
		return err
	}
	if err := b.write(img, codes); err != nil {
		return err
	}
	sink.Emit(event.Event{Kind: event.Saved, Path: req.Out})
	sink.Emit(event.Event{Kind: event.Done, Path: req.Out, Seconds: r.now().Sub(began).Seconds(), Picture: img.ToImage()})
	return nil
}

// labBench holds the operands of one work.
type labBench struct {
	*Runner
	*table
	work                    *LabWork
	sink                    event.Sink
	pictures, with, without []latent.Grid
	codes                   []latent.Codes // of pictures
}

// make computes the codes of the picture.
func (b *labBench) make() (vqgan.Codes, error) {
	l := &b.work.Lab
	switch l.Op {
	case "arith":
		without := b.pictures[0]
		if len(b.without) > 0 {
			without = latent.Mean(b.without...)
		}
		return b.nearest(latent.Shift(b.pictures[0], latent.Mean(b.with...), without, l.T))
	case "mix":
		return b.nearest(latent.MixScales(b.pictures[0], b.pictures[1], l.Sigma))
	case "swap":
		return b.swap()
	}
	weight := b.cells(l.Region)
	if l.Region.Feather == 0 {
		c := b.codes[0].Brush(b.codes[1], weight)
		return vqgan.Codes{H: c.H, W: c.W, Idx: c.Index}, nil
	}
	return b.nearest(latent.Blend(b.pictures[0], b.pictures[1], weight))
}

func (b *labBench) swap() (vqgan.Codes, error) {
	by := map[int32]int32{}
	for _, p := range b.work.Lab.Codes {
		if int(max(p[0], p[1])) >= b.book.K {
			return vqgan.Codes{}, spec.Refusef(fmt.Sprintf("use 0 to %d", b.book.K-1), "%s has no code %d", b.ref.Name, max(p[0], p[1]))
		}
		by[p[0]] = p[1]
	}
	c := b.codes[0].Replace(by)
	if region := b.work.Lab.Region; region != nil {
		c = b.codes[0].Brush(c, b.cells(region))
	}
	return vqgan.Codes{H: c.H, W: c.W, Idx: c.Index}, nil
}

// nearest brings a mixture back into the range of the codes and takes the nearest ones. A mixture that is the first
// picture keeps its codes.
func (b *labBench) nearest(z latent.Grid) (vqgan.Codes, error) {
	z = b.bounds().Clamp(z)
	return b.model.NearestCodes(z.Data, z.H, z.W)
}

// cells is the region's weight at the middle of each code.
func (b *labBench) cells(r *spec.Region) []float32 {
	f := b.model.Factor()
	out := make([]float32, 0, b.h/f*(b.w/f))
	for y := range b.h / f {
		for x := range b.w / f {
			out = append(out, float32(r.Weight((float64(x)+0.5)*float64(f), (float64(y)+0.5)*float64(f))))
		}
	}
	return out
}

func (b *labBench) write(img pixel.Image, codes vqgan.Codes) error {
	recipe, err := b.work.Lab.Encode()
	if err != nil {
		return err
	}
	text, err := pixel.ITXtChunk(pixel.RecipeKey, string(recipe))
	if err != nil {
		return fmt.Errorf("run: write the recipe: %w", err)
	}
	chunk, err := b.codesChunk(codes.Idx)
	if err != nil {
		return err
	}
	var buf bytes.Buffer
	if err := pixel.EncodePNG(&buf, img.ToImage(), append([]pixel.Chunk{text}, chunk...)...); err != nil {
		return fmt.Errorf("run: encode the picture: %w", err)
	}
	return writeFile(b.work.Out, buf.Bytes())
}
