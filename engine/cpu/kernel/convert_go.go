package kernel

import "math"

// halfToFloat widens an IEEE binary16; a signalling NaN becomes quiet, as the hardware does it.
func halfToFloat(h uint16) float32 {
	sign, e, m := uint32(h>>15)<<31, uint32(h>>10)&31, uint32(h)&0x3ff
	switch {
	case e == 31 && m != 0:
		return math.Float32frombits(sign | 0x7fc00000 | m<<13)
	case e == 31:
		return math.Float32frombits(sign | 0x7f800000)
	case e == 0:
		f := float32(m) * (1.0 / (1 << 24))
		return math.Float32frombits(sign | math.Float32bits(f))
	}
	return math.Float32frombits(sign | (e+112)<<23 | m<<13)
}

// floatToHalf rounds to nearest even.
func floatToHalf(v float32) uint16 {
	b := math.Float32bits(v)
	sign, abs := uint16(b>>16)&0x8000, b&0x7fffffff
	switch {
	case abs > 0x7f800000:
		return sign | 0x7e00 | uint16(abs>>13)&0x3ff
	case abs >= 0x477ff000: // rounds to 65536 or more
		return sign | 0x7c00
	case abs < 0x38800000: // below the smallest normal half: count in units of 2^-24
		f := math.Float32frombits(abs) * (1 << 24)
		return sign | uint16(math.RoundToEven(float64(f)))
	}
	r := abs + 0xfff + abs>>13&1
	return sign | uint16(r>>13-112<<10)
}
