package spec

import (
	"strconv"
	"strings"
)

// ParseDrop reads STEP:FACTOR.
func ParseDrop(s string) (Drop, error) {
	step, factor, ok := strings.Cut(s, ":")
	n, err1 := strconv.Atoi(step)
	f, err2 := strconv.ParseFloat(factor, 64)
	if !ok || err1 != nil || err2 != nil {
		return Drop{}, Refusef("write STEP:FACTOR, for example 75:0.1", "--lr-drop %q is no drop", s)
	}
	return Drop{Step: n, Factor: f}, nil
}

// ParsePlateau reads STEPS[:FACTOR]; the factor is a half when it is left out.
func ParsePlateau(s string) (steps int, factor float64, err error) {
	first, second, ok := strings.Cut(s, ":")
	steps, err1 := strconv.Atoi(first)
	factor = 0.5
	var err2 error
	if ok {
		factor, err2 = strconv.ParseFloat(second, 64)
	}
	if err1 != nil || err2 != nil || steps < 1 {
		return 0, 0, Refusef("write STEPS or STEPS:FACTOR, for example 20:0.5", "--plateau %q is no plateau", s)
	}
	return steps, factor, nil
}

// ParseModel reads NAME[=WEIGHT].
func ParseModel(s string) (ModelRef, error) {
	name, weight, ok := strings.Cut(s, "=")
	ref := ModelRef{Name: name}
	if !ok {
		return ref, nil
	}
	w, err := strconv.ParseFloat(weight, 64)
	if err != nil || !(w > 0 && w <= 1e4) {
		return ref, Refusef("write NAME or NAME=WEIGHT with a weight above 0", "the weight of model %q is %q", name, weight)
	}
	ref.Weight = w
	return ref, nil
}
