package kernel

import (
	"fmt"
	"testing"

	"github.com/smalti/smalti/rng"
)

func TestGemmBF16(t *testing.T) {
	bothTiles(t, func(t *testing.T, s *Set) {
		r := rng.New(30, "bf16")
		for trial := range 150 {
			m, n, k := 1+trial%19, 1+r.IntN(70), 1+r.IntN(40)
			if trial%10 == 0 {
				k = 33 + 64*(trial%3)
			}
			acc := trial%2 == 0
			a, b := normals(r, m*k), normals(r, k*n)
			lda, ldc := (k+1)&^1+2*(trial%2), n+trial%3
			ab, packed := make([]uint16, m*lda), make([]uint16, s.PackedSizeBF16(k, n))
			s.RowsBF16(ab, lda, a, k, m, k)
			if trial%3 == 0 { // a transposed operand
				bt := make([]float32, k*n)
				s.Transpose(bt, k, b, n, k, n)
				s.PackBF16(packed, bt, k, n, 1, k)
			} else {
				s.PackBF16(packed, b, k, n, n, 1)
			}
			all, c := guarded(m * ldc)
			r.FillNormal(c)
			was := append([]float32(nil), c...)
			s.GemmBF16(c, ldc, ab, lda, packed, m, k, n, acc)
			checkGuards(t, "C", all)
			for i := range m {
				for j := range ldc {
					c0 := float32(0)
					if acc {
						c0 = was[i*ldc+j]
					}
					if j >= n {
						if c[i*ldc+j] != was[i*ldc+j] {
							t.Fatalf("wrote column %d of %d", j, n)
						}
						continue
					}
					v, scale := gemmRef(k, func(q int) float32 { return roundBF16(a[i*k+q]) }, func(q int) float32 { return roundBF16(b[q*n+j]) }, c0)
					near(t, fmt.Sprintf("trial %d (%d,%d,%d) at %d,%d", trial, m, n, k, i, j), c[i*ldc+j], v, scale, 2*k)
				}
			}
		}
	})
}

func TestGemmBF16OneChain(t *testing.T) {
	bothTiles(t, func(t *testing.T, s *Set) {
		r := rng.New(31, "bf16 chain")
		m, k, n := 29, 70, 45
		a, b := normals(r, m*k), normals(r, k*n)
		ab, packed := make([]uint16, m*k), make([]uint16, s.PackedSizeBF16(k, n))
		s.RowsBF16(ab, k, a, k, m, k)
		s.PackBF16(packed, b, k, n, n, 1)
		want, got := make([]float32, m*n), make([]float32, m*n)
		s.GemmBF16(want, n, ab, k, packed, m, k, n, false)
		for i := range m {
			s.GemmBF16(got[i*n:], n, ab[i*k:], k, packed, 1, k, n, false)
		}
		sameBits(t, "row by row", got, want)
	})
}

// bothTiles runs f with the portable tile of bfloat16 pairs, and with the assembly where it runs.
func bothTiles(t *testing.T, f func(t *testing.T, s *Set)) {
	eachClass(t, f)
	if Detect() >= AVX512BF16 {
		t.Run(AVX512BF16.String(), func(t *testing.T) { f(t, For(AVX512BF16)) })
	}
}
