// Package vp8 writes pictures as VP8 key frames (RFC 6386), the pictures that WebM films are made of, so that smalti
// needs no other program and no foreign code for a film. Section numbers in comments are those of the RFC.
//
// Start with Encode. Luma is predicted in blocks of 16x16 and chroma in blocks of 8x8, in the best of the four modes of
// each; the probabilities of coefficients are fitted to every frame. There is no prediction in blocks of 4x4 and between
// frames. Arithmetic is in integers only: the same picture gives the same bytes on every machine.
package vp8

import "fmt"

// MaxSide is the largest width and height that a frame can have.
const MaxSide = 1<<14 - 1

// Encode returns a picture of w x h pixels, interleaved RGB row by row, as a key frame. Quality goes from 0, coarse, to
// 100, fine.
func Encode(w, h int, rgb []uint8, quality int) ([]byte, error) {
	if w < 1 || h < 1 || w > MaxSide || h > MaxSide {
		return nil, fmt.Errorf("vp8: picture of %dx%d", w, h)
	}
	if len(rgb) != w*h*3 {
		return nil, fmt.Errorf("vp8: picture of %dx%d with %d values", w, h, len(rgb))
	}
	e := newEncoder(w, h, rgb, 127-min(max(quality, 0), 100)*127/100)
	for y := range e.mbh {
		for x := range e.mbw {
			e.macroblock(x, y)
		}
	}
	return e.frame(), nil
}

// encoder holds one frame at work.
type encoder struct {
	w, h, mbw, mbh int
	index          int // of the quantiser, 0 fine to 127 coarse
	y1, y2, uv     quantiser
	source, done   [3]plane // Y, U, V as they are and as decoders will see them
	blocks         []macroblock
}

// macroblock is what is written of 16x16 pixels.
type macroblock struct {
	luma, chroma mode
	levels       [25][16]int16 // quantised, in zigzag order: the block of DCs (Y2), 16 of Y, 4 of U, 4 of V
	empty        bool          // all levels are zero
}

const (
	blockY2 = 0
	blockY  = 1
	blockU  = 17
	blockV  = 21
)

func newEncoder(w, h int, rgb []uint8, index int) *encoder {
	e := &encoder{w: w, h: h, mbw: (w + 15) / 16, mbh: (h + 15) / 16, index: index}
	dc, ac := int32(dcSteps[index]), int32(acSteps[index])
	e.y1 = quantiser{dc, ac}
	e.y2 = quantiser{2 * dc, max(ac*155/100, 8)} // section 14.1
	e.uv = quantiser{min(dc, 132), ac}
	for i := range 3 {
		size := 16
		if i > 0 {
			size = 8
		}
		e.source[i] = newPlane(e.mbw*size, e.mbh*size)
		e.done[i] = newPlane(e.mbw*size, e.mbh*size)
	}
	e.convert(rgb)
	e.blocks = make([]macroblock, e.mbw*e.mbh)
	return e
}

// convert fills the source with BT.601 in its narrow range, which is what players assume of VP8. Pixels beyond the
// picture repeat its border; chroma is the mean of 2x2 pixels.
func (e *encoder) convert(rgb []uint8) {
	at := func(x, y int) (r, g, b int) {
		i := (min(y, e.h-1)*e.w + min(x, e.w-1)) * 3
		return int(rgb[i]), int(rgb[i+1]), int(rgb[i+2])
	}
	const half = 1 << 15
	for y := range e.source[0].h {
		for x := range e.source[0].w {
			r, g, b := at(x, y)
			e.source[0].set(x, y, uint8((16829*r+33039*g+6416*b+16<<16+half)>>16))
		}
	}
	for y := range e.source[1].h {
		for x := range e.source[1].w {
			var r, g, b int
			for k := range 4 {
				dr, dg, db := at(2*x+k%2, 2*y+k/2)
				r, g, b = r+dr, g+dg, b+db
			}
			e.source[1].set(x, y, uint8((-9714*r-19070*g+28784*b+128<<18+2<<16)>>18))
			e.source[2].set(x, y, uint8((28784*r-24103*g-4681*b+128<<18+2<<16)>>18))
		}
	}
}

// plane is a picture of one channel with a border of one pixel to the left and above, which predictions look at.
type plane struct {
	w, h int
	pix  []uint8
}

// newPlane has the border that section 12.2 asks for: 127 above, the corner included, and 129 to the left.
func newPlane(w, h int) plane {
	p := plane{w, h, make([]uint8, (w+1)*(h+1))}
	for x := range w + 1 {
		p.pix[x] = 127
	}
	for y := range h {
		p.set(-1, y, 129)
	}
	return p
}

func (p *plane) at(x, y int) int       { return int(p.pix[(y+1)*(p.w+1)+x+1]) }
func (p *plane) set(x, y int, v uint8) { p.pix[(y+1)*(p.w+1)+x+1] = v }

// frame joins the header and the two partitions (section 9).
func (e *encoder) frame() []byte {
	probs, updates := e.fit()
	first := newBoolWriter()
	e.header(first, probs, updates)
	second := newBoolWriter()
	e.tokens(&tokenWriter{out: second, probs: probs})
	a, b := first.finish(), second.finish()
	size := len(a)
	out := []byte{byte(size<<5) | 1<<4, byte(size >> 3), byte(size >> 11), // a key frame that is shown
		0x9d, 0x01, 0x2a, byte(e.w), byte(e.w >> 8), byte(e.h), byte(e.h >> 8)}
	return append(append(out, a...), b...)
}

// header writes the first partition: section 19.2, then the modes of all macroblocks (section 19.3).
func (e *encoder) header(out *boolWriter, probs *probTable, updates *[4][8][3][11]bool) {
	out.literal(0, 1) // colour space
	out.literal(0, 1) // decoders clamp
	out.literal(0, 1) // no segments
	out.literal(0, 1) // normal filter
	out.literal(uint32(e.index/4), 6)
	out.literal(0, 3) // sharpness
	out.literal(0, 1) // no filter deltas
	out.literal(0, 2) // one partition of coefficients
	out.literal(uint32(e.index), 7)
	out.literal(0, 5) // no deltas of the quantiser
	out.literal(1, 1) // keep the probabilities; the next key frame resets them
	for i := range probs {
		for j := range probs[i] {
			for k := range probs[i][j] {
				for n, p := range probs[i][j][k] {
					out.bit(updates[i][j][k][n], updateProbs[i][j][k][n])
					if updates[i][j][k][n] {
						out.literal(uint32(p), 8)
					}
				}
			}
		}
	}
	full := 0
	for i := range e.blocks {
		if !e.blocks[i].empty {
			full++
		}
	}
	skip := uint8(min(max(255*full/len(e.blocks), 1), 255)) // probability that a macroblock has coefficients
	out.literal(1, 1)
	out.literal(uint32(skip), 8)
	for i := range e.blocks {
		b := &e.blocks[i]
		out.bit(b.empty, skip)
		b.luma.writeLuma(out)
		b.chroma.writeChroma(out)
	}
}
