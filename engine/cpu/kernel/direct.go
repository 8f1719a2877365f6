package kernel

import "unsafe"

// Direct is a convolution by implicit GEMM: a job copies the input patch of a block of outputs, zero padded, into scratch
// that stays near the core, and multiplies it in place with the weights; a tap of the kernel is an offset into the patch. Where
// nothing is padded the input is read directly. Every output is one chain over (ky, kx, ci), ascending.
type Direct struct {
	set     *Set
	shape   ConvShape
	inPlace bool
	pitch   int   // floats between pixels of the patch
	width   int   // pixels in a row of the patch
	taps    []int // offsets of the runs of kc inputs
	kc      int

	images         int // whole pictures of a job, or 0: then
	rows, rowParts int // output rows of a job and jobs per picture
	cols, colParts int // output columns of a job and jobs per row
	groups         int // jobs per block: groups of panels
}

// Sizes that decide how a direct convolution is cut into jobs.
const (
	patchFloats = 150 << 10 // 600 KB of patch
	patchPixels = 1024      // outputs of a job
	wantedJobs  = 8
)

// NewDirect plans a convolution of any shape with positive sizes of kernel, strides and dilations.
func (s *Set) NewDirect(c ConvShape) *Direct {
	if c.KH < 1 || c.KW < 1 || c.StrideH < 1 || c.StrideW < 1 || c.DilH < 1 || c.DilW < 1 {
		panic("kernel: kernel size, strides and dilations must be positive")
	}
	d := &Direct{set: s, shape: c}
	d.inPlace = c.PadTop <= 0 && c.PadLeft <= 0 && (c.OutH-1)*c.StrideH+(c.KH-1)*c.DilH-c.PadTop < c.H &&
		(c.OutW-1)*c.StrideW+(c.KW-1)*c.DilW-c.PadLeft < c.W
	d.pitch = c.Cin
	if c.Cin%32 == 0 && !d.inPlace {
		d.pitch += 16 // neighbouring pixels in different cache sets
	}
	d.colParts = max(1, (c.OutW+63)/64)
	d.cols = (c.OutW + d.colParts - 1) / d.colParts
	d.width = (d.cols-1)*c.StrideW + (c.KW-1)*c.DilW + 1
	if d.inPlace {
		d.width = c.W
	}
	d.planTaps()
	d.planRows()
	return d
}

// planTaps lists the taps; taps that are adjacent in memory merge into one run.
func (d *Direct) planTaps() {
	c := d.shape
	merge := d.pitch == c.Cin && c.DilW == 1
	d.kc = c.Cin
	if merge {
		d.kc *= c.KW
	}
	for ky := range c.KH {
		for kx := range c.KW {
			if kx == 0 || !merge {
				d.taps = append(d.taps, (ky*c.DilH*d.width+kx*c.DilW)*d.pitch)
			}
		}
	}
}

// planRows decides how many rows or pictures a job takes.
func (d *Direct) planRows() {
	c := d.shape
	fits := func(images, rows int) bool {
		return images*d.patchRows(rows)*d.width*d.pitch <= patchFloats && images*rows*d.cols <= patchPixels
	}
	d.rows, d.groups = 1, 1
	for d.rows < c.OutH && fits(1, d.rows+1) && (c.N*((c.OutH+d.rows)/(d.rows+1)))*d.colParts >= wantedJobs {
		d.rows++
	}
	if d.rows >= c.OutH && d.colParts == 1 {
		d.images = 1
		for fits(d.images+1, c.OutH) && (c.N+d.images)/(d.images+1) >= wantedJobs {
			d.images++
		}
	}
	d.rowParts = max(1, (c.OutH+d.rows-1)/d.rows)
	for d.blocks()*d.groups < wantedJobs && d.groups*2 <= d.set.Panels(c.Cout) {
		d.groups *= 2
	}
}

// patchRows is the number of input rows under k output rows.
func (d *Direct) patchRows(k int) int {
	return (k-1)*d.shape.StrideH + (d.shape.KH-1)*d.shape.DilH + 1
}

func (d *Direct) blocks() int {
	if d.images > 0 {
		return (d.shape.N + d.images - 1) / d.images
	}
	return d.shape.N * d.rowParts * d.colParts
}

// WeightSize is the number of floats of the packed weights.
func (d *Direct) WeightSize() int { return d.set.PackedSize(d.k(), d.shape.Cout) }

func (d *Direct) k() int { return d.shape.KH * d.shape.KW * d.shape.Cin }

// PackWeights packs weights [KH][KW][Cin][Cout].
func (d *Direct) PackWeights(dst, w []float32) {
	d.set.PackB(dst, w, d.k(), d.shape.Cout, d.shape.Cout, 1)
}

// PackWeightsRange packs the panels [panel0, panel1) only; ranges may run in parallel.
func (d *Direct) PackWeightsRange(dst, w []float32, panel0, panel1 int) {
	d.set.PackBRange(dst, w, d.k(), d.shape.Cout, d.shape.Cout, 1, panel0, panel1)
}

// Scratch is the number of floats of scratch that Run needs.
func (d *Direct) Scratch() int {
	n := 2*max(1, d.images)*d.rows*d.cols + 32 // offsets of the rows
	if !d.inPlace {
		n += max(1, d.images) * d.patchRows(d.rows) * d.width * d.pitch
	}
	return n
}

// Jobs is the number of independent pieces of work.
func (d *Direct) Jobs() int { return d.blocks() * d.groups }

// block is the part of the output that a job computes: rows [y0,y1) and columns [x0,x1) of pictures [n0,n1).
type block struct{ n0, n1, y0, y1, x0, x1 int }

func (d *Direct) block(job int) block {
	c, b := d.shape, job/d.groups
	if d.images > 0 {
		return block{b * d.images, min((b+1)*d.images, c.N), 0, c.OutH, 0, c.OutW}
	}
	x := b % d.colParts
	b /= d.colParts
	y, n := b%d.rowParts, b/d.rowParts
	return block{n, n + 1, y * d.rows, min((y+1)*d.rows, c.OutH), x * d.cols, min((x+1)*d.cols, c.OutW)}
}

// Run computes one job: out[N][OutH][OutW][Cout] from in[N][H][W][Cin] and packed weights, plus bias[Cout] unless it is
// nil. Jobs write disjoint parts of out; scratch belongs to the call.
func (d *Direct) Run(job int, out, in, packed, bias, scratch []float32) {
	s, c := d.set, d.shape
	if c.N*c.H*c.W*c.Cin == 0 || c.N*c.OutH*c.OutW*c.Cout == 0 {
		fillBias(out[:c.N*c.OutH*c.OutW*c.Cout], bias)
		return
	}
	// The output is cut to length, not read: other jobs write parts of it at the same time.
	out = out[: c.N*c.OutH*c.OutW*c.Cout : len(out)]
	_, _, _ = in[c.N*c.H*c.W*c.Cin-1], packed[d.WeightSize()-1], scratch[d.Scratch()-1]
	b := d.block(job)
	if b.y0 >= b.y1 || b.x0 >= b.x1 {
		return
	}
	m := (b.n1 - b.n0) * (b.y1 - b.y0) * (b.x1 - b.x0)
	p := aligned(scratch)
	g := TapGemm{LDC: c.Cout, A: in, Rows: unsafe.Slice((*int)(p), m), Taps: d.taps, KC: d.kc, Acc: bias != nil}
	d.offsets(g.Rows, b)
	if !d.inPlace {
		n := max(1, d.images) * d.patchRows(d.rows) * d.width * d.pitch
		g.A = unsafe.Slice((*float32)(unsafe.Add(p, (2*m+15)&^15*4)), n)
		d.copyPatch(g.A, in, b)
	}
	checkOffsets(g.Rows, g.Taps, g.KC, len(g.A))
	panels, group := s.Panels(c.Cout), job%d.groups
	for q := group * panels / d.groups; q < (group+1)*panels/d.groups; q++ {
		col := q * s.nr
		g.N, g.Packed = min(s.nr, c.Cout-col), packed[col*d.k():]
		d.panel(g, out[col:], bias, b, col)
	}
}

// panel computes the outputs of one panel of the weights: all at once if they lie at one stride, else row by row.
func (d *Direct) panel(g TapGemm, out, bias []float32, b block, col int) {
	c, all := d.shape, g.Rows
	step := len(all)
	if b.x1-b.x0 < c.OutW {
		step = b.x1 - b.x0
	}
	for i := 0; i < len(all); i += step {
		g.Rows = all[i : i+step]
		g.C = out[((b.n0*c.OutH+b.y0+i/(b.x1-b.x0))*c.OutW+b.x0)*c.Cout:]
		if bias != nil {
			for r := range g.Rows {
				copy(g.C[r*c.Cout:][:g.N], bias[col:])
			}
		}
		d.set.gemmTaps(&g)
	}
}

// offsets writes where the input of each output pixel begins.
func (d *Direct) offsets(rows []int, b block) {
	c, i := d.shape, 0
	patch := d.patchRows(d.rows)
	for n := b.n0; n < b.n1; n++ {
		for y := b.y0; y < b.y1; y++ {
			at := (n-b.n0)*patch + (y-b.y0)*c.StrideH // row of the patch
			x0 := 0
			if d.inPlace {
				at, x0 = n*c.H+y*c.StrideH-c.PadTop, b.x0*c.StrideW-c.PadLeft
			}
			for x := range b.x1 - b.x0 {
				rows[i] = (at*d.width + x0 + x*c.StrideW) * d.pitch
				i++
			}
		}
	}
}

// copyPatch fills the patch [picture][row][column][pitch] under block b.
func (d *Direct) copyPatch(patch, in []float32, b block) {
	c := d.shape
	rows := d.patchRows(d.rows)
	for n := b.n0; n < b.n1; n++ {
		for r := range d.patchRows(b.y1 - b.y0) {
			y := b.y0*c.StrideH - c.PadTop + r
			dst := patch[((n-b.n0)*rows+r)*d.width*d.pitch:][:d.width*d.pitch]
			if y < 0 || y >= c.H {
				clear(dst)
				continue
			}
			copyRow(dst, in[(n*c.H+y)*c.W*c.Cin:][:c.W*c.Cin], b.x0*c.StrideW-c.PadLeft, d.pitch, c.Cin)
		}
	}
}

// copyRow copies pixels x, x+1, ... of a row of pixels of cin floats to dst with pitch floats between pixels; pixels
// outside the row are zero.
func copyRow(dst, row []float32, x, pitch, cin int) {
	width := len(dst) / pitch
	lo := min(max(0, -x), width)
	hi := min(max(lo, len(row)/cin-x), width)
	clear(dst[:lo*pitch])
	clear(dst[hi*pitch:])
	if pitch == cin {
		if lo < hi {
			copy(dst[lo*cin:hi*cin], row[(x+lo)*cin:])
		}
		return
	}
	for i := lo; i < hi; i++ {
		copy(dst[i*pitch:i*pitch+cin], row[(x+i)*cin:])
	}
}
