package kernel

import (
	"slices"
	"unsafe"
)

// View is how the pixels of an array lie: offset of the first, and distances between pictures, rows and columns, in
// elements. The channels of a pixel lie next to each other.
type View struct{ At, N, Y, X int }

// NoTap stands for a tap that a part lacks: its weight counts as zero.
const NoTap = -1 << 62

// PolyPart is one stride-1 convolution with at most 2x2 taps: output (y,x) reads pixels y-PadTop+{0,1}, x-PadLeft+{0,1} of
// In, which is H by W with zeros outside. Taps are the offsets of the taps' matrices in the weights, row by row, or NoTap.
type PolyPart struct {
	In              View
	H, W            int
	PadTop, PadLeft int
	Taps            [4]int
}

// PolyShape is a sum of convolutions with at most 2x2 taps over parts of an input: what is left of a convolution of
// stride 2 with up to 4x4 taps, or of one phase of a transposed one, when rows and columns are sorted by their remainders.
type PolyShape struct {
	N, Cin           int
	OutH, OutW, Cout int
	Parts            []PolyPart
	Out              View
	WIn, WOut        int // distances between in- and out-channels of the weights; one of them is 1
}

// Poly computes a PolyShape by Winograd's algorithm F(4x4,2x2): 25 products of matrices in place of 64 multiplications
// per output tile and channel pair of a full part. The weights are transformed where they are used, a chunk at a time, so
// that their transformed form, six times theirs, never exists as a whole. The error is as that of [Winograd]. Every
// output is one chain over parts and in-channels between the transforms, so no split into jobs changes a bit.
type Poly struct {
	polyTiles
	groups int // groups of panels: a job is a block of tiles and a group
	chunk  int // of the parts' in-channels
	pitch  int // floats between tiles of the transformed input
	inTo   [25]int
	uTo    [25]int
	mFrom  [25]int
	outTo  [16]int
	taps   [][4]int // of each part: byte offsets of the taps
	gaps   bool     // some part lacks taps
	wEnd   int
}

// polyTiles cuts the output of a PolyShape into tiles of 4x4.
type polyTiles struct {
	set            *Set
	shape          PolyShape
	tilesY, tilesX int
	tiles          int // of all pictures
	block, blocks  int // tiles of a block, and blocks
	from           [][25]int
	inEnd, outEnd  int // elements that the input and the output must have
}

// Sizes that keep a block of transformed tiles and a chunk of transformed weights in the second-level cache.
const (
	polyBlock = 48
	polyChunk = 96
)

func newPolyTiles(s *Set, c PolyShape, most int) polyTiles {
	c.Parts = slices.DeleteFunc(slices.Clone(c.Parts), PolyPart.empty)
	p := polyTiles{set: s, shape: c, tilesY: (c.OutH + 3) / 4, tilesX: (c.OutW + 3) / 4}
	p.tiles = c.N * p.tilesY * p.tilesX
	p.block = evenly(p.tiles, most, 8)
	p.blocks = (p.tiles + p.block - 1) / p.block
	for _, part := range c.Parts {
		var from [25]int
		for q := range from {
			from[q] = (q/5*part.In.Y + q%5*part.In.X) * 4
		}
		p.from = append(p.from, from)
		p.inEnd = max(p.inEnd, part.In.end(c.N, part.H, part.W, c.Cin))
	}
	p.outEnd = c.Out.end(c.N, c.OutH, c.OutW, c.Cout)
	return p
}

// empty reports whether a part contributes nothing.
func (p PolyPart) empty() bool {
	return p.H*p.W == 0 || p.Taps == [4]int{NoTap, NoTap, NoTap, NoTap}
}

// end is the number of elements that an array with this view must have.
func (v View) end(n, h, w, c int) int {
	if n*h*w*c == 0 {
		return 0
	}
	return v.At + (n-1)*v.N + (h-1)*v.Y + (w-1)*v.X + c
}

// NewPoly plans c. Strides of views must not be negative.
func (s *Set) NewPoly(c PolyShape) *Poly {
	p := &Poly{polyTiles: newPolyTiles(s, c, polyBlock), groups: 1}
	c = p.shape
	panels := s.Panels(c.Cout)
	for p.blocks*p.groups < wantedJobs && panels/(p.groups*2) >= 4 {
		p.groups *= 2
	}
	p.chunk = evenly(max(1, len(c.Parts)*c.Cin), polyChunk, 16)
	p.pitch = p.chunk + 16
	for q := range 25 {
		p.inTo[q] = q * p.block * p.pitch * 4
		p.uTo[q] = q * p.chunk * s.nr * 4
		p.mFrom[q] = q * p.block * s.nr * 4
		if y, x := q/5, q%5; y < 4 && x < 4 {
			p.outTo[y*4+x] = (y*c.Out.Y + x*c.Out.X) * 4
		}
	}
	for _, part := range c.Parts {
		var taps [4]int
		for t, at := range part.Taps {
			if taps[t] = at * 4; at == NoTap {
				p.gaps = true
				continue
			}
			p.wEnd = max(p.wEnd, at+(c.Cin-1)*c.WIn+(c.Cout-1)*c.WOut+1)
		}
		p.taps = append(p.taps, taps)
	}
	return p
}

// Jobs is the number of independent pieces of work.
func (p *Poly) Jobs() int { return p.blocks * p.groups }

// groupPanels is the largest number of panels of a group.
func (p *Poly) groupPanels() int { return (p.set.Panels(p.shape.Cout) + p.groups - 1) / p.groups }

// Scratch is the number of floats of scratch that Run needs.
func (p *Poly) Scratch() int {
	nr := p.set.nr
	return 25*p.block*p.pitch + 25*p.chunk*nr + 25*p.block*nr*p.groupPanels() + 4*p.chunk*nr + 25*16 + p.zeros() + 2*nr + 32
}

// zeros is the length of the vector of zeros that stands for pixels outside and for taps that are not there.
func (p *Poly) zeros() int { return (max(p.chunk, p.set.nr) + 15) &^ 15 }

// polyScratch is the scratch of a job, cut up.
type polyScratch struct {
	v, u, m        unsafe.Pointer // input [25][block][pitch], weights [25][chunk][nr], products [panel][25][block][nr]
	taps           unsafe.Pointer // weights of a chunk, transposed, [4][chunk][nr]
	tmp            unsafe.Pointer
	zero, noBias   unsafe.Pointer
	trash          unsafe.Pointer
	first, n       int // tiles
	panel0, panel1 int
}

func (p *Poly) cut(scratch []float32) (k polyScratch) {
	_ = scratch[p.Scratch()-1]
	at, nr := aligned(scratch), p.set.nr
	take := func(n int) unsafe.Pointer {
		q := at
		at = unsafe.Add(at, n*4)
		return q
	}
	k.v, k.u = take(25*p.block*p.pitch), take(25*p.chunk*nr)
	k.m, k.taps = take(25*p.block*nr*p.groupPanels()), take(4*p.chunk*nr)
	k.tmp, k.zero, k.noBias, k.trash = take(25*16), take(p.zeros()), take(nr), take(nr)
	clear(unsafe.Slice((*float32)(k.zero), p.zeros()))
	clear(unsafe.Slice((*float32)(k.noBias), nr))
	return k
}

// Run computes one job: its part of out from in and the weights w, plus bias [Cout] unless it is nil. Jobs write disjoint parts
// of out; scratch belongs to the call.
func (p *Poly) Run(job int, out, in, w, bias, scratch []float32) {
	if p.outEnd == 0 {
		return
	}
	out = out[:p.outEnd:len(out)] // cut to length, not read: other jobs write parts of it at the same time
	_, _ = in[:p.inEnd], w[:p.wEnd]
	k := p.cut(scratch)
	panels := p.set.Panels(p.shape.Cout)
	g := job % p.groups
	k.panel0, k.panel1 = g*panels/p.groups, (g+1)*panels/p.groups
	k.first = job / p.groups * p.block
	k.n = min(p.block, p.tiles-k.first)
	depth := len(p.shape.Parts) * p.shape.Cin
	for from := 0; from < depth; from += p.chunk {
		to := min(from+p.chunk, depth)
		p.segments(from, to, func(part, c0, nc, at int) {
			p.inputs(unsafe.Add(k.v, at*4), &p.inTo[0], p.pitch, k.tmp, k.zero, in, part, k.first, k.n, c0, nc)
		})
		for panel := k.panel0; panel < k.panel1; panel++ {
			p.segments(from, to, func(part, c0, nc, at int) {
				p.weights(unsafe.Add(k.u, at*p.set.nr*4), &k, w, part, panel, c0, nc)
			})
			p.products(&k, panel, to-from, from > 0)
		}
	}
	for panel := k.panel0; panel < k.panel1; panel++ {
		p.outputs(&k, out, bias, panel, depth == 0)
	}
}

// segments calls f for the pieces of the chain [from,to) over the parts' in-channels: channels [c0,c0+nc) of a part, which
// begin at place at of the chunk.
func (p *Poly) segments(from, to int, f func(part, c0, nc, at int)) {
	cin := p.shape.Cin
	for a := from; a < to; {
		part := a / cin
		b := min(to, (part+1)*cin)
		f(part, a-part*cin, b-a, a-from)
		a = b
	}
}

// place splits a tile number into picture and the position of its first output.
func (p *polyTiles) place(tile int) (n, y, x int) {
	n, tile = tile/(p.tilesY*p.tilesX), tile%(p.tilesY*p.tilesX)
	return n, tile / p.tilesX * 4, tile % p.tilesX * 4
}

// inputs transforms channels [c0,c0+nc) of a part under tiles first..first+n-1: point q of tile t goes to dst + t*step
// floats + to[q] bytes. zero holds nc zeros.
func (p *polyTiles) inputs(dst unsafe.Pointer, to *int, step int, tmp, zero unsafe.Pointer, in []float32, part, first, n, c0, nc int) {
	s := &p.shape.Parts[part]
	if s.H*s.W == 0 {
		return
	}
	var off [25]int
	a := transformArgs{tmp: tmp, dstOff: to, n: nc}
	for t := range n {
		img, y, x := p.place(first + t)
		y, x = y-s.PadTop, x-s.PadLeft
		a.dst = unsafe.Add(dst, t*step*4)
		at := s.In.At + img*s.In.N + c0
		if y >= 0 && x >= 0 && y+5 <= s.H && x+5 <= s.W {
			a.src, a.srcOff = unsafe.Pointer(&in[at+y*s.In.Y+x*s.In.X]), &p.from[part][0]
		} else {
			a.src, a.srcOff = unsafe.Pointer(&in[at]), &off[0]
			for q := range off {
				yy, xx := y+q/5, x+q%5
				if yy < 0 || xx < 0 || yy >= s.H || xx >= s.W {
					off[q] = int(uintptr(zero) - uintptr(a.src))
				} else {
					off[q] = (yy*s.In.Y + xx*s.In.X) * 4
				}
			}
		}
		p.set.transform(winogradIn2, &a)
	}
}

// weights transforms in-channels [c0,c0+nc) of a part's weights for one panel into u.
func (p *Poly) weights(u unsafe.Pointer, k *polyScratch, w []float32, part, panel, c0, nc int) {
	s, c := p.set, &p.shape
	col := panel * s.nr
	a := transformArgs{tmp: k.tmp, dstOff: &p.uTo[0], n: min(s.nr, c.Cout-col)}
	off := p.taps[part]
	step := c.WIn
	src := unsafe.Add(unsafe.Pointer(unsafe.SliceData(w)), (c0*c.WIn+col*c.WOut)*4)
	if c.WOut != 1 {
		step, src = s.nr, k.taps
		for t, at := range c.Parts[part].Taps {
			off[t] = t * p.chunk * s.nr * 4
			if at != NoTap {
				dst := unsafe.Slice((*float32)(unsafe.Add(k.taps, off[t])), nc*s.nr)
				s.Transpose(dst, s.nr, w[at+c0+col*c.WOut:], c.WOut, a.n, nc)
			}
		}
	}
	a.srcOff = &off[0]
	for i := range nc {
		a.src = unsafe.Add(src, i*step*4)
		if p.gaps {
			for t, at := range c.Parts[part].Taps {
				if at == NoTap {
					off[t] = int(uintptr(k.zero) - uintptr(a.src))
				}
			}
		}
		a.dst = unsafe.Add(u, i*s.nr*4)
		s.transform(winogradWeights2, &a)
	}
}

// products multiplies the transformed tiles with a chunk of depth channels of a panel's weights.
func (p *Poly) products(k *polyScratch, panel, depth int, acc bool) {
	s := p.set
	var rows [maxMR]int
	for i := range rows {
		rows[i] = i * p.pitch
	}
	var zero int
	t := tileArgs{rows: &rows[0], taps: &zero, ntaps: 1, kc: depth, ldc: s.nr, acc: toInt(acc), cols: min(s.nr, p.shape.Cout-panel*s.nr)}
	m := unsafe.Add(k.m, (panel-k.panel0)*25*p.block*s.nr*4)
	for q := range 25 {
		t.b = unsafe.Add(k.u, p.uTo[q])
		for i := 0; i < k.n; {
			r := s.tileRows(k.n - i)
			t.a = unsafe.Add(k.v, p.inTo[q]+i*p.pitch*4)
			t.c = unsafe.Add(m, p.mFrom[q]+i*s.nr*4)
			s.run(s.tile, r, &t)
			i += r
		}
	}
}

// outputs transforms the products of a panel into its columns of the tiles' outputs.
func (p *Poly) outputs(k *polyScratch, out, bias []float32, panel int, empty bool) {
	s, c := p.set, &p.shape
	col := panel * s.nr
	m := unsafe.Add(k.m, (panel-k.panel0)*25*p.block*s.nr*4)
	if empty {
		clear(unsafe.Slice((*float32)(m), 25*p.block*s.nr))
	}
	var off [16]int
	a := transformArgs{tmp: k.tmp, srcOff: &p.mFrom[0], bias: k.noBias, n: min(s.nr, c.Cout-col)}
	if bias != nil {
		a.bias = unsafe.Pointer(&bias[col : col+a.n][0])
	}
	for t := range k.n {
		img, y, x := p.place(k.first + t)
		a.src = unsafe.Add(m, t*s.nr*4)
		a.dst, a.dstOff = unsafe.Pointer(&out[c.Out.At+img*c.Out.N+y*c.Out.Y+x*c.Out.X+col]), &p.outTo[0]
		if y+4 > c.OutH || x+4 > c.OutW {
			a.dstOff = &off[0]
			for q := range off {
				off[q] = p.outTo[q]
				if y+q/4 >= c.OutH || x+q%4 >= c.OutW {
					off[q] = int(uintptr(k.trash) - uintptr(a.dst))
				}
			}
		}
		s.transform(winogradOut2, &a)
	}
}
