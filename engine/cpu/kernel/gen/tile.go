package main

import (
	"fmt"
	"strings"
)

// The argument block (type tileArgs of package kernel).
const (
	argA, argRows, argTaps, argNTaps, argKC, argB = 0, 8, 16, 24, 32, 40
	argC, argLDC, argAcc, argCols, argLDA         = 48, 56, 64, 72, 80
)

// rowRegs hold the addresses of the rows of A. DI: arguments, SI: taps, CX: taps left, DX: B, BX: index into the rows,
// R14: steps left.
var rowRegs = []string{"AX", "R8", "R9", "R10", "R11", "R12", "R13", "R15"}

const unroll = 4

// tile is one matrix product kernel: rows x (nv vectors), accumulators in registers 0..rows*nv-1.
type tile struct {
	*isa
	*text
	rows, nv int
	panel    int  // bytes of B per step
	trans    bool // A is k-major
	bf16     bool // A and B hold pairs of bf16; a step is two k
}

func (t *tile) name() string {
	kind := "F32"
	if t.bf16 {
		kind = "BF16"
	}
	if t.trans {
		kind += "T"
	}
	return fmt.Sprintf("tile%s%s_%dx%d", t.isa.name, kind, t.rows, t.nv*t.lanes)
}

func (t *tile) acc(i, j int) string { return t.v(i*t.nv + j) }
func (t *tile) b(j int) string      { return t.v(t.rows*t.nv + j) }

// bc rotates over the registers left for broadcasts of A.
func (t *tile) bc(i int) int {
	first := t.rows*t.nv + t.nv
	return first + i%min(4, t.regs-first)
}

func (t *tile) emit() {
	t.p("// func %s(t *tileArgs)", t.name())
	t.p("TEXT %s<>(SB), NOSPLIT, $0-8", t.name())
	t.i("MOVQ t+0(FP), DI")
	t.start()
	t.i("MOVQ %d(DI), SI", argTaps)
	t.i("MOVQ %d(DI), DX", argB)
	t.addresses()
	t.i("MOVQ %d(DI), CX", argNTaps)
	t.p("tap:")
	t.enterTap()
	t.i("MOVQ %d(DI), R14", argKC)
	t.i("SUBQ $%d, R14", unroll)
	t.i("JLT tail")
	t.p("loop:")
	for u := range unroll {
		t.step(u)
	}
	t.advance(unroll)
	t.i("SUBQ $%d, R14", unroll)
	t.i("JGE loop")
	t.p("tail:")
	t.i("ADDQ $%d, R14", unroll)
	t.i("JZ next")
	t.p("one:")
	t.step(0)
	t.advance(1)
	t.i("DECQ R14")
	t.i("JNZ one")
	t.p("next:")
	t.i("DECQ CX")
	t.i("JNZ tap")
	t.finish()
	t.i("VZEROUPPER")
	t.i("RET")
	t.p("")
}

// start sets the accumulators to C or to zero.
func (t *tile) start() {
	t.i("MOVQ %d(DI), DX", argC)
	t.i("MOVQ %d(DI), BX", argLDC)
	t.i("SHLQ $2, BX")
	t.mask()
	t.i("CMPQ %d(DI), $0", argAcc)
	t.i("JNE accumulate")
	for i := range t.rows * t.nv {
		if t.reg == "Z" {
			t.i("VPXORQ %[1]s, %[1]s, %[1]s", t.v(i))
		} else {
			t.i("VXORPS %[1]s, %[1]s, %[1]s", t.v(i))
		}
	}
	t.i("JMP ready")
	t.p("accumulate:")
	for i := range t.rows {
		for j := range t.nv {
			t.load(fmt.Sprintf("%d(DX)", j*t.isa.bytes()), t.acc(i, j), j)
		}
		if i < t.rows-1 {
			t.i("ADDQ BX, DX")
		}
	}
	t.p("ready:")
}

// mask prepares the mask of the last vector of a row: K1, or a vector in the first B register. Half vectors have a mask
// each, K1 and K2, because a whole one of them may be missing.
func (t *tile) mask() {
	t.i("MOVQ %d(DI), CX", argCols)
	t.i("SUBQ $%d, CX", t.nv*t.lanes) // minus the missing columns
	t.i("NEGQ CX")
	if !t.kmask {
		t.i("LEAQ ·tailMask+32(SB), AX")
		t.i("VMOVUPS (AX)(CX*4), %s", t.b(0))
		return
	}
	t.i("MOVL $0xffff, AX")
	t.i("SHRL CX, AX")
	t.i("KMOVW AX, K1")
	if t.halves() {
		t.i("SHRL $8, AX")
		t.i("KMOVW AX, K2")
	}
}

func (t *tile) halves() bool { return t.kmask && t.reg == "Y" }

// masked names the mask of vector j of a row, if it has one.
func (t *tile) masked(j int) (k string, ok bool) {
	switch {
	case t.halves():
		return fmt.Sprintf("K%d", j+1), true
	case j < t.nv-1:
		return "", false
	case t.kmask:
		return "K1", true
	}
	return t.b(0), true
}

func (t *tile) load(mem, reg string, j int) {
	k, ok := t.masked(j)
	switch {
	case !ok:
		t.i("VMOVUPS %s, %s", mem, reg)
	case t.kmask:
		t.i("VMOVUPS.Z %s, %s, %s", mem, k, reg)
	default:
		t.i("VMASKMOVPS %s, %s, %s", mem, k, reg)
	}
}

// addresses computes where the rows of A begin.
func (t *tile) addresses() {
	if t.trans {
		t.i("MOVQ %d(DI), R8", argLDA)
		t.i("SHLQ $2, R8")
		t.i("LEAQ (R8)(R8*2), R9")
		return
	}
	t.i("MOVQ %d(DI), BX", argRows)
	t.i("MOVQ %d(DI), CX", argA)
	for i := range t.rows {
		t.i("MOVQ %d(BX), R14", i*8)
		if t.bf16 {
			t.i("LEAQ (CX)(R14*2), %s", rowRegs[i])
		} else {
			t.i("LEAQ (CX)(R14*4), %s", rowRegs[i])
		}
	}
}

func (t *tile) enterTap() {
	t.i("MOVQ (SI), BX")
	t.i("ADDQ $8, SI")
	if t.trans {
		t.i("MOVQ %d(DI), AX", argA)
		t.i("LEAQ (AX)(BX*4), AX")
	}
	if t.bf16 {
		t.i("SHRQ $1, BX") // index of a pair
	}
}

// step emits one step of k at distance u from the current one.
func (t *tile) step(u int) {
	for j := range t.nv {
		t.i("VMOVUPS %d(DX), %s", u*t.panel+j*t.isa.bytes(), t.b(j))
	}
	for i := range t.rows {
		br := t.bc(i)
		t.i("VBROADCASTSS %s, %s", t.aMem(i, u), t.v(br))
		for j := range t.nv {
			if t.bf16 {
				t.i("%s", dotBF16(i*t.nv+j, br, t.rows*t.nv+j))
			} else {
				t.i("VFMADD231PS %s, %s, %s", t.b(j), t.v(br), t.acc(i, j))
			}
		}
	}
}

func (t *tile) aMem(i, u int) string {
	if !t.trans {
		return fmt.Sprintf("%d(%s)(BX*4)", u*4, rowRegs[i])
	}
	return fmt.Sprintf("%d(AX)%s", i*4, [unroll]string{"", "(R8*1)", "(R8*2)", "(R9*1)"}[u])
}

func (t *tile) advance(n int) {
	t.i("ADDQ $%d, DX", n*t.panel)
	switch {
	case !t.trans:
		t.i("ADDQ $%d, BX", n)
	case n == 1:
		t.i("ADDQ R8, AX")
	default:
		t.i("LEAQ (AX)(R8*%d), AX", n)
	}
}

// finish stores the accumulators.
func (t *tile) finish() {
	t.i("MOVQ %d(DI), DX", argC)
	t.i("MOVQ %d(DI), BX", argLDC)
	t.i("SHLQ $2, BX")
	t.i("CMPQ %d(DI), $%d", argCols, t.nv*t.lanes)
	t.i("JNE masked")
	t.stores(false)
	t.i("VZEROUPPER")
	t.i("RET")
	t.p("masked:")
	if !t.kmask {
		t.mask()
	}
	t.stores(true)
}

// stores writes the rows, under masks or whole.
func (t *tile) stores(masked bool) {
	for i := range t.rows {
		for j := range t.nv {
			mem := fmt.Sprintf("%d(DX)", j*t.isa.bytes())
			k, ok := t.masked(j)
			switch {
			case !masked || !ok:
				t.i("VMOVUPS %s, %s", t.acc(i, j), mem)
			case t.kmask:
				t.i("VMOVUPS %s, %s, %s", t.acc(i, j), k, mem)
			default:
				t.i("VMASKMOVPS %s, %s, %s", t.acc(i, j), k, mem)
			}
		}
		if i < t.rows-1 {
			t.i("ADDQ BX, DX")
		}
	}
}

// tileFiles writes all tiles and the tables that find them.
func tileFiles() (asm, stubs string) {
	s, g := &text{}, &text{}
	s.p("%s#include \"textflag.h\"\n", header)
	g.p("%spackage kernel\n", header)
	g.p("// tailMask holds 8 full lanes and 8 empty ones: reading at lane n gives a mask of 8-n lanes.")
	g.p("var tailMask = [24]uint32{8: ^uint32(0), ^uint32(0), ^uint32(0), ^uint32(0), ^uint32(0), ^uint32(0), ^uint32(0), ^uint32(0)}\n")
	j := &jumpTable{what: "Tile", arg: "t", args: "tileArgs"}
	for _, a := range []*isa{avx512, avx2} {
		j.tiles(s, g, tile{isa: a})
		j.tiles(s, g, tile{isa: a, trans: true})
	}
	j.tiles(s, g, tile{isa: avx512, bf16: true})
	j.emit(s, g)
	transpose(s, g, avx512)
	transpose(s, g, avx2)
	peaks(s, g)
	return s.String(), g.String()
}

// jumpTable calls assembly functions by number. (Calling them through Go function values would move their argument
// blocks to the heap.)
type jumpTable struct {
	what, arg, args string
	names           []string
}

// tiles writes the tiles of one kind in every size and enters them: entry base+2*(rows-1) is the wide one, then half of it.
func (j *jumpTable) tiles(s, g *text, t tile) {
	t.text, t.panel = s, 2*t.isa.bytes()
	base := len(j.names)
	for t.rows = 1; t.rows <= t.isa.rows; t.rows++ {
		for t.nv = 2; t.nv >= 1; t.nv-- {
			e := t
			if t.nv == 1 && t.isa == avx512 && !t.bf16 {
				e.isa, e.nv = avx512half, 2
			}
			e.emit()
			j.names = append(j.names, e.name())
		}
	}
	t.nv = 2
	name := strings.SplitN(t.name(), "_", 2)[0]
	g.p("// %sBase is the number of the first tile of this kind for callTile.\nconst %sBase = %d\n", name, name, base)
}

// emit writes the table and the function that jumps into it.
func (j *jumpTable) emit(s, g *text) {
	for i, n := range j.names {
		s.p("DATA jump%s<>+%d(SB)/8, $%s<>(SB)", j.what, 8*i, n)
	}
	s.p("GLOBL jump%s<>(SB), RODATA, $%d\n", j.what, 8*len(j.names))
	s.p("// func call%s(%s *%s, number int)", j.what, j.arg, j.args)
	s.p("TEXT ·call%s(SB), NOSPLIT, $0-16", j.what)
	s.i("MOVQ number+8(FP), AX")
	s.i("LEAQ jump%s<>(SB), BX", j.what)
	s.i("JMP (BX)(AX*8)\n")
	g.p("// call%s runs assembly function number (its own frame, as if called directly).\n//\n//go:noescape", j.what)
	g.p("func call%s(%s *%s, number int)\n", j.what, j.arg, j.args)
}

// peaks writes loops of nothing but multiply-adds, the limit that benchmarks compare with.
func peaks(s, g *text) {
	for _, k := range []struct {
		name string
		f    func(i int) string
	}{
		{"peakAVX512", func(i int) string { return fmt.Sprintf("VFMADD231PS Z30, Z31, Z%d", i) }},
		{"peakAVX2", func(i int) string { return fmt.Sprintf("VFMADD231PS Y14, Y15, Y%d", i%12) }},
		{"peakBF16", func(i int) string { return dotBF16(i, 31, 30) }},
	} {
		s.p("// func %s(n int)", k.name)
		s.p("TEXT ·%s(SB), NOSPLIT, $0-8", k.name)
		s.i("MOVQ n+0(FP), CX")
		for i := range 32 {
			if k.name == "peakAVX2" && i < 16 {
				s.i("VXORPS Y%[1]d, Y%[1]d, Y%[1]d", i)
			} else if k.name != "peakAVX2" {
				s.i("VPXORQ Z%[1]d, Z%[1]d, Z%[1]d", i)
			}
		}
		s.p("loop:")
		for i := range 24 {
			s.i("%s", k.f(i))
		}
		s.i("DECQ CX")
		s.i("JNZ loop")
		s.i("VZEROUPPER")
		s.i("RET\n")
		g.p("// %s runs 24 n independent multiply-adds.\n//\n//go:noescape\nfunc %s(n int)\n", k.name, k.name)
	}
}
