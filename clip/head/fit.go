package head

import (
	"fmt"
	"math"
	"slices"

	"github.com/smalti/smalti/rng"
)

// Folds is into how many parts pictures are split to see how well a head does on those it has not seen.
const Folds = 5

// Report says what a fit found.
type Report struct {
	Liked, Other int
	Folds        int
	// HeldOut is the share of pictures that fall on their side of zero under a head fitted without their fold, each side
	// counting half; AUC is the chance that such a score is higher for one that is liked than for one that is not.
	HeldOut, AUC float64
	Seen         float64 // HeldOut's counterpart for the final head, on what it was fitted to
}

// Fit fits a head to features of pictures that somebody likes and of others, by logistic regression with the penalty
// penalty/2 |w|^2 on features whose mean is 0 and whose mean square is 1. Both sides weigh the same, however many there
// are. Everything is float64 and in one order; seed splits the folds. It wants two pictures of each side or more.
func Fit(liked, other [][]float32, penalty float64, seed uint64) (*Head, Report, error) {
	r := Report{Liked: len(liked), Other: len(other), Folds: min(Folds, len(liked), len(other))}
	if r.Folds < 2 {
		return nil, r, fmt.Errorf("head: %d and %d pictures are too few", len(liked), len(other))
	}
	if !(penalty > 0) {
		return nil, r, fmt.Errorf("head: a penalty of %g", penalty)
	}
	all := newProblem(liked, other, penalty)
	folds := make([]int, len(all.x))
	for side, from := range []int{0, len(liked)} {
		n := []int{len(liked), len(other)}[side]
		for place, i := range rng.New(seed, "head folds", uint64(side)).Perm(n) {
			folds[from+i] = place % r.Folds
		}
	}
	scores := make([]float64, len(all.x))
	for k := range r.Folds {
		part := all.only(func(i int) bool { return folds[i] != k })
		w, b := part.solve()
		for i, x := range all.x {
			if folds[i] == k {
				scores[i] = dot(w, x) + b
			}
		}
	}
	r.HeldOut, r.AUC = all.accuracy(scores), all.auc(scores)
	w, b := all.solve()
	for i, x := range all.x {
		scores[i] = dot(w, x) + b
	}
	r.Seen = all.accuracy(scores)
	return all.head(w, b), r, nil
}

// problem is features [n,D] brought to a common measure, and on which side each is: +1 or -1.
type problem struct {
	x       [][]float64
	y       []float64
	mean    []float64
	scale   float64 // x = (u - mean) scale
	penalty float64
}

func newProblem(liked, other [][]float32, penalty float64) *problem {
	p := &problem{penalty: penalty}
	for side, list := range [][][]float32{liked, other} {
		for _, v := range list {
			u, length := make([]float64, len(v)), 0.0
			for k, x := range v {
				u[k] = float64(x)
				length += u[k] * u[k]
			}
			for k := range u {
				u[k] /= math.Sqrt(max(length, 1e-30))
			}
			p.x, p.y = append(p.x, u), append(p.y, 1-2*float64(side))
		}
	}
	d, n := len(p.x[0]), float64(len(p.x))
	p.mean = make([]float64, d)
	for _, x := range p.x {
		axpy(p.mean, 1/n, x)
	}
	square := 0.0
	for _, x := range p.x {
		axpy(x, -1, p.mean)
		square += dot(x, x)
	}
	p.scale = 1 / math.Sqrt(max(square/n/float64(d), 1e-30))
	for _, x := range p.x {
		for k := range x {
			x[k] *= p.scale
		}
	}
	return p
}

func (p *problem) only(keep func(i int) bool) *problem {
	q := &problem{penalty: p.penalty}
	for i := range p.x {
		if keep(i) {
			q.x, q.y = append(q.x, p.x[i]), append(q.y, p.y[i])
		}
	}
	return q
}

// head is the solution for unit features.
func (p *problem) head(w []float64, b float64) *Head {
	h := &Head{Weight: make([]float32, len(w)), Bias: float32(b - p.scale*dot(w, p.mean))}
	for k, v := range w {
		h.Weight[k] = float32(v * p.scale)
	}
	return h
}

// share is the weight of each picture of a side: both sides make up half of n.
func (p *problem) share() (liked, other float64) {
	n := 0
	for _, y := range p.y {
		if y > 0 {
			n++
		}
	}
	return float64(len(p.y)) / 2 / float64(max(n, 1)), float64(len(p.y)) / 2 / float64(max(len(p.y)-n, 1))
}

// loss is the function that is minimised, v being w and b in the end, and its gradient; curve holds each picture's second
// derivative.
func (p *problem) loss(v, grad, curve []float64) float64 {
	d := len(v) - 1
	liked, other := p.share()
	sum := p.penalty / 2 * dot(v[:d], v[:d])
	for k := range d {
		grad[k] = p.penalty * v[k]
	}
	grad[d] = 0
	for i, x := range p.x {
		weight := liked
		if p.y[i] < 0 {
			weight = other
		}
		m := p.y[i] * (dot(v[:d], x) + v[d])
		s := 1 / (1 + math.Exp(m)) // how wrong it is
		if m > 0 {
			sum += weight * math.Log1p(math.Exp(-m))
		} else {
			sum += weight * (math.Log1p(math.Exp(m)) - m)
		}
		axpy(grad[:d], -weight*s*p.y[i], x)
		grad[d] -= weight * s * p.y[i]
		curve[i] = weight * s * (1 - s)
	}
	return sum
}

// solve minimises by Newton's method: each direction by conjugate gradients, each step halved until the loss falls. The
// function is strictly convex but for b alone, which the two sides bound.
func (p *problem) solve() (w []float64, b float64) {
	d := len(p.x[0])
	v, grad, curve := make([]float64, d+1), make([]float64, d+1), make([]float64, len(p.x))
	now := p.loss(v, grad, curve)
	for range 100 {
		if math.Sqrt(dot(grad, grad)) < 1e-9*float64(len(p.x)) {
			break
		}
		step := p.newton(grad, curve)
		size, before := 1.0, slices.Clone(v)
		for ; size > 1e-10; size /= 2 {
			copy(v, before)
			axpy(v, -size, step)
			if next := p.loss(v, grad, curve); next <= now {
				now = next
				break
			}
		}
		if size <= 1e-10 {
			copy(v, before) // rounding is all that is left
			break
		}
	}
	return v[:d], v[d]
}

// newton solves (Hessian) s = grad by conjugate gradients (Hestenes and Stiefel 1952).
func (p *problem) newton(grad, curve []float64) []float64 {
	n := len(grad)
	s, r := make([]float64, n), slices.Clone(grad)
	dir := slices.Clone(r)
	rr := dot(r, r)
	for stop, k := 1e-20*rr, 0; rr > stop && k < 2*n; k++ {
		h := p.hessian(dir, curve)
		curvature := dot(dir, h)
		if !(curvature > 0) {
			break
		}
		axpy(s, rr/curvature, dir)
		axpy(r, -rr/curvature, h)
		next := dot(r, r)
		for i := range dir {
			dir[i] = r[i] + next/rr*dir[i]
		}
		rr = next
	}
	return s
}

func (p *problem) hessian(v, curve []float64) []float64 {
	d := len(v) - 1
	out := make([]float64, d+1)
	axpy(out[:d], p.penalty, v[:d])
	for i, x := range p.x {
		c := curve[i] * (dot(v[:d], x) + v[d])
		axpy(out[:d], c, x)
		out[d] += c
	}
	return out
}

func (p *problem) accuracy(scores []float64) float64 {
	var right, count [2]float64
	for i, s := range scores {
		side := 0
		if p.y[i] < 0 {
			side = 1
		}
		count[side]++
		if s*p.y[i] > 0 {
			right[side]++
		}
	}
	return (right[0]/count[0] + right[1]/count[1]) / 2
}

func (p *problem) auc(scores []float64) float64 {
	var wins, pairs float64
	for i, a := range scores {
		for j, b := range scores {
			if p.y[i] < 0 || p.y[j] > 0 {
				continue
			}
			pairs++
			if a > b {
				wins++
			} else if a == b {
				wins += 0.5
			}
		}
	}
	return wins / pairs
}

func dot(a, b []float64) float64 {
	sum := 0.0
	for i, x := range a {
		sum += x * b[i]
	}
	return sum
}

// axpy adds s times x to y.
func axpy(y []float64, s float64, x []float64) {
	for i, v := range x {
		y[i] += s * v
	}
}
