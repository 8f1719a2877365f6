package curve

import (
	"math"
	"slices"
)

// Series is one curve. Series with the same Panel share axes; those with the same Name share a colour and a line of
// the legend.
type Series struct {
	Name  string
	Panel string
	X, Y  []float64 // of equal length, X rising; what is not finite leaves a gap
}

// len is the number of points that have both coordinates.
func (s Series) len() int { return min(len(s.X), len(s.Y)) }

// Smooth is the exponential moving average of y with a weight of 0 (none) to below 1 for what was, corrected for its
// start as TensorBoard does: the average of the first n values weighs them by weight^(n-i). Values that are not finite
// stay what they are and are left out of the average.
func Smooth(y []float64, weight float64) []float64 {
	out := slices.Clone(y)
	if !(weight > 0) {
		return out
	}
	weight = min(weight, 0.9999)
	var sum, norm float64
	for i, v := range y {
		if math.IsNaN(v) || math.IsInf(v, 0) {
			continue
		}
		sum = sum*weight + v*(1-weight)
		norm = norm*weight + (1 - weight)
		out[i] = sum / norm
	}
	return out
}

// point is a place in a picture or chart.
type point struct{ x, y float64 }

// scale maps values to places: linear or logarithmic.
type scale struct {
	lo, hi float64 // values
	at, to float64 // their places
	log    bool
}

// place maps a value; ok is false for what has no place.
func (s scale) place(v float64) (p float64, ok bool) {
	lo, hi := s.lo, s.hi
	if s.log {
		if !(v > 0) {
			return 0, false
		}
		v, lo, hi = math.Log10(v), math.Log10(lo), math.Log10(hi)
	}
	p = s.at + (v-lo)/(hi-lo)*(s.to-s.at)
	return p, !math.IsNaN(p) && !math.IsInf(p, 0)
}

// lines maps a curve to runs of places without gaps. Per column of a picture only the first, lowest, highest and last
// place are kept, which draws the same line.
func lines(x, y []float64, sx, sy scale) [][]point {
	var out [][]point
	var run []point
	for i := range min(len(x), len(y)) {
		px, okX := sx.place(x[i])
		py, okY := sy.place(y[i])
		if !okX || !okY {
			if len(run) > 0 {
				out, run = append(out, thin(run)), nil
			}
			continue
		}
		run = append(run, point{px, py})
	}
	if len(run) > 0 {
		out = append(out, thin(run))
	}
	return out
}

func thin(run []point) []point {
	var out []point
	for i := 0; i < len(run); {
		j, lo, hi := i, i, i
		for ; j < len(run) && math.Floor(run[j].x) == math.Floor(run[i].x); j++ {
			if run[j].y < run[lo].y {
				lo = j
			}
			if run[j].y > run[hi].y {
				hi = j
			}
		}
		keep := []int{i, min(lo, hi), max(lo, hi), j - 1}
		for k, n := range slices.Compact(keep) {
			if k == 0 || n != keep[0] {
				out = append(out, run[n])
			}
		}
		i = j
	}
	return out
}

// extent is the range of the finite values of many slices; positive ones only for a logarithmic scale. With robust the
// outer 2 % on each side are left out. ok is false if there is no value.
func extent(values [][]float64, log, robust bool) (lo, hi float64, ok bool) {
	var all []float64
	for _, vs := range values {
		for _, v := range vs {
			if !math.IsNaN(v) && !math.IsInf(v, 0) && (!log || v > 0) {
				all = append(all, v)
			}
		}
	}
	if len(all) == 0 {
		return 0, 1, false
	}
	if robust && len(all) >= 50 {
		slices.Sort(all)
		cut := len(all) / 50
		return all[cut], all[len(all)-1-cut], true
	}
	return slices.Min(all), slices.Max(all), true
}
