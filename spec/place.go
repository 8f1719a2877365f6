package spec

import (
	"strconv"
	"strings"
)

// Tiles are the axes along which a picture may continue at its opposite side.
var Tiles = []string{"x", "y", "xy"}

// MaskThreshold is the usual threshold of a mask that is found by words.
const MaskThreshold = 0.5

// Mask says what is painted of a picture that a job starts from; everything else stays as it is, pixel by pixel. Exactly
// one of Picture, Words, Region and Outpaint is set; a mask that was found by words also has its Picture.
type Mask struct {
	Picture string `json:"picture,omitempty"` // sha256 of a picture that is light where to paint
	// Words say what to paint over: where the picture's heat for the job's CLIP models is at least Threshold, in shares of the
	// way from its median to its most.
	Words     string  `json:"words,omitempty"`
	Threshold float64 `json:"threshold,omitempty"`

	Region *Region `json:"region,omitempty"` // where to paint
	// Outpaint are the pixels to paint beyond the picture's sides: left, top, right, bottom. The canvas is so much larger
	// than the picture.
	Outpaint *[4]int `json:"outpaint,omitempty"`
	Invert   bool    `json:"invert,omitempty"`
	// Feather is over how many pixels, inside of what is painted, the new mixes with the old.
	Feather float64 `json:"feather,omitempty"`
	// Seam is the weight of the loss that makes them meet there.
	Seam float64 `json:"seam,omitempty"`
}

// ParseOutpaint reads LEFT,TOP,RIGHT,BOTTOM in pixels.
func ParseOutpaint(s string) (*[4]int, error) {
	parts := strings.Split(s, ",")
	var out [4]int
	ok := len(parts) == 4
	for i := range out {
		if ok {
			v, err := strconv.Atoi(strings.TrimSpace(parts[i]))
			out[i], ok = v, err == nil
		}
	}
	if !ok {
		return nil, Refusef("write LEFT,TOP,RIGHT,BOTTOM in pixels, for example 64,0,64,0", "--outpaint %q is not four numbers", s)
	}
	return &out, nil
}

// validatePlaces checks masks, regions of prompts and tiles.
func (j *Job) validatePlaces() error {
	for _, p := range j.Prompts {
		if p.Region == nil {
			continue
		}
		if err := p.Region.validate(); err != nil {
			return err
		}
		if x0, y0, x1, y1 := p.Region.Box(j.Width, j.Height); x1 <= x0 || y1 <= y0 {
			return Refusef("give pixels from the top left corner", "the region of %q lies outside of the picture of %dx%d", p.Text, j.Width, j.Height)
		}
		if j.Tile != "" {
			return Refuse("--tile and the region of a prompt exclude each other", "a tile has no fixed places")
		}
	}
	if j.Tile != "" {
		if err := oneOf("--tile", j.Tile, Tiles); err != nil {
			return err
		}
	}
	return j.Mask.validate(j)
}

func (m *Mask) validate(j *Job) error {
	if m == nil {
		return nil
	}
	kinds := 0
	for _, set := range []bool{m.Picture != "" || m.Words != "", m.Region != nil, m.Outpaint != nil} {
		if set {
			kinds++
		}
	}
	if kinds != 1 {
		return Refuse("the mask is said twice or not at all", "give one of --mask FILE, --mask REGION, --mask-words and --outpaint")
	}
	if j.Start.Kind != "image" {
		return Refuse("a mask needs a picture to keep", "name it with --init FILE")
	}
	if err := m.Region.validate(); err != nil {
		return err
	}
	if m.Words != "" {
		if err := CheckThreshold("--mask-threshold", m.Threshold); err != nil {
			return err
		}
	}
	if o := m.Outpaint; o != nil {
		if min(o[0], o[1], o[2], o[3]) < 0 || o[0]+o[2] >= j.Width || o[1]+o[3] >= j.Height || o[0]+o[1]+o[2]+o[3] == 0 {
			return Refusef("give pixels to paint at each side, for example 64,0,64,0", "--outpaint %d,%d,%d,%d does not fit a canvas of %dx%d", o[0], o[1], o[2], o[3], j.Width, j.Height)
		}
	}
	if err := within("--feather", m.Feather, 0, MaxSide); err != nil {
		return err
	}
	return within("--seam", m.Seam, 0, 1e6)
}

// CheckThreshold refuses what no heat reaches or all of it does.
func CheckThreshold(name string, v float64) error { return within(name, v, 0.01, 1) }
