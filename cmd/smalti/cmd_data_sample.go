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
	"github.com/smalti/smalti/event"
	"github.com/smalti/smalti/pixel"
	"github.com/smalti/smalti/spec"
)

// scenesOptions are the flags of data sample.
type scenesOptions struct {
	out, style string
	n, size    int
	seed       uint64
	plain      bool
}

// shapesPack is drawn by smalti itself and needs no files.
const shapesPack = dataset.ShapesName

// maxScenes bounds what one call writes.
const maxScenes = 100_000

func (a *app) newDataSample() *cobra.Command {
	var o scenesOptions
	cmd := &cobra.Command{
		Use:   "sample PACK [WORDS]",
		Short: "Write captioned pictures of a pack, as training sees them",
		Long: `Write captioned pictures of a pack, as training sees them: composed scenes, or with --plain the drawings themselves on white,
with WORDS those whose name has these words. Into a folder go PNG files with their captions beside them (.txt), which
--data takes like any folder of your own; into a .png goes a sheet. PACK may be a mixture, A,B:WEIGHT, or "default". The pack "shapes" is drawn by smalti itself and need not be built.`,
		Example: `  smalti data sample shapes -n 16 -o shapes/
  smalti data sample emoji -n 64 -o scenes.png
  smalti data sample default -n 64 -o mixed.png
  smalti data sample emoji "red apple" --plain -n 4 -o apples/
  smalti data sample emoji -n 2000 --size 64 -o my-pictures/`,
		Args: cobra.RangeArgs(1, 2),
		RunE: func(cmd *cobra.Command, args []string) error { return a.runDataSample(cmd.Context(), &o, args) },
	}
	f := cmd.Flags()
	f.StringVarP(&o.out, "out", "o", "samples", "FOLDER, or .png for a sheet")
	f.IntVarP(&o.n, "count", "n", 16, "how many at most")
	f.IntVar(&o.size, "size", 64, "side in pixels")
	f.Uint64Var(&o.seed, "seed", 1, "seed of the scenes")
	f.BoolVar(&o.plain, "plain", false, "drawings on white instead of scenes")
	f.StringVar(&o.style, "style", "", "only drawings of this style, see smalti data info PACK")
	return cmd
}

func (a *app) runDataSample(ctx context.Context, o *scenesOptions, args []string) error {
	if o.n < 1 || o.n > maxScenes || o.size < 8 || o.size > 1024 {
		return spec.Refusef(fmt.Sprintf("use 1 to %d pictures of 8 to 1024 pixels", maxScenes), "-n %d --size %d is out of range", o.n, o.size)
	}
	words := ""
	if len(args) > 1 {
		words = args[1]
	}
	if words != "" {
		o.plain = true
	}
	next, n, err := a.scenes(o, args[0], words)
	if err != nil {
		return err
	}
	sink, done := a.openSink(false)
	defer done()
	if strings.EqualFold(filepath.Ext(o.out), ".png") {
		return a.scenesSheet(ctx, o, n, next, sink)
	}
	return scenesFolder(ctx, o, n, next, sink)
}

// scenes opens a pack and returns how many pictures there will be, and the way to each.
func (a *app) scenes(o *scenesOptions, pack, words string) (func(i int) (pixel.Image, string), int, error) {
	if pack == shapesPack && !o.plain && o.style == "" {
		return o.composed(nil, dataset.ComposeOptions{ShapeShare: 1})
	}
	if mix, ok, err := a.mixture(pack); ok || err != nil {
		if err != nil {
			return nil, 0, err
		}
		return o.mixed(mix)
	}
	dir, err := a.packDir(pack)
	if err != nil {
		return nil, 0, err
	}
	p, err := dataset.OpenPack(dir)
	if errors.Is(err, dataset.ErrNoPack) {
		return nil, 0, hinted(err, "build it: smalti data build "+pack)
	}
	if err != nil {
		return nil, 0, err
	}
	return o.pictures(p, words)
}

func (o *scenesOptions) pictures(p *dataset.Pack, words string) (func(i int) (pixel.Image, string), int, error) {
	var sprites []*dataset.Sprite
	for _, s := range p.Sprites {
		if (o.style == "" || s.Style == o.style) && strings.Contains(strings.ToLower(s.Label), strings.ToLower(words)) {
			sprites = append(sprites, s)
		}
	}
	if len(sprites) == 0 {
		return nil, 0, spec.Refusef("see: smalti data info PACK", "no drawing has the words %q and the style %q", words, o.style)
	}
	if o.plain {
		return func(i int) (pixel.Image, string) {
			pix, caption := dataset.Plain(sprites[i], o.size)
			return pixel.Image{W: o.size, H: o.size, Pix: pix}, caption
		}, min(o.n, len(sprites)), nil
	}
	return o.composed(sprites, dataset.ComposeOptions{})
}

// mixed draws scenes of a mixture's training parts.
func (o *scenesOptions) mixed(parts []dataset.MixPart) (func(i int) (pixel.Image, string), int, error) {
	if o.plain || o.style != "" {
		return nil, 0, spec.Refuse("WORDS, --plain and --style are for one pack", "name one pack of the mixture")
	}
	m, err := dataset.OpenMix(parts)
	if err != nil {
		return nil, 0, err
	}
	c, err := m.Composer()
	if err != nil {
		return nil, 0, err
	}
	return o.drawn(c)
}

// composed draws scenes of sprites.
func (o *scenesOptions) composed(sprites []*dataset.Sprite, opts dataset.ComposeOptions) (func(i int) (pixel.Image, string), int, error) {
	c, err := dataset.NewComposer(sprites, opts)
	if err != nil {
		return nil, 0, err
	}
	return o.drawn(c)
}

func (o *scenesOptions) drawn(c *dataset.Composer) (func(i int) (pixel.Image, string), int, error) {
	return func(i int) (pixel.Image, string) {
		s := c.Sample(o.seed, 0, uint64(i), o.size)
		return pixel.Image{W: o.size, H: o.size, Pix: s.Pix}, s.Caption
	}, o.n, nil
}

func (a *app) scenesSheet(ctx context.Context, o *scenesOptions, n int, next func(i int) (pixel.Image, string), sink event.Sink) error {
	if n*o.size*o.size > pixel.MaxPixels {
		return spec.Refuse("the sheet would be too large", "write into a folder: -o samples/")
	}
	cells := make([]pixel.Cell, n)
	for i := range cells {
		if err := ctx.Err(); err != nil {
			return err
		}
		img, caption := next(i)
		cells[i] = pixel.Cell{Picture: img.ToImage(), Caption: caption}
	}
	if err := writePNG(o.out, pixel.Sheet{CellSize: max(o.size, 128), Gap: 8}.Draw(cells)); err != nil {
		return err
	}
	sink.Emit(event.Event{Kind: event.Saved, Path: o.out})
	return nil
}

func scenesFolder(ctx context.Context, o *scenesOptions, n int, next func(i int) (pixel.Image, string), sink event.Sink) error {
	if err := os.MkdirAll(o.out, 0o755); err != nil {
		return err
	}
	for i := range n {
		if err := ctx.Err(); err != nil {
			return err
		}
		img, caption := next(i)
		base := filepath.Join(o.out, fmt.Sprintf("%06d", i))
		if err := writePNG(base+".png", img.ToImage()); err != nil {
			return err
		}
		if err := os.WriteFile(base+".txt", []byte(caption+"\n"), 0o644); err != nil {
			return err
		}
		sink.Emit(event.Event{Kind: event.Step, Step: i + 1, Steps: n, Text: map[string]string{"unit": "picture"}})
	}
	sink.Emit(event.Event{Kind: event.Saved, Path: o.out})
	return nil
}
