package run

import (
	"fmt"

	"github.com/smalti/smalti/paint"
	"github.com/smalti/smalti/spec"
)

// looks are the job's losses on how the picture looks, as the loop knows them.
func looks(list []spec.Look) []paint.WeightedPixelLoss {
	var out []paint.WeightedPixelLoss
	for _, l := range list {
		var loss paint.PixelLoss
		switch l.Name {
		case "saturation":
			loss = paint.SaturationLoss{}
		case "symmetry":
			loss = paint.Symmetry{}
		case "smoothness":
			loss = paint.Smoothness{}
		case "palette":
			loss = paint.PaletteLoss{Colours: colours(l.Colours)}
		case "edge":
			loss = paint.Edge{Width: l.Width, RGB: colours(l.Colours)[0]}
		}
		out = append(out, paint.WeightedPixelLoss{Loss: loss, Weight: paint.Const(l.Weight)})
	}
	return out
}

// filters are the job's filters; those that cannot take its size are refused.
func filters(j *spec.Job) ([]paint.Filter, error) {
	var out []paint.Filter
	for _, f := range j.Filters {
		var filter paint.Filter
		switch f.Name {
		case "pixelart":
			filter = paint.PixelArt{Side: f.Side}
		case "mirror":
			filter = paint.Mirror{Kind: f.Kind}
		case "posterise":
			filter = paint.Posterise{Colours: colours(f.Colours)}
		}
		if err := filter.Check(j.Width, j.Height); err != nil {
			return nil, spec.Refusef("choose another --size or filter", "--filter %s: %v", f.Name, err)
		}
		out = append(out, filter)
	}
	return out, nil
}

// colours reads what spec has validated.
func colours(list []string) [][3]float64 {
	out := make([][3]float64, len(list))
	for i, s := range list {
		c, err := spec.Colour(s)
		if err != nil {
			panic(fmt.Sprintf("run: a colour that was validated: %v", err))
		}
		out[i] = c
	}
	return out
}
