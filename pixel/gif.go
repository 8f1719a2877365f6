package pixel

import (
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/draw"
	"image/gif"
	"io"
	"slices"
	"time"
)

// EncodeGIF writes frames of one size as an endless animation with one palette for all of them (median cut) and
// Floyd-Steinberg dithering. Each frame stays for delay, which GIF rounds to hundredths of a second, at least two.
func EncodeGIF(w io.Writer, frames []image.Image, delay time.Duration) error {
	if len(frames) == 0 {
		return errors.New("write gif: no frames")
	}
	palette := Palette(frames, 256)
	hundredths := max(2, int((delay+5*time.Millisecond)/(10*time.Millisecond)))
	out := &gif.GIF{}
	size := frames[0].Bounds().Size()
	for i, f := range frames {
		if f.Bounds().Size() != size {
			return fmt.Errorf("write gif: frame %d is %v, the first %v", i, f.Bounds().Size(), size)
		}
		p := image.NewPaletted(image.Rectangle{Max: size}, palette)
		draw.FloydSteinberg.Draw(p, p.Rect, flatten(f, color.White).image(), image.Point{})
		out.Image = append(out.Image, p)
		out.Delay = append(out.Delay, hundredths)
	}
	if err := gif.EncodeAll(w, out); err != nil {
		return fmt.Errorf("write gif: %w", err)
	}
	return nil
}

// bin counts the pixels of one cell of colour space, 5 bits a channel, and sums their colours.
type bin struct {
	key   int // r5<<10 | g5<<5 | b5
	count int
	sum   [3]int
}

// channel is the 5-bit coordinate of the bin.
func (b bin) channel(c int) int { return b.key >> (10 - 5*c) & 31 }

// Palette chooses at most n opaque colours for all frames together by median cut (Heckbert 1982): the box with the
// largest count times extent is split at the median of its longest side. Transparency is laid over white.
func Palette(frames []image.Image, n int) color.Palette {
	boxes := [][]bin{histogram(frames)}
	for len(boxes) < n {
		best, axis, worth := -1, 0, 0
		for i, b := range boxes {
			if a, extent := longest(b); extent*weight(b) > worth {
				best, axis, worth = i, a, extent*weight(b)
			}
		}
		if best < 0 {
			break
		}
		lo, hi := cut(boxes[best], axis)
		boxes[best] = lo
		boxes = append(boxes, hi)
	}
	out := make(color.Palette, 0, len(boxes))
	for _, b := range boxes {
		out = append(out, mean(b))
	}
	return out
}

func histogram(frames []image.Image) []bin {
	all := make([]bin, 1<<15)
	for _, f := range frames {
		pix := flatten(f, color.White).pix
		for i := 0; i < len(pix); i += 3 {
			r, g, b := int(pix[i]), int(pix[i+1]), int(pix[i+2])
			c := &all[r>>3<<10|g>>3<<5|b>>3]
			c.count++
			c.sum[0], c.sum[1], c.sum[2] = c.sum[0]+r, c.sum[1]+g, c.sum[2]+b
		}
	}
	used := make([]bin, 0, 1024)
	for i, c := range all {
		if c.key = i; c.count > 0 {
			used = append(used, c)
		}
	}
	return used
}

// longest returns the channel in which the box is widest, and how wide.
func longest(box []bin) (axis, extent int) {
	for c := range 3 {
		lo, hi := 31, 0
		for _, b := range box {
			lo, hi = min(lo, b.channel(c)), max(hi, b.channel(c))
		}
		if hi-lo > extent {
			axis, extent = c, hi-lo
		}
	}
	return axis, extent
}

func weight(box []bin) int {
	n := 0
	for _, b := range box {
		n += b.count
	}
	return n
}

// cut splits a box of at least two bins at the median pixel along a channel; both halves have bins.
func cut(box []bin, axis int) (lo, hi []bin) {
	slices.SortFunc(box, func(a, b bin) int {
		if d := a.channel(axis) - b.channel(axis); d != 0 {
			return d
		}
		return a.key - b.key
	})
	half, n, at := weight(box)/2, 0, 1
	for i, b := range box[:len(box)-1] {
		if n += b.count; n >= half {
			at = i + 1
			break
		}
		at = i + 1
	}
	return box[:at:at], box[at:]
}

func mean(box []bin) color.Color {
	n := max(weight(box), 1)
	var sum [3]int
	for _, b := range box {
		for c := range sum {
			sum[c] += b.sum[c]
		}
	}
	at := func(c int) uint8 { return uint8((sum[c] + n/2) / n) }
	return color.RGBA{at(0), at(1), at(2), 255}
}
