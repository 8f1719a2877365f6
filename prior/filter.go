package prior

import (
	"cmp"
	"math"
	"slices"

	"github.com/smalti/smalti/rng"
)

var never = float32(math.Inf(-1))

// TopK puts all logits below the k-th largest to minus infinity, in place (mingpt's top_k_logits). Logits that equal it
// stay, so there may be more than k. k below 1 changes nothing.
func TopK(logits []float32, k int) {
	if k < 1 || k >= len(logits) {
		return
	}
	sorted := slices.Clone(logits)
	slices.Sort(sorted)
	for i, x := range logits {
		if x < sorted[len(sorted)-k] {
			logits[i] = never
		}
	}
}

// TopP keeps the likeliest codes whose probabilities together exceed p, with the one that exceeds it, and puts the
// others to minus infinity, in place (nucleus sampling, Holtzman et al. 2019, arXiv:1904.09751). Of equal logits the first
// stays. p of 1 and more, or of 0 and less, changes nothing.
func TopP(logits []float32, p float64) {
	if p <= 0 || p >= 1 {
		return
	}
	order := make([]int, len(logits))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(logits[b], logits[a]) })
	probs := Probabilities(logits)
	sum := 0.
	for _, i := range order {
		if sum > p {
			logits[i] = never
		}
		sum += probs[i]
	}
}

// Probabilities is the softmax of logits, summed in order.
func Probabilities(logits []float32) []float64 {
	largest := float64(slices.Max(logits))
	out, sum := make([]float64, len(logits)), 0.
	for i, x := range logits {
		out[i] = math.Exp(float64(x) - largest)
		sum += out[i]
	}
	for i := range out {
		out[i] /= sum
	}
	return out
}

// Likeliest is the code of the largest logit, the first of equals.
func Likeliest(logits []float32) int32 {
	best := 0
	for i, x := range logits {
		if x > logits[best] {
			best = i
		}
	}
	return int32(best)
}

// Choice says how a code is chosen by its logits, in this order: divide by the temperature, TopK, TopP, draw.
type Choice struct {
	Temperature float64 // below 1 keeps to the likely; 0 takes the likeliest code and draws nothing
	TopK        int     // 0 for all
	TopP        float64 // 0 or 1 for all
}

// pick chooses a code. logits are changed. u in [0,1) decides.
func (c Choice) pick(logits []float32, u float64) int32 {
	if c.Temperature == 0 {
		return Likeliest(logits)
	}
	for i, x := range logits {
		logits[i] = float32(float64(x) / c.Temperature)
	}
	TopK(logits, c.TopK)
	TopP(logits, c.TopP)
	sum, last := 0., 0
	for i, p := range Probabilities(logits) {
		if p == 0 {
			continue
		}
		if sum += p; u < sum {
			return int32(i)
		}
		last = i // the sum may end a rounding below 1
	}
	return int32(last)
}

// guide moves logits away from those without the condition, in place: without + g (with - without) (Ho and Salimans 2022,
// arXiv:2207.12598, equation 6 with g = 1 + w).
func guide(with, without []float32, g float64) {
	for i, u := range without {
		with[i] = float32(float64(u) + g*(float64(with[i])-float64(u)))
	}
}

// uniform is the number that decides the code at a position of a picture: a function of the seed and of both, so that
// neither the order in which positions are drawn nor what else is drawn beside them matters.
func uniform(seed uint64, picture, position int) float64 {
	return rng.New(seed, "prior/code", uint64(picture), uint64(position)).Float64()
}
