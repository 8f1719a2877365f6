package clip

import (
	"context"
	"fmt"
	"image"
	"math"

	"github.com/smalti/smalti/pixel"
)

// Neutral are the texts that a heat map's words are compared with: what fits every part of every picture.
var Neutral = []string{"a picture", "something", "a background", "a texture"}

// heatScales are the sides of the windows that Heat looks through, in shares of the picture's shorter side, and
// heatStride the way from one to the next, in shares of a window's side.
var heatScales = []float64{1. / 4, 1. / 3, 1. / 2}

const heatStride = 1. / 4

// Heat says for each pixel of a picture how much more its surroundings fit a text than they fit Neutral: differences of
// cosines, [H,W] row by row. The picture is looked at through square windows of three sizes. Each window's difference is
// laid over it with a weight that falls to its border as a Hann window does; a size's map is the mean of what covers a
// pixel, and the sizes count equally. So the map is smooth: nothing in it is smaller than half the smallest window.
func (m *Model) Heat(ctx context.Context, img image.Image, text string) ([]float64, error) {
	b := img.Bounds()
	if b.Empty() {
		return nil, fmt.Errorf("clip: a picture without pixels")
	}
	texts, err := m.EncodeText(ctx, append([]string{text}, Neutral...)...)
	if err != nil {
		return nil, err
	}
	whole := pixel.FromImage(img)
	out := make([]float64, whole.W*whole.H)
	for _, scale := range heatScales {
		g := newWindows(whole.W, whole.H, scale)
		sum, weight := make([]float64, len(out)), make([]float64, len(out))
		for _, y := range g.rows {
			parts := make([]image.Image, len(g.cols))
			for i, x := range g.cols {
				parts[i] = whole.Crop(x, y, g.side, g.side).ToImage()
			}
			features, err := m.EncodeImage(ctx, parts...)
			if err != nil {
				return nil, err
			}
			for i, x := range g.cols {
				g.lay(sum, weight, whole.W, x, y, difference(features[i], texts))
			}
		}
		for i, w := range weight {
			out[i] += sum[i] / w / float64(len(heatScales))
		}
	}
	return out, nil
}

// difference is the cosine with the first text less the mean of those with the others.
func difference(v []float32, texts [][]float32) float64 {
	d := Similarity(v, texts[0])
	for _, t := range texts[1:] {
		d -= Similarity(v, t) / float64(len(texts)-1)
	}
	return d
}

// windows are the places of square windows of one size on a picture, and how they weigh.
type windows struct {
	side       int
	rows, cols []int     // of the upper left corners
	hann       []float64 // [side], above 0 everywhere
}

func newWindows(w, h int, scale float64) windows {
	side := max(1, int(math.Round(scale*float64(min(w, h)))))
	g := windows{side: side, rows: places(h, side), cols: places(w, side), hann: make([]float64, side)}
	for i := range g.hann {
		g.hann[i] = math.Pow(math.Sin(math.Pi*(float64(i)+0.5)/float64(side)), 2)
	}
	return g
}

// places spreads windows evenly over n pixels, from border to border.
func places(n, side int) []int {
	steps := int(math.Ceil(float64(n-side) / (heatStride * float64(side))))
	out := make([]int, steps+1)
	for i := range out {
		if steps > 0 {
			out[i] = (i*(n-side) + steps/2) / steps
		}
	}
	return out
}

// lay adds a window's value, weighed, and its weights.
func (g windows) lay(sum, weight []float64, width, x, y int, value float64) {
	for j := range g.side {
		for i := range g.side {
			w := g.hann[i] * g.hann[j]
			at := (y+j)*width + x + i
			sum[at] += w * value
			weight[at] += w
		}
	}
}
