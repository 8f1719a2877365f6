package clip

import (
	"context"
	"errors"
	"image"
	"image/color"
	"math"
	"testing"

	"github.com/smalti/smalti/rng"
	"github.com/smalti/smalti/weights"
)

// noise is a picture of random colours.
func noise(seed uint64, w, h int) image.Image {
	img := image.NewNRGBA(image.Rect(0, 0, w, h))
	s := rng.New(seed, "test noise")
	for y := range h {
		for x := range w {
			img.Set(x, y, color.NRGBA{uint8(s.IntN(256)), uint8(s.IntN(256)), uint8(s.IntN(256)), 255})
		}
	}
	return img
}

// near compares features that went through a tower in batches of different sizes, whose sums may differ in order.
func near(t *testing.T, what string, got, want []float32) {
	t.Helper()
	if len(got) != len(want) || len(got) == 0 {
		t.Fatalf("%s: %d features, want %d", what, len(got), len(want))
	}
	for i := range want {
		if math.Abs(float64(got[i]-want[i])) > 1e-5*(1+math.Abs(float64(want[i]))) {
			t.Errorf("%s: feature %d is %g, want %g", what, i, got[i], want[i])
			return
		}
	}
}

func TestBatches(t *testing.T) {
	ctx, m := context.Background(), tinyModel(t, testEngine(t))
	var pictures []image.Image
	texts := []string{"", "a red apple", "an apple on a table, and more than fits into so short a context", "😀"}
	for i := range maxBatch + 3 {
		pictures = append(pictures, noise(uint64(i), 9+i, 12))
		texts = append(texts, string(rune('a'+i)))
	}
	images, err := m.EncodeImage(ctx, pictures...)
	if err != nil {
		t.Fatal(err)
	}
	words, err := m.EncodeText(ctx, texts...)
	if err != nil {
		t.Fatal(err)
	}
	if len(images) != len(pictures) || len(words) != len(texts) {
		t.Fatalf("%d and %d rows", len(images), len(words))
	}
	for _, i := range []int{0, maxBatch - 1, maxBatch, maxBatch + 2} {
		one, err := m.EncodeImage(ctx, pictures[i])
		if err != nil {
			t.Fatal(err)
		}
		near(t, "picture", images[i], one[0])
	}
	for i := range texts {
		one, err := m.EncodeText(ctx, texts[i])
		if err != nil {
			t.Fatal(err)
		}
		near(t, texts[i], words[i], one[0])
	}
	if Similarity(images[0], images[1]) > 1-1e-9 || Similarity(words[4], words[5]) > 1-1e-9 {
		t.Error("different things have the same features")
	}
}

func TestScoreAndClassify(t *testing.T) {
	ctx, m := context.Background(), tinyModel(t, testEngine(t))
	img := noise(1, 20, 10)
	scores, err := m.Score(ctx, img, "a red apple", "a table")
	if err != nil {
		t.Fatal(err)
	}
	features, err := m.EncodeImage(ctx, img)
	if err != nil {
		t.Fatal(err)
	}
	words, err := m.EncodeText(ctx, "a red apple", "a table")
	if err != nil {
		t.Fatal(err)
	}
	for i := range scores {
		if want := Similarity(features[0], words[i]); math.Abs(scores[i]-want) > 1e-5 {
			t.Errorf("score %d is %g, want %g", i, scores[i], want)
		}
	}
	c, err := m.NewClassifier(ctx, []string{"apple", "table"}, "a red {}", "a {}")
	if err != nil {
		t.Fatal(err)
	}
	apples, err := m.EncodeText(ctx, "a red apple", "a apple")
	if err != nil {
		t.Fatal(err)
	}
	p := c.Classify(meanDirection(apples))
	if math.Abs(p[0]+p[1]-1) > 1e-9 || !(p[0] > p[1]) {
		t.Errorf("the mean of the apples is classified %v", p)
	}
	if _, err := m.NewClassifier(ctx, nil); err == nil {
		t.Error("no labels were accepted")
	}
}

func TestUseRefusals(t *testing.T) {
	e := testEngine(t)
	m := tinyModel(t, e)
	if _, err := m.EncodeImage(context.Background(), image.NewNRGBA(image.Rect(0, 0, 0, 5))); err == nil {
		t.Error("a picture without pixels was accepted")
	}
	stopped, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := m.EncodeText(stopped, "a"); !errors.Is(err, context.Canceled) {
		t.Errorf("after cancel: %v", err)
	}
	f, err := weights.Open(goldenDir + "clip_vit_mh/model.safetensors")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	other, err := Open(e, f, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := other.EncodeText(context.Background(), "a"); !errors.Is(err, ErrNoVocab) {
		t.Errorf("a vocabulary of 512 without a list: %v", err)
	}
}

func TestInspect(t *testing.T) {
	e := testEngine(t)
	for kind, c := range tinyTowers {
		blocks, err := c.Inspect(e)
		if err != nil {
			t.Fatalf("%s: %v", kind, err)
		}
		decls, err := c.Decls(e)
		if err != nil {
			t.Fatal(err)
		}
		want, got := 0, 0
		for _, d := range decls {
			want += d.Shape().Size()
		}
		for _, b := range blocks {
			got += b.Params
			if b.Params == 0 || len(b.Out) == 0 && b.Name != "logit_scale" {
				t.Errorf("%s: block %+v", kind, b)
			}
		}
		if got != want {
			t.Errorf("%s: %d parameters in the table, %d in the model", kind, got, want)
		}
	}
	blocks, err := ViTB32().Inspect(e)
	if err != nil {
		t.Fatal(err)
	}
	total := 0
	for _, b := range blocks {
		total += b.Params
	}
	if total != 151277313 { // what the paper's code counts for ViT-B/32
		t.Errorf("ViT-B/32 has %d parameters", total)
	}
	blocks, err = RN50().Inspect(e)
	if err != nil {
		t.Fatal(err)
	}
	total = 0
	for _, b := range blocks {
		total += b.Params
	}
	if total != 102007137+53248 { // RN50's parameters, and the statistics of its normalisations, which are no parameters there
		t.Errorf("RN50 has %d parameters and statistics", total)
	}
}
