package event

import (
	"encoding/json"
	"math"
	"slices"
)

// Histogram says how many values fell between edges: Counts[i] of them in [Edges[i], Edges[i+1]), the last bin with its
// upper edge. It has one edge more than counts, in rising order.
type Histogram struct {
	Edges  []float64
	Counts []float64
}

// Bin sorts values into n bins of equal width between the smallest and the largest of them. NaN and infinities are
// left out; equal values get one bin around them. Without a finite value, or with n < 1, the histogram is empty.
func Bin(values []float64, n int) Histogram {
	lo, hi := math.Inf(1), math.Inf(-1)
	for _, v := range values {
		if !math.IsNaN(v) && !math.IsInf(v, 0) {
			lo, hi = min(lo, v), max(hi, v)
		}
	}
	if lo > hi || n < 1 {
		return Histogram{}
	}
	if lo == hi {
		pad := max(math.Abs(lo)*1e-6, 1e-12)
		lo, hi, n = lo-pad, hi+pad, 1
	}
	h := Histogram{Edges: make([]float64, n+1), Counts: make([]float64, n)}
	for i := range h.Edges {
		t := float64(i) / float64(n)
		h.Edges[i] = lo*(1-t) + hi*t // no overflow, however far apart
	}
	for _, v := range values {
		if math.IsNaN(v) || math.IsInf(v, 0) {
			continue
		}
		i, found := slices.BinarySearch(h.Edges, v)
		if !found {
			i--
		}
		h.Counts[min(max(i, 0), n-1)]++
	}
	return h
}

// Valid says whether the edges fit the counts: finite, rising, one more than counts, and no negative count.
func (h Histogram) Valid() bool {
	if len(h.Counts) == 0 || len(h.Edges) != len(h.Counts)+1 {
		return false
	}
	for i, e := range h.Edges {
		if math.IsNaN(e) || math.IsInf(e, 0) || i > 0 && e < h.Edges[i-1] {
			return false
		}
	}
	return !slices.ContainsFunc(h.Counts, func(c float64) bool { return !(c >= 0) || math.IsInf(c, 0) })
}

// histogram is a Histogram as JSON sees it.
type histogram struct {
	Edges  []number `json:"edges"`
	Counts []number `json:"counts"`
}

// MarshalJSON writes {"edges":[...],"counts":[...]}, numbers that JSON cannot hold as Event does.
func (h Histogram) MarshalJSON() ([]byte, error) {
	w := histogram{Edges: make([]number, len(h.Edges)), Counts: make([]number, len(h.Counts))}
	for i, e := range h.Edges {
		w.Edges[i] = number(e)
	}
	for i, c := range h.Counts {
		w.Counts[i] = number(c)
	}
	return json.Marshal(w)
}

// UnmarshalJSON reads what MarshalJSON wrote.
func (h *Histogram) UnmarshalJSON(b []byte) error {
	var w histogram
	if err := json.Unmarshal(b, &w); err != nil {
		return err
	}
	*h = Histogram{Edges: make([]float64, len(w.Edges)), Counts: make([]float64, len(w.Counts))}
	for i, e := range w.Edges {
		h.Edges[i] = float64(e)
	}
	for i, c := range w.Counts {
		h.Counts[i] = float64(c)
	}
	return nil
}
