package main

import (
	"context"
	"fmt"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/smalti/smalti/event"
	"github.com/smalti/smalti/spec"
	"github.com/smalti/smalti/train"
)

func (a *app) newTrainPCA() *cobra.Command {
	c := train.DefaultPCA()
	var out string
	cmd := &cobra.Command{
		Use: "pca", Short: "Fit a PCA: where the latents of pictures lie, for starts of paint", Args: exactly(0),
		Long: `Fit a PCA: the mean and the strongest axes of a VQGAN's latents of composed pictures. It takes a minute, has no steps to watch,
and gives the same bytes for the same pictures, VQGAN and seed. smalti paint --init-noise pca starts from it.`,
		Example: `  smalti train pca --out pca.safetensors
  smalti train pca --data emoji --vqgan runs/vqgan/model.safetensors --out pca.safetensors
  smalti models import pca.safetensors --name my/pca`,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.runTrainPCA(cmd.Context(), c, out) },
	}
	f := cmd.Flags()
	f.StringVar(&c.Data, "data", "", "`PACK` by name, or folder; default: "+defaultPack+"; "+train.ShapesData+" needs no files")
	f.StringVar(&c.VQGAN.Name, "vqgan", c.VQGAN.Name, "VQGAN whose latents are described: `NAME` of a model, or weight file")
	f.StringVarP(&out, "out", "o", "", "`FILE` to write, .safetensors")
	f.IntVar(&c.Pictures, "pictures", c.Pictures, "pictures to compose for it")
	f.IntVar(&c.Axes, "axes", c.Axes, "axes to keep at most")
	f.IntVar(&c.Size, "size", 0, "side of the pictures in pixels; 0 takes what the VQGAN was trained on")
	f.Uint64Var(&c.Seed, "seed", c.Seed, "seed of the pictures")
	return cmd
}

func (a *app) runTrainPCA(ctx context.Context, c train.PCAConfig, out string) (err error) {
	if err := weightFileName(out); err != nil {
		return err
	}
	if err := c.Validate(); err != nil {
		return spec.Refusef("see: smalti train pca --help", "%v", err)
	}
	if c.Data, err = a.trainingData(c.Data, defaultPack); err != nil {
		return err
	}
	if c.VQGAN, err = a.pinOf(c.VQGAN.Name); err != nil {
		return err
	}
	c.Threads = a.threads
	sink, done := a.openSink(false)
	defer done()
	p, err := train.RunPCA(ctx, c, out, sink, train.Options{Lend: a.lend})
	if err != nil {
		return err
	}
	sink.Emit(event.Event{Kind: event.Done, Path: out, Values: map[string]float64{"axes": float64(p.Axes), "share": p.Share, "rest": p.Rest},
		Message: fmt.Sprintf("%d axes tell %.1f %% of how %d pictures differ; bring it in with: smalti models import %s --name my/pca", p.Axes, 100*p.Share, p.Pictures, out)})
	return nil
}

// weightFileName refuses what cannot be the name of a weight file to write.
func weightFileName(out string) error {
	switch {
	case out == "":
		return spec.Refuse("--out is missing", "name a file, for example --out my.safetensors")
	case filepath.Ext(out) != ".safetensors":
		return spec.Refusef("name a .safetensors file", "--out %s is none", out)
	case !exists(filepath.Dir(out)):
		return spec.Refusef("make it first: mkdir -p "+filepath.Dir(out), "the folder %s does not exist", filepath.Dir(out))
	}
	return nil
}
