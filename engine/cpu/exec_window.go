package cpu

import (
	"github.com/gomlx/compute"

	"github.com/smalti/smalti/engine/cpu/ir"
	"github.com/smalti/smalti/engine/cpu/kernel"
)

// Windows that move over an array: pooling and its gradient. Axes before the first and behind the last that a window covers,
// usually batch and channels, are joined: [batch, covered axes..., lane].

// windows is the geometry.
type windows struct {
	batch, lane int       // untouched axes before and behind the covered ones, joined
	in, out     int       // positions of the covered axes in the operand and in the result
	dims        []int     // of the result's covered axes
	taps        [][][]int // by covered axis and coordinate of the result: offsets of the operand's elements that the window sees
	most        int       // of elements in a window
}

// newWindows reads the geometry off the attributes. in and out are the dimensions of the operand and the result.
func newWindows(in, out []int, a ir.Window) *windows {
	first, last := len(in), 0
	for i := range in {
		if a.Size[i] != 1 || a.Strides[i] != 1 || a.Pads[i] != [2]int{} || a.InDilate[i] != 1 {
			first, last = min(first, i), i+1
		}
	}
	if first >= last {
		first, last = 0, 0
	}
	w := &windows{batch: product(in[:first]), lane: product(in[last:]), in: product(in[first:last]), out: product(out[first:last]), dims: out[first:last], most: 1}
	step := contiguous(in[:last])
	for i := first; i < last; i++ {
		axis := make([][]int, out[i])
		for o := range axis {
			for k := range a.Size[i] {
				at := o*a.Strides[i] + k*a.Dilate[i] - a.Pads[i][0]
				if at >= 0 && at%a.InDilate[i] == 0 && at/a.InDilate[i] < in[i] {
					axis[o] = append(axis[o], at/a.InDilate[i]*step[i]*w.lane)
				}
			}
		}
		w.taps = append(w.taps, axis)
		w.most *= a.Size[i]
	}
	return w
}

// offsets appends to buf the offsets of what position o of the result sees, in order.
func (w *windows) offsets(o int, buf []int) []int {
	buf = append(buf, 0)
	for i := len(w.dims) - 1; i >= 0; i-- {
		taps := w.taps[i][o%w.dims[i]]
		o /= w.dims[i]
		n := len(buf)
		if len(taps) == 0 {
			return buf[:0]
		}
		for _, t := range taps[1:] {
			for _, b := range buf[:n] {
				buf = append(buf, b+t)
			}
		}
		for k := range buf[:n] {
			buf[k] += taps[0]
		}
	}
	return buf
}

func makeReduceWindow(c *compiler, n *ir.Node) (func(f *frame), float64, error) {
	make := byType[func(c *compiler, n *ir.Node) func(f *frame)]{reduceWindow[float32], reduceWindow[float64], reduceWindow[int8], reduceWindow[int16],
		reduceWindow[int32], reduceWindow[int64], reduceWindow[uint8], reduceWindow[uint16], reduceWindow[uint32], reduceWindow[uint64]}
	a := n.Attr.(ir.Window)
	return make.get(n.Shape.DType)(c, n), float64(n.Size() * product(a.Size)), nil
}

// reduceWindow folds each window in the order of its elements, whatever the number of workers.
func reduceWindow[T number](c *compiler, n *ir.Node) func(f *frame) {
	a := n.Attr.(ir.Window)
	w := newWindows(n.In[0].Shape.Dimensions, n.Shape.Dimensions, a)
	start, combine := combiner[T](a.Reduce, n.Shape.DType)
	row := combineRows(c.b.set, a.Reduce, combine)
	dst, src := c.slot(n), c.slot(n.In[0])
	return func(f *frame) {
		d, s := view[T](f.slots[dst]), view[T](f.slots[src])
		f.b.pool.Run(w.batch*w.out, rowGrain(w.lane*w.most), func(lo, hi int) {
			var buf []int
			for r := lo; r < hi; r++ {
				buf = w.offsets(r%w.out, buf[:0])
				from, acc := s[r/w.out*w.in*w.lane:], d[r*w.lane:][:w.lane]
				for i := range acc {
					acc[i] = start
				}
				for _, o := range buf {
					row(acc, from[o:][:len(acc)])
				}
			}
		})
	}
}

// combineRows returns the loop acc[i] = combine(acc[i], x[i]), a kernel where there is one and rows are long.
func combineRows[T number](k *kernel.Set, op compute.OpType, combine func(x, y T) T) func(acc, x []T) {
	loop := func(acc, x []T) {
		for i, v := range x {
			acc[i] = combine(acc[i], v)
		}
	}
	merge, ok := map[compute.OpType]kernel.Op{compute.OpTypeReduceSum: kernel.Add, compute.OpTypeReduceMax: kernel.Max, compute.OpTypeReduceMin: kernel.Min,
		compute.OpTypeReduceProduct: kernel.Mul}[op]
	if _, single := any(*new(T)).(float32); !single || !ok {
		return loop
	}
	return func(acc, x []T) {
		if len(acc) < 16 {
			loop(acc, x)
			return
		}
		a := any(acc).([]float32)
		k.Binary(merge, a, a, any(x).([]float32))
	}
}

func makeSelectAndScatter(c *compiler, n *ir.Node) (func(f *frame), float64, error) {
	make := byType[func(c *compiler, n *ir.Node) func(f *frame)]{selectAndScatter[float32], selectAndScatter[float64], selectAndScatter[int8],
		selectAndScatter[int16], selectAndScatter[int32], selectAndScatter[int64], selectAndScatter[uint8], selectAndScatter[uint16],
		selectAndScatter[uint32], selectAndScatter[uint64]}
	a := n.Attr.(ir.Window)
	return make.get(n.Shape.DType)(c, n), float64(n.In[1].Size() * product(a.Size)), nil
}

// selectAndScatter adds each element of the source to the place of the largest (smallest) element that its window sees in the
// operand: the first of equal ones; NaN wins. Windows may overlap, so that workers share batches and lanes, and sums keep the
// order of the windows.
func selectAndScatter[T number](c *compiler, n *ir.Node) func(f *frame) {
	w := newWindows(n.In[0].Shape.Dimensions, n.In[1].Shape.Dimensions, n.Attr.(ir.Window))
	smallest := n.Op == compute.OpTypeSelectAndScatterMin
	dst, src, add := c.slot(n), c.slot(n.In[0]), c.slot(n.In[1])
	const band = 64 // lanes
	bands := (w.lane + band - 1) / band
	return func(f *frame) {
		clear(f.slots[dst])
		d, s, y := view[T](f.slots[dst]), view[T](f.slots[src]), view[T](f.slots[add])
		f.b.pool.Run(w.batch*bands, 1, func(lo, hi int) {
			var buf []int
			var best [band]int
			for r := lo; r < hi; r++ {
				from := r/bands*w.in*w.lane + r%bands*band
				lanes := min(band, w.lane-r%bands*band)
				for o := range w.out {
					buf = w.offsets(o, buf[:0])
					if len(buf) == 0 {
						continue
					}
					pick(best[:lanes], s[from:], buf, smallest)
					for i, v := range y[(r/bands*w.out+o)*w.lane+r%bands*band:][:lanes] {
						d[from+best[i]] += v
					}
				}
			}
		})
	}
}

// pick finds, for each lane, which of the elements at the offsets is chosen.
func pick[T number](best []int, x []T, offsets []int, smallest bool) {
	for i := range best {
		at := offsets[0] + i
		b := x[at]
		for _, o := range offsets[1:] {
			if b != b {
				break
			}
			if v := x[o+i]; v != v || (smallest && v < b) || (!smallest && v > b) {
				at, b = o+i, v
			}
		}
		best[i] = at
	}
}
