package curve

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// unit says at which distances ticks may be, and how values are written: format(value, distance).
type unit struct {
	nice   func(least float64) float64
	format func(value, distance float64) string
}

var (
	numbers = unit{niceStep, number}
	counts  = unit{niceStep, steps}
	times   = unit{niceTime, seconds}
)

// tick is a place on an axis and what is written there; an empty label is a small line only.
type tick struct {
	value float64
	label string
}

// axis is a range of values with ticks.
type axis struct {
	lo, hi float64
	log    bool
	ticks  []tick
}

// newAxis widens a range a little and chooses at most about n labelled ticks.
func newAxis(lo, hi float64, log bool, n int, u unit) axis {
	n, nice, format := max(n, 2), u.nice, u.format
	if log {
		return logAxis(lo, hi, n)
	}
	if hi-lo <= 1e-9*max(math.Abs(lo), math.Abs(hi)) { // level, as far as ticks could tell
		pad := math.Abs(lo) * 0.1
		if pad == 0 {
			pad = 1
		}
		lo, hi = lo-pad, hi+pad
	}
	lo, hi = max(lo, -1e300), min(hi, 1e300)
	step := nice((hi - lo) / float64(n))
	if step == 0 || math.IsInf(step, 0) { // at the ends of what floats hold
		return axis{lo: lo, hi: hi, ticks: []tick{{lo, format(lo, hi-lo)}}}
	}
	a := axis{lo: lo, hi: hi, ticks: linearTicks(lo, hi, step, u)}
	for range 3 { // round steps may fall between few values only: one tick says nothing of a scale
		if finer := nice(step * finerStep); len(a.ticks) < min(n, 3) && finer > 0 && finer < step {
			step = finer
			a.ticks = linearTicks(lo, hi, step, u)
		}
	}
	return a
}

// finerStep times a round step lies below the next smaller one and above the one after that, for numbers and times.
const finerStep = 0.39

func linearTicks(lo, hi, step float64, u unit) (out []tick) {
	for i := math.Ceil(lo/step - 1e-9); i*step <= hi+step*1e-9 && len(out) < 100; i++ {
		out = append(out, tick{i * step, u.format(i*step, step)})
	}
	return out
}

// padded widens a range by a share on both sides, so that curves do not touch the frame.
func padded(lo, hi, share float64, log bool) (float64, float64) {
	if log {
		f := math.Pow(hi/lo, share)
		return lo / f, hi * f
	}
	d := (hi - lo) * share
	return lo - d, hi + d
}

// niceStep is the smallest of 1, 2, 5 times a power of ten that is at least d.
func niceStep(d float64) float64 {
	p := math.Pow(10, math.Floor(math.Log10(d)))
	for _, m := range []float64{1, 2, 5} {
		if m*p >= d*(1-1e-9) {
			return m * p
		}
	}
	return 10 * p
}

func logAxis(lo, hi float64, n int) axis {
	lo, hi = min(max(lo, 1e-300), 1e299), min(max(hi, 1e-300), 1e300) // decades must stay countable
	if hi <= lo*(1+1e-9) {
		lo, hi = lo/2, hi*2
	}
	a := axis{lo: lo, hi: hi, log: true}
	from, to := math.Floor(math.Log10(lo)), math.Ceil(math.Log10(hi))
	every := math.Ceil((to - from) / float64(n)) // decades from label to label
	within := func(v float64) bool { return v >= lo*(1-1e-9) && v <= hi*(1+1e-9) }
	decades := math.Log10(hi / lo)
	for e := from; e <= to; e++ {
		base := math.Pow(10, e)
		for m := 1.0; m < 10; m++ {
			if !within(m * base) {
				continue
			}
			named := m == 1 && math.Mod(e, every) == 0 || decades < 2.5 && (m == 2 || m == 5) || decades < 0.8
			switch {
			case named:
				a.ticks = append(a.ticks, tick{m * base, number(m*base, m*base)})
			case decades < 5 || m == 1:
				a.ticks = append(a.ticks, tick{m * base, ""})
			}
		}
	}
	return a
}

// niceTime is the smallest distance of ticks, in seconds, that is round for a clock and at least d.
func niceTime(d float64) float64 {
	if d > 12*3600 {
		return niceStep(d/86400) * 86400
	}
	if d < 1 {
		return niceStep(d)
	}
	for _, s := range []float64{1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 21600, 43200} {
		if s >= d {
			return s
		}
	}
	return niceStep(d)
}

// number writes a value with the digits that a step between ticks needs.
func number(v, step float64) string {
	if v == 0 || math.Abs(v) < step*1e-6 {
		return "0"
	}
	a := math.Abs(v)
	if a >= 1e7 || a < 1e-3 {
		digits := max(int(math.Floor(math.Log10(a)))-int(math.Floor(math.Log10(step)+1e-9)), 0)
		s := strconv.FormatFloat(v, 'e', min(digits, 6), 64)
		m, e, _ := strings.Cut(s, "e")
		if strings.Contains(m, ".") {
			m = strings.TrimSuffix(strings.TrimRight(m, "0"), ".")
		}
		n, err := strconv.Atoi(e)
		if err != nil {
			return s
		}
		return fmt.Sprintf("%se%d", m, n)
	}
	digits := max(-int(math.Floor(math.Log10(step)+1e-9)), 0)
	s := strconv.FormatFloat(v, 'f', min(digits, 9), 64)
	return strings.Replace(s, "-", "−", 1)
}

// steps writes a count of steps: 500, 20k, 1.5M.
func steps(v, step float64) string {
	for _, u := range []struct {
		size float64
		name string
	}{{1e9, "G"}, {1e6, "M"}, {1e3, "k"}} {
		if math.Abs(v) >= u.size && step >= u.size/1000 && math.Abs(v) >= 1e4 {
			return strconv.FormatFloat(v/u.size, 'f', -1, 64) + u.name
		}
	}
	return number(v, step)
}

// seconds writes a time: 30 s, 12 min, 1.5 h, 2 d.
func seconds(v, step float64) string {
	switch {
	case v == 0:
		return "0"
	case step >= 86400:
		return strconv.FormatFloat(math.Round(v/864)/100, 'f', -1, 64) + " d"
	case step >= 1800:
		return strconv.FormatFloat(math.Round(v/36)/100, 'f', -1, 64) + " h"
	case step >= 60:
		return strconv.FormatFloat(math.Round(v/0.6)/100, 'f', -1, 64) + " min"
	default:
		return number(v, step) + " s"
	}
}
