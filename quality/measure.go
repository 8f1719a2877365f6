package quality

import (
	"context"
	"fmt"
	"image"
	"image/draw"
	"math"

	"github.com/smalti/smalti/clip"
)

// Judge sees and reads; clip.Model is one. Features have any length.
type Judge interface {
	EncodeImage(ctx context.Context, pictures ...image.Image) ([][]float32, error)
	EncodeText(ctx context.Context, texts ...string) ([][]float32, error)
}

// Measurement is what the judge finds of pictures, one a prompt. Rank 1 is the best.
type Measurement struct {
	Ranks      []int   // of each picture's own caption among those of its pool
	R1, R5     float64 // share of ranks that are 1, and up to 5
	Diversity  float64 // mean of 1 - cosine over all pairs of pictures: 0 when all are alike
	Repetition float64 // mean cosine between the quarters of a picture: 1 when it is the same thing four times
}

// Measure ranks pictures: which of the captions of its pool and its own fits picture i best? which[i] is the prompt of
// picture i, an index of all.
func Measure(ctx context.Context, j Judge, all []Prompt, pools [][]int, which []int, pictures []image.Image) (Measurement, error) {
	if len(which) != len(pictures) || len(pictures) == 0 {
		return Measurement{}, fmt.Errorf("quality: %d pictures of %d prompts", len(pictures), len(which))
	}
	captions := make([]string, len(all))
	for i, p := range all {
		captions[i] = p.Caption
	}
	texts, err := j.EncodeText(ctx, captions...)
	if err != nil {
		return Measurement{}, fmt.Errorf("quality: read the captions: %w", err)
	}
	seen, err := j.EncodeImage(ctx, pictures...)
	if err != nil {
		return Measurement{}, fmt.Errorf("quality: look at the pictures: %w", err)
	}
	m := Measurement{Ranks: make([]int, len(pictures)), Diversity: diversity(seen)}
	for i, p := range which {
		m.Ranks[i] = rank(seen[i], texts, p, pools[p])
	}
	m.R1, m.R5 = Share(m.Ranks, 1), Share(m.Ranks, 5)
	m.Repetition, err = repetition(ctx, j, pictures)
	return m, err
}

// rank is the place of text own for a picture among the texts of a pool. One that fits as well as the own counts as better:
// a judge that cannot tell has not recognised anything.
func rank(picture []float32, texts [][]float32, own int, pool []int) int {
	at, place := clip.Similarity(picture, texts[own]), 1
	for _, k := range pool {
		if clip.Similarity(picture, texts[k]) >= at {
			place++
		}
	}
	return place
}

// Share is the share of ranks up to k; of none it is 0.
func Share(ranks []int, k int) float64 {
	n := 0
	for _, r := range ranks {
		if r <= k {
			n++
		}
	}
	return float64(n) / float64(max(1, len(ranks)))
}

// diversity is the mean distance of all pairs.
func diversity(seen [][]float32) float64 {
	sum, n := 0., 0
	for i := range seen {
		for k := range i {
			sum += 1 - clip.Similarity(seen[i], seen[k])
			n++
		}
	}
	return sum / float64(max(1, n))
}

// repetition looks at the quarters of pictures.
func repetition(ctx context.Context, j Judge, pictures []image.Image) (float64, error) {
	sum := 0.
	for _, p := range pictures {
		quarters, err := j.EncodeImage(ctx, quarters(p)...)
		if err != nil {
			return 0, fmt.Errorf("quality: look at quarters: %w", err)
		}
		sum += 1 - diversity(quarters)
	}
	return sum / float64(len(pictures)), nil
}

func quarters(img image.Image) []image.Image {
	b := img.Bounds()
	w, h := max(1, b.Dx()/2), max(1, b.Dy()/2)
	var out []image.Image
	for _, at := range []image.Point{{}, {X: b.Dx() - w}, {Y: b.Dy() - h}, {X: b.Dx() - w, Y: b.Dy() - h}} {
		q := image.NewNRGBA(image.Rect(0, 0, w, h))
		draw.Draw(q, q.Rect, img, b.Min.Add(at), draw.Src)
		out = append(out, q)
	}
	return out
}

// Mean and SE are the mean of numbers and its standard error, s/sqrt(n) with n-1 in s; SE of fewer than two is not a number.
func Mean(x []float64) float64 {
	sum := 0.
	for _, v := range x {
		sum += v
	}
	return sum / float64(len(x))
}

// SE is described at Mean.
func SE(x []float64) float64 {
	m, sum := Mean(x), 0.
	for _, v := range x {
		sum += (v - m) * (v - m)
	}
	n := float64(len(x))
	return math.Sqrt(sum / (n - 1) / n)
}

// Difference is how one way of painting does against another, prompt by prompt.
type Difference struct{ Mean, SE float64 }

// Compare is the mean of b - a over prompts with its standard error. Pairs leave out what is hard about a prompt for both.
func Compare(a, b []float64) Difference {
	d := make([]float64, len(a))
	for i := range a {
		d[i] = b[i] - a[i]
	}
	return Difference{Mean(d), SE(d)}
}

// Hits are 1 for ranks up to k and 0 for the others.
func Hits(ranks []int, k int) []float64 {
	out := make([]float64, len(ranks))
	for i, r := range ranks {
		if r <= k {
			out[i] = 1
		}
	}
	return out
}
