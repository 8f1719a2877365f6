package cpu

import (
	"math"
	"slices"

	"github.com/gomlx/compute"
	"github.com/gomlx/compute/dtypes"

	"github.com/smalti/smalti/engine/cpu/ir"
	"github.com/smalti/smalti/engine/cpu/kernel"
	"github.com/smalti/smalti/engine/cpu/pass"
)

// Reductions. The axes are joined to groups that are kept and groups that are reduced in turn, and the groups reduced one
// after the other from the innermost, each as [outer, reduced, inner] -> [outer, inner]. How a group is split depends on
// its length and the inner length only.

var reductions = map[compute.OpType]kinds{
	compute.OpTypeReduceSum: ints | double | single, compute.OpTypeReduceMax: ints | double | single, compute.OpTypeReduceMin: ints | double | single,
	compute.OpTypeReduceProduct: ints | double | single, compute.OpTypeReduceLogicalAnd: boolean, compute.OpTypeReduceLogicalOr: boolean,
	compute.OpTypeReduceLogicalXor: boolean, compute.OpTypeReduceBitwiseAnd: ints, compute.OpTypeReduceBitwiseOr: ints, compute.OpTypeReduceBitwiseXor: ints,
}

func reduceNative(op compute.OpType, d dtypes.DType) bool {
	if isHalf(d) {
		d = dtypes.Float32
	}
	return reductions[op]&kindOf(d) != 0
}

// reduction is one group: [outer, length, inner] -> [outer, inner].
type reduction struct{ outer, length, inner int }

// groups lists the reductions from the innermost to the outermost.
func groups(dims, axes []int) []reduction {
	isReduced := make([]bool, len(dims))
	for _, a := range axes {
		isReduced[a] = true
	}
	var rs []reduction
	inner := 1
	for i := len(dims) - 1; i >= 0; {
		if !isReduced[i] && dims[i] != 1 {
			inner *= dims[i]
			i--
			continue
		}
		length := 1
		for i >= 0 && (isReduced[i] || dims[i] == 1) {
			length *= dims[i]
			i--
		}
		if length != 1 {
			rs = append(rs, reduction{product(dims[:i+1]), length, inner})
		}
	}
	return rs
}

func makeReduce(c *compiler, n *ir.Node) (func(f *frame), float64, error) {
	d := n.Shape.DType
	if d == dtypes.Bool {
		d = dtypes.Uint8
	}
	if isBitwise(n.Op) {
		return makeReduceBits(c, n, d)
	}
	make := byType[func(c *compiler, n *ir.Node) func(f *frame)]{reduce32, reduceAny[float64], reduceAny[int8], reduceAny[int16],
		reduceAny[int32], reduceAny[int64], reduceAny[uint8], reduceAny[uint16], reduceAny[uint32], reduceAny[uint64]}
	return make.get(d)(c, n), float64(n.In[0].Size()), nil
}

// reduceAny reduces any type with plain loops.
func reduceAny[T number](c *compiler, n *ir.Node) func(f *frame) {
	return reduceSteps(c, n, func(f *frame, dst, src []T, r reduction) { reduceLoop(f, n.Op, n.Shape.DType, dst, src, r) })
}

// reduceSteps runs the groups one after the other, through scratch memory.
func reduceSteps[T number](c *compiler, n *ir.Node, step func(f *frame, dst, src []T, r reduction)) func(f *frame) {
	rs := groups(n.In[0].Shape.Dimensions, n.Attr.(ir.Axes).Axes)
	dst, src := c.slot(n), c.slot(n.In[0])
	size := n.Shape.DType.Size()
	return func(f *frame) {
		from := view[T](f.slots[src])
		var used []byte
		for i, r := range rs {
			to := view[T](f.slots[dst])
			var mem []byte
			if i < len(rs)-1 {
				mem = f.b.memory.get(r.outer * r.inner * size)
				to = view[T](mem)
			}
			step(f, to, from, r)
			f.b.memory.put(used)
			from, used = to, mem
		}
		if len(rs) == 0 { // only axes of length one, or an empty result
			copy(f.slots[dst], f.slots[src])
		}
	}
}

func reduceLoop[T number](f *frame, op compute.OpType, d dtypes.DType, dst, src []T, r reduction) {
	start, combine := combiner[T](op, d)
	foldLoop(f, start, combine, dst, src, r)
}

// foldLoop combines in ascending order, beginning with start.
func foldLoop[T number](f *frame, start T, combine func(x, y T) T, dst, src []T, r reduction) {
	f.b.pool.Run(r.outer, rowGrain(r.length*r.inner), func(lo, hi int) {
		for o := lo; o < hi; o++ {
			acc := dst[o*r.inner:][:r.inner]
			for j := range acc {
				acc[j] = start
			}
			for i := range r.length {
				x := src[(o*r.length+i)*r.inner:][:r.inner]
				for j := range acc {
					acc[j] = combine(acc[j], x[j])
				}
			}
		}
	})
}

func combiner[T number](op compute.OpType, d dtypes.DType) (start T, combine func(x, y T) T) {
	switch op {
	case compute.OpTypeReduceSum:
		return 0, func(x, y T) T { return x + y }
	case compute.OpTypeReduceProduct:
		return 1, func(x, y T) T { return x * y }
	case compute.OpTypeReduceMax:
		return lowest[T](d), func(x, y T) T { return max(x, y) }
	case compute.OpTypeReduceMin:
		return highest[T](d), func(x, y T) T { return min(x, y) }
	case compute.OpTypeReduceLogicalAnd:
		return 1, func(x, y T) T { return min(x, y) }
	}
	return 0, func(x, y T) T { return max(x, y) } // or
}

func lowest[T number](d dtypes.DType) T {
	if d.IsFloat() {
		return T(math.Inf(-1))
	}
	return d.LowestValue().(T)
}

func highest[T number](d dtypes.DType) T {
	if d.IsFloat() {
		return T(math.Inf(1))
	}
	return d.HighestValue().(T)
}

// reduce32 reduces float32 with kernels.
func reduce32(c *compiler, n *ir.Node) func(f *frame) {
	if n.Op == compute.OpTypeReduceProduct || n.In[0].Size() == 0 {
		return reduceAny[float32](c, n)
	}
	if run := reduceRows(c, n); run != nil {
		return run
	}
	return reduceSteps(c, n, func(f *frame, dst, src []float32, r reduction) { reduceFloats(f, n.Op, dst, src, r) })
}

// reduceRows reduces a few elements of several axes at once when the innermost axis is kept, as pooling and the gradient
// of upsampling do: each row of the result is a fold of a few rows of the operand. It returns nil for other reductions.
func reduceRows(c *compiler, n *ir.Node) func(f *frame) {
	dims := n.In[0].Shape.Dimensions
	axes := n.Attr.(ir.Axes).Axes
	rs := groups(dims, axes)
	count := 1
	for _, r := range rs {
		count *= r.length
	}
	if len(rs) < 2 || count > 64 || rs[0].inner < 16 {
		return nil
	}
	from := contiguous(dims)
	var kept, keptStrides, folded, foldedStrides []int
	for i, d := range dims {
		if slices.Contains(axes, i) {
			folded, foldedStrides = append(folded, d), append(foldedStrides, from[i])
		} else {
			kept, keptStrides = append(kept, d), append(keptStrides, from[i])
		}
	}
	outer, inner := newNest(kept, contiguous(kept), keptStrides), newNest(folded, foldedStrides)
	width := outer.inner()
	var offsets []int
	inner.run(0, inner.rows(), func(at []int) {
		for i := range inner.inner() {
			offsets = append(offsets, at[0]+i*inner.stride(0))
		}
	})
	dst, src := c.slot(n), c.slot(n.In[0])
	_, merge, _ := folding(c.b.set, n.Op)
	return func(f *frame) {
		d, s := view[float32](f.slots[dst]), view[float32](f.slots[src])
		f.b.pool.Run(outer.rows(), rowGrain(width*count), func(lo, hi int) {
			outer.run(lo, hi, func(at []int) {
				acc := d[at[0]:][:width]
				copy(acc, s[at[1]+offsets[0]:])
				for _, o := range offsets[1:] {
					f.b.set.Binary(merge, acc, acc, s[at[1]+o:][:width])
				}
			})
		})
	}
}

// folding returns the kernels of a reduction and its neutral element.
func folding(k *kernel.Set, op compute.OpType) (fold func([]float32) float32, merge kernel.Op, start float32) {
	switch op {
	case compute.OpTypeReduceMax:
		return k.Max, kernel.Max, float32(math.Inf(-1))
	case compute.OpTypeReduceMin:
		return k.Min, kernel.Min, float32(math.Inf(1))
	}
	return k.Sum, kernel.Add, 0
}

func reduceFloats(f *frame, op compute.OpType, dst, src []float32, r reduction) {
	k := f.b.set
	fold, merge, start := folding(k, op)
	// The reduced axis is cut into parts of equal length, the last shorter; parts are folded apart and then in order.
	part := pass.ReducePart(r.inner)
	parts := (r.length + part - 1) / part
	acc := dst
	var mem []byte
	if parts > 1 {
		mem = f.b.memory.get(4 * r.outer * parts * r.inner)
		acc = view[float32](mem)
	}
	f.b.pool.Run(r.outer*parts, rowGrain(min(part, r.length)*r.inner), func(lo, hi int) {
		for i := lo; i < hi; i++ {
			o, p := i/parts, i%parts
			rows := min(part, r.length-p*part)
			x := src[(o*r.length+p*part)*r.inner:][:rows*r.inner]
			if r.inner == 1 {
				acc[i] = fold(x)
				continue
			}
			foldRows(k, merge, acc[i*r.inner:][:r.inner], x)
		}
	})
	switch {
	case parts == 1:
	case r.inner == 1:
		for o := range r.outer {
			dst[o] = start
			for _, v := range acc[o*parts:][:parts] {
				dst[o] = mergeOne(merge, dst[o], v)
			}
		}
	default: // the parts are rows to be reduced in their turn, as pass.Bands reduces them
		reduceFloats(f, op, dst, acc, reduction{r.outer, parts, r.inner})
	}
	f.b.memory.put(mem)
}

// foldRows combines the rows of x, each as long as acc. Short rows are taken several at a time, as one longer row, whose
// parts are combined in the end; how many depends on their length only.
func foldRows(k *kernel.Set, op kernel.Op, acc, x []float32) {
	const width = 256
	n := len(acc)
	if m := width / n; m > 1 && len(x) >= 2*m*n {
		wide := make([]float32, m*n)
		whole := len(x) / (m * n) * (m * n)
		foldRows(k, op, wide, x[:whole])
		copy(acc, wide)
		for _, part := range [][]float32{wide[n:], x[whole:]} {
			for ; len(part) > 0; part = part[n:] {
				k.Binary(op, acc, acc, part[:n])
			}
		}
		return
	}
	copy(acc, x[:n])
	for x = x[n:]; len(x) > 0; x = x[n:] {
		k.Binary(op, acc, acc, x[:n])
	}
}

func mergeOne(op kernel.Op, x, y float32) float32 {
	switch op {
	case kernel.Add:
		return x + y
	case kernel.Max:
		return max(x, y)
	}
	return min(x, y)
}

// makeArgMinMax finds the first smallest or largest element; NaN wins.
func makeArgMinMax(c *compiler, n *ir.Node) (func(f *frame), float64, error) {
	make := byType[func(c *compiler, n *ir.Node) func(f *frame)]{argMinMax[float32], argMinMax[float64], argMinMax[int8], argMinMax[int16],
		argMinMax[int32], argMinMax[int64], argMinMax[uint8], argMinMax[uint16], argMinMax[uint32], argMinMax[uint64]}
	return make.get(n.In[0].Shape.DType)(c, n), float64(n.In[0].Size()), nil
}

func argMinMax[T number](c *compiler, n *ir.Node) func(f *frame) {
	a := n.Attr.(ir.Arg)
	d := n.In[0].Shape.Dimensions
	outer, length, inner := product(d[:a.Axis]), d[a.Axis], product(d[a.Axis+1:])
	dst, src := c.slot(n), c.slot(n.In[0])
	store := intStore(n.Shape.DType)
	return func(f *frame) {
		x := view[T](f.slots[src])
		out := f.slots[dst]
		f.b.pool.Run(outer, rowGrain(length*inner), func(lo, hi int) {
			for i := lo * inner; i < hi*inner; i++ {
				o, j := i/inner, i%inner
				store(out, i, argOf(x[o*length*inner+j:], length, inner, a.Min))
			}
		})
	}
}

func argOf[T number](x []T, length, step int, smallest bool) int {
	best, at := x[0], 0
	if best != best {
		return 0
	}
	for i := 1; i < length; i++ {
		v := x[i*step]
		if v != v {
			return i
		}
		if (smallest && v < best) || (!smallest && v > best) {
			best, at = v, i
		}
	}
	return at
}

// intStore returns a function that stores an integer as element i of a type.
func intStore(d dtypes.DType) func(mem []byte, i, v int) {
	switch d.Size() {
	case 1:
		return func(mem []byte, i, v int) { mem[i] = uint8(v) }
	case 2:
		return func(mem []byte, i, v int) { view[uint16](mem)[i] = uint16(v) }
	case 4:
		return func(mem []byte, i, v int) { view[uint32](mem)[i] = uint32(v) }
	}
	return func(mem []byte, i, v int) { view[uint64](mem)[i] = uint64(v) }
}

// intLoad returns a function that loads element i of an integer type.
func intLoad(d dtypes.DType) func(mem []byte, i int) int {
	switch d {
	case dtypes.Int8:
		return func(mem []byte, i int) int { return int(int8(mem[i])) }
	case dtypes.Uint8:
		return func(mem []byte, i int) int { return int(mem[i]) }
	case dtypes.Int16:
		return func(mem []byte, i int) int { return int(view[int16](mem)[i]) }
	case dtypes.Uint16:
		return func(mem []byte, i int) int { return int(view[uint16](mem)[i]) }
	case dtypes.Int32:
		return func(mem []byte, i int) int { return int(view[int32](mem)[i]) }
	case dtypes.Uint32:
		return func(mem []byte, i int) int { return int(view[uint32](mem)[i]) }
	}
	if d == dtypes.Uint64 {
		return func(mem []byte, i int) int { return int(min(view[uint64](mem)[i], math.MaxInt64)) }
	}
	return func(mem []byte, i int) int { return int(view[int64](mem)[i]) }
}
