package main

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// goText writes a program as scalar Go. Every product is converted to float32 before it is used, so that no compiler may
// fuse it with an addition; fused operations are calls.
type goText struct {
	*text
	k      *kernel
	b      *builder
	inName map[value]string // operands that are not elements of slices
}

// name is the expression that stands for a value.
func (g *goText) name(v value) string {
	in := g.b.insts[v]
	if n, ok := g.inName[v]; ok {
		return n
	}
	switch {
	case in.op == opScalar:
		return g.k.scalars[in.imm]
	case in.op == opConst && in.kind == integer:
		return fmt.Sprintf("uint32(0x%08x)", in.imm)
	case in.op == opConst:
		return goConst(in.imm)
	}
	return fmt.Sprintf("v%d", v)
}

// goConst writes a float32 constant; one that decimal notation does not give back is spelt by its bits.
func goConst(bits uint32) string {
	f := math.Float32frombits(bits)
	if math.IsNaN(float64(f)) || math.IsInf(float64(f), 0) || bits == 1<<31 {
		return fmt.Sprintf("math.Float32frombits(0x%08x)", bits)
	}
	return "float32(" + strconv.FormatFloat(float64(f), 'g', -1, 32) + ")"
}

// body writes the statements of all instructions.
func (g *goText) body(indent string) {
	for i, in := range g.b.insts {
		if in.op == opConst || in.op == opScalar {
			continue
		}
		if _, ok := g.inName[value(i)]; ok {
			continue
		}
		g.p("%sv%d := %s", indent, i, g.expr(in))
	}
}

var goCmp = map[uint32]string{cmpEq: "==", cmpLt: "<", cmpLe: "<=", cmpNe: "!=", cmpGe: ">=", cmpGt: ">"}

func (g *goText) expr(in inst) string {
	a := make([]string, len(in.args))
	for i, v := range in.args {
		a[i] = g.name(v)
	}
	infix := func(op string) string { return fmt.Sprintf("%s %s %s", a[0], op, a[1]) }
	call := func(f string) string { return f + "(" + strings.Join(a, ", ") + ")" }
	switch in.op {
	case opIn:
		o := g.k.ins[in.imm]
		return fmt.Sprintf(map[elem]string{f32: "%s[i]", u16: "uint32(%s[i])", f16: "halfToFloat(%s[i])", boolean: "%s[i]"}[o.elem], o.name)
	case opAdd, opIAdd:
		return infix("+")
	case opSub, opISub:
		return infix("-")
	case opMul:
		return fmt.Sprintf("float32(%s * %s)", a[0], a[1])
	case opDiv:
		return infix("/")
	case opIAnd:
		return infix("&")
	case opIOr:
		return infix("|")
	case opIXor:
		return infix("^")
	case opIShl:
		return fmt.Sprintf("%s << %d", a[0], in.imm)
	case opIShr:
		return fmt.Sprintf("%s >> %d", a[0], in.imm)
	case opCmp:
		if in.imm == cmpUnord {
			if a[0] == a[1] {
				return fmt.Sprintf("%s != %s", a[0], a[0])
			}
			return fmt.Sprintf("%s != %s || %s != %s", a[0], a[0], a[1], a[1])
		}
		return infix(goCmp[in.imm])
	}
	return call(goCalls[in.op])
}

var goCalls = map[opcode]string{opMin: "minps", opMax: "maxps", opSqrt: "sqrt32", opFMA: "fma32", opFNMA: "fnma32", opRint: "rint32",
	opFloor: "floor32", opCeil: "ceil32", opScalb: "scalb32", opBits: "math.Float32bits", opFloat: "math.Float32frombits", opToF: "intToFloat",
	opSel: "pick"}

// stored is the expression assigned to an element of o.
func (g *goText) stored(o operand, v value) string {
	switch o.elem {
	case u16:
		return "uint16(" + g.name(v) + ")"
	case f16:
		return "floatToHalf(" + g.name(v) + ")"
	}
	return g.name(v)
}

// goMap writes the portable elementwise loop.
func goMap(t *text, k *kernel) {
	n := k.slices()[0].name
	t.p("func v%sGo%s {", k.name, k.signature())
	for _, o := range k.slices()[1:] {
		t.p("\t%s = %s[:len(%s)]", o.name, o.name, n)
	}
	t.p("\tfor i := range %s {", n)
	g := &goText{text: t, k: k, b: k.build()}
	g.body("\t\t")
	for j, o := range k.outs {
		t.p("\t\t%s[i] = %s", o.name, g.stored(o, g.b.outs[j]))
	}
	t.p("\t}\n}\n")
}

// goFile writes all portable kernels.
func goFile(ks []*kernel) string {
	t := &text{}
	t.p("%spackage kernel\n\nimport \"math\"\n", header)
	for _, k := range ks {
		t.p("// v%sGo: %s", k.name, k.doc)
		if k.combine != nil {
			goFold(t, k)
		} else {
			goMap(t, k)
		}
	}
	return t.String() + table("Go", ks)
}

// table writes the method that enters the kernels of one class into a Set.
func table(class string, ks []*kernel) string {
	t := &text{}
	t.p("// vec%s enters the elementwise kernels, folds and conversions.", class)
	t.p("func (s *Set) vec%s() {", class)
	for _, k := range ks {
		f := "v" + k.name + class
		if class == avx2.name && !k.wide() {
			f = "w" + k.name + class
		}
		t.p("\ts.%s = %s", k.slot, f)
	}
	t.p("}")
	return t.String()
}
