package pixel

import (
	"fmt"
	"image"
	"image/color"
	"math"
)

// Difference says how far two pictures of one size are apart, in 8-bit steps of their RGB values.
type Difference struct {
	Max    int     // largest absolute difference of any value
	Mean   float64 // mean absolute difference
	Pixels int     // pixels that differ at all
	PSNR   float64 // peak signal-to-noise ratio in dB; +Inf for equal pictures
	SSIM   float64 // structural similarity of luma, at most 1
}

// Equal reports that every value of every pixel is the same.
func (d Difference) Equal() bool { return d.Max == 0 }

// Compare measures two pictures, laid over white. It fails if their sizes differ.
func Compare(a, b image.Image) (Difference, error) {
	ra, rb := flatten(a, color.White), flatten(b, color.White)
	if ra.w != rb.w || ra.h != rb.h {
		return Difference{}, fmt.Errorf("compare pictures: sizes %dx%d and %dx%d differ", ra.w, ra.h, rb.w, rb.h)
	}
	if len(ra.pix) == 0 {
		return Difference{}, fmt.Errorf("compare pictures: they are empty")
	}
	var d Difference
	var sum, squares int
	for i := 0; i < len(ra.pix); i += 3 {
		worst := 0
		for c := range 3 {
			e := int(ra.pix[i+c]) - int(rb.pix[i+c])
			e = max(e, -e)
			sum, squares, worst = sum+e, squares+e*e, max(worst, e)
		}
		d.Max = max(d.Max, worst)
		if worst > 0 {
			d.Pixels++
		}
	}
	n := float64(len(ra.pix))
	d.Mean = float64(sum) / n
	d.PSNR = 10 * math.Log10(255*255/(float64(squares)/n))
	d.SSIM = ssim(ra.luma(), rb.luma(), ra.w, ra.h)
	return d, nil
}

// luma is Y' of Rec. 601 in 0..255.
func (r raster) luma() []float64 {
	out := make([]float64, r.w*r.h)
	for i := range out {
		out[i] = 0.299*float64(r.pix[i*3]) + 0.587*float64(r.pix[i*3+1]) + 0.114*float64(r.pix[i*3+2])
	}
	return out
}

// ssim is the mean structural similarity of two planes (Wang et al. 2004): Gaussian window of 11 with sigma 1.5,
// K1 0.01, K2 0.03, range 255, only where the window fits. Smaller pictures shrink the window.
func ssim(a, b []float64, w, h int) float64 {
	const c1, c2 = 0.01 * 255 * 0.01 * 255, 0.03 * 255 * 0.03 * 255
	kx, ky := gauss(min(11, w)), gauss(min(11, h))
	product := func(x, y []float64) []float64 {
		out := make([]float64, len(x))
		for i := range x {
			out[i] = x[i] * y[i]
		}
		return blur(out, w, h, kx, ky)
	}
	ma, mb := blur(a, w, h, kx, ky), blur(b, w, h, kx, ky)
	aa, bb, ab := product(a, a), product(b, b), product(a, b)
	sum := 0.0
	for i := range ma {
		va, vb, cov := aa[i]-ma[i]*ma[i], bb[i]-mb[i]*mb[i], ab[i]-ma[i]*mb[i]
		sum += (2*ma[i]*mb[i] + c1) * (2*cov + c2) / ((ma[i]*ma[i] + mb[i]*mb[i] + c1) * (va + vb + c2))
	}
	return sum / float64(len(ma))
}

// gauss is a window of n weights with sigma 1.5 and sum 1.
func gauss(n int) []float64 {
	out := make([]float64, n)
	sum := 0.0
	for i := range out {
		x := (float64(i) - float64(n-1)/2) / 1.5
		out[i] = math.Exp(-x * x / 2)
		sum += out[i]
	}
	for i := range out {
		out[i] /= sum
	}
	return out
}

// blur correlates a plane with a separable window where it fits: (w-len(kx)+1) x (h-len(ky)+1) values.
func blur(p []float64, w, h int, kx, ky []float64) []float64 {
	ow, oh := w-len(kx)+1, h-len(ky)+1
	rows := make([]float64, ow*h)
	for y := range h {
		for x := range ow {
			s := 0.0
			for j, k := range kx {
				s += k * p[y*w+x+j]
			}
			rows[y*ow+x] = s
		}
	}
	out := make([]float64, ow*oh)
	for y := range oh {
		for j, k := range ky {
			for x := range ow {
				out[y*ow+x] += k * rows[(y+j)*ow+x]
			}
		}
	}
	return out
}

// DifferenceImage shows where two pictures of one size differ: black where equal, brighter with the absolute
// difference, scaled so that the largest is white. It fails if sizes differ.
func DifferenceImage(a, b image.Image) (*image.NRGBA, error) {
	d, err := Compare(a, b)
	if err != nil {
		return nil, err
	}
	ra, rb := flatten(a, color.White), flatten(b, color.White)
	for i, v := range ra.pix {
		e := int(v) - int(rb.pix[i])
		ra.pix[i] = uint8(max(e, -e) * 255 / max(d.Max, 1))
	}
	return ra.image(), nil
}

// SSIM is the structural similarity of the luma of two pictures of one size (Wang et al. 2004), at most 1. It panics when the
// sizes differ or are zero.
func SSIM(a, b Image) float64 {
	if a.W != b.W || a.H != b.H || a.W == 0 || a.H == 0 {
		panic(fmt.Sprintf("pixel: SSIM of %dx%d and %dx%d", a.W, a.H, b.W, b.H))
	}
	luma := func(m Image) []float64 {
		out := make([]float64, m.W*m.H)
		for i := range out {
			out[i] = 255 * (0.299*float64(m.Pix[i*3]) + 0.587*float64(m.Pix[i*3+1]) + 0.114*float64(m.Pix[i*3+2]))
		}
		return out
	}
	return ssim(luma(a), luma(b), a.W, a.H)
}
