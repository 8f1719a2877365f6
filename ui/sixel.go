package ui

import (
	"bytes"
	"fmt"
	"image"
	"image/color"
	"image/draw"

	"github.com/smalti/smalti/pixel"
)

// drawSixel writes a picture as DEC sixel graphics (VT330/VT340 Programmer Reference, chapter 14) with at most 255
// colours, dithered. A sixel is a column of six pixels; each band of six rows is drawn once per colour in it.
func drawSixel(b *bytes.Buffer, img image.Image) error {
	palette := pixel.Palette([]image.Image{img}, 255)
	size := img.Bounds().Size()
	m := image.NewPaletted(image.Rectangle{Max: size}, palette)
	draw.FloydSteinberg.Draw(m, m.Rect, img, img.Bounds().Min)
	fmt.Fprintf(b, "\x1bP0;1q\"1;1;%d;%d", size.X, size.Y)
	for i, c := range palette {
		rgb := color.NRGBAModel.Convert(c).(color.NRGBA)
		fmt.Fprintf(b, "#%d;2;%d;%d;%d", i, percent(rgb.R), percent(rgb.G), percent(rgb.B))
	}
	for y := 0; y < size.Y; y += 6 {
		band(b, m, y)
	}
	b.WriteString("\x1b\\")
	return nil
}

func percent(v uint8) int { return (int(v)*100 + 127) / 255 }

// band writes six rows: each colour's sixels from the left edge, "$" back to it, "-" to the next band.
func band(b *bytes.Buffer, m *image.Paletted, y int) {
	w := m.Rect.Dx()
	height := min(6, m.Rect.Dy()-y)
	bits := make([][]uint8, len(m.Palette)) // of each colour in the band, its sixels
	for dy := range height {
		for x, c := range m.Pix[(y+dy)*m.Stride:][:w] {
			if bits[c] == nil {
				bits[c] = make([]uint8, w)
			}
			bits[c][x] |= 1 << dy
		}
	}
	for c, row := range bits {
		if row == nil {
			continue
		}
		fmt.Fprintf(b, "#%d", c)
		for x := 0; x < w; {
			run := 1
			for x+run < w && row[x+run] == row[x] {
				run++
			}
			if sign := '?' + row[x]; run > 3 {
				fmt.Fprintf(b, "!%d%c", run, sign)
			} else {
				b.Write(bytes.Repeat([]byte{sign}, run))
			}
			x += run
		}
		b.WriteByte('$')
	}
	b.WriteByte('-')
}
