package cpu

import (
	"slices"

	"github.com/gomlx/compute"
	"github.com/gomlx/compute/shapeinference"
	"github.com/pkg/errors"

	"github.com/smalti/smalti/engine/cpu/ir"
)

// Slices whose starts are known only when they run. Starts outside move to where the slice is wholly inside.

// DynamicSlice records the part of given size that begins at starts: one scalar for each axis, or one vector of all.
func (f *Function) DynamicSlice(operand compute.Value, starts []compute.Value, size []int) (compute.Value, error) {
	ns, err := f.nodes(append([]compute.Value{operand}, starts...)...)
	if err != nil {
		return nil, err
	}
	s, err := shapeinference.DynamicSlice(ns[0].Shape, size)
	if err != nil {
		return nil, err
	}
	if err := checkStarts(s.Rank(), ns[1:]); err != nil {
		return nil, err
	}
	if s.EqualDimensions(ns[0].Shape) {
		return ns[0], nil
	}
	return f.g.Add(compute.OpTypeDynamicSlice, s, nil, ns...), nil
}

// DynamicUpdateSlice records a copy of operand in which update stands at starts.
func (f *Function) DynamicUpdateSlice(operand, update compute.Value, starts []compute.Value) (compute.Value, error) {
	ns, err := f.nodes(append([]compute.Value{operand, update}, starts...)...)
	if err != nil {
		return nil, err
	}
	s, err := shapeinference.DynamicUpdateSlice(ns[0].Shape, ns[1].Shape)
	if err != nil {
		return nil, err
	}
	for i, d := range ns[1].Shape.Dimensions {
		if d > s.Dimensions[i] {
			return nil, errors.Errorf("cpu: DynamicUpdateSlice of %s into %s", ns[1].Shape, s)
		}
	}
	if err := checkStarts(s.Rank(), ns[2:]); err != nil {
		return nil, err
	}
	return f.g.Add(compute.OpTypeDynamicUpdateSlice, s, nil, ns...), nil
}

func checkStarts(rank int, starts []*ir.Node) error {
	if oneVector(starts) && starts[0].Shape.Dimensions[0] == rank && starts[0].Shape.DType.IsInt() {
		return nil
	}
	if len(starts) != rank {
		return errors.Errorf("cpu: %d starts of a slice for %d axes", len(starts), rank)
	}
	for i, n := range starts {
		if !n.Shape.IsScalar() || !n.Shape.DType.IsInt() {
			return errors.Errorf("cpu: start %d of a slice is %s, want an integer", i, n.Shape)
		}
	}
	return nil
}

// oneVector reports whether all starts are in one array, which GoMLX allows too.
func oneVector(starts []*ir.Node) bool { return len(starts) == 1 && starts[0].Shape.Rank() == 1 }

// startAt returns a function that finds the offset, in an array of dims, of a part of the given size.
func (c *compiler) startAt(starts []*ir.Node, dims, size []int) func(f *frame) int {
	steps := contiguous(dims)
	slots := make([]int, len(starts))
	loads := make([]func(mem []byte, i int) int, len(starts))
	for i, n := range starts {
		slots[i], loads[i] = c.slot(n), intLoad(n.Shape.DType)
	}
	vector := oneVector(starts)
	return func(f *frame) int {
		at := 0
		for i, step := range steps {
			k, element := i, 0
			if vector {
				k, element = 0, i
			}
			at += min(max(loads[k](f.slots[slots[k]], element), 0), dims[i]-size[i]) * step
		}
		return at
	}
}

// from returns the move with other offsets of the first elements.
func (m *move) from(dst, src int) *move {
	n := *m.n
	n.start = []int{dst, src}
	return &move{n: &n, a: m.a}
}

func makeDynamicSlice(c *compiler, n *ir.Node) (func(f *frame), float64, error) {
	in, size := n.In[0].Shape.Dimensions, n.Shape.Dimensions
	start := c.startAt(n.In[1:], in, size)
	m := newMove(size, contiguous(size), contiguous(in), 0, 0)
	dst, src, es := c.slot(n), c.slot(n.In[0]), elementSize(n)
	return func(f *frame) { runMoveBytes(f, m.from(0, start(f)), es, f.slots[dst], f.slots[src]) }, float64(n.Size()), nil
}

func makeDynamicUpdateSlice(c *compiler, n *ir.Node) (func(f *frame), float64, error) {
	dims, size := n.Shape.Dimensions, n.In[1].Shape.Dimensions
	start := c.startAt(n.In[2:], dims, size)
	m := newMove(size, contiguous(dims), contiguous(size), 0, 0)
	dst, src, update, es := c.slot(n), c.slot(n.In[0]), c.slot(n.In[1]), elementSize(n)
	empty := slices.Contains(size, 0)
	return func(f *frame) {
		copy(f.slots[dst], f.slots[src])
		if !empty {
			runMoveBytes(f, m.from(start(f), 0), es, f.slots[dst], f.slots[update])
		}
	}, float64(n.Size()), nil
}
