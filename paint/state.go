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

	drops, dropStep int // lowerings of the rate on plateaus, and the step after which the last one came
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
	}{{"first_moment", p.opt.m}, {"second_moment", p.opt.s}, {"last_gradient", p.opt.last}, {"average", p.average}, {"best", p.best}} {
		if a.data != nil {
			out = append(out, p.latents(a.name, a.data))
		}
	}
	if p.cfg.Plateau.Patience > 0 {
		out = append(out, Array{"plateau", []int{2}, []float32{float32(p.drops), float32(p.dropStep)}})
	}
	if p.best != nil {
		out = append(out, Array{"best_loss", []int{1}, []float32{p.bestLoss}})
	}
	return out, nil
}

// Restore takes a state up. It fails, and leaves the painter as it was, when arrays are missing, left over or of the
// wrong shape: for example when the optimiser is another one.
func (p *Painter) Restore(arrays []Array) error {
	r := restorer{p: p, left: map[string]Array{}}
	for _, a := range arrays {
		if n := len(a.Data); n != product(a.Shape) {
			return fmt.Errorf("paint: state %s: %d values for shape %v", a.Name, n, a.Shape)
		}
		r.left[a.Name] = a
	}
	s := state{opt: p.opt.clone()}
	s.z, s.init = r.latents("z", true), r.latents("init", true)
	s.opt.m, s.opt.s = r.latents("first_moment", p.opt.m != nil), r.latents("second_moment", p.opt.s != nil)
	s.opt.last = r.latents("last_gradient", p.opt.last != nil)
	if counts := r.take("counts", true, 4); counts != nil {
		for _, n := range counts {
			if n < 0 || n != float32(int(n)) {
				r.fail("counts are %v", counts)
			}
		}
		s.step, s.opt.t, s.averaged, s.bestStep = int(counts[0]), int(counts[1]), int(counts[2]), int(counts[3])
	}
	if plateau := r.take("plateau", p.cfg.Plateau.Patience > 0, 2); plateau != nil {
		s.drops, s.dropStep = int(plateau[0]), int(plateau[1])
	}
	// The rest exists from the first step on.
	s.average = r.latents("average", s.step > 0 && p.cfg.Average > 0)
	s.best = r.latents("best", s.step > 0)
	if loss := r.take("best_loss", s.step > 0, 1); loss != nil {
		s.bestLoss = loss[0]
	}
	for name := range r.left {
		r.fail("has %s, which this job does not use", name)
	}
	if r.err != nil {
		return r.err
	}
	p.state = s
	return nil
}

// restorer takes arrays out of a saved state and keeps the first thing that is wrong.
type restorer struct {
	p    *Painter
	left map[string]Array
	err  error
}

func (r *restorer) fail(format string, args ...any) {
	if r.err == nil {
		r.err = fmt.Errorf("paint: state "+format, args...)
	}
}

// take returns the data of an array of a shape, or nil. One that is not wanted stays among those left.
func (r *restorer) take(name string, wanted bool, shape ...int) []float32 {
	a, ok := r.left[name]
	if !wanted {
		return nil
	}
	delete(r.left, name)
	switch {
	case !ok:
		r.fail("lacks %s", name)
	case !slices.Equal(a.Shape, shape):
		r.fail("%s has shape %v, want %v", name, a.Shape, shape)
	case slices.ContainsFunc(a.Data, func(v float32) bool { return !finite(float64(v)) }):
		r.fail("%s holds numbers that are not finite", name)
	default:
		return a.Data
	}
	return nil
}

// latents takes an array of the shape of z, channels last; nil after a failure.
func (r *restorer) latents(name string, wanted bool) []float32 {
	data := r.take(name, wanted, 1, r.p.c, r.p.h, r.p.w)
	if data == nil {
		return nil
	}
	return r.p.channelsLast(data)
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
