package kernel

import (
	"fmt"
	"unsafe"
)

// tileArgs is the argument block of a tile kernel: C[rows][cols] (+)= sum over taps t and q < kc of
// A[a + row + taps[t] + q] * B[t*kc+q]. The assembly knows the byte offsets in the comments.
type tileArgs struct {
	a     unsafe.Pointer // 0: A
	rows  *int           // 8: element offset of each row of the tile (A row-major), unused for A k-major
	taps  *int           // 16: element offset of each run of kc steps
	ntaps int            // 24: >= 1
	kc    int            // 32: >= 1
	b     unsafe.Pointer // 40: packed panel, nr floats a step
	c     unsafe.Pointer // 48
	ldc   int            // 56: elements
	acc   int            // 64: 1 to start from C, 0 to start from zero
	cols  int            // 72: columns to store, 1..nr
	lda   int            // 80: elements between steps (A k-major)
}

// Panels is the number of packed panels of n columns.
func (s *Set) Panels(n int) int { return (n + s.nr - 1) / s.nr }

// PackedSize is the number of elements PackB writes for a k by n matrix.
func (s *Set) PackedSize(k, n int) int { return s.Panels(n) * s.nr * k }

// PackB lays out B[k][n], element (i,j) at b[i*rowStride+j*colStride], as panels [ceil(n/NR)][k][NR], zero padded.
// Any strides are allowed, so a transposed operand costs no transpose.
func (s *Set) PackB(dst, b []float32, k, n, rowStride, colStride int) {
	s.PackBRange(dst, b, k, n, rowStride, colStride, 0, s.Panels(n))
}

// PackBRange packs only panels panel0 <= p < panel1; dst is the whole packed matrix. Different ranges may run in parallel.
func (s *Set) PackBRange(dst, b []float32, k, n, rowStride, colStride, panel0, panel1 int) {
	for p := panel0; p < panel1; p++ {
		w := min(s.nr, n-p*s.nr)
		d := dst[p*s.nr*k:][:s.nr*k]
		if k > 0 {
			s.packPanel(d, b[p*s.nr*colStride:], k, w, rowStride, colStride)
		}
	}
}

// UnpackB is the inverse of PackB: it writes the elements of B, and nothing else.
func (s *Set) UnpackB(b, packed []float32, k, n, rowStride, colStride int) {
	for p := range s.Panels(n) {
		w := min(s.nr, n-p*s.nr)
		for i := range k {
			row := packed[(p*k+i)*s.nr:][:w]
			at := i*rowStride + p*s.nr*colStride
			for j, x := range row {
				b[at+j*colStride] = x
			}
		}
	}
}

// packPanel writes one panel [k][nr] from w <= nr columns.
func (s *Set) packPanel(dst, b []float32, k, w, rowStride, colStride int) {
	nr := s.nr
	if w < nr {
		clear(dst)
	}
	switch {
	case colStride == 1 && w == 32:
		for i := range k {
			*(*[32]float32)(dst[i*32:]) = *(*[32]float32)(b[i*rowStride:])
		}
	case colStride == 1 && w == 16 && nr == 16:
		for i := range k {
			*(*[16]float32)(dst[i*16:]) = *(*[16]float32)(b[i*rowStride:])
		}
	case colStride == 1:
		for i := range k {
			copy(dst[i*nr:i*nr+w], b[i*rowStride:])
		}
	case rowStride == 1:
		s.Transpose(dst, nr, b, colStride, w, k)
	default:
		for i := range k {
			for j := range w {
				dst[i*nr+j] = b[i*rowStride+j*colStride]
			}
		}
	}
}

// Gemm computes C[m][n] = A[m][k]*B[k][n], or adds it to C if acc. A is row-major with lda elements between rows, C with
// ldc; packed is B from PackB. Each element is one chain of multiply-adds over ascending k that starts from 0 or from C,
// so any split of rows, columns (at multiples of NR) or k (with acc) gives the same bits.
func (s *Set) Gemm(c []float32, ldc int, a []float32, lda int, packed []float32, m, k, n int, acc bool) {
	if m <= 0 || n <= 0 {
		return
	}
	if k <= 0 {
		zeroC(c, ldc, m, n, acc)
		return
	}
	_, _ = c[(m-1)*ldc+n-1], a[(m-1)*lda+k-1]
	_ = packed[s.PackedSize(k, n)-1]
	var rows [maxMR]int
	for i := range rows {
		rows[i] = i * lda
	}
	var zero int
	t := tileArgs{rows: &rows[0], taps: &zero, ntaps: 1, kc: k, ldc: ldc, acc: toInt(acc)}
	block := s.rowBlock(k)
	for i0 := 0; i0 < m; i0 += block {
		mb := min(block, m-i0)
		for j := 0; j < n; j += s.nr {
			t.b = unsafe.Pointer(&packed[j*k])
			t.cols = min(s.nr, n-j)
			for i := 0; i < mb; {
				r := s.tileRows(mb - i)
				t.a = unsafe.Pointer(&a[(i0+i)*lda])
				t.c = unsafe.Pointer(&c[(i0+i)*ldc+j])
				s.run(s.tile, r, &t)
				i += r
			}
		}
	}
}

// TapGemm is a matrix product whose A is read in place at offsets: an implicit GEMM for convolutions.
//
//	C[i][j] (+)= sum over t < len(Taps), q < KC of A[Rows[i]+Taps[t]+q] * B[t*KC+q][j],  i < len(Rows), j < N
//
// Rows and Taps are element offsets (sums must lie in A); Packed is B [len(Taps)*KC][N] from PackB.
type TapGemm struct {
	C      []float32
	LDC    int // elements between rows of C
	A      []float32
	Rows   []int
	Taps   []int
	KC     int
	Packed []float32
	N      int
	Acc    bool // start from C instead of 0
}

// GemmTaps computes g. The order of summation is taps ascending, then q ascending: see Gemm.
func (s *Set) GemmTaps(g *TapGemm) {
	m, k := len(g.Rows), len(g.Taps)*g.KC
	if m == 0 || g.N <= 0 {
		return
	}
	if k <= 0 {
		zeroC(g.C, g.LDC, m, g.N, g.Acc)
		return
	}
	_ = g.C[(m-1)*g.LDC+g.N-1]
	_ = g.Packed[s.PackedSize(k, g.N)-1]
	checkOffsets(g.Rows, g.Taps, g.KC, len(g.A))
	s.gemmTaps(g)
}

// gemmTaps is GemmTaps of checked operands.
func (s *Set) gemmTaps(g *TapGemm) {
	m, k := len(g.Rows), len(g.Taps)*g.KC
	t := tileArgs{a: unsafe.Pointer(&g.A[0]), taps: &g.Taps[0], ntaps: len(g.Taps), kc: g.KC, ldc: g.LDC, acc: toInt(g.Acc)}
	for j := 0; j < g.N; j += s.nr {
		t.b = unsafe.Pointer(&g.Packed[j*k])
		t.cols = min(s.nr, g.N-j)
		for i := 0; i < m; {
			r := s.tileRows(m - i)
			t.rows = &g.Rows[i]
			t.c = unsafe.Pointer(&g.C[i*g.LDC+j])
			s.run(s.tile, r, &t)
			i += r
		}
	}
}

// TransGemm is a matrix product with A stored k-major, as in weight gradients (k runs over pixels, rows are channels).
//
//	C[i][j] (+)= sum over t < len(Runs), q < KC of A[Runs[t]+q*LDA+i] * B[t*KC+q][j],  i < M, j < N
//
// Packed is B [len(Runs)*KC][N] from PackB. Best when LDA is not a large power of two.
type TransGemm struct {
	C      []float32
	LDC    int
	A      []float32
	LDA    int // elements between steps of k
	Runs   []int
	KC     int
	Packed []float32
	M, N   int
	Acc    bool
}

// GemmTrans computes g. The order of summation is runs ascending, then q ascending: see Gemm.
func (s *Set) GemmTrans(g *TransGemm) {
	k := len(g.Runs) * g.KC
	if g.M <= 0 || g.N <= 0 {
		return
	}
	if k <= 0 {
		zeroC(g.C, g.LDC, g.M, g.N, g.Acc)
		return
	}
	_ = g.C[(g.M-1)*g.LDC+g.N-1]
	_ = g.Packed[s.PackedSize(k, g.N)-1]
	checkOffsets(g.Runs, []int{0}, (g.KC-1)*g.LDA+g.M, len(g.A))
	t := tileArgs{taps: &g.Runs[0], ntaps: len(g.Runs), kc: g.KC, ldc: g.LDC, lda: g.LDA, acc: toInt(g.Acc)}
	block := s.rowBlock(k)
	for i0 := 0; i0 < g.M; i0 += block {
		end := min(i0+block, g.M)
		for j := 0; j < g.N; j += s.nr {
			t.b = unsafe.Pointer(&g.Packed[j*k])
			t.cols = min(s.nr, g.N-j)
			for i := i0; i < end; {
				r := s.tileRows(end - i)
				t.a = unsafe.Pointer(&g.A[i])
				t.c = unsafe.Pointer(&g.C[i*g.LDC+j])
				s.run(s.tileT, r, &t)
				i += r
			}
		}
	}
}

// maxMR bounds the rows of any tile.
const maxMR = 8

// tileRows picks the rows of the next tile; a remainder below half a tile is shared with the tile before it. Which tile
// computes a row changes no bit of it.
func (s *Set) tileRows(left int) int {
	if left <= s.mr {
		return left
	}
	if r := left - s.mr; r < s.mr/2 {
		return (left + 1) / 2
	}
	return s.mr
}

// rowBlock is how many rows of A to keep in the second-level cache while all panels of B pass by.
func (s *Set) rowBlock(k int) int {
	const bytes = 768 << 10
	return max(1, bytes/(4*k*s.mr)) * s.mr
}

// run computes one tile; base is the number of the tiles of its kind. At most half a panel wide, it does half the work.
func (s *Set) run(base, rows int, t *tileArgs) {
	if base < 0 { // portable
		s.tileGo(t, rows, base)
		return
	}
	number := base + 2*(rows-1)
	if t.cols*2 <= s.nr {
		number++
	}
	callTile(t, number)
}

func toInt(b bool) int {
	if b {
		return 1
	}
	return 0
}

func zeroC(c []float32, ldc, m, n int, acc bool) {
	if acc {
		return
	}
	for i := range m {
		clear(c[i*ldc : i*ldc+n])
	}
}

// checkOffsets panics unless every a+b+[0,width) lies in [0,size).
func checkOffsets(a, b []int, width, size int) {
	lo, hi := bounds(a)
	lo2, hi2 := bounds(b)
	if lo+lo2 < 0 || hi+hi2+width > size {
		panic(fmt.Sprintf("kernel: offsets %d..%d of width %d leave the operand of %d elements", lo+lo2, hi+hi2, width, size))
	}
}

func bounds(x []int) (lo, hi int) {
	lo, hi = x[0], x[0]
	for _, v := range x {
		lo, hi = min(lo, v), max(hi, v)
	}
	return
}
