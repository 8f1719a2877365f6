package latent

import (
	"fmt"
	"math"
	"slices"
	"sort"
)

// Curve says how far one has come at some parameters of a way: T in the order in which the way leads (up or down), D
// never less than before and from 0 on.
type Curve struct{ T, D []float64 }

// Straight is the curve of a way on which distance is T itself.
func Straight(t0, t1 float64) Curve {
	return Curve{T: []float64{t0, t1}, D: []float64{0, math.Abs(t1 - t0)}}
}

// Length is the whole distance.
func (c Curve) Length() float64 { return c.D[len(c.D)-1] }

// At returns the parameter at a distance, straight between the measured ones, and the ends exactly at or beyond them. On
// a way without length everything is at its beginning.
func (c Curve) At(d float64) float64 {
	n := len(c.T) - 1
	switch {
	case !(d > 0):
		return c.T[0]
	case d >= c.D[n]:
		return c.T[n]
	}
	i := sort.Search(n, func(i int) bool { return c.D[i+1] > d })
	f := (d - c.D[i]) / (c.D[i+1] - c.D[i])
	return c.T[i]*(1-f) + c.T[i+1]*f
}

// Reversed is the curve of the way back.
func (c Curve) Reversed() Curve {
	out := Curve{T: slices.Clone(c.T), D: slices.Clone(c.D)}
	slices.Reverse(out.T)
	slices.Reverse(out.D)
	for i, d := range out.D {
		out.D[i] = c.Length() - d
	}
	return out
}

// Distance says how far two pictures of a way are apart. Distances along a way add up best with a mean of absolute
// differences: changes in different places add, and so do changes in one direction.
type Distance func(t, u float64) (float64, error)

// finest is the shortest step that Measure divides, as a share of the way: below it a way jumps.
const finest = 1.0 / 4096

// Measure walks from t0 to t1 in n even steps and then halves the step of the largest distance, the first of equals,
// as often as extra says: the samples gather where the pictures move. It fails with the first error of dist and for
// distances that are no numbers from 0 on.
func Measure(t0, t1 float64, n, extra int, dist Distance) (Curve, error) {
	type step struct{ t, u, d float64 }
	n = max(n, 1)
	var steps []step
	add := func(at int, t, u float64) error {
		d, err := dist(t, u)
		if err == nil && (!(d >= 0) || math.IsInf(d, 0)) {
			err = fmt.Errorf("latent: distance %g from %g to %g", d, t, u)
		}
		steps = slices.Insert(steps, at, step{t, u, d})
		return err
	}
	at := func(i int) float64 {
		if i == n {
			return t1
		}
		return t0 + (t1-t0)*float64(i)/float64(n)
	}
	for i := range n {
		if err := add(i, at(i), at(i+1)); err != nil {
			return Curve{}, err
		}
	}
	for range extra {
		best := -1
		for i, s := range steps {
			if math.Abs(s.u-s.t) > finest*math.Abs(t1-t0) && s.d > 0 && (best < 0 || s.d > steps[best].d) {
				best = i
			}
		}
		if best < 0 {
			break
		}
		s := steps[best]
		middle := (s.t + s.u) / 2
		steps = slices.Delete(steps, best, best+1)
		if err := add(best, s.t, middle); err != nil {
			return Curve{}, err
		}
		if err := add(best+1, middle, s.u); err != nil {
			return Curve{}, err
		}
	}
	c := Curve{T: []float64{t0}, D: []float64{0}}
	for _, s := range steps {
		c.T = append(c.T, s.u)
		c.D = append(c.D, c.Length()+s.d)
	}
	return c, nil
}
