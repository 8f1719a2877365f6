package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/smalti/smalti/event"
	"github.com/smalti/smalti/train"
)

func (a *app) newDataIndex() *cobra.Command {
	c := train.DefaultIndex()
	var out string
	cmd := &cobra.Command{
		Use: "index", Short: "Index the pictures of a pack, for starts of paint", Args: exactly(0),
		Long: `Index the training pictures of a pack, or your own: the codes of each under a VQGAN, its outline, what a CLIP sees in it, its name
and style. smalti paint --init-noise retrieval starts from the picture that fits the words best. The file belongs to these two
models and says so by their sha256. Held-out pictures are not among them.`,
		Example: `  smalti data index --out index.safetensors
  smalti data index --data emoji --vqgan runs/vqgan/model.safetensors --clip runs/clip/model.safetensors --out index.safetensors
  smalti models import index.safetensors --name my/index`,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.runDataIndex(cmd.Context(), c, out) },
	}
	f := cmd.Flags()
	f.StringVar(&c.Data, "data", "", "`PACK` by name, or folder; default: "+defaultPack+"; "+train.ShapesData+" needs no files")
	f.StringVar(&c.VQGAN.Name, "vqgan", c.VQGAN.Name, "VQGAN whose codes are kept: `NAME` of a model, or weight file")
	f.StringVar(&c.CLIP.Name, "clip", c.CLIP.Name, "CLIP that looks at the pictures: `NAME` of a model, or weight file")
	f.StringVarP(&out, "out", "o", "", "`FILE` to write, .safetensors")
	f.IntVar(&c.Size, "size", 0, "side of the pictures in pixels; 0 takes what the VQGAN was trained on")
	return cmd
}

func (a *app) runDataIndex(ctx context.Context, c train.IndexConfig, out string) (err error) {
	if err := weightFileName(out); err != nil {
		return err
	}
	if c.Data, err = a.trainingData(c.Data, defaultPack); err != nil {
		return err
	}
	if c.VQGAN, err = a.pinOf(c.VQGAN.Name); err != nil {
		return err
	}
	if c.CLIP, err = a.pinOf(c.CLIP.Name); err != nil {
		return err
	}
	c.Threads = a.threads
	sink, done := a.openSink(false)
	defer done()
	x, err := train.RunIndex(ctx, c, out, sink, train.Options{Lend: a.lend})
	if err != nil {
		return err
	}
	sink.Emit(event.Event{Kind: event.Done, Path: out, Values: map[string]float64{"pictures": float64(x.Pictures)},
		Message: fmt.Sprintf("%d pictures; bring them in with: smalti models import %s --name my/index", x.Pictures, out)})
	return nil
}
