package pixel

import (
	"fmt"
	"image"
	"image/color"
	"math"
)

// Filter is a resampling kernel. All of them are antialiased: shrinking widens the kernel by the scale.
type Filter int

// Filters, defined as in Pillow 9.4.
const (
	Box      Filter = iota // average of the pixels covered; nearest neighbour when growing
	Bilinear               // triangle
	Bicubic                // Keys' cubic with a = -0.5 (torchvision's BICUBIC on PIL images)
	Lanczos                // windowed sinc with 3 lobes
)

var kernels = [...]struct {
	name    string
	support float64 // half width in source pixels at scale 1
	weight  func(x float64) float64
}{
	Box: {"box", 0.5, func(x float64) float64 {
		if x > -0.5 && x <= 0.5 {
			return 1
		}
		return 0
	}},
	Bilinear: {"bilinear", 1, func(x float64) float64 { return max(0, 1-math.Abs(x)) }},
	Bicubic:  {"bicubic", 2, cubic},
	Lanczos: {"lanczos", 3, func(x float64) float64 {
		if x < -3 || x >= 3 {
			return 0
		}
		return sinc(x) * sinc(x/3)
	}},
}

// String returns the name that ParseFilter reads.
func (f Filter) String() string {
	if f < 0 || int(f) >= len(kernels) {
		return fmt.Sprintf("Filter(%d)", int(f))
	}
	return kernels[f].name
}

// ParseFilter reads box, bilinear, bicubic or lanczos.
func ParseFilter(name string) (Filter, error) {
	for f, k := range kernels {
		if k.name == name {
			return Filter(f), nil
		}
	}
	return 0, fmt.Errorf("pixel: no filter %q (have box, bilinear, bicubic, lanczos)", name)
}

// cubic is Keys' convolution kernel (1981) with a = -0.5.
func cubic(x float64) float64 {
	const a = -0.5
	x = math.Abs(x)
	switch {
	case x < 1:
		return ((a+2)*x-(a+3))*x*x + 1
	case x < 2:
		return (((x-5)*x+8)*x - 4) * a
	default:
		return 0
	}
}

func sinc(x float64) float64 {
	if x == 0 {
		return 1
	}
	x *= math.Pi
	return math.Sin(x) / x
}

// taps are the weights that make one output sample: source samples first, first+1, ...
type taps struct {
	first  int
	weight []float64 // sums to 1
}

// plan computes the taps of outputs lo to hi (not included) of a resampling of n samples to m. Weights at the borders
// are renormalised.
func plan(n, m int, f Filter, lo, hi int) []taps {
	k := kernels[f]
	scale := float64(n) / float64(m)
	stretch := max(scale, 1)
	support := k.support * stretch
	out := make([]taps, hi-lo)
	for i := range out {
		centre := (float64(lo+i) + 0.5) * scale
		first := max(int(centre-support+0.5), 0)
		end := min(int(centre+support+0.5), n)
		w := make([]float64, end-first)
		sum := 0.0
		for j := range w {
			w[j] = k.weight((float64(j+first) - centre + 0.5) * (1 / stretch))
			sum += w[j]
		}
		if sum != 0 {
			for j := range w {
				w[j] /= sum
			}
		}
		out[i] = taps{first, w}
	}
	return out
}

// Resize resamples with float arithmetic: horizontally, then vertically, sums in float64, each pass rounded to
// float32. Bicubic and Lanczos overshoot; nothing is clamped. It panics if w or h is below 1.
func (m Image) Resize(w, h int, f Filter) Image {
	checkSize(w, h)
	if w != m.W {
		m = m.resizeRows(plan(m.W, w, f, 0, w))
	}
	if h != m.H {
		return m.resizeColumns(plan(m.H, h, f, 0, h))
	}
	return Image{m.W, m.H, append([]float32(nil), m.Pix...)}
}

func (m Image) resizeRows(p []taps) Image {
	w := len(p)
	out := New(w, m.H)
	for y := range m.H {
		src, dst := m.Pix[y*m.W*3:], out.Pix[y*w*3:]
		for x, t := range p {
			var r, g, b float64
			for j, k := range t.weight {
				s := src[(t.first+j)*3:]
				r, g, b = r+k*float64(s[0]), g+k*float64(s[1]), b+k*float64(s[2])
			}
			dst[x*3], dst[x*3+1], dst[x*3+2] = float32(r), float32(g), float32(b)
		}
	}
	return out
}

func (m Image) resizeColumns(p []taps) Image {
	out := New(m.W, len(p))
	n := m.W * 3
	for y, t := range p {
		for i := range n {
			sum := 0.0
			for j, k := range t.weight {
				sum += k * float64(m.Pix[(t.first+j)*n+i])
			}
			out.Pix[y*n+i] = float32(sum)
		}
	}
	return out
}

// fractionBits is the precision of Pillow's 8-bit resampling: 32 bits less 8 of the sample and 2 of headroom.
const fractionBits = 32 - 8 - 2

// inFixedPoint rounds weights to fixed point, halves away from zero.
func inFixedPoint(p []taps) [][]int32 {
	out := make([][]int32, len(p))
	for i, t := range p {
		out[i] = make([]int32, len(t.weight))
		for j, w := range t.weight {
			out[i][j] = int32(math.Copysign(0.5, w) + w*(1<<fractionBits))
		}
	}
	return out
}

// resize resamples exactly as Pillow 9.4 does on mode RGB: fixed point, each pass rounded to 8 bit.
func (r raster) resize(w, h int, f Filter) raster {
	return r.resizeWindow(w, h, f, image.Rect(0, 0, w, h))
}

// resizeWindow computes only the part of resize that lies in win, which must lie in the result: the shape of a
// hostile picture does not decide how much memory its middle takes.
func (r raster) resizeWindow(w, h int, f Filter, win image.Rectangle) raster {
	checkSize(w, h)
	if w != r.w {
		p := plan(r.w, w, f, win.Min.X, win.Max.X)
		r = r.resizeRows(p, inFixedPoint(p))
	} else if win.Dx() != w {
		r = r.crop(win.Min.X, 0, win.Dx(), r.h)
	}
	if h != r.h {
		p := plan(r.h, h, f, win.Min.Y, win.Max.Y)
		r = r.resizeColumns(p, inFixedPoint(p))
	} else if win.Dy() != h {
		r = r.crop(0, win.Min.Y, r.w, win.Dy())
	}
	return r
}

func (r raster) resizeRows(p []taps, weights [][]int32) raster {
	w := len(p)
	out := newRaster(w, r.h)
	for y := range r.h {
		src, dst := r.pix[y*r.w*3:], out.pix[y*w*3:]
		for x, k := range weights {
			const half = int32(1) << (fractionBits - 1)
			a, b, c := half, half, half
			s := src[p[x].first*3:]
			for j, v := range k {
				a += v * int32(s[j*3])
				b += v * int32(s[j*3+1])
				c += v * int32(s[j*3+2])
			}
			dst[x*3], dst[x*3+1], dst[x*3+2] = clip8(a), clip8(b), clip8(c)
		}
	}
	return out
}

func (r raster) resizeColumns(p []taps, weights [][]int32) raster {
	out := newRaster(r.w, len(p))
	n := r.w * 3
	sums := make([]int32, n)
	for y, k := range weights {
		for i := range sums {
			sums[i] = 1 << (fractionBits - 1)
		}
		for j, v := range k {
			row := r.pix[(p[y].first+j)*n:][:n]
			for i, s := range row {
				sums[i] += v * int32(s)
			}
		}
		for i, s := range sums {
			out.pix[y*n+i] = clip8(s)
		}
	}
	return out
}

func clip8(sum int32) uint8 { return uint8(min(max(sum>>fractionBits, 0), 255)) }

// Resize8 resamples as Pillow's Image.resize does on 8-bit RGB, bit for bit. Transparent pictures are laid over
// white first. It panics if w or h is below 1.
func Resize8(img image.Image, w, h int, f Filter) *image.NRGBA {
	return flatten(img, color.White).resize(w, h, f).image()
}

// FitArea resizes with Lanczos so that the picture keeps its shape and covers about the area of w x h, and never
// grows (resize_image of VQGAN-CLIP).
func FitArea(img image.Image, w, h int) *image.NRGBA {
	r := flatten(img, color.White)
	ratio := float64(r.w) / float64(r.h)
	area := float64(min(r.w*r.h, w*h))
	tw, th := math.RoundToEven(math.Sqrt(area*ratio)), math.RoundToEven(math.Sqrt(area/ratio))
	return r.resize(max(int(tw), 1), max(int(th), 1), Lanczos).image()
}

// ZoomAt magnifies around the point (x,y), keeping the size (zoom_at of VQGAN-CLIP). With zoom < 1 the picture
// shrinks and what comes in from outside is black. zoom must be positive.
func ZoomAt(img image.Image, x, y, zoom float64) *image.NRGBA {
	r := flatten(img, color.White)
	dx, dy := float64(r.w)/(zoom*2), float64(r.h)/(zoom*2)
	left, top := int(math.RoundToEven(x-dx)), int(math.RoundToEven(y-dy))
	right, bottom := int(math.RoundToEven(x+dx)), int(math.RoundToEven(y+dy))
	box := r.crop(left, top, max(right-left, 1), max(bottom-top, 1))
	return box.resize(r.w, r.h, Lanczos).image()
}

func checkSize(w, h int) {
	if w < 1 || h < 1 {
		panic(fmt.Sprintf("pixel: resize to %dx%d", w, h))
	}
}
