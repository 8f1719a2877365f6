package main

import "math"

// The vector language: straight-line programs over vectors of 32-bit lanes, as values in static single assignment. The
// same program becomes AVX-512, AVX2 (emit.go) and scalar Go (golang.go) with the same bits, because every operation
// rounds once and in the same way everywhere.

type opcode uint8

const (
	opIn     opcode = iota // operand imm
	opScalar               // scalar argument imm, in every lane
	opConst                // the bits imm, in every lane
	opAdd
	opSub
	opMul
	opDiv
	opMin // x < y ? x : y (y if either is NaN)
	opMax // x > y ? x : y (y if either is NaN)
	opSqrt
	opFMA   // x*y + z, one rounding
	opFNMA  // z - x*y, one rounding
	opRint  // to nearest, ties to even
	opFloor // toward -Inf
	opCeil  // toward +Inf
	opScalb // x * 2^y for integral y in [-150, 128]; x = NaN gives NaN
	opBits  // float seen as integer
	opFloat // integer seen as float
	opIAdd
	opISub
	opIAnd
	opIOr
	opIXor
	opIShl  // by imm
	opIShr  // by imm, logical
	opISar  // by imm, arithmetic
	opToF   // signed integer to float
	opToI   // float to nearest signed integer
	opCmp   // comparison with predicate imm, gives a mask
	opSel   // mask x ? y : z
	opShufA // for folds: move lane l+lanes/2 to lane l; then quarters, eighths, sixteenths
	opShufB
	opShufC
	opShufD
)

// Predicates of opCmp, numbered as in VCMPPS.
const (
	cmpEq    = 0
	cmpLt    = 1
	cmpLe    = 2
	cmpUnord = 3
	cmpNe    = 4
	cmpGe    = 13
	cmpGt    = 14
)

// kind is the type of a value's lanes.
type kind uint8

const (
	float kind = iota
	integer
	mask
)

type value int

type inst struct {
	op   opcode
	kind kind
	args []value
	imm  uint32
}

// builder makes a program.
type builder struct {
	insts  []inst
	consts map[constKey]value
	outs   []value
}

// constKey tells constants of equal bits but different kinds apart.
type constKey struct {
	bits uint32
	kind kind
}

func newBuilder() *builder { return &builder{consts: map[constKey]value{}} }

func (b *builder) put(op opcode, k kind, imm uint32, args ...value) value {
	b.insts = append(b.insts, inst{op, k, args, imm})
	return value(len(b.insts) - 1)
}

func (b *builder) in(k int, t kind) value { return b.put(opIn, t, uint32(k)) }
func (b *builder) scalar(k int) value     { return b.put(opScalar, float, uint32(k)) }
func (b *builder) c(x float64) value      { return b.bitsConst(math.Float32bits(float32(x)), float) }
func (b *builder) ci(x uint32) value      { return b.bitsConst(x, integer) }

func (b *builder) bitsConst(bits uint32, k kind) value {
	v, ok := b.consts[constKey{bits, k}]
	if !ok {
		v = b.put(opConst, k, bits)
		b.consts[constKey{bits, k}] = v
	}
	return v
}

func (b *builder) add(x, y value) value     { return b.put(opAdd, float, 0, x, y) }
func (b *builder) sub(x, y value) value     { return b.put(opSub, float, 0, x, y) }
func (b *builder) mul(x, y value) value     { return b.put(opMul, float, 0, x, y) }
func (b *builder) div(x, y value) value     { return b.put(opDiv, float, 0, x, y) }
func (b *builder) min(x, y value) value     { return b.put(opMin, float, 0, x, y) }
func (b *builder) max(x, y value) value     { return b.put(opMax, float, 0, x, y) }
func (b *builder) sqrt(x value) value       { return b.put(opSqrt, float, 0, x) }
func (b *builder) fma(x, y, z value) value  { return b.put(opFMA, float, 0, x, y, z) }
func (b *builder) fnma(x, y, z value) value { return b.put(opFNMA, float, 0, x, y, z) }
func (b *builder) rint(x value) value       { return b.put(opRint, float, 0, x) }
func (b *builder) floor(x value) value      { return b.put(opFloor, float, 0, x) }
func (b *builder) ceil(x value) value       { return b.put(opCeil, float, 0, x) }
func (b *builder) scalb(x, n value) value   { return b.put(opScalb, float, 0, x, n) }
func (b *builder) bits(x value) value       { return b.put(opBits, integer, 0, x) }
func (b *builder) float(x value) value      { return b.put(opFloat, float, 0, x) }
func (b *builder) iadd(x, y value) value    { return b.put(opIAdd, integer, 0, x, y) }
func (b *builder) isub(x, y value) value    { return b.put(opISub, integer, 0, x, y) }
func (b *builder) iand(x, y value) value    { return b.put(opIAnd, integer, 0, x, y) }
func (b *builder) ior(x, y value) value     { return b.put(opIOr, integer, 0, x, y) }
func (b *builder) ixor(x, y value) value    { return b.put(opIXor, integer, 0, x, y) }
func (b *builder) shl(x value, n int) value { return b.put(opIShl, integer, uint32(n), x) }
func (b *builder) shr(x value, n int) value { return b.put(opIShr, integer, uint32(n), x) }
func (b *builder) toF(x value) value        { return b.put(opToF, float, 0, x) }
func (b *builder) cmp(pred int, x, y value) value {
	return b.put(opCmp, mask, uint32(pred), x, y)
}
func (b *builder) sel(m, x, y value) value { return b.put(opSel, b.insts[x].kind, 0, m, x, y) }

// poly evaluates c[0]*x^n + ... + c[n] by Horner's rule.
func (b *builder) poly(x value, c ...float64) value {
	p := b.c(c[0])
	for _, k := range c[1:] {
		p = b.fma(p, x, b.c(k))
	}
	return p
}

// lower rewrites what an instruction set lacks. AVX2 has no VSCALEFPS: x*2^n is x * 2^(n/2) * 2^(n-n/2), where the first
// product is exact and the second rounds once, as VSCALEFPS does.
func (b *builder) lower(a *isa) *builder {
	if a.reg == "Z" {
		return b
	}
	to := newBuilder()
	moved := make([]value, len(b.insts))
	for i, in := range b.insts {
		args := make([]value, len(in.args))
		for j, v := range in.args {
			args[j] = moved[v]
		}
		switch in.op {
		case opConst:
			moved[i] = to.bitsConst(in.imm, in.kind)
		case opScalb:
			n := to.put(opToI, integer, 0, args[1])
			h := to.put(opISar, integer, 1, n)
			pow := func(e value) value { return to.float(to.shl(to.iadd(e, to.ci(127)), 23)) }
			moved[i] = to.mul(to.mul(args[0], pow(h)), pow(to.isub(n, h)))
		default:
			moved[i] = to.put(in.op, in.kind, in.imm, args...)
		}
	}
	for _, o := range b.outs {
		to.outs = append(to.outs, moved[o])
	}
	return to
}
