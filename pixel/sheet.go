package pixel

import (
	"image"
	"image/color"
	"image/draw"
	"math"

	"golang.org/x/image/font"
	"golang.org/x/image/font/basicfont"
	"golang.org/x/image/math/fixed"
)

// Cell is one picture of a sheet. A nil Picture leaves its place empty.
type Cell struct {
	Picture image.Image
	Caption string // one line below the picture, cut to its width
}

// Sheet says how cells are laid out. The zero value gives a near-square sheet, cells as large as the largest picture,
// no gap, on white.
type Sheet struct {
	Columns    int         // 0: as many as make the sheet about square
	CellSize   int         // side in pixels into which pictures are scaled, keeping their shape; 0: as they are
	Gap        int         // pixels between cells and around the sheet
	Background color.Color // nil: white
}

const (
	captionHeight = 16 // 13 of the face and a little air
	captionWidth  = 7  // of one character
)

// Draw lays out cells row by row. Small pictures grow by whole numbers without smoothing, so that single pixels stay
// visible; large ones shrink with Lanczos. Captions are drawn if any cell has one.
func (s Sheet) Draw(cells []Cell) *image.NRGBA {
	if len(cells) == 0 {
		return image.NewNRGBA(image.Rectangle{})
	}
	pictures, w, h, captions := s.scaled(cells)
	cols := s.Columns
	if cols < 1 {
		cols = int(math.Ceil(math.Sqrt(float64(len(cells)))))
	}
	cols = min(cols, len(cells))
	rows := (len(cells) + cols - 1) / cols
	pitchX, pitchY := w+s.Gap, h+s.Gap
	if captions {
		pitchY += captionHeight
	}
	bg := s.Background
	if bg == nil {
		bg = color.White
	}
	out := image.NewNRGBA(image.Rect(0, 0, cols*pitchX+s.Gap, rows*pitchY+s.Gap))
	draw.Draw(out, out.Rect, image.NewUniform(bg), image.Point{}, draw.Src)
	for i, p := range pictures {
		x, y := s.Gap+i%cols*pitchX, s.Gap+i/cols*pitchY
		if p != nil {
			at := image.Pt(x+(w-p.Rect.Dx())/2, y+(h-p.Rect.Dy())/2)
			draw.Draw(out, p.Rect.Add(at), p, image.Point{}, draw.Src)
		}
		drawCaption(out, image.Rect(x, y+h, x+w, y+h+captionHeight), cells[i].Caption, bg)
	}
	return out
}

// scaled returns the pictures at their size on the sheet, and the size of a cell.
func (s Sheet) scaled(cells []Cell) (pictures []*image.NRGBA, w, h int, captions bool) {
	w, h = max(s.CellSize, 1), max(s.CellSize, 1)
	for _, c := range cells {
		captions = captions || c.Caption != ""
		if c.Picture == nil || c.Picture.Bounds().Empty() {
			pictures = append(pictures, nil)
			continue
		}
		p := Fit(c.Picture, s.CellSize)
		pictures = append(pictures, p)
		w, h = max(w, p.Rect.Dx()), max(h, p.Rect.Dy())
	}
	return pictures, w, h, captions
}

// Fit scales a picture so that its longer side is at most side: up by the largest whole number without smoothing,
// down with Lanczos. Side 0 leaves the size alone. Transparency is laid over white.
func Fit(img image.Image, side int) *image.NRGBA {
	r := flatten(img, color.White)
	long := max(r.w, r.h)
	switch {
	case side < 1 || long == side:
		return r.image()
	case long > side:
		w := max(int(math.Round(float64(r.w)*float64(side)/float64(long))), 1)
		h := max(int(math.Round(float64(r.h)*float64(side)/float64(long))), 1)
		return r.resize(w, h, Lanczos).image()
	default:
		k := side / long
		return r.resize(r.w*k, r.h*k, Box).image()
	}
}

// drawCaption writes a line of ASCII into the box, in black or white, whichever stands out. Other characters become
// question marks; what does not fit is cut.
func drawCaption(dst draw.Image, box image.Rectangle, text string, bg color.Color) {
	line := make([]byte, 0, len(text))
	for _, r := range text {
		if r < ' ' || r > '~' {
			r = '?'
		}
		line = append(line, byte(r))
	}
	if room := box.Dx() / captionWidth; len(line) > room {
		line = line[:room]
		if room > 2 {
			line[room-1], line[room-2] = '.', '.'
		}
	}
	ink := color.Gray{Y: 0}
	if color.GrayModel.Convert(bg).(color.Gray).Y < 128 {
		ink.Y = 255
	}
	d := font.Drawer{Dst: dst, Src: image.NewUniform(ink), Face: basicfont.Face7x13, Dot: fixed.P(box.Min.X, box.Min.Y+13)}
	d.DrawString(string(line))
}
