// Package pixel is everything that happens to pictures outside of graphs: reading files safely, planes of float32,
// resampling that equals Pillow's bit for bit, contact sheets, comparison, and writing PNG (with the recipe of the
// picture inside) and films (GIF, APNG, WebM, MP4).
//
// Start with Image, FromImage and Image.ToImage; decode.go reads files, resample.go and clip.go resize, png.go and
// codes.go hold what travels inside a PNG, film.go is what animations have in common.
//
// Everything here is a pure function of its arguments: the same picture gives the same bytes.
package pixel

import (
	"fmt"
	"image"
	"image/color"
)

// Image is a picture of W x H pixels as interleaved RGB, row by row from the top left: Pix[(y*W+x)*3+c], which is
// one element of an NHWC batch. Values are sRGB-encoded and nominally in [0,1].
type Image struct {
	W, H int
	Pix  []float32
}

// New returns a black picture. It panics on negative sizes, which are bugs of the caller.
func New(w, h int) Image {
	if w < 0 || h < 0 {
		panic(fmt.Sprintf("pixel: size %dx%d", w, h))
	}
	return Image{W: w, H: h, Pix: make([]float32, w*h*3)}
}

// FromImage converts any picture to planes, laid over white where it is transparent. Samples of 16 bit are reduced
// to 8 bit first, so that a picture and its 8-bit copy are the same to every model.
func FromImage(img image.Image) Image { return FromImageOver(img, color.White) }

// FromImageOver is FromImage with a background of any opaque colour.
func FromImageOver(img image.Image, background color.Color) Image {
	return fromRaster(flatten(img, background))
}

func fromRaster(r raster) Image {
	m := Image{W: r.w, H: r.h, Pix: make([]float32, len(r.pix))}
	for i, v := range r.pix {
		m.Pix[i] = float32(v) / 255
	}
	return m
}

// ToImage converts to 8 bit: floor(255*clamp(x)+0.5), alpha opaque. NaN becomes black.
func (m Image) ToImage() *image.NRGBA {
	out := image.NewNRGBA(image.Rect(0, 0, m.W, m.H))
	for i := range m.W * m.H {
		src, dst := m.Pix[i*3:i*3+3], out.Pix[i*4:i*4+4]
		dst[0], dst[1], dst[2], dst[3] = To8(src[0]), To8(src[1]), To8(src[2]), 255
	}
	return out
}

// To8 is the one rounding from [0,1] to 8 bit: floor(255*clamp(x)+0.5). NaN gives 0.
func To8(x float32) uint8 {
	switch {
	case x >= 1:
		return 255
	case x > 0:
		return uint8(float64(x)*255 + 0.5)
	default:
		return 0
	}
}

// Crop returns a copy of the w x h pixels at (x,y). Pixels outside of m are black.
func (m Image) Crop(x, y, w, h int) Image {
	out := New(w, h)
	from, to := max(x, 0), min(x+w, m.W)
	if from >= to {
		return out
	}
	for j := max(0, -y); j < h && y+j < m.H; j++ {
		copy(out.Pix[(j*w+from-x)*3:], m.Pix[((y+j)*m.W+from)*3:((y+j)*m.W+to)*3])
	}
	return out
}

// Extend returns the w x h pixels at (x,y). Pixels outside of m are those of its edge that are nearest.
func (m Image) Extend(x, y, w, h int) Image {
	out := New(w, h)
	for j := range h {
		row := min(max(y+j, 0), m.H-1) * m.W
		for i := range w {
			at := row + min(max(x+i, 0), m.W-1)
			copy(out.Pix[(j*w+i)*3:], m.Pix[at*3:at*3+3])
		}
	}
	return out
}

// Valid reports an Image whose fields do not belong together.
func (m Image) Valid() error {
	if m.W < 1 || m.H < 1 || len(m.Pix) != m.W*m.H*3 {
		return fmt.Errorf("pixel: image of %dx%d holds %d values, want %d", m.W, m.H, len(m.Pix), m.W*m.H*3)
	}
	return nil
}
