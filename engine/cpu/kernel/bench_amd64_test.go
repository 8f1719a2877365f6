package kernel

import (
	"fmt"
	"testing"
	"time"

	"github.com/smalti/smalti/rng"
)

// best is the least wall time of f in seconds over 0.2 s (and at least 5 runs): run the benchmarks with -benchtime 1x.
func best(_ *testing.B, f func()) float64 {
	f()
	t := 1e9
	begin := time.Now()
	for i := 0; i < 5 || time.Since(begin) < 200*time.Millisecond; i++ {
		start := time.Now()
		f()
		t = min(t, time.Since(start).Seconds())
	}
	return t
}

// bestJobs is the sum of the least wall times of n jobs over 0.4 s: on a machine with other work it says what one core
// does between interruptions.
func bestJobs(n int, f func(job int)) float64 {
	t := make([]float64, n)
	begin := time.Now()
	for i := 0; i < 3 || time.Since(begin) < 400*time.Millisecond; i++ {
		for j := range t {
			start := time.Now()
			f(j)
			if d := time.Since(start).Seconds(); i > 0 && (t[j] == 0 || d < t[j]) {
				t[j] = d
			}
		}
	}
	sum := 0.0
	for _, v := range t {
		sum += v
	}
	return sum
}

// peakRate measures multiply-adds per second of one core (times two) beside the kernel under test.
func peakRate(s *Set, bf16 bool) float64 {
	if s.class < AVX2 {
		return 0
	}
	const n = 20000
	flops, loop := 24.0*n*32, peakAVX512
	switch {
	case bf16:
		flops, loop = flops*2, peakBF16
	case s.class < AVX512:
		flops, loop = flops/2, peakAVX2
	}
	t := 1e9
	for range 20 {
		start := time.Now()
		loop(n)
		t = min(t, time.Since(start).Seconds())
	}
	return flops / t
}

// reportFlops reports the rate of best-of-N and its share of the peak loop that ran beside it.
func reportFlops(b *testing.B, s *Set, bf16 bool, flops, seconds float64) {
	b.ReportMetric(flops/seconds*1e-9, "GFLOP/s")
	if p := peakRate(s, bf16); p > 0 {
		b.ReportMetric(100*flops/seconds/p, "%peak")
	}
}

func BenchmarkGemm(b *testing.B) {
	for c := AVX2; c <= Detect() && c <= AVX512; c++ {
		s := For(c)
		for _, d := range [][3]int{{1600, 768, 3072}, {1600, 3072, 768}, {1024, 1024, 1024}, {50, 64, 50}, {256, 27, 64}, {1024, 576, 16}, {61, 300, 70}} {
			m, k, n := d[0], d[1], d[2]
			r := rng.New(1, "bench")
			a, w, out := normals(r, m*k), normals(r, k*n), make([]float32, m*n)
			packed := make([]float32, s.PackedSize(k, n))
			b.Run(fmt.Sprintf("%s/%dx%dx%d", c, m, k, n), func(b *testing.B) {
				s.PackB(packed, w, k, n, n, 1)
				reportFlops(b, s, false, 2*float64(m*k*n), bestJobs((m+127)/128, func(j int) {
					s.Gemm(out[j*128*n:], n, a[j*128*k:], k, packed, min(128, m-j*128), k, n, false)
				}))
			})
			b.Run(fmt.Sprintf("%s/%dx%dx%d+pack", c, m, k, n), func(b *testing.B) {
				reportFlops(b, s, false, 2*float64(m*k*n), best(b, func() {
					s.PackB(packed, w, k, n, n, 1)
					s.Gemm(out, n, a, k, packed, m, k, n, false)
				}))
			})
		}
	}
}

// BenchmarkLoops reports cycles-free figures: nanoseconds per 16 floats in the first-level cache, and milliseconds for 4M.
func BenchmarkLoops(b *testing.B) {
	for c := AVX2; c <= Detect() && c <= AVX512; c++ {
		s := For(c)
		for _, op := range []Op{Neg, Exp, Log, Tanh, Logistic, Erf, Swish, QuickGELU, GELU, Add, Max, SwishGrad, GELUGrad} {
			for _, n := range []int{2048, 4 << 20} {
				x, y, dst := make([]float32, n), make([]float32, n), make([]float32, n)
				r := rng.New(1, "bench")
				r.FillNormal(x[:2048])
				r.FillNormal(y[:2048])
				for i := 2048; i < n; i += 2048 {
					copy(x[i:], x[:2048])
					copy(y[i:], y[:2048])
				}
				b.Run(fmt.Sprintf("%s/%s/%d", c, op, n), func(b *testing.B) {
					t := best(b, func() {
						for range max(1, 1<<20/n) {
							if op.IsUnary() {
								s.Unary(op, dst, x)
							} else {
								s.Binary(op, dst, x, y)
							}
						}
					}) / float64(max(1, 1<<20/n))
					b.ReportMetric(t*1e9/float64(n)*16, "ns/16")
					b.ReportMetric(t*1e3, "ms")
				})
			}
		}
	}
}

func BenchmarkConv(b *testing.B) {
	s := For(min(Detect(), AVX512))
	for _, d := range [][5]int{{1, 16, 16, 512, 512}, {1, 32, 32, 512, 512}, {1, 64, 64, 256, 256}, {1, 128, 128, 128, 128}, {1, 256, 256, 128, 128}, {1, 63, 61, 96, 160}, {64, 32, 32, 32, 32}, {64, 32, 32, 64, 64}, {64, 8, 8, 256, 256}, {1, 256, 256, 3, 128}, {64, 32, 32, 3, 32}, {1, 256, 256, 128, 3}, {64, 32, 32, 16, 16}, {64, 4, 4, 256, 512}} {
		c := square(d[0], d[1], d[2], d[3], d[4], 1)
		r := rng.New(1, "bench")
		in, w, out := normals(r, c.N*c.H*c.W*c.Cin), normals(r, 9*c.Cin*c.Cout), make([]float32, c.N*c.OutH*c.OutW*c.Cout)
		flops := 18 * float64(c.N*c.OutH*c.OutW) * float64(c.Cin*c.Cout)
		b.Run(fmt.Sprintf("winogradgrad/%dx%dx%d-%d-%d", d[0], d[1], d[2], d[3], d[4]), func(b *testing.B) {
			g := s.NewWinogradGrad(c)
			scratch, dw := make([]float32, g.Scratch()), make([]float32, len(w))
			reportFlops(b, s, false, flops, bestJobs(g.Jobs(), func(j int) { g.Run(j, dw, in, out, scratch) }))
		})
		for _, k := range []struct {
			name string
			v    Conv
		}{{"winograd", s.NewWinograd(c)}, {"direct", s.NewDirect(c)}} {
			packed, scratch := make([]float32, k.v.WeightSize()), make([]float32, k.v.Scratch())
			b.Run(fmt.Sprintf("%s/%dx%dx%d-%d-%d", k.name, d[0], d[1], d[2], d[3], d[4]), func(b *testing.B) {
				t := best(b, func() { k.v.PackWeights(packed, w) })
				b.ReportMetric(t*1e3, "pack-ms")
				reportFlops(b, s, false, flops, bestJobs(k.v.Jobs(), func(j int) { k.v.Run(j, out, in, packed, nil, scratch) }))
			})
		}
	}
}

func BenchmarkGemmBF16(b *testing.B) {
	if Detect() < AVX512BF16 {
		b.Skip("needs bf16 dot products")
	}
	s := For(AVX512BF16)
	for _, d := range [][3]int{{1600, 768, 3072}, {1600, 3072, 768}, {1024, 1024, 1024}} {
		m, k, n := d[0], d[1], d[2]
		r := rng.New(1, "bench")
		a, w, out := normals(r, m*k), normals(r, k*n), make([]float32, m*n)
		ab, packed := make([]uint16, 64*(k+32)), make([]uint16, s.PackedSizeBF16(k, n))
		b.Run(fmt.Sprintf("%dx%dx%d", m, k, n), func(b *testing.B) {
			b.ReportMetric(1e3*best(b, func() { s.PackBF16(packed, w, k, n, n, 1) }), "pack-ms")
			reportFlops(b, s, true, 2*float64(m*k*n), bestJobs((m+63)/64, func(j int) {
				rows := min(64, m-j*64)
				s.RowsBF16(ab, k+32, a[j*64*k:], k, rows, k)
				s.GemmBF16(out[j*64*n:], n, ab, k+32, packed, rows, k, n, false)
			}))
		})
	}
}

func BenchmarkRows(b *testing.B) {
	for c := AVX2; c <= min(Detect(), AVX512); c++ {
		s := For(c)
		const rows, n = 1600, 768
		r := rng.New(1, "bench")
		x, dst := normals(r, rows*n), make([]float32, rows*n)
		for _, k := range []struct {
			name string
			n    int
			f    func(j int)
		}{
			{"softmax-1600x768", rows / 16, func(j int) { s.SoftmaxRows(dst[j*16*n:], x[j*16*n:], 16, n) }},
			{"transpose-768x1600", 1, func(int) { s.Transpose(dst, rows, x, n, rows, n) }},
		} {
			b.Run(fmt.Sprintf("%s/%s", c, k.name), func(b *testing.B) { b.ReportMetric(1e3*bestJobs(k.n, k.f), "ms") })
		}
	}
}

func BenchmarkGemmTrans(b *testing.B) {
	s := For(min(Detect(), AVX512))
	for _, d := range [][3]int{{768, 1600, 3072}, {3072, 1600, 768}, {512, 256, 512}, {64, 1024, 64}} {
		m, k, n := d[0], d[1], d[2]
		r := rng.New(1, "bench")
		a, w, out := normals(r, m*k), normals(r, k*n), make([]float32, m*n)
		packed := make([]float32, s.PackedSize(k, n))
		s.PackB(packed, w, k, n, n, 1)
		b.Run(fmt.Sprintf("%dx%dx%d", m, k, n), func(b *testing.B) {
			cols := (n + 127) / 128
			reportFlops(b, s, false, 2*float64(m*k*n), bestJobs((m+63)/64*cols, func(j int) {
				i, j := j/cols*64, j%cols*128
				s.GemmTrans(&TransGemm{C: out[i*n+j:], LDC: n, A: a[i:], LDA: m, Runs: []int{0}, KC: k, Packed: packed[j*k:], M: min(64, m-i), N: min(128, n-j)})
			}))
		})
	}
}
