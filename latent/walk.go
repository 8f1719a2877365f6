package latent

import (
	"math"

	"github.com/smalti/smalti/rng"
)

// Walk is a smooth random path through latents that returns to where it began: each number is a sum of harmonics with
// random phases and strengths, finer ones weaker. It starts and ends at exactly zero, to be added to a latent.
type Walk struct {
	Seed      uint64
	Harmonics int // 1 is a plain circle around a random centre; more wander; below 1 means 3
}

// strengths of the harmonics, with squares that sum to 1: 1/h.
func (w Walk) strengths() []float64 {
	n := w.Harmonics
	if n < 1 {
		n = 3
	}
	out := make([]float64, n)
	sum := 0.0
	for h := range out {
		out[h] = 1 / float64(h+1)
		sum += out[h] * out[h]
	}
	for h := range out {
		out[h] /= math.Sqrt(sum)
	}
	return out
}

// At returns z plus scale times the walk at time t of a period of 1: z itself at 0 and 1. Each number of the walk before
// its start was subtracted is normal with standard deviation 1 at every time; the draws are keyed by the seed and do not
// depend on t.
func (w Walk) At(z Grid, scale, t float64) Grid {
	out := z.Clone()
	t -= math.Floor(t)
	if t == 0 || scale == 0 {
		return out
	}
	s := rng.New(w.Seed, "latent/walk")
	strengths := w.strengths()
	cos, sin := make([]float64, len(strengths)), make([]float64, len(strengths))
	for h := range strengths {
		sin[h], cos[h] = math.Sincos(2 * math.Pi * float64(h+1) * t)
	}
	for i := range out.Data {
		step := 0.0
		for h, k := range strengths {
			a, b := s.Normal(), s.Normal()
			step += k * (a*(cos[h]-1) + b*sin[h])
		}
		out.Data[i] += float32(scale * step)
	}
	return out
}
