package kernel

import "unsafe"

// transformArgs is the argument block of a Winograd transform: a square of source vectors becomes a square of destination
// vectors, for n channels. Vector q of the source lies at src + srcOff[q] bytes and runs through the channels.
type transformArgs struct {
	src, dst unsafe.Pointer
	tmp      unsafe.Pointer // 36 vectors
	srcOff   *int
	dstOff   *int
	bias     unsafe.Pointer // n elements, for the output transform
	n        int
}

// The transforms, as numbered in each set.
const (
	winogradIn = iota
	winogradOut
	winogradWeights
	winogradGradOut
	winogradGradWeights
	winogradIn2 // F(4x4,2x2)
	winogradOut2
	winogradWeights2
	winogradGradOut2
	winogradGradWeights2
)

// transform runs transform number kind.
func (s *Set) transform(kind int, a *transformArgs) {
	if s.class == Generic {
		transformGo(kind, a)
		return
	}
	callTransform(a, s.winograd+kind)
}

// Winograd is a 3x3 convolution with stride 1 over NHWC pictures by the algorithm F(4x4,3x3) (Lavin and Gray 2015): 36
// products of matrices in place of 144 multiplications per output tile and channel pair. The error is about 5e-5 of the
// output's largest value at worst, a few 1e-6 of its deviation on average. Every output is one chain over the input channels between
// the two transforms, so no split into jobs changes a bit.
type Winograd struct {
	winogradTiles
	groups       int // groups of panels: a job is a block of tiles and a group
	mOff, outOff [36]int
}

// winogradTiles cuts the output of a convolution into tiles of 4x4 and transforms the inputs below them.
type winogradTiles struct {
	set            *Set
	shape          ConvShape
	tilesY, tilesX int
	tiles          int // of all pictures
	block, blocks  int // tiles of a block, and blocks
	pitch          int // floats between tiles in the transformed input
	inOff, vOff    [36]int
}

// newWinogradTiles cuts into blocks of at most block tiles, of which channels are transformed at once.
func newWinogradTiles(s *Set, c ConvShape, block, channels int) winogradTiles {
	if !c.FitsWinograd() {
		panic("kernel: Winograd needs a 3x3 kernel, stride 1 and dilation 1")
	}
	w := winogradTiles{set: s, shape: c, tilesY: (c.OutH + 3) / 4, tilesX: (c.OutW + 3) / 4}
	w.tiles = c.N * w.tilesY * w.tilesX
	w.block = max(1, min(block, w.tiles))
	w.blocks = (w.tiles + w.block - 1) / w.block
	w.pitch = (channels+15)&^15 + 16
	for q := range 36 {
		w.inOff[q] = (q/6*c.W + q%6) * c.Cin * 4
		w.vOff[q] = q * w.block * w.pitch * 4
	}
	return w
}

// FitsWinograd reports whether NewWinograd can compute the convolution.
func (c ConvShape) FitsWinograd() bool {
	return c.KH == 3 && c.KW == 3 && c.StrideH == 1 && c.StrideW == 1 && c.DilH == 1 && c.DilW == 1
}

// NewWinograd plans a convolution. It panics unless c.FitsWinograd().
func (s *Set) NewWinograd(c ConvShape) *Winograd {
	w := &Winograd{winogradTiles: newWinogradTiles(s, c, winogradBlock(c.Cin), c.Cin), groups: 1}
	for w.blocks*w.groups < wantedJobs && w.groups*2 <= s.Panels(c.Cout) {
		w.groups *= 2
	}
	for q := range 36 {
		w.mOff[q] = q * w.block * s.nr * 4
		if y, x := q/6, q%6; y < 4 && x < 4 {
			w.outOff[y*4+x] = (y*c.OutW + x) * c.Cout * 4
		}
	}
	return w
}

// winogradBlock is the number of tiles that a job transforms at once: enough to reuse the weights, few enough to keep the
// transformed tiles near the core.
func winogradBlock(cin int) int {
	const bytes = 1280 << 10
	return max(16, min(64, bytes/(36*4*(cin+16))&^7))
}

// WeightSize is the number of floats of the transformed weights: 4 times the weights, more if Cout is not a multiple of NR.
func (w *Winograd) WeightSize() int { return 36 * w.set.PackedSize(w.shape.Cin, w.shape.Cout) }

// PackWeights transforms weights [3][3][Cin][Cout] into dst, [36][panel][Cin][NR].
func (w *Winograd) PackWeights(dst, weights []float32) {
	w.PackWeightsRange(dst, weights, 0, w.set.Panels(w.shape.Cout))
}

// PackWeightsRange transforms the panels [panel0, panel1) only; ranges may run in parallel.
func (w *Winograd) PackWeightsRange(dst, weights []float32, panel0, panel1 int) {
	s, cin, cout := w.set, w.shape.Cin, w.shape.Cout
	_, _ = dst[w.WeightSize()-1], weights[9*cin*cout-1]
	var tmp [37 * 16]float32
	var src [9]int
	var off [36]int
	for q := range src {
		src[q] = q * cin * cout * 4
	}
	for q := range off {
		off[q] = q * s.PackedSize(cin, cout) * 4
	}
	a := transformArgs{tmp: aligned(tmp[:]), srcOff: &src[0], dstOff: &off[0]}
	for p := panel0; p < panel1; p++ {
		a.n = min(s.nr, cout-p*s.nr)
		for c := range cin {
			at := (p*cin + c) * s.nr
			if a.n < s.nr {
				for q := range 36 {
					clear(dst[off[q]/4+at:][:s.nr])
				}
			}
			a.src, a.dst = unsafe.Pointer(&weights[c*cout+p*s.nr]), unsafe.Pointer(&dst[at])
			s.transform(winogradWeights, &a)
		}
	}
}

// Scratch is the number of floats of scratch that Run needs.
func (w *Winograd) Scratch() int {
	return 36*w.block*(w.pitch+w.set.nr) + 37*16 + (w.shape.Cin + 15) + 2*w.set.nr + 16
}

// Jobs is the number of independent pieces of work.
func (w *Winograd) Jobs() int { return w.blocks * w.groups }

// winogradScratch is the scratch of a job, cut up.
type winogradScratch struct {
	v, m, tmp   unsafe.Pointer
	zero, trash unsafe.Pointer
	noBias      unsafe.Pointer
}

func (w *Winograd) cut(scratch []float32) (c winogradScratch) {
	_ = scratch[w.Scratch()-1]
	p := aligned(scratch)
	take := func(n int) unsafe.Pointer {
		q := p
		p = unsafe.Add(p, n*4)
		return q
	}
	c.v, c.m = take(36*w.block*w.pitch), take(36*w.block*w.set.nr)
	c.tmp, c.trash, c.noBias, c.zero = take(36*16), take(w.set.nr), take(w.set.nr), take(w.shape.Cin)
	clear(unsafe.Slice((*float32)(c.zero), w.shape.Cin))
	clear(unsafe.Slice((*float32)(c.noBias), w.set.nr))
	return c
}

// aligned is the first address in x on a cache line.
func aligned(x []float32) unsafe.Pointer {
	p := unsafe.Pointer(&x[0])
	return unsafe.Add(p, -uintptr(p)&63)
}

// Run computes one job: out[N][OutH][OutW][Cout] from in[N][H][W][Cin] and packed weights, plus bias[Cout] unless it is
// nil. Jobs write disjoint parts of out; scratch belongs to the call.
func (w *Winograd) Run(job int, out, in, packed, bias, scratch []float32) {
	s, c := w.set, w.shape
	if c.N*c.H*c.W*c.Cin == 0 || c.N*c.OutH*c.OutW*c.Cout == 0 {
		fillBias(out[:c.N*c.OutH*c.OutW*c.Cout], bias)
		return
	}
	// The output is cut to length, not read: other jobs write parts of it at the same time.
	out = out[: c.N*c.OutH*c.OutW*c.Cout : len(out)]
	_, _ = in[c.N*c.H*c.W*c.Cin-1], packed[w.WeightSize()-1]
	k := w.cut(scratch)
	first := job / w.groups * w.block
	n := min(w.block, w.tiles-first)
	w.inputs(k.v, k.tmp, k.zero, in, first, n, 0, c.Cin)
	panels := s.Panels(c.Cout)
	g := job % w.groups
	for p := g * panels / w.groups; p < (g+1)*panels/w.groups; p++ {
		w.products(&k, packed, p, n)
		w.outputs(&k, out, bias, p, first, n)
	}
}

// place splits a tile number into picture and the position of its first output.
func (w *winogradTiles) place(tile int) (n, y, x int) {
	n, tile = tile/(w.tilesY*w.tilesX), tile%(w.tilesY*w.tilesX)
	return n, tile / w.tilesX * 4, tile % w.tilesX * 4
}

// inputs transforms channels [c0,c0+nc) of the tiles first..first+n-1 into v [36][block][pitch]. zero holds nc zeros.
func (w *winogradTiles) inputs(v, tmp, zero unsafe.Pointer, in []float32, first, n, c0, nc int) {
	c := w.shape
	var off [36]int
	a := transformArgs{tmp: tmp, dstOff: &w.vOff[0], n: nc}
	for t := range n {
		img, y, x := w.place(first + t)
		y, x = y-c.PadTop, x-c.PadLeft
		a.dst = unsafe.Add(v, t*w.pitch*4)
		if y >= 0 && x >= 0 && y+6 <= c.H && x+6 <= c.W {
			a.src, a.srcOff = unsafe.Pointer(&in[((img*c.H+y)*c.W+x)*c.Cin+c0]), &w.inOff[0]
		} else {
			a.src, a.srcOff = unsafe.Pointer(&in[img*c.H*c.W*c.Cin+c0]), &off[0]
			for q := range off {
				yy, xx := y+q/6, x+q%6
				if yy < 0 || xx < 0 || yy >= c.H || xx >= c.W {
					off[q] = int(uintptr(zero) - uintptr(a.src))
				} else {
					off[q] = (yy*c.W + xx) * c.Cin * 4
				}
			}
		}
		w.set.transform(winogradIn, &a)
	}
}

// products multiplies the n transformed tiles with panel p of the weights, into k.m [36][block][nr].
func (w *Winograd) products(k *winogradScratch, packed []float32, p, n int) {
	s, cin := w.set, w.shape.Cin
	var rows [maxMR]int
	for i := range rows {
		rows[i] = i * w.pitch
	}
	var zero int
	t := tileArgs{rows: &rows[0], taps: &zero, ntaps: 1, kc: cin, ldc: s.nr, cols: min(s.nr, w.shape.Cout-p*s.nr)}
	size := s.PackedSize(cin, w.shape.Cout)
	for q := range 36 {
		t.b = unsafe.Pointer(&packed[q*size+p*cin*s.nr])
		for i := 0; i < n; {
			r := s.tileRows(n - i)
			t.a = unsafe.Add(k.v, (q*w.block+i)*w.pitch*4)
			t.c = unsafe.Add(k.m, (q*w.block+i)*s.nr*4)
			s.run(s.tile, r, &t)
			i += r
		}
	}
}

// outputs transforms k.m into the columns of panel p of the n tiles' outputs.
func (w *Winograd) outputs(k *winogradScratch, out, bias []float32, p, first, n int) {
	s, c := w.set, w.shape
	var off [16]int
	col := p * s.nr
	a := transformArgs{tmp: k.tmp, srcOff: &w.mOff[0], bias: k.noBias, n: min(s.nr, c.Cout-col)}
	if bias != nil {
		a.bias = unsafe.Pointer(&bias[col : col+a.n][0])
	}
	for t := range n {
		img, y, x := w.place(first + t)
		a.src = unsafe.Add(k.m, t*s.nr*4)
		a.dst, a.dstOff = unsafe.Pointer(&out[((img*c.OutH+y)*c.OutW+x)*c.Cout+col]), &w.outOff[0]
		if y+4 > c.OutH || x+4 > c.OutW {
			a.dstOff = &off[0]
			for q := range off {
				off[q] = w.outOff[q]
				if y+q/4 >= c.OutH || x+q%4 >= c.OutW {
					off[q] = int(uintptr(k.trash) - uintptr(a.dst))
				}
			}
		}
		s.transform(winogradOut, &a)
	}
}

// fillBias is a convolution over nothing.
func fillBias(out, bias []float32) {
	clear(out)
	if len(bias) > 0 {
		for i := range out {
			out[i] = bias[i%len(bias)]
		}
	}
}
