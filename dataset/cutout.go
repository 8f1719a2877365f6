package dataset

import (
	"bytes"
	"errors"
	"fmt"
	"image"
	"image/png"

	"golang.org/x/image/draw"
)

// Limits of a picture that a sprite is cut from.
const (
	maxCutPixels = 40_000_000
	solidAlpha   = 16  // below it a pixel counts as empty
	groundWhite  = 248 // from here on in all channels a pixel of the ground is white
)

// cutShape bounds the shape of what is cut out.
type cutShape struct{ minSide, maxAspect int }

// Why a picture cannot be used.
var (
	errEmptyPicture  = errors.New("the picture is empty")
	errShapeOfItself = errors.New("the picture is too small or too long")
)

// cutOut decodes a PNG and returns the thing it shows as a size x size picture with alpha: white ground that reaches the
// border of an opaque picture becomes transparent, and what is left is cropped and fitted.
func cutOut(file []byte, size int, shape cutShape) (*image.NRGBA, error) {
	cfg, err := png.DecodeConfig(bytes.NewReader(file))
	if err != nil {
		return nil, err
	}
	if cfg.Width < 1 || cfg.Height < 1 || cfg.Width > maxCutPixels/cfg.Height {
		return nil, fmt.Errorf("picture of %dx%d is over the cap", cfg.Width, cfg.Height)
	}
	src, err := png.Decode(bytes.NewReader(file))
	if err != nil {
		return nil, err
	}
	img := image.NewNRGBA(image.Rect(0, 0, cfg.Width, cfg.Height))
	draw.Draw(img, img.Rect, src, src.Bounds().Min, draw.Src)
	clearGround(img)
	box := solidBox(img)
	w, h := box.Dx(), box.Dy()
	switch {
	case box.Empty():
		return nil, errEmptyPicture
	case min(w, h) < shape.minSide || max(w, h) > shape.maxAspect*min(w, h):
		return nil, errShapeOfItself
	}
	return fitSquare(img.SubImage(box), size), nil
}

// solidBox is the smallest rectangle with all pixels that can be seen.
func solidBox(img *image.NRGBA) image.Rectangle {
	w, h := img.Rect.Dx(), img.Rect.Dy()
	box := image.Rectangle{Min: image.Pt(w, h)} // inside out; image.Rect would turn it
	for y := range h {
		row := img.Pix[y*img.Stride : y*img.Stride+w*4]
		for x := range w {
			if row[x*4+3] > solidAlpha {
				box.Min.X, box.Min.Y = min(box.Min.X, x), min(box.Min.Y, y)
				box.Max.X, box.Max.Y = max(box.Max.X, x+1), max(box.Max.Y, y+1)
			}
		}
	}
	if box.Min.X >= box.Max.X {
		return image.Rectangle{}
	}
	return box
}

// clearGround makes the white that is joined to the border transparent, if the four corners are opaque and white.
func clearGround(img *image.NRGBA) {
	w, h := img.Rect.Dx(), img.Rect.Dy()
	white := func(i int) bool {
		p := img.Pix[i*4 : i*4+4]
		return p[3] == 255 && min(p[0], p[1], p[2]) >= groundWhite
	}
	for _, corner := range []int{0, w - 1, (h - 1) * w, h*w - 1} {
		if !white(corner) {
			return
		}
	}
	var todo []int
	visit := func(i int) {
		if white(i) {
			img.Pix[i*4+3] = 0
			todo = append(todo, i)
		}
	}
	for x := range w {
		visit(x)
		visit((h-1)*w + x)
	}
	for y := range h {
		visit(y * w)
		visit(y*w + w - 1)
	}
	for len(todo) > 0 {
		i := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		x := i % w
		if x > 0 {
			visit(i - 1)
		}
		if x < w-1 {
			visit(i + 1)
		}
		if i >= w {
			visit(i - w)
		}
		if i < (h-1)*w {
			visit(i + w)
		}
	}
}

// greyish reports a picture without colours: the mean difference of the largest and the smallest channel over white is
// below 3.4 of 255, which a black-and-white drawing with tinted edges still keeps.
func greyish(img *image.NRGBA) bool {
	sum := 0
	for i := 0; i < len(img.Pix); i += 4 {
		p := img.Pix[i : i+4]
		sum += int(max(p[0], p[1], p[2])-min(p[0], p[1], p[2])) * int(p[3])
	}
	return float64(sum)/255 < 3.4*float64(len(img.Pix)/4)
}
