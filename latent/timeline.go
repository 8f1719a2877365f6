package latent

import (
	"errors"
	"fmt"
	"math"
	"slices"
)

// Easing maps even time to uneven: 0 to 0, 1 to 1, never backwards.
type Easing func(t float64) float64

// easings by name, in the order that users are told.
var easings = []struct {
	name string
	ease Easing
}{
	{"linear", func(t float64) float64 { return t }},
	{"smooth", smooth},
	{"smoother", func(t float64) float64 { return t * t * t * (t*(6*t-15) + 10) }},
	{"sine", func(t float64) float64 { return (1 - math.Cos(math.Pi*t)) / 2 }},
	{"in", func(t float64) float64 { return t * t }},
	{"out", func(t float64) float64 { return t * (2 - t) }},
}

func smooth(t float64) float64 { return t * t * (3 - 2*t) }

// Easings lists the names that EasingByName knows.
func Easings() []string {
	var out []string
	for _, e := range easings {
		out = append(out, e.name)
	}
	return out
}

// EasingByName returns an easing: linear; smooth, smoother and sine, which start and end slowly; in, which starts
// slowly; out, which ends slowly.
func EasingByName(name string) (Easing, error) {
	for _, e := range easings {
		if e.name == name {
			return e.ease, nil
		}
	}
	return nil, fmt.Errorf("latent: unknown easing %q", name)
}

// Loop says how an animation comes back to its beginning.
type Loop string

const (
	Once   Loop = "none"   // it ends at the last picture
	Cycle  Loop = "cycle"  // from the last picture on to the first
	Bounce Loop = "bounce" // back the way it came
)

// Loops lists all of them.
var Loops = []Loop{Once, Cycle, Bounce}

// Timeline is the plan of an animation over several pictures, its keys.
type Timeline struct {
	Keys     int     // number of pictures, at least 2
	From, To float64 // where it begins and ends: 0 is the first picture, Keys-1 the last; beyond them it extrapolates
	Loop     Loop    // "" is Once; a loop needs From 0 and To Keys-1
	Frames   int     // frames without holds
	Hold     int     // frames for which each picture stays in addition
	Ease     Easing  // of the way between two pictures; nil is linear
}

// Piece is a way between two neighbouring keys, or one beyond the outermost: the mixture of A and B from T0 to T1.
type Piece struct {
	A, B   int
	T0, T1 float64
}

// Frame is a picture of the animation: the mixture of the keys A and B at T.
type Frame struct {
	A, B int
	T    float64
}

// Key returns the key that the frame shows exactly, or -1.
func (f Frame) Key() int {
	switch f.T {
	case 0:
		return f.A
	case 1:
		return f.B
	}
	return -1
}

// Pieces returns the ways that the timeline leads along, in order.
func (tl Timeline) Pieces() ([]Piece, error) {
	switch {
	case tl.Keys < 2:
		return nil, errors.New("latent: a timeline needs two pictures")
	case !(tl.From < tl.To) || math.IsInf(tl.From, 0) || math.IsInf(tl.To, 0):
		return nil, fmt.Errorf("latent: a timeline from %g to %g", tl.From, tl.To)
	}
	last := float64(tl.Keys - 1)
	loop := tl.Loop == Cycle || tl.Loop == Bounce
	if !loop && tl.Loop != Once && tl.Loop != "" {
		return nil, fmt.Errorf("latent: unknown loop %q", tl.Loop)
	}
	if loop && (tl.From != 0 || tl.To != last) {
		return nil, errors.New("latent: a loop leads from the first picture to the last")
	}
	var out []Piece
	add := func(a int, lo, hi float64) {
		if lo, hi = math.Max(lo, tl.From), math.Min(hi, tl.To); lo < hi {
			out = append(out, Piece{A: a, B: a + 1, T0: lo - float64(a), T1: hi - float64(a)})
		}
	}
	add(0, tl.From, 0)
	for a := range tl.Keys - 1 {
		add(a, float64(a), float64(a+1))
	}
	add(tl.Keys-2, last, tl.To)
	switch tl.Loop {
	case Cycle:
		out = append(out, Piece{A: tl.Keys - 1, B: 0, T0: 0, T1: 1})
	case Bounce:
		for _, p := range slices.Backward(slices.Clone(out)) {
			out = append(out, Piece{A: p.A, B: p.B, T0: p.T1, T1: p.T0})
		}
	}
	return out, nil
}

// Plan places the frames. A curve for each piece says how far the pictures move on it, and frames are spread by that;
// nil curves mean that distance is T. Every key on the way is shown exactly by a frame, and every piece has at least one
// step, so Frames must suffice for that: an animation that ends needs one more frame than it has pieces, and a loop as
// many as pieces, because it leaves out the frame at its end that is also its beginning.
func (tl Timeline) Plan(curves []Curve) ([]Frame, error) {
	pieces, err := tl.Pieces()
	if err != nil {
		return nil, err
	}
	if curves == nil {
		for _, p := range pieces {
			curves = append(curves, Straight(p.T0, p.T1))
		}
	}
	if len(curves) != len(pieces) {
		return nil, fmt.Errorf("latent: %d curves for %d pieces", len(curves), len(pieces))
	}
	steps := tl.Frames - 1
	if tl.Loop == Cycle || tl.Loop == Bounce {
		steps = tl.Frames
	}
	if steps < len(pieces) {
		return nil, fmt.Errorf("latent: %d frames are too few for %d ways between pictures", tl.Frames, len(pieces))
	}
	lengths := make([]float64, len(curves))
	for i, c := range curves {
		lengths[i] = c.Length()
	}
	ease := tl.Ease
	if ease == nil {
		ease = easings[0].ease
	}
	var out []Frame
	for i, n := range share(steps, lengths) {
		p := pieces[i]
		for k := range n {
			t := p.T0
			if k > 0 {
				t = curves[i].At(ease(float64(k)/float64(n)) * lengths[i])
			}
			out = tl.show(out, Frame{p.A, p.B, t})
		}
	}
	if steps < tl.Frames {
		end := pieces[len(pieces)-1]
		out = tl.show(out, Frame{end.A, end.B, end.T1})
	}
	return out, nil
}

// show appends a frame, and keeps it on if it is a key.
func (tl Timeline) show(frames []Frame, f Frame) []Frame {
	n := 1
	if f.Key() >= 0 {
		n += tl.Hold
	}
	return append(frames, slices.Repeat([]Frame{f}, n)...)
}

// share divides n steps among pieces by their lengths, at least one each, by largest remainders; the first of equals
// goes first. n is at least the number of pieces.
func share(n int, lengths []float64) []int {
	total := 0.0
	for _, l := range lengths {
		total += l
	}
	out, rest := make([]int, len(lengths)), make([]float64, len(lengths))
	left := n
	for i, l := range lengths {
		want := float64(n) / float64(len(lengths))
		if total > 0 {
			want = float64(n) * l / total
		}
		out[i] = max(1, int(want))
		rest[i] = want - float64(out[i])
		left -= out[i]
	}
	for ; left > 0; left-- {
		best := 0
		for i := range rest {
			if rest[i] > rest[best] {
				best = i
			}
		}
		out[best]++
		rest[best]--
	}
	for ; left < 0; left++ { // pieces too short for a step of their own had one from the others
		best := -1
		for i := range rest {
			if out[i] > 1 && (best < 0 || rest[i] < rest[best]) {
				best = i
			}
		}
		out[best]--
		rest[best]++
	}
	return out
}
