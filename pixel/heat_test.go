package pixel

import (
	"image"
	"image/color"
	"slices"
	"testing"
)

func TestHeat(t *testing.T) {
	h := Heat{W: 3, H: 3, Values: []float64{-5, 1, 1, 1, 5, 3, 1, 1, 1}}
	if got, want := h.Unit().Values, []float64{0, 0, 0, 0, 1, 0.5, 0, 0, 0}; !slices.Equal(got, want) {
		t.Errorf("shares of the way from the median to the most: %v, want %v", got, want)
	}
	flat := Heat{W: 2, H: 1, Values: []float64{7, 7}}
	if got := flat.Unit().Values; !slices.Equal(got, []float64{0, 0}) {
		t.Errorf("a map of one value: %v", got)
	}
	if got := h.Unit().Mask(0.5).Pix; !slices.Equal(got, []uint8{0, 0, 0, 0, 255, 255, 0, 0, 0}) {
		t.Errorf("mask %v", got)
	}
	img := image.NewGray(image.Rect(5, 5, 8, 8)) // black, and not at the origin
	over := h.Unit().Over(img, 2)
	if got := over.NRGBAAt(1, 1); got != (color.NRGBA{140, 135, 66, 255}) { // 0.55 of the hottest colour
		t.Errorf("the hottest pixel is %v", got)
	}
	if got := h.Unit().Over(img, 0.5).NRGBAAt(1, 1); got != (color.NRGBA{255, 255, 255, 255}) {
		t.Errorf("the border of the mask is %v", got)
	}
}
