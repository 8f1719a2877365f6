package kernel

import "math"

// The operations of the generator's vector language on one lane, with the bits of the vector instructions.

// minps and maxps give y if either operand is NaN or both are zero.
func minps(x, y float32) float32 {
	if x < y {
		return x
	}
	return y
}

func maxps(x, y float32) float32 {
	if x > y {
		return x
	}
	return y
}

func sqrt32(x float32) float32  { return float32(math.Sqrt(float64(x))) }
func rint32(x float32) float32  { return float32(math.RoundToEven(float64(x))) }
func floor32(x float32) float32 { return float32(math.Floor(float64(x))) }
func ceil32(x float32) float32  { return float32(math.Ceil(float64(x))) }

func intToFloat(x uint32) float32 { return float32(int32(x)) }

// fma32 is x*y+z with one rounding. The product is exact in float64; rounding the sum to float64 and then to float32 is
// wrong only where the first rounding lands on a tie of the second, and possibly among the denormals.
func fma32(x, y, z float32) float32 {
	s := float64(x)*float64(y) + float64(z)
	if b := math.Float64bits(s); b&0x1fffffff == 0x10000000 || b<<1 < 0x381<<53 {
		return fmaOdd(x, y, z)
	}
	return float32(s)
}

// fnma32 is z - x*y with one rounding.
func fnma32(x, y, z float32) float32 { return fma32(-x, y, z) }

// fmaOdd rounds the sum to odd first, which makes the second rounding right.
func fmaOdd(x, y, z float32) float32 {
	p, c := float64(x)*float64(y), float64(z)
	s := p + c
	t := s - p
	lost := (p - (s - t)) + (c - t) // what the sum lost, exactly (Knuth's TwoSum)
	if b := math.Float64bits(s); lost != 0 && b&1 == 0 {
		if (lost > 0) == (s > 0) {
			b++
		} else {
			b--
		}
		s = math.Float64frombits(b)
	}
	return float32(s)
}

// scalb32 is x * 2^n for integral n in [-150, 128]; only the second product may round.
func scalb32(x, n float32) float32 {
	i := int32(0)
	if n == n {
		i = int32(n)
	}
	h := i >> 1
	return x * math.Float32frombits(uint32(h+127)<<23) * math.Float32frombits(uint32(i-h+127)<<23)
}

func pick[T float32 | uint32](c bool, x, y T) T {
	if c {
		return x
	}
	return y
}

// foldTree combines the 64 partial results of a fold in the fixed tree of [Set.Sum].
func foldTree(p *[64]float32, f func(x, y float32) float32) float32 {
	var v [16]float32
	for l := range v {
		v[l] = f(f(p[l], p[l+16]), f(p[l+32], p[l+48]))
	}
	for h := 8; h > 0; h /= 2 {
		for l := range h {
			v[l] = f(v[l], v[l+h])
		}
	}
	return v[0]
}
