package course

import (
	"context"
	"math"
	"path/filepath"
	"slices"
	"time"

	"github.com/smalti/smalti/train"
)

// Report is the comparison: its numbers are those of report.json.
type Report struct {
	Data    string        `json:"data"`
	Seed    uint64        `json:"seed"`
	Budget  time.Duration `json:"budget_ns,omitempty"`
	Samples int           `json:"samples"`
	Sides   []Side        `json:"sides"`

	scale float64 // of the figures
}

// Side is what was found out about one training.
type Side struct {
	Name  string `json:"name"`
	Title string `json:"title"`
	Steps int    `json:"steps"` // of the generator

	Final map[string]float64 `json:"final"` // measures of Report.Samples pictures at the end

	LeastModes float64 `json:"least_modes"` // over the evaluations of the second half
	Swing      float64 `json:"swing"`       // mean change of the generator's loss from report to report, over its mean size, second half
	Saturated  float64 `json:"saturated"`   // mean share of pictures that the discriminator is sure of, last fifth; -1 where there are no logits
	PullStart  float64 `json:"pull_start"`  // median norm of the generator's gradient, first fifth
	PullEnd    float64 `json:"pull_end"`    // and last fifth

	LossTells     float64 `json:"loss_tells"`     // rank correlation of the generator's loss with the distance, over evaluations
	EstimateTells float64 `json:"estimate_tells"` // and of the judge's own loss, or of the critic's estimate of the distance

	NormReal  float64 `json:"norm_real"` // mean norms of the judge's gradient at the end
	NormFake  float64 `json:"norm_fake"`
	NormMixed float64 `json:"norm_mixed"`

	Sheets []Sheet `json:"sheets"` // the same noise over time

	history *History
	judge   string // name of the judge's phase
}

// Sheet is a picture of a run.
type Sheet struct {
	Share float64 `json:"share"` // of the run
	Step  int     `json:"step"`
	File  string  `json:"file"` // in the folder of the report
	path  string
}

// sheetShares stand for the course's epochs 1, 10, 80 and 100 of 100.
var sheetShares = []float64{.01, .1, .8, 1}

// finding measures a finished training.
func (o Options) finding(ctx context.Context, c contestant) (Side, error) {
	dir := filepath.Join(o.Dir, c.Name)
	h, err := readHistory(dir)
	if err != nil {
		return Side{}, err
	}
	s := Side{Name: c.Name, Title: c.Title, Steps: h.Steps, history: h, judge: "discriminator", Saturated: -1}
	if c.cfg.Game == train.WGANGP {
		s.judge = "critic"
	}
	if s.Final, err = train.MeasureGAN(ctx, filepath.Join(dir, train.ModelFile), c.cfg, o.Samples); err != nil {
		return Side{}, err
	}
	s.judgeHistory()
	for _, share := range sheetShares {
		path, step, err := frame(dir, share*float64(h.Steps))
		if err != nil {
			return Side{}, err
		}
		s.Sheets = append(s.Sheets, Sheet{Share: share, Step: step, path: path})
	}
	return s, nil
}

// estimate is the name of the judge's figure that may tell of quality: the critic's estimate of the distance, or the loss.
func (s *Side) estimate() string {
	if s.judge == "critic" {
		return "critic.wasserstein"
	}
	return s.judge + ".loss"
}

func (s *Side) judgeHistory() {
	h := s.history
	loss := h.Values["generator.loss"]
	s.LeastModes = least(h.Scores["modes"].since(.5, h.Steps))
	s.Swing = swing(loss.since(.5, h.Steps))
	if sat := h.Values["generator.saturated"].since(.8, h.Steps); len(sat) > 0 {
		s.Saturated = mean(sat)
	}
	pull := h.Values["generator.gradient_norm"]
	s.PullStart, s.PullEnd = median(pull.until(.2, h.Steps)), median(pull.since(.8, h.Steps))
	s.LossTells, s.EstimateTells = s.tells("generator.loss"), s.tells(s.estimate())
	last := func(name string) float64 {
		if x := h.Scores[name]; x != nil {
			return x.Y[len(x.Y)-1]
		}
		return 0
	}
	s.NormReal, s.NormFake, s.NormMixed = last("norm_real"), last("norm_fake"), last("norm_mixed")
}

// tells is the rank correlation of a figure with the distance of the evaluations.
func (s *Side) tells(name string) float64 { return rankCorrelation(s.pairs(name)) }

// pairs are the values of a figure, averaged over the steps before each evaluation, and the distances there.
func (s *Side) pairs(name string) (values, distances []float64) {
	d := s.history.Scores["distance"]
	if d == nil || len(d.Step) < 3 {
		return nil, nil
	}
	window := d.Step[1] - d.Step[0]
	for i, step := range d.Step {
		if v, ok := s.history.Values[name].at(step, window); ok {
			values, distances = append(values, v), append(distances, d.Y[i])
		}
	}
	return values, distances
}

// rankCorrelation is Spearman's: the correlation of the ranks, 0 where there is none to speak of.
func rankCorrelation(x, y []float64) float64 {
	if len(x) < 3 {
		return 0
	}
	a, b := ranks(x), ranks(y)
	ma, mb := mean(a), mean(b)
	var aa, bb, ab float64
	for i := range a {
		p, q := a[i]-ma, b[i]-mb
		aa, bb, ab = aa+p*p, bb+q*q, ab+p*q
	}
	if aa == 0 || bb == 0 {
		return 0
	}
	return ab / math.Sqrt(aa*bb)
}

// ranks are the places of values in their order; equal values share the mean of theirs.
func ranks(x []float64) []float64 {
	out := make([]float64, len(x))
	for i, v := range x {
		below, same := 0., 0.
		for _, w := range x {
			if w < v {
				below++
			} else if w == v {
				same++
			}
		}
		out[i] = below + (same+1)/2
	}
	return out
}

// swing is the mean absolute change over the mean absolute value.
func swing(y []float64) float64 {
	if len(y) < 2 {
		return 0
	}
	change, size := 0., 0.
	for i, v := range y {
		size += abs(v) / float64(len(y))
		if i > 0 {
			change += abs(v-y[i-1]) / float64(len(y)-1)
		}
	}
	return change / max(size, 1e-12)
}

func mean(x []float64) float64 {
	sum := 0.
	for _, v := range x {
		sum += v / float64(len(x))
	}
	return sum
}

func median(x []float64) float64 {
	if len(x) == 0 {
		return 0
	}
	s := slices.Sorted(slices.Values(x))
	return (s[(len(s)-1)/2] + s[len(s)/2]) / 2
}

func least(x []float64) float64 {
	if len(x) == 0 {
		return 0
	}
	return slices.Min(x)
}
