package pixel

import (
	"image"
	"image/color"
	"math"
	"testing"
)

// picture makes an image of a uint8 HWC tensor.
func picture(t *testing.T, x tensor) *image.NRGBA {
	t.Helper()
	if len(x.shape) != 3 || x.shape[2] != 3 {
		t.Fatalf("fixture of shape %v is no picture", x.shape)
	}
	return raster{x.shape[1], x.shape[0], x.u8}.image()
}

// mustEqual fails on the first pixel that differs: the arithmetic is Pillow's own, so there is no tolerance.
func mustEqual(t *testing.T, got, want image.Image) {
	t.Helper()
	if got.Bounds() != want.Bounds() {
		t.Fatalf("size %v, want %v", got.Bounds(), want.Bounds())
	}
	b := want.Bounds()
	for y := b.Min.Y; y < b.Max.Y; y++ {
		for x := b.Min.X; x < b.Max.X; x++ {
			if g, w := got.At(x, y), want.At(x, y); g != w {
				t.Fatalf("pixel (%d,%d) is %v, want %v", x, y, g, w)
			}
		}
	}
}

func TestResizeEqualsPillow(t *testing.T) {
	fx := fixture(t)
	src := picture(t, fx["pil.src"])
	for name, f := range map[string]Filter{
		"pil.bicubic_down": Bicubic, "pil.bilinear_down": Bilinear, "pil.lanczos_down": Lanczos, "pil.lanczos_up": Lanczos,
	} {
		t.Run(name, func(t *testing.T) {
			want := picture(t, fx[name])
			b := want.Bounds()
			mustEqual(t, Resize8(src, b.Dx(), b.Dy(), f), want)
			if b.Dx() > src.Bounds().Dx() {
				return // growing sharp edges overshoots, which 8 bit clips between the passes and the float version keeps
			}
			// Elsewhere the float version differs by the two roundings to 8 bit only.
			got := FromImage(src).Resize(b.Dx(), b.Dy(), f).ToImage()
			for i, g := range got.Pix {
				if d := math.Abs(float64(g) - float64(want.Pix[i])); d > 2 {
					t.Fatalf("float version: byte %d is %d, want %d +-2", i, g, want.Pix[i])
				}
			}
		})
	}
	t.Run("FitArea", func(t *testing.T) { mustEqual(t, FitArea(src, 32, 32), picture(t, fx["pil.resize_image_32x32"])) })
	t.Run("ZoomAt", func(t *testing.T) {
		mustEqual(t, ZoomAt(src, 53/2., 37/2., 0.9), picture(t, fx["pil.zoom_at_0.9"]))
	})
}

func TestCLIPPreprocessEqualsOpenAI(t *testing.T) {
	fx := fixture(t)
	mean := [3]float64{0.48145466, 0.4578275, 0.40821073}
	std := [3]float64{0.26862954, 0.26130258, 0.27577711}
	got := CLIPPreprocess(picture(t, fx["pil.src"]), 24)
	want := fx["clip_preprocess_24"]
	if got.W != 24 || got.H != 24 || len(want.f32) != 3*24*24 {
		t.Fatalf("got %dx%d, fixture %v", got.W, got.H, want.shape)
	}
	for i, x := range got.Pix {
		c, yx := i%3, i/3
		// One float32 division and one subtraction in torch: a few units in the last place of values below 3.
		if n := (float64(x) - mean[c]) / std[c]; math.Abs(n-float64(want.f32[c*24*24+yx])) > 2e-6 {
			t.Fatalf("channel %d pixel %d: %v, want %v", c, yx, n, want.f32[c*24*24+yx])
		}
	}
}

func TestCLIPPreprocessShapes(t *testing.T) {
	for _, c := range []struct{ w, h int }{{24, 24}, {24, 100}, {100, 24}, {7, 9}, {1, 16384}, {16384, 1}} {
		img := image.NewNRGBA(image.Rect(5, 5, 5+c.w, 5+c.h)) // transparent: white
		got := CLIPPreprocess(img, 24)
		if err := got.Valid(); err != nil || got.W != 24 || got.H != 24 {
			t.Fatalf("%dx%d gives %dx%d, %v", c.w, c.h, got.W, got.H, err)
		}
		for i, v := range got.Pix {
			if v != 1 {
				t.Fatalf("%dx%d: value %d of a white picture is %v", c.w, c.h, i, v)
			}
		}
	}
}

// A window of a resize must be the crop of the whole resize, also when a pass is skipped.
func TestResizeWindowIsCropOfResize(t *testing.T) {
	src := flatten(picture(t, fixture(t)["pil.src"]), color.White)
	win := image.Rect(3, 5, 17, 19)
	for _, size := range [][2]int{{24, 24}, {53, 24}, {24, 37}, {53, 37}, {80, 90}} {
		whole := src.resize(size[0], size[1], Bicubic).crop(win.Min.X, win.Min.Y, win.Dx(), win.Dy())
		mustEqual(t, src.resizeWindow(size[0], size[1], Bicubic, win).image(), whole.image())
	}
}

// Independent statement of what resampling is: constant pictures stay constant, and shrinking by a whole number with
// Box is the mean.
func TestResizeLaws(t *testing.T) {
	for f := Box; f <= Lanczos; f++ {
		flat := New(9, 7)
		for i := range flat.Pix {
			flat.Pix[i] = 0.25
		}
		for _, v := range flat.Resize(4, 13, f).Pix {
			if math.Abs(float64(v)-0.25) > 1e-6 { // two float32 roundings
				t.Fatalf("%v: a flat picture became %v", f, v)
			}
		}
		if back, err := ParseFilter(f.String()); err != nil || back != f {
			t.Fatalf("%v does not read back: %v %v", f, back, err)
		}
	}
	m := New(4, 2)
	for i := range m.Pix {
		m.Pix[i] = float32(i) / 32
	}
	half := m.Resize(2, 1, Box)
	for x := range 2 {
		for c := range 3 {
			at := func(dx, y int) float64 { return float64(m.Pix[(y*4+2*x+dx)*3+c]) }
			want := (at(0, 0) + at(1, 0) + at(0, 1) + at(1, 1)) / 4
			if got := half.Pix[x*3+c]; math.Abs(float64(got)-want) > 1e-6 {
				t.Fatalf("mean at %d,%d is %v, want %v", x, c, got, want)
			}
		}
	}
	if _, err := ParseFilter("cubic"); err == nil {
		t.Fatal("an unknown filter was accepted")
	}
}

func TestTo8(t *testing.T) {
	for _, c := range []struct {
		in   float32
		want uint8
	}{
		{0, 0}, {1, 255}, {-3, 0}, {7, 255}, {0.5, 128}, {float32(math.NaN()), 0}, {float32(math.Inf(1)), 255},
		{float32(math.Inf(-1)), 0}, {0.49 / 255, 0}, {0.51 / 255, 1}, {254.49 / 255, 254}, {254.51 / 255, 255},
	} {
		if got := To8(c.in); got != c.want {
			t.Errorf("To8(%v) = %d, want %d", c.in, got, c.want)
		}
	}
	for v := range 256 { // every 8-bit value survives the way through planes
		if got := To8(float32(v) / 255); int(got) != v {
			t.Errorf("%d became %d", v, got)
		}
	}
}

// The reference's float -> PIL conversion truncates; ours rounds (design section 4). They may differ by one, upwards.
func TestToImageAgainstTorchvision(t *testing.T) {
	fx := fixture(t)
	x, y := fx["to_pil_from_float.x"], fx["to_pil_from_float.y"]
	h, w := x.shape[1], x.shape[2]
	for i := range h * w {
		for c := range 3 {
			got, want := int(To8(x.f32[c*h*w+i])), int(y.u8[i*3+c])
			if got != want && got != want+1 {
				t.Fatalf("pixel %d channel %d: %d, torchvision has %d", i, c, got, want)
			}
		}
	}
}

func TestFlattenOverBackground(t *testing.T) {
	red := color.NRGBA{255, 0, 0, 255}
	models := map[string]func() interface {
		image.Image
		Set(x, y int, c color.Color)
	}{
		"nrgba": func() interface {
			image.Image
			Set(x, y int, c color.Color)
		} {
			return image.NewNRGBA(image.Rect(2, 3, 4, 4))
		},
		"rgba": func() interface {
			image.Image
			Set(x, y int, c color.Color)
		} {
			return image.NewRGBA(image.Rect(2, 3, 4, 4))
		},
		"nrgba64": func() interface {
			image.Image
			Set(x, y int, c color.Color)
		} {
			return image.NewNRGBA64(image.Rect(2, 3, 4, 4))
		},
	}
	for name, mk := range models {
		m := mk()
		m.Set(2, 3, color.NRGBA{0, 255, 0, 255})
		m.Set(3, 3, color.NRGBA{0, 0, 255, 51}) // a fifth of blue
		got := flatten(m, red)
		want := []uint8{0, 255, 0, 204, 0, 51}
		for i := range want {
			if got.pix[i] != want[i] {
				t.Errorf("%s: %v, want %v", name, got.pix, want)
				break
			}
		}
	}
	y := image.NewYCbCr(image.Rect(0, 0, 2, 2), image.YCbCrSubsampleRatio420)
	for i := range y.Y {
		y.Y[i] = uint8(60 * i)
	}
	y.Cb[0], y.Cr[0] = 128, 128
	r := flatten(y, red)
	for i, want := range []uint8{0, 60, 120, 180} {
		if r.pix[i*3] != want || r.pix[i*3+2] != want {
			t.Fatalf("grey YCbCr became %v", r.pix)
		}
	}
	g16 := image.NewGray16(image.Rect(0, 0, 1, 1))
	g16.SetGray16(0, 0, color.Gray16{Y: 257*77 + 100})
	if p := flatten(g16, red).pix; p[0] != 77 {
		t.Fatalf("16 bit reduced to %d, want 77", p[0])
	}
}

func TestCropPadsWithBlackAndExtendWithTheEdge(t *testing.T) {
	m := New(3, 2)
	for i := range m.Pix {
		m.Pix[i] = float32(i + 1)
	}
	for x := -4; x <= 4; x++ {
		for y := -3; y <= 3; y++ {
			got := m.Crop(x, y, 2, 2)
			for j := range 2 {
				for i := range 2 {
					want := float32(0)
					if sx, sy := x+i, y+j; sx >= 0 && sx < 3 && sy >= 0 && sy < 2 {
						want = m.Pix[(sy*3+sx)*3]
					}
					if got.Pix[(j*2+i)*3] != want {
						t.Fatalf("crop at %d,%d: pixel %d,%d is %v, want %v", x, y, i, j, got.Pix[(j*2+i)*3], want)
					}
				}
			}
		}
	}
	for x := -4; x <= 4; x++ {
		got := m.Extend(x, -1, 3, 4)
		for j := range 4 {
			for i := range 3 {
				if want := m.Pix[(min(max(j-1, 0), 1)*3+min(max(x+i, 0), 2))*3]; got.Pix[(j*3+i)*3] != want {
					t.Fatalf("extended from %d,-1: pixel %d,%d is %v, want %v", x, i, j, got.Pix[(j*3+i)*3], want)
				}
			}
		}
	}
	if err := (Image{W: 2, H: 2, Pix: make([]float32, 11)}).Valid(); err == nil {
		t.Fatal("an image with a missing value is valid")
	}
}
