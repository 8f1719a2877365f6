package ui

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"image"
	"image/png"
	"io"
	"math"
	"slices"
	"strings"

	"github.com/smalti/smalti/pixel"
)

// Graphics is a way to show pictures on a terminal.
type Graphics int

// Ways to show pictures.
const (
	None      Graphics = iota
	Blocks256          // two pixels a character, 256 colours
	Blocks             // two pixels a character, 24-bit colours
	Sixel              // DEC's bitmap graphics
	ITerm              // inline images of iTerm2
	Kitty              // kitty's graphics protocol
)

var graphicsNames = []string{"none", "blocks256", "blocks", "sixel", "iterm", "kitty"}

// String returns the name that ParseGraphics reads.
func (g Graphics) String() string {
	if g < 0 || int(g) >= len(graphicsNames) {
		return fmt.Sprintf("Graphics(%d)", int(g))
	}
	return graphicsNames[g]
}

// ParseGraphics reads none, blocks256, blocks, sixel, iterm or kitty.
func ParseGraphics(name string) (Graphics, error) {
	i := slices.Index(graphicsNames, name)
	if i < 0 {
		return None, fmt.Errorf("no graphics %q (have %s)", name, strings.Join(graphicsNames, ", "))
	}
	return Graphics(i), nil
}

// DetectGraphics chooses by the environment that terminals set. SMALTI_GRAPHICS overrides the choice. Inside of tmux
// and screen, which swallow pictures, it is blocks; with NO_COLOR there are no blocks.
func DetectGraphics(getenv func(string) string) Graphics {
	if g, err := ParseGraphics(getenv("SMALTI_GRAPHICS")); err == nil {
		return g
	}
	name, program := getenv("TERM"), getenv("TERM_PROGRAM")
	if name == "" || name == "dumb" {
		return None
	}
	inside := getenv("TMUX") != "" || strings.HasPrefix(name, "screen") || strings.HasPrefix(name, "tmux")
	switch {
	case inside:
	case getenv("KITTY_WINDOW_ID") != "" || strings.Contains(name, "kitty") || strings.Contains(name, "ghostty") || program == "ghostty":
		return Kitty
	case program == "iTerm.app" || program == "WezTerm":
		return ITerm
	case strings.Contains(name, "sixel") || strings.HasPrefix(name, "foot") || strings.HasPrefix(name, "mlterm"):
		return Sixel
	}
	if getenv("NO_COLOR") != "" {
		return None
	}
	if c := getenv("COLORTERM"); c == "truecolor" || c == "24bit" || strings.HasSuffix(name, "-direct") {
		return Blocks
	}
	return Blocks256
}

// Draw shows a picture from the cursor's line on, at most half of the screen high, and leaves the cursor at the start
// of the line below. It returns how many lines the picture takes.
func Draw(w io.Writer, img image.Image, s Screen) (rows int, err error) {
	cols, rows := cells(img.Bounds().Size(), s)
	var b bytes.Buffer
	switch s.Graphics {
	case None:
		return 0, nil
	case Blocks, Blocks256:
		drawBlocks(&b, scale(img, cols, rows*2), s.Graphics == Blocks)
	default:
		// Make room first, so that drawing does not scroll, then draw over it and come back.
		fmt.Fprintf(&b, "%s\x1b[%dA\x1b7", strings.Repeat("\n", rows), rows)
		if err := drawBitmap(&b, img, s.Graphics, cols, rows); err != nil {
			return 0, err
		}
		fmt.Fprintf(&b, "\x1b8\x1b[%dB", rows)
	}
	_, err = w.Write(b.Bytes())
	return rows, err
}

// cells is the largest size in characters, of one by two units each, that keeps the shape of a picture and fits.
func cells(size image.Point, s Screen) (cols, rows int) {
	maxCols, maxRows := max(min(s.Columns-1, 80), 1), max(s.Rows/2, 1)
	k := min(float64(maxCols)/float64(size.X), float64(maxRows*2)/float64(size.Y))
	return max(int(float64(size.X)*k), 1), max(int(math.Round(float64(size.Y)*k/2)), 1)
}

// scale resizes a picture to an exact size.
func scale(img image.Image, w, h int) *image.NRGBA {
	f := pixel.Lanczos
	if size := img.Bounds().Size(); w > size.X && h > size.Y {
		f = pixel.Box
	}
	return pixel.Resize8(img, w, h, f)
}

// drawBlocks writes two rows of pixels a line: the upper half block in the colour of the upper pixel on a ground of
// the lower one. Colours are only sent when they change.
func drawBlocks(b *bytes.Buffer, m *image.NRGBA, direct bool) {
	for y := 0; y+1 < m.Rect.Dy(); y += 2 {
		was := [2]string{}
		for x := range m.Rect.Dx() {
			now := [2]string{colour(m.Pix[m.PixOffset(x, y):], direct), colour(m.Pix[m.PixOffset(x, y+1):], direct)}
			if now[0] != was[0] {
				fmt.Fprintf(b, "\x1b[38;%sm", now[0])
			}
			if now[1] != was[1] {
				fmt.Fprintf(b, "\x1b[48;%sm", now[1])
			}
			was = now
			b.WriteString("▀")
		}
		b.WriteString("\x1b[0m\x1b[K\n")
	}
}

// colour is the parameter of SGR 38 and 48 for a pixel: direct, or the nearest of the 6x6x6 cube of 256 colours.
func colour(p []uint8, direct bool) string {
	if direct {
		return fmt.Sprintf("2;%d;%d;%d", p[0], p[1], p[2])
	}
	level := func(v uint8) int { // steps of the cube: 0, 95, 135, 175, 215, 255
		if v < 48 {
			return 0
		}
		return min(max((int(v)-35)/40, 1), 5)
	}
	return fmt.Sprintf("5;%d", 16+36*level(p[0])+6*level(p[1])+level(p[2]))
}

// Cells of unknown size in pixels are taken for this large: small enough for nearly all fonts in use, so that a
// picture does not grow out of the room made for it.
const (
	cellWidth  = 8
	cellHeight = 16
)

func drawBitmap(b *bytes.Buffer, img image.Image, g Graphics, cols, rows int) error {
	if g == Sixel {
		return drawSixel(b, scale(img, cols*cellWidth, rows*cellHeight))
	}
	var p bytes.Buffer
	if err := png.Encode(&p, img); err != nil {
		return fmt.Errorf("show picture: %w", err)
	}
	data := base64.StdEncoding.EncodeToString(p.Bytes())
	if g == ITerm {
		fmt.Fprintf(b, "\x1b]1337;File=inline=1;size=%d;width=%d;height=%d;preserveAspectRatio=0:%s\a", p.Len(), cols, rows, data)
		return nil
	}
	// Kitty: transmit and show a PNG (f=100) in cols x rows cells, without an answer (q=2) and without moving the cursor
	// (C=1), in parts of at most 4096 bytes of which all but the last say that more follow.
	const part = 4096
	control := fmt.Sprintf("a=T,f=100,c=%d,r=%d,q=2,C=1,", cols, rows)
	for len(data) > 0 {
		n, more := min(part, len(data)), 0
		if n < len(data) {
			more = 1
		}
		fmt.Fprintf(b, "\x1b_G%sm=%d;%s\x1b\\", control, more, data[:n])
		control, data = "", data[n:]
	}
	return nil
}
