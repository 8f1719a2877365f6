package pixel

import (
	"bytes"
	"errors"
	"image"
	"image/color"
	"image/gif"
	"math"
	"testing"
	"time"
)

// gradient is a smooth picture with far more than 256 colours.
func gradient(w, h, shift int) *image.NRGBA {
	m := image.NewNRGBA(image.Rect(0, 0, w, h))
	for y := range h {
		for x := range w {
			m.SetNRGBA(x, y, color.NRGBA{uint8(x * 255 / w), uint8(y * 255 / h), uint8((x + y + shift) * 127 / (w + h)), 255})
		}
	}
	return m
}

func TestGIF(t *testing.T) {
	frames := []image.Image{gradient(64, 48, 0), gradient(64, 48, 20)}
	var a, b bytes.Buffer
	for _, w := range []*bytes.Buffer{&a, &b} {
		if err := EncodeGIF(w, frames, 70*time.Millisecond); err != nil {
			t.Fatal(err)
		}
	}
	if !bytes.Equal(a.Bytes(), b.Bytes()) {
		t.Fatal("the same frames gave different bytes")
	}
	g, err := gif.DecodeAll(&a)
	if err != nil {
		t.Fatal(err)
	}
	if len(g.Image) != 2 || g.Delay[0] != 7 || g.LoopCount != 0 {
		t.Fatalf("%d frames, delays %v, loops %d", len(g.Image), g.Delay, g.LoopCount)
	}
	for i, f := range g.Image {
		d, err := Compare(frames[i], f)
		if err != nil {
			t.Fatal(err)
		}
		// The web-safe palette with the same dithering reaches 22.2 dB here, and ours 29.9 when this was written.
		if d.PSNR < 28 {
			t.Errorf("frame %d: PSNR %.1f dB, want at least 28", i, d.PSNR)
		}
	}
	if err := EncodeGIF(&b, nil, 0); err == nil {
		t.Error("an animation of nothing was written")
	}
	if err := EncodeGIF(&b, []image.Image{gradient(4, 4, 0), gradient(5, 4, 0)}, 0); err == nil {
		t.Error("frames of two sizes were written")
	}
	if err := EncodeGIF(&fullDisk{left: 20}, frames, 0); !errors.Is(err, errFull) {
		t.Errorf("a full disk: %v", err)
	}
}

func TestPaletteKeepsFewColours(t *testing.T) {
	p := Palette([]image.Image{corners()}, 256)
	if len(p) != 4 {
		t.Fatalf("%d colours for a picture of 4: %v", len(p), p)
	}
	for _, c := range []color.Color{color.RGBA{255, 0, 0, 255}, color.RGBA{0, 255, 0, 255}, color.RGBA{0, 0, 255, 255}, color.RGBA{255, 255, 255, 255}} {
		if p.Convert(c) != c {
			t.Errorf("%v is missing from %v", c, p)
		}
	}
	if p := Palette([]image.Image{gradient(64, 64, 0)}, 16); len(p) != 16 {
		t.Errorf("%d colours where 16 were asked for", len(p))
	}
}

func TestSheet(t *testing.T) {
	red, tall := image.NewNRGBA(image.Rect(0, 0, 4, 4)), image.NewNRGBA(image.Rect(7, 7, 9, 23))
	for i := range red.Pix {
		red.Pix[i] = []uint8{255, 0, 0, 255}[i%4]
	}
	for i := range tall.Pix {
		tall.Pix[i] = []uint8{0, 0, 255, 255}[i%4]
	}
	s := Sheet{Columns: 2, CellSize: 16, Gap: 2}
	got := s.Draw([]Cell{{red, ""}, {tall, ""}, {nil, ""}})
	if got.Rect != image.Rect(0, 0, 2+18*2, 2+18*2) {
		t.Fatalf("sheet of %v", got.Rect)
	}
	white, blue := color.NRGBA{255, 255, 255, 255}, color.NRGBA{0, 0, 255, 255}
	for _, c := range []struct {
		x, y int
		want color.NRGBA
	}{
		{0, 0, white}, {2, 2, color.NRGBA{255, 0, 0, 255}}, {17, 17, color.NRGBA{255, 0, 0, 255}}, {18, 18, white},
		{20, 10, white}, {26, 2, white}, {27, 2, blue}, {28, 17, blue}, {29, 10, white}, {10, 30, white},
	} {
		if g := got.NRGBAAt(c.x, c.y); g != c.want {
			t.Errorf("pixel (%d,%d) is %v, want %v", c.x, c.y, g, c.want)
		}
	}
	if e := (Sheet{}).Draw(nil); !e.Rect.Empty() {
		t.Errorf("a sheet of nothing is %v", e.Rect)
	}
	if g := (Sheet{}).Draw(make([]Cell, 5)); g.Rect != image.Rect(0, 0, 3, 2) {
		t.Errorf("5 cells make a sheet of %v, want 3 x 2", g.Rect)
	}
}

func TestSheetCaptions(t *testing.T) {
	for _, bg := range []color.Color{nil, color.Black} {
		s := Sheet{CellSize: 40, Background: bg}
		plain, dark := s.Draw([]Cell{{nil, ""}}), s.Draw([]Cell{{nil, "a"}})
		if dark.Rect.Dy() != plain.Rect.Dy()+captionHeight {
			t.Fatalf("caption makes %v of %v", dark.Rect, plain.Rect)
		}
		ink := func(text string) (n, right int) {
			g := s.Draw([]Cell{{nil, text}})
			for y := 40; y < g.Rect.Dy(); y++ {
				for x := range g.Rect.Dx() {
					if g.NRGBAAt(x, y) != g.NRGBAAt(0, 0) {
						n, right = n+1, max(right, x)
					}
				}
			}
			return n, right
		}
		n, _ := ink("a")
		if n == 0 {
			t.Fatal("no ink")
		}
		if m, right := ink("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"); right >= 40 || m <= 2*n {
			t.Errorf("a long caption: %d pixels of ink, up to column %d", m, right)
		}
		if q, _ := ink("?"); q == 0 {
			t.Error("no ink for a question mark")
		} else if u, _ := ink("é"); u != q {
			t.Error("a character outside of ASCII is not a question mark")
		}
	}
}

func TestFit(t *testing.T) {
	for _, c := range []struct{ w, h, side, ow, oh int }{
		{10, 5, 0, 10, 5}, {10, 5, 10, 10, 5}, {10, 5, 39, 30, 15}, {100, 50, 10, 10, 5}, {1000, 1, 10, 10, 1},
	} {
		if got := Fit(gradient(c.w, c.h, 0), c.side).Rect.Size(); got != image.Pt(c.ow, c.oh) {
			t.Errorf("%dx%d into %d: %v, want %dx%d", c.w, c.h, c.side, got, c.ow, c.oh)
		}
	}
}

func TestCompare(t *testing.T) {
	a := gradient(32, 24, 0)
	same, err := Compare(a, gradient(32, 24, 0))
	if err != nil || !same.Equal() || same.Pixels != 0 || !math.IsInf(same.PSNR, 1) || math.Abs(same.SSIM-1) > 1e-9 {
		t.Fatalf("equal pictures: %+v, %v", same, err)
	}
	b := gradient(32, 24, 0)
	b.Pix[4*(5*32+7)+1] += 10
	d, err := Compare(a, b)
	n := 32 * 24 * 3.0
	if err != nil || d.Max != 10 || d.Pixels != 1 || d.Equal() || math.Abs(d.Mean-10/n) > 1e-12 {
		t.Fatalf("one value off by 10: %+v, %v", d, err)
	}
	if want := 10 * math.Log10(255*255/(100/n)); math.Abs(d.PSNR-want) > 1e-9 || d.SSIM >= 1 || d.SSIM < 0.9 {
		t.Fatalf("PSNR %v, want %v; SSIM %v", d.PSNR, want, d.SSIM)
	}
	// Flat pictures have a closed form: only the luminance term is left.
	flat := func(v uint8) image.Image {
		m := image.NewGray(image.Rect(0, 0, 12, 5)) // lower than the window
		for i := range m.Pix {
			m.Pix[i] = v
		}
		return m
	}
	d, err = Compare(flat(100), flat(120))
	c1 := 2.55 * 2.55
	if want := (2*100*120 + c1) / (100*100 + 120*120 + c1); err != nil || math.Abs(d.SSIM-want) > 1e-9 {
		t.Fatalf("SSIM of flat pictures %v, want %v, %v", d.SSIM, want, err)
	}
	if _, err := Compare(a, flat(1)); err == nil {
		t.Fatal("pictures of two sizes were compared")
	}
	if _, err := Compare(image.NewGray(image.Rectangle{}), image.NewGray(image.Rectangle{})); err == nil {
		t.Fatal("empty pictures were compared")
	}
	m, err := DifferenceImage(a, b)
	if err != nil || m.NRGBAAt(7, 5) != (color.NRGBA{0, 255, 0, 255}) || m.NRGBAAt(8, 5) != (color.NRGBA{0, 0, 0, 255}) {
		t.Fatalf("difference picture %v %v, %v", m.NRGBAAt(7, 5), m.NRGBAAt(8, 5), err)
	}
}
