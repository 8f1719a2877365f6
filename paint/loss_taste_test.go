package paint

import (
	"math"
	"testing"
)

// The gradient against central differences. Embeddings are float32, so the step is large; the error left is of third order.
func TestTasteGradient(t *testing.T) {
	const n, d = 3, 5
	taste := Taste{Label: "taste", Encoder: 1, Weight: NoiseEmbedding(1, d), Bias: 0.3, Scale: -0.7}
	data := NoiseEmbedding(2, n*d)
	value := func(data []float32) float64 {
		return taste.Loss(Embeddings{Encoder: 1, N: n, D: d, Data: data}, make([]float64, n*d))
	}
	grad := make([]float64, n*d)
	if v := taste.Loss(Embeddings{Encoder: 1, N: n, D: d, Data: data}, grad); v == 0 {
		t.Error("no loss")
	}
	for i := range data {
		const step = 1e-2
		up, down := append([]float32(nil), data...), append([]float32(nil), data...)
		up[i] += step
		down[i] -= step
		slope := (value(up) - value(down)) / (float64(up[i]) - float64(down[i]))
		if math.Abs(slope-grad[i]) > 2e-4 {
			t.Errorf("gradient %d is %v, want %v", i, grad[i], slope)
		}
	}
	if v := taste.Loss(Embeddings{Encoder: 0, N: n, D: d, Data: data}, make([]float64, n*d)); v != 0 {
		t.Errorf("another encoder's embeddings lose %v", v)
	}
	constant := Taste{Encoder: 1, Weight: make([]float32, d), Bias: 2, Scale: 3}
	if v := constant.Loss(Embeddings{Encoder: 1, N: n, D: d, Data: data}, make([]float64, n*d)); math.Abs(v+6) > 1e-12 {
		t.Errorf("a bias alone gives %v, want -6", v)
	}
}

// Along a head's direction the picture comes to be scored higher, and the term says by how much.
func TestTasteIsFollowed(t *testing.T) {
	cfg := toyConfig(t, "updated")
	for i := range cfg.Targets {
		cfg.Targets[i].Weight = 1e-3
	}
	cfg.Embedding = []EmbeddingLoss{Taste{Label: "taste", Weight: NoiseEmbedding(5, toyWidth), Scale: 1}}
	p := begun(t, cfg)
	taste := func(r Report) float64 {
		for _, term := range r.Terms {
			if term.Name == "taste" {
				return term.Value
			}
		}
		t.Fatalf("no term of the taste in %v", r.Terms)
		return 0
	}
	first, last := taste(advance(t, p, 1)), taste(advance(t, p, 40))
	if !(last < first-0.3) { // scores of unit directions by a head of length 3
		t.Errorf("the taste's loss went from %v to %v", first, last)
	}
}
