package cpu

import (
	"github.com/gomlx/compute/dtypes"

	"github.com/smalti/smalti/engine/cpu/ir"
	"github.com/smalti/smalti/engine/cpu/kernel"
)

// makeConvert compiles a conversion that is not part of a cluster.
func makeConvert(c *compiler, n *ir.Node) (func(f *frame), float64, error) {
	dst, src := c.slot(n), c.slot(n.In[0])
	to, from := n.Shape.DType, n.In[0].Shape.DType
	size := n.Size()
	conv := converter(c.b.set, to, from)
	es, ed := from.Size(), to.Size()
	return func(f *frame) {
		d, s := f.slots[dst], f.slots[src]
		f.b.pool.Run(size, 16<<10, func(lo, hi int) { conv(d[lo*ed:hi*ed], s[lo*es:hi*es]) })
	}, float64(size), nil
}

// converter returns a function that converts between two types. Floats become integers by truncation; anything but zero
// becomes true. Half precision goes through float32.
func converter(k *kernel.Set, to, from dtypes.DType) func(dst, src []byte) {
	switch {
	case to == from:
		return func(dst, src []byte) { copy(dst, src) }
	case from == dtypes.BFloat16 && to == dtypes.Float32:
		return func(dst, src []byte) { k.BF16ToF32(view[float32](dst), view[uint16](src)) }
	case from == dtypes.Float16 && to == dtypes.Float32:
		return func(dst, src []byte) { k.F16ToF32(view[float32](dst), view[uint16](src)) }
	case from == dtypes.Float32 && to == dtypes.BFloat16:
		return func(dst, src []byte) { k.F32ToBF16(view[uint16](dst), view[float32](src)) }
	case from == dtypes.Float32 && to == dtypes.Float16:
		return func(dst, src []byte) { k.F32ToF16(view[uint16](dst), view[float32](src)) }
	case isHalf(from) || isHalf(to):
		first, second := converter(k, dtypes.Float32, from), converter(k, to, dtypes.Float32)
		return func(dst, src []byte) {
			middle := make([]byte, len(src)/from.Size()*4)
			first(middle, src)
			second(dst, middle)
		}
	}
	switch from {
	case dtypes.Bool:
		return convertFrom[uint8](to) // a bool in memory is 0 or 1
	case dtypes.Float32:
		return convertFrom[float32](to)
	case dtypes.Float64:
		return convertFrom[float64](to)
	case dtypes.Int8:
		return convertFrom[int8](to)
	case dtypes.Int16:
		return convertFrom[int16](to)
	case dtypes.Int32:
		return convertFrom[int32](to)
	case dtypes.Int64:
		return convertFrom[int64](to)
	case dtypes.Uint8:
		return convertFrom[uint8](to)
	case dtypes.Uint16:
		return convertFrom[uint16](to)
	case dtypes.Uint32:
		return convertFrom[uint32](to)
	}
	return convertFrom[uint64](to)
}

func convertFrom[S number](to dtypes.DType) func(dst, src []byte) {
	switch to {
	case dtypes.Bool:
		return func(dst, src []byte) {
			d := view[bool](dst)
			for i, x := range view[S](src) {
				d[i] = x != 0
			}
		}
	case dtypes.Float32:
		return convertTo[S, float32]
	case dtypes.Float64:
		return convertTo[S, float64]
	case dtypes.Int8:
		return convertTo[S, int8]
	case dtypes.Int16:
		return convertTo[S, int16]
	case dtypes.Int32:
		return convertTo[S, int32]
	case dtypes.Int64:
		return convertTo[S, int64]
	case dtypes.Uint8:
		return convertTo[S, uint8]
	case dtypes.Uint16:
		return convertTo[S, uint16]
	case dtypes.Uint32:
		return convertTo[S, uint32]
	}
	return convertTo[S, uint64]
}

func convertTo[S, D number](dst, src []byte) {
	d := view[D](dst)
	for i, x := range view[S](src) {
		d[i] = D(x)
	}
}
