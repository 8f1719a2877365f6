package dataset

import (
	"image"
	"image/color"
	"math"
	"testing"
)

// roundel is a filled circle of a colour on a transparent ground.
func roundel(label string, c color.NRGBA) *Sprite {
	img := image.NewNRGBA(image.Rect(0, 0, 32, 32))
	for y := range 32 {
		for x := range 32 {
			if dx, dy := float64(x)-15.5, float64(y)-15.5; dx*dx+dy*dy < 12*12 {
				img.SetNRGBA(x, y, c)
			}
		}
	}
	return NewSprite(Pair{Label: label, Style: "toy"}, img)
}

func near(a []float32, b [3]float32) bool {
	for i, v := range b {
		if math.Abs(float64(a[i]-v)) > .02 { // 8 bits and a resampling
			return false
		}
	}
	return true
}

func TestLayPutsThingsInTheirPlaces(t *testing.T) {
	red := roundel("disc", color.NRGBA{220, 20, 30, 255})
	const w, h = 64, 32
	pix := Lay(w, h, "yellow", Laid{Sprite: red, X: .25, Y: .5, Side: .9}, Laid{Sprite: red, X: .75, Y: .5, Side: .9, Colour: "blue"})
	at := func(x, y int) []float32 { return pix[3*(y*w+x) : 3*(y*w+x)+3] }
	ground := colours[colourIndex("yellow")].background
	if !near(at(1, 1), ground) || !near(at(32, 16), ground) {
		t.Errorf("the ground is %v and %v, want %v", at(1, 1), at(32, 16), ground)
	}
	if !near(at(16, 16), [3]float32{220. / 255, 20. / 255, 30. / 255}) {
		t.Errorf("the first thing is %v", at(16, 16))
	}
	if c := at(48, 16); classify(c[0], c[1], c[2]) != colourIndex("blue") {
		t.Errorf("the second thing is %v, want blue", c)
	}
	if !red.Has("red") || red.Has("blue") || red.Has("no colour") || !red.Takes() {
		t.Error("a red disc is not red, or cannot be painted")
	}
	if !roundel("green disc", color.NRGBA{220, 20, 30, 255}).Has("green") {
		t.Error("a thing's name does not count for its colour")
	}
}

func TestPortrait(t *testing.T) {
	red := roundel("disc", color.NRGBA{220, 20, 30, 255})
	pix, covered := Portrait(red, 40)
	n := 0
	for i, in := range covered {
		if in {
			n++
		} else if i == 0 && !near(pix, [3]float32{1, 1, 1}) {
			t.Errorf("the ground is %v", pix[:3])
		}
	}
	// A circle of radius 12 of 32, drawn .9 of 40 wide, has 573 pixels; its edge some 80, of which a few may go either way.
	if n < 540 || n > 606 {
		t.Errorf("%d pixels are covered, want some 573", n)
	}
	for _, s := range ShapeSprites() {
		pix, covered := Portrait(s, 32)
		for i, in := range covered {
			if c := classify(pix[3*i], pix[3*i+1], pix[3*i+2]); in && (c == 0 || c == 1) || !in && c == 1 {
				t.Fatalf("pixel %d of shape %s is %v, covered %v", i, s.Label, pix[3*i:3*i+3], in)
			}
		}
	}
}
