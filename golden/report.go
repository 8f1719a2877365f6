package golden

import (
	"fmt"
	"math"
	"strings"
)

// Tolerance bounds the error of each element: |got - want| <= Abs + Rel*|want| + OfMax*max|want|. The zero value asks
// for equality.
type Tolerance struct {
	Abs   float64 // in the tensor's own unit
	Rel   float64 // of the element
	OfMax float64 // of the largest element of the tensor
}

// String writes the bound as one word, such as 1e-05+1e-05*|b|.
func (t Tolerance) String() string {
	var parts []string
	if t.Abs != 0 {
		parts = append(parts, fmt.Sprintf("%.3g", t.Abs))
	}
	if t.Rel != 0 {
		parts = append(parts, fmt.Sprintf("%.3g*|b|", t.Rel))
	}
	if t.OfMax != 0 {
		parts = append(parts, fmt.Sprintf("%.3g*max|b|", t.OfMax))
	}
	if len(parts) == 0 {
		return "0"
	}
	return strings.Join(parts, "+")
}

// Result is the comparison of one tensor.
type Result struct {
	Folder    string
	Tensor    string
	MaxAbs    float64 // largest |got - want|
	MaxRel    float64 // largest |got - want| / |want|, elements below 1e-3 of the largest taken as that much
	Tolerance Tolerance
	OK        bool
	Why       string // why it is not OK, empty when the numbers say it
}

// String is the line that tools/parity prints.
func (r Result) String() string {
	verdict := "ok"
	if !r.OK {
		verdict = "FAIL"
	}
	return fmt.Sprintf("%s %s %.3e %.3e %s %s", r.Folder, oneWord(r.Tensor), r.MaxAbs, r.MaxRel, r.Tolerance, verdict)
}

func oneWord(s string) string { return strings.Join(strings.Fields(s), "_") }

// Report collects the comparisons of one fixture.
type Report struct {
	folder  string
	results []Result
}

// NewReport returns an empty report for the fixture folder of a base name.
func NewReport(folder string) *Report { return &Report{folder: folder} }

// Results returns the comparisons so far, in order.
func (r *Report) Results() []Result { return r.results }

// Compare compares our values with the reference's. A different count, or anything that is not a finite number on
// either side (unless both are the same infinity), is a failure.
func (r *Report) Compare(tensor string, got, want []float32, tol Tolerance) {
	res := Result{Folder: r.folder, Tensor: tensor, Tolerance: tol, OK: true}
	defer func() { r.results = append(r.results, res) }()
	if res.mismatch(len(got), len(want)) {
		return
	}
	largest := 0.0
	for _, w := range want {
		if a := math.Abs(float64(w)); !math.IsInf(a, 0) {
			largest = max(largest, a)
		}
	}
	for i := range want {
		g, w := float64(got[i]), float64(want[i])
		if g == w {
			continue
		}
		res.add(math.Abs(g-w), math.Abs(w), largest)
		if !(math.Abs(g-w) <= tol.Abs+tol.Rel*math.Abs(w)+tol.OfMax*largest) || math.IsInf(w, 0) {
			res.OK = false
			if res.Why == "" {
				res.Why = fmt.Sprintf("element %d is %v, want %v", i, g, w)
			}
		}
	}
}

// Exact compares integers, such as codes and tokens, which must be equal.
func (r *Report) Exact(tensor string, got, want []int64) {
	res := Result{Folder: r.folder, Tensor: tensor, OK: true}
	defer func() { r.results = append(r.results, res) }()
	if res.mismatch(len(got), len(want)) {
		return
	}
	for i := range want {
		if got[i] == want[i] {
			continue
		}
		d, w := math.Abs(float64(got[i])-float64(want[i])), math.Abs(float64(want[i]))
		res.add(d, w, max(1, w))
		if res.OK {
			res.OK, res.Why = false, fmt.Sprintf("element %d is %d, want %d", i, got[i], want[i])
		}
	}
}

// Fail records a tensor that could not be compared.
func (r *Report) Fail(tensor string, format string, args ...any) {
	res := Result{Folder: r.folder, Tensor: tensor, MaxAbs: math.Inf(1), MaxRel: math.Inf(1)}
	res.Why = fmt.Sprintf(format, args...)
	r.results = append(r.results, res)
}

// mismatch marks a result whose sides differ in length, or that compares nothing: that is a check that cannot fail.
func (res *Result) mismatch(got, want int) bool {
	if got == want && want > 0 {
		return false
	}
	res.OK, res.MaxAbs, res.MaxRel = false, math.Inf(1), math.Inf(1)
	res.Why = fmt.Sprintf("%d elements, want %d", got, want)
	return true
}

func (res *Result) add(diff, want, largest float64) {
	if math.IsNaN(diff) {
		res.MaxAbs, res.MaxRel = math.NaN(), math.NaN()
		return
	}
	if diff > res.MaxAbs {
		res.MaxAbs = diff
	}
	floor := 1e-3 * largest
	if floor == 0 {
		floor = 1
	}
	if rel := diff / max(want, floor); rel > res.MaxRel {
		res.MaxRel = rel
	}
}
