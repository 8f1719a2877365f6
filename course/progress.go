package course

import (
	"math"
	"slices"

	"github.com/smalti/smalti/track/curve"
)

// Course is how a training of a GAN went, in the numbers of its journal. A number that the journal does not have is -1.
type Course struct {
	Steps int `json:"steps"`

	EstimatePeak float64 `json:"estimate_peak"` // largest smoothed estimate of the critic
	EstimateEnd  float64 `json:"estimate_end"`  // and the largest of the last fifth
	MixedEnd     float64 `json:"mixed_end"`     // mean norm of the critic's gradient at mixed pictures, last fifth

	DistanceEarly float64 `json:"distance_early"` // at the first evaluation at step EarlyStep or later
	EarlyStep     int     `json:"early_step"`
	DistanceEnd   float64 `json:"distance_end"`  // at the last evaluation
	DistanceBest  float64 `json:"distance_best"` // smallest of all
	ModesEnd      float64 `json:"modes_end"`     // classes covered at the last evaluation
	ModesLeast    float64 `json:"modes_least"`   // and fewest over the evaluations of the second half
}

// smoothing of the critic's estimate: the weight of the past in a moving average over reports.
const smoothing = .9

// earlyStep is when a training has made a first picture of anything.
const earlyStep = 100

// ReadCourse reads how the training in a folder went.
func ReadCourse(dir string) (Course, error) {
	h, err := readHistory(dir)
	if err != nil {
		return Course{}, err
	}
	c := Course{Steps: h.Steps, EstimatePeak: -1, EstimateEnd: -1, MixedEnd: -1, DistanceEarly: -1, EarlyStep: -1, DistanceEnd: -1, DistanceBest: -1, ModesEnd: -1, ModesLeast: -1}
	if w := h.Values["critic.wasserstein"]; w != nil {
		s := Series{Step: w.Step, Y: curve.Smooth(w.Y, smoothing)}
		c.EstimatePeak = slices.Max(s.Y)
		if end := s.since(.8, h.Steps); len(end) > 0 {
			c.EstimateEnd = slices.Max(end)
		}
	}
	if end := h.Values["critic.norm_mixed"].since(.8, h.Steps); len(end) > 0 {
		c.MixedEnd = mean(end)
	}
	if d := h.Scores["distance"]; d != nil {
		c.DistanceEnd, c.DistanceBest = d.Y[len(d.Y)-1], slices.Min(d.Y)
		if i := slices.IndexFunc(d.Step, func(s float64) bool { return s >= earlyStep }); i >= 0 {
			c.DistanceEarly, c.EarlyStep = d.Y[i], int(math.Round(d.Step[i]))
		}
	}
	if m := h.Scores["modes"]; m != nil {
		c.ModesEnd, c.ModesLeast = m.Y[len(m.Y)-1], least(m.since(.5, h.Steps))
	}
	return c, nil
}
