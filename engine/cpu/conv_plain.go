package cpu

import (
	"fmt"

	"github.com/smalti/smalti/engine/cpu/kernel"
)

// Convolutions of contiguous NHWC arrays without groups and input dilation, whatever the order of the kernel's axes: the
// forward form and the input gradient of stride one. Package kernel plans them, by Winograd's algorithm where it pays.

// plain is such a convolution.
type plain struct {
	plan kernel.Conv
	w    *move // copy of the kernel to [kh][kw][in][out], or nil
	size int   // elements of the kernel
	key  string
	cols int // panels of the packed kernel
}

// newPlain returns nil if v is of another kind.
func newPlain(set *kernel.Set, v *conv) *plain {
	if v.groups != 1 || v.inDilate != [2]int{1, 1} ||
		v.x != (strides{b: v.h * v.w * v.c, h: v.w * v.c, w: v.c, c: 1}) ||
		v.y != (strides{b: v.oh * v.ow * v.o, h: v.ow * v.o, w: v.o, c: 1}) {
		return nil
	}
	p := &plain{plan: v.plan(set), size: v.kh * v.kw * v.c * v.o, cols: set.Panels(v.o)}
	dims := []int{v.kh, v.kw, v.c, v.o}
	if c := contiguous(dims); v.k != (strides{h: c[0], w: c[1], b: c[2], c: c[3]}) {
		p.w = newMove(dims, c, []int{v.k.h, v.k.w, v.k.b, v.k.c}, 0, v.k.start)
	}
	p.key = fmt.Sprintf("%T %d %d %d %d %v", p.plan, v.kh, v.kw, v.c, v.o, v.k)
	return p
}

// plan is the kernel's plan. Of a band of rows it is the one of the whole result, so that the bits are the same.
func (v *conv) plan(set *kernel.Set) kernel.Conv {
	whole, c := v.shape(), v.shape()
	if v.rows > 0 {
		whole.OutH = v.rows
	}
	if whole.WinogradPays() {
		return set.NewWinograd(c)
	}
	return set.NewDirect(c)
}

// shape describes v, without groups and input dilation, to package kernel.
func (v *conv) shape() kernel.ConvShape {
	return kernel.ConvShape{N: v.b, H: v.h, W: v.w, Cin: v.c, OutH: v.oh, OutW: v.ow, Cout: v.o, KH: v.kh, KW: v.kw,
		StrideH: v.stride[0], StrideW: v.stride[1], DilH: v.dilate[0], DilW: v.dilate[1], PadTop: v.pad[0], PadLeft: v.pad[1]}
}

func (p *plain) thunk(dst, x, w, bias int) func(f *frame) {
	return func(f *frame) {
		var row []float32
		if bias >= 0 {
			row = view[float32](f.slots[bias])
		}
		p.run(f, view[float32](f.slots[dst]), view[float32](f.slots[x]), view[float32](f.slots[w]), row, f.inputs[w])
	}
}

// run convolves x and adds a bias to each pixel, if there is one. weights is the buffer of w if its packed form may be kept.
func (p *plain) run(f *frame, y, x, w, bias []float32, weights *Buffer) {
	var mem []byte
	var packed []float32
	if weights != nil {
		bytes := 4 * p.plan.WeightSize()
		packed = weights.pack(packing{key: p.key, bytes: bytes, winograd: bytes > 4*2*p.size, make: func(dst []float32) { p.pack(f, dst, w) }})
	}
	if packed == nil {
		mem = f.b.memory.get(4 * p.plan.WeightSize())
		packed = view[float32](mem)
		p.pack(f, packed, w)
	}
	f.b.pool.Run(p.plan.Jobs(), 1, func(lo, hi int) {
		mem := f.b.memory.get(4 * p.plan.Scratch())
		for i := lo; i < hi; i++ {
			p.plan.Run(i, y, x, packed, bias, view[float32](mem))
		}
		f.b.memory.put(mem)
	})
	f.b.memory.put(mem)
}

func (p *plain) pack(f *frame, dst, w []float32) {
	var mem []byte
	if p.w != nil {
		mem = f.b.memory.get(4 * p.size)
		runMove(f, p.w, view[uint32](mem), view[uint32](bytesOf(w)))
		w = view[float32](mem)
	}
	f.b.pool.Run(p.cols, rowGrain(p.size/p.cols), func(lo, hi int) { p.plan.PackWeightsRange(dst, w, lo, hi) })
	f.b.memory.put(mem)
}
