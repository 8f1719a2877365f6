package kernel

import "unsafe"

// WeightGrad computes the gradient of a convolution with respect to its weights, dw[ky][kx][ci][co] = sum over outputs of
// x[...]*dy[...]: for each tap a matrix product whose depth is the pixels. A job owns a range of input and of output
// channels and goes through all pixels in ascending order (picture, row, column), so each element is one chain.
type WeightGrad struct {
	set    *Set
	direct *Direct // cuts the pictures into blocks and copies patches
	shape  ConvShape
	ci, co int // channels of a job
	pitch  int // floats between pixels of the patch
}

// NewWeightGrad plans the weight gradient of the convolution c.
func (s *Set) NewWeightGrad(c ConvShape) *WeightGrad {
	g := &WeightGrad{set: s, shape: c, direct: &Direct{set: s, shape: c, groups: 1}}
	g.ci, g.co = c.Cin, c.Cout
	for g.jobs() < wantedJobs && (g.ci > 32 || g.co > 64) {
		if g.ci > 32 && (g.ci*2 >= g.co || g.co <= 64) {
			g.ci = (g.ci/2 + 7) &^ 7
		} else {
			g.co = (g.co/2 + s.nr - 1) / s.nr * s.nr
		}
	}
	g.pitch = g.ci
	if g.pitch%32 == 0 {
		g.pitch += 16
	}
	d := g.direct
	d.colParts = max(1, (c.OutW+63)/64)
	d.cols = (c.OutW + d.colParts - 1) / d.colParts
	d.width = (d.cols-1)*c.StrideW + (c.KW-1)*c.DilW + 1
	d.rows = 1
	const patch, pixels = 64 << 10, 256
	for d.rows < c.OutH && d.patchRows(d.rows+1)*d.width*g.pitch <= patch && (d.rows+1)*d.cols <= pixels {
		d.rows++
	}
	d.rowParts = max(1, (c.OutH+d.rows-1)/d.rows)
	return g
}

func (g *WeightGrad) jobs() int {
	return ((g.shape.Cin + g.ci - 1) / g.ci) * ((g.shape.Cout + g.co - 1) / g.co)
}

// Jobs is the number of independent pieces of work.
func (g *WeightGrad) Jobs() int {
	if g.shape.Cin*g.shape.Cout == 0 {
		return 0
	}
	return g.jobs()
}

// Scratch is the number of floats of scratch that Run needs.
func (g *WeightGrad) Scratch() int {
	d := g.direct
	return 2*d.rows + 64 + d.patchRows(d.rows)*d.width*g.pitch + g.set.PackedSize(d.rows*d.cols, g.co)
}

// Run computes one job: its part of dw[KH][KW][Cin][Cout] from x[N][H][W][Cin] and dy[N][OutH][OutW][Cout]. Jobs write
// disjoint parts of dw; scratch belongs to the call.
func (g *WeightGrad) Run(job int, dw, x, dy, scratch []float32) {
	s, c, d := g.set, g.shape, g.direct
	_ = scratch[g.Scratch()-1]
	parts := (c.Cout + g.co - 1) / g.co
	c0, o0 := job/parts*g.ci, job%parts*g.co
	nci, nco := min(g.ci, c.Cin-c0), min(g.co, c.Cout-o0)
	if c.N*c.OutH*c.OutW*c.H*c.W == 0 {
		for i := range c.KH * c.KW * nci {
			clear(dw[(i/nci*c.Cin+c0+i%nci)*c.Cout+o0:][:nco])
		}
		return
	}
	p := aligned(scratch)
	runs := unsafe.Slice((*int)(p), d.rows)
	p = unsafe.Add(p, (2*d.rows+15)&^15*4)
	size := d.patchRows(d.rows) * d.width * g.pitch
	patch := unsafe.Slice((*float32)(p), size)
	packed := unsafe.Slice((*float32)(unsafe.Add(p, (size+15)&^15*4)), s.PackedSize(d.rows*d.cols, g.co))
	for i := range d.blocks() {
		b := d.block(i)
		if b.y0 >= b.y1 || b.x0 >= b.x1 {
			continue
		}
		g.copyPatch(patch, x, b, c0, nci)
		g.packGrad(packed, dy, b, o0, nco)
		g.taps(dw[c0*c.Cout+o0:], patch, packed, runs[:b.y1-b.y0], b, nci, nco, i > 0)
	}
}

// copyPatch copies channels [c0,c0+nci) of the input under block b.
func (g *WeightGrad) copyPatch(patch, x []float32, b block, c0, nci int) {
	c, d := g.shape, g.direct
	for r := range d.patchRows(b.y1 - b.y0) {
		y := b.y0*c.StrideH - c.PadTop + r
		dst := patch[r*d.width*g.pitch:][:d.width*g.pitch]
		if y < 0 || y >= c.H {
			clear(dst)
			continue
		}
		row := x[(b.n0*c.H+y)*c.W*c.Cin:][:c.W*c.Cin]
		left := b.x0*c.StrideW - c.PadLeft
		if nci == c.Cin {
			copyRow(dst, row, left, g.pitch, c.Cin)
			continue
		}
		for i := range d.width {
			px := dst[i*g.pitch:][:nci]
			if left+i < 0 || left+i >= c.W {
				clear(px)
			} else {
				copy(px, row[(left+i)*c.Cin+c0:])
			}
		}
	}
}

// packGrad packs channels [o0,o0+nco) of the output gradient of block b, [pixels][nco].
func (g *WeightGrad) packGrad(packed, dy []float32, b block, o0, nco int) {
	c, s := g.shape, g.set
	w := b.x1 - b.x0
	k := (b.y1 - b.y0) * w
	for p := range s.Panels(nco) {
		cols := min(s.nr, nco-p*s.nr)
		for y := b.y0; y < b.y1; y++ {
			src := dy[((b.n0*c.OutH+y)*c.OutW+b.x0)*c.Cout+o0+p*s.nr:]
			s.packPanel(packed[(p*k+(y-b.y0)*w)*s.nr:][:w*s.nr], src, w, cols, c.Cout, 1)
		}
	}
}

// taps adds the products of one block to the gradients of all taps.
func (g *WeightGrad) taps(dw, patch, packed []float32, runs []int, b block, nci, nco int, acc bool) {
	c, d := g.shape, g.direct
	w := b.x1 - b.x0
	t := TransGemm{LDC: c.Cout, A: patch, LDA: c.StrideW * g.pitch, Runs: runs, KC: w, M: nci, Acc: acc}
	k := len(runs) * w
	for col := 0; col < nco; col += g.set.nr { // a panel of dy serves all taps
		t.N, t.Packed = min(g.set.nr, nco-col), packed[col*k:]
		for tap := range c.KH * c.KW {
			for i := range runs {
				runs[i] = ((i*c.StrideH+tap/c.KW*c.DilH)*d.width + tap%c.KW*c.DilW) * g.pitch
			}
			t.C = dw[tap*c.Cin*c.Cout+col:]
			g.set.GemmTrans(&t)
		}
	}
}
