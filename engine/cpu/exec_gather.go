package cpu

import (
	"slices"

	"github.com/gomlx/compute"
	"github.com/gomlx/compute/dtypes"

	"github.com/smalti/smalti/engine/cpu/ir"
)

// indexing is what gathers and scatters share: a list of start positions read from an array of indices, and a window of
// the operand at each.
type indexing struct {
	count    int   // index vectors
	vector   int   // length of each
	stride   int   // distance of an index vector's elements
	starts   *nest // over the index vectors, in order
	axisOf   []int // the operand's axis of each element
	axisStep []int // and its stride
	limit    []int // largest start of each, so that the window is inside
	size     []int // of the operand's axis
}

func newIndexing(indexDims []int, indexAxis int, axisOf, operand, window []int) *indexing {
	own := contiguous(indexDims)
	x := &indexing{count: 1, vector: 1, stride: 1, axisOf: axisOf}
	var dims, strides []int
	for i, d := range indexDims {
		if i == indexAxis {
			x.vector, x.stride = d, own[i]
			continue
		}
		dims, strides = append(dims, d), append(strides, own[i])
		x.count *= d
	}
	x.starts = newNest(dims, strides)
	steps := contiguous(operand)
	for _, a := range axisOf {
		x.axisStep = append(x.axisStep, steps[a])
		x.limit = append(x.limit, operand[a]-window[a])
		x.size = append(x.size, operand[a])
	}
	return x
}

// vectorAt is the offset of index vector i among the indices.
func (x *indexing) vectorAt(i int) int {
	inner := x.starts.inner()
	at := 0
	x.starts.run(i/inner, i/inner+1, func(o []int) { at = o[0] })
	return at + i%inner*x.starts.stride(0)
}

// clamped is the offset of the window of index vector i in the operand; starts outside move to the border.
func (x *indexing) clamped(load func(mem []byte, i int) int, mem []byte, i int) int {
	at, off := x.vectorAt(i), 0
	for j := range x.vector {
		off += min(max(load(mem, at+j*x.stride), 0), x.limit[j]) * x.axisStep[j]
	}
	return off
}

// inside is clamped for scatters: a window that is not wholly inside is left out.
func (x *indexing) inside(load func(mem []byte, i int) int, mem []byte, i int) (int, bool) {
	at, off := x.vectorAt(i), 0
	for j := range x.vector {
		v := load(mem, at+j*x.stride)
		if v < 0 || v > x.limit[j] {
			return 0, false
		}
		off += v * x.axisStep[j]
	}
	return off, true
}

// rest are the axes of 0..rank-1 that are not in axes.
func rest(rank int, axes []int) (out []int) {
	for i := range rank {
		if !slices.Contains(axes, i) {
			out = append(out, i)
		}
	}
	return out
}

func makeGather(c *compiler, n *ir.Node) (func(f *frame), float64, error) {
	a := n.Attr.(ir.Gather)
	operand, index := n.In[0].Shape.Dimensions, n.In[1].Shape.Dimensions
	x := newIndexing(index, a.IndexAxis, a.StartMap, operand, a.SliceSizes)
	// The result's axes: those of the window in order of the operand, the others in order of the indices.
	to := contiguous(n.Shape.Dimensions)
	steps := contiguous(operand)
	var dims, dst, src []int
	windowAxes := rest(len(operand), a.Collapsed)
	for i, o := range a.Offset {
		axis := windowAxes[i]
		dims, dst, src = append(dims, a.SliceSizes[axis]), append(dst, to[o]), append(src, steps[axis])
	}
	window := newNest(dims, dst, src)
	var batchDims, batchStrides []int
	for _, o := range rest(n.Shape.Rank(), a.Offset) {
		batchDims, batchStrides = append(batchDims, n.Shape.Dimensions[o]), append(batchStrides, to[o])
	}
	batch := newNest(batchDims, batchStrides)
	run := byType[func(c *compiler, n *ir.Node, x *indexing, window, batch *nest) func(f *frame)]{u8: gatherRows[uint8], u16: gatherRows[uint16],
		u32: gatherRows[uint32], u64: gatherRows[uint64]}
	switch elementSize(n) {
	case 1:
		return run.u8(c, n, x, window, batch), float64(n.Size()), nil
	case 2:
		return run.u16(c, n, x, window, batch), float64(n.Size()), nil
	case 4:
		return run.u32(c, n, x, window, batch), float64(n.Size()), nil
	}
	return run.u64(c, n, x, window, batch), float64(n.Size()), nil
}

func gatherRows[T any](c *compiler, n *ir.Node, x *indexing, window, batch *nest) func(f *frame) {
	dst, src, idx := c.slot(n), c.slot(n.In[0]), c.slot(n.In[1])
	load := intLoad(n.In[1].Shape.DType)
	inner, ds, ss := window.inner(), window.stride(0), window.stride(1)
	out := &indexing{starts: batch}
	if x.inOrder(n.In[1]) && whole(window) && batch.runsBy(inner) {
		return func(f *frame) {
			d, s, rows := view[T](f.slots[dst]), view[T](f.slots[src]), view[int32](f.slots[idx])
			f.b.pool.Run(x.count, rowGrain(inner+4), func(lo, hi int) { copyRows(d, s, rows, lo, hi, inner, x) })
		}
	}
	return func(f *frame) {
		d, s, indices := view[T](f.slots[dst]), view[T](f.slots[src]), f.slots[idx]
		f.b.pool.Run(x.count, rowGrain(window.size()+4), func(lo, hi int) {
			for i := lo; i < hi; i++ {
				from, to := x.clamped(load, indices, i), out.vectorAt(i)
				if window.rows() == 1 && ds == 1 && ss == 1 {
					copy(d[to:to+inner], s[from:from+inner])
					continue
				}
				window.run(0, window.rows(), func(at []int) {
					for j := range inner {
						d[to+at[0]+j*ds] = s[from+at[1]+j*ss]
					}
				})
			}
		})
	}
}

// copyRows is gatherRows for the common case: one int32 index for each row, rows one after the other.
func copyRows[T any](d, s []T, rows []int32, lo, hi, inner int, x *indexing) {
	limit, step := x.limit[0], x.axisStep[0]
	for i := lo; i < hi; i++ {
		from := min(max(int(rows[i]), 0), limit) * step
		to := d[i*inner:][:inner]
		row := s[from:][:inner]
		if inner > 16 {
			copy(to, row)
			continue
		}
		for j, v := range row { // shorter than the call of a copy
			to[j] = v
		}
	}
}

// inOrder reports that the index vectors are single int32 numbers, one after the other.
func (x *indexing) inOrder(index *ir.Node) bool {
	return x.vector == 1 && index.Shape.DType == dtypes.Int32 && x.starts.runsBy(1)
}

// runsBy reports that the first array of the nest is visited in equal steps from its first element on.
func (n *nest) runsBy(step int) bool {
	return len(n.dims) == 1 && n.start[0] == 0 && (n.stride(0) == step || n.dims[0] == 1)
}

// whole reports that the window is one stretch of both arrays.
func whole(window *nest) bool {
	return window.rows() == 1 && (window.inner() == 1 || window.stride(0) == 1 && window.stride(1) == 1)
}

func makeScatter(c *compiler, n *ir.Node) (func(f *frame), float64, error) {
	make := byType[func(c *compiler, n *ir.Node) func(f *frame)]{scatter[float32], scatter[float64], scatter[int8], scatter[int16],
		scatter[int32], scatter[int64], scatter[uint8], scatter[uint16], scatter[uint32], scatter[uint64]}
	return make.get(n.Shape.DType)(c, n), float64(n.In[2].Size()), nil
}

// scatter combines updates into a copy of the operand, in the order of the indices. Workers share the operand's elements,
// not the updates, so that the order of a sum does not depend on their number: each takes a band of the window.
func scatter[T number](c *compiler, n *ir.Node) func(f *frame) {
	a := n.Attr.(ir.Scatter)
	operand, index, updates := n.Shape.Dimensions, n.In[1].Shape.Dimensions, n.In[2].Shape.Dimensions
	full := make([]int, len(operand))
	for i := range full {
		full[i] = 1
	}
	windowAxes := rest(len(operand), a.Inserted)
	steps, from := contiguous(operand), contiguous(updates)
	var dims, dst, src []int
	for i, u := range a.Window {
		full[windowAxes[i]] = updates[u]
		dims, dst, src = append(dims, updates[u]), append(dst, steps[windowAxes[i]]), append(src, from[u])
	}
	x := newIndexing(index, a.IndexAxis, a.ToAxes, operand, full)
	window := newNest(dims, dst, src)
	var batchDims, batchStrides []int
	for _, u := range rest(len(updates), a.Window) {
		batchDims, batchStrides = append(batchDims, updates[u]), append(batchStrides, from[u])
	}
	batch := &indexing{starts: newNest(batchDims, batchStrides)}
	out, in, idx, upd := c.slot(n), c.slot(n.In[0]), c.slot(n.In[1]), c.slot(n.In[2])
	load := intLoad(n.In[1].Shape.DType)
	combine := scatterOp[T](n.Op)
	inner, ds, ss := window.inner(), window.stride(0), window.stride(1)
	if n.Op == compute.OpTypeScatterSum && x.inOrder(n.In[1]) && whole(window) && batch.starts.runsBy(inner) {
		return func(f *frame) {
			copy(f.slots[out], f.slots[in])
			d, s, rows := view[T](f.slots[out]), view[T](f.slots[upd]), view[int32](f.slots[idx])
			// Each worker reads all indices and adds the rows of its share of the operand: every sum keeps the order of the
			// indices, however many workers there are.
			span := x.limit[0] + 1
			bands := min(f.b.Threads(), max(1, x.count*inner>>14))
			f.b.pool.Run(bands, 1, func(lo, hi int) { addRows(d, s, rows, lo*span/bands, hi*span/bands, inner, x) })
		}
	}
	return func(f *frame) {
		copy(f.slots[out], f.slots[in])
		d, s, indices := view[T](f.slots[out]), view[T](f.slots[upd]), f.slots[idx]
		band := func(lo, hi int) {
			for i := range x.count {
				to, ok := x.inside(load, indices, i)
				if !ok {
					continue
				}
				from := batch.vectorAt(i)
				window.run(0, window.rows(), func(at []int) {
					for j := lo; j < hi; j++ {
						p := &d[to+at[0]+j*ds]
						*p = combine(*p, s[from+at[1]+j*ss])
					}
				})
			}
		}
		f.b.pool.Run(inner, max(16, (16<<10)/max(1, x.count*window.rows())), band)
	}
}

// addRows is scatter for the common case: sums of rows, one int32 index for each, for the operand's rows lo <= r < hi.
func addRows[T number](d, s []T, rows []int32, lo, hi, inner int, x *indexing) {
	step := x.axisStep[0]
	for i, r := range rows[:x.count] {
		if int(r) < lo || int(r) >= hi {
			continue
		}
		to, row := d[int(r)*step:][:inner], s[i*inner:][:inner]
		for j, v := range row {
			to[j] += v
		}
	}
}

func scatterOp[T number](op compute.OpType) func(x, y T) T {
	switch op {
	case compute.OpTypeScatterMax:
		return func(x, y T) T { return max(x, y) }
	case compute.OpTypeScatterMin:
		return func(x, y T) T { return min(x, y) }
	}
	return func(x, y T) T { return x + y }
}
