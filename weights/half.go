package weights

import "math"

// MaxFloat16 is the largest finite half-precision number.
const MaxFloat16 = 65504

// Float16Bits rounds x to IEEE 754 binary16, to nearest with ties to even, and returns its bits. Numbers of magnitude
// 65520 or more become infinite; a NaN stays a (quiet) NaN.
func Float16Bits(x float32) uint16 {
	b := math.Float32bits(x)
	sign := uint16(b>>16) & 0x8000
	b &= 0x7fffffff
	switch {
	case b > 0x7f800000: // NaN: keep the top of the payload
		return sign | 0x7e00 | uint16(b>>13)&0x3ff
	case b >= 0x477ff000: // 65520 rounds up past the largest finite number
		return sign | 0x7c00
	case b >= 0x38800000: // normal in binary16: rebias the exponent, add half of the last place less one plus its parity
		b -= (127 - 15) << 23
		return sign | uint16((b+0xfff+b>>13&1)>>13)
	case b < 0x33000000: // below half of the smallest subnormal
		return sign
	}
	// Subnormal: the mantissa with its hidden bit, shifted so that one unit is 2^-24.
	shift := 126 - b>>23
	man := b&0x7fffff | 0x800000
	half := uint32(1) << (shift - 1)
	return sign | uint16((man+half-1+man>>shift&1)>>shift)
}

// FromFloat16 returns the number that the bits of an IEEE 754 binary16 stand for; the conversion is exact.
func FromFloat16(h uint16) float32 {
	sign, rest := uint32(h&0x8000)<<16, uint32(h&0x7fff)<<13
	switch h & 0x7c00 {
	case 0: // zero or subnormal, in units of 2^-24
		return math.Float32frombits(sign | math.Float32bits(float32(h&0x3ff)*0x1p-24))
	case 0x7c00: // infinite or NaN
		return math.Float32frombits(sign | 0x7f800000 | rest)
	}
	return math.Float32frombits(sign | rest + 112<<23)
}

// BFloat16Bits rounds x to bfloat16, to nearest with ties to even, and returns its bits. A NaN stays a (quiet) NaN.
func BFloat16Bits(x float32) uint16 {
	b := math.Float32bits(x)
	if b&0x7fffffff > 0x7f800000 {
		return uint16(b>>16) | 0x40
	}
	return uint16((b + 0x7fff + b>>16&1) >> 16)
}

// FromBFloat16 returns the number that the bits of a bfloat16 stand for; the conversion is exact.
func FromBFloat16(h uint16) float32 { return math.Float32frombits(uint32(h) << 16) }
