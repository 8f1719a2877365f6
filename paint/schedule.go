package paint

import (
	"fmt"
	"math"
)

// Shape says how a Schedule runs between its points.
type Shape string

const (
	Hold   Shape = "hold"   // the value of the last point passed
	Linear Shape = "linear" // straight lines
	Cosine Shape = "cosine" // half cosine waves
)

// Point is a value from an absolute step on.
type Point struct {
	Step  int
	Value float64
}

// Schedule is a number that depends on the absolute step of a run. Because no step is relative to the length of the
// run, a run that is stopped and continued sees the numbers that one long run sees. The zero Schedule is 0.
type Schedule struct {
	Shape  Shape // empty means Hold
	Points []Point
}

// Const is a schedule that never changes.
func Const(v float64) Schedule { return Schedule{Points: []Point{{0, v}}} }

// At returns the value at a step: the first point's before it, the last point's after it.
func (s Schedule) At(step int) float64 {
	if len(s.Points) == 0 {
		return 0
	}
	i := 0
	for i < len(s.Points) && s.Points[i].Step <= step {
		i++
	}
	switch {
	case i == 0:
		return s.Points[0].Value
	case i == len(s.Points):
		return s.Points[i-1].Value
	}
	a, b := s.Points[i-1], s.Points[i]
	t := float64(step-a.Step) / float64(b.Step-a.Step)
	switch s.Shape {
	case Linear:
		return a.Value + t*(b.Value-a.Value)
	case Cosine:
		return b.Value + (a.Value-b.Value)*(1+math.Cos(math.Pi*t))/2
	}
	return a.Value
}

// Plateau lowers the learning rate by Factor each time that the loss of targets has not fallen below its least for more
// than Patience steps, counted anew after each lowering. The zero Plateau never does.
type Plateau struct {
	Patience int
	Factor   float64 // above 0 to below 1
}

func (p Plateau) check() error {
	if p.Patience != 0 && !(p.Patience > 0 && p.Factor > 0 && p.Factor < 1) {
		return fmt.Errorf("paint: a plateau of %d steps and factor %v", p.Patience, p.Factor)
	}
	return nil
}

// CosineRestarts is a rate that falls from high to low along half a cosine in each of n equal parts of length steps and
// jumps back in between (Loshchilov and Hutter 2017, equation 5).
func CosineRestarts(high, low float64, n, length int) Schedule {
	s := Schedule{Shape: Cosine}
	for i := range n {
		from, to := i*length/n, (i+1)*length/n-1
		if from <= to {
			s.Points = append(s.Points, Point{from, high})
		}
		if from < to {
			s.Points = append(s.Points, Point{to, low})
		}
	}
	return s
}

// check refuses points out of order, numbers that are not finite and unknown shapes.
func (s Schedule) check(name string) error {
	switch s.Shape {
	case "", Hold, Linear, Cosine:
	default:
		return fmt.Errorf("paint: schedule of %s: unknown shape %q", name, s.Shape)
	}
	for i, p := range s.Points {
		if math.IsNaN(p.Value) || math.IsInf(p.Value, 0) {
			return fmt.Errorf("paint: schedule of %s: value %v", name, p.Value)
		}
		if i > 0 && p.Step <= s.Points[i-1].Step {
			return fmt.Errorf("paint: schedule of %s: step %d after step %d", name, p.Step, s.Points[i-1].Step)
		}
	}
	return nil
}
