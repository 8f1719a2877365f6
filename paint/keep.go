package paint

import (
	"fmt"
	"math"

	"github.com/gomlx/gomlx/core/tensors"

	"github.com/smalti/smalti/engine"
	"github.com/smalti/smalti/rng"
)

// Keep holds a part of the picture as it is in a source: what is seen, judged and saved is the source there, and latents
// under it stay what they were at the start.
type Keep struct {
	Source []float32 // [H,W,3] in [0,1]
	Pixels []float32 // [H,W]: 0 is the source, 1 what is painted, between is mixed
	Cells  []float32 // [h,w]: 0 holds the latents, 1 lets them go
	// Seam is the weight of the mean squared difference between what is painted and the source where they are mixed, so
	// that what is painted meets its surroundings.
	Seam Schedule
}

func (k *Keep) check(p *Painter) error {
	if k == nil {
		return nil
	}
	n := p.cfg.Width * p.cfg.Height
	if len(k.Source) != 3*n || len(k.Pixels) != n || len(k.Cells) != p.h*p.w {
		return fmt.Errorf("paint: a mask of %d pixels and %d cells over %d numbers, want %d, %d and %d", len(k.Pixels), len(k.Cells), len(k.Source), n, p.h*p.w, 3*n)
	}
	for _, list := range [][]float32{k.Pixels, k.Cells} {
		for _, v := range list {
			if !(v >= 0 && v <= 1) {
				return fmt.Errorf("paint: a mask holds %v, want 0 to 1", v)
			}
		}
	}
	return k.Seam.check("seam")
}

// over lays what is painted over the source. Where the weight is 0 the source is there exactly.
func (k *Keep) over(x []float32) []float32 {
	out := make([]float32, len(x))
	for i, w := range k.Pixels {
		for c := 3 * i; c < 3*i+3; c++ {
			switch w {
			case 0:
				out[c] = k.Source[c]
			case 1:
				out[c] = x[c]
			default:
				out[c] = k.Source[c] + float32(w*(x[c]-k.Source[c]))
			}
		}
	}
	return out
}

// seam adds the seam loss of what is painted, and its gradient to dx.
func (k *Keep) seam(step int, x, dx []float32) float64 {
	weight := k.Seam.At(step)
	n := 0
	for _, w := range k.Pixels {
		if w > 0 && w < 1 {
			n++
		}
	}
	if weight == 0 || n == 0 {
		return 0
	}
	scale := weight / float64(3*n)
	sum := 0.0
	for i, w := range k.Pixels {
		if w == 0 || w == 1 {
			continue
		}
		for c := 3 * i; c < 3*i+3; c++ {
			d := float64(x[c]) - float64(k.Source[c])
			sum += d * d
			dx[c] += float32(2 * scale * d)
		}
	}
	return scale * sum
}

// hold brings latents back to the start where the mask says so.
func (k *Keep) hold(z, init []float32, channels int) {
	for i, w := range k.Cells {
		if w == 1 {
			continue
		}
		for c := i * channels; c < (i+1)*channels; c++ {
			z[c] = init[c] + float32(w*(z[c]-init[c]))
		}
	}
}

// Torus says along which axes the picture continues at its opposite side. There, cuts are made from another corner in
// every step, so that the places where the sides meet are seen as often as all others.
type Torus struct{ Rows, Columns bool }

// origin is the corner that a step sees the picture from.
func (t Torus) origin(seed uint64, step, width, height int) (x, y int) {
	s := rng.New(seed, "torus", uint64(step))
	y, x = s.IntN(height), s.IntN(width)
	if !t.Rows {
		y = 0
	}
	if !t.Columns {
		x = 0
	}
	return x, y
}

// turned moves pixels so that (x0,y0) comes to the corner: out(y,x) = v(y+y0, x+x0).
func turned(v []float32, width, height, x0, y0 int) []float32 {
	out := make([]float32, len(v))
	for y := range height {
		from := v[3*width*((y+y0)%height):]
		row := out[3*width*y:]
		copy(row[:3*(width-x0)], from[3*x0:3*width])
		copy(row[3*(width-x0):3*width], from[:3*x0])
	}
	return out
}

// sight is how the picture of a step is seen: over what is kept, and on a torus from another corner.
type sight struct {
	p      *Painter
	x0, y0 int
}

func (p *Painter) sight() sight {
	x0, y0 := p.cfg.Torus.origin(p.cfg.Seed, p.step, p.cfg.Width, p.cfg.Height)
	return sight{p, x0, y0}
}

// plain reports that the picture is seen as it is painted.
func (s sight) plain() bool { return s.p.cfg.Keep == nil && s.x0 == 0 && s.y0 == 0 }

// see returns the picture as it is seen.
func (s sight) see(x *tensors.Tensor) *tensors.Tensor {
	if s.plain() {
		return x
	}
	v := engine.Floats(x)
	if k := s.p.cfg.Keep; k != nil {
		v = k.over(v)
	}
	c := s.p.cfg
	return engine.FromFloats(turned(v, c.Width, c.Height, s.x0, s.y0), 1, c.Height, c.Width, 3)
}

// back returns the gradient for what is painted from that for what is seen.
func (s sight) back(dx []float32) []float32 {
	if s.plain() {
		return dx
	}
	c := s.p.cfg
	out := turned(dx, c.Width, c.Height, (c.Width-s.x0)%c.Width, (c.Height-s.y0)%c.Height)
	if k := c.Keep; k != nil {
		for i, w := range k.Pixels {
			for c := 3 * i; c < 3*i+3; c++ {
				out[c] *= w
			}
		}
	}
	return out
}

// Window is a part of the picture, in pixels, that a target looks at alone.
type Window struct {
	X, Y, W, H int
	// Share [H,W] of the window is how much of the gradient each pixel takes, 0 to 1; nil means all of it.
	Share []float32
}

func (w *Window) check(width, height int) error {
	switch {
	case w == nil:
		return nil
	case w.X < 0 || w.Y < 0 || w.W < 1 || w.H < 1 || w.X+w.W > width || w.Y+w.H > height:
		return fmt.Errorf("paint: the window %dx%d at (%d,%d) leaves a picture of %dx%d", w.W, w.H, w.X, w.Y, width, height)
	case w.Share != nil && len(w.Share) != w.W*w.H:
		return fmt.Errorf("paint: a window of %dx%d has %d shares", w.W, w.H, len(w.Share))
	}
	for _, v := range w.Share {
		if !(v >= 0 && v <= 1) || math.IsNaN(float64(v)) {
			return fmt.Errorf("paint: a window has the share %v, want 0 to 1", v)
		}
	}
	return nil
}

// key names a window by its place.
func (w *Window) key() string {
	if w == nil {
		return ""
	}
	return fmt.Sprintf("%d,%d,%d,%d", w.X, w.Y, w.W, w.H)
}

// cut returns the window of a picture.
func (w *Window) cut(x []float32, width int) []float32 {
	out := make([]float32, 0, 3*w.W*w.H)
	for y := range w.H {
		from := 3 * ((w.Y+y)*width + w.X)
		out = append(out, x[from:from+3*w.W]...)
	}
	return out
}

// paste adds the gradient for the window to that for the picture.
func (w *Window) paste(g, dx []float32, width int) {
	for y := range w.H {
		for x := range w.W {
			share := float32(1)
			if w.Share != nil {
				share = w.Share[y*w.W+x]
			}
			for c := range 3 {
				dx[3*((w.Y+y)*width+w.X+x)+c] += float32(share * g[3*(y*w.W+x)+c])
			}
		}
	}
}
