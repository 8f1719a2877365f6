package spec

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"strings"
)

// LabOps are what the lab does with pictures: arith adds a difference, mix joins the layout of one with the detail of
// another, swap exchanges codes, brush copies a region.
var LabOps = []string{"arith", "mix", "swap", "brush"}

// Lab is everything that decides the pixels of a picture made of other pictures' latents.
type Lab struct {
	Kind   string `json:"kind"` // KindLab
	Schema int    `json:"schema"`
	Op     string `json:"op"`
	// Pictures are the operands: one for arith and swap, two for mix (layout, detail) and brush (ground, source).
	Pictures []Operand `json:"pictures"`
	// With and Without are averaged each; arith adds T times their difference. Without no Without it is the picture itself.
	With    []Operand `json:"with,omitempty"`
	Without []Operand `json:"without,omitempty"`
	T       float64   `json:"t,omitempty"`
	// Sigma is where mix parts layout from detail, in codes.
	Sigma float64 `json:"sigma,omitempty"`
	// Codes are pairs for swap: the first becomes the second.
	Codes [][2]int32 `json:"codes,omitempty"`
	// Region is where swap and brush act; nil means everywhere.
	Region *Region `json:"region,omitempty"`

	Width  int      `json:"width"`
	Height int      `json:"height"`
	VQGAN  ModelRef `json:"vqgan"`
	CLIP   ModelRef `json:"clip,omitzero"` // of operands in words
	Build  Build    `json:"build"`
}

// Operand is a picture by the sha256 of its file, or in words, which are painted with a seed.
type Operand struct {
	Picture string `json:"picture,omitempty"`
	Prompt  string `json:"prompt,omitempty"`
	Seed    uint64 `json:"seed,omitempty"`
}

// Validate refuses what is out of range or incomplete. Pictures are not looked for.
func (l *Lab) Validate() error {
	operands, err := l.operands()
	if err != nil {
		return err
	}
	if len(l.Pictures) != operands {
		return Refusef("see: smalti lab "+l.Op+" --help", "%s takes %d picture(s), got %d", l.Op, operands, len(l.Pictures))
	}
	for _, o := range append(append(append([]Operand(nil), l.Pictures...), l.With...), l.Without...) {
		if (o.Picture == "") == (o.Prompt == "") {
			return Refuse("an operand is empty", "name a picture, or words to paint")
		}
	}
	for _, err := range []error{
		within("--t", l.T, -100, 100), within("--sigma", l.Sigma, 0, 1000),
		between("the width", l.Width, 1, MaxSide), between("the height", l.Height, 1, MaxSide), l.Region.validate(),
	} {
		if err != nil {
			return err
		}
	}
	return nil
}

// operands returns how many pictures the operation works on, and refuses one that lacks what it needs.
func (l *Lab) operands() (int, error) {
	switch l.Op {
	case "arith":
		if len(l.With) == 0 {
			return 0, Refuse("nothing is added", "name pictures that have the property: --with FOLDER, or --with prompt:WORDS")
		}
		return 1, nil
	case "mix":
		return 2, nil
	case "swap":
		if len(l.Codes) == 0 {
			return 0, Refuse("no code is exchanged", "name two: --code 12=40; smalti vqgan stats PICTURE counts those of a picture")
		}
		for _, p := range l.Codes {
			if p[0] < 0 || p[1] < 0 {
				return 0, Refusef("codes count from 0", "--code %d=%d is out of range", p[0], p[1])
			}
		}
		return 1, nil
	case "brush":
		if l.Region == nil {
			return 0, Refuse("the brush has no place", "say where: --region circle:X,Y,RADIUS or rect:X,Y,W,H, in pixels")
		}
		return 2, nil
	}
	return 0, Refusef("use one of: "+strings.Join(LabOps, ", "), "the lab has no operation %q", l.Op)
}

// Encode returns the canonical JSON.
func (l *Lab) Encode() ([]byte, error) {
	l.Kind, l.Schema = KindLab, Schema
	return Canonical(l)
}

// DecodeLab reads what Encode wrote, refusing unknown fields, other schemas and values out of range.
func DecodeLab(data []byte) (*Lab, error) {
	var l Lab
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	if err := d.Decode(&l); err != nil {
		return nil, fmt.Errorf("spec: read the recipe of the lab: %w", err)
	}
	if l.Kind != KindLab || l.Schema != Schema {
		return nil, fmt.Errorf("spec: a recipe of kind %q and schema %d; this build reads %q, %d", l.Kind, l.Schema, KindLab, Schema)
	}
	if err := l.Validate(); err != nil {
		return nil, fmt.Errorf("spec: the recipe is out of range: %w", err)
	}
	return &l, nil
}

// Region is a part of a picture in pixels: a circle around (X,Y) with radius R, or a rectangle W x H with its corner
// there. Feather is the width of its soft edge.
type Region struct {
	X       float64 `json:"x"`
	Y       float64 `json:"y"`
	W       float64 `json:"w,omitempty"`
	H       float64 `json:"h,omitempty"`
	R       float64 `json:"r,omitempty"`
	Feather float64 `json:"feather,omitempty"`
}

func (r *Region) validate() error {
	if r == nil {
		return nil
	}
	for _, v := range []float64{r.X, r.Y, r.W, r.H, r.R, r.Feather} {
		if !(v >= -MaxSide && v <= 2*MaxSide) {
			return Refusef("give pixels", "a region with %g is out of range", v)
		}
	}
	if round, square := r.R > 0, r.W > 0 && r.H > 0; round == square || r.Feather < 0 {
		return Refuse("the region is empty", "use circle:X,Y,RADIUS or rect:X,Y,W,H, in pixels")
	}
	return nil
}

// Weight is how much of the region there is at a point, 0 to 1: linear over the feather, half of it inside.
func (r *Region) Weight(x, y float64) float64 {
	inside := r.R - math.Hypot(x-r.X, y-r.Y)
	if r.R == 0 {
		inside = min(x-r.X, r.X+r.W-x, y-r.Y, r.Y+r.H-y)
	}
	switch {
	case r.Feather > 0:
		return min(max(inside/r.Feather+0.5, 0), 1)
	case inside > 0:
		return 1
	}
	return 0
}

// ParseRegion reads "circle:X,Y,RADIUS" or "rect:X,Y,W,H"; one number more is the feather.
func ParseRegion(s string) (*Region, error) {
	shape, list, _ := strings.Cut(s, ":")
	var v []float64
	for _, part := range strings.Split(list, ",") {
		x, err := strconv.ParseFloat(strings.TrimSpace(part), 64)
		if err != nil {
			v = nil
			break
		}
		v = append(v, x)
	}
	var r *Region
	switch {
	case shape == "circle" && (len(v) == 3 || len(v) == 4):
		r = &Region{X: v[0], Y: v[1], R: v[2]}
	case shape == "rect" && (len(v) == 4 || len(v) == 5):
		r = &Region{X: v[0], Y: v[1], W: v[2], H: v[3]}
	default:
		return nil, Refusef("write circle:X,Y,RADIUS or rect:X,Y,W,H, in pixels", "%q is no region", s)
	}
	if n := len(v); n == 5 || n == 4 && shape == "circle" {
		r.Feather = v[n-1]
	}
	return r, r.validate()
}

// IsRegion reports whether s is meant as a region.
func IsRegion(s string) bool {
	return strings.HasPrefix(s, "circle:") || strings.HasPrefix(s, "rect:")
}

// Box is the part of a picture of width x height that has any of the region, in whole pixels; empty (x1 <= x0 or
// y1 <= y0) when there is none.
func (r *Region) Box(width, height int) (x0, y0, x1, y1 int) {
	half := r.Feather / 2
	left, top, right, bottom := r.X, r.Y, r.X+r.W, r.Y+r.H
	if r.R > 0 {
		left, top, right, bottom = r.X-r.R, r.Y-r.R, r.X+r.R, r.Y+r.R
	}
	clip := func(v float64, most int) int { return int(min(max(v, 0), float64(most))) }
	return clip(math.Floor(left-half), width), clip(math.Floor(top-half), height),
		clip(math.Ceil(right+half), width), clip(math.Ceil(bottom+half), height)
}
