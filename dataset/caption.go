package dataset

import (
	"strconv"
	"strings"

	"github.com/smalti/smalti/rng"
)

// stylePhrases name the drawing styles in captions.
var stylePhrases = map[string]string{
	"fluent3d": "a 3d render", "fluent": "a glossy drawing", "fluentflat": "a flat drawing", "twemoji": "a flat drawing",
	"noto": "a cartoon", "noto1": "a cartoon", "fxemoji": "a flat drawing", "emojione2": "a flat drawing",
	"openmoji": "an outlined drawing", "emojione1": "a cartoon", "shapes": "a drawing", clipartStyle: "clip art", furnitureStyle: "a 3d render",
}

// numberWords are the counts that captions use.
var numberWords = []string{"no", "one", "two", "three", "four"}

// thing is a sprite as it stands in a scene: what its caption has to say.
type thing struct {
	sprite *Sprite
	colour int    // colour it was given, or -1
	named  int    // colour the caption says, or -1
	size   string // "small", "big" or ""
}

// noun is the phrase without an article: size, colour, name.
func (t thing) noun() string {
	name := t.sprite.Label
	if t.named >= 0 || t.colour >= 0 {
		name = t.sprite.noun
	}
	colourName := ""
	if t.named >= 0 {
		colourName = colours[t.named].name
	}
	return joinWords(t.size, colourName, name)
}

// phrase is the noun phrase with its article: "a blue apple", "red grapes".
func (t thing) phrase() string {
	if t.sprite.count != countable {
		return t.noun()
	}
	return indefinite(t.noun())
}

// several is "three blue apples".
func (t thing) several(n int) string {
	name := t.sprite.Label
	prefix := ""
	if t.named >= 0 || t.colour >= 0 {
		name = t.sprite.noun
	}
	if t.named >= 0 {
		prefix = colours[t.named].name
	}
	word := strconv.Itoa(n)
	if n < len(numberWords) {
		word = numberWords[n]
	}
	return joinWords(word, t.size, prefix, Plural(name))
}

// captioner draws the wording of a caption.
type captioner struct {
	s  *rng.Stream
	bg int // index of the background colour
}

// ground is the part of a caption that names the background, in one of two forms or not at all.
func (c captioner) ground() string {
	name := colours[c.bg].name
	switch u := c.s.Float64(); {
	case u < .45:
		return " on " + indefinite(name) + " background"
	case u < .65:
		return ", " + name + " background"
	default:
		return ""
	}
}

// single words one thing: 30 % with its style, 20 % of the rest as a list of tags.
func (c captioner) single(t thing, place string) string {
	if c.s.Float64() < .30 {
		style := stylePhrases[t.sprite.Style]
		if style == "" {
			style = "a drawing"
		}
		return joinWords(style, "of", t.phrase(), place) + c.ground()
	}
	switch u := c.s.Float64(); {
	case u < .20 && len(t.sprite.Tags) > 0:
		words := []string{joinWords(t.noun(), place)}
		for range 1 + c.s.IntN(2) {
			tag := t.sprite.Tags[c.s.IntN(len(t.sprite.Tags))]
			if tag != words[len(words)-1] {
				words = append(words, tag)
			}
		}
		return strings.Join(words, ", ") + c.ground()
	case u < .30:
		return joinWords("a picture of", t.phrase(), place) + c.ground()
	default:
		return joinWords(t.phrase(), place) + c.ground()
	}
}

// relation words for two things: how A stands to B, and B to A.
var relations = map[string][2]string{
	"left":  {"to the left of", "to the right of"},
	"above": {"above", "below"},
}

// pair words two things of which a is on the left or on top.
func (c captioner) pair(a, b thing, how string) string {
	words := relations[how]
	first, second, rel := a, b, words[0]
	if c.s.Bernoulli(.5) {
		first, second, rel = b, a, words[1]
	}
	switch u := c.s.Float64(); {
	case u < .20:
		rel = "and"
	case u < .30 && how == "left":
		rel = "next to"
	}
	return first.phrase() + " " + rel + " " + second.phrase() + c.ground()
}

// counted words n copies of one thing.
func (c captioner) counted(t thing, n int) string { return t.several(n) + c.ground() }
