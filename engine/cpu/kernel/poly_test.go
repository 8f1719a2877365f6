package kernel

import (
	"fmt"
	"math"
	"testing"

	"github.com/smalti/smalti/rng"
)

// polyCase is a drawn PolyShape with the sizes of its arrays.
type polyCase struct {
	PolyShape
	in, w, out int
}

// drawPoly draws sizes, pads, strides of all arrays and missing taps.
func drawPoly(r *rng.Stream, i int) polyCase {
	c := polyCase{PolyShape: PolyShape{N: 1 + r.IntN(5), Cin: 1 + r.IntN(40), Cout: 1 + r.IntN(70), OutH: 1 + r.IntN(11), OutW: 1 + r.IntN(11)}}
	if i%5 == 0 {
		c.Cin, c.Cout = 100+r.IntN(60), 100+r.IntN(90)
	}
	if i%7 == 0 {
		c.N, c.OutH, c.OutW = 40, 4, 4
	}
	size, matrices := c.Cin*c.Cout, 0
	c.WIn, c.WOut = c.Cout, 1
	if i%2 == 1 {
		c.WIn, c.WOut = 1, c.Cin
	}
	for range 1 + r.IntN(4) {
		p := PolyPart{H: 1 + r.IntN(12), W: 1 + r.IntN(12), PadTop: r.IntN(4) - 1, PadLeft: r.IntN(4) - 1}
		p.In.X = c.Cin + r.IntN(3)
		p.In.Y = p.W*p.In.X + r.IntN(3)
		p.In.N, p.In.At = p.H*p.In.Y, r.IntN(9)
		for t := range p.Taps {
			p.Taps[t] = NoTap
			if r.IntN(6) > 0 {
				p.Taps[t] = matrices * size
				matrices++
			}
		}
		c.Parts, c.in = append(c.Parts, p), max(c.in, p.In.At+c.N*p.In.N)
	}
	c.Out.X = c.Cout + r.IntN(4)
	c.Out.Y = c.OutW*c.Out.X + r.IntN(4)
	c.Out.N, c.Out.At = c.OutH*c.Out.Y, r.IntN(9)
	c.w, c.out = max(1, matrices)*size, c.Out.At+c.N*c.Out.N
	return c
}

// visit calls f for every product: element of the input, of the weights and of the output.
func (c polyCase) visit(f func(in, w, out int)) {
	for p := range c.N * c.OutH * c.OutW {
		n, oy, ox := p/(c.OutH*c.OutW), p/c.OutW%c.OutH, p%c.OutW
		for _, part := range c.Parts {
			for t, at := range part.Taps {
				y, x := oy+t/2-part.PadTop, ox+t%2-part.PadLeft
				if at == NoTap || y < 0 || x < 0 || y >= part.H || x >= part.W {
					continue
				}
				for i := range c.Cin {
					for o := range c.Cout {
						f(part.In.At+n*part.In.N+y*part.In.Y+x*part.In.X+i, at+i*c.WIn+o*c.WOut, c.Out.At+n*c.Out.N+oy*c.Out.Y+ox*c.Out.X+o)
					}
				}
			}
		}
	}
}

// halves is the PolyShape of a convolution 4x4 with stride 2 and pad 1; byIn has the in-channels of its weights innermost.
func halves(n, side, cin, cout int, byIn bool) PolyShape {
	o := side / 2
	c := PolyShape{N: n, Cin: cin, Cout: cout, OutH: o, OutW: o, WIn: cout, WOut: 1, Out: View{N: o * o * cout, Y: o * cout, X: cout}}
	if byIn {
		c.WIn, c.WOut = 1, cin
	}
	for f := range 4 {
		y, x := f/2, f%2
		p := PolyPart{In: View{At: (y*side + x) * cin, N: side * side * cin, Y: 2 * side * cin, X: 2 * cin}, H: o, W: o, PadTop: y, PadLeft: x}
		for t := range p.Taps {
			p.Taps[t] = ((1-y+t/2*2)*4 + 1 - x + t%2*2) * cin * cout
		}
		c.Parts = append(c.Parts, p)
	}
	return c
}

func TestPoly(t *testing.T) {
	eachClass(t, func(t *testing.T, s *Set) {
		r := rng.New(30, "poly")
		for i := range 40 {
			c := drawPoly(r, i)
			if s.class == Generic && i%4 != 0 {
				continue
			}
			in, w, bias := normals(r, c.in), normals(r, c.w), normals(r, c.Cout)
			all, out := guarded(c.out)
			want := make([]float64, c.out)
			for k := range out {
				out[k] = float32(k % 7) // what lies between the pixels must stay
				want[k] = float64(out[k])
			}
			for p := range c.N * c.OutH * c.OutW {
				at := c.Out.At + p/(c.OutH*c.OutW)*c.Out.N + p/c.OutW%c.OutH*c.Out.Y + p%c.OutW*c.Out.X
				for o := range c.Cout {
					if want[at+o] = float64(bias[o]); i%3 == 0 {
						want[at+o] = 0
					}
				}
			}
			if i%3 == 0 {
				bias = nil
			}
			c.visit(func(i, k, o int) { want[o] += float64(in[i]) * float64(w[k]) })
			p := s.NewPoly(c.PolyShape)
			sAll, scratch := guarded(p.Scratch())
			for k := range scratch {
				scratch[k] = float32(math.NaN())
			}
			for j := p.Jobs() - 1; j >= 0; j-- {
				p.Run(j, out, in, w, bias, scratch)
			}
			checkGuards(t, "out", all)
			checkGuards(t, "scratch", sAll)
			closeTo(t, fmt.Sprintf("case %d: %+v", i, c), out, want, 5e-5)
		}
	})
}

// TestPolyBatches: a picture gives the same bits in any batch.
func TestPolyBatches(t *testing.T) {
	eachClass(t, func(t *testing.T, s *Set) {
		r := rng.New(31, "poly batches")
		c := drawPoly(r, 0)
		in, w := normals(r, c.in), normals(r, c.w)
		all := make([]float32, c.out)
		run := func(c PolyShape, out, in []float32) {
			p := s.NewPoly(c)
			scratch := make([]float32, p.Scratch())
			for j := range p.Jobs() {
				p.Run(j, out, in, w, nil, scratch)
			}
		}
		for i := range c.Parts {
			c.Parts[i].In.N = c.in // one distance for all parts
		}
		in = normals(r, c.in*c.N)
		run(c.PolyShape, all, in)
		one := c.PolyShape
		one.N = 1
		for n := range c.N {
			got := make([]float32, c.Out.At+c.Out.N)
			run(one, got, in[n*c.in:])
			sameBits(t, "picture alone", got[c.Out.At:], all[c.Out.At+n*c.Out.N:][:c.Out.N])
		}
	})
}

func TestPolyGrad(t *testing.T) {
	eachClass(t, func(t *testing.T, s *Set) {
		r := rng.New(32, "poly gradient")
		for i := range 40 {
			c := drawPoly(r, i)
			if s.class == Generic && i%4 != 0 {
				continue
			}
			x, dy := normals(r, c.in), normals(r, c.out)
			want := make([]float64, c.w)
			c.visit(func(i, k, o int) { want[k] += float64(x[i]) * float64(dy[o]) })
			all, dw := guarded(c.w)
			g := s.NewPolyGrad(c.PolyShape)
			sAll, scratch := guarded(g.Scratch())
			for k := range scratch {
				scratch[k] = float32(math.NaN())
			}
			for j := g.Jobs() - 1; j >= 0; j-- {
				g.Run(j, dw, x, dy, scratch)
			}
			checkGuards(t, "dw", all)
			checkGuards(t, "scratch", sAll)
			if g.Jobs() == 0 {
				continue // no tap at all
			}
			closeTo(t, fmt.Sprintf("case %d: %+v", i, c), dw, want, 5e-5)
		}
	})
}
