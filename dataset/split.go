package dataset

import (
	"hash/fnv"
	"slices"
	"strings"
)

// Splits are three disjoint parts of a pack's sprites.
type Splits struct {
	Train        []*Sprite
	HeldConcepts []*Sprite // every drawing of the held-out concepts: never seen things
	HeldStyle    []*Sprite // the held-out style's drawings of the other concepts: never seen drawings
}

// heldStyle is the drawing style that training never sees.
const heldStyle = "twemoji"

// heldConcept reports whether a concept is held out: about 5 % of them, by a hash of the name, so that
// it is the same in every pack and version.
func heldConcept(concept string) bool { return stableHash(concept)%20 == 0 }

// Split divides sprites by concept and style. The order is kept.
func Split(sprites []*Sprite) Splits {
	var out Splits
	for _, s := range sprites {
		switch {
		case heldConcept(s.Concept):
			out.HeldConcepts = append(out.HeldConcepts, s)
		case s.Style == heldStyle:
			out.HeldStyle = append(out.HeldStyle, s)
		default:
			out.Train = append(out.Train, s)
		}
	}
	return out
}

// SplitMix divides the sprites of several packs. The first pack is divided as it is alone, so that scores on it can be
// compared; a thing of a later pack goes where the same thing went before, and is held out as well if its name ends in that
// of a held-out thing: with "hammer" held out in one pack, "blacksmith hammer" of the next is not trained on.
func SplitMix(packs [][]*Sprite) []Splits {
	out := make([]Splits, len(packs))
	held, trained := map[string]bool{}, map[string]bool{}
	for i, sprites := range packs {
		for _, s := range sprites {
			switch {
			case heldBefore(s, held) || heldConcept(s.Concept) && !trained[thingName(s.noun)]:
				out[i].HeldConcepts = append(out[i].HeldConcepts, s)
			case s.Style == heldStyle:
				out[i].HeldStyle = append(out[i].HeldStyle, s)
			default:
				out[i].Train = append(out[i].Train, s)
			}
		}
		for _, s := range out[i].HeldConcepts {
			held[thingName(s.noun)] = true
		}
		for _, s := range out[i].Train {
			trained[thingName(s.noun)] = true
		}
	}
	return out
}

// heldBefore reports whether a sprite's name, or its last words, are those of a held-out thing.
func heldBefore(s *Sprite, held map[string]bool) bool {
	words := strings.Fields(s.noun)
	for i := range words {
		if held[thingName(strings.Join(words[i:], " "))] {
			return true
		}
	}
	return false
}

// thingName is a name that does not depend on the number: "apple" and "apples" are the same.
func thingName(noun string) string { return strings.ToLower(Plural(noun)) }

// HeldStyle are the held-out style's drawings of every concept, held out or not.
func (p *Pack) HeldStyle() []*Sprite {
	return slices.DeleteFunc(slices.Clone(p.Sprites), func(s *Sprite) bool { return s.Style != heldStyle })
}

// Split divides the pack's sprites.
func (p *Pack) Split() Splits { return Split(p.Sprites) }

// stableHash is a hash of a name that never changes: splits are made with it.
func stableHash(name string) uint32 {
	h := fnv.New32a()
	h.Write([]byte(strings.ToLower(name)))
	v := h.Sum32() // FNV's low bits are weak for short names: finish as MurmurHash3 does
	v ^= v >> 16
	v *= 0x85ebca6b
	v ^= v >> 13
	v *= 0xc2b2ae35
	return v ^ v>>16
}
