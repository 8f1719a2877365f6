package latent

import (
	"math"
	"slices"
	"testing"

	"github.com/smalti/smalti/rng"
)

// random returns a grid of normal numbers, with a negative zero, which arithmetic likes to lose.
func random(seed uint64, h, w, c int) Grid {
	g := NewGrid(h, w, c)
	rng.New(seed, "test").FillNormal(g.Data)
	g.Data[0] = float32(math.Copysign(0, -1))
	return g
}

// sameBits is equality that tells zeros apart.
func sameBits(a, b Grid) bool {
	for i := range a.Data {
		if math.Float32bits(a.Data[i]) != math.Float32bits(b.Data[i]) {
			return false
		}
	}
	return SameShape(a, b)
}

func grid(h, w, c int, v ...float32) Grid { return Grid{h, w, c, v} }

func TestEndsAreExact(t *testing.T) {
	a, b, c, d := random(1, 3, 4, 5), random(2, 3, 4, 5), random(3, 3, 4, 5), random(4, 3, 4, 5)
	for name, mix := range map[string]Mix{"lerp": Lerp, "slerp": Slerp} {
		if !sameBits(mix(a, b, 0), a) || !sameBits(mix(a, b, 1), b) {
			t.Errorf("%s: an end is not the picture itself", name)
		}
		if got := mix(a, a, 0.3); !slices.Equal(got.Data, a.Data) {
			t.Errorf("%s: a mixture of equal grids differs from them", name)
		}
		for i, want := range []Grid{a, b, c, d} {
			if !sameBits(Corners(a, b, c, d, float64(i%2), float64(i/2), mix), want) {
				t.Errorf("%s: corner %d is not exact", name, i)
			}
		}
		mid := mix(a, b, 0.5)
		mid.Data[1] = 99
		if a.Data[1] == 99 || mix(a, b, 0).Data[1] == 99 {
			t.Errorf("%s shares memory with its arguments", name)
		}
	}
}

func TestLerp(t *testing.T) {
	a, b := grid(1, 1, 3, 0, 2, -4), grid(1, 1, 3, 1, 4, -8)
	for _, c := range []struct {
		t    float64
		want []float32
	}{{0.25, []float32{0.25, 2.5, -5}}, {2, []float32{2, 6, -12}}, {-1, []float32{-1, 0, 0}}} {
		if got := Lerp(a, b, c.t).Data; !slices.Equal(got, c.want) {
			t.Errorf("t %g: %v, want %v", c.t, got, c.want)
		}
	}
}

func TestSlerp(t *testing.T) {
	near := func(got []float32, want ...float64) bool {
		for i, w := range want {
			if math.Abs(float64(got[i])-w) > 1e-6 { // rounding to float32 of numbers up to 4
				return false
			}
		}
		return true
	}
	s := math.Sqrt2 / 2
	for name, c := range map[string]struct {
		a, b []float32
		t    float64
		want []float64
	}{
		"a quarter circle":      {[]float32{1, 0}, []float32{0, 1}, 0.5, []float64{s, s}},
		"lengths change evenly": {[]float32{2, 0}, []float32{0, 4}, 0.5, []float64{3 * s, 3 * s}},
		"beyond the end":        {[]float32{1, 0}, []float32{0, 1}, 2, []float64{-1, 0}},
		"zero goes straight":    {[]float32{0, 0}, []float32{0, 4}, 0.5, []float64{0, 2}},
		"opposite goes through": {[]float32{1, 0}, []float32{-1, 0}, 0.25, []float64{0.5, 0}},
		"no negative lengths":   {[]float32{1, 0}, []float32{0, 3}, -1, []float64{0, 0}},
	} {
		if got := Slerp(grid(1, 1, 2, c.a...), grid(1, 1, 2, c.b...), c.t); !near(got.Data, c.want...) {
			t.Errorf("%s: %v, want %v", name, got.Data, c.want)
		}
	}
}

func TestClamp(t *testing.T) {
	r := Range{Lo: []float32{-1, 0}, Hi: []float32{1, 2}}
	nan := float32(math.NaN())
	got := r.Clamp(grid(1, 3, 2, -5, 5, 0.5, -0.5, nan, nan))
	if want := []float32{-1, 2, 0.5, 0, -1, 0}; !slices.Equal(got.Data, want) {
		t.Errorf("%v, want %v", got.Data, want)
	}
}

func TestArithmetic(t *testing.T) {
	a, b := grid(1, 2, 1, 1, 3), grid(1, 2, 1, 3, 7)
	if got := Mean(a, b).Data; !slices.Equal(got, []float32{2, 5}) {
		t.Errorf("mean %v", got)
	}
	if got := Shift(grid(1, 2, 1, 10, 20), b, a, 0.5).Data; !slices.Equal(got, []float32{11, 22}) {
		t.Errorf("shift %v", got)
	}
	z := random(5, 2, 2, 2)
	if !sameBits(Shift(z, a2(), a2(), 3), z) {
		t.Error("no difference moved the latent")
	}
	if got := Blend(grid(1, 3, 1, 0, 0, 8), grid(1, 3, 1, 4, 4, 4), []float32{0, 1, 0.5}).Data; !slices.Equal(got, []float32{0, 4, 6}) {
		t.Errorf("blend %v", got)
	}
}

func a2() Grid { return random(6, 2, 2, 2) }

func TestSmooth(t *testing.T) {
	// A constant stays, whatever the borders; the sum of an impulse in the middle is kept; x and y are alike.
	flat := NewGrid(5, 7, 2)
	for i := range flat.Data {
		flat.Data[i] = float32(1 + i%2)
	}
	got := Smooth(flat, 2)
	for i, v := range got.Data {
		if math.Abs(float64(v)-float64(1+i%2)) > 1e-6 { // rounding of 2 x 7 products
			t.Fatalf("a constant changed to %v", v)
		}
	}
	dot := NewGrid(9, 9, 1)
	dot.Vector(4, 4)[0] = 1
	s := Smooth(dot, 1)
	sum := 0.0
	for y := range 9 {
		for x := range 9 {
			sum += float64(s.Vector(y, x)[0])
			if s.Vector(y, x)[0] != s.Vector(x, y)[0] && math.Abs(float64(s.Vector(y, x)[0]-s.Vector(x, y)[0])) > 1e-7 {
				t.Fatalf("rows and columns differ at %d,%d", y, x)
			}
		}
	}
	if math.Abs(sum-1) > 1e-5 {
		t.Errorf("an impulse of 1 became %g", sum)
	}
	if ratio := float64(s.Vector(4, 5)[0] / s.Vector(4, 4)[0]); math.Abs(ratio-math.Exp(-0.5)) > 1e-5 {
		t.Errorf("one cell away %g of the middle, want exp(-1/2)", ratio)
	}
	if !sameBits(Smooth(dot, 0), dot) {
		t.Error("sigma 0 changed the grid")
	}
}

func TestMixScales(t *testing.T) {
	a, b := random(7, 8, 8, 3), random(8, 8, 8, 3)
	if !slices.Equal(MixScales(a, a, 2).Data, a.Data) {
		t.Error("a picture mixed with itself changed")
	}
	if !sameBits(MixScales(a, b, 0), a) {
		t.Error("sigma 0 is not the coarse picture")
	}
	// What a constant adds to the coarse picture, the mixture has; what it adds to the fine one, it has not.
	shifted := a.Clone()
	for i := range shifted.Data {
		shifted.Data[i] += 4
	}
	base, coarse, fine := MixScales(a, b, 2), MixScales(shifted, b, 2), MixScales(b, shifted, 2)
	base2 := MixScales(b, a, 2)
	for i := range base.Data {
		if d := coarse.Data[i] - base.Data[i]; math.Abs(float64(d)-4) > 1e-5 {
			t.Fatalf("the layout's mean moved the mixture by %v, want 4", d)
		}
		if d := fine.Data[i] - base2.Data[i]; math.Abs(float64(d)) > 1e-5 {
			t.Fatalf("the detail's mean moved the mixture by %v", d)
		}
	}
}

func TestCorners(t *testing.T) {
	one := func(v float32) Grid { return grid(1, 1, 1, v) }
	if got := Corners(one(0), one(4), one(8), one(12), 0.25, 0.5, Lerp).Data[0]; got != 5 {
		t.Errorf("%v, want 5", got)
	}
}

func TestShapesAreChecked(t *testing.T) {
	a, b := NewGrid(1, 2, 1), NewGrid(2, 1, 1)
	for name, f := range map[string]func(){
		"lerp": func() { Lerp(a, b, 0.5) }, "slerp": func() { Slerp(a, b, 0) }, "mean": func() { Mean(a, b) }, "no mean": func() { Mean() },
		"shift": func() { Shift(a, a, b, 1) }, "scales": func() { MixScales(a, b, 1) }, "blend": func() { Blend(a, a, []float32{1}) },
		"clamp": func() { Range{}.Clamp(a) }, "empty": func() { NewGrid(0, 1, 1) },
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s took what does not fit", name)
				}
			}()
			f()
		}()
	}
	if (Grid{H: 1, W: 1, C: 2, Data: []float32{1}}).Valid() == nil || a.Valid() != nil {
		t.Error("Valid is wrong")
	}
}

func TestWalk(t *testing.T) {
	z := random(9, 16, 16, 8)
	w := Walk{Seed: 3}
	if !sameBits(w.At(z, 1, 0), z) || !sameBits(w.At(z, 1, 1), z) || !sameBits(w.At(z, 0, 0.4), z) {
		t.Fatal("the walk does not begin and end at its picture")
	}
	if !sameBits(w.At(z, 1, 0.4), w.At(z, 1, 1.4)) || sameBits(w.At(z, 1, 0.4), Walk{Seed: 4}.At(z, 1, 0.4)) {
		t.Error("the walk is not a loop of its seed")
	}
	// Twice as fine steps are half as long: a smooth path. The variance half-way, where odd harmonics are reversed, is
	// 4 times theirs: (1 + 1/9) / (1 + 1/4 + 1/9) of 4.
	step := func(dt float64) float64 { return rms(w.At(z, 1, 0.3), w.At(z, 1, 0.3+dt)) }
	if r := step(0.01) / step(0.005); math.Abs(r-2) > 0.02 {
		t.Errorf("a step of twice the time is %g times as long", r)
	}
	want := math.Sqrt(4 * (1 + 1.0/9) / (1 + 1.0/4 + 1.0/9))
	if got := rms(z, w.At(z, 1, 0.5)); math.Abs(got-want) > 0.05*want { // 2048 draws: a standard error of 1.6 %
		t.Errorf("half-way the walk is %g away, want %g", got, want)
	}
	if got := rms(z, w.At(z, 0.1, 0.5)); math.Abs(got-0.1*want) > 0.005*want {
		t.Errorf("a tenth of the scale leads %g away", got)
	}
}

func rms(a, b Grid) float64 {
	sum := 0.0
	for i := range a.Data {
		d := float64(a.Data[i]) - float64(b.Data[i])
		sum += d * d
	}
	return math.Sqrt(sum / float64(len(a.Data)))
}
