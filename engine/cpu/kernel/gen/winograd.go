package main

import "fmt"

// transform2D is a separable transform of a square of vectors: the one-dimensional program on each column, then on each
// row of what that gave. Both ends are addressed by tables of byte offsets, so that borders of a picture need no copy.
type transform2D struct {
	name    string
	doc     string
	in, out int // side lengths
	bias    bool
	line    func(b *builder, x []value) []value // in values -> out values
}

// winogradTransforms are those of F(4x4,3x3) with the points 0, 1, -1, 2, -2, Inf (Lavin and Gray 2015, section 4.3) and
// of its weight gradient, and those of F(4x4,2x2) with the points 0, 1, -1, 2, Inf.
func winogradTransforms() []*transform2D {
	return []*transform2D{
		{name: "In", doc: "6x6 pixels to the Winograd domain (B'dB)", in: 6, out: 6, line: winogradIn},
		{name: "Out", doc: "6x6 products to 4x4 pixels, plus a bias (A'mA)", in: 6, out: 4, bias: true, line: winogradOut},
		{name: "Weights", doc: "3x3 weights to the Winograd domain (GgG')", in: 3, out: 6, line: winogradWeights},
		{name: "GradOut", doc: "4x4 output gradients to the Winograd domain (AyA')", in: 4, out: 6, line: winogradGradOut},
		{name: "GradWeights", doc: "6x6 sums to 3x3 weight gradients (G'uG)", in: 6, out: 3, line: winogradGradWeights},
		{name: "In2", doc: "5x5 pixels to the domain of F(4x4,2x2) (B'dB)", in: 5, out: 5, line: winogradIn2},
		{name: "Out2", doc: "5x5 products to 4x4 pixels, plus a bias (A'mA)", in: 5, out: 4, bias: true, line: winogradOut2},
		{name: "Weights2", doc: "2x2 weights to the domain of F(4x4,2x2) (GgG')", in: 2, out: 5, line: winogradWeights2},
		{name: "GradOut2", doc: "4x4 output gradients to the domain of F(4x4,2x2) (AyA')", in: 4, out: 5, line: winogradGradOut2},
		{name: "GradWeights2", doc: "5x5 sums to 2x2 weight gradients (G'uG)", in: 5, out: 2, line: winogradGradWeights2},
	}
}

func winogradIn(b *builder, x []value) []value {
	a := b.fnma(x[2], b.c(4), x[4])
	d := b.fnma(x[1], b.c(4), x[3])
	e := b.sub(x[4], x[2])
	f := b.sub(x[3], x[1])
	return []value{
		b.fnma(x[2], b.c(5), b.fma(x[0], b.c(4), x[4])),
		b.add(a, d),
		b.sub(a, d),
		b.fma(f, b.c(2), e),
		b.fnma(f, b.c(2), e),
		b.fnma(x[3], b.c(5), b.fma(x[1], b.c(4), x[5])),
	}
}

func winogradOut(b *builder, x []value) []value {
	a, d := b.add(x[1], x[2]), b.sub(x[1], x[2])
	e, f := b.add(x[3], x[4]), b.sub(x[3], x[4])
	return []value{
		b.add(b.add(x[0], a), e),
		b.fma(f, b.c(2), d),
		b.fma(e, b.c(4), a),
		b.add(b.fma(f, b.c(8), d), x[5]),
	}
}

func winogradWeights(b *builder, x []value) []value {
	s := b.add(x[0], x[2])
	p := b.fma(x[2], b.c(4), x[0])
	q := b.add(x[1], x[1])
	return []value{
		b.mul(x[0], b.c(1./4)),
		b.mul(b.add(s, x[1]), b.c(-1./6)),
		b.mul(b.sub(s, x[1]), b.c(-1./6)),
		b.mul(b.add(p, q), b.c(1./24)),
		b.mul(b.sub(p, q), b.c(1./24)),
		x[2],
	}
}

func winogradGradOut(b *builder, y []value) []value {
	e, f := b.add(y[0], y[2]), b.add(y[1], y[3])
	g := b.fma(y[2], b.c(4), y[0])
	h := b.fma(y[3], b.c(8), b.add(y[1], y[1]))
	return []value{y[0], b.add(e, f), b.sub(e, f), b.add(g, h), b.sub(g, h), y[3]}
}

func winogradGradWeights(b *builder, x []value) []value {
	s, d := b.add(x[1], x[2]), b.sub(x[2], x[1])
	p, m := b.add(x[3], x[4]), b.sub(x[3], x[4])
	return []value{
		b.fma(p, b.c(1./24), b.fma(s, b.c(-1./6), b.mul(x[0], b.c(1./4)))),
		b.fma(m, b.c(1./12), b.mul(d, b.c(1./6))),
		b.add(b.mul(b.sub(p, s), b.c(1./6)), x[5]),
	}
}

func winogradIn2(b *builder, x []value) []value {
	e := b.sub(x[3], x[1])
	return []value{
		b.fma(b.sub(x[0], x[2]), b.c(2), e),
		b.fnma(x[1], b.c(2), b.sub(x[3], x[2])),
		b.fma(x[1], b.c(2), b.fnma(x[2], b.c(3), x[3])),
		e,
		b.fnma(e, b.c(2), b.sub(x[4], x[2])),
	}
}

func winogradOut2(b *builder, x []value) []value {
	a, d := b.add(x[1], x[2]), b.sub(x[1], x[2])
	return []value{
		b.add(b.add(x[0], a), x[3]),
		b.fma(x[3], b.c(2), d),
		b.fma(x[3], b.c(4), a),
		b.add(b.fma(x[3], b.c(8), d), x[4]),
	}
}

func winogradWeights2(b *builder, x []value) []value {
	return []value{
		b.mul(x[0], b.c(1./2)),
		b.mul(b.add(x[0], x[1]), b.c(-1./2)),
		b.mul(b.sub(x[0], x[1]), b.c(-1./6)),
		b.mul(b.fma(x[1], b.c(2), x[0]), b.c(1./6)),
		x[1],
	}
}

func winogradGradOut2(b *builder, y []value) []value {
	e, f := b.add(y[0], y[2]), b.add(y[1], y[3])
	g, h := b.fma(y[2], b.c(4), y[0]), b.fma(y[3], b.c(8), b.add(y[1], y[1]))
	return []value{y[0], b.add(e, f), b.sub(e, f), b.add(g, h), y[3]}
}

func winogradGradWeights2(b *builder, x []value) []value {
	return []value{
		b.fma(b.sub(x[3], x[2]), b.c(1./6), b.mul(b.sub(x[0], x[1]), b.c(1./2))),
		b.fma(x[3], b.c(1./3), b.fma(x[2], b.c(1./6), b.fma(x[1], b.c(-1./2), x[4]))),
	}
}

// program makes the one-dimensional program; the last operand is the bias of the second pass.
func (t *transform2D) program(second bool) *builder {
	b := newBuilder()
	x := make([]value, t.in)
	for i := range x {
		x[i] = b.in(i, float)
	}
	if !second || !t.bias {
		b.outs = t.line(b, x)
		return b
	}
	bias := b.in(t.in, float)
	for _, y := range t.line(b, x) {
		b.outs = append(b.outs, b.add(y, bias))
	}
	return b
}

// The argument block (type transformArgs of package kernel) in registers. SI: source, DI: destination, R8: scratch
// [out*in] vectors, R9 and R10: byte offsets of the source and destination vectors, R12: bias, CX: channels left,
// R11: address scratch.
var transformRegs = []string{"SI", "DI", "R8", "R9", "R10", "R12", "CX"}

// lineIO is one pass over one column (from the source to scratch) or row (from scratch to the destination).
type lineIO struct {
	t      *transform2D
	second bool
	line   int
	masked bool
	kept   int // columns of what the first pass gives that stay in registers instead of in scratch
}

// register is where value k of column line is kept, if it is.
func (io *lineIO) register(p *program, k, line int) (string, bool) {
	return p.v(p.regs - 1 - line*io.t.out - k), line < io.kept
}

func (io *lineIO) load(p *program, k int, _ kind, r int) {
	switch {
	case io.second && k == io.t.in:
		io.move(p, "(R12)", r, true)
	case io.second:
		if m, ok := io.register(p, io.line, k); ok {
			p.i("VMOVAPS %s, %s", m, p.v(r))
			return
		}
		p.i("VMOVUPS %d(R8), %s", (io.line*io.t.in+k)*p.isa.bytes(), p.v(r))
	default:
		p.i("MOVQ %d(R9), R11", 8*(k*io.t.in+io.line))
		io.move(p, "(SI)(R11*1)", r, true)
	}
}

func (io *lineIO) store(p *program, k int, _ kind, r int) {
	if !io.second {
		if m, ok := io.register(p, k, io.line); ok {
			p.i("VMOVAPS %s, %s", p.v(r), m)
			return
		}
		p.i("VMOVUPS %s, %d(R8)", p.v(r), (k*io.t.in+io.line)*p.isa.bytes())
		return
	}
	p.i("MOVQ %d(R10), R11", 8*(io.line*io.t.out+k))
	io.move(p, "(DI)(R11*1)", r, false)
}

// move loads or stores a vector of the channels that are left.
func (io *lineIO) move(p *program, mem string, r int, load bool) {
	name, m := "VMOVUPS", ""
	if io.masked {
		m = "K7, "
		if p.isa.reg == "Y" {
			name, m = "VMASKMOVPS", p.v(p.regs-1)+", "
		}
	}
	if load {
		if name == "VMASKMOVPS" {
			p.i("%s %s, %s%s", name, mem, m, p.v(r))
			return
		}
		if io.masked {
			name += ".Z"
		}
		p.i("%s %s, %s%s", name, mem, m, p.v(r))
		return
	}
	if name == "VMASKMOVPS" {
		p.i("%s %s, %s%s", name, p.v(r), m, mem)
		return
	}
	p.i("%s %s, %s%s", name, p.v(r), m, mem)
}

// emit writes the kernel for one instruction set.
func (x *transform2D) emit(t *vecText) {
	name := "winograd" + x.name + t.isa.name
	t.p("// %s: %s.\n//\n// func %s(a *transformArgs)", name, x.doc, name)
	t.p("TEXT %s<>(SB), NOSPLIT, $0-8", name)
	t.i("MOVQ a+0(FP), AX")
	for i, r := range transformRegs {
		t.i("MOVQ %d(AX), %s", 8*i, r)
	}
	kept := x.kept(t.isa)
	first := x.attach(t, x.program(false), kept)
	second := x.attach(t, x.program(true), kept)
	both := func(masked bool) {
		first.setup()
		for j := range x.in {
			first.body(&lineIO{x, false, j, masked, kept})
		}
		second.setup()
		for i := range x.out {
			second.body(&lineIO{x, true, i, masked, kept})
		}
	}
	t.i("SUBQ $%d, CX", t.lanes)
	t.i("JLT tail")
	t.p("loop:")
	both(false)
	for _, r := range []string{"SI", "DI", "R12"} {
		t.i("ADDQ $%d, %s", t.isa.bytes(), r)
	}
	t.i("SUBQ $%d, CX", t.lanes)
	t.i("JGE loop")
	t.p("tail:")
	t.i("ADDQ $%d, CX", t.lanes)
	t.i("JZ done")
	t.tailMaskOf("CX")
	both(true)
	t.p("done:")
	t.i("VZEROUPPER")
	t.i("RET\n")
}

// kept is how many columns fit into registers beside the programs. A store of a whole vector takes two cycles, which is
// as long as the arithmetic on it.
func (x *transform2D) kept(a *isa) int {
	const programs = 10 // registers for a pass and its constants
	if !a.kmask {
		return 0
	}
	return min(x.in, (a.regs-programs)/x.out)
}

func (x *transform2D) attach(t *vecText, b *builder, kept int) *program {
	pool := t.pool(0)
	return t.attach(plan(t.isa, b, pool[:len(pool)-kept*x.out], nil, nil), &kernel{})
}

// goLine writes the one-dimensional program as a Go function.
func (x *transform2D) goLine(t *text) {
	t.p("// winograd%sLine is one line of: %s.", x.name, x.doc)
	t.p("func winograd%sLine(x *[%d]float32) (y [%d]float32) {", x.name, x.in, x.out)
	b := x.program(false)
	names := map[value]string{}
	for i := range x.in {
		names[value(i)] = fmt.Sprintf("x[%d]", i)
	}
	g := &goText{text: t, b: b, inName: names}
	g.body("\t")
	for i, o := range b.outs {
		t.p("\ty[%d] = %s", i, g.name(o))
	}
	t.p("\treturn y\n}\n")
}

// winogradFiles writes the transforms of all instruction sets: number 10*set + transform for callTransform.
func winogradFiles() (asm, stubs string) {
	s, g := &text{}, &text{}
	g.p("%spackage kernel\n", header)
	j := &jumpTable{what: "Transform", arg: "a", args: "transformArgs"}
	t := &vecText{text: s, used: map[uint32]bool{}}
	for _, a := range []*isa{avx512, avx2} {
		t.isa = a
		g.p("// winograd%sBase is the number of the first transform of this set for callTransform.\nconst winograd%sBase = %d\n", a.name, a.name, len(j.names))
		for _, x := range winogradTransforms() {
			x.emit(t)
			j.names = append(j.names, "winograd"+x.name+a.name)
		}
	}
	j.emit(s, g)
	return header + "#include \"textflag.h\"\n\n" + t.constants() + s.String(), g.String()
}

func winogradGo() string {
	t := &text{}
	t.p("%spackage kernel\n", header)
	for _, x := range winogradTransforms() {
		x.goLine(t)
	}
	return t.String()
}
