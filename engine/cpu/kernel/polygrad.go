package kernel

import "unsafe"

// PolyGrad computes the gradient of a [Poly]'s weights by the transposed algorithm: for each of the 25 points a matrix
// product whose depth is the tiles, then a transform to 2x2. A job owns one part and a range of in- and of out-channels and goes
// through all tiles in ascending order, so each sum is one chain.
type PolyGrad struct {
	polyTiles
	ci, co int // channels of a job
	dyFrom [16]int
	x, dy  polySide
}

// polySide is how one factor of the products is laid out for n tiles: by steps, [25][tile][pitch], or in panels of the
// other's columns, [25][panel][tile][nr].
type polySide struct {
	panels bool
	pitch  int // floats of a tile; nr in panels
	size   int // channels of a job, rounded up
	to     [25]int
}

// NewPolyGrad plans the gradient of the weights of c: WIn and WOut are distances in the gradient, and parts must not share taps.
func (s *Set) NewPolyGrad(c PolyShape) *PolyGrad {
	const block, channels = 64, 64 // 25*64*64 sums and a block of tiles stay in the second-level cache
	g := &PolyGrad{polyTiles: newPolyTiles(s, c, block), ci: evenly(c.Cin, channels, s.nr), co: evenly(c.Cout, channels, s.nr)}
	byOut := c.WOut == 1 // rows of the gradient run through the out-channels
	g.x, g.dy = g.side(g.ci, !byOut), g.side(g.co, byOut)
	for q := range g.dyFrom {
		g.dyFrom[q] = (q/4*c.Out.Y + q%4*c.Out.X) * 4
	}
	return g
}

func (g *PolyGrad) side(channels int, panels bool) polySide {
	e := polySide{panels: panels, pitch: channels + 16, size: channels + 16}
	if panels {
		e.pitch, e.size = g.set.nr, channels
	}
	for q := range e.to {
		e.to[q] = q * g.block * e.size * 4
	}
	return e
}

// Jobs is the number of independent pieces of work.
func (g *PolyGrad) Jobs() int {
	c := &g.shape
	return len(c.Parts) * ((c.Cin + g.ci - 1) / g.ci) * ((c.Cout + g.co - 1) / g.co)
}

// Scratch is the number of floats of scratch that Run needs.
func (g *PolyGrad) Scratch() int {
	return 25*g.block*(g.x.size+g.dy.size) + 25*g.ci*g.co + 25*16 + max(g.ci, g.co) + 64 + 32
}

// Run computes one job: its part of dw from x and dy. Jobs write disjoint parts of dw; taps that a part lacks and
// parts that see no pixel are not written. scratch belongs to the call.
func (g *PolyGrad) Run(job int, dw, x, dy, scratch []float32) {
	c := &g.shape
	_, _, _ = x[:g.inEnd], dy[:g.outEnd], scratch[g.Scratch()-1]
	parts := (c.Cout + g.co - 1) / g.co
	o0 := job % parts * g.co
	job /= parts
	ranges := (c.Cin + g.ci - 1) / g.ci
	c0, part := job%ranges*g.ci, job/ranges
	nci, nco := min(g.ci, c.Cin-c0), min(g.co, c.Cout-o0)
	p := aligned(scratch)
	take := func(n int) unsafe.Pointer {
		q := p
		p = unsafe.Add(p, n*4)
		return q
	}
	v, m, u := take(25*g.block*g.x.size), take(25*g.block*g.dy.size), take(25*g.ci*g.co)
	tmp, zero, trash := take(25*16), take(max(g.ci, g.co)), take(64)
	clear(unsafe.Slice((*float32)(zero), max(g.ci, g.co)))
	sums := unsafe.Slice((*float32)(u), 25*g.ci*g.co)
	if g.tiles == 0 {
		clear(sums)
	}
	for b := range g.blocks {
		first := b * g.block
		n := min(g.block, g.tiles-first)
		for at, nc := range g.x.pieces(nci) {
			g.inputs(unsafe.Add(v, at*n*4), &g.x.to[0], g.x.pitch, tmp, zero, x, part, first, n, c0+at, nc)
		}
		for at, nc := range g.dy.pieces(nco) {
			g.outputs(unsafe.Add(m, at*n*4), tmp, zero, dy, first, n, o0+at, nc)
		}
		if g.dy.panels {
			g.products(sums, v, m, &g.x, &g.dy, n, nci, nco, b > 0)
		} else {
			g.products(sums, m, v, &g.dy, &g.x, n, nco, nci, b > 0)
		}
	}
	g.weights(dw, u, tmp, trash, part, c0, nci, o0, nco)
}

// pieces are the runs of channels that a transform writes at once: all of them, or one panel's.
func (e *polySide) pieces(channels int) func(yield func(at, n int) bool) {
	step := channels
	if e.panels {
		step = e.pitch
	}
	return func(yield func(at, n int) bool) {
		for at := 0; at < channels; at += step {
			if !yield(at, min(step, channels-at)) {
				return
			}
		}
	}
}

// outputs transforms channels [o0,o0+nc) of dy in the n tiles.
func (g *PolyGrad) outputs(dst, tmp, zero unsafe.Pointer, dy []float32, first, n, o0, nc int) {
	c := &g.shape
	var off [16]int
	a := transformArgs{tmp: tmp, dstOff: &g.dy.to[0], n: nc}
	for t := range n {
		img, y, x := g.place(first + t)
		a.src, a.srcOff = unsafe.Pointer(&dy[c.Out.At+img*c.Out.N+y*c.Out.Y+x*c.Out.X+o0]), &g.dyFrom[0]
		a.dst = unsafe.Add(dst, t*g.dy.pitch*4)
		if y+4 > c.OutH || x+4 > c.OutW {
			a.srcOff = &off[0]
			for q := range off {
				off[q] = g.dyFrom[q]
				if y+q/4 >= c.OutH || x+q%4 >= c.OutW {
					off[q] = int(uintptr(zero) - uintptr(a.src))
				}
			}
		}
		g.set.transform(winogradGradOut2, &a)
	}
}

// products adds the products of one block of n tiles to sums [25][rows][cols]: a is laid out by steps, b in panels.
func (g *PolyGrad) products(sums []float32, a, b unsafe.Pointer, ea, eb *polySide, n, rows, cols int, acc bool) {
	s := g.set
	var zero int
	t := tileArgs{taps: &zero, ntaps: 1, kc: n, ldc: cols, lda: ea.pitch, acc: toInt(acc)}
	for q := range 25 {
		for p := 0; p < cols; p += s.nr {
			t.b = unsafe.Add(b, eb.to[q]+p*n*4)
			t.cols = min(s.nr, cols-p)
			for i := 0; i < rows; {
				r := s.tileRows(rows - i)
				t.a = unsafe.Add(a, ea.to[q]+i*4)
				t.c = unsafe.Pointer(&sums[(q*rows+i)*cols+p])
				s.run(s.tileT, r, &t)
				i += r
			}
		}
	}
}

// weights transforms the sums at u to this job's part of dw.
func (g *PolyGrad) weights(dw []float32, u, tmp, trash unsafe.Pointer, part, c0, nci, o0, nco int) {
	c := &g.shape
	rows, cols, step := nci, nco, c.WIn
	if !g.dy.panels {
		rows, cols, step = nco, nci, c.WOut
	}
	var from [25]int
	var to [4]int
	for q := range from {
		from[q] = q * rows * cols * 4
	}
	a := transformArgs{tmp: tmp, srcOff: &from[0], dstOff: &to[0], n: cols}
	taps := c.Parts[part].Taps
	for i := range rows {
		base := c0*c.WIn + o0*c.WOut + i*step
		for _, at := range taps {
			if at != NoTap {
				a.dst = unsafe.Pointer(&dw[base+at])
				break
			}
		}
		for t, at := range taps {
			if at == NoTap {
				to[t] = int(uintptr(trash) - uintptr(a.dst))
				continue
			}
			_ = dw[base+at+cols-1]
			to[t] = int(uintptr(unsafe.Pointer(&dw[base+at])) - uintptr(a.dst))
		}
		a.src = unsafe.Add(u, i*cols*4)
		g.set.transform(winogradGradWeights2, &a)
	}
}
