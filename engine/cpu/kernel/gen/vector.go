package main

import (
	"fmt"
	"slices"
	"strings"
)

// elem is the type of a slice's elements.
type elem uint8

const (
	f32     elem = iota
	u16          // seen as an integer
	f16          // IEEE half, seen as a float
	boolean      // seen as a mask
)

func (e elem) size() int     { return [...]int{4, 2, 2, 1}[e] }
func (e elem) kind() kind    { return [...]kind{float, integer, float, mask}[e] }
func (e elem) goype() string { return [...]string{"float32", "uint16", "uint16", "bool"}[e] }

// operand is a slice argument.
type operand struct {
	name string
	elem elem
}

func ops(e elem, names ...string) (o []operand) {
	for _, n := range names {
		o = append(o, operand{n, e})
	}
	return
}

// kernel is an elementwise loop, or a fold if combine is set.
type kernel struct {
	name    string // symbols are v + name + class
	doc     string
	slot    string // field of Set
	outs    []operand
	ins     []operand // an operand that is also in outs is updated
	scalars []string
	body    func(b *builder, in, sc []value) []value

	// A fold starts 64 lanes at ident, lets step take element i into lane i%64 and combines the lanes in the tree of
	// Set.Sum. step returns the new accumulator and then the outs.
	ident   float32
	step    func(b *builder, acc value, in, sc []value) []value
	combine func(b *builder, x, y value) value

	// ahead gives a fold another argument: it asks for the first input that many elements further on, for the caches.
	ahead bool
}

// slices lists the slice arguments in order of the signature: outputs, then inputs that are not outputs.
func (k *kernel) slices() []operand {
	s := slices.Clone(k.outs)
	for _, o := range k.ins {
		if !slices.Contains(k.outs, o) {
			s = append(s, o)
		}
	}
	return s
}

// signature is the Go parameter list and result.
func (k *kernel) signature() string {
	var parts []string
	all := k.slices()
	for i, o := range all {
		if i+1 < len(all) && all[i+1].elem.goype() == o.elem.goype() {
			parts = append(parts, o.name)
		} else {
			parts = append(parts, o.name+" []"+o.elem.goype())
		}
	}
	if len(k.scalars) > 0 {
		parts = append(parts, strings.Join(k.scalars, ", ")+" float32")
	}
	if k.ahead {
		parts = append(parts, "ahead int")
	}
	sig := "(" + strings.Join(parts, ", ") + ")"
	if k.combine != nil {
		sig += " float32"
	}
	return sig
}

// call is the argument list with every slice cut to [from:to].
func (k *kernel) call(from, to string) string {
	var parts []string
	for _, o := range k.slices() {
		parts = append(parts, o.name+"["+from+":"+to+"]")
	}
	return strings.Join(append(parts, k.scalars...), ", ")
}

// wide reports whether AVX2 can do the tail with masked loads and stores.
func (k *kernel) wide() bool {
	for _, o := range k.slices() {
		if o.elem != f32 {
			return false
		}
	}
	return true
}

// scalarSlots gives the FP references of the scalars, and the size of all arguments.
func (k *kernel) scalarSlots() (slots []string, size int) {
	size = 24 * len(k.slices())
	for _, s := range k.scalars {
		slots = append(slots, fmt.Sprintf("%s+%d(FP)", s, size))
		size += 4
	}
	if k.ahead {
		size = (size+7)&^7 + 8
	}
	return slots, size
}

// pointers are the registers of slice arguments. AX: index, CX: elements left, DX: scratch.
var pointers = []string{"DI", "SI", "R8", "R9", "R10", "R11"}

// loopIO addresses operands at the index plus a constant, whole or masked (K7, or the last vector register).
type loopIO struct {
	k      *kernel
	ptr    map[string]string
	offset int // elements
	masked bool
}

func (io *loopIO) mem(o operand) string {
	return fmt.Sprintf("%d(%s)(AX*%d)", io.offset*o.elem.size(), io.ptr[o.name], o.elem.size())
}

func (io *loopIO) load(p *program, k int, _ kind, r int) {
	o, z := io.k.ins[k], p.isa.reg == "Z"
	m := io.mem(o)
	suffix, mk := "", ""
	if io.masked && z {
		suffix, mk = ".Z", "K7, "
	}
	switch o.elem {
	case f32:
		if io.masked && !z {
			p.i("VMASKMOVPS %s, %s, %s", m, p.v(p.regs-1), p.v(r))
			return
		}
		p.i("VMOVUPS%s %s, %s%s", suffix, m, mk, p.v(r))
	case u16:
		p.i("VPMOVZXWD%s %s, %s%s", suffix, m, mk, p.v(r))
	case f16:
		p.i("VCVTPH2PS%s %s, %s%s", suffix, m, mk, p.v(r))
	case boolean:
		t := r
		if z {
			t = p.take(float)
		}
		p.i("VPMOVZXBD%s %s, %s%s", suffix, m, mk, p.v(t))
		if z {
			p.i("VPTESTMD %s, %s, K%d", p.v(t), p.v(t), r)
			p.release(t, float)
		} else {
			p.i("VPSLLD $31, %s, %s", p.v(t), p.v(t))
		}
	}
}

func (io *loopIO) store(p *program, k int, _ kind, r int) {
	o, m := io.k.outs[k], io.mem(io.k.outs[k])
	if p.isa.reg == "Y" {
		io.storeAVX2(p, o, m, r)
		return
	}
	mk := ""
	if io.masked {
		mk = "K7, "
	}
	switch o.elem {
	case f32:
		p.i("VMOVUPS %s, %s%s", p.v(r), mk, m)
	case u16:
		p.i("VPMOVDW %s, %s%s", p.v(r), mk, m)
	case f16:
		p.i("VCVTPS2PH $0, %s, %s%s", p.v(r), mk, m)
	case boolean:
		t := p.take(float)
		p.i("VPMOVM2D K%d, %s", r, p.v(t))
		p.i("VPSRLD $31, %s, %s", p.v(t), p.v(t))
		p.i("VPMOVDB %s, %s%s", p.v(t), mk, m)
		p.release(t, float)
	}
}

func (io *loopIO) storeAVX2(p *program, o operand, m string, r int) {
	x := func(n int) string { return fmt.Sprintf("X%d", n) }
	switch o.elem {
	case f32:
		if io.masked {
			p.i("VMASKMOVPS %s, %s, %s", p.v(r), p.v(p.regs-1), m)
			return
		}
		p.i("VMOVUPS %s, %s", p.v(r), m)
	case f16:
		p.i("VCVTPS2PH $0, %s, %s", p.v(r), m)
	case u16, boolean:
		t, s := p.take(float), r
		if o.elem == boolean { // the mask may be an operand: do not change it
			p.i("VPSRLD $31, %s, %s", p.v(r), p.v(t))
			s = t
			t = p.take(float)
			defer p.release(s, float)
		}
		p.i("VEXTRACTI128 $1, %s, %s", p.v(s), x(t))
		p.i("VPACKUSDW %s, %s, %s", x(t), x(s), x(t))
		if o.elem == u16 {
			p.i("VMOVDQU %s, %s", x(t), m)
		} else {
			p.i("VPACKUSWB %s, %s, %s", x(t), x(t), x(t))
			p.i("VMOVQ %s, %s", x(t), m)
		}
		p.release(t, float)
	}
}

// vecText is the assembly of one instruction set.
type vecText struct {
	*isa
	*text
	used map[uint32]bool
}

func (t *vecText) fn(k *kernel) string { return "v" + k.name + t.isa.name }

// open begins a function and loads the pointers and the length.
func (t *vecText) open(k *kernel, size int) *loopIO {
	t.p("// func %s%s", t.fn(k), k.signature())
	t.p("TEXT ·%s(SB), NOSPLIT, $0-%d", t.fn(k), size)
	io := &loopIO{k: k, ptr: map[string]string{}}
	for i, o := range k.slices() {
		io.ptr[o.name] = pointers[i]
		t.i("MOVQ %s_base+%d(FP), %s", o.name, 24*i, pointers[i])
	}
	t.i("MOVQ %s_len+8(FP), CX", k.slices()[0].name)
	t.i("XORQ AX, AX")
	return io
}

// tailMaskOf sets K7 or the last vector register to the first n lanes, n in register reg; DX is lost.
func (t *vecText) tailMaskOf(reg string) {
	if t.reg == "Z" {
		t.i("MOVQ $-1, DX")
		t.i("SHLXQ %s, DX, DX", reg)
		t.i("NOTQ DX")
		t.i("KMOVW DX, K7")
		return
	}
	t.i("LEAQ ·tailMask+64(SB), DX")
	t.i("NEGQ %s", reg)
	t.i("VMOVUPS (DX)(%s*4), %s", reg, t.v(t.regs-1))
	t.i("NEGQ %s", reg)
}

func (t *vecText) pool(from int) (pool []int) {
	for r := from; r < t.regs; r++ {
		if t.reg == "Y" && r == t.regs-1 {
			break // the tail's mask
		}
		pool = append(pool, r)
	}
	return
}

// attach makes p write here.
func (t *vecText) attach(p *program, k *kernel) *program {
	p.text, p.used = t.text, t.used
	p.scalars, _ = k.scalarSlots()
	return p
}

// mapLoop writes an elementwise kernel: several vectors a round, single vectors, a masked tail.
func (t *vecText) mapLoop(k *kernel) {
	b := k.build().lower(t.isa)
	p := t.attach(plan(t.isa, b, t.pool(0), nil, nil), k)
	_, size := k.scalarSlots()
	io := t.open(k, size)
	p.setup()
	u := 1
	if len(b.insts) <= 9 {
		u = 4
	}
	l := t.lanes
	if u > 1 {
		t.i("SUBQ $%d, CX", u*l)
		t.i("JLT single")
		t.p("loop:")
		for j := range u {
			io.offset = j * l
			p.body(io)
		}
		io.offset = 0
		t.i("ADDQ $%d, AX", u*l)
		t.i("SUBQ $%d, CX", u*l)
		t.i("JGE loop")
		t.p("single:")
		t.i("ADDQ $%d, CX", u*l-l)
	} else {
		t.i("SUBQ $%d, CX", l)
	}
	t.i("JLT tail")
	t.p("one:")
	p.body(io)
	t.i("ADDQ $%d, AX", l)
	t.i("SUBQ $%d, CX", l)
	t.i("JGE one")
	t.p("tail:")
	if t.reg == "Z" || k.wide() {
		t.i("ADDQ $%d, CX", l)
		t.i("JZ done")
		t.tailMaskOf("CX")
		io.masked = true
		p.body(io)
		t.p("done:")
	}
	t.i("VZEROUPPER")
	t.i("RET\n")
}

// build makes the program of an elementwise kernel.
func (k *kernel) build() *builder {
	b := newBuilder()
	b.outs = k.body(b, k.inputs(b), k.scalarValues(b))
	return b
}

func (k *kernel) inputs(b *builder) (in []value) {
	for i, o := range k.ins {
		in = append(in, b.in(i, o.elem.kind()))
	}
	return
}

func (k *kernel) scalarValues(b *builder) (sc []value) {
	for i := range k.scalars {
		sc = append(sc, b.scalar(i))
	}
	return
}

// constants writes the table of constants used.
func (t *vecText) constants() string {
	var keys []uint32
	for c := range t.used {
		keys = append(keys, c)
	}
	slices.Sort(keys)
	d := &text{}
	for _, c := range keys {
		d.p("DATA c%08x<>+0(SB)/4, $0x%08x", c, c)
		d.p("GLOBL c%08x<>(SB), RODATA|NOPTR, $4", c)
	}
	d.p("")
	return d.String()
}

// vecFiles writes the kernels for one instruction set: assembly and stubs.
func vecFiles(a *isa, ks []*kernel) (asm, stubs string) {
	t := &vecText{isa: a, text: &text{}, used: map[uint32]bool{}}
	g := &text{}
	g.p("%spackage kernel\n", header)
	for _, k := range ks {
		if k.combine != nil {
			t.fold(k)
		} else {
			t.mapLoop(k)
		}
		g.p("//go:noescape\nfunc %s%s\n", t.fn(k), k.signature())
		if a.reg == "Y" && !k.wide() {
			w := "w" + k.name + a.name
			n := k.slices()[0].name
			g.p("// %s leaves the tail to the portable kernel: AVX2 has no masks for narrow elements.", w)
			g.p("func %s%s {\n\tn := len(%s) &^ 7", w, k.signature(), n)
			g.p("\t%s(%s)\n\tv%sGo(%s)\n}\n", t.fn(k), k.call("", "n"), k.name, k.call("n", ""))
		}
	}
	return header + "#include \"textflag.h\"\n\n" + t.constants() + t.String(), g.String() + table(a.name, ks)
}
