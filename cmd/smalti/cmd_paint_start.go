package main

import (
	"slices"

	"github.com/smalti/smalti/run"
	"github.com/smalti/smalti/spec"
	"github.com/smalti/smalti/store"
	"github.com/smalti/smalti/store/builtin"
)

// Defaults of a start from a prior or a training picture: it is a picture already, which large steps and no pull would take apart again.
// The less of a start is invention, the less there is to change.
const (
	drawnPull = 3.0
	foundPull = 20.0
	pictureLR = 0.05
)

// autoStart is the value of --init-noise that leaves the choice to usualStart.
const autoStart = "auto"

// usualStart is how a painting starts when nobody says how: from the training pictures that fit the words, or from one that the built-in
// prior draws, when there are words and the built-in VQGAN paints the whole of the picture; else from random codes. A part of a picture has its
// start already, a tile has no middle, and words for regions share the picture.
func (o *paintOptions) usualStart(j *spec.Job) string {
	d := spec.Default()
	if o.init != "" || j.Mask != nil || j.Tile != "" || firstWords(j) == "" || j.VQGAN.Name != d.VQGAN.Name || len(o.regions) > 0 {
		return d.Start.Kind
	}
	inside := func(name string) bool {
		return slices.ContainsFunc(builtin.Models(), func(m store.Builtin) bool { return m.Name == name })
	}
	switch {
	case inside(o.memory.Index.Name):
		return "retrieval"
	case inside(o.draw.Prior.Name):
		return "prior"
	}
	return d.Start.Kind
}

// firstWords are the first words that pull from the first step on.
func firstWords(j *spec.Job) string {
	for _, p := range j.Prompts {
		if p.Text != "" && p.Weight > 0 && p.From == 0 {
			return p.Text
		}
	}
	return ""
}

// drawn fills in where the picture starts when a model decides that, and how a model judges it, by the first words that pull from the
// first step on.
func (o *paintOptions) drawn(j *spec.Job, req *run.Painting) error {
	d := o.draw
	d.Prompt = firstWords(j)
	if o.likely != 0 {
		j.Losses.Prior = &spec.Likely{Weight: o.likely, Prior: d.Prior, Prompt: d.Prompt}
	}
	if o.usual != 0 {
		j.Losses.PCA = &spec.Usual{Weight: o.usual, PCA: o.spread.PCA}
	}
	pull := drawnPull
	switch j.Start.Kind {
	case "pca":
		s := o.spread
		j.Start.PCA = &s
		return nil
	case "retrieval":
		m := o.memory
		m.Prompt = d.Prompt
		j.Start.Memory, pull = &m, foundPull
	case "prior":
		if o.bestOf < 1 || o.bestOf > 1024 {
			return spec.Refusef("use 1 to 1024", "--best-of is %d", o.bestOf)
		}
		j.Start.Draw, req.BestOf = &d, o.bestOf
	default:
		return nil
	}
	if !o.given("init-weight") {
		j.Start.Weight = pull
	}
	if !o.given("lr") {
		j.Optimiser.LR = pictureLR
	}
	return nil
}
