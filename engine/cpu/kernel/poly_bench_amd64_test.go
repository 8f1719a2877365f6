package kernel

import (
	"fmt"
	"testing"

	"github.com/smalti/smalti/rng"
)

func BenchmarkPoly(b *testing.B) {
	s := For(min(Detect(), AVX512))
	for _, d := range [][4]int{{32, 8, 256, 512}, {32, 16, 128, 256}, {32, 32, 64, 128}, {32, 64, 3, 64}} {
		n, side, cin, cout := d[0], d[1], d[2], d[3]
		r := rng.New(1, "bench")
		in, w, out := normals(r, n*side*side*cin), normals(r, 16*cin*cout), make([]float32, n*side*side/4*cout)
		flops := 2 * 16 * float64(len(out)) * float64(cin)
		for _, byIn := range []bool{false, true} {
			few := cin < 16 // the engine computes only the transposed one of them so
			c := halves(n, side, cin, cout, byIn)
			if !few {
				b.Run(fmt.Sprintf("forward/%v byIn %v", d, byIn), func(b *testing.B) {
					p := s.NewPoly(c)
					scratch := make([]float32, p.Scratch())
					t := bestJobs(p.Jobs(), func(j int) { p.Run(j, out, in, w, nil, scratch) })
					b.ReportMetric(t*1e3, "ms")
					reportFlops(b, s, false, flops, t)
				})
				b.Run(fmt.Sprintf("gradient/%v byIn %v", d, byIn), func(b *testing.B) {
					g := s.NewPolyGrad(c)
					scratch, dw := make([]float32, g.Scratch()), make([]float32, len(w))
					t := bestJobs(g.Jobs(), func(j int) { g.Run(j, dw, in, out, scratch) })
					b.ReportMetric(t*1e3, "ms")
					reportFlops(b, s, false, flops, t)
				})
			}
			// A phase of the transposed convolution: one part with four taps, cout to cin.
			b.Run(fmt.Sprintf("phase/%v byIn %v", d, byIn), func(b *testing.B) {
				o := side / 2
				t := c
				t.Cin, t.Cout, t.WIn, t.WOut = cout, cin, c.WOut, c.WIn
				t.Out = View{N: side * side * cin, Y: 2 * side * cin, X: 2 * cin}
				t.Parts = []PolyPart{{In: View{N: o * o * cout, Y: o * cout, X: cout}, H: o, W: o, Taps: c.Parts[0].Taps}}
				p := s.NewPoly(t)
				scratch := make([]float32, p.Scratch())
				sec := bestJobs(p.Jobs(), func(j int) { p.Run(j, in, out, w, nil, scratch) })
				b.ReportMetric(4*sec*1e3, "ms")
				reportFlops(b, s, false, flops/4, sec)
			})
		}
	}
}
