package pixel

import (
	"image"
	"image/color"
	"math"
)

// CLIPPreprocess is what a picture goes through before a CLIP image tower, up to but without the subtraction of
// mean and division by std: shorter side to size with Pillow's bicubic, centre crop, size x size in [0,1]
// (openai/CLIP _transform, torchvision Resize and CenterCrop, rounding included). Transparency is laid over white.
// It panics if size is below 1.
func CLIPPreprocess(img image.Image, size int) Image {
	r := flatten(img, color.White)
	w, h := size, size
	if r.w <= r.h {
		h = int(float64(size) * float64(r.h) / float64(r.w))
	} else {
		w = int(float64(size) * float64(r.w) / float64(r.h))
	}
	left := int(math.RoundToEven(float64(w-size) / 2))
	top := int(math.RoundToEven(float64(h-size) / 2))
	return fromRaster(r.resizeWindow(w, h, Bicubic, image.Rect(left, top, left+size, top+size)))
}
