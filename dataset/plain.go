package dataset

// plain is one sprite, upright and untouched, on pure white with its label as the caption.
func (d *scene) plain() {
	t := thing{sprite: d.pick(false), colour: -1, named: -1}
	if t.sprite.plain {
		t = d.dress(t.sprite)
	}
	d.out.Meta.Background = "white"
	drawPlain(d.sc, d.out.Pix, d.out.Size, t)
	d.note("plain", 1, t)
	d.out.Caption = t.phrase()
}

func drawPlain(sc *scratch, pix []float32, size int, t thing) {
	fillColour(pix, [3]float32{1, 1, 1})
	drawAt(sc, pix, size, t)
}

// plainSide is the side of a thing in a plain picture, as a share of the picture's.
const plainSide = .9

// drawAt draws a thing where plain pictures have it, on what is there.
func drawAt(sc *scratch, pix []float32, size int, t thing) {
	n := t.sprite.Size
	sc.sprite = grow(sc.sprite, n*n*4)
	var fill [3]float32
	if t.colour >= 0 {
		fill = colours[t.colour].fill
	}
	t.sprite.planes(sc.sprite, t.colour, false, fill)
	k := float32(size)
	sc.over(pix, size, size, n, sc.sprite, (1-plainSide)/2*k, (1-plainSide)/2*k, plainSide*k)
}

// Plain draws one given sprite upright on white (a shape in black), size*size*3 values as in a Sample,
// and names it as a composer would: what retrieval is measured on.
func Plain(s *Sprite, size int) (pix []float32, caption string) {
	t := thing{sprite: s, colour: -1, named: -1}
	if s.plain {
		t.colour, t.named = colourIndex("black"), colourIndex("black")
	}
	pix = make([]float32, size*size*3)
	drawPlain(new(scratch), pix, size, t)
	return pix, t.phrase()
}
