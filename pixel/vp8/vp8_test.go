package vp8

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"image"
	"image/color"
	"math"
	"testing"

	"golang.org/x/image/vp8"

	"github.com/smalti/smalti/rng"
)

// scene is a picture with smooth areas, edges and, where noise is not zero, grain.
func scene(w, h int, noise float64) []uint8 {
	s := rng.New(1, "scene")
	out := make([]uint8, 0, w*h*3)
	for y := range h {
		for x := range w {
			r := 127 + 100*math.Sin(float64(x)/9)
			g := 127 + 100*math.Cos(float64(y)/13)
			b := float64((x + y) % 200)
			if math.Hypot(float64(x)-float64(w)/2, float64(y)-float64(h)/2) < float64(min(w, h))/3 {
				r, g, b = 230, 40, 40
			}
			for _, v := range []float64{r, g, b} {
				out = append(out, uint8(min(max(v+noise*s.Normal(), 0), 255)))
			}
		}
	}
	return out
}

func decode(t *testing.T, data []byte) *image.YCbCr {
	t.Helper()
	d := vp8.NewDecoder()
	d.Init(bytes.NewReader(data), len(data))
	if _, err := d.DecodeFrameHeader(); err != nil {
		t.Fatal(err)
	}
	img, err := d.DecodeFrame()
	if err != nil {
		t.Fatal(err)
	}
	return img
}

// TestDecodersSeeWhatTheEncoderSaw compares every pixel of the encoder's own reconstruction, from which it predicts,
// with a decoder of other authors. Indices below 4 have no loop filter.
func TestDecodersSeeWhatTheEncoderSaw(t *testing.T) {
	for _, c := range []struct {
		w, h, index int
		noise       float64
	}{{64, 48, 0, 0}, {64, 48, 3, 40}, {1, 1, 0, 0}, {17, 33, 2, 5}, {100, 50, 1, 200}} {
		t.Run(fmt.Sprintf("%dx%d index %d noise %g", c.w, c.h, c.index, c.noise), func(t *testing.T) {
			e := newEncoder(c.w, c.h, scene(c.w, c.h, c.noise), c.index)
			for y := range e.mbh {
				for x := range e.mbw {
					e.macroblock(x, y)
				}
			}
			img := decode(t, e.frame())
			if img.Rect.Dx() != c.w || img.Rect.Dy() != c.h {
				t.Fatalf("size %v", img.Rect)
			}
			for y := range c.h {
				for x := range c.w {
					if got, want := int(img.Y[img.YOffset(x, y)]), e.done[0].at(x, y); got != want {
						t.Fatalf("Y at %d,%d: %d, the encoder has %d", x, y, got, want)
					}
					if got, want := int(img.Cb[img.COffset(x, y)]), e.done[1].at(x/2, y/2); got != want {
						t.Fatalf("U at %d,%d: %d, the encoder has %d", x, y, got, want)
					}
					if got, want := int(img.Cr[img.COffset(x, y)]), e.done[2].at(x/2, y/2); got != want {
						t.Fatalf("V at %d,%d: %d, the encoder has %d", x, y, got, want)
					}
				}
			}
		})
	}
}

// psnrY is of luma, against the source in the same range.
func psnrY(t *testing.T, w, h, quality int) (db float64, size int) {
	t.Helper()
	rgb := scene(w, h, 3)
	data, err := Encode(w, h, rgb, quality)
	if err != nil {
		t.Fatal(err)
	}
	img := decode(t, data)
	e := newEncoder(w, h, rgb, 0)
	sum := 0.0
	for y := range h {
		for x := range w {
			d := float64(img.Y[img.YOffset(x, y)]) - float64(e.source[0].at(x, y))
			sum += d * d
		}
	}
	return 10 * math.Log10(255*255/(sum/float64(w*h))), len(data)
}

func TestQuality(t *testing.T) {
	lastDB, lastSize := 0.0, 0
	for _, q := range []int{0, 30, 60, 85, 100} {
		db, size := psnrY(t, 160, 120, q)
		t.Logf("quality %d: %.1f dB, %d bytes", q, db, size)
		if db <= lastDB || size <= lastSize {
			t.Errorf("quality %d: %.1f dB in %d bytes, the quality before %.1f dB in %d", q, db, size, lastDB, lastSize)
		}
		lastDB, lastSize = db, size
	}
	if lastDB < 48 { // rounding alone, with steps of 4 of an eighth, gives 50 or more
		t.Errorf("the best quality has %.1f dB", lastDB)
	}
}

func TestColours(t *testing.T) {
	// Flat colours through the narrow-range matrix and back, as players do it.
	for _, c := range []color.RGBA{{255, 255, 255, 255}, {0, 0, 0, 255}, {255, 0, 0, 255}, {0, 255, 0, 255}, {0, 0, 255, 255}, {120, 60, 200, 255}} {
		rgb := bytes.Repeat([]byte{c.R, c.G, c.B}, 16*16)
		data, err := Encode(16, 16, rgb, 100)
		if err != nil {
			t.Fatal(err)
		}
		img := decode(t, data)
		y, u, v := float64(img.Y[0])-16, float64(img.Cb[0])-128, float64(img.Cr[0])-128
		got := [3]float64{1.164384*y + 1.596027*v, 1.164384*y - 0.391762*u - 0.812968*v, 1.164384*y + 2.017232*u}
		for i, want := range []uint8{c.R, c.G, c.B} {
			// One step of Y, U or V is up to 2 of a colour.
			if math.Abs(min(max(got[i], 0), 255)-float64(want)) > 4 {
				t.Errorf("%v became %v", c, got)
			}
		}
	}
}

func TestEncodeRepeatsAndRefuses(t *testing.T) {
	a, err := Encode(70, 50, scene(70, 50, 10), 80)
	if err != nil {
		t.Fatal(err)
	}
	b, _ := Encode(70, 50, scene(70, 50, 10), 80)
	if sha256.Sum256(a) != sha256.Sum256(b) {
		t.Error("one picture gave two frames")
	}
	for _, c := range [][3]int{{0, 1, 0}, {1, 0, 0}, {MaxSide + 1, 1, (MaxSide + 1) * 3}, {2, 2, 11}} {
		if _, err := Encode(c[0], c[1], make([]uint8, c[2]), 80); err == nil {
			t.Errorf("%dx%d with %d values was encoded", c[0], c[1], c[2])
		}
	}
}

func TestTransformsAreInverse(t *testing.T) {
	s := rng.New(2, "transform")
	for range 1000 {
		var c, want [16]int32
		for i := range c {
			c[i] = int32(s.IntN(511)) - 255
		}
		want = c
		forward(&c)
		inverse(&c)
		for i := range c {
			if d := c[i] - want[i]; d < -1 || d > 1 { // rounding, once in each direction
				t.Fatalf("%v became %v", want, c)
			}
		}
	}
}

// TestBoolWriterCarries writes many unlikely bits, whose intervals overflow into bytes already written.
func TestBoolWriterCarries(t *testing.T) {
	s := rng.New(3, "bits")
	w := newBoolWriter()
	type bit struct {
		b bool
		p uint8
	}
	var bits []bit
	for range 20000 {
		x := bit{s.Bernoulli(0.7), uint8(1 + s.IntN(255))}
		bits = append(bits, x)
		w.bit(x.b, x.p)
	}
	data := append(w.finish(), 0, 0)
	// The reader of section 7.3.
	value, width, left, at := uint32(data[0])<<8|uint32(data[1]), uint32(255), 0, 2
	for i, x := range bits {
		split := 1 + (width-1)*uint32(x.p)>>8
		got := value >= split<<8
		if got {
			width -= split
			value -= split << 8
		} else {
			width = split
		}
		for width < 128 {
			value <<= 1
			width <<= 1
			if left++; left == 8 {
				left = 0
				if at < len(data) {
					value |= uint32(data[at])
				}
				at++
			}
		}
		if got != x.b {
			t.Fatalf("bit %d of %d differs", i, len(bits))
		}
	}
}

func BenchmarkEncode(b *testing.B) {
	rgb := scene(256, 256, 3)
	b.SetBytes(256 * 256 * 3)
	for b.Loop() {
		if _, err := Encode(256, 256, rgb, 85); err != nil {
			b.Fatal(err)
		}
	}
}
