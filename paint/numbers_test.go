package paint

import (
	"math"
	"testing"
)

func TestSchedule(t *testing.T) {
	points := []Point{{10, 4}, {20, 2}, {40, 6}}
	for _, c := range []struct {
		shape Shape
		step  int
		want  float64
	}{
		{Hold, 0, 4}, {Hold, 10, 4}, {Hold, 19, 4}, {Hold, 20, 2}, {Hold, 99, 6}, {"", 19, 4},
		{Linear, 0, 4}, {Linear, 15, 3}, {Linear, 30, 4}, {Linear, 99, 6},
		{Cosine, 10, 4}, {Cosine, 15, 3}, {Cosine, 20, 2}, {Cosine, 25, 2 + 2*(1-math.Sqrt2/2)}, {Cosine, 40, 6},
	} {
		if got := (Schedule{c.shape, points}).At(c.step); math.Abs(got-c.want) > 1e-12 {
			t.Errorf("%s at %d: %v, want %v", c.shape, c.step, got, c.want)
		}
	}
	restarts := CosineRestarts(1, 0, 2, 10) // 0..4 and 5..9
	for step, want := range map[int]float64{0: 1, 2: 0.5, 4: 0, 5: 1, 7: 0.5, 9: 0, 12: 0} {
		if got := restarts.At(step); math.Abs(got-want) > 1e-12 {
			t.Errorf("restarts at %d: %v, want %v", step, got, want)
		}
	}
	for _, s := range []Schedule{CosineRestarts(1, 0, 10, 10), CosineRestarts(1, 0, 7, 3)} {
		if err := s.check("test"); err != nil {
			t.Error(err)
		}
	}
	if (Schedule{}).At(3) != 0 || Const(5).At(100) != 5 {
		t.Error("constants are not constant")
	}
	for _, s := range []Schedule{{Shape: "zigzag"}, {Points: []Point{{3, 1}, {3, 2}}}, Const(math.NaN())} {
		if s.check("test") == nil {
			t.Errorf("%+v was accepted", s)
		}
	}
}

// TestOptimisersDescend: every kind finds the minimum of a quadratic bowl, and two of a kind do the same. Their steps
// are held against PyTorch's in tools/parity.
func TestOptimisersDescend(t *testing.T) {
	for _, kind := range Optimisers {
		run := func() []float32 {
			o, err := NewOptimiser(OptimiserConfig{Kind: kind}, 2)
			if err != nil {
				t.Fatal(err)
			}
			p := []float32{1, -2}
			for i := range 400 {
				rate := 0.1
				if kind == "adagrad" {
					rate = 0.5
				}
				o.Step(p, []float32{p[0], 3 * p[1]}, rate*(1-float64(i)/400))
			}
			return p
		}
		p, q := run(), run()
		if math.Hypot(float64(p[0]), float64(p[1])) > 0.02 {
			t.Errorf("%s ends at %v", kind, p)
		}
		if p[0] != q[0] || p[1] != q[1] {
			t.Errorf("%s: two runs end at %v and %v", kind, p, q)
		}
	}
}

func TestOptimiserReset(t *testing.T) {
	for _, kind := range Optimisers {
		fresh, _ := NewOptimiser(OptimiserConfig{Kind: kind}, 1)
		used, _ := NewOptimiser(OptimiserConfig{Kind: kind}, 1)
		used.Step([]float32{1}, []float32{3}, 0.1)
		used.Reset()
		a, b := []float32{1}, []float32{1}
		fresh.Step(a, []float32{0.5}, 0.1)
		used.Step(b, []float32{0.5}, 0.1)
		if a[0] != b[0] {
			t.Errorf("%s: %v after a reset, %v from new", kind, b[0], a[0])
		}
	}
}

// TestSharedLossGradient holds the gradient of the loss over all embeddings against central differences in float64.
// Embeddings are float32, so the step is large; the error left is of third order.
func TestSharedLossGradient(t *testing.T) {
	const n, d = 3, 5
	stop := 0.0
	targets := []Target{{Embedding: NoiseEmbedding(1, 2*d), Weight: 1.5}, {Embedding: NoiseEmbedding(2, d), Weight: -0.7},
		{Embedding: NoiseEmbedding(3, d), Weight: -1, Stop: &stop}}
	data := NoiseEmbedding(4, n*d)
	for _, share := range []float64{0, 0.3, 1} {
		value := func(targets []Target, data []float32, grad []float64) float64 {
			v, err := TargetsLoss(Embeddings{N: n, D: d, Data: data}, targets, share, grad)
			if err != nil {
				t.Fatal(err)
			}
			return v
		}
		grad := make([]float64, n*d)
		value(targets, data, grad)
		// The third target's signed distance is below its stop 0 everywhere: it is in the value, not in the gradient.
		for i := range data {
			const step = 1e-2
			up, down := append([]float32(nil), data...), append([]float32(nil), data...)
			up[i] += step
			down[i] -= step
			width := float64(up[i]) - float64(down[i])
			slope := (value(targets[:2], up, make([]float64, n*d)) - value(targets[:2], down, make([]float64, n*d))) / width
			if math.Abs(slope-grad[i]) > 2e-4 {
				t.Errorf("share %v: gradient %d is %v, want %v", share, i, grad[i], slope)
			}
		}
	}
}

// TestShareOfEqualEmbeddings: when all cuts look the same, the mean looks like each, and the share changes nothing.
func TestShareOfEqualEmbeddings(t *testing.T) {
	const n, d = 4, 5
	one := NoiseEmbedding(4, d)
	var data []float32
	for range n {
		data = append(data, one...)
	}
	targets := []Target{{Embedding: NoiseEmbedding(1, 2*d), Weight: 1.5}}
	var want float64
	for i, share := range []float64{0, 0.3, 1} {
		got, err := TargetsLoss(Embeddings{N: n, D: d, Data: data}, targets, share, make([]float64, n*d))
		if err != nil {
			t.Fatal(err)
		}
		if i == 0 {
			want = got
		}
		if math.Abs(got-want) > 1e-9 || got == 0 {
			t.Errorf("share %v: loss %v, want %v", share, got, want)
		}
	}
}
