package kernel

import (
	"fmt"
	"math"
	"testing"

	"github.com/smalti/smalti/rng"
)

// convRef computes a convolution in float64.
func convRef(c ConvShape, in, w, bias []float32) []float64 {
	out := make([]float64, c.N*c.OutH*c.OutW*c.Cout)
	for p := range c.N * c.OutH * c.OutW {
		n, y, x := p/(c.OutH*c.OutW), p/c.OutW%c.OutH, p%c.OutW
		acc := out[p*c.Cout:][:c.Cout]
		for o := range bias {
			acc[o] = float64(bias[o])
		}
		for t := range c.KH * c.KW {
			iy, ix := y*c.StrideH+t/c.KW*c.DilH-c.PadTop, x*c.StrideW+t%c.KW*c.DilW-c.PadLeft
			if iy < 0 || ix < 0 || iy >= c.H || ix >= c.W {
				continue
			}
			for ci := range c.Cin {
				v := float64(in[((n*c.H+iy)*c.W+ix)*c.Cin+ci])
				for o, f := range w[(t*c.Cin+ci)*c.Cout:][:c.Cout] {
					acc[o] += v * float64(f)
				}
			}
		}
	}
	return out
}

// runConv packs and runs all jobs in reverse order, with guards round the output.
func runConv(t *testing.T, s *Set, v Conv, c ConvShape, in, w, bias []float32) []float32 {
	t.Helper()
	pAll, packed := guarded(v.WeightSize())
	v.PackWeights(packed, w)
	checkGuards(t, "packed", pAll)
	all, out := guarded(c.N * c.OutH * c.OutW * c.Cout)
	sAll, scratch := guarded(v.Scratch())
	for i := range scratch {
		scratch[i] = float32(math.NaN()) // nobody may depend on what was there
	}
	for j := v.Jobs() - 1; j >= 0; j-- {
		v.Run(j, out, in, packed, bias, scratch)
	}
	checkGuards(t, "out", all)
	checkGuards(t, "scratch", sAll)
	return out
}

// closeTo fails unless got is within tol of the largest want.
func closeTo(t *testing.T, what string, got []float32, want []float64, tol float64) {
	t.Helper()
	top := 1e-30
	for _, v := range want {
		top = max(top, math.Abs(v))
	}
	for i, v := range want {
		if d := math.Abs(float64(got[i]) - v); !(d <= tol*top) {
			t.Fatalf("%s: element %d is %g, want %g (off by %.2g of max)", what, i, got[i], v, d/top)
		}
	}
}

func square(n, h, w, cin, cout, pad int) ConvShape {
	return ConvShape{N: n, H: h, W: w, Cin: cin, OutH: h + 2*pad - 2, OutW: w + 2*pad - 2, Cout: cout, KH: 3, KW: 3, StrideH: 1, StrideW: 1, DilH: 1, DilW: 1, PadTop: pad, PadLeft: pad}
}

func TestWinograd(t *testing.T) {
	shapes := []ConvShape{
		square(1, 4, 4, 16, 32, 1), square(1, 8, 8, 32, 32, 1), square(2, 7, 5, 3, 5, 1), square(1, 13, 6, 17, 33, 1), square(3, 9, 10, 24, 40, 1),
		square(1, 6, 6, 16, 16, 0), square(1, 3, 3, 8, 8, 2), square(1, 1, 1, 1, 1, 1), square(2, 5, 9, 40, 70, 1), square(1, 17, 18, 64, 130, 1),
		square(1, 1, 9, 16, 7, 1), square(40, 4, 4, 16, 16, 1),
	}
	odd := square(1, 10, 9, 20, 36, 1)
	odd.PadTop, odd.OutH = 0, 12 // more padding below than above
	neg := square(1, 10, 9, 20, 36, 1)
	neg.PadTop, neg.PadLeft, neg.OutH, neg.OutW = -2, -1, 4, 5
	shapes = append(shapes, odd, neg)
	eachClass(t, func(t *testing.T, s *Set) {
		r := rng.New(20, "winograd")
		for i, c := range some(shapes) {
			in, w, bias := normals(r, c.N*c.H*c.W*c.Cin), normals(r, 9*c.Cin*c.Cout), normals(r, c.Cout)
			if i%3 == 0 {
				bias = nil
			}
			got := runConv(t, s, s.NewWinograd(c), c, in, w, bias)
			closeTo(t, fmt.Sprintf("%+v", c), got, convRef(c, in, w, bias), 5e-5)
		}
	})
}

// convShapes are small convolutions of every form.
func convShapes(r *rng.Stream, count int) (shapes []ConvShape) {
	for len(shapes) < count {
		c := ConvShape{N: 1 + r.IntN(3), H: 1 + r.IntN(12), W: 1 + r.IntN(12), Cin: 1 + r.IntN(35), Cout: 1 + r.IntN(40), KH: 1 + r.IntN(4), KW: 1 + r.IntN(4),
			StrideH: 1 + r.IntN(3), StrideW: 1 + r.IntN(3), DilH: 1 + r.IntN(2), DilW: 1 + r.IntN(2), PadTop: r.IntN(5) - 1, PadLeft: r.IntN(5) - 1}
		if len(shapes)%4 == 0 {
			c.Cin, c.Cout = 32, 32
		}
		if len(shapes)%7 == 0 {
			c.W = 150 // several column blocks
		}
		c.OutH = (c.H+c.PadTop+r.IntN(4)-(c.KH-1)*c.DilH-1)/c.StrideH + 1
		c.OutW = (c.W+c.PadLeft+r.IntN(4)-(c.KW-1)*c.DilW-1)/c.StrideW + 1
		if c.OutH > 0 && c.OutW > 0 {
			shapes = append(shapes, c)
		}
	}
	return
}

func TestDirect(t *testing.T) {
	eachClass(t, func(t *testing.T, s *Set) {
		r := rng.New(23, "direct")
		shapes := append(convShapes(r, 60), square(20, 4, 4, 8, 33, 1), square(1, 5, 70, 32, 40, 1), square(9, 3, 3, 40, 100, 0))
		for i, c := range some(shapes) {
			in, w, bias := normals(r, c.N*c.H*c.W*c.Cin), normals(r, c.KH*c.KW*c.Cin*c.Cout), normals(r, c.Cout)
			if i%3 == 0 {
				bias = nil
			}
			got := runConv(t, s, s.NewDirect(c), c, in, w, bias)
			closeTo(t, fmt.Sprintf("%+v", c), got, convRef(c, in, w, bias), 2e-6)
		}
	})
}

// TestDirectBatches: a picture gives the same bits in any batch.
func TestDirectBatches(t *testing.T) {
	eachClass(t, func(t *testing.T, s *Set) {
		r := rng.New(24, "batches")
		c := square(19, 5, 6, 18, 50, 1)
		in, w := normals(r, c.N*c.H*c.W*c.Cin), normals(r, 9*c.Cin*c.Cout)
		all := runConv(t, s, s.NewDirect(c), c, in, w, nil)
		one := c
		one.N = 1
		for n := range c.N {
			got := runConv(t, s, s.NewDirect(one), one, in[n*c.H*c.W*c.Cin:][:c.H*c.W*c.Cin], w, nil)
			sameBits(t, "picture alone", got, all[n*c.H*c.W*c.Cout:][:len(got)])
		}
	})
}

// TestWinogradBatches: a picture gives the same bits in any batch.
func TestWinogradBatches(t *testing.T) {
	eachClass(t, func(t *testing.T, s *Set) {
		r := rng.New(21, "batches")
		c := square(5, 10, 11, 18, 50, 1)
		in, w := normals(r, c.N*c.H*c.W*c.Cin), normals(r, 9*c.Cin*c.Cout)
		all := runConv(t, s, s.NewWinograd(c), c, in, w, nil)
		one := c
		one.N = 1
		for n := range c.N {
			got := runConv(t, s, s.NewWinograd(one), one, in[n*c.H*c.W*c.Cin:][:c.H*c.W*c.Cin], w, nil)
			sameBits(t, "picture alone", got, all[n*c.H*c.W*c.Cout:][:len(got)])
		}
	})
}

func TestInputGradByFlippedWeights(t *testing.T) {
	eachClass(t, func(t *testing.T, s *Set) {
		r := rng.New(22, "grad")
		c := square(2, 9, 7, 20, 35, 1)
		x, w, dy := normals(r, c.N*c.H*c.W*c.Cin), normals(r, 9*c.Cin*c.Cout), normals(r, c.N*c.OutH*c.OutW*c.Cout)
		// The adjoint identity <conv(x), dy> = <x, grad(dy)>.
		y := convRef(c, x, w, nil)
		flipped := make([]float32, len(w))
		s.FlipTranspose(flipped, w, 9, c.Cin, c.Cout)
		g := c.InputGrad()
		dx := runConv(t, s, s.NewWinograd(g), g, dy, flipped, nil)
		var a, b, scale float64
		for i := range y {
			a += y[i] * float64(dy[i])
			scale += math.Abs(y[i] * float64(dy[i]))
		}
		for i := range x {
			b += float64(x[i]) * float64(dx[i])
		}
		if math.Abs(a-b) > 1e-5*scale {
			t.Fatalf("<conv(x),dy> = %g, <x,dx> = %g", a, b)
		}
	})
}

// gradRef computes the weight gradient in float64.
func gradRef(c ConvShape, x, dy []float32) []float64 {
	dw := make([]float64, c.KH*c.KW*c.Cin*c.Cout)
	for p := range c.N * c.OutH * c.OutW {
		n, oy, ox := p/(c.OutH*c.OutW), p/c.OutW%c.OutH, p%c.OutW
		for t := range c.KH * c.KW {
			iy, ix := oy*c.StrideH+t/c.KW*c.DilH-c.PadTop, ox*c.StrideW+t%c.KW*c.DilW-c.PadLeft
			if iy < 0 || ix < 0 || iy >= c.H || ix >= c.W {
				continue
			}
			for ci := range c.Cin {
				v := float64(x[((n*c.H+iy)*c.W+ix)*c.Cin+ci])
				for o := range c.Cout {
					dw[(t*c.Cin+ci)*c.Cout+o] += v * float64(dy[p*c.Cout+o])
				}
			}
		}
	}
	return dw
}

func TestWinogradGrad(t *testing.T) {
	eachClass(t, func(t *testing.T, s *Set) {
		r := rng.New(26, "winograd gradient")
		odd := square(1, 10, 9, 20, 36, 1)
		odd.PadTop, odd.OutH = 0, 12
		for _, c := range []ConvShape{square(1, 4, 4, 16, 32, 1), square(2, 7, 5, 3, 5, 1), square(3, 13, 18, 17, 33, 1), square(1, 6, 6, 70, 16, 0), square(1, 3, 3, 8, 8, 2),
			square(12, 12, 9, 24, 140, 1), square(1, 1, 1, 1, 1, 1), odd} {
			x, dy := normals(r, c.N*c.H*c.W*c.Cin), normals(r, c.N*c.OutH*c.OutW*c.Cout)
			g := s.NewWinogradGrad(c)
			all, dw := guarded(9 * c.Cin * c.Cout)
			sAll, scratch := guarded(g.Scratch())
			for i := range scratch {
				scratch[i] = float32(math.NaN())
			}
			for j := g.Jobs() - 1; j >= 0; j-- {
				g.Run(j, dw, x, dy, scratch)
			}
			checkGuards(t, "dw", all)
			checkGuards(t, "scratch", sAll)
			closeTo(t, fmt.Sprintf("%+v", c), dw, gradRef(c, x, dy), 5e-5)
		}
	})
}
