package cpu

import "github.com/smalti/smalti/engine/cpu/kernel"

// Convolutions of stride 2 with up to 4x4 taps, transposed ones, and the gradients of their kernels. Sorted by the
// remainders of their coordinates they are sums of convolutions of stride 1 with at most 2x2 taps, which Winograd's algorithm
// F(4x4,2x2) computes in up to 2.56 times fewer multiplications (kernel.Poly).

// poly is such a convolution: one plan for each phase of the output.
type poly struct {
	plans []*kernel.Poly
	first []int // number of the first job of each plan, and of all
	w     *move // copy of the kernel to [kh][kw][in][out], or nil
	wSize int
}

// newPoly returns nil if v is of another kind or does not gain by it.
func newPoly(set *kernel.Set, v *conv) *poly {
	if v.groups != 1 || v.x.c != 1 || v.y.c != 1 || v.c < 12 || v.o < 3 {
		return nil
	}
	p := &poly{first: []int{0}}
	s := *v
	if s.k.b != 1 && s.k.c != 1 {
		dims := []int{v.kh, v.kw, v.c, v.o}
		c := contiguous(dims)
		p.w, p.wSize = newMove(dims, c, []int{v.k.h, v.k.w, v.k.b, v.k.c}, 0, v.k.start), product(dims)
		s.k = strides{h: c[0], w: c[1], b: c[2], c: c[3]}
	}
	var cost polyCost
	for _, v := range s.phases() {
		c, ok := v.polyShape()
		if !ok {
			return nil
		}
		cost.add(c)
		plan := set.NewPoly(c)
		p.plans = append(p.plans, plan)
		p.first = append(p.first, p.first[len(p.first)-1]+plan.Jobs())
	}
	if !cost.pays() {
		return nil
	}
	return p
}

// polyCost counts the multiplications of one picture and pair of channels.
type polyCost struct{ direct, winograd int }

func (c *polyCost) add(s kernel.PolyShape) {
	for _, part := range s.Parts {
		c.winograd += 25 * ((s.OutH + 3) / 4) * ((s.OutW + 3) / 4)
		for _, at := range part.Taps {
			if at != kernel.NoTap {
				c.direct += s.OutH * s.OutW
			}
		}
	}
}

// pays allows for the transforms.
func (c *polyCost) pays() bool { return 2*c.direct >= 3*c.winograd }

// polyShape describes a convolution without groups, input dilation and dilation to package kernel; false if it has too many taps.
func (v *conv) polyShape() (kernel.PolyShape, bool) {
	c := kernel.PolyShape{N: v.b, Cin: v.c, OutH: v.oh, OutW: v.ow, Cout: v.o, WIn: v.k.b, WOut: v.k.c,
		Out: kernel.View{At: v.y.start, N: v.y.b, Y: v.y.h, X: v.y.w}}
	one := [2]int{1, 1}
	if v.inDilate != one || v.dilate != one || v.kh > 2*v.stride[0] || v.kw > 2*v.stride[1] || v.kh*v.kw == 0 {
		return c, false
	}
	for _, a := range remainders(v.kh, v.stride[0], v.pad[0], v.h) {
		for _, b := range remainders(v.kw, v.stride[1], v.pad[1], v.w) {
			part := kernel.PolyPart{In: kernel.View{At: a.at*v.x.h + b.at*v.x.w, N: v.x.b, Y: v.stride[0] * v.x.h, X: v.stride[1] * v.x.w},
				H: a.size, W: b.size, PadTop: a.pad, PadLeft: b.pad}
			for t := range part.Taps {
				part.Taps[t] = kernel.NoTap
				if t/2 < a.taps && t%2 < b.taps {
					part.Taps[t] = v.k.start + (a.tap+t/2*v.stride[0])*v.k.h + (b.tap+t%2*v.stride[1])*v.k.w
				}
			}
			c.Parts = append(c.Parts, part)
		}
	}
	return c, true
}

// remainder is what the outputs of one axis see of the coordinates at, at+stride, ...: taps tap, tap+stride, ..., which
// lie at i-pad, i-pad+1, ... of those coordinates.
type remainder struct{ at, size, tap, taps, pad int }

// remainders splits an axis of a convolution by the remainders of its input's coordinates.
func remainders(taps, stride, pad, size int) (out []remainder) {
	for at := range stride {
		tap := ((at+pad)%stride + stride) % stride
		if tap >= taps || at >= size {
			continue
		}
		out = append(out, remainder{at: at, size: (size - at + stride - 1) / stride, tap: tap, taps: (taps - tap + stride - 1) / stride,
			pad: (pad + at - tap) / stride})
	}
	return out
}

func (p *poly) thunk(dst, x, w, bias int) func(f *frame) {
	return func(f *frame) {
		var row []float32
		if bias >= 0 {
			row = view[float32](f.slots[bias])
		}
		ys, xs, ws := view[float32](f.slots[dst]), view[float32](f.slots[x]), view[float32](f.slots[w])
		var mem []byte
		if p.w != nil {
			mem = f.b.memory.get(4 * p.wSize)
			runMove(f, p.w, view[uint32](mem), view[uint32](f.slots[w]))
			ws = view[float32](mem)
		}
		f.b.pool.Run(p.first[len(p.plans)], 1, func(lo, hi int) {
			var scratch []byte
			for plan := range p.plans {
				for i := max(lo, p.first[plan]); i < min(hi, p.first[plan+1]); i++ {
					if size := 4 * p.plans[plan].Scratch(); len(scratch) < size {
						f.b.memory.put(scratch)
						scratch = f.b.memory.get(size)
					}
					p.plans[plan].Run(i-p.first[plan], ys, xs, ws, row, view[float32](scratch))
				}
			}
			f.b.memory.put(scratch)
		})
		f.b.memory.put(mem)
	}
}

// newPolyGrad plans the gradient of the kernel of a convolution that polyShape describes; nil if it is of another kind or
// does not gain. It writes its part of the result in place.
func newPolyGrad(set *kernel.Set, kg *conv) *kernel.PolyGrad {
	one := [2]int{1, 1}
	if kg.inDilate != one || kg.stride != one || kg.x.b != 1 || kg.k.c != 1 || kg.k.h < 0 || kg.k.w < 0 || kg.y.b != 1 && kg.y.c != 1 ||
		kg.b < 16 || kg.o < 16 {
		return nil
	}
	forward := &conv{b: kg.c, h: kg.h, w: kg.w, c: kg.b, kh: kg.oh, kw: kg.ow, o: kg.o, oh: kg.kh, ow: kg.kw, groups: 1,
		stride: kg.dilate, pad: kg.pad, inDilate: one, dilate: one,
		x: strides{b: kg.x.c, h: kg.x.h, w: kg.x.w, c: 1},
		k: strides{b: kg.y.b, h: kg.y.h, w: kg.y.w, c: kg.y.c, start: kg.y.start},
		y: strides{b: kg.k.b, h: kg.k.h, w: kg.k.w, c: 1, start: kg.k.start}}
	c, ok := forward.polyShape()
	var cost polyCost
	cost.add(c)
	taps := 0
	for _, part := range c.Parts {
		for _, at := range part.Taps {
			if at != kernel.NoTap {
				taps++
			}
		}
	}
	if !ok || taps != kg.oh*kg.ow { // some taps see no pixel
		return nil
	}
	// 3x3 taps gain less by the algorithm, but more by products over all pictures at once.
	if !cost.pays() && (5*cost.direct < 7*cost.winograd || kg.b < 48 || kg.o < 48) {
		return nil
	}
	return set.NewPolyGrad(c)
}
