package dataset

import (
	"maps"
	"slices"
	"strings"

	"github.com/smalti/smalti/rng"
)

// Wish is a caption understood: what somebody wants to see, one thing or two.
type Wish struct {
	Caption  string
	Things   []WishedThing // one or two
	Relation string        // "left", "above" or "" for side by side: how the first thing stands to the second
	Ground   string        // colour name, "" for white
}

// WishedThing is a thing of a Wish.
type WishedThing struct {
	Noun   string // a label of the pack, with the colour word that belongs to it, such as "hot pepper"
	Colour string // colour name, or ""
	Count  int    // two to four of them, in which case Noun is plural (Singular finds its label); 0 for one
}

// Phrase is the thing in words, with its article: "a blue apple", "scissors".
func (t WishedThing) Phrase() string {
	words := joinWords(t.Colour, t.Noun)
	if numberOf(t.Noun) != countable || strings.HasPrefix(words, "a ") || strings.HasPrefix(words, "an ") || strings.HasPrefix(words, "the ") {
		return words
	}
	return indefinite(words)
}

// wishedRelations are the words between two things: how the first stands to the second, and whether the second comes first.
var wishedRelations = []struct {
	words, how string
	swapped    bool
}{
	{" to the left of ", "left", false}, {" to the right of ", "left", true}, {" above ", "above", false}, {" below ", "above", true},
	{" next to ", "", false}, {" and ", "", false},
}

// ReadWish understands captions of the forms "a blue apple", "two turtles", "a red apple on a white background" and "a blue car
// above a tree"; it cannot know yet whether there are pictures of the things. ok is false for any other words.
func ReadWish(caption string) (w Wish, ok bool) {
	w.Caption = caption
	text := strings.ToLower(strings.TrimSpace(caption))
	if head, tail, found := strings.Cut(text, " on a"); found && strings.HasSuffix(tail, " background") {
		name := strings.TrimSuffix(strings.TrimPrefix(tail, "n"), " background")
		name = strings.TrimSpace(name)
		if c := colourIndex(name); c < 0 || c >= numBackgrounds {
			return w, false
		}
		w.Ground, text = name, head
	}
	parts := []string{text}
	for _, r := range wishedRelations {
		if a, b, found := strings.Cut(text, r.words); found {
			parts, w.Relation = []string{a, b}, r.how
			if r.swapped {
				parts = []string{b, a}
			}
			break
		}
	}
	for _, p := range parts {
		t, ok := readThing(p)
		if !ok {
			return w, false
		}
		w.Things = append(w.Things, t)
	}
	return w, true
}

// readThing understands "a blue apple", "two blue apples" or "scissors".
func readThing(s string) (t WishedThing, ok bool) {
	words := strings.Fields(s)
	if len(words) > 1 && (words[0] == "a" || words[0] == "an" || words[0] == "the") {
		words = words[1:]
	} else if len(words) > 1 { // "a four leaf clover" is one
		if n := slices.Index(numberWords, words[0]); n > 1 {
			t.Count, words = n, words[1:]
		}
	}
	if len(words) > 1 && colourIndex(words[0]) >= 0 {
		t.Colour, words = colours[colourIndex(words[0])].name, words[1:]
	}
	t.Noun = strings.Join(words, " ")
	return t, t.Noun != ""
}

// Illustrator draws wishes with the sprites that it has.
type Illustrator struct{ byLabel map[string][]*Sprite }

// NewIllustrator takes the sprites to draw with, for example those of one style.
func NewIllustrator(sprites []*Sprite) *Illustrator {
	il := &Illustrator{byLabel: map[string][]*Sprite{}}
	for _, s := range sprites {
		il.byLabel[s.Label] = append(il.byLabel[s.Label], s)
	}
	return il
}

// Draw composes a picture of size x size pixels of a wish, as a Composer would: the same places, sizes and colours. The
// picture is a pure function of wish, seed and index. ok is false when a thing is not among the sprites or cannot be had in
// its colour.
func (il *Illustrator) Draw(w Wish, seed, index uint64, size int) (out Sample, ok bool) {
	s := rng.New(seed, "wish", index)
	var things []thing
	for _, wanted := range w.Things {
		if wanted.Count > 1 {
			wanted.Noun = Singular(wanted.Noun, maps.Keys(il.byLabel))
		}
		t, ok := il.find(wanted, s)
		if !ok || wanted.Count > 1 && len(w.Things) > 1 {
			return out, false
		}
		things = append(things, t)
	}
	out = Sample{Pix: make([]float32, size*size*3), Size: size, Caption: w.Caption}
	d := &scene{sc: new(scratch), s: s, out: &out, bg: max(0, colourIndex(w.Ground))}
	if len(things) > 0 && slices.ContainsFunc(things, func(t thing) bool { return t.visible() == d.bg }) && w.Ground == "" {
		d.bg = colourIndex("gray") // white on white is not what anybody means
	}
	fillColour(out.Pix, colours[d.bg].background)
	if len(things) == 1 && w.Things[0].Count > 1 {
		for _, p := range Arrangement(w.Things[0].Count) {
			d.put(things[0], p.X+s.Uniform(-.02, .02), p.Y+s.Uniform(-.02, .02), p.Side*s.Uniform(.9, 1.05))
		}
		return out, true
	}
	switch len(things) {
	case 1:
		side := s.Uniform(.65, .95)
		slack := (1-side)/2 + .03
		d.put(things[0], .5+s.Uniform(-slack, slack), .5+s.Uniform(-slack, slack), side)
	case 2:
		for i, t := range things {
			along, across := .26+.48*float64(i)+s.Uniform(-.02, .02), .5+s.Uniform(-.06, .06)
			side := s.Uniform(.42, .52)
			if w.Relation == "above" {
				along, across = across, along
			}
			d.put(t, along, across, side)
		}
	default:
		return out, false
	}
	return out, true
}

// find chooses a sprite: one whose label says the colour, one that has it, or one that takes it.
func (il *Illustrator) find(w WishedThing, s *rng.Stream) (thing, bool) {
	any := func(list []*Sprite, colour int) (thing, bool) {
		if len(list) == 0 {
			return thing{}, false
		}
		return thing{sprite: list[s.IntN(len(list))], colour: colour, named: colour}, true
	}
	if w.Colour == "" {
		return any(il.byLabel[w.Noun], -1)
	}
	c := colourIndex(w.Colour)
	if t, ok := any(il.byLabel[w.Colour+" "+w.Noun], -1); ok {
		return t, true
	}
	if t, ok := any(slices.DeleteFunc(slices.Clone(il.byLabel[w.Noun]), func(x *Sprite) bool { return x.lookColor != c }), -1); ok {
		return t, true
	}
	return any(slices.DeleteFunc(slices.Clone(il.byLabel[w.Noun]), func(x *Sprite) bool { return !x.paintable }), c)
}
