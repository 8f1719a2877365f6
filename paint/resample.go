package paint

import (
	"math"

	"github.com/smalti/smalti/gx"
	"github.com/smalti/smalti/pixel"
)

// CropMatrix returns the matrix [out,in], row-major, that cuts the samples [offset, offset+size) out of a line of in
// samples and resamples them to out samples; beyond its ends the line's first and last sample repeat. Rows and columns of a picture are resampled one after the other, so two
// such matrices make a cut; a cut is then two matrix products: exact, linear, and differentiable by transposition.
//
// The filter is the one of VQGAN+CLIP (Crowson 2021): when the cut shrinks, a Lanczos-2 low pass with reflected
// borders, then bicubic interpolation (Keys 1981, a = -0.75) with aligned corners and clamped borders.
func CropMatrix(out, in, offset, size int) []float32 {
	low := []float64{1}
	if out < size {
		low = Lanczos(float64(out)/float64(size), 2)
	}
	pad := len(low) / 2
	cubic := gx.CubicMatrix(size, out, true)
	m := make([]float32, out*in)
	row := make([]float64, size)
	for o := range out {
		clear(row)
		for i, w := range cubic.Data[o*size : (o+1)*size] {
			if w == 0 {
				continue
			}
			for k, l := range low {
				row[pixel.Mirrored(i+k-pad, size)] += w * l
			}
		}
		for i, v := range row {
			m[o*in+min(max(offset+i, 0), in-1)] += float32(v)
		}
	}
	return m
}

// Lanczos samples the Lanczos kernel of radius a at multiples of ratio (below 1: the share of samples that is kept),
// normalised to sum 1. The count of taps is odd.
func Lanczos(ratio float64, a int) []float64 {
	n := int(math.Ceil(float64(a)/ratio + 1))
	taps := make([]float64, 2*n-3)
	var sum float64
	for i := range taps {
		taps[i] = lanczosAt(float64(i-(n-2))*ratio, float64(a))
		sum += taps[i]
	}
	for i := range taps {
		taps[i] /= sum
	}
	return taps
}

func lanczosAt(x, a float64) float64 {
	if x <= -a || x >= a {
		return 0
	}
	return sinc(x) * sinc(x/a)
}

func sinc(x float64) float64 {
	if x == 0 {
		return 1
	}
	return math.Sin(math.Pi*x) / (math.Pi * x)
}
