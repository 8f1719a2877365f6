package kernel

import (
	"fmt"
	"math"
	"testing"

	"github.com/smalti/smalti/rng"
)

// FuzzConv compares all algorithms in all classes on a shape: forward and weight gradient.
func FuzzConv(f *testing.F) {
	f.Add(uint64(1), uint8(1), uint8(8), uint8(8), uint8(16), uint8(16), uint8(0x33), uint8(0x11), uint8(0x11))
	f.Add(uint64(2), uint8(2), uint8(5), uint8(9), uint8(3), uint8(40), uint8(0x33), uint8(0x11), uint8(0x11))
	f.Add(uint64(3), uint8(1), uint8(7), uint8(6), uint8(33), uint8(7), uint8(0x42), uint8(0x21), uint8(0x02))
	f.Add(uint64(4), uint8(3), uint8(1), uint8(30), uint8(5), uint8(5), uint8(0x13), uint8(0x12), uint8(0x10))
	f.Fuzz(func(t *testing.T, seed uint64, n, h, w, cin, cout, kernel, stride, pad uint8) {
		c := ConvShape{N: 1 + int(n%3), H: 1 + int(h%24), W: 1 + int(w%24), Cin: 1 + int(cin%70), Cout: 1 + int(cout%70), KH: 1 + int(kernel>>4%5), KW: 1 + int(kernel%5),
			StrideH: 1 + int(stride>>4%3), StrideW: 1 + int(stride%3), DilH: 1 + int(stride>>6%2), DilW: 1 + int(stride>>3%2), PadTop: int(pad>>4%5) - 1, PadLeft: int(pad%5) - 1}
		c.OutH, c.OutW = (c.H+2*c.PadTop-(c.KH-1)*c.DilH-1)/c.StrideH+1, (c.W+2*c.PadLeft-(c.KW-1)*c.DilW-1)/c.StrideW+1
		if c.OutH < 1 || c.OutW < 1 {
			t.Skip("no output")
		}
		r := rng.New(seed, "fuzz")
		x, wt, dy := normals(r, c.N*c.H*c.W*c.Cin), normals(r, c.KH*c.KW*c.Cin*c.Cout), normals(r, c.N*c.OutH*c.OutW*c.Cout)
		out, grad := convRef(c, x, wt, nil), gradRef(c, x, dy)
		eachClass(t, func(t *testing.T, s *Set) {
			closeTo(t, "direct", runConv(t, s, s.NewDirect(c), c, x, wt, nil), out, 4e-6)
			if c.FitsWinograd() {
				closeTo(t, "winograd", runConv(t, s, s.NewWinograd(c), c, x, wt, nil), out, 5e-5)
				closeTo(t, "winograd gradient", runGrad(s.NewWinogradGrad(c), x, dy, len(wt)), grad, 5e-5)
			}
		})
	})
}

// runGrad runs all jobs of a weight gradient.
func runGrad(g interface {
	Jobs() int
	Scratch() int
	Run(job int, dw, x, dy, scratch []float32)
}, x, dy []float32, size int) []float32 {
	dw, scratch := make([]float32, size), make([]float32, g.Scratch())
	for i := range dw {
		dw[i] = float32(math.NaN())
	}
	for j := range g.Jobs() {
		g.Run(j, dw, x, dy, scratch)
	}
	return dw
}

// FuzzGemm compares the float32 products of all classes with float64 on any shape,
// leading dimension and split of the rows.
func FuzzGemm(f *testing.F) {
	f.Add(uint64(1), uint8(1), uint8(1), uint8(1), uint8(0))
	f.Add(uint64(2), uint8(8), uint8(32), uint8(17), uint8(3))
	f.Add(uint64(3), uint8(13), uint8(65), uint8(200), uint8(1))
	f.Add(uint64(4), uint8(255), uint8(7), uint8(2), uint8(6))
	f.Fuzz(func(t *testing.T, seed uint64, rows, cols, depth, extra uint8) {
		m, n, k := 1+int(rows%70), 1+int(cols%100), 1+int(depth)
		lda, ldc, acc := k+int(extra%5), n+int(extra/5%5), extra&1 == 1
		r := rng.New(seed, "fuzz")
		a, b, was := normals(r, m*lda), normals(r, k*n), normals(r, m*ldc)
		eachClass(t, func(t *testing.T, s *Set) {
			packed := make([]float32, s.PackedSize(k, n))
			s.PackB(packed, b, k, n, n, 1)
			got, parts := append([]float32(nil), was...), append([]float32(nil), was...)
			s.Gemm(got, ldc, a, lda, packed, m, k, n, acc)
			for i, step := 0, 1+int(seed%7); i < m; i += step {
				s.Gemm(parts[i*ldc:], ldc, a[i*lda:], lda, packed, min(step, m-i), k, n, acc)
			}
			sameBits(t, "rows in parts", parts, got)
			for i := range m {
				for j := range n {
					c0 := float32(0)
					if acc {
						c0 = was[i*ldc+j]
					}
					v, scale := gemmRef(k, func(q int) float32 { return a[i*lda+q] }, func(q int) float32 { return b[q*n+j] }, c0)
					near(t, fmt.Sprintf("m %d n %d k %d at %d,%d", m, n, k, i, j), got[i*ldc+j], v, scale, k)
				}
			}
		})
	})
}
