package paint

import (
	"fmt"
	"slices"
)

// state is what one step hands to the next.
type state struct {
	step    int       // steps done
	z, init []float32 // [1,h,w,C]; nil before the start
	opt     *Optimiser

	average  []float32 // moving average of z, not yet divided by its weight; nil when the config asks for none
	averaged int       // how many z are in it

	best     []float32 // z of the smallest loss so far; nil before the first step
	bestLoss float32
	bestStep int
}

// Array is a named array of a saved state. Latents are stored channels first, [1,C,h,w], as PyTorch has them.
type Array struct {
	Name  string
	Shape []int
	Data  []float32
}

// Step returns how many steps were taken.
func (p *Painter) Step() int { return p.step }

// State returns everything that a later Restore needs to go on as if nothing had happened, as new arrays.
func (p *Painter) State() ([]Array, error) {
	if p.z == nil {
		return nil, ErrNotStarted
	}
	out := []Array{
		p.latents("z", p.z), p.latents("init", p.init),
		{"counts", []int{4}, []float32{float32(p.step), float32(p.opt.t), float32(p.averaged), float32(p.bestStep)}},
	}
	for _, a := range []struct {
		name string
		data []float32
	}{{"first_moment", p.opt.m}, {"second_moment", p.opt.s}, {"average", p.average}, {"best", p.best}} {
		if a.data != nil {
			out = append(out, p.latents(a.name, a.data))
		}
	}
	if p.best != nil {
		out = append(out, Array{"best_loss", []int{1}, []float32{p.bestLoss}})
	}
	return out, nil
}

// Restore takes a state up. It fails, and leaves the painter as it was, when arrays are missing, left over or of the
// wrong shape: for example when the optimiser is another one.
func (p *Painter) Restore(arrays []Array) error {
	byName := map[string]Array{}
	for _, a := range arrays {
		if n := len(a.Data); n != product(a.Shape) {
			return fmt.Errorf("paint: state %s: %d values for shape %v", a.Name, n, a.Shape)
		}
		byName[a.Name] = a
	}
	var firstErr error
	fail := func(format string, args ...any) {
		if firstErr == nil {
			firstErr = fmt.Errorf("paint: state "+format, args...)
		}
	}
	take := func(name string, wanted bool, shape ...int) []float32 {
		a, ok := byName[name]
		delete(byName, name)
		switch {
		case !ok && wanted:
			fail("lacks %s", name)
		case ok && !wanted:
			fail("has %s, which this job does not use", name)
		case ok && !slices.Equal(a.Shape, shape):
			fail("%s has shape %v, want %v", name, a.Shape, shape)
		case ok:
			return a.Data
		}
		return nil
	}
	latents := func(name string, wanted bool) []float32 {
		if data := take(name, wanted, 1, p.c, p.h, p.w); data != nil {
			return p.channelsLast(data)
		}
		return nil
	}
	s := state{opt: p.opt.clone()}
	s.z, s.init = latents("z", true), latents("init", true)
	s.opt.m, s.opt.s = latents("first_moment", p.opt.m != nil), latents("second_moment", p.opt.s != nil)
	_, hasAverage := byName["average"] // none before the first step
	s.average = latents("average", hasAverage && p.cfg.Average > 0)
	_, hasBest := byName["best"]
	s.best = latents("best", hasBest)
	counts, loss := take("counts", true, 4), take("best_loss", hasBest, 1)
	if counts != nil && p.cfg.Average > 0 && !hasAverage && counts[0] > 0 {
		fail("lacks average")
	}
	for name := range byName {
		fail("has %s, which nothing uses", name)
	}
	if firstErr != nil {
		return firstErr
	}
	s.step, s.opt.t, s.averaged, s.bestStep = int(counts[0]), int(counts[1]), int(counts[2]), int(counts[3])
	if hasBest {
		s.bestLoss = loss[0]
	}
	p.state = s
	return nil
}

// latents turns an array [1,h,w,C] into a state's [1,C,h,w].
func (p *Painter) latents(name string, v []float32) Array {
	out := make([]float32, len(v))
	for i := range p.h * p.w {
		for c := range p.c {
			out[c*p.h*p.w+i] = v[i*p.c+c]
		}
	}
	return Array{name, []int{1, p.c, p.h, p.w}, out}
}

func (p *Painter) channelsLast(v []float32) []float32 {
	out := make([]float32, len(v))
	for i := range p.h * p.w {
		for c := range p.c {
			out[i*p.c+c] = v[c*p.h*p.w+i]
		}
	}
	return out
}

func product(dims []int) int {
	n := 1
	for _, d := range dims {
		n *= d
	}
	return n
}
