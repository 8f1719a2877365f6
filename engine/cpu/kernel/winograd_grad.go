package kernel

import "unsafe"

// WinogradGrad computes the weight gradient of a 3x3 convolution with stride 1 by the transposed algorithm F(4x4,3x3):
// for each of the 36 points a matrix product whose depth is the tiles, then a transform to 3x3. A job owns a range of
// input and of output channels and goes through all tiles in ascending order, so each sum is one chain.
type WinogradGrad struct {
	winogradTiles
	ci, co int // channels of a job
	dyOff  [16]int
}

// NewWinogradGrad plans the weight gradient of the convolution c. It panics unless c.FitsWinograd().
func (s *Set) NewWinogradGrad(c ConvShape) *WinogradGrad {
	const block, channels = 64, 64 // 36*64*64 sums and a block of tiles stay in the second-level cache
	g := &WinogradGrad{ci: evenly(c.Cin, channels, 8), co: evenly(c.Cout, channels, s.nr)}
	g.winogradTiles = newWinogradTiles(s, c, block, g.ci)
	for q := range g.dyOff {
		g.dyOff[q] = (q/4*c.OutW + q%4) * c.Cout * 4
	}
	return g
}

// evenly cuts n into parts of at most size, equal but for rounding up to a multiple of unit.
func evenly(n, size, unit int) int {
	parts := max(1, (n+size-1)/size)
	return max(unit, ((n+parts-1)/parts+unit-1)/unit*unit)
}

// Jobs is the number of independent pieces of work.
func (g *WinogradGrad) Jobs() int {
	return ((g.shape.Cin + g.ci - 1) / g.ci) * ((g.shape.Cout + g.co - 1) / g.co)
}

// Scratch is the number of floats of scratch that Run needs.
func (g *WinogradGrad) Scratch() int {
	return 36*g.block*(g.pitch+g.co) + 36*g.ci*g.co + 36*16 + (max(g.ci, g.co)+15)&^15 + 32
}

// Run computes one job: its part of dw[3][3][Cin][Cout] from x[N][H][W][Cin] and dy[N][OutH][OutW][Cout]. Jobs write
// disjoint parts of dw; scratch belongs to the call.
func (g *WinogradGrad) Run(job int, dw, x, dy, scratch []float32) {
	c := g.shape
	_ = scratch[g.Scratch()-1]
	parts := (c.Cout + g.co - 1) / g.co
	c0, o0 := job/parts*g.ci, job%parts*g.co
	nci, nco := min(g.ci, c.Cin-c0), min(g.co, c.Cout-o0)
	p := aligned(scratch)
	take := func(n int) unsafe.Pointer {
		q := p
		p = unsafe.Add(p, n*4)
		return q
	}
	v, m, u := take(36*g.block*g.pitch), take(36*g.block*g.co), take(36*g.ci*g.co)
	tmp, zero := take(36*16), take(max(g.ci, g.co))
	clear(unsafe.Slice((*float32)(zero), max(g.ci, g.co)))
	sums := unsafe.Slice((*float32)(u), 36*g.ci*g.co)
	if g.tiles == 0 || c.H*c.W == 0 {
		clear(sums)
	} else {
		for b := range g.blocks {
			first := b * g.block
			n := min(g.block, g.tiles-first)
			g.inputs(v, tmp, zero, x, first, n, c0, nci)
			g.outputs(m, tmp, zero, dy, first, n, o0, nco)
			g.products(sums, v, m, n, nci, nco, b > 0)
		}
	}
	g.weights(dw, u, tmp, c0, nci, o0, nco)
}

// outputs transforms channels [o0,o0+nco) of dy below the n tiles into m [36][panel][n][NR].
func (g *WinogradGrad) outputs(m, tmp, zero unsafe.Pointer, dy []float32, first, n, o0, nco int) {
	c, s := g.shape, g.set
	var off [16]int
	var to [36]int
	for q := range to {
		to[q] = q * g.block * g.co * 4
	}
	a := transformArgs{tmp: tmp, dstOff: &to[0]}
	for t := range n {
		img, y, x := g.place(first + t)
		at := ((img*c.OutH+y)*c.OutW+x)*c.Cout + o0
		edge := y+4 > c.OutH || x+4 > c.OutW
		for p := 0; p < nco; p += s.nr {
			a.n = min(s.nr, nco-p)
			a.src, a.srcOff = unsafe.Pointer(&dy[at+p]), &g.dyOff[0]
			a.dst = unsafe.Add(m, (p*n+t*s.nr)*4)
			if edge {
				a.srcOff = &off[0]
				for q := range off {
					off[q] = g.dyOff[q]
					if y+q/4 >= c.OutH || x+q%4 >= c.OutW {
						off[q] = int(uintptr(zero) - uintptr(a.src))
					}
				}
			}
			s.transform(winogradGradOut, &a)
		}
	}
}

// products adds the products of one block of n tiles to sums [36][nci][nco].
func (g *WinogradGrad) products(sums []float32, v, m unsafe.Pointer, n, nci, nco int, acc bool) {
	s := g.set
	var zero int
	t := tileArgs{taps: &zero, ntaps: 1, kc: n, ldc: nco, lda: g.pitch, acc: toInt(acc)}
	for q := range 36 {
		for p := 0; p < nco; p += s.nr {
			t.b = unsafe.Add(m, (q*g.block*g.co+p*n)*4)
			t.cols = min(s.nr, nco-p)
			for i := 0; i < nci; {
				r := s.tileRows(nci - i)
				t.a = unsafe.Add(v, (q*g.block*g.pitch+i)*4)
				t.c = unsafe.Pointer(&sums[(q*nci+i)*nco+p])
				s.run(s.tileT, r, &t)
				i += r
			}
		}
	}
}

// weights transforms the sums at u [36][nci][nco] to this job's part of dw.
func (g *WinogradGrad) weights(dw []float32, u, tmp unsafe.Pointer, c0, nci, o0, nco int) {
	c := g.shape
	_ = dw[9*c.Cin*c.Cout-1]
	var from [36]int
	var to [9]int
	for q := range from {
		from[q] = q * nci * nco * 4
	}
	for q := range to {
		to[q] = q * c.Cin * c.Cout * 4
	}
	a := transformArgs{tmp: tmp, srcOff: &from[0], dstOff: &to[0], n: nco}
	for i := range nci {
		a.src = unsafe.Add(u, i*nco*4)
		a.dst = unsafe.Pointer(&dw[(c0+i)*c.Cout+o0])
		g.set.transform(winogradGradWeights, &a)
	}
}
