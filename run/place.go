package run

import (
	"context"
	"fmt"
	"image"
	"math"

	"github.com/smalti/smalti/nn"
	"github.com/smalti/smalti/paint"
	"github.com/smalti/smalti/pixel"
	"github.com/smalti/smalti/spec"
	"github.com/smalti/smalti/vqgan"
)

// wrapOf says which sides of a job's picture continue at the opposite ones.
func wrapOf(tile string) nn.Wrap {
	return nn.Wrap{Columns: tile == "x" || tile == "xy", Rows: tile == "y" || tile == "xy"}
}

// tiled returns the model that decodes a job's pictures.
func tiled(m *vqgan.Model, j *spec.Job) (*vqgan.Model, error) {
	if j.Tile == "" {
		return m, nil
	}
	return m.Tiled(wrapOf(j.Tile))
}

// window is the part of the canvas that a prompt looks at.
func window(r *spec.Region, width, height int) *paint.Window {
	if r == nil {
		return nil
	}
	x0, y0, x1, y1 := r.Box(width, height)
	w := &paint.Window{X: x0, Y: y0, W: x1 - x0, H: y1 - y0}
	for y := y0; y < y1; y++ {
		for x := x0; x < x1; x++ {
			w.Share = append(w.Share, float32(r.Weight(float64(x)+0.5, float64(y)+0.5)))
		}
	}
	return w
}

// start is the picture that a job starts from, on its canvas: scaled to cover it, or for outpainting as it is with its
// borders continued outwards.
func (s *session) start(img image.Image) (pixel.Image, error) {
	j := s.job
	if j.Mask == nil || j.Mask.Outpaint == nil {
		return cover(img, s.width, s.height), nil
	}
	o := j.Mask.Outpaint
	in := pixel.FromImage(img)
	w, h := j.Width-o[0]-o[2], j.Height-o[1]-o[3]
	if in.W != w || in.H != h {
		return pixel.Image{}, spec.Refusef(fmt.Sprintf("a picture of %dx%d with these margins needs --size %dx%d", in.W, in.H, in.W+o[0]+o[2], in.H+o[1]+o[3]),
			"--outpaint leaves %dx%d of the canvas for a picture of %dx%d", w, h, in.W, in.H)
	}
	out := pixel.New(j.Width, j.Height)
	for y := range j.Height {
		for x := range j.Width {
			from := min(max(y-o[1], 0), h-1)*w + min(max(x-o[0], 0), w-1)
			copy(out.Pix[3*(y*j.Width+x):][:3], in.Pix[3*from:3*from+3])
		}
	}
	return out, nil
}

// keep makes the loop's mask of the job's.
func (s *session) keep(ctx context.Context) (*paint.Keep, error) {
	m := s.job.Mask
	if m == nil {
		return nil, nil
	}
	img, err := s.picture(s.job.Start.Image)
	if err != nil {
		return nil, err
	}
	source, err := s.start(img)
	if err != nil {
		return nil, err
	}
	if m.Words != "" {
		if m, err = s.findMask(ctx, m, source); err != nil {
			return nil, err
		}
		s.job.Mask = m
	}
	on, err := s.masked(m)
	if err != nil {
		return nil, err
	}
	w, h, f := s.job.Width, s.job.Height, s.decoder.Factor()
	k := &paint.Keep{Source: source.Pix, Pixels: feathered(on, w, h, m.Feather), Cells: make([]float32, w/f*(h/f)), Seam: paint.Const(m.Seam)}
	any := false
	for i, v := range k.Pixels {
		if v > 0 {
			k.Cells[i/w/f*(w/f)+i%w/f], any = 1, true
		}
	}
	if !any {
		return nil, spec.Refuse("the mask leaves nothing to paint", "masks are light where to paint; --mask-invert turns them round")
	}
	return k, nil
}

// masked says for each pixel of the canvas whether it is painted.
func (s *session) masked(m *spec.Mask) ([]bool, error) {
	w, h := s.job.Width, s.job.Height
	on := make([]bool, w*h)
	var light pixel.Image
	if m.Picture != "" {
		img, err := s.picture(m.Picture)
		if err != nil {
			return nil, err
		}
		light = cover(img, w, h)
	}
	for i := range on {
		x, y := i%w, i/w
		switch o := m.Outpaint; {
		case o != nil:
			on[i] = x < o[0] || y < o[1] || x >= w-o[2] || y >= h-o[3]
		case m.Region != nil:
			on[i] = m.Region.Weight(float64(x)+0.5, float64(y)+0.5) >= 0.5
		default:
			on[i] = light.Pix[3*i]+light.Pix[3*i+1]+light.Pix[3*i+2] > 1.5
		}
		on[i] = on[i] != m.Invert
	}
	return on, nil
}

// feathered turns a mask into weights: 0 outside, and inside of it the distance to the nearest pixel outside in shares
// of the feather, up to 1. Distances are those of the 3x3 chamfer (Borgefors 1986) with steps 1 and sqrt 2; beyond the
// canvas nothing is outside.
func feathered(on []bool, w, h int, feather float64) []float32 {
	d := make([]float64, len(on))
	for i, v := range on {
		if v {
			d[i] = math.Inf(1)
		}
	}
	relax := func(x, y, dx, dy int) {
		if i, j := x+dx, y+dy; i >= 0 && j >= 0 && i < w && j < h {
			d[y*w+x] = min(d[y*w+x], d[j*w+i]+math.Sqrt(float64(dx*dx+dy*dy)))
		}
	}
	for y := range h {
		for x := range w {
			for _, n := range [][2]int{{-1, 0}, {-1, -1}, {0, -1}, {1, -1}} {
				relax(x, y, n[0], n[1])
			}
		}
	}
	for y := h - 1; y >= 0; y-- {
		for x := w - 1; x >= 0; x-- {
			for _, n := range [][2]int{{1, 0}, {1, 1}, {0, 1}, {-1, 1}} {
				relax(x, y, n[0], n[1])
			}
		}
	}
	out := make([]float32, len(on))
	for i, v := range d {
		switch {
		case v == 0:
		case v >= feather+1: // a step inside the feather's end counts as whole
			out[i] = 1
		default:
			out[i] = float32(v / (feather + 1))
		}
	}
	return out
}

// seams compares the jump across the sides that meet with that between neighbours inside: 1 means that nothing is seen.
func seams(p paint.Picture, tile string) map[string]float64 {
	out := map[string]float64{}
	at := func(x, y, c int) float64 { return float64(p.Pix[3*(y*p.W+x)+c]) }
	ratio := func(n, across int, pick func(i, j, c int) float64) float64 {
		var seam, inside float64
		for j := range across {
			for c := range 3 {
				seam += math.Abs(pick(n-1, j, c) - pick(0, j, c))
				for i := range n - 1 {
					inside += math.Abs(pick(i, j, c) - pick(i+1, j, c))
				}
			}
		}
		if inside == 0 {
			return 1
		}
		return seam / (inside / float64(n-1))
	}
	wrap := wrapOf(tile)
	if wrap.Columns {
		out["seam_x"] = ratio(p.W, p.H, at)
	}
	if wrap.Rows {
		out["seam_y"] = ratio(p.H, p.W, func(i, j, c int) float64 { return at(j, i, c) })
	}
	return out
}
