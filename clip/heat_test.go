package clip

import (
	"context"
	"image"
	"image/color"
	"image/draw"
	"math"
	"testing"
)

// On a picture of one colour every window sees the same, so that the map is what the whole picture gives.
func TestHeatOfOneColour(t *testing.T) {
	ctx, m := context.Background(), tinyModel(t, testEngine(t))
	img := image.NewNRGBA(image.Rect(0, 0, 40, 24))
	draw.Draw(img, img.Rect, image.NewUniform(color.NRGBA{200, 30, 60, 255}), image.Point{}, draw.Src)
	heat, err := m.Heat(ctx, img, "a red apple")
	if err != nil {
		t.Fatal(err)
	}
	scores, err := m.Score(ctx, img, append([]string{"a red apple"}, Neutral...)...)
	if err != nil {
		t.Fatal(err)
	}
	want := scores[0]
	for _, s := range scores[1:] {
		want -= s / float64(len(Neutral))
	}
	if len(heat) != 40*24 || want == 0 {
		t.Fatalf("%d values, want %g each", len(heat), want)
	}
	for i, v := range heat {
		if math.Abs(v-want) > 1e-5 { // cosines of features whose sums may differ in order
			t.Fatalf("pixel %d has heat %g, want %g", i, v, want)
		}
	}
}

// Pixels that no window sees a change of keep their heat, those beside the change do not.
func TestHeatIsLocal(t *testing.T) {
	ctx, m := context.Background(), tinyModel(t, testEngine(t))
	a, b := noise(1, 64, 32).(*image.NRGBA), noise(1, 64, 32).(*image.NRGBA)
	draw.Draw(b, image.Rect(0, 0, 8, 32), image.White, image.Point{}, draw.Src)
	before, err := m.Heat(ctx, a, "a red apple")
	if err != nil {
		t.Fatal(err)
	}
	after, err := m.Heat(ctx, b, "a red apple")
	if err != nil {
		t.Fatal(err)
	}
	changed := false
	for i := range before {
		x := i % 64
		if x < 8 {
			changed = changed || before[i] != after[i]
		} else if x >= 8+16+1 && before[i] != after[i] { // the largest window is 16 wide
			t.Fatalf("the heat at column %d changed", x)
		}
	}
	if !changed {
		t.Error("the heat over the change is as it was")
	}
}

func TestHeatWindowsCoverThePicture(t *testing.T) {
	for _, size := range [][2]int{{1, 1}, {3, 50}, {64, 64}, {97, 33}} {
		for _, scale := range heatScales {
			g := newWindows(size[0], size[1], scale)
			sum, weight := make([]float64, size[0]*size[1]), make([]float64, size[0]*size[1])
			for _, y := range g.rows {
				for _, x := range g.cols {
					if x < 0 || y < 0 || x+g.side > size[0] || y+g.side > size[1] {
						t.Fatalf("%v: a window of %d at (%d,%d)", size, g.side, x, y)
					}
					g.lay(sum, weight, size[0], x, y, 1)
				}
			}
			for i := range weight {
				if !(weight[i] > 0) || math.Abs(sum[i]/weight[i]-1) > 1e-12 {
					t.Fatalf("%v at %g: pixel %d weighs %g", size, scale, i, weight[i])
				}
			}
		}
	}
}
