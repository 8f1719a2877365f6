package paint

import (
	"fmt"
	"math"
	"slices"
	"strings"
)

// OptimiserConfig chooses an optimiser and its constants. A zero constant means the usual value of that optimiser
// (PyTorch's), except that zero Decay and Momentum mean none where the optimiser's own default is none.
type OptimiserConfig struct {
	Kind     string  // of Optimisers
	Beta1    float64 // decay of the first moment, 0.9
	Beta2    float64 // decay of the second moment, 0.999; RMSprop's alpha, 0.99
	Eps      float64 // 1e-8; 1e-10 for adagrad
	Decay    float64 // weight decay: added to the gradient, or decoupled for adamw (0.01)
	Momentum float64 // of sgd, 0.9
}

// Optimisers lists the kinds.
var Optimisers = []string{"adam", "adamw", "adagrad", "adamax", "radam", "rmsprop", "sgd", "diffgrad", "adamp"}

// Optimiser changes an array of parameters along their gradient. It works in float32, one parameter after the other:
// the same numbers give the same bytes on every run. Not safe for concurrent use.
type Optimiser struct {
	cfg  OptimiserConfig
	t    int       // steps taken
	m, s []float32 // first moment (or momentum) and second moment; nil where the kind has none
	last []float32 // gradient of the step before, for diffgrad; nil for others
}

// NewOptimiser returns an optimiser for n parameters. It fails on an unknown kind and on constants out of range.
func NewOptimiser(cfg OptimiserConfig, n int) (*Optimiser, error) {
	cfg.Kind = strings.ToLower(cfg.Kind)
	if cfg.Kind == "" {
		cfg.Kind = "adam"
	}
	if !slices.Contains(Optimisers, cfg.Kind) {
		return nil, fmt.Errorf("paint: unknown optimiser %q (have %s)", cfg.Kind, strings.Join(Optimisers, ", "))
	}
	fill := func(v *float64, usual float64) {
		if *v == 0 {
			*v = usual
		}
	}
	fill(&cfg.Beta1, 0.9)
	fill(&cfg.Beta2, map[bool]float64{true: 0.99, false: 0.999}[cfg.Kind == "rmsprop"])
	fill(&cfg.Eps, map[bool]float64{true: 1e-10, false: 1e-8}[cfg.Kind == "adagrad"])
	if cfg.Kind == "adamw" {
		fill(&cfg.Decay, 0.01)
	}
	if cfg.Kind == "sgd" {
		fill(&cfg.Momentum, 0.9)
	}
	for _, c := range []float64{cfg.Beta1, cfg.Beta2, cfg.Momentum} {
		if !(c >= 0 && c < 1) {
			return nil, fmt.Errorf("paint: optimiser %s: a decay of moments of %v, want 0 <= b < 1", cfg.Kind, c)
		}
	}
	if !(cfg.Eps > 0) || !(cfg.Decay >= 0) {
		return nil, fmt.Errorf("paint: optimiser %s: eps %v, weight decay %v", cfg.Kind, cfg.Eps, cfg.Decay)
	}
	o := &Optimiser{cfg: cfg}
	if cfg.Kind != "adagrad" && cfg.Kind != "rmsprop" {
		o.m = make([]float32, n)
	}
	if cfg.Kind != "sgd" {
		o.s = make([]float32, n)
	}
	if cfg.Kind == "diffgrad" {
		o.last = make([]float32, n)
	}
	return o, nil
}

// Reset forgets the moments and the count of steps.
func (o *Optimiser) Reset() {
	o.t = 0
	clear(o.m)
	clear(o.s)
	clear(o.last)
}

// clone copies the optimiser, so that a failed step can be taken back.
func (o *Optimiser) clone() *Optimiser {
	c := *o
	c.m, c.s, c.last = slices.Clone(o.m), slices.Clone(o.s), slices.Clone(o.last)
	return &c
}

// Step moves p along the gradient g with learning rate lr.
func (o *Optimiser) Step(p, g []float32, lr float64) {
	o.t++
	if o.cfg.Kind == "adamw" {
		keep := float32(1 - lr*o.cfg.Decay)
		for i := range p {
			p[i] *= keep
		}
	} else if o.cfg.Decay != 0 {
		g = slices.Clone(g)
		for i := range g {
			g[i] += float32(o.cfg.Decay) * p[i]
		}
	}
	switch o.cfg.Kind {
	case "adam", "adamw":
		o.adam(p, g, lr)
	case "adamax":
		o.adamax(p, g, lr)
	case "radam":
		o.radam(p, g, lr)
	case "adagrad":
		o.second(g, 1, 1)
		o.scaled(p, g, lr, 1)
	case "rmsprop":
		o.second(g, o.cfg.Beta2, 1-o.cfg.Beta2)
		o.scaled(p, g, lr, 1)
	case "sgd":
		o.sgd(p, g, lr)
	case "diffgrad":
		o.diffgrad(p, g, lr)
	case "adamp":
		o.adamp(p, g, lr)
	}
}

// first updates the first moment: m = b m + (1-b) g.
func (o *Optimiser) first(g []float32) {
	b, a := float32(o.cfg.Beta1), float32(1-o.cfg.Beta1)
	for i := range o.m {
		o.m[i] = float32(b*o.m[i]) + float32(a*g[i])
	}
}

// second updates the second moment: s = keep s + add g^2.
func (o *Optimiser) second(g []float32, keep, add float64) {
	k, a := float32(keep), float32(add)
	for i := range o.s {
		o.s[i] = float32(k*o.s[i]) + float32(float32(a*g[i])*g[i])
	}
}

// scaled moves p by -lr * direction / (sqrt(s)*scale + eps).
func (o *Optimiser) scaled(p, direction []float32, lr, scale float64) {
	rate, sc, eps := float32(lr), float32(scale), float32(o.cfg.Eps)
	for i := range p {
		den := float32(float32(math.Sqrt(float64(o.s[i])))*sc) + eps
		p[i] -= float32(rate * float32(direction[i]/den))
	}
}

// adam is Kingma and Ba 2015 (algorithm 1), in PyTorch's order of operations.
func (o *Optimiser) adam(p, g []float32, lr float64) {
	o.first(g)
	o.second(g, o.cfg.Beta2, 1-o.cfg.Beta2)
	c1 := 1 - math.Pow(o.cfg.Beta1, float64(o.t))
	c2 := 1 - math.Pow(o.cfg.Beta2, float64(o.t))
	o.scaled(p, o.m, lr/c1, 1/math.Sqrt(c2))
}

// adamax is algorithm 2 of the same paper: the second moment is a decaying maximum.
func (o *Optimiser) adamax(p, g []float32, lr float64) {
	o.first(g)
	b, eps := float32(o.cfg.Beta2), float32(o.cfg.Eps)
	rate := float32(lr / (1 - math.Pow(o.cfg.Beta1, float64(o.t))))
	for i := range p {
		o.s[i] = max(b*o.s[i], float32(math.Abs(float64(g[i])))+eps)
		p[i] -= float32(rate * float32(o.m[i]/o.s[i]))
	}
}

// radam is Liu et al. 2020 (algorithm 2): no adaptive rate while its variance is unknown (the first five steps).
func (o *Optimiser) radam(p, g []float32, lr float64) {
	o.first(g)
	o.second(g, o.cfg.Beta2, 1-o.cfg.Beta2)
	t := float64(o.t)
	c1, b2t := 1-math.Pow(o.cfg.Beta1, t), math.Pow(o.cfg.Beta2, t)
	inf := 2/(1-o.cfg.Beta2) - 1
	rho := inf - 2*t*b2t/(1-b2t)
	if rho <= 5 {
		rate := float32(lr / c1)
		for i := range p {
			p[i] -= rate * o.m[i]
		}
		return
	}
	rect := math.Sqrt((rho - 4) * (rho - 2) * inf / ((inf - 4) * (inf - 2) * rho))
	o.scaled(p, o.m, lr/c1*rect*math.Sqrt(1-b2t), 1)
}

// sgd is gradient descent with momentum; the first gradient fills the momentum undamped, as in PyTorch.
func (o *Optimiser) sgd(p, g []float32, lr float64) {
	b, rate := float32(o.cfg.Momentum), float32(lr)
	for i := range p {
		o.m[i] = float32(b*o.m[i]) + g[i]
		p[i] -= float32(rate * o.m[i])
	}
}
