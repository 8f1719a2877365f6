package pixel

import (
	"math"
	"slices"
	"testing"
)

func TestWarpMovesTurnsAndZooms(t *testing.T) {
	const w, h = 9, 7
	p := New(w, h)
	for i := range p.Pix {
		p.Pix[i] = float32(i) / float32(len(p.Pix))
	}
	at := func(p Image, x, y int) float32 { return p.Pix[3*(y*w+x)] }
	if q := p.Warp(Camera{}); !slices.Equal(q.Pix, p.Pix) {
		t.Error("a still camera changes the picture")
	}
	q := p.Warp(Camera{DX: 2, DY: -1})
	for y := range h - 1 {
		for x := 2; x < w; x++ {
			if at(q, x, y) != at(p, x-2, y+1) {
				t.Fatalf("moved: (%d,%d) is %v, want %v", x, y, at(q, x, y), at(p, x-2, y+1))
			}
		}
	}
	if at(q, 0, 0) != at(p, 2, 1) { // mirrored at the left border
		t.Errorf("beyond the border is %v, want %v", at(q, 0, 0), at(p, 2, 1))
	}
	q = p.Warp(Camera{Angle: math.Pi})
	for y := range h {
		for x := range w {
			if d := math.Abs(float64(at(q, x, y) - at(p, w-1-x, h-1-y))); d > 1e-6 { // sines of pi are not quite 0
				t.Fatalf("half a turn: (%d,%d) is off by %v", x, y, d)
			}
		}
	}
	q = p.Warp(Camera{Zoom: 2})
	if at(q, 4, 3) != at(p, 4, 3) || at(q, 6, 5) != at(p, 5, 4) {
		t.Error("zooming by 2 does not spread pixels around the middle")
	}
	// A quarter turn anticlockwise takes what was on the right to the top.
	s := New(5, 5)
	s.Pix[3*(2*5+4)] = 1
	if q := s.Warp(Camera{Angle: math.Pi / 2}); q.Pix[3*(0*5+2)] < 0.999 {
		t.Error("a quarter turn goes the other way")
	}
	if q := (Image{W: 1, H: 1, Pix: []float32{1, 2, 3}}).Warp(Camera{DX: 5, Zoom: 3}); !slices.Equal(q.Pix, []float32{1, 2, 3}) {
		t.Errorf("a single pixel becomes %v", q.Pix)
	}
}
