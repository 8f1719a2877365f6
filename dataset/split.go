package dataset

import "slices"

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

// HeldStyle are the held-out style's drawings of every concept, held out or not.
func (p *Pack) HeldStyle() []*Sprite {
	return slices.DeleteFunc(slices.Clone(p.Sprites), func(s *Sprite) bool { return s.Style != heldStyle })
}

// Split divides the pack's sprites.
func (p *Pack) Split() Splits { return Split(p.Sprites) }
