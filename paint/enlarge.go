package paint

import (
	"fmt"
	"math"
	"slices"
)

// Enlarge goes on with what another painter has painted at another size, as painting from coarse to fine does: the latents,
// their average and the start are resampled, the optimiser begins anew, and the smallest loss so far is forgotten, as losses
// of two sizes do not compare. Both painters must have the same models and the same config but for the size; p loses what it
// had painted.
func (p *Painter) Enlarge(from *Painter) error {
	if from.z == nil {
		return ErrNotStarted
	}
	if p.c != from.c || (p.opt.m == nil) != (from.opt.m == nil) || (p.opt.s == nil) != (from.opt.s == nil) {
		return fmt.Errorf("paint: enlarge: latents of %d channels from a painter of %d, or another optimiser", p.c, from.c)
	}
	larger := func(v []float32) []float32 { return stretch(v, from.h, from.w, p.h, p.w, p.c) }
	s := state{step: from.step, z: larger(from.z), init: larger(from.init), opt: p.opt.clone(), averaged: from.averaged,
		drops: from.drops, dropStep: from.dropStep}
	s.opt.Reset()
	if from.average != nil {
		s.average = larger(from.average)
	}
	if s.step > 0 {
		s.best, s.bestLoss, s.bestStep = slices.Clone(s.z), math.MaxFloat32, s.step
	}
	p.state = s
	return nil
}

// stretch resamples an array [h,w,c] to [height,width,c] by straight lines between the middles of cells, flat beyond the
// outermost ones.
func stretch(v []float32, h, w, height, width, c int) []float32 {
	rows, cols := between(h, height), between(w, width)
	out := make([]float32, height*width*c)
	for y, r := range rows {
		for x, q := range cols {
			a, b := v[(r.low*w+q.low)*c:][:c], v[(r.low*w+q.high)*c:][:c]
			d, e := v[(r.high*w+q.low)*c:][:c], v[(r.high*w+q.high)*c:][:c]
			for i := range c {
				top := a[i] + float32(q.share*(b[i]-a[i]))
				low := d[i] + float32(q.share*(e[i]-d[i]))
				out[(y*width+x)*c+i] = top + float32(r.share*(low-top))
			}
		}
	}
	return out
}

// cell says where a cell lies among those of another size: between two of them.
type cell struct {
	low, high int
	share     float32 // of high
}

func between(from, to int) []cell {
	out := make([]cell, to)
	for i := range out {
		at := min(max((float64(i)+0.5)*float64(from)/float64(to)-0.5, 0), float64(from-1))
		low := int(at)
		out[i] = cell{low, min(low+1, from-1), float32(at - float64(low))}
	}
	return out
}

// StepsOf returns how many steps were taken when a state was saved; 0 when it does not say.
func StepsOf(arrays []Array) int {
	for _, a := range arrays {
		if a.Name == "counts" && len(a.Data) > 0 {
			return int(a.Data[0])
		}
	}
	return 0
}
