package weights

import (
	"math"
	"testing"
)

// TestHalfRoundTrip converts every half and bfloat16 there is to float32 and back.
func TestHalfRoundTrip(t *testing.T) {
	for i := range 1 << 16 {
		h := uint16(i)
		if x := FromFloat16(h); x == x {
			if got := Float16Bits(x); got != h {
				t.Fatalf("float16 %#04x = %g came back as %#04x", h, x, got)
			}
		} else if got := FromFloat16(Float16Bits(x)); got == got {
			t.Fatalf("float16 NaN %#04x came back as %g", h, got)
		}
		if x := FromBFloat16(h); x == x {
			if got := BFloat16Bits(x); got != h {
				t.Fatalf("bfloat16 %#04x = %g came back as %#04x", h, x, got)
			}
		} else if got := FromBFloat16(BFloat16Bits(x)); got == got {
			t.Fatalf("bfloat16 NaN %#04x came back as %g", h, got)
		}
	}
}

// TestHalfRounding checks rounding between each pair of neighbours: below the middle down, above up, the middle to even.
func TestHalfRounding(t *testing.T) {
	kinds := []struct {
		name string
		max  uint16 // largest finite
		from func(uint16) float32
		to   func(float32) uint16
	}{
		{"float16", 0x7bff, FromFloat16, Float16Bits},
		{"bfloat16", 0x7f7f, FromBFloat16, BFloat16Bits},
	}
	for _, k := range kinds {
		for h := uint16(0); h < k.max; h++ {
			// float64 holds the middle of two neighbours exactly, and so does float32 unless it is a subnormal of bfloat16.
			mid := float32((float64(k.from(h)) + float64(k.from(h+1))) / 2)
			even := h + h&1
			below, above := math.Nextafter32(mid, 0), math.Nextafter32(mid, math.MaxFloat32)
			for _, c := range []struct {
				x    float32
				want uint16
			}{{mid, even}, {below, h}, {above, h + 1}} {
				if got := k.to(c.x); got != c.want {
					t.Fatalf("%s: %g between %#04x and %#04x rounds to %#04x, want %#04x", k.name, c.x, h, h+1, got, c.want)
				}
				if got := k.to(-c.x); got != c.want|0x8000 {
					t.Fatalf("%s: %g rounds to %#04x, want %#04x", k.name, -c.x, got, c.want|0x8000)
				}
			}
		}
	}
}

func TestHalfOverflow(t *testing.T) {
	cases := []struct {
		x    float32
		want uint16
	}{
		{MaxFloat16, 0x7bff}, {65519.996, 0x7bff}, {65520, 0x7c00}, {math.MaxFloat32, 0x7c00},
		{float32(math.Inf(1)), 0x7c00}, {float32(math.Inf(-1)), 0xfc00},
		{0x1p-24, 1}, {0x1p-25, 0}, {math.Nextafter32(0x1p-25, 1), 1}, {0x1p-149, 0}, {0, 0}, {float32(math.Copysign(0, -1)), 0x8000},
	}
	for _, c := range cases {
		if got := Float16Bits(c.x); got != c.want {
			t.Errorf("Float16Bits(%g) = %#04x, want %#04x", c.x, got, c.want)
		}
	}
	if got := BFloat16Bits(math.MaxFloat32); got != 0x7f80 {
		t.Errorf("BFloat16Bits(max) = %#04x, want infinity", got)
	}
}
