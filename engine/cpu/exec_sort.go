package cpu

import (
	"slices"
	"sort"

	"github.com/gomlx/compute"
	"github.com/gomlx/compute/dtypes"
	"github.com/gomlx/compute/shapes"
	"github.com/pkg/errors"

	"github.com/smalti/smalti/engine/cpu/ir"
)

// Sorting: one or more arrays are brought into the order that a comparator gives to rows along an axis. A comparator that
// compares two elements of one array, which nearly all do, is recognised and sorted by without running it; others are run for
// each comparison. Equal elements keep their order always; NaN, which is before nothing, comes last.

// sorting is the attribute of a sort.
type sorting struct {
	axis       int
	comparator *Function
	key        int  // the operand whose elements are compared, or -1 to run the comparator
	descending bool // largest first
	total      bool // in total order: -NaN, -Inf, ..., -0, +0, ..., NaN
	arrays     int  // operands but for what the comparator captured
}

func (s *sorting) String() string { return "" }

// Sort records a sort.
func (f *Function) Sort(comparator compute.Function, axis int, _ bool, inputs ...compute.Value) ([]compute.Value, error) {
	ns, err := f.nodes(inputs...)
	if err != nil {
		return nil, err
	}
	if len(ns) == 0 {
		return nil, errors.New("cpu: nothing to sort")
	}
	rank := ns[0].Shape.Rank()
	if axis < 0 {
		axis += rank
	}
	if axis < 0 || axis >= rank {
		return nil, errors.Errorf("cpu: sort along axis %d of %s", axis, ns[0].Shape)
	}
	for _, n := range ns[1:] {
		if !n.Shape.EqualDimensions(ns[0].Shape) {
			return nil, errors.Errorf("cpu: sort %s with %s", ns[0].Shape, n.Shape)
		}
	}
	fn, captured, err := f.use("the comparator", comparator)
	if err != nil {
		return nil, err
	}
	var scalars []shapes.Shape
	for _, n := range ns {
		scalars = append(scalars, shapes.Make(n.Shape.DType), shapes.Make(n.Shape.DType))
	}
	if err := fn.takes("the comparator", scalars); err != nil {
		return nil, err
	}
	if err := fn.returns("the comparator", []shapes.Shape{shapes.Make(dtypes.Bool)}); err != nil {
		return nil, err
	}
	s := &sorting{axis: axis, comparator: fn, arrays: len(ns)}
	s.recognise()
	return f.several(compute.OpTypeSort, s, shapesOf(ns), append(ns, captured...)), nil
}

// recognise finds out whether the comparator compares two elements of one array.
func (s *sorting) recognise() {
	s.key = -1
	out := s.comparator.g.Outputs[0]
	op := out.Op
	if plain, ok := totalOrders[op]; ok {
		op, s.total = plain, true
	}
	switch op {
	case compute.OpTypeLessThan, compute.OpTypeLessOrEqual:
	case compute.OpTypeGreaterThan, compute.OpTypeGreaterOrEqual:
		s.descending = true
	default:
		return
	}
	left, right := s.parameter(out.In[0]), s.parameter(out.In[1])
	switch {
	case left < 0 || right < 0 || left/2 != right/2 || left == right:
		return
	case left > right: // a comparator of the right element with the left one
		s.descending = !s.descending
	}
	s.key = left / 2
}

// parameter is which parameter of the comparator a value is, as it is or widened, or -1.
func (s *sorting) parameter(n *ir.Node) int {
	if n.Op == compute.OpTypeConvertDType && isHalf(n.In[0].Shape.DType) && n.Shape.DType == dtypes.Float32 {
		n = n.In[0]
	}
	if p, ok := n.Attr.(ir.Parameter); ok && n.Op == compute.OpTypeParameter && p.Index < s.comparator.declared {
		return p.Index
	}
	return -1
}

// line is where the elements of one row along the axis are: at, at+step, ...
type line struct{ at, step int }

// lines lists the rows of an array along an axis.
func lines(dims []int, axis, i int) line {
	inner := product(dims[axis+1:])
	return line{i/inner*dims[axis]*inner + i%inner, inner}
}

func makeSort(c *compiler, n *ir.Node) (func(f *frame), float64, error) {
	s := n.Attr.(*sorting)
	arrays := c.operands(n.In[:s.arrays])
	dims := arrays[0].shape.Dimensions
	length, dst := dims[s.axis], c.slot(n)
	if product(dims) == 0 {
		return func(*frame) {}, 0, nil
	}
	rank, err := c.ranker(n, s)
	if err != nil {
		return nil, 0, err
	}
	return func(f *frame) {
		order := rank(f)
		f.b.pool.Run(product(dims)/length, rowGrain(length*8), func(lo, hi int) {
			indices := make([]int32, length)
			for i := lo; i < hi; i++ {
				l := lines(dims, s.axis, i)
				order(indices, l)
				at := 0
				for _, o := range arrays {
					size := o.shape.DType.Size()
					permute(f.slots[dst][at:], f.slots[o.slot], size, l, indices)
					at += alignUp(len(f.slots[o.slot]))
				}
			}
		})
	}, float64(n.Size()), nil
}

// permute writes the elements of a row in the order of the indices.
func permute(dst, src []byte, size int, l line, indices []int32) {
	switch size {
	case 1:
		permuted(dst, src, l, indices)
	case 2:
		permuted(view[uint16](dst), view[uint16](src), l, indices)
	case 4:
		permuted(view[uint32](dst), view[uint32](src), l, indices)
	default:
		permuted(view[uint64](dst), view[uint64](src), l, indices)
	}
}

func permuted[T any](dst, src []T, l line, indices []int32) {
	for i, k := range indices {
		dst[l.at+i*l.step] = src[l.at+int(k)*l.step]
	}
}

// ranker returns what makes, for a run, the function that fills indices with the order of a row.
func (c *compiler) ranker(n *ir.Node, s *sorting) (func(f *frame) func(indices []int32, l line), error) {
	if s.key < 0 {
		return c.comparing(n, s)
	}
	key := passed{c.slot(n.In[s.key]), n.In[s.key].Shape}
	d := key.shape.DType
	if isHalf(d) {
		wide := converter(c.b.set, dtypes.Float32, d)
		return func(f *frame) func(indices []int32, l line) {
			mem := make([]byte, 4*key.shape.Size())
			wide(mem, f.slots[key.slot])
			return byKey[float32](mem, s)
		}, nil
	}
	if d == dtypes.Bool {
		d = dtypes.Uint8
	}
	make := byType[func(mem []byte, s *sorting) func(indices []int32, l line)]{byKey[float32], byKey[float64], byKey[int8], byKey[int16], byKey[int32],
		byKey[int64], byKey[uint8], byKey[uint16], byKey[uint32], byKey[uint64]}.get(d)
	return func(f *frame) func(indices []int32, l line) { return make(f.slots[key.slot], s) }, nil
}

// byKey orders rows by the elements of one array.
func byKey[T number](mem []byte, s *sorting) func(indices []int32, l line) {
	x := view[T](mem)
	sign := 1
	if s.descending {
		sign = -1
	}
	compare := func(a, b T) int { // NaN last, in either direction
		switch {
		case a < b:
			return -sign
		case a > b:
			return sign
		case a == b:
			return 0
		}
		return isNaN(a) - isNaN(b)
	}
	if s.total {
		compare = func(a, b T) int { return sign * compareTotal(a, b) }
	}
	return func(indices []int32, l line) {
		for i := range indices {
			indices[i] = int32(i)
		}
		slices.SortFunc(indices, func(i, j int32) int {
			if c := compare(x[l.at+int(i)*l.step], x[l.at+int(j)*l.step]); c != 0 {
				return c
			}
			return int(i - j)
		})
	}
}

func isNaN[T number](x T) int {
	if x != x {
		return 1
	}
	return 0
}

// compareTotal compares floats in total order and other numbers as they are.
func compareTotal[T number](a, b T) int {
	switch x := any(a).(type) {
	case float32:
		return compareNumbers(ordinal(x), ordinal(any(b).(float32)))
	case float64:
		return compareNumbers(ordinal(x), ordinal(any(b).(float64)))
	}
	return compareNumbers(a, b)
}

func compareNumbers[T number](a, b T) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

// comparing orders rows by running the comparator, one row after the other: a comparison takes microseconds.
func (c *compiler) comparing(n *ir.Node, s *sorting) (func(f *frame) func(indices []int32, l line), error) {
	exe, err := s.comparator.executable()
	if err != nil {
		return nil, err
	}
	arrays, captured := c.operands(n.In[:s.arrays]), c.operands(n.In[s.arrays:])
	return func(f *frame) func(indices []int32, l line) {
		more := f.borrow(captured)
		return func(indices []int32, l line) {
			for i := range indices {
				indices[i] = int32(i)
			}
			in := make([]compute.Buffer, 0, 2*len(arrays)+len(more))
			sort.SliceStable(indices, func(i, j int) bool {
				in = in[:0]
				for _, o := range arrays {
					size := o.shape.DType.Size()
					for _, k := range []int{int(indices[i]), int(indices[j])} {
						mem := f.slots[o.slot][(l.at+k*l.step)*size:][:size:size]
						in = append(in, &Buffer{backend: f.b, shape: shapes.Make(o.shape.DType), mem: mem})
					}
				}
				out := exe.call(append(in, more...))
				before := out[0].(*Buffer).mem[0] != 0
				release(out)
				return before
			})
		}
	}, nil
}
