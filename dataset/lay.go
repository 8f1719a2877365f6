package dataset

import "image"

// NewSprite makes a sprite of a square picture with alpha whose origin is at 0.
func NewSprite(p Pair, img *image.NRGBA) *Sprite { return newSprite(p, img) }

// Has reports whether a thing already has a colour by its name or its look.
func (s *Sprite) Has(colour string) bool {
	c := colourIndex(colour)
	return c >= 0 && (s.wordColor == c || s.lookColor == c)
}

// Takes reports whether another colour suits a thing and will be seen.
func (s *Sprite) Takes() bool { return s.paintable }

// Portrait draws one sprite upright on white, a shape in red, as [size,size,3], and says which pixels it covers by more than half.
func Portrait(s *Sprite, size int) (pix []float32, covered []bool) {
	t := thing{sprite: s, colour: -1, named: -1}
	if s.plain {
		t.colour = colourIndex("red")
	}
	sc := new(scratch)
	pix = make([]float32, size*size*3)
	drawPlain(sc, pix, size, t)
	black := make([]float32, size*size*3)
	drawAt(sc, black, size, t)
	covered = make([]bool, size*size)
	for i := range covered { // white shows through as far as the thing does not cover it
		covered[i] = pix[3*i+1]-black[3*i+1] < .5
	}
	return pix, covered
}

// Laid is a sprite in its place: the square of it is centred at (X, Y), shares of the picture's width and height, and has Side times
// the shorter side of the picture. Colour is the name of one that it is given, or "".
type Laid struct {
	Sprite     *Sprite
	X, Y, Side float64
	Colour     string
}

// Lay draws sprites on a ground of a named colour, white for "", in a picture [h,w,3] as those of a Sample.
func Lay(w, h int, ground string, things ...Laid) []float32 {
	pix := make([]float32, w*h*3)
	fillColour(pix, colours[max(0, colourIndex(ground))].background)
	sc := new(scratch)
	for _, t := range things {
		n := t.Sprite.Size
		sc.sprite = grow(sc.sprite, n*n*4)
		t.Sprite.planes(sc.sprite, colourIndex(t.Colour), false, [3]float32{})
		side := t.Side * float64(min(w, h))
		sc.over(pix, w, h, n, sc.sprite, float32(t.X*float64(w)-side/2), float32(t.Y*float64(h)-side/2), float32(side))
	}
	return pix
}

// GroundNames are the colours that backgrounds have, white first.
func GroundNames() []string { return ColourNames()[:numBackgrounds] }
