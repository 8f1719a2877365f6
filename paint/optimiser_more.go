package paint

import "math"

// diffgrad is Dubey et al. 2020 (equations 7 to 9): Adam's step times a friction sigmoid(|g(t-1) - g(t)|), which brakes
// parameters whose gradient no longer changes. Before the first step the gradient counts as zero.
func (o *Optimiser) diffgrad(p, g []float32, lr float64) {
	braked := make([]float32, len(g))
	o.first(g)
	o.second(g, o.cfg.Beta2, 1-o.cfg.Beta2)
	for i, v := range g {
		change := math.Abs(float64(o.last[i]) - float64(v))
		braked[i] = float32(float64(o.m[i]) / (1 + math.Exp(-change)))
		o.last[i] = v
	}
	c1 := 1 - math.Pow(o.cfg.Beta1, float64(o.t))
	c2 := 1 - math.Pow(o.cfg.Beta2, float64(o.t))
	o.scaled(p, braked, lr/c1, 1/math.Sqrt(c2))
}

// adampThreshold is delta of the paper: how nearly a gradient must stand at right angles to the parameters for these to
// count as free of scale.
const adampThreshold = 0.1

// adamp is Heo et al. 2021 (algorithm 2): Adam whose step loses its part along the parameters where the gradient stands
// at right angles to them, as it does before a normalisation; there, growing longer would only slow later steps. All
// parameters count as one vector.
func (o *Optimiser) adamp(p, g []float32, lr float64) {
	o.first(g)
	o.second(g, o.cfg.Beta2, 1-o.cfg.Beta2)
	c1 := 1 - math.Pow(o.cfg.Beta1, float64(o.t))
	c2 := 1 - math.Pow(o.cfg.Beta2, float64(o.t))
	step := make([]float64, len(p))
	var pp, gg, pg, ps float64
	for i := range p {
		step[i] = float64(o.m[i]) / c1 / (math.Sqrt(float64(o.s[i])/c2) + o.cfg.Eps)
		x, y := float64(p[i]), float64(g[i])
		pp, gg, pg, ps = pp+x*x, gg+y*y, pg+x*y, ps+x*step[i]
	}
	along := 0.0
	if pp > 0 && gg > 0 && math.Abs(pg)/math.Sqrt(pp*gg) < adampThreshold/math.Sqrt(float64(len(p))) {
		along = ps / pp
	}
	for i := range p {
		p[i] -= float32(lr * (step[i] - along*float64(p[i])))
	}
}
