package pixel

import (
	"image"
	"image/color"
	"slices"
)

// Heat is a number for each of W x H pixels, row by row.
type Heat struct {
	W, H   int
	Values []float64
}

// Unit brings the values to 0..1: what is at most the median, which most of a picture's ground is near, to 0, and the largest to 1.
// A map of one value becomes zeros.
func (h Heat) Unit() Heat {
	sorted := slices.Sorted(slices.Values(h.Values))
	lo, hi := sorted[len(sorted)/2], sorted[len(sorted)-1]
	out := Heat{h.W, h.H, make([]float64, len(h.Values))}
	if hi > lo {
		for i, v := range h.Values {
			out.Values[i] = max(0, (v-lo)/(hi-lo))
		}
	}
	return out
}

// Mask is white where a value is at least a threshold, and black elsewhere.
func (h Heat) Mask(threshold float64) *image.Gray {
	out := image.NewGray(image.Rect(0, 0, h.W, h.H))
	for i, v := range h.Values {
		if v >= threshold {
			out.Pix[i] = 255
		}
	}
	return out
}

// heatColours are what heat of 0, 1/3, 2/3 and 1 looks like, between which colours are mixed.
var heatColours = [...][3]float64{{20, 16, 70}, {150, 30, 120}, {240, 110, 40}, {255, 245, 120}}

// Over lays values of 0..1 over a picture of the same size: the picture in grey, coloured by its heat, with a white line
// around what is at least the threshold.
func (h Heat) Over(img image.Image, threshold float64) *image.NRGBA {
	r := flatten(img, color.White)
	out := r.image()
	in := func(x, y int) bool {
		return x >= 0 && y >= 0 && x < h.W && y < h.H && h.Values[y*h.W+x] >= threshold
	}
	for y := range h.H {
		for x := range h.W {
			p := r.pix[3*(y*r.w+x):]
			grey := 0.299*float64(p[0]) + 0.587*float64(p[1]) + 0.114*float64(p[2])
			at := min(max(h.Values[y*h.W+x], 0), 1) * float64(len(heatColours)-1)
			k := min(int(at), len(heatColours)-2)
			var c [3]uint8
			for i := range c {
				a, b := heatColours[k][i], heatColours[k+1][i]
				c[i] = uint8(0.45*grey + 0.55*(a+(at-float64(k))*(b-a)) + 0.5)
			}
			if in(x, y) && !(in(x-1, y) && in(x+1, y) && in(x, y-1) && in(x, y+1)) {
				c = [3]uint8{255, 255, 255}
			}
			out.SetNRGBA(x, y, color.NRGBA{c[0], c[1], c[2], 255})
		}
	}
	return out
}
