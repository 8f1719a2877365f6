package dataset

import (
	"image"
	"math"
	"strings"
)

// Sprite is one thing on a transparent ground.
type Sprite struct {
	Pair
	Size int     // side in pixels
	RGBA []uint8 // Size*Size*4, straight (not premultiplied) alpha

	noun      string  // label without its colour word
	wordColor int     // colour in the label, or -1
	lookColor int     // clear dominant colour of the pixels, or -1
	hue       float32 // hue of most of the coloured pixels, in turns
	chroma    float32 // share of the visible pixels that are coloured
	count     number
	plain     bool // a shape: recolouring fills it
	paintable bool // another colour suits it and will be seen
	mayFlip   bool // its mirror image is still what the label says
}

// dominance is the share of the visible pixels that a colour needs to be named.
const dominance = .62

// newSprite measures a picture. The image must be square with its origin at 0.
func newSprite(p Pair, img *image.NRGBA) *Sprite {
	s := &Sprite{Pair: p, Size: img.Rect.Dx(), RGBA: img.Pix}
	s.wordColor, s.noun = colourWord(p.Label)
	s.count = numberOf(s.noun)
	s.measureColour()
	s.measurePaint()
	s.mayFlip = !oneSided(p.Label)
	return s
}

// measureColour finds the dominant named colour and the dominant hue.
func (s *Sprite) measureColour() {
	var byName [16]float64
	var byHue [36]float64
	var all, coloured float64
	for i := 0; i < len(s.RGBA); i += 4 {
		a := float64(s.RGBA[i+3]) / 255
		if a < .25 {
			continue
		}
		r, g, b := float32(s.RGBA[i])/255, float32(s.RGBA[i+1])/255, float32(s.RGBA[i+2])/255
		all += a
		if c := classify(r, g, b); c >= 0 {
			byName[c] += a
		}
		if h, sat, v := rgbToHSV(r, g, b); sat > .2 && v > .15 {
			coloured += a
			byHue[int(h*36)%36] += a * float64(sat)
		}
	}
	s.lookColor = -1
	if all == 0 {
		return
	}
	s.chroma = float32(coloured / all)
	for c, n := range byName {
		if n > dominance*all {
			s.lookColor = c
		}
	}
	best, at := -1.0, 0
	for i := range byHue { // three neighbouring bins, so that a border does not split a colour
		if v := byHue[i] + byHue[(i+1)%36] + byHue[(i+35)%36]; v > best {
			best, at = v, i
		}
	}
	s.hue = (float32(at) + .5) / 36
}

// measurePaint decides whether recolouring changes enough of the sprite to be named after.
func (s *Sprite) measurePaint() {
	if s.Group == "people & body" || s.Group == "flags" || s.noun == "rainbow" || s.wordColor >= 0 && s.noun == s.Label {
		return
	}
	var all, changed float64
	for i := 0; i < len(s.RGBA); i += 4 {
		a := float64(s.RGBA[i+3]) / 255
		all += a
		if s.takesColour(rgbToHSV(float32(s.RGBA[i])/255, float32(s.RGBA[i+1])/255, float32(s.RGBA[i+2])/255)) {
			changed += a
		}
	}
	s.paintable = all > 0 && changed > .55*all
}

// oneSided reports labels that speak of a side, a time or a letter, which a mirror would belie.
func oneSided(label string) bool {
	for _, w := range []string{"left", "right", "o'clock", "thirty", "keycap", "button", "flag of", "first quarter", "last quarter", "waxing", "waning", "japan", "americas"} {
		if strings.Contains(label, w) {
			return true
		}
	}
	return false
}

// planes writes the sprite as premultiplied RGBA floats in [0,1] into dst (Size*Size*4), recoloured
// to the named colour when recolour is not negative, mirrored when flip is set.
func (s *Sprite) planes(dst []float32, recolour int, flip bool, fill [3]float32) {
	n := s.Size
	for y := range n {
		for x := range n {
			from := (y*n + x) * 4
			if flip {
				from = (y*n + n - 1 - x) * 4
			}
			px, d := s.RGBA[from:from+4], dst[(y*n+x)*4:(y*n+x)*4+4]
			if px[3] == 0 {
				d[0], d[1], d[2], d[3] = 0, 0, 0, 0
				continue
			}
			a := float32(px[3]) / 255
			r, g, b := float32(px[0])/255, float32(px[1])/255, float32(px[2])/255
			if s.plain {
				r, g, b = fill[0], fill[1], fill[2]
			} else if recolour >= 0 {
				r, g, b = s.recolour(&colours[recolour], r, g, b)
			}
			d[0], d[1], d[2], d[3] = r*a, g*a, b*a, a
		}
	}
}

// takesColour reports whether recolouring changes a pixel. A thing with a hue of its own changes where
// it has that hue (an apple's leaf stays green); a thing without one wherever it is not nearly black.
func (s *Sprite) takesColour(h, sat, v float32) bool {
	if s.chroma > .35 {
		return sat >= .18 && hueDistance(h, s.hue) <= 45./360
	}
	return v >= .25
}

// recolour maps a pixel to a named colour where the sprite takes it.
func (s *Sprite) recolour(c *colour, r, g, b float32) (float32, float32, float32) {
	h, sat, v := rgbToHSV(r, g, b)
	if !s.takesColour(h, sat, v) {
		return r, g, b
	}
	return hsvToRGB(c.hue, min(1, max(sat*c.satMul, c.satMin)), min(1, v*c.valMul+c.valAdd))
}

// hueDistance is the distance of two hues in turns, at most 1/2.
func hueDistance(a, b float32) float32 {
	d := float32(math.Abs(float64(a - b)))
	return min(d, 1-d)
}
