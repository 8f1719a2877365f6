package kernel

import (
	"fmt"
	"math"
	"testing"

	"github.com/smalti/smalti/rng"
)

// eachClass runs f for every class that this machine can run and that has float32 kernels of its own.
func eachClass(t *testing.T, f func(t *testing.T, s *Set)) {
	for c := Generic; c <= min(Detect(), AVX512); c++ {
		t.Run(c.String(), func(t *testing.T) { f(t, For(c)) })
	}
}

// some thins out the cases of a test in short mode (the race detector makes the references 15 times slower).
func some[T any](all []T) (s []T) {
	for i, v := range all {
		if !testing.Short() || i%3 == 2 {
			s = append(s, v)
		}
	}
	return
}

// canary fills guards; a kernel that touches one is caught by checkGuards.
const canary = float32(-12345.678)

const guard = 70

// guarded returns n elements with canaries on both sides, at an address that is not aligned.
func guarded(n int) (all, inner []float32) {
	all = make([]float32, n+2*guard+1)
	for i := range all {
		all[i] = canary
	}
	return all, all[guard+1 : guard+1+n : guard+1+n]
}

func checkGuards(t *testing.T, what string, all []float32) {
	t.Helper()
	n := len(all) - 2*guard - 1
	for i, v := range all {
		if (i <= guard || i > guard+n) && v != canary {
			t.Fatalf("%s: wrote %g at %d outside [0,%d)", what, v, i-guard-1, n)
		}
	}
}

func normals(s *rng.Stream, n int) []float32 {
	x := make([]float32, n)
	s.FillNormal(x)
	return x
}

// gemmRef computes one element of a product in float64, and the sum of the absolute terms (the scale of its error).
func gemmRef(k int, a, b func(q int) float32, c0 float32) (v, scale float64) {
	v, scale = float64(c0), math.Abs(float64(c0))
	for q := range k {
		p := float64(a(q)) * float64(b(q))
		v += p
		scale += math.Abs(p)
	}
	return
}

// near fails unless got is within k roundings of v.
func near(t *testing.T, what string, got float32, v, scale float64, k int) {
	t.Helper()
	if d := math.Abs(float64(got) - v); !(d <= float64(k+2)*scale*0x1p-24) {
		t.Fatalf("%s: got %g want %g (off by %g, scale %g)", what, got, v, d, scale)
	}
}

func TestGemmEveryRemainder(t *testing.T) {
	eachClass(t, func(t *testing.T, s *Set) {
		r := rng.New(1, "gemm")
		for m := 1; m <= 19; m++ {
			for _, n := range some([]int{1, 2, 3, 7, 8, 9, 15, 16, 17, 24, 31, 32, 33, 47, 48, 50, 64, 65}) {
				for _, k := range some([]int{1, 2, 3, 4, 5, 7, 8, 13}) {
					testGemm(t, s, r, m, k, n, (m+n+k)%2 == 0)
				}
			}
		}
	})
}

func testGemm(t *testing.T, s *Set, r *rng.Stream, m, k, n int, acc bool) {
	t.Helper()
	lda, ldc := k+m%3, n+k%3
	a, b := normals(r, m*lda), normals(r, k*n)
	all, c := guarded(m * ldc)
	for i := range m {
		r.FillNormal(c[i*ldc : i*ldc+n])
	}
	was := append([]float32(nil), c...)
	pAll, packed := guarded(s.PackedSize(k, n))
	s.PackB(packed, b, k, n, n, 1)
	checkGuards(t, "packed", pAll)
	s.Gemm(c, ldc, a, lda, packed, m, k, n, acc)
	what := fmt.Sprintf("m %d n %d k %d acc %v", m, n, k, acc)
	checkGuards(t, what, all)
	for i := range m {
		for j := range ldc {
			got, c0 := c[i*ldc+j], float32(0)
			if j >= n {
				if i < m-1 && got != canary {
					t.Fatalf("%s: wrote column %d of %d", what, j, n)
				}
				continue
			}
			if acc {
				c0 = was[i*ldc+j]
			}
			v, scale := gemmRef(k, func(q int) float32 { return a[i*lda+q] }, func(q int) float32 { return b[q*n+j] }, c0)
			near(t, fmt.Sprintf("%s at %d,%d", what, i, j), got, v, scale, k)
		}
	}
}

// TestGemmOneChain holds the law that any split of rows, columns and k gives the same bits.
func TestGemmOneChain(t *testing.T) {
	eachClass(t, func(t *testing.T, s *Set) {
		r := rng.New(2, "chain")
		m, k, n := 61, 203, 77
		a, b := normals(r, m*k), normals(r, k*n)
		packed := make([]float32, s.PackedSize(k, n))
		s.PackB(packed, b, k, n, n, 1)
		want := make([]float32, m*n)
		s.Gemm(want, n, a, k, packed, m, k, n, false)
		for _, rows := range []int{1, 2, 3, 5, 8, 13} {
			got := make([]float32, m*n)
			for i := 0; i < m; i += rows {
				s.Gemm(got[i*n:], n, a[i*k:], k, packed, min(rows, m-i), k, n, false)
			}
			sameBits(t, fmt.Sprintf("rows by %d", rows), got, want)
		}
		got := make([]float32, m*n)
		for j := 0; j < n; j += s.NR() {
			s.Gemm(got[j:], n, a, k, packed[j*k:], m, k, min(s.NR(), n-j), false)
		}
		sameBits(t, "columns", got, want)
		for _, step := range []int{1, 7, 64} {
			clear(got)
			for q := 0; q < k; q += step {
				kk := min(step, k-q)
				part := make([]float32, s.PackedSize(kk, n))
				s.PackB(part, b[q*n:], kk, n, n, 1)
				s.Gemm(got, n, a[q:], k, part, m, kk, n, true)
			}
			sameBits(t, fmt.Sprintf("k by %d", step), got, want)
		}
	})
}

func sameBits(t *testing.T, what string, got, want []float32) {
	t.Helper()
	for i := range want {
		if math.Float32bits(got[i]) != math.Float32bits(want[i]) {
			t.Fatalf("%s: element %d is %g (%08x), want %g (%08x)", what, i, got[i], math.Float32bits(got[i]), want[i], math.Float32bits(want[i]))
		}
	}
}

// TestClassesWithFMAAgree: the tiles of all classes with a fused multiply-add run the same chain.
func TestClassesWithFMAAgree(t *testing.T) {
	if Detect() < AVX512 {
		t.Skip("needs two classes with assembly")
	}
	r := rng.New(3, "agree")
	m, k, n := 23, 100, 53
	a, b := normals(r, m*k), normals(r, k*n)
	var results [2][]float32
	for i, c := range []Class{AVX2, AVX512} {
		s := For(c)
		packed := make([]float32, s.PackedSize(k, n))
		s.PackB(packed, b, k, n, n, 1)
		results[i] = make([]float32, m*n)
		s.Gemm(results[i], n, a, k, packed, m, k, n, false)
	}
	sameBits(t, "avx2 and avx512", results[0], results[1])
}

func TestPackStrides(t *testing.T) {
	eachClass(t, func(t *testing.T, s *Set) {
		r := rng.New(4, "pack")
		for _, k := range []int{1, 5, 16, 33} {
			for _, n := range []int{1, 7, 16, 31, 32, 33, 70} {
				b := normals(r, 3*k*n+3)
				for _, st := range [][2]int{{n, 1}, {1, k}, {n + 2, 1}, {1, k + 1}, {2 * n, 2}, {3, 3 * k}} {
					all, p := guarded(s.PackedSize(k, n))
					s.PackB(p, b, k, n, st[0], st[1])
					checkGuards(t, "packed", all)
					nr := s.NR()
					for i, got := range p {
						row, col := i/nr%k, i/(nr*k)*nr+i%nr
						want := float32(0)
						if col < n {
							want = b[row*st[0]+col*st[1]]
						}
						if got != want {
							t.Fatalf("k %d n %d strides %v: element %d,%d is %g want %g", k, n, st, row, col, got, want)
						}
					}
				}
			}
		}
	})
}

func TestGemmTaps(t *testing.T) {
	eachClass(t, func(t *testing.T, s *Set) {
		r := rng.New(5, "taps")
		for trial := range 60 {
			m, n, kc, taps := 1+trial%21, 1+r.IntN(70), 1+r.IntN(9), 1+trial%9
			size := 500
			a, b := normals(r, size), normals(r, taps*kc*n)
			g := TapGemm{LDC: n + trial%2, A: a, KC: kc, N: n, Acc: trial%3 == 0}
			for range m {
				g.Rows = append(g.Rows, 100+r.IntN(200))
			}
			for range taps {
				g.Taps = append(g.Taps, r.IntN(250)-100)
			}
			g.Packed = make([]float32, s.PackedSize(taps*kc, n))
			s.PackB(g.Packed, b, taps*kc, n, n, 1)
			all, c := guarded(m * g.LDC)
			r.FillNormal(c)
			was := append([]float32(nil), c...)
			g.C = c
			s.GemmTaps(&g)
			checkGuards(t, "C", all)
			for i := range m {
				for j := range n {
					c0 := float32(0)
					if g.Acc {
						c0 = was[i*g.LDC+j]
					}
					v, scale := gemmRef(taps*kc, func(q int) float32 { return a[g.Rows[i]+g.Taps[q/kc]+q%kc] }, func(q int) float32 { return b[q*n+j] }, c0)
					near(t, fmt.Sprintf("trial %d at %d,%d", trial, i, j), c[i*g.LDC+j], v, scale, taps*kc)
				}
			}
		}
	})
}

func TestGemmTapsRefusesOffsetsOutside(t *testing.T) {
	s := For(Detect())
	g := TapGemm{C: make([]float32, 1), LDC: 1, A: make([]float32, 10), Rows: []int{4}, Taps: []int{4}, KC: 3, N: 1, Packed: make([]float32, s.PackedSize(3, 1))}
	defer func() {
		if recover() == nil {
			t.Fatal("read outside A without a panic")
		}
	}()
	s.GemmTaps(&g)
}

func TestGemmTrans(t *testing.T) {
	eachClass(t, func(t *testing.T, s *Set) {
		r := rng.New(6, "trans")
		for m := 1; m <= 19; m++ {
			for _, n := range []int{1, 8, 9, 16, 17, 32, 40} {
				kc, runs := 1+r.IntN(11), 1+m%4
				g := TransGemm{LDC: n, LDA: m + n%3, KC: kc, M: m, N: n, Acc: m%2 == 0}
				a, b := normals(r, 300+kc*g.LDA), normals(r, runs*kc*n)
				for range runs {
					g.Runs = append(g.Runs, r.IntN(250))
				}
				g.A = a
				g.Packed = make([]float32, s.PackedSize(runs*kc, n))
				s.PackB(g.Packed, b, runs*kc, n, n, 1)
				all, c := guarded(m * n)
				r.FillNormal(c)
				was := append([]float32(nil), c...)
				g.C = c
				s.GemmTrans(&g)
				checkGuards(t, "C", all)
				for i := range m {
					for j := range n {
						c0 := float32(0)
						if g.Acc {
							c0 = was[i*n+j]
						}
						v, scale := gemmRef(runs*kc, func(q int) float32 { return a[g.Runs[q/kc]+q%kc*g.LDA+i] }, func(q int) float32 { return b[q*n+j] }, c0)
						near(t, fmt.Sprintf("m %d n %d at %d,%d", m, n, i, j), c[i*n+j], v, scale, runs*kc)
					}
				}
			}
		}
	})
}

func TestGemmPropagatesNaN(t *testing.T) {
	eachClass(t, func(t *testing.T, s *Set) {
		nan := float32(math.NaN())
		a, packed, c := []float32{nan, 0}, make([]float32, s.PackedSize(2, 1)), make([]float32, 1)
		s.Gemm(c, 1, a, 2, packed, 1, 2, 1, false)
		if c[0] == c[0] {
			t.Fatalf("NaN*0 + 0 gave %g", c[0])
		}
	})
}

func TestGemmEmpty(t *testing.T) {
	s := For(Detect())
	c := []float32{1, 2}
	s.Gemm(c, 2, nil, 0, nil, 1, 0, 2, true)
	if c[0] != 1 {
		t.Fatal("k = 0 with acc must leave C")
	}
	s.Gemm(c, 2, nil, 0, nil, 1, 0, 2, false)
	if c[0] != 0 || c[1] != 0 {
		t.Fatal("k = 0 must clear C")
	}
	s.Gemm(nil, 0, nil, 0, nil, 0, 5, 0, false)
}
