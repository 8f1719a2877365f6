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

// fuse merges products with sums over them, exponentials with their sums, and the factors and shift that end a norm.
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
	if d := f.only(e.a, cBinaryRows, kernel.Sub); d != nil {
		*e = instr{code: cExpSum, dst: e.dst, a: d.a, b: d.b, c: in.dst}
		f.def[in.dst] = f.def[e.dst]
		d.code, in.code = cNone, cNone
	}
}

func (f *fuser) shift(in *instr) {
	for _, ab := range [][2]int{{in.a, in.b}, {in.b, in.a}} {
		m := f.only(ab[0], cBinary, kernel.Mul)
		if m == nil {
			continue
		}
		for _, cd := range [][2]int{{m.a, m.b}, {m.b, m.a}} {
			if r := f.only(cd[0], cBinaryRows, kernel.Mul); r != nil {
				*in = instr{code: cScaleShift, dst: in.dst, a: r.a, b: r.b, c: cd[1], d: ab[1]}
				m.code, r.code = cNone, cNone
				return
			}
		}
	}
}

// runFused runs an instruction that fuse made.
func (p *program) runFused(k *kernel.Set, s *tileState, in *instr) {
	x, y := s.floats[in.a], s.floats[in.b]
	switch in.code {
	case cSumProduct:
		for r := range s.floats[in.dst] {
			s.floats[in.dst][r] = k.SumProduct(x[r*p.row:][:p.row], y[r*p.row:][:p.row])
		}
	case cExpSum:
		for r, m := range y {
			s.floats[in.c][r] = k.ExpSum(s.floats[in.dst][r*p.row:][:p.row], x[r*p.row:][:p.row], m)
		}
	case cScaleShift:
		dst, c, d, n := s.floats[in.dst], s.floats[in.c], s.floats[in.d], p.floats[in.b]
		for r, v := range y {
			at := r * n
			k.ScaleShift(dst[at:at+n], x[at:at+n], c[at:at+n], d[at:at+n], v)
		}
	}
}
