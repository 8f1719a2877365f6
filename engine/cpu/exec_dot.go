package cpu

import (
	"fmt"
	"slices"

	"github.com/gomlx/compute/dtypes"

	"github.com/smalti/smalti/engine/cpu/ir"
	"github.com/smalti/smalti/engine/cpu/kernel"
)

// dot is a DotGeneral as a batch of matrix products C[m][n] = A[m][k] * B[k][n] whose operands are read with strides.
type dot struct {
	batch   *nest // over A, B
	a, b    matrix
	m, k, n int
	key     string // of the packed B
	acc     bool   // add to what C holds: the bias
}

// matrix is an operand as rows and columns. When the axes cannot be joined to two strides, it is copied first.
type matrix struct {
	rowStride, colStride int
	copied               *move // to [rows][cols], or nil
	rows, cols           int
}

// newDot finds the matrices in a DotGeneral of arrays of the given dimensions.
func newDot(x, y []int, d ir.Dot) *dot {
	xs, ys := contiguous(x), contiguous(y)
	free := func(dims, contract, batch []int) (axes []int) {
		for i := range dims {
			if !slices.Contains(contract, i) && !slices.Contains(batch, i) {
				axes = append(axes, i)
			}
		}
		return axes
	}
	pick := func(from, axes []int) []int {
		out := make([]int, len(axes))
		for i, a := range axes {
			out[i] = from[a]
		}
		return out
	}
	xf, yf := free(x, d.LContract, d.LBatch), free(y, d.RContract, d.RBatch)
	kd := pick(x, d.LContract)
	k := newNest(kd, pick(xs, d.LContract), pick(ys, d.RContract))
	m := newNest(pick(x, xf), pick(xs, xf))
	n := newNest(pick(y, yf), pick(ys, yf))
	out := &dot{m: product(pick(x, xf)), k: product(kd), n: product(pick(y, yf))}
	out.batch = newNest(pick(x, d.LBatch), pick(xs, d.LBatch), pick(ys, d.RBatch))
	out.a = newMatrix(out.m, out.k, m, k, 0, pick(x, xf), pick(xs, xf), kd, pick(xs, d.LContract))
	out.b = newMatrix(out.k, out.n, k, n, 1, kd, pick(ys, d.RContract), pick(y, yf), pick(ys, yf))
	out.key = fmt.Sprint("dot ", out.k, out.n, out.b.rowStride, out.b.colStride)
	return out
}

// newMatrix describes an operand by the joined nests of its rows and columns. which is the operand's place in the nest
// that both operands share (that of k).
func newMatrix(rows, cols int, r, c *nest, which int, rd, rs, cd, cs []int) matrix {
	x := matrix{rows: rows, cols: cols}
	ri, ci := 0, which
	if which == 1 {
		ri, ci = 1, 0
	}
	if len(r.dims) == 1 && len(c.dims) == 1 {
		x.rowStride, x.colStride = r.stride(ri), c.stride(ci)
		if rows == 1 {
			x.rowStride = max(1, cols*x.colStride)
		}
		if cols == 1 {
			x.colStride = 1
		}
		return x
	}
	dims := append(slices.Clone(rd), cd...)
	x.copied = newMove(dims, contiguous(dims), append(slices.Clone(rs), cs...), 0, 0)
	x.rowStride, x.colStride = cols, 1
	return x
}

// usable reports whether the GEMM kernels can read A in place.
func (x *matrix) usable() bool { return x.colStride == 1 || x.rowStride == 1 }

func makeDot(c *compiler, n *ir.Node) (func(f *frame), float64, error) {
	d := newDot(n.In[0].Shape.Dimensions, n.In[1].Shape.Dimensions, n.Attr.(ir.Dot))
	dst, left, right := c.slot(n), c.slot(n.In[0]), c.slot(n.In[1])
	work := 2 * float64(n.Size()) * float64(d.k)
	if n.Shape.DType == dtypes.Float32 {
		bias := c.bias(n)
		d.acc = bias >= 0
		run := d.run
		if c.mixed(n) {
			d.prepareMixed()
			run = d.runMixed
		}
		if !d.a.usable() && d.a.copied == nil { // strided both ways
			d.a.copied = newMove([]int{d.m, d.k}, []int{d.k, 1}, []int{d.a.rowStride, d.a.colStride}, 0, 0)
			d.a.rowStride, d.a.colStride = d.k, 1
		}
		return func(f *frame) {
			if d.acc {
				fillRows(f, view[float32](f.slots[dst]), view[float32](f.slots[bias]))
			}
			run(f, f.slots[dst], f.slots[left], f.slots[right], f.inputs[right])
		}, work, nil
	}
	make := byType[func(d *dot, dst, left, right int) func(f *frame)]{nil, dotLoops[float64], dotLoops[int8], dotLoops[int16], dotLoops[int32],
		dotLoops[int64], dotLoops[uint8], dotLoops[uint16], dotLoops[uint32], dotLoops[uint64]}
	return make.get(n.Shape.DType)(d, dst, left, right), work, nil
}

// run computes the products in float32. weights is the buffer of B if it is an input that may keep its packed form.
func (d *dot) run(f *frame, dst, left, right []byte, weights *Buffer) {
	c, a, b := view[float32](dst), view[float32](left), view[float32](right)
	if d.k == 0 {
		if !d.acc {
			clear(dst)
		}
		return
	}
	batches := d.batch.size()
	inner, sa, sb := d.batch.inner(), d.batch.stride(0), d.batch.stride(1)
	at := func(i int) (int, int) {
		var oa, ob int
		d.batch.run(i/inner, i/inner+1, func(at []int) { oa, ob = at[0]+i%inner*sa, at[1]+i%inner*sb })
		return oa, ob
	}
	threads := f.b.pool.Threads()
	if batches > 1 && (batches >= 2*threads || 2*d.m*d.n*d.k < 1<<18) {
		grain := max(1, (1<<18)/(2*d.m*d.n*d.k+1))
		f.b.pool.Run(batches, grain, func(lo, hi int) {
			w := d.workspace(f)
			for i := lo; i < hi; i++ {
				oa, ob := at(i)
				d.one(f, w, c[i*d.m*d.n:][:d.m*d.n], a[oa:], b[ob:], false)
			}
			w.free(f)
		})
		return
	}
	for i := range batches {
		oa, ob := at(i)
		packed := d.cached(f, weights, b[min(ob, len(b)):], ob)
		if len(b) == 0 && packed == nil {
			b = view[float32](weights.plain())
		}
		if packed != nil {
			w := &dotSpace{packed: packed}
			w.aCopy.take(f, d.a)
			d.product(f, w, c[i*d.m*d.n:][:d.m*d.n], a[oa:], true)
			w.aCopy.free(f)
			continue
		}
		w := d.workspace(f)
		d.one(f, w, c[i*d.m*d.n:][:d.m*d.n], a[oa:], b[ob:], true)
		w.free(f)
	}
}

// fillRows fills y with copies of row.
func fillRows(f *frame, y, row []float32) {
	n := len(row)
	f.b.pool.Run(len(y)/n, rowGrain(n), func(lo, hi int) { repeat(y[lo*n:hi*n], row) })
}

// copySpace is memory for a copied operand.
type copySpace struct{ mem []byte }

func (s *copySpace) take(f *frame, x matrix) {
	if x.copied != nil {
		s.mem = f.b.memory.get(4 * x.rows * x.cols)
	}
}

func (s *copySpace) free(f *frame) {
	f.b.memory.put(s.mem)
	s.mem = nil
}

// dotSpace is the memory for one product at a time.
type dotSpace struct {
	packed       []float32
	mem          []byte
	aCopy, bCopy copySpace
}

func (d *dot) workspace(f *frame) *dotSpace {
	w := &dotSpace{mem: f.b.memory.get(4 * f.b.set.PackedSize(d.k, d.n))}
	w.packed = view[float32](w.mem)
	w.aCopy.take(f, d.a)
	w.bCopy.take(f, d.b)
	return w
}

func (w *dotSpace) free(f *frame) {
	f.b.memory.put(w.mem)
	w.aCopy.free(f)
	w.bCopy.free(f)
}

// copyMatrix copies an operand to its rows and columns.
func copyMatrix(f *frame, m *move, dst, src []float32) {
	runMove(f, m, view[uint32](bytesOf(dst)), view[uint32](bytesOf(src)))
}

// one packs B and multiplies.
func (d *dot) one(f *frame, w *dotSpace, c, a, b []float32, parallel bool) {
	if d.b.copied != nil {
		copied := view[float32](w.bCopy.mem)
		copyMatrix(f, d.b.copied, copied, b)
		b = copied
	}
	packB(f, w.packed, b, d.k, d.n, d.b.rowStride, d.b.colStride, parallel)
	d.product(f, w, c, a, parallel)
}

func packB(f *frame, dst, b []float32, k, n, rowStride, colStride int, parallel bool) {
	set := f.b.set
	if !parallel {
		set.PackB(dst, b, k, n, rowStride, colStride)
		return
	}
	f.b.pool.Run(set.Panels(n), rowGrain(k*set.NR()), func(lo, hi int) { set.PackBRange(dst, b, k, n, rowStride, colStride, lo, hi) })
}

// product multiplies A with the packed B.
func (d *dot) product(f *frame, w *dotSpace, c, a []float32, parallel bool) {
	if d.a.copied != nil {
		copied := view[float32](w.aCopy.mem)
		copyMatrix(f, d.a.copied, copied, a)
		a = copied
	}
	if !parallel {
		d.block(f.b.set, c, a, w.packed, 0, d.m, 0, d.n)
		return
	}
	g := newGrid(f.b.set, d.m, d.n, d.k)
	f.b.pool.Run(g.count(), 1, func(lo, hi int) {
		for i := lo; i < hi; i++ {
			r0, r1, c0, c1 := g.cell(i)
			d.block(f.b.set, c, a, w.packed, r0, r1, c0, c1)
		}
	})
}

// block computes rows r0..r1 and columns c0..c1 of C; c0 is a multiple of the panel width.
func (d *dot) block(set *kernel.Set, c, a, packed []float32, r0, r1, c0, c1 int) {
	if d.a.colStride == 1 {
		set.Gemm(c[r0*d.n+c0:], d.n, a[r0*d.a.rowStride:], d.a.rowStride, packed[c0*d.k:], r1-r0, d.k, c1-c0, d.acc)
		return
	}
	set.GemmTrans(&kernel.TransGemm{C: c[r0*d.n+c0:], LDC: d.n, A: a[r0:], LDA: d.a.colStride, Runs: []int{0}, KC: d.k,
		Packed: packed[c0*d.k:], M: r1 - r0, N: c1 - c0, Acc: d.acc})
}

// grid cuts the result of a product into blocks for workers. It changes no bit of the result.
type grid struct{ m, n, rows, cols int }

func newGrid(set *kernel.Set, m, n, k int) grid {
	const flops = 1 << 20 // of a block, about 10 us
	g := grid{m: m, n: n, rows: m, cols: n}
	perRow := 2 * n * k
	g.rows = min(m, max(set.MR(), (flops/max(1, perRow)+set.MR()-1)/set.MR()*set.MR()))
	if rows := (m + g.rows - 1) / g.rows; rows < 8 && perRow*g.rows > flops {
		cols := max(1, flops/(2*g.rows*k))
		g.cols = min(n, (cols+set.NR()-1)/set.NR()*set.NR())
	}
	return g
}

func (g grid) count() int { return ((g.m + g.rows - 1) / g.rows) * ((g.n + g.cols - 1) / g.cols) }

func (g grid) cell(i int) (r0, r1, c0, c1 int) {
	across := (g.n + g.cols - 1) / g.cols
	r0, c0 = i/across*g.rows, i%across*g.cols
	return r0, min(g.m, r0+g.rows), c0, min(g.n, c0+g.cols)
}

// cached returns the packed B of a weight that was used before, or nil.
func (d *dot) cached(f *frame, weights *Buffer, b []float32, at int) []float32 {
	if weights == nil || d.b.copied != nil {
		return nil
	}
	p := packing{key: fmt.Sprint(d.key, at), bytes: 4 * f.b.set.PackedSize(d.k, d.n)}
	p.make = func(dst []float32) { packB(f, dst, b, d.k, d.n, d.b.rowStride, d.b.colStride, true) }
	if d.wholeWeight() {
		p.make = func(dst []float32) {
			weights.restore()
			packB(f, dst, view[float32](weights.mem), d.k, d.n, d.b.rowStride, d.b.colStride, true)
		}
		set := f.b.set // the pack lives as long as the buffer, and must not hold it
		p.unpack = func(dst, packed []float32) { set.UnpackB(dst, packed, d.k, d.n, d.b.rowStride, d.b.colStride) }
	}
	return weights.pack(p)
}

// wholeWeight reports whether B is all of a parameter, so that its packed form holds the parameter.
func (d *dot) wholeWeight() bool {
	return d.b.copied == nil && d.batch.size() == 1 && (d.b.colStride == 1 && d.b.rowStride == d.n || d.b.rowStride == 1 && d.b.colStride == d.k)
}

// dotLoops multiplies any type.
func dotLoops[T number](d *dot, dst, left, right int) func(f *frame) {
	return func(f *frame) {
		c, a, b := view[T](f.slots[dst]), view[T](f.slots[left]), view[T](f.slots[right])
		a, b = copyAll(f, d.a, a, d.batch, 0), copyAll(f, d.b, b, d.batch, 1)
		i := 0
		inner, sa, sb := d.batch.inner(), d.batch.stride(0), d.batch.stride(1)
		d.batch.run(0, d.batch.rows(), func(at []int) {
			for j := range inner {
				oa, ob := at[0]+j*sa, at[1]+j*sb
				if d.a.copied != nil {
					oa = i * d.m * d.k
				}
				if d.b.copied != nil {
					ob = i * d.k * d.n
				}
				dotLoop(f, d, c[i*d.m*d.n:], a[min(oa, len(a)):], b[min(ob, len(b)):])
				i++
			}
		})
	}
}

// copyAll copies every matrix of the batch when it cannot be read in place.
func copyAll[T number](f *frame, x matrix, src []T, batch *nest, which int) []T {
	if x.copied == nil {
		return src
	}
	size := x.rows * x.cols
	out := make([]T, batch.size()*size)
	i := 0
	batch.run(0, batch.rows(), func(at []int) {
		for j := range batch.inner() {
			runMove(f, x.copied, out[i*size:][:size], src[at[which]+j*batch.stride(which):])
			i++
		}
	})
	return out
}

func dotLoop[T number](f *frame, d *dot, c, a, b []T) {
	f.b.pool.Run(d.m, max(1, (16<<10)/(d.k*d.n+1)), func(lo, hi int) {
		for i := lo; i < hi; i++ {
			for j := range d.n {
				var sum T
				for q := range d.k {
					sum += a[i*d.a.rowStride+q*d.a.colStride] * b[q*d.b.rowStride+j*d.b.colStride]
				}
				c[i*d.n+j] = sum
			}
		}
	})
}
