package pixel

import (
	"bytes"
	"errors"
	"fmt"
	"image"
	"image/draw"
	_ "image/gif"  // registers the format
	_ "image/jpeg" // registers the format
	_ "image/png"  // registers the format
	"io"
	"os"

	_ "golang.org/x/image/bmp"  // registers the format
	_ "golang.org/x/image/tiff" // registers the format
	_ "golang.org/x/image/webp" // registers the format
)

// Caps on pictures from outside, checked against the header before any pixel is decoded.
const (
	MaxSide   = 16384
	MaxPixels = 40_000_000
	maxFile   = 256 << 20 // bytes
)

// ErrFormat says that a file is no picture of a known format.
var ErrFormat = errors.New("not a picture that can be read (PNG, JPEG, GIF, WebP, BMP and TIFF can)")

// TooLargeError says that a picture passes the caps.
type TooLargeError struct{ W, H int }

func (e *TooLargeError) Error() string {
	return fmt.Sprintf("picture of %dx%d is too large (at most %d a side and %d million pixels)", e.W, e.H, MaxSide, MaxPixels/1_000_000)
}

// Load reads a picture file as planes, transparency laid over white.
func Load(path string) (Image, error) {
	img, err := DecodeFile(path)
	if err != nil {
		return Image{}, err
	}
	return FromImage(img), nil
}

// DecodeFile is Decode of a file. The error names the file.
func DecodeFile(path string) (image.Image, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("read picture: %w", err)
	}
	defer f.Close()
	img, err := Decode(f)
	if err != nil {
		return nil, fmt.Errorf("read picture %s: %w", path, err)
	}
	return img, nil
}

// Decode reads a PNG, JPEG, GIF (its first frame), WebP, BMP or TIFF and turns it as its EXIF orientation says. ICC
// profiles are ignored. The bounds of the result start at (0,0) for turned pictures and are the decoder's otherwise.
// It returns ErrFormat for other files, a *TooLargeError for pictures that pass the caps, and never panics.
func Decode(r io.Reader) (img image.Image, err error) {
	raw, err := io.ReadAll(io.LimitReader(r, maxFile+1))
	if err != nil {
		return nil, err
	}
	if len(raw) > maxFile {
		return nil, fmt.Errorf("picture file is larger than %d MiB", maxFile>>20)
	}
	defer func() { // a decoder's bug met by a hostile file is an error of that file
		if p := recover(); p != nil {
			img, err = nil, fmt.Errorf("broken picture: %v", p)
		}
	}()
	config, format, err := image.DecodeConfig(bytes.NewReader(raw))
	if errors.Is(err, image.ErrFormat) {
		return nil, ErrFormat
	}
	if err != nil {
		return nil, fmt.Errorf("broken picture: %w", err)
	}
	if err := checkCaps(config.Width, config.Height); err != nil {
		return nil, err
	}
	img, _, err = image.Decode(bytes.NewReader(raw))
	if err != nil {
		return nil, fmt.Errorf("broken %s picture: %w", format, err)
	}
	if format == "gif" {
		img = onScreen(img, config.Width, config.Height)
	}
	return orient(img, orientation(format, raw)), nil
}

func checkCaps(w, h int) error {
	if w < 1 || h < 1 {
		return fmt.Errorf("broken picture: size %dx%d", w, h)
	}
	if w > MaxSide || h > MaxSide || w > MaxPixels/h {
		return &TooLargeError{w, h}
	}
	return nil
}

// onScreen places the first frame of a GIF on its logical screen, transparent elsewhere.
func onScreen(frame image.Image, w, h int) image.Image {
	screen := image.Rect(0, 0, w, h)
	if frame.Bounds() == screen {
		return frame
	}
	out := image.NewNRGBA(screen)
	draw.Draw(out, frame.Bounds(), frame, frame.Bounds().Min, draw.Src)
	return out
}
