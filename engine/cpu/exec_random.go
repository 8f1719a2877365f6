package cpu

import (
	"math/bits"

	"github.com/gomlx/compute"
	"github.com/gomlx/compute/dtypes"
	"github.com/gomlx/compute/shapes"
	"github.com/pkg/errors"

	"github.com/smalti/smalti/engine/cpu/ir"
	"github.com/smalti/smalti/rng"
)

// Random bits as XLA makes them from a Philox state (xla/hlo/builder/lib/prng.cc, PhiloxBitGenerator): state[0] is the key,
// state[1] and state[2] the low and the high half of a 128-bit counter. Block k of four 32-bit words is Philox 4x32-10 at the
// counter plus k; elements of 32 bits take the words in turn, those of 64 bits two words each with the low word first, and
// narrower ones the low bits of a word each. The counter moves on by the number of blocks used; the key stays.

// RNGBitGenerator records the filling of a shape with random bits.
func (f *Function) RNGBitGenerator(state compute.Value, shape shapes.Shape) (newState, values compute.Value, err error) {
	x, err := f.node(state)
	if err != nil {
		return nil, nil, err
	}
	if !x.Shape.Equal(compute.RNGStateShape) {
		return nil, nil, errors.Errorf("cpu: a state of random numbers of shape %s, want %s", x.Shape, compute.RNGStateShape)
	}
	if err := checkShape(shape); err != nil {
		return nil, nil, err
	}
	if shape.DType == dtypes.Bool {
		return nil, nil, errors.Wrapf(compute.ErrNotImplemented, "cpu: random bits of type %s", shape.DType)
	}
	return f.g.Add(ir.OpRNGState, x.Shape, ir.Blocks{Count: philoxBlocks(shape)}, x), f.g.Add(ir.OpRNGBits, shape, nil, x), nil
}

// philoxBlocks is how many blocks of four words a shape takes.
func philoxBlocks(s shapes.Shape) int {
	words := s.Size()
	if s.DType.Size() == 8 {
		words *= 2
	}
	return (words + 3) / 4
}

// counterAt is the counter of a state plus k, as words from the lowest.
func counterAt(state []uint64, k uint64) (low, high uint64) {
	low, carry := bits.Add64(state[1], k, 0)
	return low, state[2] + carry
}

func makeRNGState(c *compiler, n *ir.Node) (func(f *frame), float64, error) {
	dst, src, count := c.slot(n), c.slot(n.In[0]), uint64(n.Attr.(ir.Blocks).Count)
	return func(f *frame) {
		s, d := view[uint64](f.slots[src]), view[uint64](f.slots[dst])
		d[0] = s[0]
		d[1], d[2] = counterAt(s, count)
	}, 0, nil
}

func makeRNGBits(c *compiler, n *ir.Node) (func(f *frame), float64, error) {
	dst, src, size := c.slot(n), c.slot(n.In[0]), elementSize(n)
	blocks := philoxBlocks(n.Shape)
	return func(f *frame) {
		state, mem := view[uint64](f.slots[src]), f.slots[dst]
		key := [2]uint32{uint32(state[0]), uint32(state[0] >> 32)}
		f.b.pool.Run(blocks, 1<<10, func(lo, hi int) {
			for k := lo; k < hi; k++ {
				low, high := counterAt(state, uint64(k))
				storeWords(mem, size, 4*k, rng.Block([4]uint32{uint32(low), uint32(low >> 32), uint32(high), uint32(high >> 32)}, key))
			}
		})
	}, float64(n.Size()), nil
}

// storeWords writes the words of a block, the first of which is word number at, to elements of a size in bytes; what lies
// behind the end is dropped.
func storeWords(mem []byte, size, at int, words [4]uint32) {
	switch size {
	case 1:
		for i := range min(4, len(mem)-at) {
			mem[at+i] = uint8(words[i])
		}
	case 2:
		d := view[uint16](mem)[at:]
		for i := range min(4, len(d)) {
			d[i] = uint16(words[i])
		}
	case 4:
		copy(view[uint32](mem)[at:], words[:])
	default:
		d := view[uint64](mem)[at/2:]
		for i := range min(2, len(d)) {
			d[i] = uint64(words[2*i]) | uint64(words[2*i+1])<<32
		}
	}
}
