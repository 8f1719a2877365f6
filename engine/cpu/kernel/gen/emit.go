package main

import (
	"fmt"
	"slices"
)

// program is a vector program with registers assigned for one instruction set.
type program struct {
	*isa
	*text
	b      *builder
	fixed  map[value]int   // registers given to operands and accumulators from outside
	want   map[value]int   // registers that outputs should end up in
	free   []int           // registers the program may use for temporaries
	consts map[value]int   // constants and scalars kept in registers
	reg    []int           // register of each value, -1 if none
	last   []int           // index of the last instruction that reads a value
	freeK  []int           // mask registers (AVX-512)
	used   map[uint32]bool // constants the text refers to

	scalars []string // where the scalar arguments lie
}

// inMemory marks constants that have no register of their own.
const inMemory = -2

// plan finds how many constants fit into registers beside the temporaries. pool lists the registers the program may use.
func plan(a *isa, b *builder, pool []int, fixed, want map[value]int) *program {
	uses := map[value]int{}
	var consts []value
	for i, in := range b.insts {
		if in.op == opConst || in.op == opScalar {
			consts = append(consts, value(i))
		}
		for _, v := range in.args {
			uses[v]++
		}
	}
	slices.SortStableFunc(consts, func(x, y value) int {
		if sx, sy := b.insts[x].op == opScalar, b.insts[y].op == opScalar; sx != sy {
			if sx {
				return -1
			}
			return 1
		}
		return uses[y] - uses[x]
	})
	for n := min(len(consts), len(pool)); n >= 0; n-- {
		p := &program{isa: a, text: &text{}, b: b, fixed: fixed, want: want, consts: map[value]int{}, used: map[uint32]bool{}}
		for i, c := range consts {
			p.consts[c] = inMemory
			if i < n {
				p.consts[c] = pool[len(pool)-1-i]
			}
		}
		p.free = slices.Clone(pool[:len(pool)-n])
		if p.try(func() { p.body(nullIO{}) }) {
			p.text = nil
			return p
		}
	}
	panic("gen: a program does not fit into the registers of " + a.name)
}

// try reports whether f ran without exhausting the registers.
func (p *program) try(f func()) (ok bool) {
	free := slices.Clone(p.free)
	defer func() {
		p.free = free
		if r := recover(); r != nil {
			if r != errNoRegister {
				panic(r)
			}
			ok = false
		}
	}()
	f()
	return true
}

var errNoRegister = fmt.Errorf("no register left")

// vecIO emits the loads of operands and the stores of results.
type vecIO interface {
	load(p *program, k int, kind kind, reg int)
	store(p *program, k int, kind kind, reg int)
}

type nullIO struct{}

func (nullIO) load(*program, int, kind, int) {}
func (nullIO) store(p *program, k int, kind kind, reg int) {
	p.release(p.take(float), float) // a store may need a temporary
}

func (p *program) pool(k kind) *[]int {
	if k == mask && p.isa.reg == "Z" {
		return &p.freeK
	}
	return &p.free
}

func (p *program) take(k kind) int {
	l := p.pool(k)
	if len(*l) == 0 {
		panic(errNoRegister)
	}
	r := (*l)[0]
	*l = (*l)[1:]
	return r
}

func (p *program) release(r int, k kind) {
	l := p.pool(k)
	*l = append(*l, r)
	slices.Sort(*l)
}

// body emits one evaluation of the program.
func (p *program) body(io vecIO) {
	p.freeK = []int{1, 2, 3, 4, 5, 6}
	p.reg = make([]int, len(p.b.insts))
	p.last = make([]int, len(p.b.insts))
	for i, in := range p.b.insts {
		p.reg[i], p.last[i] = -1, -1
		for _, v := range in.args {
			p.last[v] = i
		}
	}
	for _, o := range p.b.outs {
		p.last[o] = len(p.b.insts)
	}
	for v, r := range p.fixed {
		p.reg[v] = r
	}
	for i, in := range p.b.insts {
		p.inst(value(i), in, io)
	}
	for k, o := range p.b.outs {
		p.out(k, o, io)
	}
}

// out delivers output k: into the register wanted for it, or to memory.
func (p *program) out(k int, o value, io vecIO) {
	kind := p.b.insts[o].kind
	r, tmp := p.operand(o)
	if w, ok := p.want[o]; ok {
		if w != r {
			p.i("VMOVAPS %s, %s", p.v(r), p.v(w))
		}
	} else {
		io.store(p, k, kind, r)
	}
	if tmp || p.temporary(o) {
		p.release(r, kind)
	}
}

// temporary reports whether the register of v belongs to the free pool.
func (p *program) temporary(v value) bool {
	_, c := p.consts[v]
	_, f := p.fixed[v]
	if w, ok := p.want[v]; ok && w == p.reg[v] {
		return false
	}
	return !c && !f
}

// operand gives the register of v, loading a constant into a temporary register if it has none of its own.
func (p *program) operand(v value) (r int, tmp bool) {
	if c, ok := p.consts[v]; ok {
		if c != inMemory {
			return c, false
		}
		r = p.take(float)
		p.broadcast(v, r)
		return r, true
	}
	return p.reg[v], false
}

// broadcast loads constant or scalar v into register r.
func (p *program) broadcast(v value, r int) {
	in := p.b.insts[v]
	if in.op == opScalar {
		if p.scalars != nil {
			p.i("VBROADCASTSS %s, %s", p.scalars[in.imm], p.v(r))
		}
		return
	}
	p.used[in.imm] = true
	p.i("VBROADCASTSS c%08x<>(SB), %s", in.imm, p.v(r))
}

// setup loads the constants that live in registers.
func (p *program) setup() {
	for i, in := range p.b.insts {
		if r, ok := p.consts[value(i)]; ok && r != inMemory && (in.op == opConst || in.op == opScalar) {
			p.broadcast(value(i), r)
		}
	}
}

func (p *program) inst(v value, in inst, io vecIO) {
	switch in.op {
	case opConst, opScalar:
		return
	case opIn:
		if _, ok := p.fixed[v]; ok {
			return
		}
		p.reg[v] = p.take(in.kind)
		io.load(p, int(in.imm), in.kind, p.reg[v])
		return
	case opBits, opFloat:
		p.alias(v, in.args[0])
		return
	}
	args := make([]int, len(in.args))
	var tmps []int
	for i, a := range in.args {
		if i > 0 && a == in.args[0] {
			args[i] = args[0]
			continue
		}
		r, tmp := p.operand(a)
		args[i] = r
		if tmp {
			tmps = append(tmps, r)
		}
	}
	if in.op == opFMA || in.op == opFNMA {
		p.fused(v, in, args, tmps)
		return
	}
	for _, r := range tmps {
		p.release(r, float)
	}
	p.free0(v, in)
	p.reg[v] = p.dest(v, in.kind)
	p.simple(in, args, p.reg[v])
}

// free0 releases the registers of operands read for the last time by instruction v.
func (p *program) free0(v value, in inst) {
	for i, a := range in.args {
		if p.last[a] == int(v) && p.temporary(a) && !slices.Contains(in.args[:i], a) {
			p.release(p.reg[a], p.b.insts[a].kind)
		}
	}
}

// dest takes the register of a result: the one wanted for it if its present value is dead.
func (p *program) dest(v value, k kind) int {
	if w, ok := p.want[v]; ok {
		for f, r := range p.fixed {
			if r == w && p.last[f] <= int(v) {
				return w
			}
		}
		// Fall back to a temporary and a move at the end.
		r := p.take(k)
		return r
	}
	return p.take(k)
}

// alias gives v the register of x, whose lifetime it takes over; a constant or an x read later gets a copy.
func (p *program) alias(v, x value) {
	if p.temporary(x) && p.last[x] == int(v) {
		p.reg[v] = p.reg[x]
		return
	}
	r, tmp := p.operand(x)
	if tmp {
		p.reg[v] = r
		return
	}
	p.reg[v] = p.take(float)
	p.i("VMOVAPS %s, %s", p.v(r), p.v(p.reg[v]))
}

// fused emits x*y+z or z-x*y into the register of an operand that dies, or into a copy.
func (p *program) fused(v value, in inst, args, tmps []int) {
	name := "VFMADD"
	if in.op == opFNMA {
		name = "VFNMADD"
	}
	dies := func(i int) bool {
		if slices.Contains(tmps, args[i]) {
			return true
		}
		a := in.args[i]
		if w, ok := p.want[v]; ok && p.reg[a] == w && p.fixed[a] == w && p.last[a] == int(v) {
			return true
		}
		return p.last[a] == int(v) && p.temporary(a)
	}
	count := func(r int) (n int) {
		for _, a := range args {
			if a == r {
				n++
			}
		}
		return
	}
	dst := -1
	switch {
	case dies(2) && count(args[2]) == 1:
		dst = args[2]
		p.i("%s231PS %s, %s, %s", name, p.v(args[1]), p.v(args[0]), p.v(dst))
	case dies(0) && count(args[0]) == 1:
		dst = args[0]
		p.i("%s213PS %s, %s, %s", name, p.v(args[2]), p.v(args[1]), p.v(dst))
	case dies(1) && count(args[1]) == 1:
		dst = args[1]
		p.i("%s213PS %s, %s, %s", name, p.v(args[2]), p.v(args[0]), p.v(dst))
	default:
		dst = p.take(float)
		p.i("VMOVAPS %s, %s", p.v(args[2]), p.v(dst))
		p.i("%s231PS %s, %s, %s", name, p.v(args[1]), p.v(args[0]), p.v(dst))
	}
	for _, r := range tmps {
		if r != dst {
			p.release(r, float)
		}
	}
	for i, a := range in.args {
		if p.last[a] == int(v) && p.temporary(a) && p.reg[a] != dst && !slices.Contains(in.args[:i], a) {
			p.release(p.reg[a], float)
		}
	}
	p.reg[v] = dst
}

var simpleNames = map[opcode][2]string{ // AVX-512, AVX2
	opAdd: {"VADDPS", "VADDPS"}, opSub: {"VSUBPS", "VSUBPS"}, opMul: {"VMULPS", "VMULPS"}, opDiv: {"VDIVPS", "VDIVPS"},
	opMin: {"VMINPS", "VMINPS"}, opMax: {"VMAXPS", "VMAXPS"}, opSqrt: {"VSQRTPS", "VSQRTPS"}, opScalb: {"VSCALEFPS", ""},
	opIAdd: {"VPADDD", "VPADDD"}, opISub: {"VPSUBD", "VPSUBD"}, opIAnd: {"VPANDD", "VPAND"}, opIOr: {"VPORD", "VPOR"},
	opIXor: {"VPXORD", "VPXOR"}, opIShl: {"VPSLLD", "VPSLLD"}, opIShr: {"VPSRLD", "VPSRLD"}, opISar: {"VPSRAD", "VPSRAD"},
	opToF: {"VCVTDQ2PS", "VCVTDQ2PS"}, opToI: {"VCVTPS2DQ", "VCVTPS2DQ"}, opRint: {"VRNDSCALEPS $8,", "VROUNDPS $8,"},
	opFloor: {"VRNDSCALEPS $9,", "VROUNDPS $9,"}, opCeil: {"VRNDSCALEPS $10,", "VROUNDPS $10,"},
	opShufA: {"VSHUFF32X4 $0x4e,", ""}, opShufB: {"VSHUFF32X4 $0xb1,", "VPERM2F128 $0x01,"},
	opShufC: {"VPERMILPS $0x4e,", "VPERMILPS $0x4e,"}, opShufD: {"VPERMILPS $0xb1,", "VPERMILPS $0xb1,"},
}

// simple emits an instruction whose destination may be one of its operands.
func (p *program) simple(in inst, a []int, dst int) {
	z := p.isa.reg == "Z"
	name := simpleNames[in.op][1]
	if z {
		name = simpleNames[in.op][0]
	}
	switch in.op {
	case opCmp:
		d := p.v(dst)
		if z {
			d = fmt.Sprintf("K%d", dst)
		}
		p.i("VCMPPS $%d, %s, %s, %s", in.imm, p.v(a[1]), p.v(a[0]), d)
	case opSel:
		if z {
			p.i("VBLENDMPS %s, %s, K%d, %s", p.v(a[1]), p.v(a[2]), a[0], p.v(dst))
		} else {
			p.i("VBLENDVPS %s, %s, %s, %s", p.v(a[0]), p.v(a[1]), p.v(a[2]), p.v(dst))
		}
	case opIShl, opIShr, opISar:
		p.i("%s $%d, %s, %s", name, in.imm, p.v(a[0]), p.v(dst))
	case opSqrt, opRint, opFloor, opCeil, opToF, opToI, opShufC, opShufD:
		p.i("%s %s, %s", name, p.v(a[0]), p.v(dst))
	case opShufA, opShufB:
		p.i("%s %s, %s, %s", name, p.v(a[0]), p.v(a[0]), p.v(dst))
	default:
		if name == "" {
			panic(fmt.Sprintf("gen: operation %d does not exist in %s", in.op, p.isa.name))
		}
		p.i("%s %s, %s, %s", name, p.v(a[1]), p.v(a[0]), p.v(dst))
	}
}
