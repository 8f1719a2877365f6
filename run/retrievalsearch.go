package run

import (
	"context"
	"fmt"
	"image"
	"math"
	"slices"
	"strings"

	"github.com/smalti/smalti/dataset"
	"github.com/smalti/smalti/event"
	"github.com/smalti/smalti/pixel"
	"github.com/smalti/smalti/recall"
	"github.com/smalti/smalti/rng"
	"github.com/smalti/smalti/spec"
)

// Numbers of a search.
const (
	nearestPictures = 12  // that are looked at again in the colour and on the ground that they would have
	farSimilarity   = 0.3 // below it a picture is hardly what the words say

	// variety is how far a seed may look past CLIP's favourite: candidates are drawn with weights exp(similarity/variety), so that
	// one that fits as well comes as often, and one that fits by .1 less one time in 28.
	variety = 0.03
)

// search finds the pictures that a start is made of, fills them in and tells the user. The seed chooses among pictures that fit about
// equally well.
func (m *memory) search(ctx context.Context, d *spec.Memory, seed uint64, sink event.Sink) error {
	wish, ok := dataset.ReadWish(d.Prompt)
	what := strings.ToLower(d.Prompt)
	if ok && wish.Ground != "" {
		what, _, _ = strings.Cut(what, " on a")
	}
	if !ok {
		wish.Things = []dataset.WishedThing{{Noun: d.Prompt}}
	} else if (len(wish.Things) > 1 || wish.Things[0].Count > 1) && m.index.Labelled(what) {
		wish.Things = []dataset.WishedThing{{Noun: what}}
	}
	d.Ground = wish.Ground
	least := 1.0
	for i, t := range wish.Things {
		k, similarity, err := m.find(ctx, t, d.Ground, rng.New(seed, "retrieval", uint64(i)))
		if err != nil {
			return err
		}
		d.Found = append(d.Found, copies(k, placeOf(i, len(wish.Things), wish.Relation), t.Count)...)
		least = min(least, similarity)
	}
	e := told(m, d)
	e.Scores = map[string]float64{"similarity": least}
	sink.Emit(e)
	if least < farSimilarity {
		sink.Emit(event.Event{Kind: event.Warning, Scores: e.Scores,
			Message: fmt.Sprintf("no training picture is near to these words (similarity %.2f): --init-noise pca or prior may serve better", least)})
	}
	return nil
}

// placeOf is where a thing of a scene goes: one in the middle, two side by side or one above the other, as scenes are composed.
func placeOf(i, n int, relation string) spec.Place {
	if n == 1 {
		return spec.WholePlace
	}
	along := .26 + .48*float64(i)
	if relation == "above" {
		return spec.Place{X: .5, Y: along, Side: .52}
	}
	return spec.Place{X: along, Y: .5, Side: .52}
}

// copies are as many of a picture as are wanted, within a place.
func copies(k spec.Kept, within spec.Place, n int) []spec.Kept {
	if n < 2 {
		k.Place = within
		return []spec.Kept{k}
	}
	var out []spec.Kept
	for _, at := range dataset.Arrangement(n) {
		k.Place = spec.Place{X: within.X + (at.X-.5)*within.Side, Y: within.Y + (at.Y-.5)*within.Side, Side: at.Side * within.Side}
		out = append(out, k)
	}
	return out
}

// candidate is a picture, perhaps in another colour.
type candidate struct {
	number int
	colour string
	sprite *dataset.Sprite
}

// find chooses a picture of a thing: among those of its name, or all when there are none, the nearest to the words are looked at
// again in the colour and on the ground wanted. Where a colour is wanted, those that have or take it come first.
func (m *memory) find(ctx context.Context, t dataset.WishedThing, ground string, draw *rng.Stream) (spec.Kept, float64, error) {
	if t.Count > 1 { // each of them is one
		t.Noun, t.Count = dataset.Singular(t.Noun, m.index.Labels()), 0
	}
	phrase := t.Phrase()
	if ground != "" {
		phrase += " on a " + ground + " background"
	}
	words, err := m.eye.EncodeText(ctx, t.Phrase(), phrase)
	if err != nil {
		return spec.Kept{}, 0, err
	}
	var list []candidate
	for _, f := range m.index.Nearest(words[0], nearestPictures, m.filter(t)) {
		s, err := m.sprite(f.Number)
		if err != nil {
			return spec.Kept{}, 0, err
		}
		c := candidate{number: f.Number, sprite: s}
		if t.Colour != "" && !s.Has(t.Colour) && s.Takes() {
			c.colour = t.Colour
		}
		list = append(list, c)
	}
	if t.Colour != "" {
		if right := slices.DeleteFunc(slices.Clone(list), func(c candidate) bool { return c.colour == "" && !c.sprite.Has(t.Colour) }); len(right) > 0 {
			list = right
		}
	}
	best, similarity, err := m.choose(ctx, list, ground, words[1], draw)
	if err != nil {
		return spec.Kept{}, 0, err
	}
	e := m.index.Entries[best.number]
	return spec.Kept{Number: best.number, Label: e.Label, Style: e.Style, Colour: best.colour}, similarity, nil
}

// filter tells the pictures of a thing's name, with its colour word if there are such; nil tells nothing.
func (m *memory) filter(t dataset.WishedThing) func(recall.Entry) bool {
	if t.Colour != "" {
		if f := m.index.Named(t.Colour + " " + t.Noun); f != nil {
			return f
		}
	}
	return m.index.Named(t.Noun)
}

// choose draws a candidate, one that CLIP likes more more often (Gumbel's trick: the largest of similarity/variety plus noise).
func (m *memory) choose(ctx context.Context, list []candidate, ground string, words []float32, draw *rng.Stream) (best candidate, similarity float64, err error) {
	side := m.index.GridW * m.index.Factor
	pictures := make([]image.Image, len(list))
	for i, c := range list {
		pix := dataset.Lay(side, m.index.GridH*m.index.Factor, ground, dataset.Laid{Sprite: c.sprite, X: .5, Y: .5, Side: 1, Colour: c.colour})
		pictures[i] = pixel.Image{W: side, H: m.index.GridH * m.index.Factor, Pix: pix}.ToImage()
	}
	seen, err := m.eye.EncodeImage(ctx, pictures...)
	if err != nil {
		return best, 0, err
	}
	most := math.Inf(-1)
	for i, v := range seen {
		x := cosine(v, words)
		if at := x/variety - math.Log(-math.Log(1-draw.Float64())); at > most {
			most, best, similarity = at, list[i], x
		}
	}
	return best, similarity, nil
}
