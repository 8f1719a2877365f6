package kernel

import (
	"math"
	"testing"
)

// ulpError is the distance of got from want in units of want's last place (of the smallest normal's below it), or in
// units of 2^-24 absolute if abs.
func ulpError(got float32, want float64, abs bool) float64 {
	unit := 0x1p-24
	if !abs {
		_, e := math.Frexp(want)
		unit = math.Ldexp(1, max(e, -125)-24)
	}
	return math.Abs(float64(got)-want) / unit
}

// TestAccuracy sweeps the bit patterns of float32 in strides and bounds the error of each function. The bounds are what
// was measured over every 37th pattern, rounded up.
func TestAccuracy(t *testing.T) {
	logistic := func(x float64) float64 { return 1 / (1 + math.Exp(-x)) }
	slope := func(k float64) func(x float64) float64 {
		return func(x float64) float64 { s := logistic(k * x); return s + k*x*s*(1-s) }
	}
	cases := []struct {
		op     Op
		f      func(float64) float64
		ulps   float64
		abs    bool // the bound is absolute, in units of 2^-24, for |x| <= 100
		lo, hi float64
	}{
		{Exp, math.Exp, 1, false, -103, 88.7},
		{Expm1, math.Expm1, 2, false, -1e9, 88.7},
		{Log, math.Log, 1, false, 0, math.MaxFloat32},
		{Log1p, math.Log1p, 2, false, -1, math.MaxFloat32},
		{Tanh, math.Tanh, 3, false, -1e9, 1e9},
		{Logistic, logistic, 3, false, -80, 1e9},
		{Erf, math.Erf, 1, false, -1e9, 1e9},
		{Sqrt, math.Sqrt, 0.5, false, 0, math.MaxFloat32},
		{Rsqrt, func(x float64) float64 { return 1 / math.Sqrt(x) }, 1.5, false, 1e-38, math.MaxFloat32},
		{Swish, func(x float64) float64 { return x * logistic(x) }, 3, false, -80, 1e9},
		{QuickGELU, func(x float64) float64 { return x * logistic(1.702*x) }, 16, true, -100, 100},
		{GELU, func(x float64) float64 { return 0.5 * x * math.Erfc(-x*math.Sqrt2/2) }, 6, true, -10, 10},
		{SwishGrad, slope(1), 5, true, -100, 100},
		{QuickGELUGrad, slope(1.702), 5, true, -100, 100},
		{GELUGrad, func(x float64) float64 {
			return 0.5*math.Erfc(-x*math.Sqrt2/2) + x*math.Exp(-x*x/2)/math.Sqrt(2*math.Pi)
		}, 5, true, -100, 100},
	}
	stride := uint32(2003)
	if testing.Short() {
		stride = 20011
	}
	s := For(Detect()) // every class has the same bits
	var ones, x, y []float32
	for u := uint64(0); u < 1<<32; u += uint64(stride) {
		if v := math.Float32frombits(uint32(u)); v == v {
			x = append(x, v)
			ones = append(ones, 1)
		}
	}
	y = make([]float32, len(x))
	for _, c := range cases {
		if c.op.IsUnary() {
			s.Unary(c.op, y, x)
		} else {
			s.Binary(c.op, y, ones, x)
		}
		worst, at := 0.0, float32(0)
		for i, v := range x {
			if f := float64(v); f < c.lo || f > c.hi {
				continue
			}
			want := c.f(float64(v))
			if c.op == GELU || c.op == Swish || c.op == QuickGELU {
				if math.Abs(want) < 1e-37 {
					continue // the intermediate exponential is out of range
				}
			}
			if e := ulpError(y[i], want, c.abs); !(e <= worst) {
				worst, at = e, v
			}
		}
		t.Logf("%-14s worst %.2f at %g", c.op, worst, at)
		if !(worst <= c.ulps) {
			t.Errorf("%s: off by %.2f units at %g, allowed %g", c.op, worst, at, c.ulps)
		}
	}
}
