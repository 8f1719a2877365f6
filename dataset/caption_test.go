package dataset

import (
	"image"
	"slices"
	"testing"

	"github.com/smalti/smalti/rng"
)

// disc is a sprite of a disc of one colour with a shaded border.
func disc(label, concept, style string, r, g, b uint8) *Sprite {
	const n = 32
	img := image.NewNRGBA(image.Rect(0, 0, n, n))
	for y := range n {
		for x := range n {
			dx, dy := float64(x)-15.5, float64(y)-15.5
			if d := dx*dx + dy*dy; d < 14*14 {
				k := 1 - d/(14*14)*.25
				i := img.PixOffset(x, y)
				img.Pix[i], img.Pix[i+1], img.Pix[i+2], img.Pix[i+3] = uint8(float64(r)*k), uint8(float64(g)*k), uint8(float64(b)*k), 255
			}
		}
	}
	return newSprite(Pair{File: style + "/" + concept + ".png", Style: style, Licence: "MIT", Label: label,
		Tags: []string{"fruit"}, Group: "food & drink", Concept: concept}, img)
}

func TestThingWords(t *testing.T) {
	apple := disc("red apple", "red apple", "noto", 220, 30, 30)
	ox := disc("ox", "ox", "noto", 120, 80, 40)
	grapes := disc("grapes", "grapes", "noto", 130, 40, 180)
	none := -1
	for _, c := range []struct {
		t                   thing
		noun, phrase, three string
	}{
		{thing{apple, none, none, ""}, "red apple", "a red apple", "three red apples"},
		{thing{apple, colourIndex("blue"), colourIndex("blue"), ""}, "blue apple", "a blue apple", "three blue apples"},
		{thing{apple, colourIndex("orange"), colourIndex("orange"), ""}, "orange apple", "an orange apple", "three orange apples"},
		{thing{ox, none, none, ""}, "ox", "an ox", "three oxen"},
		{thing{ox, none, colourIndex("brown"), ""}, "brown ox", "a brown ox", "three brown oxen"},
		{thing{grapes, colourIndex("green"), colourIndex("green"), ""}, "green grapes", "green grapes", "three green grapes"},
		{thing{ox, none, colourIndex("gray"), "small"}, "small gray ox", "a small gray ox", "three small gray oxen"},
	} {
		if got := c.t.noun(); got != c.noun {
			t.Errorf("noun = %q, want %q", got, c.noun)
		}
		if got := c.t.phrase(); got != c.phrase {
			t.Errorf("phrase = %q, want %q", got, c.phrase)
		}
		if got := c.t.several(3); got != c.three {
			t.Errorf("several = %q, want %q", got, c.three)
		}
	}
}

// allCaptions collects every caption that many streams give.
func allCaptions(make func(c captioner) string, bg string) []string {
	seen := map[string]bool{}
	for i := range uint64(3000) {
		seen[make(captioner{s: rng.New(1, "caption", i), bg: colourIndex(bg)})] = true
	}
	return sortedKeys(seen)
}

func TestCaptionGrammar(t *testing.T) {
	apple := thing{disc("red apple", "red apple", "fluent3d", 220, 30, 30), -1, -1, ""}
	ox := thing{disc("ox", "ox", "noto", 120, 80, 40), -1, -1, ""}
	for _, c := range []struct {
		name string
		make func(c captioner) string
		want []string
	}{
		{"single", func(c captioner) string { return c.single(apple, "") }, []string{
			"a 3d render of a red apple", "a 3d render of a red apple on an orange background", "a 3d render of a red apple, orange background",
			"a picture of a red apple", "a picture of a red apple on an orange background", "a picture of a red apple, orange background",
			"a red apple", "a red apple on an orange background", "a red apple, orange background",
			"red apple, fruit", "red apple, fruit on an orange background", "red apple, fruit, orange background",
		}},
		{"pair", func(c captioner) string { return c.pair(ox, apple, "above") }, []string{
			"a red apple and an ox", "a red apple and an ox on an orange background", "a red apple and an ox, orange background",
			"a red apple below an ox", "a red apple below an ox on an orange background", "a red apple below an ox, orange background",
			"an ox above a red apple", "an ox above a red apple on an orange background", "an ox above a red apple, orange background",
			"an ox and a red apple", "an ox and a red apple on an orange background", "an ox and a red apple, orange background",
		}},
		{"side", func(c captioner) string { c.bg = 0; return firstWords(c.pair(ox, apple, "left")) }, []string{
			"a red apple and an ox", "a red apple next to an ox", "a red apple to the right of an ox",
			"an ox and a red apple", "an ox next to a red apple", "an ox to the left of a red apple",
		}},
		{"counted", func(c captioner) string { return c.counted(ox, 2) }, []string{
			"two oxen", "two oxen on an orange background", "two oxen, orange background",
		}},
	} {
		if got := allCaptions(c.make, "orange"); !slices.Equal(got, c.want) {
			t.Errorf("%s: captions\n%q\nwant\n%q", c.name, got, c.want)
		}
	}
}

// firstWords drops the background from a caption about white.
func firstWords(s string) string {
	for _, end := range []string{" on a white background", ", white background"} {
		if n := len(s) - len(end); n > 0 && s[n:] == end {
			return s[:n]
		}
	}
	return s
}
