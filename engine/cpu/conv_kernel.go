package cpu

import (
	"github.com/smalti/smalti/engine/cpu/kernel"
)

// kernelGradient is a convolution whose "batch" lies innermost in memory: the gradient of a kernel, where batch and
// channels have changed places. y[b,i,j,o] is a product over the pixels (n,p,q) of the "kernel" w, which is the
// gradient of the outputs:
//
//	y[b,i,j,o] = sum over n,p,q of X[n, i*stride + p*dilate, j*stride + q*dilate, b] * w[n,p,q,o].
//
// A has pixels as columns and (j,b) as rows, which lie next to each other in memory when the stride is one; it is read
// in place from a padded copy of a few rows of x. The pixels are cut into units by shape, and units are added up in
// groups, whose sums are added in order.
type kernelGradient struct {
	*conv
	set *kernel.Set

	wMove      *move // copy of w to [n][p][q][o], or nil
	wRow       int   // distance of pixels in w
	wCol       int   // distance of out-channels
	unitRows   int   // rows p of a unit
	units      int   // of one picture
	patchW     int
	groupCount int
	joined     bool             // j and b are one run of rows
	y          *move            // from [i][j][b][o], or nil
	exchanged  bool             // x and w are each other's
	poly       *kernel.PolyGrad // or nil
	winograd   bool             // by Winograd's algorithm, which needs everything contiguous
}

func newKernelGradient(set *kernel.Set, v *conv) *kernelGradient {
	kg := &kernelGradient{set: set}
	if e := v.exchange(); e != nil {
		v, kg.exchanged = e, true
	}
	kg.conv = v
	if kg.poly = newPolyGrad(set, v); kg.poly != nil {
		return kg
	}
	if v.k.start != 0 || v.k.w < 0 || v.k.h != v.kw*v.k.w {
		dims := []int{v.c, v.kh, v.kw, v.o}
		kg.wMove = newMove(dims, contiguous(dims), []int{v.k.b, v.k.h, v.k.w, v.k.c}, 0, v.k.start)
		kg.wRow, kg.wCol = v.o, 1
	} else {
		kg.wRow, kg.wCol = v.k.w, v.k.c
	}
	kg.patchW = (v.ow-1)*v.stride[1] + (v.kw-1)*v.dilate[1] + 1
	// Rows of a unit: the copy of x and the packed part of w should stay in the second-level cache.
	kg.unitRows = v.kh
	for kg.unitRows > 1 && (4*kg.high(kg.unitRows)*kg.patchW*v.b > patchBytes || 4*kg.unitRows*v.kw*v.o > patchBytes) {
		kg.unitRows = (kg.unitRows + 1) / 2
	}
	kg.units = (v.kh + kg.unitRows - 1) / kg.unitRows
	kg.joined = v.stride[1] == 1
	// Few groups for large kernels: each needs memory for a whole result.
	const groupBytes, most = 8 << 20, 16
	kg.groupCount = max(1, min(most, v.c*kg.units, groupBytes/(4*kg.size())))
	if kg.groupCount < 4 {
		kg.groupCount = 1
	}
	kg.winograd = kg.winogradPays()
	if kg.winograd {
		kg.groupCount = min(kg.groupCount, v.c)
	}
	dims := []int{v.oh, v.ow, v.b, v.o}
	if c := contiguous(dims); v.y.h != c[0] || v.y.w != c[1] || v.y.b != c[2] || v.y.c != 1 {
		kg.y = newMove(dims, []int{v.y.h, v.y.w, v.y.b, v.y.c}, c, v.y.start, 0)
	}
	return kg
}

// exchange describes the gradient of a transposed convolution's kernel as that of the strided one it is the transpose
// of: x and the kernel change places, so that no zeros between or around the elements of x are multiplied. With taps counted from
// the end, i' = oh-1-i,
//
//	y[b,i,j,o] = sum over n,s,t of x[n,s,t,b] * w[n, s*inDilate + i' - (oh-1-pad), t*inDilate + j' - (ow-1-pad), o].
//
// nil if v is of another kind.
func (v *conv) exchange() *conv {
	one := [2]int{1, 1}
	if v.inDilate == one && v.h*v.w >= v.kh*v.kw || v.stride != one || v.dilate != one || v.k.c != 1 || v.k.start != 0 || v.k.h < 0 || v.k.w < 0 {
		return nil
	}
	e := *v
	e.b, e.o, e.h, e.w, e.kh, e.kw = v.o, v.b, v.kh, v.kw, v.h, v.w
	e.dilate, e.inDilate = v.inDilate, one
	e.pad = [2]int{v.oh - 1 - v.pad[0], v.ow - 1 - v.pad[1]}
	e.x = strides{b: v.k.c, h: v.k.h, w: v.k.w, c: v.k.b}
	e.k = strides{b: v.x.c, h: v.x.h, w: v.x.w, c: v.x.b}
	e.y = strides{b: v.y.c, h: -v.y.h, w: -v.y.w, c: v.y.b, start: v.y.start + (v.oh-1)*v.y.h + (v.ow-1)*v.y.w}
	return &e
}

func (kg *kernelGradient) size() int { return kg.oh * kg.ow * kg.b * kg.o }

// high is the number of rows of X that a number of rows of w meet.
func (kg *kernelGradient) high(rows int) int {
	return (rows-1)*kg.dilate[0] + (kg.oh-1)*kg.stride[0] + 1
}

// forwardShape is the convolution whose kernel's gradient this is, for pictures n.
func (kg *kernelGradient) forwardShape(n int) kernel.ConvShape {
	return kernel.ConvShape{N: n, H: kg.h, W: kg.w, Cin: kg.b, OutH: kg.kh, OutW: kg.kw, Cout: kg.o, KH: kg.oh, KW: kg.ow,
		StrideH: kg.dilate[0], StrideW: kg.dilate[1], DilH: kg.stride[0], DilW: kg.stride[1], PadTop: kg.pad[0], PadLeft: kg.pad[1]}
}

// winogradPays reports whether the shape is one for Winograd's algorithm; the number of pictures plays no part.
func (kg *kernelGradient) winogradPays() bool {
	plain := kg.x == strides{b: 1, w: kg.b, h: kg.w * kg.b, c: kg.h * kg.w * kg.b} &&
		kg.k == strides{c: 1, w: kg.o, h: kg.kw * kg.o, b: kg.kh * kg.kw * kg.o} && kg.inDilate == [2]int{1, 1}
	return plain && kg.forwardShape(1).WinogradPays() && kg.b >= 16 && kg.o >= 16
}

// winogradGroups adds up the pictures of each group by Winograd's algorithm.
func (kg *kernelGradient) winogradGroups(f *frame, sums, x, w []float32) {
	n := kg.size()
	plans := make([]*kernel.WinogradGrad, kg.groupCount)
	first := func(g int) int { return g * kg.c / kg.groupCount }
	for g := range plans {
		plans[g] = kg.set.NewWinogradGrad(kg.forwardShape(first(g+1) - first(g)))
	}
	jobs := plans[0].Jobs()
	f.b.pool.Run(kg.groupCount*jobs, 1, func(lo, hi int) {
		var mem []byte
		for i := lo; i < hi; i++ {
			g := i / jobs
			if size := 4 * plans[g].Scratch(); len(mem) < size {
				f.b.memory.put(mem)
				mem = f.b.memory.get(size)
			}
			plans[g].Run(i%jobs, sums[g*n:][:n], x[first(g)*kg.x.c:], w[first(g)*kg.k.b:], view[float32](mem))
		}
		f.b.memory.put(mem)
	})
}

func (kg *kernelGradient) thunk(dst, x, w int) func(f *frame) {
	if kg.exchanged {
		x, w = w, x
	}
	if kg.poly != nil {
		return kg.polyThunk(dst, x, w)
	}
	return func(f *frame) {
		xs, ws, ys := view[float32](f.slots[x]), view[float32](f.slots[w]), view[float32](f.slots[dst])
		wb := kg.k.b
		var wMem []byte
		if kg.wMove != nil {
			wMem = f.b.memory.get(4 * kg.c * kg.kh * kg.kw * kg.o)
			runMove(f, kg.wMove, view[uint32](wMem), view[uint32](f.slots[w]))
			ws, wb = view[float32](wMem), kg.kh*kg.kw*kg.o
		}
		mem := f.b.memory.get(4 * kg.size() * kg.groupCount)
		sums := view[float32](mem)
		switch {
		case kg.winograd:
			kg.winogradGroups(f, sums, xs, ws)
			kg.add(f, sums)
		case kg.groupCount == 1:
			kg.together(f, sums, xs, ws, wb)
		default:
			f.b.pool.Run(kg.groupCount, 1, func(lo, hi int) {
				for g := lo; g < hi; g++ {
					kg.group(f, sums[g*kg.size():][:kg.size()], xs, ws, wb, g)
				}
			})
			kg.add(f, sums)
		}
		if kg.y != nil {
			runMove(f, kg.y, view[uint32](f.slots[dst]), view[uint32](bytesOf(sums[:kg.size()])))
		} else {
			copy(ys, sums[:kg.size()])
		}
		f.b.memory.put(mem)
		f.b.memory.put(wMem)
	}
}

// polyThunk computes by kernel.PolyGrad.
func (kg *kernelGradient) polyThunk(dst, x, w int) func(f *frame) {
	return func(f *frame) {
		xs, ws, ys := view[float32](f.slots[x]), view[float32](f.slots[w]), view[float32](f.slots[dst])
		f.b.pool.Run(kg.poly.Jobs(), 1, func(lo, hi int) {
			mem := f.b.memory.get(4 * kg.poly.Scratch())
			for i := lo; i < hi; i++ {
				kg.poly.Run(i, ys, xs, ws, view[float32](mem))
			}
			f.b.memory.put(mem)
		})
	}
}

// add adds the sums of all groups to the first, in order.
func (kg *kernelGradient) add(f *frame, sums []float32) {
	n := kg.size()
	f.b.pool.Run(n, 8<<10, func(lo, hi int) {
		for g := 1; g < kg.groupCount; g++ {
			f.b.set.AddInto(sums[lo:hi], sums[g*n+lo:g*n+hi])
		}
	})
}

// unitSpace is memory for one unit.
type unitSpace struct {
	patch, packed []float32
	mem           [2][]byte
	runs          []int
}

func (kg *kernelGradient) space(f *frame) *unitSpace {
	s := &unitSpace{runs: make([]int, kg.unitRows)}
	s.mem[0] = f.b.memory.get(4 * kg.high(kg.unitRows) * kg.patchW * kg.b)
	s.mem[1] = f.b.memory.get(4 * kg.set.PackedSize(kg.unitRows*kg.kw, kg.o))
	s.patch, s.packed = view[float32](s.mem[0]), view[float32](s.mem[1])
	return s
}

func (s *unitSpace) free(f *frame) {
	f.b.memory.put(s.mem[0])
	f.b.memory.put(s.mem[1])
}

// prepare copies the rows of x of a unit and packs its part of w. It returns the number of rows.
func (kg *kernelGradient) prepare(s *unitSpace, x, w []float32, wb, unit int) int {
	n, p0 := unit/kg.units, unit%kg.units*kg.unitRows
	rows := min(kg.unitRows, kg.kh-p0)
	kg.patch(s.patch, x[n*kg.x.c:], p0*kg.dilate[0]-kg.pad[0], kg.high(rows), -kg.pad[1], kg.patchW, kg.b)
	kg.set.PackB(s.packed, w[n*wb+p0*kg.kw*kg.wRow:], rows*kg.kw, kg.o, kg.wRow, kg.wCol)
	return rows
}

// products returns how many products a unit is: one for each (i), or for each (i,j).
func (kg *kernelGradient) products() (count, rows int) {
	if kg.joined {
		return kg.oh, kg.ow * kg.b
	}
	return kg.oh * kg.ow, kg.b
}

// product adds product q of a unit to the sums, for rows r0..r1 of it.
func (kg *kernelGradient) product(s *unitSpace, runs []int, sums []float32, q, rows, r0, r1 int, acc bool) {
	_, m := kg.products()
	i, j := q, 0
	if !kg.joined {
		i, j = q/kg.ow, q%kg.ow
	}
	for r := range rows {
		runs[r] = (r*kg.dilate[0]+i*kg.stride[0])*kg.patchW*kg.b + j*kg.stride[1]*kg.b
	}
	kg.set.GemmTrans(&kernel.TransGemm{C: sums[(q*m+r0)*kg.o:], LDC: kg.o, A: s.patch[r0:], LDA: kg.dilate[1] * kg.b, Runs: runs[:rows],
		KC: kg.kw, Packed: s.packed, M: r1 - r0, N: kg.o, Acc: acc})
}

// group adds up the units of group g.
func (kg *kernelGradient) group(f *frame, sums, x, w []float32, wb, g int) {
	s := kg.space(f)
	total := kg.c * kg.units
	first, end := g*total/kg.groupCount, (g+1)*total/kg.groupCount
	count, m := kg.products()
	for u := first; u < end; u++ {
		rows := kg.prepare(s, x, w, wb, u)
		for q := range count {
			kg.product(s, s.runs, sums, q, rows, 0, m, u > first)
		}
	}
	if first == end {
		clear(sums)
	}
	s.free(f)
}

// together adds up all units one after the other, each by all workers.
func (kg *kernelGradient) together(f *frame, sums, x, w []float32, wb int) {
	s := kg.space(f)
	count, m := kg.products()
	const band = 64
	bands := (m + band - 1) / band
	for u := range kg.c * kg.units {
		rows := kg.prepare(s, x, w, wb, u)
		f.b.pool.Run(count*bands, 1, func(lo, hi int) {
			runs := make([]int, rows)
			for i := lo; i < hi; i++ {
				q, r0 := i/bands, i%bands*band
				kg.product(s, runs, sums, q, rows, r0, min(m, r0+band), u > 0)
			}
		})
	}
	s.free(f)
}
