package main

import (
	"context"
	"fmt"
	"image"

	"github.com/spf13/cobra"

	"github.com/smalti/smalti/event"
	"github.com/smalti/smalti/pixel"
	"github.com/smalti/smalti/spec"
	"github.com/smalti/smalti/ui"
)

// heatOptions are the flags of clip heat.
type heatOptions struct {
	out, mask string
	threshold float64
}

func (a *app) newCLIPHeat(name *string) *cobra.Command {
	var o heatOptions
	cmd := &cobra.Command{
		Use: "heat PICTURE TEXT", Short: "Show where in a picture a text fits", Args: exactly(2),
		Long: `Show where in a picture a text fits: CLIP looks at it through windows of three sizes and compares how well each fits the text
with how well it fits texts that fit everything. Written are the picture in the colours of its heat, with a line around what smalti paint
--mask-words would paint, and on request that mask.`,
		Example: `  smalti clip heat house.png "the roof" -o heat.png
  smalti clip heat street.jpg "a red car" --mask car.png --threshold 0.6 --json`,
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.runCLIPHeat(cmd.Context(), *name, &o, args[0], args[1])
		},
	}
	f := cmd.Flags()
	f.StringVarP(&o.out, "out", "o", "heat.png", "picture to write to `FILE`")
	f.StringVar(&o.mask, "mask", "", "also write the mask to `FILE`, white where the text fits")
	f.Float64Var(&o.threshold, "threshold", spec.MaskThreshold, "heat from which on a pixel counts, in shares of the way from the median to the most")
	return cmd
}

func (a *app) runCLIPHeat(ctx context.Context, name string, o *heatOptions, path, text string) error {
	if err := checkTexts([]string{text}); err != nil {
		return err
	}
	if err := spec.CheckThreshold("--threshold", o.threshold); err != nil {
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
	a.noticeCut(m, []string{text})
	values, err := m.Heat(ctx, img, text)
	if err != nil {
		return err
	}
	heat := pixel.Heat{W: img.Bounds().Dx(), H: img.Bounds().Dy(), Values: values}
	unit := heat.Unit()
	mask := unit.Mask(o.threshold)
	if err := a.savePicture(o.out, unit.Over(img, o.threshold)); err != nil {
		return err
	}
	if o.mask != "" {
		if err := a.savePicture(o.mask, mask); err != nil {
			return err
		}
	}
	return a.printHeat(heat, mask)
}

// printHeat says where the heat is, and what the mask covers.
func (a *app) printHeat(h pixel.Heat, mask *image.Gray) error {
	v := map[string]float64{"left": float64(h.W), "top": float64(h.H)}
	v["least"], v["most"] = h.Values[0], h.Values[0]
	for i, value := range h.Values {
		x, y := float64(i%h.W), float64(i/h.W)
		v["least"] = min(v["least"], value)
		if value > v["most"] {
			v["most"], v["x"], v["y"] = value, x, y
		}
		if mask.Pix[i] > 0 {
			v["share"] += 1 / float64(len(h.Values))
			v["left"], v["top"] = min(v["left"], x), min(v["top"], y)
			v["right"], v["bottom"] = max(v["right"], x+1), max(v["bottom"], y+1)
		}
	}
	if a.json {
		a.sink().Emit(event.Event{Kind: event.Result, Values: v})
		return nil
	}
	t := ui.NewTable()
	t.Row("heat", fmt.Sprintf("%.3f to %.3f", v["least"], v["most"]), "cosine with the text less that with neutral texts")
	t.Row("hottest", fmt.Sprintf("%g,%g", v["x"], v["y"]), "pixel")
	t.Row("mask", fmt.Sprintf("%.1f %%", 100*v["share"]), fmt.Sprintf("of the picture, from %g,%g to %g,%g", v["left"], v["top"], v["right"], v["bottom"]))
	return t.Write(a.out)
}
