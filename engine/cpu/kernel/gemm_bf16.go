package kernel

import (
	"math"
	"unsafe"
)

// HasBF16 reports whether the class multiplies bfloat16 in hardware. Other classes have the operations too, slowly.
func (s *Set) HasBF16() bool { return s.class >= AVX512BF16 }

// PackedSizeBF16 is the number of elements PackBF16 writes for a k by n matrix.
func (s *Set) PackedSizeBF16(k, n int) int { return s.PackedSize((k+1)/2, n) * 2 }

// PackBF16 rounds B[k][n], element (i,j) at b[i*rowStride+j*colStride], to bfloat16 and lays it out as panels
// [ceil(n/NR)][ceil(k/2)][NR][2], zero padded.
func (s *Set) PackBF16(dst []uint16, b []float32, k, n, rowStride, colStride int) {
	s.PackBF16Range(dst, b, k, n, rowStride, colStride, 0, s.Panels(n))
}

// PackBF16Range packs only panels panel0 <= p < panel1; ranges may run in parallel.
func (s *Set) PackBF16Range(dst []uint16, b []float32, k, n, rowStride, colStride, panel0, panel1 int) {
	const chunk = 32 // rows of B at a time
	tmp := make([]float32, chunk*s.nr)
	steps := (k + 1) / 2
	for p := panel0; p < panel1; p++ {
		w := min(s.nr, n-p*s.nr)
		out := asFloats(dst[p*steps*s.nr*2:][:steps*s.nr*2])
		for i := 0; i < k; i += chunk {
			rows := min(chunk, k-i)
			if rows%2 == 1 {
				clear(tmp[rows*s.nr:][:s.nr])
			}
			s.packPanel(tmp[:rows*s.nr], b[i*rowStride+p*s.nr*colStride:], rows, w, rowStride, colStride)
			for r := 0; r < rows; r += 2 {
				lo, hi := tmp[r*s.nr:][:s.nr], tmp[(r+1)*s.nr:][:s.nr]
				s.pairBF16(out[(i+r)/2*s.nr:][:s.nr], lo, hi)
			}
		}
	}
}

// asFloats sees pairs of uint16 as float32 bits.
func asFloats(x []uint16) []float32 {
	if len(x) < 2 {
		return nil
	}
	return unsafe.Slice((*float32)(unsafe.Pointer(&x[0])), len(x)/2)
}

// RowsBF16 rounds x[rows][k], ldx between rows, to dst with ldd >= k rounded up to even; the odd element is zeroed.
func (s *Set) RowsBF16(dst []uint16, ldd int, x []float32, ldx, rows, k int) {
	for r := range rows {
		s.F32ToBF16(dst[r*ldd:r*ldd+k], x[r*ldx:])
		if k%2 == 1 {
			dst[r*ldd+k] = 0
		}
	}
}

// GemmBF16 computes C[m][n] = A[m][k]*B[k][n] in float32 from bfloat16 operands, or adds it to C if acc. A comes from
// RowsBF16 with lda (even) between rows, packed from PackBF16. Each element is one chain over ascending pairs of k. The
// hardware takes denormals as zero; only results of the AVX512BF16 class are byte-equal to each other.
func (s *Set) GemmBF16(c []float32, ldc int, a []uint16, lda int, packed []uint16, m, k, n int, acc bool) {
	if m <= 0 || n <= 0 {
		return
	}
	if k <= 0 {
		zeroC(c, ldc, m, n, acc)
		return
	}
	steps := (k + 1) / 2
	_, _, _ = c[(m-1)*ldc+n-1], a[(m-1)*lda+2*steps-1], packed[s.PackedSizeBF16(k, n)-1]
	var rows [maxMR]int
	for i := range rows {
		rows[i] = i * lda
	}
	var zero int
	t := tileArgs{rows: &rows[0], taps: &zero, ntaps: 1, kc: steps, ldc: ldc, acc: toInt(acc)}
	block := s.rowBlock(steps)
	for i0 := 0; i0 < m; i0 += block {
		mb := min(block, m-i0)
		for j := 0; j < n; j += s.nr {
			t.b = unsafe.Pointer(&packed[j*steps*2])
			t.cols = min(s.nr, n-j)
			for i := 0; i < mb; {
				r := s.tileRows(mb - i)
				t.a = unsafe.Pointer(&a[(i0+i)*lda])
				t.c = unsafe.Pointer(&c[(i0+i)*ldc+j])
				s.run(s.tileBF16, r, &t)
				i += r
			}
		}
	}
}

// roundBF16 is x rounded to bfloat16, for references.
func roundBF16(x float32) float32 {
	var d [1]uint16
	vF32ToBF16Go(d[:], []float32{x})
	return math.Float32frombits(uint32(d[0]) << 16)
}
