package quality

import (
	"context"
	"image"
	"image/color"
	"math"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/smalti/smalti/dataset"
)

// eyes see the red and green of a picture's first pixel and read two numbers of each caption.
type eyes map[string][2]float32

func (e eyes) EncodeImage(_ context.Context, pictures ...image.Image) ([][]float32, error) {
	var out [][]float32
	for _, p := range pictures {
		c := color.NRGBAModel.Convert(p.At(p.Bounds().Min.X, p.Bounds().Min.Y)).(color.NRGBA)
		out = append(out, []float32{float32(c.R), float32(c.G)})
	}
	return out, nil
}

func (e eyes) EncodeText(_ context.Context, texts ...string) ([][]float32, error) {
	var out [][]float32
	for _, t := range texts {
		v := e[t]
		out = append(out, v[:])
	}
	return out, nil
}

func flat(r, g uint8) image.Image {
	img := image.NewNRGBA(image.Rect(0, 0, 4, 4))
	for i := 0; i < len(img.Pix); i += 4 {
		copy(img.Pix[i:], []uint8{r, g, 0, 255})
	}
	return img
}

func prompts(captions ...string) []Prompt {
	var out []Prompt
	for _, c := range captions {
		out = append(out, newPrompt("", c))
	}
	return out
}

func TestMeasureRanksByHand(t *testing.T) {
	all := prompts("a cat", "a dog", "a hen", "a red cat")
	e := eyes{"a cat": {1, 0}, "a dog": {0, 1}, "a hen": {1, 1}, "a red cat": {1, .01}}
	pools := Pools(all, 1, 99)
	// The cat is nearest to its caption. The "dog" is a cat: hen before it, cat first. "A hen" looks like one.
	m, err := Measure(context.Background(), e, all, pools, []int{0, 1, 2}, []image.Image{flat(200, 0), flat(200, 10), flat(90, 90)})
	if err != nil {
		t.Fatal(err)
	}
	if want := []int{1, 4, 1}; !reflect.DeepEqual(m.Ranks, want) {
		t.Errorf("ranks %v, want %v", m.Ranks, want)
	}
	if m.R1 != 2./3 || m.R5 != 1 {
		t.Errorf("R@1 %v, R@5 %v", m.R1, m.R5)
	}
	near := func(got, want float64) bool { return math.Abs(got-want) < 1e-6 } // a few roundings of float32
	cos := func(a, b, c, d float64) float64 { return (a*c + b*d) / math.Hypot(a, b) / math.Hypot(c, d) }
	if want := 1 - (cos(200, 0, 200, 10)+cos(200, 0, 90, 90)+cos(200, 10, 90, 90))/3; !near(m.Diversity, want) {
		t.Errorf("diversity %v, want %v", m.Diversity, want)
	}
	if !near(m.Repetition, 1) {
		t.Errorf("repetition of flat pictures is %v", m.Repetition)
	}
	halves := flat(200, 0).(*image.NRGBA)
	for y := range 4 {
		for x := 2; x < 4; x++ {
			halves.SetNRGBA(x, y, color.NRGBA{0, 200, 0, 255})
		}
	}
	got, err := repetition(context.Background(), e, []image.Image{halves})
	if want := 2. / 6; err != nil || !near(got, want) { // of six pairs two are alike, the others at right angles
		t.Errorf("repetition of two halves %v, want %v, %v", got, want, err)
	}
}

func TestTiesCountAgainstThePicture(t *testing.T) {
	texts := [][]float32{{1, 0}, {2, 0}, {0, 1}} // the first two point the same way
	if r := rank([]float32{1, 0}, texts, 0, []int{1, 2}); r != 2 {
		t.Errorf("rank %d with a tie", r)
	}
	if r := rank([]float32{0, 0}, texts, 0, []int{1, 2}); r != 3 { // nothing seen: all are as good
		t.Errorf("rank %d of nothing", r)
	}
}

func TestPoolsHoldOtherThingsOnly(t *testing.T) {
	all := Default()
	a, b, c := Pools(all, 7, 99), Pools(all, 7, 99), Pools(all, 8, 99)
	if !reflect.DeepEqual(a, b) || reflect.DeepEqual(a, c) {
		t.Error("a pool is a function of the seed, and another seed gives another")
	}
	for i, pool := range a {
		if len(pool) != 99 {
			t.Errorf("%q has %d others", all[i].Caption, len(pool))
		}
		for n, k := range pool {
			if all[i].related(all[k]) || slices.Contains(pool[:n], k) {
				t.Errorf("%q competes with %q", all[i].Caption, all[k].Caption)
			}
		}
	}
	for _, c := range []struct {
		a, b string
		want bool
	}{{"a red apple", "a blue apple on a white background", true}, {"two bananas", "a banana", true}, {"a bear", "a teddy bear", true},
		{"a red apple", "a red car", false}, {"a hat above a tree", "a tree", true}, {"a hat above a tree", "a car above a cat", false}, {"red", "blue", false}} {
		if p := prompts(c.a, c.b); p[0].related(p[1]) != c.want || p[1].related(p[0]) != c.want {
			t.Errorf("%q and %q: want related %v", c.a, c.b, c.want)
		}
	}
}

func TestDefaultPromptsAreWishes(t *testing.T) {
	count := map[string]int{}
	for _, p := range Default() {
		count[p.Class]++
		w, ok := dataset.ReadWish(p.Caption)
		if !ok || (p.Class == Two) != (len(w.Things) == 2) || p.Class == Colour && w.Things[0].Colour == "" {
			t.Errorf("%s %q is read as %+v", p.Class, p.Caption, w)
		}
	}
	if count[Seen] < 100 || count[Colour] < 40 || count[Two] < 40 || len(count) != 3 {
		t.Errorf("%v", count)
	}
}

func TestCompareIsPaired(t *testing.T) {
	// Hard for both or easy for both does not matter: each prompt is better by 1 or 0.
	got := Compare(Hits([]int{9, 1, 7, 3}, 1), Hits([]int{1, 1, 1, 8}, 1))
	if want := (Difference{.5, math.Sqrt(1. / 3 / 4)}); math.Abs(got.Mean-want.Mean) > 1e-12 || math.Abs(got.SE-want.SE) > 1e-12 {
		t.Errorf("%+v, want %+v", got, want)
	}
}

func TestReadAndSpread(t *testing.T) {
	got, err := Read(strings.NewReader("a cat\n\n a dog \na cat\n"))
	if err != nil || len(got) != 2 || got[1].Caption != "a dog" {
		t.Errorf("%v, %v", got, err)
	}
	if got := Spread(Default(), 3); !reflect.DeepEqual(got, []int{0, 63, 126}) {
		t.Errorf("spread %v", got)
	}
	if got := Spread(prompts("a", "b"), 9); len(got) != 2 {
		t.Errorf("spread %v", got)
	}
}
