package pixel

import "math"

// Camera is a movement between two frames: the picture is turned by Angle radians (anticlockwise as it is seen) and made
// Zoom times larger around its middle, and then moved by DX pixels to the right and DY down. Zoom 0 means 1.
type Camera struct{ Zoom, DX, DY, Angle float64 }

// Still reports a camera that does not move.
func (c Camera) Still() bool {
	return (c.Zoom == 0 || c.Zoom == 1) && c.DX == 0 && c.DY == 0 && c.Angle == 0
}

// Warp shows the picture through a moved camera, of the same size: each pixel is sampled from where it came from,
// bilinearly; beyond the borders the picture is mirrored.
func (p Image) Warp(c Camera) Image {
	if c.Still() {
		out := New(p.W, p.H)
		copy(out.Pix, p.Pix)
		return out
	}
	zoom := c.Zoom
	if zoom == 0 {
		zoom = 1
	}
	sin, cos := math.Sincos(c.Angle)
	cx, cy := float64(p.W-1)/2, float64(p.H-1)/2
	out := New(p.W, p.H)
	for y := range p.H {
		for x := range p.W {
			u, v := (float64(x)-cx-c.DX)/zoom, (float64(y)-cy-c.DY)/zoom
			p.sample(out.Pix[3*(y*p.W+x):], cx+cos*u-sin*v, cy+sin*u+cos*v)
		}
	}
	return out
}

// sample writes the colour at a point between pixels.
func (p Image) sample(dst []float32, x, y float64) {
	x0, y0 := math.Floor(x), math.Floor(y)
	fx, fy := float32(x-x0), float32(y-y0)
	left, right := Mirrored(int(x0), p.W), Mirrored(int(x0)+1, p.W)
	top, bottom := Mirrored(int(y0), p.H), Mirrored(int(y0)+1, p.H)
	for c := range 3 {
		a, b := p.Pix[3*(top*p.W+left)+c], p.Pix[3*(top*p.W+right)+c]
		d, e := p.Pix[3*(bottom*p.W+left)+c], p.Pix[3*(bottom*p.W+right)+c]
		upper, lower := a+float32(fx*(b-a)), d+float32(fx*(e-d))
		dst[c] = upper + float32(fy*(lower-upper))
	}
}

// Mirrored folds an index back into 0..n-1 as mirrors at both ends show it, as often as needed; the outermost samples are not
// repeated.
func Mirrored(i, n int) int {
	if n == 1 {
		return 0
	}
	period := 2 * (n - 1)
	i = ((i % period) + period) % period
	return min(i, period-i)
}
