package pixel

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"image"
	"image/color"
	"image/gif"
	"image/jpeg"
	"image/png"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/image/bmp"
	"golang.org/x/image/tiff"
)

// corners is 16x8 with a different colour in each quarter: red, green, blue, white from the top left by rows.
func corners() *image.NRGBA {
	m := image.NewNRGBA(image.Rect(0, 0, 16, 8))
	for y := range 8 {
		for x := range 16 {
			m.SetNRGBA(x, y, []color.NRGBA{{255, 0, 0, 255}, {0, 255, 0, 255}, {0, 0, 255, 255}, {255, 255, 255, 255}}[y/4*2+x/8])
		}
	}
	return m
}

// quarters names the quarters' colours of any picture, by rows.
func quarters(img image.Image) string {
	b := img.Bounds()
	var out strings.Builder
	for q := range 4 {
		r, g, bl, _ := img.At(b.Min.X+b.Dx()*(1+q%2*2)/4, b.Min.Y+b.Dy()*(1+q/2*2)/4).RGBA()
		switch big := func(v uint32) bool { return v > 0x8000 }; {
		case big(r) && big(g) && big(bl):
			out.WriteByte('W')
		case big(r):
			out.WriteByte('R')
		case big(g):
			out.WriteByte('G')
		case big(bl):
			out.WriteByte('B')
		default:
			out.WriteByte('.')
		}
	}
	return out.String()
}

func encodeJPEG(t testing.TB, img image.Image) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := jpeg.Encode(&b, img, &jpeg.Options{Quality: 95}); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// exifBlock is a TIFF block with one unrelated tag and the orientation.
func exifBlock(order binary.AppendByteOrder, orientation uint16) []byte {
	b := []byte("II*\x00")
	if order == binary.AppendByteOrder(binary.BigEndian) {
		b = []byte("MM\x00*")
	}
	b = order.AppendUint32(b, 8)
	b = order.AppendUint16(b, 2)
	for _, e := range [][2]uint16{{0x0110, 7}, {0x0112, orientation}} {
		b = order.AppendUint16(b, e[0])
		b = order.AppendUint16(b, 3)
		b = order.AppendUint32(b, 1)
		b = order.AppendUint16(b, e[1])
		b = order.AppendUint16(b, 0)
	}
	return order.AppendUint32(b, 0)
}

func withEXIF(jpg, block []byte) []byte {
	seg := append([]byte("Exif\x00\x00"), block...)
	out := append([]byte{}, jpg[:2]...)
	out = append(out, 0xff, 0xe0, 0, 4, 1, 2) // some other segment first
	out = append(out, 0xff, 0xe1)
	out = binary.BigEndian.AppendUint16(out, uint16(len(seg)+2))
	out = append(out, seg...)
	return append(out, jpg[2:]...)
}

func TestOrientation(t *testing.T) {
	// How the quarters R G / B W look after turning, from the definition in EXIF 2.3 (tag 274).
	want := map[uint16]string{0: "RGBW", 1: "RGBW", 2: "GRWB", 3: "WBGR", 4: "BWRG", 5: "RBGW", 6: "BRWG", 7: "WGBR", 8: "GWRB", 9: "RGBW"}
	jpg := encodeJPEG(t, corners())
	for o, w := range want {
		for _, order := range []binary.AppendByteOrder{binary.LittleEndian, binary.BigEndian} {
			img, err := Decode(bytes.NewReader(withEXIF(jpg, exifBlock(order, o))))
			if err != nil {
				t.Fatal(err)
			}
			if got := quarters(img); got != w {
				t.Errorf("orientation %d (%v): %s, want %s", o, order, got, w)
			}
			if tall := img.Bounds().Dy() > img.Bounds().Dx(); tall != (o >= 5 && o <= 8) {
				t.Errorf("orientation %d gives bounds %v", o, img.Bounds())
			}
		}
	}
	var p bytes.Buffer
	if err := EncodePNG(&p, corners(), Chunk{"eXIf", exifBlock(binary.BigEndian, 6)}); err != nil {
		t.Fatal(err)
	}
	if img, err := Decode(&p); err != nil || quarters(img) != "BRWG" {
		t.Errorf("PNG with orientation 6: %v", err)
	}
}

func TestDecodeEveryFormat(t *testing.T) {
	files := map[string][]byte{"jpeg": encodeJPEG(t, corners())}
	enc := func(name string, f func(b *bytes.Buffer) error) {
		var b bytes.Buffer
		if err := f(&b); err != nil {
			t.Fatal(err)
		}
		files[name] = b.Bytes()
	}
	enc("png", func(b *bytes.Buffer) error { return png.Encode(b, corners()) })
	enc("gif", func(b *bytes.Buffer) error { return gif.Encode(b, corners(), nil) })
	enc("bmp", func(b *bytes.Buffer) error { return bmp.Encode(b, corners()) })
	enc("tiff", func(b *bytes.Buffer) error { return tiff.Encode(b, corners(), nil) })
	for name, raw := range files {
		path := filepath.Join(t.TempDir(), "x."+name)
		if err := os.WriteFile(path, raw, 0o600); err != nil {
			t.Fatal(err)
		}
		img, err := DecodeFile(path)
		if err != nil || quarters(img) != "RGBW" {
			t.Errorf("%s: %v", name, err)
		}
		if m, err := Load(path); err != nil || m.W != 16 || m.H != 8 {
			t.Errorf("%s loads as %dx%d, %v", name, m.W, m.H, err)
		}
		for _, cut := range []int{len(raw) / 3, len(raw) / 2} {
			if _, err := Decode(bytes.NewReader(raw[:cut])); err == nil {
				t.Errorf("%s cut to %d of %d bytes was read", name, cut, len(raw))
			}
		}
	}
	for name, s := range map[string]string{
		"lossy":    "UklGRiIAAABXRUJQVlA4IBYAAAAwAQCdASoBAAEADsD+JaQAA3AAAAAA",
		"lossless": "UklGRhoAAABXRUJQVlA4TA0AAAAvAAAAEAcQERGIiP4HAA==",
	} {
		raw, _ := base64.StdEncoding.DecodeString(s)
		if img, err := Decode(bytes.NewReader(raw)); err != nil || img.Bounds() != image.Rect(0, 0, 1, 1) {
			t.Errorf("%s webp: %v", name, err)
		}
	}
}

func TestDecodeRefuses(t *testing.T) {
	if _, err := Decode(strings.NewReader("hello, I am a text file")); !errors.Is(err, ErrFormat) {
		t.Errorf("a text file: %v", err)
	}
	if _, err := Decode(strings.NewReader("")); !errors.Is(err, ErrFormat) {
		t.Errorf("an empty file: %v", err)
	}
	if _, err := DecodeFile(filepath.Join(t.TempDir(), "none.png")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a missing file: %v", err)
	}
	// The header alone decides: these files have no pixels, so a decoder that ran would say something else.
	for _, size := range [][2]uint32{{16385, 1}, {1, 16385}, {10000, 4001}, {1 << 30, 1 << 30}} {
		var b bytes.Buffer
		b.WriteString(pngMagic)
		h := binary.BigEndian.AppendUint32(nil, size[0])
		h = binary.BigEndian.AppendUint32(h, size[1])
		Chunk{"IHDR", append(h, 8, 2, 0, 0, 0)}.writeTo(&b)
		_, err := Decode(&b)
		var large *TooLargeError
		if !errors.As(err, &large) && !(size[0] == 1<<30 && err != nil) {
			t.Errorf("%v: %v", size, err)
		}
		if errors.As(err, &large) && (large.W != int(size[0]) || large.H != int(size[1])) {
			t.Errorf("%v reported as %dx%d", size, large.W, large.H)
		}
	}
	if err := checkCaps(10000, 4000); err != nil {
		t.Errorf("40 million pixels are allowed: %v", err)
	}
}

// A frame of a GIF may be smaller than its screen: the rest is transparent.
func TestGIFFrameIsPlacedOnItsScreen(t *testing.T) {
	frame := image.NewPaletted(image.Rect(2, 1, 4, 3), color.Palette{color.NRGBA{200, 0, 0, 255}})
	var b bytes.Buffer
	err := gif.EncodeAll(&b, &gif.GIF{Image: []*image.Paletted{frame}, Delay: []int{0}, Config: image.Config{Width: 6, Height: 5}})
	if err != nil {
		t.Fatal(err)
	}
	img, err := Decode(&b)
	if err != nil || img.Bounds() != image.Rect(0, 0, 6, 5) {
		t.Fatalf("%v, %v", img.Bounds(), err)
	}
	m := FromImage(img)
	if m.Pix[0] != 1 || m.Pix[(1*6+2)*3] != 200/255.0 || m.Pix[(1*6+2)*3+1] != 0 {
		t.Fatalf("corner %v, frame %v", m.Pix[:3], m.Pix[(1*6+2)*3:][:3])
	}
}

func FuzzDecodeOrientation(f *testing.F) {
	jpg := encodeJPEG(f, corners())
	f.Add(withEXIF(jpg, exifBlock(binary.LittleEndian, 6)))
	f.Add(withEXIF(jpg, exifBlock(binary.BigEndian, 3))[:40])
	f.Add([]byte("\xff\xd8\xff\xe1\x00\x10Exif\x00\x00MM\x00*\xff\xff\xff\xff"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		for _, o := range []int{orientation("jpeg", raw), tiffOrientation(raw), orientation("png", raw)} {
			if o < 1 || o > 8 {
				t.Fatalf("orientation %d", o)
			}
		}
	})
}
