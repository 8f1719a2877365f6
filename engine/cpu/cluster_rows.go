package cpu

import (
	"fmt"
	"slices"

	"github.com/gomlx/compute"

	"github.com/smalti/smalti/engine/cpu/ir"
	"github.com/smalti/smalti/engine/cpu/kernel"
	"github.com/smalti/smalti/engine/cpu/pass"
)

// A row cluster (pass.Unit.Row > 0) is a program whose tiles are whole rows. Beside values with an element for each of the
// tile's it has values with a number for each row: what reductions give, and what is computed from that alone. A row is
// reduced by the kernel that reduces it in an operation of its own, so both ways give the same bits.

// foldOps are the reductions that row clusters hold.
var foldOps = map[compute.OpType]kernel.Op{compute.OpTypeReduceSum: kernel.Add, compute.OpTypeReduceMax: kernel.Max, compute.OpTypeReduceMin: kernel.Min}

// rowsSize is the number of elements of a unit's largest values.
func rowsSize(u *pass.Unit) int {
	size := 0
	for _, n := range u.Nodes {
		size = max(size, n.Size())
		if !pass.Elementwise(n) {
			size = n.In[0].Size()
			break
		}
	}
	return size
}

// again reports whether an equal operation on equal operands has been emitted, and if so takes its value: passes compute
// some values twice, which may end up in one cluster. Values in memory stay.
func (a *assembler) again(n *ir.Node) bool {
	key := fmt.Sprint(int(n.Op), n.Attr, n.Shape.DType, n.Size())
	for i := range n.In {
		v := pass.Operand(n, i)
		if m, ok := a.first[v.Node]; ok {
			v.Node = m
		}
		key += leafKey(v)
	}
	m, ok := a.known[key]
	if !ok {
		a.known[key] = n
		return false
	}
	if a.stored[n] {
		return false
	}
	a.first[n], a.value[n] = m, a.value[m]
	return true
}

// foldEach reduces each row of x.
func foldEach(k *kernel.Set, op kernel.Op, dst, x []float32, width int) {
	fold := k.Sum
	switch op {
	case kernel.Max:
		fold = k.Max
	case kernel.Min:
		fold = k.Min
	}
	for r := range dst {
		dst[r] = fold(x[r*width:][:width])
	}
}

// recip returns 1/x.
func (a *assembler) recip(x operand) operand {
	from := x.index
	if x.scalar {
		from = a.tile(x)
		x.scalar = false
	}
	v := a.newFloat(a.floats[from])
	a.instrs = append(a.instrs, instr{code: cUnary, op: kernel.Recip, dst: v, a: from})
	return operand{rows: x.rows, index: v}
}

// fuser finds instructions that one kernel computes with the same bits.
type fuser struct {
	*assembler
	def  []int // by float value: the instruction that makes it, or -1
	uses []int
}

// fuse merges products with sums over them, exponentials with their sums, the factors and shift that end a norm, and the
// differences from the mean with what reads them.
func (a *assembler) fuse() {
	f := &fuser{a, make([]int, len(a.floats)), make([]int, len(a.floats))}
	for v := range f.def {
		f.def[v] = -1
	}
	for i := range a.instrs {
		in := &a.instrs[i]
		if !in.writesBool() {
			f.def[in.dst] = i
		}
		in.reads(func(v int) { f.uses[v]++ }, func(int) {})
	}
	for _, o := range a.outs {
		if !o.isBool {
			f.uses[o.value]++
		}
	}
	for i := range a.instrs {
		switch in := &a.instrs[i]; {
		case in.code == cReduce && in.op == kernel.Add:
			f.sum(in)
		case in.code == cBinary && in.op == kernel.Add:
			f.shift(in)
		}
	}
	for i := range a.instrs {
		switch in := &a.instrs[i]; {
		case in.code == cBinaryRows && in.op == kernel.Sub && !in.reversed:
			f.centre(in)
		case in.code == cExpSum:
			f.onePlace(in)
		}
	}
	f.oneRow()
	a.instrs = slices.DeleteFunc(a.instrs, func(in instr) bool { return in.code == cNone })
}

// only returns the instruction that makes v if it has the code and operation, and nothing but one instruction reads v.
func (f *fuser) only(v int, c code, op kernel.Op) *instr {
	if f.uses[v] != 1 {
		return nil
	}
	return f.made(v, c, op)
}

func (f *fuser) made(v int, c code, op kernel.Op) *instr {
	if f.def[v] < 0 {
		return nil
	}
	if in := &f.instrs[f.def[v]]; in.code == c && in.op == op && !in.reversed {
		return in
	}
	return nil
}

func (f *fuser) sum(in *instr) {
	if m := f.only(in.a, cBinary, kernel.Mul); m != nil {
		*in = instr{code: cSumProduct, dst: in.dst, a: m.a, b: m.b}
		m.code = cNone
		return
	}
	e := f.made(in.a, cUnary, kernel.Exp)
	if e == nil {
		return
	}
	if d := f.only(e.a, cBinaryRows, kernel.Sub); d != nil && f.isMax(d.b, d.a) {
		*e = instr{code: cExpSum, dst: e.dst, a: d.a, b: d.b, c: in.dst, ahead: f.ahead(d.a)}
		f.def[in.dst] = f.def[e.dst]
		d.code, in.code = cNone, cNone
	}
}

// isMax reports whether m holds the largest element of each row of x.
func (f *fuser) isMax(m, x int) bool {
	in := f.made(m, cReduce, kernel.Max)
	return in != nil && in.a == x
}

func (f *fuser) shift(in *instr) {
	for _, ab := range [][2]int{{in.a, in.b}, {in.b, in.a}} {
		m := f.only(ab[0], cBinary, kernel.Mul)
		if m == nil {
			continue
		}
		for _, cd := range [][2]int{{m.a, m.b}, {m.b, m.a}} {
			if r := f.only(cd[0], cBinaryRows, kernel.Mul); r != nil {
				*in = instr{code: cScaleShift, dst: in.dst, a: r.a, b: r.b, c: cd[1], d: ab[1], cStep: f.row, dStep: f.row}
				m.code, r.code = cNone, cNone
				return
			}
		}
	}
}

// centre lets the readers of the differences d = a-b take them themselves, if all can: then d is not kept.
func (f *fuser) centre(d *instr) {
	if slices.ContainsFunc(f.outs, func(o outValue) bool { return !o.isBool && o.value == d.dst }) {
		return
	}
	var readers []*instr
	for i := range f.instrs {
		in := &f.instrs[i]
		times := 0
		in.reads(func(v int) {
			if v == d.dst {
				times++
			}
		}, func(int) {})
		switch {
		case times == 0:
		case in.code == cSumProduct && times == 2, in.code == cScaleShift && in.a == d.dst && times == 1:
			readers = append(readers, in)
		default:
			return
		}
	}
	for _, in := range readers {
		if in.code == cSumProduct {
			*in = instr{code: cSquaresAbout, dst: in.dst, a: d.a, b: d.b, ahead: f.ahead(d.a)}
		} else {
			in.code, in.a, in.e = cNormalise, d.a, d.b
		}
	}
	d.code = cNone
}

// onePlace lets the exponentials have the place of the softmax they become: memory is fetched while they are computed.
func (f *fuser) onePlace(e *instr) {
	if f.uses[e.dst] != 2 { // the sum, which is part of e, and one more
		return
	}
	for i := range f.instrs {
		if in := &f.instrs[i]; in.code == cBinaryRows && in.a == e.dst {
			e.dst, in.a = in.dst, in.dst
			return
		}
	}
}

// leaf returns the operand whose tiles are the float value v, or nil.
func (f *fuser) leaf(v int) *leaf {
	for _, l := range f.leaves {
		if l.mode != modeScalar && !l.isBool && l.value == v && l.each == 1 {
			return l
		}
	}
	return nil
}

// ahead is by how many elements a tile of the value lies before the next tile's: 0 where that is not in memory.
func (f *fuser) ahead(v int) int {
	if l := f.leaf(v); l != nil && l.mode == modeDirect && l.full(f.size) {
		return f.tiles.length
	}
	return 0
}

// oneRow leaves the factors and shifts of a norm where they are if all rows have the same ones: they are not laid out for a
// tile, and stay in the first-level cache.
func (f *fuser) oneRow() {
	for _, l := range f.leaves {
		if l.mode != modePattern || l.isBool || l.each != 1 || l.period != f.row || !f.onlyEnds(l.value) {
			continue
		}
		l.mode = modeOneRow
		for i := range f.instrs {
			in := &f.instrs[i]
			if in.ends() && in.c == l.value {
				in.cStep = 0
			}
			if in.ends() && in.d == l.value {
				in.dStep = 0
			}
		}
	}
}

// ends reports whether an instruction is the end of a norm.
func (in *instr) ends() bool { return in.code == cScaleShift || in.code == cNormalise }

// onlyEnds reports whether ends of norms alone read v, as factors or shifts.
func (f *fuser) onlyEnds(v int) bool {
	for i := range f.instrs {
		in, others := &f.instrs[i], false
		in.reads(func(w int) { others = others || w == v && (!in.ends() || v == in.a || v == in.b) }, func(int) {})
		if others {
			return false
		}
	}
	return true
}

// runFused runs an instruction that fuse made.
func (p *program) runFused(k *kernel.Set, s *tileState, in *instr) {
	x, y := s.floats[in.a], s.floats[in.b]
	switch in.code {
	case cSumProduct:
		for r := range s.floats[in.dst] {
			s.floats[in.dst][r] = k.SumProduct(x[r*p.row:][:p.row], y[r*p.row:][:p.row])
		}
	case cSquaresAbout:
		for r, m := range y {
			s.floats[in.dst][r] = k.SquaresAbout(x[r*p.row:][:p.row], m, in.ahead)
		}
	case cExpSum:
		for r, m := range y {
			s.floats[in.c][r] = k.ExpSum(s.floats[in.dst][r*p.row:][:p.row], x[r*p.row:][:p.row], m, in.ahead)
		}
	case cScaleShift:
		dst, c, d, n := s.floats[in.dst], s.floats[in.c], s.floats[in.d], p.floats[in.b]
		for r, v := range y {
			at := r * n
			k.ScaleShift(dst[at:at+n], x[at:at+n], c[r*in.cStep:][:n], d[r*in.dStep:][:n], v)
		}
	case cNormalise:
		dst, c, d, n := s.floats[in.dst], s.floats[in.c], s.floats[in.d], p.floats[in.b]
		for r, v := range y {
			at := r * n
			k.Normalise(dst[at:at+n], x[at:at+n], c[r*in.cStep:][:n], d[r*in.dStep:][:n], s.floats[in.e][r], v)
		}
	}
}
