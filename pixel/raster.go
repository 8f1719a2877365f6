package pixel

import (
	"image"
	"image/color"
)

// raster is an opaque RGB picture of 8 bit, interleaved: what Pillow calls mode RGB.
type raster struct {
	w, h int
	pix  []uint8
}

func newRaster(w, h int) raster { return raster{w, h, make([]uint8, w*h*3)} }

// image returns a copy as the standard library's type.
func (r raster) image() *image.NRGBA {
	out := image.NewNRGBA(image.Rect(0, 0, r.w, r.h))
	for i := range r.w * r.h {
		out.Pix[i*4], out.Pix[i*4+1], out.Pix[i*4+2], out.Pix[i*4+3] = r.pix[i*3], r.pix[i*3+1], r.pix[i*3+2], 255
	}
	return out
}

// crop is Image.Crop for 8 bit: outside is black, as in Pillow.
func (r raster) crop(x, y, w, h int) raster {
	out := newRaster(w, h)
	from, to := max(x, 0), min(x+w, r.w)
	if from >= to {
		return out
	}
	for j := max(0, -y); j < h && y+j < r.h; j++ {
		copy(out.pix[(j*w+from-x)*3:], r.pix[((y+j)*r.w+from)*3:((y+j)*r.w+to)*3])
	}
	return out
}

// flatten lays any picture over a background. Blending is done on encoded values, as every viewer does.
func flatten(img image.Image, background color.Color) raster {
	b := img.Bounds()
	out := newRaster(b.Dx(), b.Dy())
	bg := color.NRGBAModel.Convert(background).(color.NRGBA)
	switch src := img.(type) {
	case *image.NRGBA:
		for y := range out.h {
			row := src.Pix[src.PixOffset(b.Min.X, b.Min.Y+y):]
			for x := range out.w {
				p := row[x*4 : x*4+4]
				over(out.pix[(y*out.w+x)*3:], p[0], p[1], p[2], p[3], bg)
			}
		}
	case *image.RGBA:
		for y := range out.h {
			row := src.Pix[src.PixOffset(b.Min.X, b.Min.Y+y):]
			for x := range out.w {
				p := row[x*4 : x*4+4]
				if p[3] == 255 {
					copy(out.pix[(y*out.w+x)*3:], p[:3])
					continue
				}
				c := color.NRGBAModel.Convert(color.RGBA{p[0], p[1], p[2], p[3]}).(color.NRGBA)
				over(out.pix[(y*out.w+x)*3:], c.R, c.G, c.B, c.A, bg)
			}
		}
	case *image.YCbCr:
		for y := range out.h {
			for x := range out.w {
				yi, ci := src.YOffset(b.Min.X+x, b.Min.Y+y), src.COffset(b.Min.X+x, b.Min.Y+y)
				p := out.pix[(y*out.w+x)*3:]
				p[0], p[1], p[2] = color.YCbCrToRGB(src.Y[yi], src.Cb[ci], src.Cr[ci])
			}
		}
	default:
		for y := range out.h {
			for x := range out.w {
				c := color.NRGBA64Model.Convert(img.At(b.Min.X+x, b.Min.Y+y)).(color.NRGBA64)
				over(out.pix[(y*out.w+x)*3:], reduce(c.R), reduce(c.G), reduce(c.B), reduce(c.A), bg)
			}
		}
	}
	return out
}

// reduce rounds 16 bit to 8 bit.
func reduce(v uint16) uint8 { return uint8((uint32(v)*255 + 32767) / 65535) }

// over writes a non-premultiplied colour of opacity a, laid over bg, to the first three bytes of dst.
func over(dst []uint8, r, g, b, a uint8, bg color.NRGBA) {
	if a == 255 {
		dst[0], dst[1], dst[2] = r, g, b
		return
	}
	mix := func(top, under uint8) uint8 {
		return uint8((uint32(top)*uint32(a) + uint32(under)*(255-uint32(a)) + 127) / 255)
	}
	dst[0], dst[1], dst[2] = mix(r, bg.R), mix(g, bg.G), mix(b, bg.B)
}
