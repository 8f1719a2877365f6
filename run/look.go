package run

import (
	"fmt"
	"slices"

	"github.com/smalti/smalti/clip/head"
	"github.com/smalti/smalti/paint"
	"github.com/smalti/smalti/spec"
)

// looks are the job's losses on how the picture looks, as the loop knows them, but for those that look through CLIP.
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
		default:
			continue // aesthetic looks at embeddings: tastes
		}
		out = append(out, paint.WeightedPixelLoss{Loss: loss, Weight: paint.Const(l.Weight)})
	}
	return out
}

// tastes are the job's losses that score embeddings.
func (s *session) tastes() ([]paint.EmbeddingLoss, error) {
	var out []paint.EmbeddingLoss
	for _, l := range s.job.Losses.Look {
		if l.Name != "aesthetic" {
			continue
		}
		data, err := s.input(l.Head)
		if err != nil {
			return nil, err
		}
		h, err := head.Read(data)
		if err != nil {
			return nil, fmt.Errorf("run: read the head of --loss aesthetic: %w", err)
		}
		i := slices.IndexFunc(s.job.CLIP, func(c spec.ModelRef) bool { return c.SHA256 == h.SHA256 })
		if h.SHA256 == "" {
			i = slices.IndexFunc(s.eyes, func(e *eye) bool { return e.model.EmbedDim() == len(h.Weight) })
		}
		if i < 0 || s.eyes[i].model.EmbedDim() != len(h.Weight) {
			hint := "make one for this model: smalti clip head LIKED OTHER"
			if h.CLIP != "" {
				hint = "it was fitted to --clip " + h.CLIP
			}
			return nil, spec.Refusef(hint, "the head of --loss aesthetic, of %d features, belongs to none of the job's CLIP models", len(h.Weight))
		}
		out = append(out, paint.Taste{Label: l.Name, Encoder: i, Weight: h.Weight, Bias: h.Bias, Scale: l.Weight})
	}
	return out, nil
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
