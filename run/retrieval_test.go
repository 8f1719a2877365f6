package run

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/smalti/smalti/dataset"
	"github.com/smalti/smalti/event"
	"github.com/smalti/smalti/pixel"
	"github.com/smalti/smalti/recall"
	"github.com/smalti/smalti/spec"
)

// TestStartsSayWhatTheyNeed asks for built-in models that a store without any lacks.
func TestStartsSayWhatTheyNeed(t *testing.T) {
	r := runner(t, nil)
	for command, change := range map[string]func(*spec.Job){
		"smalti train pca": func(j *spec.Job) {
			d := spec.DefaultSpread()
			j.Start.Kind, j.Start.PCA = "pca", &d
		},
		"smalti data index": func(j *spec.Job) {
			d := spec.DefaultMemory()
			j.Start.Kind, j.Start.Memory = "retrieval", &d
		},
		"smalti train prior": func(j *spec.Job) {
			d := spec.DefaultDraw()
			j.Start.Kind, j.Start.Draw = "prior", &d
		},
		"use --init-noise pca":       func(j *spec.Job) { j.Start.Kind = "pca" },
		"use --init-noise retrieval": func(j *spec.Job) { j.Start.Kind = "retrieval" },
	} {
		j := job(1, "a red apple")
		change(&j)
		err := r.Check(&j)
		var refusal *spec.Refusal
		if !errors.As(err, &refusal) || !strings.Contains(refusal.Hint, command) {
			t.Errorf("%s: %v", command, err)
		}
	}
}

// TestCutOutTakesTheWhiteAway cuts a red square out of white: on black, no white is left around it.
func TestCutOutTakesTheWhiteAway(t *testing.T) {
	const n = 12
	pic := pixel.New(n, n)
	mask := make([]bool, n*n)
	inside := func(x, y int) bool { return x >= 3 && x < 9 && y >= 3 && y < 9 }
	for y := range n {
		for x := range n {
			mask[y*n+x] = inside(x, y)
		}
	}
	for y := range n {
		for x := range n {
			a := softened(mask, n, n, x, y)
			for c, v := range []float32{1, 0, 0} { // red over white as far as it covers
				pic.Pix[3*(y*n+x)+c] = a*v + (1 - a)
			}
		}
	}
	img := cutOut(pic, mask)
	for y := range n {
		for x := range n {
			px := img.NRGBAAt(x, y)
			switch {
			case px.A > 0 && (px.R < 250 || px.G > 5 || px.B > 5): // 8 bits, divided by no less than a sixteenth
				t.Errorf("pixel (%d,%d) is %v, want red", x, y, px)
			case inside(x, y) && x > 3 && x < 8 && y > 3 && y < 8 && px.A != 255:
				t.Errorf("pixel (%d,%d) inside is %v", x, y, px)
			case (x < 2 || y < 2 || x > 9 || y > 9) && px.A != 0:
				t.Errorf("pixel (%d,%d) outside is %v", x, y, px)
			}
		}
	}
}

// toyMemory holds three pictures that a toy CLIP looked at: random weights, but the nearest is the nearest.
func toyMemory(t *testing.T) *memory {
	t.Helper()
	r := runner(t, nil)
	vq, _, err := r.VQGAN(spec.ModelRef{Name: "toy/vqgan"})
	check(t, err)
	eye, _, err := r.CLIP(spec.ModelRef{Name: "toy/clip"})
	check(t, err)
	sum := strings.Repeat("0", 64)
	f := vq.Factor()
	x := recall.New(recall.Config{GridH: 8, GridW: 8, Factor: f, Codes: vq.NumCodes(), Width: eye.EmbedDim(), VQGAN: recall.Model{SHA256: sum}, CLIP: recall.Model{SHA256: sum}})
	for _, s := range dataset.ShapeSprites()[:3] {
		pix, covered := dataset.Portrait(s, 8*f)
		pic := pixel.Image{W: 8 * f, H: 8 * f, Pix: pix}
		codes, err := vq.EncodePixels(pic)
		check(t, err)
		seen, err := eye.EncodeImage(context.Background(), pic.ToImage())
		check(t, err)
		check(t, x.Add(recall.Entry{Label: s.Label, Style: s.Style}, codes.Idx, covered, seen[0]))
	}
	return &memory{index: x, vqgan: vq, eye: eye}
}

func TestSearchReadsTheWords(t *testing.T) {
	m := toyMemory(t)
	a, b := m.index.Entries[0].Label, m.index.Entries[1].Label
	for words, want := range map[string]spec.Memory{
		"a " + a:                              {Found: []spec.Kept{{Label: a, Place: spec.WholePlace}}},
		"a " + a + " on a blue background":    {Ground: "blue", Found: []spec.Kept{{Label: a, Place: spec.WholePlace}}},
		"a " + a + " to the left of a " + b:   {Found: []spec.Kept{{Label: a, Place: spec.Place{X: .26, Y: .5, Side: .52}}, {Label: b, Place: spec.Place{X: .74, Y: .5, Side: .52}}}},
		"a " + a + " below a " + b:            {Found: []spec.Kept{{Label: b, Place: spec.Place{X: .5, Y: .26, Side: .52}}, {Label: a, Place: spec.Place{X: .5, Y: .74, Side: .52}}}},
		"two " + dataset.Plural(a):            {Found: []spec.Kept{{Label: a, Place: spec.Place{X: .27, Y: .5, Side: .48}}, {Label: a, Place: spec.Place{X: .73, Y: .5, Side: .48}}}},
		"a " + b + " and a " + a + " in mist": {Found: []spec.Kept{{Label: b, Place: spec.Place{X: .26, Y: .5, Side: .52}}, {Place: spec.Place{X: .74, Y: .5, Side: .52}}}},
	} {
		d := spec.Memory{Prompt: words}
		var said []event.Event
		check(t, m.search(context.Background(), &d, 1, event.Func(func(e event.Event) { said = append(said, e) })))
		if d.Ground != want.Ground || len(d.Found) != len(want.Found) || len(said) == 0 {
			t.Errorf("%q: found %+v, said %+v", words, d, said)
			continue
		}
		for i, k := range d.Found {
			if w := want.Found[i]; k.Place != w.Place || w.Label != "" && k.Label != w.Label {
				t.Errorf("%q: picture %d is %+v, want %+v", words, i, k, w)
			}
		}
		if said[0].Text["label"] != d.Found[0].Label || said[0].Text["style"] != "shapes" || !strings.Contains(said[0].Message, d.Found[0].Label) {
			t.Errorf("%q: the user is told %+v", words, said[0])
		}
	}
}
