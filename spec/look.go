package spec

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// LookLosses are losses on how the picture looks, whatever it shows. Weights may be negative: away from it.
var LookLosses = []string{"saturation", "symmetry", "smoothness", "palette", "edge", "aesthetic"}

// Filters change the picture before anybody looks at it.
var Filters = []string{"pixelart", "mirror", "posterise"}

// Mirrors are the kinds of the filter mirror.
var Mirrors = []string{"left", "top", "both", "turn", "quarter", "square"}

// Look is a loss on how the picture looks.
type Look struct {
	Name    string   `json:"name"` // of LookLosses
	Weight  float64  `json:"weight"`
	Colours []string `json:"colours,omitempty"` // of palette, and one of edge: rrggbb
	Width   float64  `json:"width,omitempty"`   // of edge: share of each side that is frame
	Head    string   `json:"head,omitempty"`    // of aesthetic: sha256 of the file with the linear head
}

// Filter is a filter with its settings.
type Filter struct {
	Name    string   `json:"name"` // of Filters
	Side    int      `json:"side,omitempty"`
	Kind    string   `json:"kind,omitempty"`
	Colours []string `json:"colours,omitempty"`
}

// ParseLook reads NAME:WEIGHT, palette:WEIGHT:COLOUR,COLOUR..., edge:WEIGHT[:COLOUR[:WIDTH]] and aesthetic:WEIGHT:FILE, whose
// Head is the file's path: the caller puts the file's sha256 in its place.
func ParseLook(s string) (Look, error) {
	parts := strings.Split(s, ":")
	l := Look{Name: parts[0]}
	if len(parts) < 2 {
		return l, Refusef("write NAME:WEIGHT, for example symmetry:1", "--loss %q has no weight", s)
	}
	var err error
	if l.Weight, err = strconv.ParseFloat(parts[1], 64); err != nil {
		return l, Refusef("write NAME:WEIGHT, for example symmetry:1", "--loss %q: the weight is no number", s)
	}
	rest := parts[2:]
	switch l.Name {
	case "palette":
		if len(rest) == 1 {
			l.Colours, rest = strings.Split(rest[0], ","), nil
		}
	case "aesthetic":
		l.Head, rest = strings.Join(rest, ":"), nil // paths may have colons
	case "edge":
		l.Colours, l.Width = []string{"ffffff"}, 0.08
		if len(rest) > 0 {
			l.Colours, rest = []string{rest[0]}, rest[1:]
		}
		if len(rest) > 0 {
			if l.Width, err = strconv.ParseFloat(rest[0], 64); err != nil {
				return l, Refusef("write edge:WEIGHT:COLOUR:WIDTH, for example edge:1:ffffff:0.1", "--loss %q: the width is no number", s)
			}
			rest = rest[1:]
		}
	}
	if len(rest) > 0 {
		return l, Refusef("see: smalti paint --help", "--loss %q says too much", s)
	}
	return l, l.validate()
}

func (l Look) validate() error {
	if err := oneOf("--loss", l.Name, LookLosses); err != nil {
		return err
	}
	if err := within("the weight of --loss "+l.Name, l.Weight, -1e6, 1e6); err != nil {
		return err
	}
	colours := map[string][2]int{"palette": {1, 256}, "edge": {1, 1}}[l.Name]
	if err := validateColours("--loss "+l.Name, l.Colours, colours); err != nil {
		return err
	}
	if (l.Name == "aesthetic") != (l.Head != "") {
		return Refuse("only --loss aesthetic has a head, and it needs one", "write aesthetic:WEIGHT:FILE; smalti clip head makes such a file")
	}
	if l.Name == "edge" {
		return within("the width of --loss edge", l.Width, 0.001, 0.49)
	}
	return nil
}

// ParseFilter reads pixelart:SIDE, mirror:KIND and posterise:COLOUR,COLOUR...
func ParseFilter(s string) (Filter, error) {
	name, arg, _ := strings.Cut(s, ":")
	f := Filter{Name: name}
	switch name {
	case "pixelart":
		side, err := strconv.Atoi(arg)
		if err != nil {
			return f, Refusef("write pixelart:SIDE, for example pixelart:4", "--filter %q names no side", s)
		}
		f.Side = side
	case "mirror":
		f.Kind = arg
	case "posterise":
		f.Colours = strings.Split(arg, ",")
	}
	return f, f.validate()
}

func (f Filter) validate() error {
	if err := oneOf("--filter", f.Name, Filters); err != nil {
		return err
	}
	switch f.Name {
	case "pixelart":
		return between("the side of --filter pixelart", f.Side, 1, MaxSide)
	case "mirror":
		return oneOf("--filter mirror", f.Kind, Mirrors)
	}
	return validateColours("--filter posterise", f.Colours, [2]int{2, 256})
}

// validateLooks refuses what ParseLook and ParseFilter would not have made.
func (j *Job) validateLooks() error {
	for _, l := range j.Losses.Look {
		if err := l.validate(); err != nil {
			return err
		}
	}
	for _, f := range j.Filters {
		if err := f.validate(); err != nil {
			return err
		}
	}
	return nil
}

func validateColours(what string, colours []string, count [2]int) error {
	if n := len(colours); n < count[0] || n > count[1] {
		return Refusef("write colours as rrggbb, for example ff8800,003366", "%s has %d colours", what, n)
	}
	if i := slices.IndexFunc(colours, func(c string) bool { _, err := Colour(c); return err != nil }); i >= 0 {
		return Refusef("write colours as rrggbb, for example ff8800,003366", "%s: %q is no colour", what, colours[i])
	}
	return nil
}

// Colour reads rrggbb, with or without #, as three numbers in [0,1].
func Colour(s string) ([3]float64, error) {
	hex := strings.TrimPrefix(s, "#")
	v, err := strconv.ParseUint(hex, 16, 32)
	if err != nil || len(hex) != 6 {
		return [3]float64{}, fmt.Errorf("spec: %q is no colour", s)
	}
	return [3]float64{float64(v>>16) / 255, float64(v>>8&255) / 255, float64(v&255) / 255}, nil
}
