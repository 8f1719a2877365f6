package paint

import (
	"context"
	"fmt"
	"math"
	"slices"

	"github.com/gomlx/gomlx/core/tensors"

	"github.com/smalti/smalti/engine"
)

// Term is one part of the loss of a step, with its weight.
type Term struct {
	Name  string
	Value float64
}

// Report is what a step found.
type Report struct {
	Step     int     // the step that was taken, from 0
	Terms    []Term  // latent losses, targets, embedding losses, pixel losses, in the order of the config
	Total    float64 // sum of the terms
	GradNorm float64 // Euclidean norm of the gradient for z
	LR       float64
	Cuts     int     // for each encoder
	Best     bool    // the smallest loss of targets so far; cuts differ from step to step, so it is a noisy comparison
	Codes    []int32 // [h,w] codes of the picture that the loss is of
}

// DivergedError says that a step met a number that is not finite. The state is the one before the step.
type DivergedError struct {
	Step int
	What string
}

func (e *DivergedError) Error() string {
	return fmt.Sprintf("paint: step %d: %s is not a finite number", e.Step, e.What)
}

// Advance takes one step. When it fails, or ctx ends, the state is the one before the step.
func (p *Painter) Advance(ctx context.Context) (Report, error) {
	if p.z == nil {
		return Report{}, ErrNotStarted
	}
	e, err := p.evaluate(ctx)
	if err != nil {
		return Report{}, err
	}
	r := Report{Step: p.step, Terms: e.terms, LR: p.rate(), Cuts: p.cutsAt(p.step), Codes: e.codes}
	for _, t := range r.Terms {
		if !finite(t.Value) {
			return Report{}, &DivergedError{p.step, "the loss " + t.Name}
		}
		r.Total += t.Value
	}
	var sum float64
	for _, g := range e.dz {
		sum += float64(g) * float64(g)
	}
	if r.GradNorm = math.Sqrt(sum); !finite(r.GradNorm) {
		return Report{}, &DivergedError{p.step, "the gradient"}
	}
	next, err := p.move(e, r.LR)
	if err != nil {
		return Report{}, err
	}
	r.Best = next.bestStep == p.step && next.best != nil
	p.state = next
	return r, nil
}

// rate is the learning rate of the step: the schedule's, lowered as often as the loss has stood still.
func (p *Painter) rate() float64 {
	lr := p.cfg.LR.At(p.step)
	for range p.drops {
		lr *= p.cfg.Plateau.Factor
	}
	return lr
}

// Idle is for how many steps the loss of targets has not fallen below its least.
func (p *Painter) Idle() int { return p.step - p.bestStep }

func finite(v float64) bool { return !math.IsNaN(v) && !math.IsInf(v, 0) }

// move returns the state after a step along the gradient.
func (p *Painter) move(e evaluation, lr float64) (state, error) {
	s := p.state
	s.opt = p.opt.clone()
	for _, l := range p.cfg.Latent {
		if l.Restarts(p.step) {
			s.opt.Reset()
		}
	}
	s.z = slices.Clone(p.z)
	s.opt.Step(s.z, e.dz, lr)
	for _, part := range [][]float32{s.z, s.opt.m, s.opt.s} {
		for _, v := range part {
			if !finite(float64(v)) {
				return state{}, &DivergedError{p.step, "the optimiser's state"}
			}
		}
	}
	if !p.cfg.Free {
		for i := range s.z {
			c := i % p.c
			s.z[i] = min(max(s.z[i], p.lo[c]), p.hi[c])
		}
	}
	if k := p.cfg.Keep; k != nil {
		k.hold(s.z, s.init, p.c)
	}
	if loss := float32(e.targets); s.best == nil || loss < s.bestLoss {
		s.best, s.bestLoss, s.bestStep = slices.Clone(p.z), loss, p.step
	}
	if a := float32(p.cfg.Average); a > 0 {
		s.average = make([]float32, len(s.z))
		for i, v := range s.z {
			old := float32(0)
			if p.average != nil {
				old = a * p.average[i]
			}
			s.average[i] = old + float32((1-a)*v)
		}
		s.averaged++
	}
	s.step++
	if patience := p.cfg.Plateau.Patience; patience > 0 && s.step-max(s.bestStep, s.dropStep) > patience {
		s.drops, s.dropStep = s.drops+1, s.step
	}
	return s, nil
}

func (p *Painter) cutsAt(step int) int { return max(1, int(math.Round(p.cfg.Cuts.At(step)))) }

// evaluation is the loss of z at a step with its gradient.
type evaluation struct {
	terms   []Term
	targets float64 // the part of the loss that embeddings make
	codes   []int32
	dz      []float32
	dx      []float32 // gradient for the picture, of everything but the latent losses
}

// evaluate computes the loss of the current z and its gradient. It changes nothing.
func (p *Painter) evaluate(ctx context.Context) (e evaluation, err error) {
	z := engine.FromFloats(p.z, 1, p.h, p.w, p.c)
	d, err := p.canvas.begin(z)
	if err != nil {
		return e, fmt.Errorf("paint: decode: %w", err)
	}
	defer d.drop()
	e.codes = d.codes
	e.dx = make([]float32, p.cfg.Width*p.cfg.Height*3)
	var latent []Term
	dz := make([]float32, len(p.z))
	for _, l := range p.cfg.Latent {
		latent = append(latent, Term{l.Name(), l.Add(p.step, p.z, p.init, dz)})
		if f, ok := l.(failing); ok && f.Err() != nil {
			return e, fmt.Errorf("paint: loss %s: %w", l.Name(), f.Err())
		}
	}
	sight := p.sight()
	x := sight.see(d.x)
	if e.terms, err = p.look(ctx, x, e.dx); err != nil {
		return e, err
	}
	for _, t := range e.terms {
		e.targets += t.Value
	}
	if e.terms, err = p.pixel.add(p.step, x, append(latent, e.terms...), e.dx); err != nil {
		return e, err
	}
	e.dx = sight.back(e.dx)
	if k := p.cfg.Keep; k != nil {
		e.terms = append(e.terms, Term{"seam", k.seam(p.step, engine.Floats(d.x), e.dx)})
	}
	if err := ctx.Err(); err != nil {
		return e, err
	}
	e.dz, err = d.gradient(engine.FromFloats(e.dx, 1, p.cfg.Height, p.cfg.Width, 3))
	if err != nil {
		return e, fmt.Errorf("paint: gradient of the decoder: %w", err)
	}
	for i, g := range dz {
		e.dz[i] += g
	}
	return e, nil
}

// look lets every encoder see the picture x, adds the gradient for it to dx and returns the terms of targets and
// embedding losses.
func (p *Painter) look(ctx context.Context, x *tensors.Tensor, dx []float32) ([]Term, error) {
	values := make([]float64, len(p.cfg.Targets))
	extra := make([]float64, len(p.cfg.Embedding))
	for _, l := range p.looks {
		if l.rows.len() == 0 && (len(extra) == 0 || l.window != nil) {
			continue
		}
		if err := p.lookOnce(ctx, l, x, dx, values, extra); err != nil {
			return nil, err
		}
	}
	var terms []Term
	for i, t := range p.cfg.Targets {
		terms = append(terms, Term{t.Name, values[i]})
	}
	for i, l := range p.cfg.Embedding {
		terms = append(terms, Term{l.Name(), extra[i]})
	}
	return terms, nil
}

// lookOnce lets one encoder see the picture, or its window of it.
func (p *Painter) lookOnce(ctx context.Context, l look, x *tensors.Tensor, dx []float32, values, extra []float64) error {
	width, height := p.cfg.Width, p.cfg.Height
	whole := dx // onto which the gradient for the window goes in the end
	if w := l.window; w != nil {
		width, height = w.W, w.H
		x = engine.FromFloats(w.cut(engine.Floats(x), p.cfg.Width), 1, w.H, w.W, 3)
		dx, extra = make([]float32, 3*w.W*w.H), nil
	}
	view, err := l.see(x)
	if err != nil {
		return fmt.Errorf("paint: %w", err)
	}
	sum := dx
	if l.scheme.Pooled {
		sum = make([]float32, view.Shape().Size())
	}
	share := p.cfg.Share.At(p.step)
	g := gaze{Painter: p, eye: l.eye, view: view, width: width, height: height, cuts: p.cutsAt(p.step), sum: sum}
	if share == 0 && len(extra) == 0 {
		err = g.once(ctx, l.rows, values)
	} else {
		err = g.twice(ctx, sharedTargets{l.rows, share}, values, extra)
	}
	if err != nil {
		return err
	}
	if l.scheme.Pooled {
		s := l.encoder.ImageSize()
		back, err := l.viewBack.Run(nil, x, engine.FromFloats(sum, 1, s, s, 3))
		if err != nil {
			return fmt.Errorf("paint: %w", err)
		}
		for k, v := range engine.Floats(back[0]) {
			dx[k] += v
		}
	}
	if l.window != nil {
		l.window.paste(dx, whole, p.cfg.Width)
	}
	return nil
}
