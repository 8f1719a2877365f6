package main

import "math"

// foldLanes is the number of partial results of a fold.
const foldLanes = 64

// stepProgram makes the program of one step: value 0 is the accumulator. With masked, lanes outside the mask keep it.
func (k *kernel) stepProgram(masked bool) (b *builder, acc, tail value) {
	b = newBuilder()
	acc = b.in(accOperand, float)
	if masked {
		tail = b.in(tailOperand, mask)
	}
	outs := k.step(b, acc, k.inputs(b), k.scalarValues(b))
	if masked {
		outs[0] = b.sel(tail, outs[0], acc)
	}
	b.outs = outs
	return
}

// Operands of a step program that come from outside.
const (
	accOperand  = 1000
	tailOperand = 1001
)

// foldIO shifts the outputs of a step by the accumulator.
type foldIO struct{ *loopIO }

func (io foldIO) store(p *program, k int, kind kind, r int) { io.loopIO.store(p, k-1, kind, r) }

// step plans one step on accumulator register r.
func (t *vecText) step(k *kernel, r, nacc int, masked bool) *program {
	b, acc, tail := k.stepProgram(masked)
	fixed := map[value]int{acc: r}
	if masked {
		fixed[tail] = 7
		if t.reg == "Y" {
			fixed[tail] = t.regs - 1
		}
	}
	b = b.lower(t.isa) // keeps the order and hence the numbers of the first operands
	want := map[value]int{b.outs[0]: r}
	return t.attach(plan(t.isa, b, t.pool(nacc), fixed, want), k)
}

// fold writes a reduction: blocks of 64 elements, then a tail of masked vectors, then the tree.
func (t *vecText) fold(k *kernel) {
	n := foldLanes / t.lanes
	_, size := k.scalarSlots()
	ret := (size + 7) &^ 7
	io := t.open(k, ret+4)
	if k.ahead {
		t.i("MOVQ ahead+%d(FP), R12", size-8)
		t.i("LEAQ (%s)(R12*4), R12", io.ptr[k.ins[0].name])
	}
	ident := math.Float32bits(k.ident)
	for j := range n {
		if ident == 0 {
			t.zero(j)
		} else {
			t.used[ident] = true
			t.i("VBROADCASTSS c%08x<>(SB), %s", ident, t.v(j))
		}
	}
	t.step(k, 0, n, false).setup()
	t.i("SUBQ $%d, CX", foldLanes)
	t.i("JLT tail")
	t.p("loop:")
	for j := range n {
		io.offset = j * t.lanes
		t.step(k, j, n, false).body(foldIO{io})
	}
	if k.ahead {
		for line := 0; line < foldLanes/16; line++ {
			t.i("PREFETCHT0 %d(R12)(AX*4)", 64*line)
		}
	}
	t.i("ADDQ $%d, AX", foldLanes)
	t.i("SUBQ $%d, CX", foldLanes)
	t.i("JGE loop")
	t.p("tail:")
	t.i("ADDQ $%d, CX", foldLanes)
	t.i("JZ tree")
	t.step(k, 0, n, true).setup()
	for j := range n {
		t.foldTail(k, io, j, n)
	}
	t.p("tree:")
	t.tree(k, n)
	t.i("MOVSS X0, ret+%d(FP)", ret)
	t.i("VZEROUPPER")
	t.i("RET\n")
}

// foldTail takes vector j of the last, incomplete block: CX elements are left from there on.
func (t *vecText) foldTail(k *kernel, io *loopIO, j, n int) {
	t.i("MOVQ CX, BX")
	t.i("CMPQ BX, $%d", t.lanes)
	t.i("JLE part%d", j)
	t.i("MOVQ $%d, BX", t.lanes)
	t.p("part%d:", j)
	t.tailMaskOf("BX")
	io.offset, io.masked = j*t.lanes, true
	t.step(k, j, n, true).body(foldIO{io})
	if j < n-1 {
		t.i("SUBQ $%d, CX", t.lanes)
		t.i("JLE tree")
	}
}

func (t *vecText) zero(r int) {
	if t.reg == "Z" {
		t.i("VPXORQ %[1]s, %[1]s, %[1]s", t.v(r))
	} else {
		t.i("VXORPS %[1]s, %[1]s, %[1]s", t.v(r))
	}
}

// tree combines the accumulators into lane 0 of register 0.
func (t *vecText) tree(k *kernel, n int) {
	b := newBuilder()
	fixed := map[value]int{}
	vs := make([]value, n)
	for j := range vs {
		vs[j] = b.in(accOperand+j, float)
		fixed[vs[j]] = j
	}
	per := n / 4 // vectors that make up 16 lanes
	var half []value
	for j := range per {
		half = append(half, k.combine(b, k.combine(b, vs[j], vs[j+per]), k.combine(b, vs[j+2*per], vs[j+3*per])))
	}
	v, shuffles := half[0], []opcode{opShufA, opShufB, opShufC, opShufD}
	if per == 2 {
		v, shuffles = k.combine(b, half[0], half[1]), shuffles[1:]
	}
	for _, s := range shuffles {
		v = k.combine(b, v, b.put(s, float, 0, v))
	}
	b.outs = []value{v}
	p := t.attach(plan(t.isa, b, t.pool(n), fixed, map[value]int{v: 0}), k)
	p.setup()
	p.body(nullIO{})
}

// goFold writes the portable fold.
func goFold(t *text, k *kernel) {
	n := k.slices()[0].name
	t.p("func v%sGo%s {", k.name, k.signature())
	t.p("\tvar p [%d]float32", foldLanes)
	if k.ident != 0 {
		t.p("\tfor i := range p {\n\t\tp[i] = math.Float32frombits(0x%08x)\n\t}", math.Float32bits(k.ident))
	}
	t.p("\tfor i := range %s {", n)
	b, acc, _ := k.stepProgram(false)
	g := &goText{text: t, k: k, b: b, inName: map[value]string{acc: "p[i%64]"}}
	g.body("\t\t")
	t.p("\t\tp[i%%64] = %s", g.name(b.outs[0]))
	for j, o := range k.outs {
		t.p("\t\t%s[i] = %s", o.name, g.stored(o, b.outs[j+1]))
	}
	t.p("\t}")
	c := newBuilder()
	x, y := c.in(accOperand, float), c.in(accOperand+1, float)
	c.outs = []value{k.combine(c, x, y)}
	t.p("\treturn foldTree(&p, func(x, y float32) float32 {")
	g = &goText{text: t, k: k, b: c, inName: map[value]string{x: "x", y: "y"}}
	g.body("\t\t")
	t.p("\t\treturn %s\n\t})\n}\n", g.name(c.outs[0]))
}
