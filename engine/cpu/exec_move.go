package cpu

import (
	"slices"

	"github.com/gomlx/compute"
	"github.com/gomlx/compute/dtypes"

	"github.com/smalti/smalti/engine/cpu/ir"
)

// Operations that move elements without looking at them. They work on the size of an element, not on its type.

// move is a copy along a nest of two arrays, the destination first. Offsets of the first elements are in nest.start.
type move struct {
	n *nest
	// A transposition: the source is contiguous along axis a of the nest, not along the innermost one.
	a int // or -1
}

func newMove(dims, dst, src []int, dstStart, srcStart int) *move {
	m := &move{n: newNest(dims, dst, src), a: -1}
	m.n.start[0], m.n.start[1] = dstStart, srcStart
	k := len(m.n.dims) - 1
	if m.n.strides[0][k] == 1 && m.n.strides[1][k] > 1 {
		m.a = slices.Index(m.n.strides[1], 1)
	}
	if m.a >= 0 { // bring the axis to the place before the innermost: the two make the matrices to transpose
		for i := m.a; i < k-1; i++ {
			m.n.dims[i], m.n.dims[i+1] = m.n.dims[i+1], m.n.dims[i]
			for _, s := range m.n.strides {
				s[i], s[i+1] = s[i+1], s[i]
			}
		}
	}
	return m
}

// runMove copies elements of type T.
func runMove[T any](f *frame, m *move, dst, src []T) {
	if m.n.size() == 0 {
		return
	}
	if d, ok := any(dst).([]uint32); ok && m.a >= 0 {
		m.transpose(f, view[float32](bytesOf(d)), view[float32](bytesOf(any(src).([]uint32))))
		return
	}
	inner, ds, ss := m.n.inner(), m.n.stride(0), m.n.stride(1)
	f.b.pool.Run(m.n.rows(), rowGrain(inner), func(lo, hi int) {
		m.n.run(lo, hi, func(at []int) { moveRow(dst[at[0]:], src[at[1]:], inner, ds, ss, dst, src, at) })
	})
}

// moveRow copies n elements with the given steps.
func moveRow[T any](d, s []T, n, ds, ss int, dst, src []T, at []int) {
	switch {
	case ds == 1 && ss == 1:
		copy(d[:n], s[:n])
	case ds == 1 && ss == 0:
		x, d := s[0], d[:n]
		for i := range d {
			d[i] = x
		}
	case ds == 1 && ss > 0:
		d = d[:n]
		for i := range d {
			d[i] = s[i*ss]
		}
	default:
		for i := range n {
			dst[at[0]+i*ds] = src[at[1]+i*ss]
		}
	}
}

// transpose copies by matrices with the kernel.
func (m *move) transpose(f *frame, dst, src []float32) {
	k := len(m.n.dims) - 1
	outer := &nest{dims: append(slices.Clone(m.n.dims[:k-1]), 1), start: m.n.start}
	for _, s := range m.n.strides {
		outer.strides = append(outer.strides, append(slices.Clone(s[:k-1]), 0))
	}
	rows, cols := m.n.dims[k], m.n.dims[k-1] // of the source: cols contiguous
	ldd, lds := m.n.strides[0][k-1], m.n.strides[1][k]
	band := max(16, (rowGrain(cols)+15)&^15) // rows of the source handled at a time
	bands := (rows + band - 1) / band
	f.b.pool.Run(outer.rows()*bands, max(1, rowGrain(rows*cols)), func(lo, hi int) {
		for i := lo; i < hi; i++ {
			outer.run(i/bands, i/bands+1, func(at []int) {
				r := i % bands * band
				f.b.set.Transpose(dst[at[0]+r:], ldd, src[at[1]+r*lds:], lds, min(band, rows-r), cols)
			})
		}
	})
}

// runMoveBytes copies elements of the given size in bytes.
func runMoveBytes(f *frame, m *move, size int, dst, src []byte) {
	switch size {
	case 1:
		runMove(f, m, dst, src)
	case 2:
		runMove(f, m, view[uint16](dst), view[uint16](src))
	case 4:
		runMove(f, m, view[uint32](dst), view[uint32](src))
	default:
		runMove(f, m, view[uint64](dst), view[uint64](src))
	}
}

func elementSize(n *ir.Node) int { return n.Shape.DType.Size() }

// makeMove compiles an operation that is one copy.
func makeMove(c *compiler, n *ir.Node, m *move) (func(f *frame), float64, error) {
	dst, src, size := c.slot(n), c.slot(n.In[0]), elementSize(n)
	return func(f *frame) { runMoveBytes(f, m, size, f.slots[dst], f.slots[src]) }, float64(n.Size()), nil
}

func makeTranspose(c *compiler, n *ir.Node) (func(f *frame), float64, error) {
	from := contiguous(n.In[0].Shape.Dimensions)
	src := make([]int, len(from))
	for i, p := range n.Attr.(ir.Axes).Axes {
		src[i] = from[p]
	}
	return makeMove(c, n, newMove(n.Shape.Dimensions, contiguous(n.Shape.Dimensions), src, 0, 0))
}

func makeBroadcast(c *compiler, n *ir.Node) (func(f *frame), float64, error) {
	in := n.In[0].Shape.Dimensions
	from := contiguous(in)
	src := make([]int, n.Shape.Rank())
	for i, a := range n.Attr.(ir.Axes).Axes {
		if in[i] != 1 {
			src[a] = from[i]
		}
	}
	return makeMove(c, n, newMove(n.Shape.Dimensions, contiguous(n.Shape.Dimensions), src, 0, 0))
}

func makeSlice(c *compiler, n *ir.Node) (func(f *frame), float64, error) {
	a := n.Attr.(ir.Slice)
	from := contiguous(n.In[0].Shape.Dimensions)
	src, start := make([]int, len(from)), 0
	for i, s := range from {
		src[i] = s * a.Strides[i]
		start += s * a.Starts[i]
	}
	return makeMove(c, n, newMove(n.Shape.Dimensions, contiguous(n.Shape.Dimensions), src, 0, start))
}

func makeReverse(c *compiler, n *ir.Node) (func(f *frame), float64, error) {
	src, start := contiguous(n.Shape.Dimensions), 0
	for _, a := range n.Attr.(ir.Axes).Axes {
		start += src[a] * (n.Shape.Dimensions[a] - 1)
		src[a] = -src[a]
	}
	return makeMove(c, n, newMove(n.Shape.Dimensions, contiguous(n.Shape.Dimensions), src, 0, start))
}

func makeConcatenate(c *compiler, n *ir.Node) (func(f *frame), float64, error) {
	axis := n.Attr.(ir.Axes).Axes[0]
	to := contiguous(n.Shape.Dimensions)
	dst, size := c.slot(n), elementSize(n)
	var moves []*move
	var src []int
	at := 0
	for _, in := range n.In {
		d := in.Shape.Dimensions
		moves = append(moves, newMove(d, to, contiguous(d), at*to[axis], 0))
		src = append(src, c.slot(in))
		at += d[axis]
	}
	return func(f *frame) {
		for i, m := range moves {
			runMoveBytes(f, m, size, f.slots[dst], f.slots[src[i]])
		}
	}, float64(n.Size()), nil
}

// padMove is the copy of a padding: the part of the source that is inside, and where it goes.
func padMove(out, in []int, axes []compute.PadAxis) *move {
	to, from := contiguous(out), contiguous(in)
	dims, dst := make([]int, len(in)), make([]int, len(in))
	dstStart, srcStart := 0, 0
	for i, p := range axes {
		step := p.Interior + 1
		first, last := 0, in[i]-1
		if p.Start < 0 {
			first = (-p.Start + step - 1) / step
		}
		for last >= first && p.Start+last*step >= out[i] {
			last--
		}
		dims[i] = max(0, last-first+1)
		dst[i] = to[i] * step
		dstStart += to[i] * (p.Start + first*step)
		srcStart += from[i] * first
	}
	if product(dims) == 0 {
		return nil
	}
	return newMove(dims, dst, from, dstStart, srcStart)
}

func makePad(c *compiler, n *ir.Node) (func(f *frame), float64, error) {
	m := padMove(n.Shape.Dimensions, n.In[0].Shape.Dimensions, n.Attr.(ir.Pad).Axes)
	dst, src, value, size := c.slot(n), c.slot(n.In[0]), c.slot(n.In[1]), elementSize(n)
	fill := &move{n: newNest([]int{n.Size()}, []int{1}, []int{0}), a: -1}
	const part = 64 << 10
	if n.Size() > part && n.Size()%part == 0 {
		fill = &move{n: &nest{dims: []int{n.Size() / part, part}, strides: [][]int{{part, 1}, {0, 0}}, start: make([]int, 2)}, a: -1}
	}
	return func(f *frame) {
		runMoveBytes(f, fill, size, f.slots[dst], f.slots[value])
		if m != nil {
			runMoveBytes(f, m, size, f.slots[dst], f.slots[src])
		}
	}, float64(n.Size()), nil
}

func makeIota(c *compiler, n *ir.Node) (func(f *frame), float64, error) {
	axis := n.Attr.(ir.Axes).Axes[0]
	inner := product(n.Shape.Dimensions[axis+1:])
	length := n.Shape.Dimensions[axis]
	dst := c.slot(n)
	run := func(f *frame) {}
	switch n.Shape.DType {
	case dtypes.Float32:
		run = func(f *frame) { fillIota(view[float32](f.slots[dst]), inner, length) }
	case dtypes.Float64:
		run = func(f *frame) { fillIota(view[float64](f.slots[dst]), inner, length) }
	case dtypes.Int8, dtypes.Uint8:
		run = func(f *frame) { fillIota(f.slots[dst], inner, length) }
	case dtypes.Int16, dtypes.Uint16:
		run = func(f *frame) { fillIota(view[uint16](f.slots[dst]), inner, length) }
	case dtypes.Int32, dtypes.Uint32:
		run = func(f *frame) { fillIota(view[uint32](f.slots[dst]), inner, length) }
	case dtypes.Int64, dtypes.Uint64:
		run = func(f *frame) { fillIota(view[uint64](f.slots[dst]), inner, length) }
	}
	return run, 0, nil
}

func fillIota[T number](dst []T, inner, length int) {
	for at := 0; at < len(dst); {
		for v := range length {
			row := dst[at:][:inner]
			for j := range row {
				row[j] = T(v)
			}
			at += inner
		}
	}
}
