package main

// transpose writes a kernel that transposes a block of at most lanes x lanes in registers: rows are loaded under a mask
// of the columns, columns stored under a mask of the rows, and rows or columns beyond the block are not touched.
//
//	func transposeX(dst *float32, ldd int, src *float32, lds int, rows, cols int)   // ldd and lds in elements
func transpose(s, g *text, a *isa) {
	t := &vecText{isa: a, text: s}
	n := a.lanes
	name := "transpose" + a.name
	g.p("// %s writes dst[c*ldd+r] = src[r*lds+c] for r < rows <= %d, c < cols <= %d.\n//\n//go:noescape", name, n, n)
	g.p("func %s(dst *float32, ldd int, src *float32, lds int, rows, cols int)\n", name)
	t.p("// func %s(dst *float32, ldd int, src *float32, lds int, rows, cols int)", name)
	t.p("TEXT ·%s(SB), NOSPLIT, $0-48", name)
	for i, arg := range []struct{ name, reg string }{{"dst", "DI"}, {"ldd", "R8"}, {"src", "SI"}, {"lds", "R9"}, {"rows", "BX"}, {"cols", "CX"}} {
		t.i("MOVQ %s+%d(FP), %s", arg.name, i*8, arg.reg)
	}
	t.i("SHLQ $2, R8")
	t.i("SHLQ $2, R9")
	t.tailMaskOf("CX")
	for r := range n {
		if r > 0 {
			t.i("CMPQ BX, $%d", r)
			t.i("JLE loaded")
		}
		if a.reg == "Z" {
			t.i("VMOVUPS.Z (SI), K7, %s", t.v(r))
		} else {
			t.i("VMASKMOVPS (SI), %s, %s", t.v(15), t.v(r))
		}
		t.i("ADDQ R9, SI")
	}
	t.p("loaded:")
	cols := t.shuffles()
	t.tailMaskOf("BX")
	for c, r := range cols {
		if c > 0 {
			t.i("CMPQ CX, $%d", c)
			t.i("JLE stored")
		}
		if a.reg == "Z" {
			t.i("VMOVUPS %s, K7, (DI)", t.v(r))
		} else {
			t.i("VMASKMOVPS %s, %s, (DI)", t.v(r), t.v(15))
		}
		t.i("ADDQ R8, DI")
	}
	t.p("stored:")
	t.i("VZEROUPPER")
	t.i("RET\n")
}

// shuffles transposes registers 0..lanes-1 and returns where column c is afterwards.
func (t *vecText) shuffles() []int {
	n := t.lanes
	two := func(op string, x, y, dst int) { t.i("%s %s, %s, %s", op, t.v(y), t.v(x), t.v(dst)) }
	for r := 0; r < n; r += 2 { // pairs of rows
		lo := n + r
		two("VUNPCKLPS", r, r+1, lo)
		two("VUNPCKHPS", r, r+1, lo+1)
	}
	for r := 0; r < n; r += 4 { // groups of four: column 4L+j of the group in 128-bit lane L of register r+j
		two("VUNPCKLPD", n+r, n+r+2, r)
		two("VUNPCKHPD", n+r, n+r+2, r+1)
		two("VUNPCKLPD", n+r+1, n+r+3, r+2)
		two("VUNPCKHPD", n+r+1, n+r+3, r+3)
	}
	cols := make([]int, n)
	for j := range 4 {
		if n == 8 {
			cols[j], cols[4+j] = 8+j, j
			two("VPERM2F128 $0x20,", j, 4+j, 8+j)
			two("VPERM2F128 $0x31,", j, 4+j, j)
			continue
		}
		x := 16 + 4*j
		two("VSHUFF32X4 $0x88,", j, 4+j, x)
		two("VSHUFF32X4 $0xdd,", j, 4+j, x+1)
		two("VSHUFF32X4 $0x88,", 8+j, 12+j, x+2)
		two("VSHUFF32X4 $0xdd,", 8+j, 12+j, x+3)
		two("VSHUFF32X4 $0x88,", x, x+2, j)
		two("VSHUFF32X4 $0xdd,", x, x+2, 8+j)
		two("VSHUFF32X4 $0x88,", x+1, x+3, 4+j)
		two("VSHUFF32X4 $0xdd,", x+1, x+3, 12+j)
		cols[j], cols[4+j], cols[8+j], cols[12+j] = j, 4+j, 8+j, 12+j
	}
	return cols
}
