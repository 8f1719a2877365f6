package cpu

import (
	"errors"
	"fmt"

	"github.com/gomlx/compute"
	"github.com/gomlx/compute/dtypes"

	"github.com/smalti/smalti/engine/cpu/ir"
	"github.com/smalti/smalti/engine/cpu/pass"
)

// Names of precisions: F32 computes everything in float32; Mixed computes the products that mixedTable names from
// operands rounded to bfloat16, added up in float32.
const (
	F32   = "f32"
	Mixed = "mixed"
)

// ErrPrecision is wrapped by New's error when the class of kernels cannot compute with the precision asked for.
var ErrPrecision = errors.New("the precision is not available")

// mixedRow allows bfloat16 for products whose depth k and columns n are at least these. rms is the error that the
// products may have: root mean square of the difference to float32, relative to the root mean square of the product,
// for operands that do not cancel more than random ones do. It does not grow with k: rounding errors of the terms are
// independent and so are the terms. Rounding leaves 2^-8/sqrt(3) of a number's power of two on average, twice for two
// operands: 2.3e-3 for normal draws.
type mixedRow struct {
	k, n int
	rms  float64
}

// mixedTable decides which products are computed in bfloat16 when the precision is Mixed. The number of rows is not
// asked for: it holds the batch, and a row must not depend on how many there are.
var mixedTable = []mixedRow{
	{k: 128, n: 128, rms: 2.5e-3}, // layers of transformers, projections of features
}

// mixed reports whether a product is computed from operands rounded to bfloat16: the precision is Mixed; the right operand
// is a parameter of the graph (weights, whose packed form is kept), without batch axes, and the shape is in mixedTable, or
// the product is the gradient of such weights; and no ArgMax or ArgMin hangs on the result alone, as the choice of a code
// does, which a rounding would change for good.
func (c *compiler) mixed(n *ir.Node) bool {
	if !c.b.mixed || n.Op != compute.OpTypeDotGeneral || n.Shape.DType != dtypes.Float32 {
		return false
	}
	a := n.Attr.(ir.Dot)
	if len(a.LBatch) > 0 || c.choosing()[n] {
		return false
	}
	d := newDot(n.In[0].Shape.Dimensions, n.In[1].Shape.Dimensions, a)
	deep := d.k
	if pass.Root(n.In[1]).Op != compute.OpTypeParameter {
		if !leading(a.LContract, n.In[0]) || !leading(a.RContract, n.In[1]) {
			return false
		}
		deep = d.m // the weights' own depth; k holds the batch here
	}
	for _, row := range mixedTable {
		if deep >= row.k && d.n >= row.n {
			return true
		}
	}
	return false
}

// leading reports whether all axes but the last are contracted, in order: so read both operands of the gradient of weights
// [m,n], x [...,m] and dy [...,n].
func leading(contract []int, x *ir.Node) bool {
	if len(contract) == 0 || len(contract) != len(x.Shape.Dimensions)-1 {
		return false
	}
	for i, axis := range contract {
		if axis != i {
			return false
		}
	}
	return true
}

// choosing are the nodes from which an ArgMax or ArgMin reads through nothing but elementwise operations and reshapes.
func (c *compiler) choosing() map[*ir.Node]bool {
	if c.chooses != nil {
		return c.chooses
	}
	c.chooses = map[*ir.Node]bool{}
	var mark func(n *ir.Node)
	mark = func(n *ir.Node) {
		if c.chooses[n] {
			return
		}
		c.chooses[n] = true
		if pass.Elementwise(n) || pass.Transparent(n) || pass.Alias(n) || n.Op == compute.OpTypeTranspose {
			for _, in := range n.In {
				mark(in)
			}
		}
	}
	for _, n := range c.g.Live() {
		if n.Op == compute.OpTypeArgMinMax {
			mark(n.In[0])
		}
	}
	return c.chooses
}

// prepareMixed makes A readable by rows, which is how it is rounded.
func (d *dot) prepareMixed() {
	if d.a.colStride != 1 && d.a.copied == nil {
		d.a.copied = newMove([]int{d.m, d.k}, []int{d.k, 1}, []int{d.a.rowStride, d.a.colStride}, 0, 0)
		d.a.rowStride, d.a.colStride = d.k, 1
	}
	d.key = "bf16 " + d.key
}

// runMixed is run for one product of operands rounded to bfloat16.
func (d *dot) runMixed(f *frame, dst, left, right []byte, weights *Buffer) {
	if d.k == 0 || d.m == 0 || d.n == 0 {
		d.run(f, dst, left, right, nil)
		return
	}
	set, c, a := f.b.set, view[float32](dst), view[float32](left)
	var aCopy copySpace
	if aCopy.take(f, d.a); d.a.copied != nil {
		copied := view[float32](aCopy.mem)
		copyMatrix(f, d.a.copied, copied, a)
		a = copied
	}
	even := (d.k + 1) &^ 1
	mem := f.b.memory.get(2 * d.m * even)
	rows := view[uint16](mem)
	f.b.pool.Run(d.m, rowGrain(d.k), func(lo, hi int) {
		set.RowsBF16(rows[lo*even:], even, a[lo*d.a.rowStride:], d.a.rowStride, hi-lo, d.k)
	})
	aCopy.free(f)
	packed, back := d.packedMixed(f, weights, view[float32](right))
	g := newGrid(set, d.m, d.n, (d.k+1)/2)
	f.b.pool.Run(g.count(), 1, func(lo, hi int) {
		for i := lo; i < hi; i++ {
			r0, r1, c0, c1 := g.cell(i)
			set.GemmBF16(c[r0*d.n+c0:], d.n, rows[r0*even:], even, packed[c0*even:], r1-r0, d.k, c1-c0, d.acc)
		}
	})
	f.b.memory.put(mem)
	f.b.memory.put(back)
}

// packedMixed returns B rounded and packed: that of the weights, or one whose memory, back, is the caller's to give back.
func (d *dot) packedMixed(f *frame, weights *Buffer, b []float32) (packed []uint16, back []byte) {
	size := 2 * f.b.set.PackedSizeBF16(d.k, d.n)
	if weights != nil && d.b.copied == nil {
		kept := weights.pack(packing{key: fmt.Sprint(d.key, 0), bytes: size, make: func(dst []float32) { d.packMixed(f, view[uint16](bytesOf(dst)), b) }})
		if kept != nil {
			return view[uint16](bytesOf(kept)), nil
		}
	}
	var bCopy copySpace
	if bCopy.take(f, d.b); d.b.copied != nil {
		copied := view[float32](bCopy.mem)
		copyMatrix(f, d.b.copied, copied, b)
		b = copied
	}
	back = f.b.memory.get(size)
	packed = view[uint16](back)
	d.packMixed(f, packed, b)
	bCopy.free(f)
	return packed, back
}

func (d *dot) packMixed(f *frame, dst []uint16, b []float32) {
	set := f.b.set
	f.b.pool.Run(set.Panels(d.n), rowGrain(d.k*set.NR()), func(lo, hi int) {
		set.PackBF16Range(dst, b, d.k, d.n, d.b.rowStride, d.b.colStride, lo, hi)
	})
}
