package kernel

import (
	"fmt"
	"math"
	"slices"
	"testing"

	"github.com/smalti/smalti/rng"
)

// edges are values at which functions change their behaviour.
var edges = []float32{0, float32(math.Copysign(0, -1)), 1, -1, 0.5, -0.5, 1.5, 2.5, -2.5, 2, -2, 3, 1e-45, -1e-45, 1e-38, -1e-38, 1.2e-38, 1e-20, -1e-20,
	1e-7, 6e-8, -6e-8, 3e-8, 0.92, 0.93, 0.9277344, 0.6666667, 1.3333334, 10, -10, 20, -20, 88, 88.7, 88.73, 89, -87, -88, -89, -103, -104, -105,
	1e10, -1e10, 1e30, 3.4e38, -3.4e38, float32(math.Inf(1)), float32(math.Inf(-1)), float32(math.NaN()), 8388607.5, -8388607.5, 4194303.5, 65504, 65519.99, 65520, 5.9e-8, 6.1e-5}

// sample returns n values: edges, normals of several sizes and arbitrary bit patterns.
func sample(r *rng.Stream, n int) []float32 {
	x := make([]float32, n)
	for i := range x {
		switch r.IntN(4) {
		case 0:
			x[i] = edges[r.IntN(len(edges))]
		case 1:
			x[i] = float32(r.Normal())
		case 2:
			x[i] = float32(r.Normal() * 20)
		default:
			x[i] = math.Float32frombits(r.Uint32())
		}
	}
	return x
}

// equalBits compares, any NaN being equal to any NaN.
func equalBits(a, b float32) bool {
	return math.Float32bits(a) == math.Float32bits(b) || a != a && b != b
}

// loopCase is an elementwise kernel to be compared with its portable twin: run writes dst from three slices and a scalar.
type loopCase struct {
	name string
	run  func(s *Set, dst, x, y, z []float32, c float32)
}

func loopCases() (cs []loopCase) {
	for op := Op(0); op < numUnary; op++ {
		cs = append(cs, loopCase{op.String(), func(s *Set, dst, x, _, _ []float32, _ float32) { s.Unary(op, dst, x) }})
	}
	for op := numUnary; op < numOps; op++ {
		cs = append(cs,
			loopCase{op.String(), func(s *Set, dst, x, y, _ []float32, _ float32) { s.Binary(op, dst, x, y) }},
			loopCase{op.String() + "Scalar", func(s *Set, dst, x, _, _ []float32, c float32) { s.BinaryScalar(op, dst, x, c, false) }},
			loopCase{op.String() + "ScalarReversed", func(s *Set, dst, x, _, _ []float32, c float32) { s.BinaryScalar(op, dst, x, c, true) }})
	}
	return append(cs,
		loopCase{"FMA", func(s *Set, dst, x, y, z []float32, _ float32) { s.FMA(dst, x, y, z) }},
		loopCase{"FMAScalar", func(s *Set, dst, x, y, _ []float32, c float32) { s.FMAScalar(dst, x, c, y) }},
		loopCase{"Affine", func(s *Set, dst, x, _, _ []float32, c float32) { s.Affine(dst, x, c, 0.25) }},
		loopCase{"ScaleShift", func(s *Set, dst, x, y, z []float32, c float32) { s.ScaleShift(dst, x, y, z, c) }},
		loopCase{"Normalise", func(s *Set, dst, x, y, z []float32, c float32) { s.Normalise(dst, x, y, z, 0.75, c) }},
		loopCase{"ExpSum", func(s *Set, dst, x, _, _ []float32, _ float32) {
			sum := s.ExpSum(dst, x, s.Max(x), 64)
			if len(dst) > 0 {
				dst[0] = sum
			}
		}})
}

// TestLoopsAgreeWithPortable runs every elementwise kernel over all remainders, guarded, unaligned and in place.
func TestLoopsAgreeWithPortable(t *testing.T) {
	g := For(Generic)
	eachClass(t, func(t *testing.T, s *Set) {
		if s.class == Generic {
			t.Skip("nothing of its own")
		}
		r := rng.New(7, "loops")
		for _, c := range loopCases() {
			for n := 0; n <= 70; n++ {
				x, y, z, k := sample(r, n), sample(r, n), sample(r, n), sample(r, 1)[0]
				want := make([]float32, n)
				c.run(g, want, x, y, z, k)
				all, dst := guarded(n)
				c.run(s, dst, x, y, z, k)
				checkGuards(t, c.name, all)
				in := slices.Clone(x)
				c.run(s, in, in, y, z, k)
				for i := range want {
					if !equalBits(dst[i], want[i]) {
						t.Fatalf("%s, n %d: element %d of (%g, %g, %g, scalar %g) is %g (%08x), portable %g (%08x)", c.name, n, i, x[i], y[i], z[i], k,
							dst[i], math.Float32bits(dst[i]), want[i], math.Float32bits(want[i]))
					}
					if !equalBits(in[i], want[i]) {
						t.Fatalf("%s in place, n %d: element %d is %g, want %g", c.name, n, i, in[i], want[i])
					}
				}
			}
		}
	})
}

func TestFoldsAgreeWithPortable(t *testing.T) {
	g := For(Generic)
	folds := map[string]func(s *Set, x, y []float32) float32{
		"Sum": func(s *Set, x, _ []float32) float32 { return s.Sum(x) }, "SumSquares": func(s *Set, x, _ []float32) float32 { return s.SumSquares(x) },
		"SumProduct": func(s *Set, x, y []float32) float32 { return s.SumProduct(x, y) }, "Dot": func(s *Set, x, y []float32) float32 { return s.Dot(x, y) },
		"SquaresAbout": func(s *Set, x, _ []float32) float32 { return s.SquaresAbout(x, 0.5, 128) },
		"Max":          func(s *Set, x, _ []float32) float32 { return s.Max(x) }, "Min": func(s *Set, x, _ []float32) float32 { return s.Min(x) },
	}
	eachClass(t, func(t *testing.T, s *Set) {
		r := rng.New(8, "folds")
		for name, f := range folds {
			for n := 0; n <= 200; n++ {
				x, y := normals(r, n), normals(r, n)
				if got, want := f(s, x, y), f(g, x, y); !equalBits(got, want) {
					t.Fatalf("%s of %d: %g (%08x), portable %g (%08x)", name, n, got, math.Float32bits(got), want, math.Float32bits(want))
				}
				if n > 0 {
					x[r.IntN(n)] = float32(math.NaN())
					if got := f(s, x, y); got == got {
						t.Fatalf("%s of %d with a NaN: %g", name, n, got)
					}
				}
			}
		}
	})
}

// TestFoldsAreRight checks the portable folds themselves, in float64.
func TestFoldsAreRight(t *testing.T) {
	s := For(Generic)
	r := rng.New(9, "right")
	x, y := normals(r, 1003), normals(r, 1003)
	var sum, sq, dot, scale float64
	lo, hi := x[0], x[0]
	for i, v := range x {
		sum += float64(v)
		scale += math.Abs(float64(v))
		sq += float64(v) * float64(v)
		dot += float64(v) * float64(y[i])
		lo, hi = min(lo, v), max(hi, v)
	}
	near(t, "Sum", s.Sum(x), sum, scale, 20)
	near(t, "SumSquares", s.SumSquares(x), sq, sq, 20)
	near(t, "Dot", s.Dot(x, y), dot, sq+scale, 20)
	product := make([]float32, len(x))
	s.Binary(Mul, product, x, y)
	if got, want := s.SumProduct(x, y), s.Sum(product); got != want {
		t.Fatalf("SumProduct %g, the sum of the products is %g", got, want)
	}
	d, one := make([]float32, len(x)), make([]float32, len(x))
	s.BinaryScalar(Sub, d, x, 0.3, false)
	if got, want := s.SquaresAbout(x, 0.3, 0), s.SumProduct(d, d); got != want {
		t.Fatalf("SquaresAbout %g, the sum of the squares is %g", got, want)
	}
	s.Normalise(one, x, y, product, 0.3, 1.7)
	if s.ScaleShift(d, d, y, product, 1.7); !slices.Equal(one, d) {
		t.Fatal("Normalise is not ScaleShift of the differences")
	}
	if s.Max(x) != hi || s.Min(x) != lo {
		t.Fatalf("Max %g Min %g, want %g %g", s.Max(x), s.Min(x), hi, lo)
	}
	if !math.IsInf(float64(s.Max(nil)), -1) || !math.IsInf(float64(s.Min(nil)), 1) || s.Sum(nil) != 0 {
		t.Fatal("folds of nothing")
	}
}

func TestMaxMinNaN(t *testing.T) {
	eachClass(t, func(t *testing.T, s *Set) {
		nan := float32(math.NaN())
		x, y, dst := []float32{nan, 1, nan, 3, 4}, []float32{1, nan, nan, 2, 5}, make([]float32, 5)
		s.Binary(Max, dst, x, y)
		if dst[0] == dst[0] || dst[1] == dst[1] || dst[2] == dst[2] || dst[3] != 3 || dst[4] != 5 {
			t.Fatalf("max %v", dst)
		}
		s.Binary(Min, dst, x, y)
		if dst[0] == dst[0] || dst[1] == dst[1] || dst[2] == dst[2] || dst[3] != 2 || dst[4] != 4 {
			t.Fatalf("min %v", dst)
		}
	})
}

func TestCompareAndSelect(t *testing.T) {
	ref := map[Op]func(x, y float32) bool{
		Eq: func(x, y float32) bool { return x == y }, Ne: func(x, y float32) bool { return x != y }, Lt: func(x, y float32) bool { return x < y },
		Le: func(x, y float32) bool { return x <= y }, Gt: func(x, y float32) bool { return x > y }, Ge: func(x, y float32) bool { return x >= y }}
	eachClass(t, func(t *testing.T, s *Set) {
		r := rng.New(10, "compare")
		for op, f := range ref {
			for n := 0; n <= 70; n++ {
				x, y := sample(r, n), sample(r, n)
				for i := 0; i < n; i += 3 {
					y[i] = x[i]
				}
				all := make([]bool, n+80)
				dst := all[40 : 40+n]
				s.Compare(op, dst, x, y)
				sel := make([]float32, n)
				s.Select(sel, dst, x, y)
				for i := range dst {
					if dst[i] != f(x[i], y[i]) {
						t.Fatalf("%s(%g, %g) is %v", op, x[i], y[i], dst[i])
					}
					if w := pick(dst[i], x[i], y[i]); math.Float32bits(sel[i]) != math.Float32bits(w) {
						t.Fatalf("Select gave %g want %g", sel[i], w)
					}
				}
				c := sample(r, 1)[0]
				s.CompareScalar(op, dst, x, c)
				for i := range all {
					want := i >= 40 && i < 40+n && f(x[min(max(i-40, 0), n-1)], c)
					if all[i] != want {
						t.Fatalf("%s scalar: byte %d of %d is %v", op, i-40, n, all[i])
					}
				}
			}
		}
	})
}

// TestConvertEveryHalf goes through all 65536 halves and bfloat16s, and rounds to them.
func TestConvertEveryHalf(t *testing.T) {
	all := make([]uint16, 1<<16)
	for i := range all {
		all[i] = uint16(i)
	}
	g := For(Generic)
	want, got := make([]float32, len(all)), make([]float32, len(all))
	r := rng.New(11, "convert")
	x := sample(r, 1<<17)
	back, wantBack := make([]uint16, len(x)), make([]uint16, len(x))
	eachClass(t, func(t *testing.T, s *Set) {
		for name, f := range map[string][2]func(s *Set, n int){
			"f16":  {func(s *Set, n int) { s.F16ToF32(got[:n], all) }, func(s *Set, n int) { s.F32ToF16(back[:n], x) }},
			"bf16": {func(s *Set, n int) { s.BF16ToF32(got[:n], all) }, func(s *Set, n int) { s.F32ToBF16(back[:n], x) }}} {
			f[0](g, len(all))
			copy(want, got)
			f[1](g, len(x))
			copy(wantBack, back)
			f[0](s, len(all))
			f[1](s, len(x))
			for i := range want {
				if !equalBits(got[i], want[i]) {
					t.Fatalf("%s %04x widens to %g, portable %g", name, i, got[i], want[i])
				}
			}
			for i := range x {
				if back[i] != wantBack[i] {
					t.Fatalf("%s of %g (%08x) is %04x, portable %04x", name, x[i], math.Float32bits(x[i]), back[i], wantBack[i])
				}
			}
			for n := 0; n < 70; n++ {
				for i := range back {
					back[i] = 0xabcd
				}
				f[1](s, n)
				if !slices.Equal(back[:n], wantBack[:n]) || back[n] != 0xabcd {
					t.Fatalf("%s: a run of %d is wrong or too long", name, n)
				}
			}
		}
	})
}

// TestHalfRounding checks the portable conversions against the definition: the nearest representable value, ties to even.
func TestHalfRounding(t *testing.T) {
	r := rng.New(12, "half")
	for range len(some(make([]int, 200000))) {
		v := math.Float32frombits(r.Uint32())
		if v != v {
			continue
		}
		h := floatToHalf(v)
		f := float64(halfToFloat(h))
		if math.Abs(float64(v)) >= 65520 {
			if !math.IsInf(f, 0) {
				t.Fatalf("%g became %g", v, f)
			}
			continue
		}
		for _, other := range []uint16{h - 1, h + 1} {
			o := float64(halfToFloat(other))
			if o != o || (other^h)&0x8000 != 0 || math.IsInf(o, 0) {
				continue
			}
			d, e := math.Abs(f-float64(v)), math.Abs(o-float64(v))
			if e < d || e == d && h&1 == 1 {
				t.Fatalf("%g became %g although %g is nearer", v, f, o)
			}
		}
	}
}

func TestFMA32RoundsOnce(t *testing.T) {
	if Detect() < AVX2 {
		t.Skip("needs a hardware fused multiply-add to compare with")
	}
	r := rng.New(13, "fma")
	s := For(AVX2)
	n := 1 << 18
	a, b, c, got := make([]float32, n), make([]float32, n), make([]float32, n), make([]float32, n)
	for i := range a {
		a[i] = math.Float32frombits(r.Uint32())
		b[i] = math.Float32frombits(r.Uint32())
		c[i] = math.Float32frombits(r.Uint32())
		if i%2 == 0 { // provoke ties: short significands, a sum that needs one more bit
			a[i], b[i] = float32(r.IntN(1<<12))*0x1p-6, float32(r.IntN(1<<12))*0x1p-6
			c[i] = float32(r.IntN(1<<24)) * float32(math.Ldexp(1, r.IntN(40)-20))
		}
		if i%8 == 0 {
			a[i] *= 0x1p-140
		}
	}
	s.FMA(got, a, b, c)
	for i := range got {
		if w := fma32(a[i], b[i], c[i]); !equalBits(got[i], w) {
			t.Fatalf("%g*%g+%g: portable %g, hardware %g", a[i], b[i], c[i], w, got[i])
		}
	}
}

func TestTranspose(t *testing.T) {
	eachClass(t, func(t *testing.T, s *Set) {
		r := rng.New(14, "transpose")
		for rows := 1; rows <= 37; rows++ {
			for _, cols := range []int{1, 3, 4, 8, 9, 15, 16, 17, 33, 48} {
				lds, ldd := cols+rows%3, rows+cols%2
				src := normals(r, rows*lds)
				all, dst := guarded((cols-1)*ldd + rows)
				s.Transpose(dst, ldd, src, lds, rows, cols)
				checkGuards(t, "transpose", all)
				for i := range dst {
					want := canary
					if i%ldd < rows {
						want = src[i%ldd*lds+i/ldd]
					}
					if dst[i] != want {
						t.Fatalf("%dx%d: element %d is %g want %g", rows, cols, i, dst[i], want)
					}
				}
			}
		}
	})
}

func TestRows(t *testing.T) {
	eachClass(t, func(t *testing.T, s *Set) {
		r := rng.New(15, "rows")
		for _, n := range []int{1, 5, 16, 50, 77, 130} {
			rows := 3
			x, soft := normals(r, rows*n), make([]float32, rows*n)
			s.SoftmaxRows(soft, x, rows, n)
			for row := range rows {
				v := x[row*n:][:n]
				var e float64
				for _, f := range v {
					e += math.Exp(float64(f))
				}
				for i, f := range v {
					at := fmt.Sprintf("n %d row %d column %d", n, row, i)
					p := math.Exp(float64(f)) / e
					near(t, "softmax "+at, soft[row*n+i], p, p, 30)
				}
			}
		}
	})
}
