package cpu

import (
	"fmt"

	"github.com/smalti/smalti/engine/cpu/kernel"
)

// forward is a convolution as an implicit matrix product: rows are output pixels, the columns of A are taps and
// channels, read in place from x or from a padded copy of a few rows of it that stays in the second-level cache.
type forward struct {
	set    *kernel.Set
	parts  []*forwardPart
	x      *move // copy of x to channels last, or nil
	xSize  int
	y      *move // copy of the result to its own order of axes, or nil
	ySize  int
	zero   bool // some outputs see no tap: clear first
	outDim [4]int
}

// forwardPart is one phase of a convolution: without input dilation, unless that comes with strides or dilation.
type forwardPart struct {
	*conv
	packed    int // elements of the packed kernel of one group
	wMove     *move
	rowStride int
	key       string

	block        int // output rows of a task
	blocks       int
	rows         []int // offsets of the pixels of a block in A
	taps         []int
	run          int // elements of A that follow each tap
	inPlace      bool
	patchH       int
	patchW       int
	pixel, aRows int // strides of A
	perRow       bool
}

func newForward(set *kernel.Set, whole *conv) *forward {
	v := *whole
	fw := &forward{set: set, outDim: [4]int{v.b, v.oh, v.ow, v.o * v.groups}}
	fw.x, fw.xSize = v.channelsLast(), v.b*v.h*v.w*v.c*v.groups
	all := v.o * v.groups
	if v.y.c != 1 && all > 1 {
		dims := fw.outDim[:]
		fw.y = newMove(dims, []int{v.y.b, v.y.h, v.y.w, v.y.c}, contiguous(dims), 0, 0)
		fw.ySize = product(dims)
		v.y = strides{b: v.oh * v.ow * all, h: v.ow * all, w: all, c: 1}
	}
	for _, p := range v.phases() {
		if p.kh == 0 || p.kw == 0 {
			fw.zero = true
			continue
		}
		fw.parts = append(fw.parts, newForwardPart(set, p))
	}
	return fw
}

// patchBytes is how much of x a task may copy: a good part of the second-level cache.
const patchBytes = 256 << 10

func newForwardPart(set *kernel.Set, v *conv) *forwardPart {
	p := &forwardPart{conv: v, packed: set.PackedSize(v.kh*v.kw*v.c, v.o)}
	p.wMove, p.rowStride = v.kernelMove()
	p.key = fmt.Sprint("conv ", v.kh, v.kw, v.c, v.o, v.k, p.rowStride)
	p.patchW = (v.ow-1)*v.stride[1] + (v.kw-1)*v.dilate[1] + 1
	high := func(rows int) int { return (rows-1)*v.stride[0] + (v.kh-1)*v.dilate[0] + 1 }
	p.inPlace = v.inDilate == [2]int{1, 1} && v.pad[0] <= 0 && v.pad[1] <= 0 && high(v.oh)-v.pad[0] <= v.h && p.patchW-v.pad[1] <= v.w
	// As many rows as fit the cache, but tasks of about 2 MFLOP are enough.
	want := max(1, (2<<20)/(2*v.ow*v.kh*v.kw*v.c*v.o+1))
	want = max(want, (64+v.ow-1)/v.ow)
	p.block = min(v.oh, want)
	for p.block > 1 && 4*high(p.block)*p.patchW*v.c > patchBytes && !p.inPlace {
		p.block = (p.block + 1) / 2
	}
	p.blocks = (v.oh + p.block - 1) / p.block
	p.patchH = high(p.block)
	p.pixel, p.aRows = v.c, p.patchW*v.c
	if p.inPlace {
		p.pixel, p.aRows = v.x.w, v.x.h
	}
	for i := range p.block {
		for j := range v.ow {
			p.rows = append(p.rows, i*v.stride[0]*p.aRows+j*v.stride[1]*p.pixel)
		}
	}
	p.run = v.c
	across := v.kw
	if v.dilate[1] == 1 && p.pixel == v.c {
		p.run, across = v.c*v.kw, 1
	}
	for a := range v.kh {
		for b := range across {
			p.taps = append(p.taps, a*v.dilate[0]*p.aRows+b*v.dilate[1]*p.pixel)
		}
	}
	p.perRow = v.y.h != v.ow*v.y.w
	return p
}

func (fw *forward) thunk(dst, x, w int) func(f *frame) {
	return func(f *frame) {
		xs, ys := view[float32](f.slots[x]), view[float32](f.slots[dst])
		var xMem, yMem []byte
		if fw.x != nil {
			xMem = f.b.memory.get(4 * fw.xSize)
			runMove(f, fw.x, view[uint32](xMem), view[uint32](f.slots[x]))
			xs = view[float32](xMem)
		}
		if fw.y != nil {
			yMem = f.b.memory.get(4 * fw.ySize)
			ys = view[float32](yMem)
		}
		if fw.zero {
			clear(ys)
		}
		for _, p := range fw.parts {
			p.compute(f, ys, xs, view[float32](f.slots[w]), f.inputs[w])
		}
		if fw.y != nil {
			runMove(f, fw.y, view[uint32](f.slots[dst]), view[uint32](yMem))
		}
		f.b.memory.put(xMem)
		f.b.memory.put(yMem)
	}
}

// compute packs the kernel, or finds it packed, and multiplies.
func (p *forwardPart) compute(f *frame, y, x, w []float32, weights *Buffer) {
	var mem []byte
	var packed []float32
	if weights != nil {
		packed = weights.pack(packing{key: p.key, bytes: 4 * p.packed * p.groups, make: func(dst []float32) { p.pack(f, dst, w) }})
	}
	if packed == nil {
		mem = f.b.memory.get(4 * p.packed * p.groups)
		packed = view[float32](mem)
		p.pack(f, packed, w)
	}
	n := p.b * p.groups * p.blocks
	f.b.pool.Run(n, 1, func(lo, hi int) {
		var mem []byte
		if !p.inPlace {
			mem = f.b.memory.get(4 * p.patchH * p.patchW * p.c)
		}
		for i := lo; i < hi; i++ {
			p.task(f.b.set, y, x, packed, view[float32](mem), i)
		}
		f.b.memory.put(mem)
	})
	f.b.memory.put(mem)
}

func (p *forwardPart) pack(f *frame, dst, w []float32) {
	k := p.kh * p.kw * p.c
	for g := range p.groups {
		from := w[g*p.o*p.k.c:]
		if p.wMove == nil {
			packB(f, dst[g*p.packed:], from[p.k.start:], k, p.o, p.rowStride, p.k.c, true)
			continue
		}
		mem := f.b.memory.get(4 * k * p.o)
		runMove(f, p.wMove, view[uint32](mem), view[uint32](bytesOf(from)))
		packB(f, dst[g*p.packed:], view[float32](mem), k, p.o, p.o, 1, true)
		f.b.memory.put(mem)
	}
}

// task computes one block of output rows of one picture and one group.
func (p *forwardPart) task(set *kernel.Set, y, x, packed, patch []float32, i int) {
	block, rest := i%p.blocks, i/p.blocks
	g, b := rest%p.groups, rest/p.groups
	i0 := block * p.block
	rows := min(p.block, p.oh-i0)
	x = x[b*p.x.b+g*p.c*p.x.c:]
	u0 := i0*p.stride[0] - p.pad[0]
	t := kernel.TapGemm{LDC: p.y.w, Taps: p.taps, KC: p.run, Packed: packed[g*p.packed:], N: p.o}
	if p.inPlace {
		t.A = x[u0*p.x.h-p.pad[1]*p.x.w:]
	} else {
		high := (rows-1)*p.stride[0] + (p.kh-1)*p.dilate[0] + 1
		p.patch(patch, x, u0, high, -p.pad[1], p.patchW, p.c)
		t.A = patch
	}
	c := y[p.y.start+b*p.y.b+g*p.o:]
	if !p.perRow {
		t.C, t.Rows = c[i0*p.y.h:], p.rows[:rows*p.ow]
		set.GemmTaps(&t)
		return
	}
	for r := range rows {
		t.C, t.Rows = c[(i0+r)*p.y.h:], p.rows[r*p.ow:(r+1)*p.ow]
		set.GemmTaps(&t)
	}
}
