package dataset

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
)

// ShapesName is the part of a mixture that is drawn by smalti itself and needs no files.
const ShapesName = "shapes"

// DefaultMix is the recommended mixture: packs by name, with their shares of the things in scenes in percent.
const DefaultMix = "emoji:70,openclipart:12,furniture:8,shapes:10"

// unknownShare is the weight of a part of a mixture that has none and is not in DefaultMix.
const unknownShare = 10

// MixPart is one part of a mixture as it is written: a pack, by its folder or name, or ShapesName.
type MixPart struct {
	Source string
	Weight float64 // relative to the others', above 0
}

// ParseMix reads a mixture: parts with commas between, each SOURCE or SOURCE:WEIGHT. A part without a weight has that of
// DefaultMix, or 10. There must be a pack, and no part twice.
func ParseMix(s string) ([]MixPart, error) {
	usual := map[string]float64{}
	for part := range strings.SplitSeq(DefaultMix, ",") {
		name, w, _ := cutWeight(part)
		usual[name] = w
	}
	var out []MixPart
	seen := map[string]bool{}
	for part := range strings.SplitSeq(s, ",") {
		source, w, ok := cutWeight(strings.TrimSpace(part))
		if !ok {
			if w = usual[source]; w == 0 {
				w = unknownShare
			}
		}
		switch {
		case source == "":
			return nil, fmt.Errorf("mixture %q has an empty part", s)
		case seen[source]:
			return nil, fmt.Errorf("mixture %q has %s twice", s, source)
		case !(w > 0) || w > 1e6:
			return nil, fmt.Errorf("mixture %q: the weight of %s must be above 0 and at most a million", s, source)
		}
		seen[source] = true
		out = append(out, MixPart{source, w})
	}
	if len(out) == 1 && seen[ShapesName] {
		return nil, fmt.Errorf("mixture %q has no pack", s)
	}
	return out, nil
}

// cutWeight cuts "emoji:70" after its last colon, if what follows is a number.
func cutWeight(part string) (source string, w float64, ok bool) {
	i := strings.LastIndexByte(part, ':')
	if i < 0 {
		return part, 0, false
	}
	w, err := strconv.ParseFloat(part[i+1:], 64)
	if err != nil || math.IsNaN(w) {
		return part, 0, false
	}
	return part[:i], w, true
}

// FormatMix writes a mixture as ParseMix reads it.
func FormatMix(parts []MixPart) string {
	var out []string
	for _, p := range parts {
		out = append(out, p.Source+":"+strconv.FormatFloat(p.Weight, 'g', -1, 64))
	}
	return strings.Join(out, ",")
}

// Mix is an opened mixture of packs. One rule divides all of them (SplitMix), so that no thing is trained on by one pack's
// drawing of it and held out by another's.
type Mix struct {
	Packs      []Splits // in the order of the mixture
	ShapeShare float64  // of the scenes, as in ComposeOptions: negative for none
	weights    []float64
}

// OpenMix opens the packs of a mixture. Errors are those of OpenPack.
func OpenMix(parts []MixPart) (*Mix, error) {
	m := &Mix{ShapeShare: -1}
	var sprites [][]*Sprite
	total, shapes := 0., 0.
	for _, p := range parts {
		total += p.Weight
		if p.Source == ShapesName {
			shapes = p.Weight
			continue
		}
		pack, err := OpenPack(p.Source)
		if err != nil {
			return nil, err
		}
		sprites = append(sprites, pack.Sprites)
		m.weights = append(m.weights, p.Weight)
	}
	if len(sprites) == 0 {
		return nil, errors.New("a mixture needs a pack")
	}
	if shapes > 0 {
		m.ShapeShare = shapes / total
	}
	m.Packs = SplitMix(sprites)
	return m, nil
}

// Composer draws scenes of the training parts.
func (m *Mix) Composer() (*Composer, error) {
	var parts []Part
	for i, p := range m.Packs {
		if len(p.Train) > 0 {
			parts = append(parts, Part{p.Train, m.weights[i]})
		}
	}
	return NewMixture(parts, ComposeOptions{ShapeShare: m.ShapeShare})
}
