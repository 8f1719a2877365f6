package curve

import "image/color"

// scene is a figure as things to draw, in order. Places are in pixels of the figure before scaling, y grows downwards.
type scene struct {
	w, h       float64
	background color.NRGBA
	items      []item
}

// item is one thing: a line, a box or a word.
type item struct {
	points []point // of a line
	width  float64 // of a line
	colour color.NRGBA
	clip   *box // what a line is cut to

	fill *box // of a box

	text   string
	at     point   // of a word: its place on the base line
	size   float64 // of a word, in pixels
	anchor anchor
}

// box is a rectangle.
type box struct{ x, y, w, h float64 }

// anchor says which part of a word is at its place.
type anchor int

const (
	start anchor = iota
	middle
	end
)

func (s *scene) line(pts []point, width float64, c color.NRGBA, clip *box) {
	s.items = append(s.items, item{points: pts, width: width, colour: c, clip: clip})
}

func (s *scene) word(text string, at point, size float64, a anchor, c color.NRGBA) {
	s.items = append(s.items, item{text: text, at: at, size: size, anchor: a, colour: c})
}

// fade is a colour with a share of its opacity.
func fade(c color.NRGBA, share float64) color.NRGBA {
	c.A = uint8(float64(c.A)*share + 0.5)
	return c
}
