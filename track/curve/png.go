package curve

import (
	"fmt"
	"image"
	"image/color"
	"image/draw"
	"image/png"
	"io"
	"math"
	"sync"

	"golang.org/x/image/font"
	"golang.org/x/image/font/gofont/goregular"
	"golang.org/x/image/font/opentype"
	"golang.org/x/image/math/fixed"
	"golang.org/x/image/vector"
)

// typeface is Go's font, which is part of the program.
var typeface = sync.OnceValues(func() (*opentype.Font, error) { return opentype.Parse(goregular.TTF) })

// PNG writes the figure as pixels, Options.Scale of them for each of its units.
func (f *Figure) PNG(w io.Writer) error {
	img, err := f.Image()
	if err != nil {
		return err
	}
	return png.Encode(w, img)
}

// Image paints the figure.
func (f *Figure) Image() (*image.RGBA, error) {
	p := painter{scale: f.scale, faces: map[float64]font.Face{}}
	p.img = image.NewRGBA(image.Rect(0, 0, int(math.Round(f.scene.w*f.scale)), int(math.Round(f.scene.h*f.scale))))
	draw.Draw(p.img, p.img.Rect, image.NewUniform(f.scene.background), image.Point{}, draw.Src)
	for _, it := range f.scene.items {
		switch {
		case it.text != "":
			if err := p.word(it); err != nil {
				return nil, fmt.Errorf("draw %q: %w", it.text, err)
			}
		case it.fill != nil:
			p.box(*it.fill, it.colour)
		default:
			p.line(it)
		}
	}
	return p.img, nil
}

type painter struct {
	img   *image.RGBA
	scale float64
	faces map[float64]font.Face
	mask  []uint8 // used again from line to line
}

func (p *painter) rect(b box) image.Rectangle {
	r := func(v float64) int { return int(math.Round(v * p.scale)) }
	return image.Rect(r(b.x), r(b.y), r(b.x+b.w), r(b.y+b.h))
}

func (p *painter) box(b box, c color.NRGBA) {
	draw.Draw(p.img, p.rect(b), image.NewUniform(c), image.Point{}, draw.Over)
}

// line fills the outline of a thick line: a quadrilateral for each piece and a disc for each corner, all in one path
// that is filled where it winds at all, so that faint lines do not darken where they overlap.
func (p *painter) line(it item) {
	area := p.img.Rect
	if it.clip != nil {
		area = p.rect(*it.clip).Intersect(area)
	}
	if area.Empty() {
		return
	}
	r := vector.NewRasterizer(area.Dx(), area.Dy())
	half := math.Max(it.width*p.scale/2, 0.35)
	at := func(q point) point {
		return point{q.x*p.scale - float64(area.Min.X), q.y*p.scale - float64(area.Min.Y)}
	}
	for i, q := range it.points {
		a := at(q)
		if near := half + 2; (half > 0.6 || len(it.points) == 1) && a.x > -near && a.y > -near &&
			a.x < float64(area.Dx())+near && a.y < float64(area.Dy())+near {
			disc(r, a, half)
		}
		if i == 0 {
			continue
		}
		if b, c, ok := within(at(it.points[i-1]), a, float64(area.Dx()), float64(area.Dy()), half+2); ok {
			piece(r, b, c, half)
		}
	}
	p.fill(r, area, it.colour)
}

// fill lays a colour over the part of an area that a path covers. Most of it is not covered: the path is drawn as a mask
// first, so that only what it touches is mixed.
func (p *painter) fill(r *vector.Rasterizer, area image.Rectangle, c color.NRGBA) {
	if n := area.Dx() * area.Dy(); cap(p.mask) < n {
		p.mask = make([]uint8, n)
	}
	mask := &image.Alpha{Pix: p.mask[:area.Dx()*area.Dy()], Stride: area.Dx(), Rect: image.Rect(0, 0, area.Dx(), area.Dy())}
	r.DrawOp = draw.Src
	r.Draw(mask, mask.Rect, image.Opaque, image.Point{})
	over := [4]uint32{uint32(c.R), uint32(c.G), uint32(c.B), 255}
	for y := range area.Dy() {
		row := p.img.Pix[p.img.PixOffset(area.Min.X, area.Min.Y+y):]
		for x, m := range mask.Pix[y*mask.Stride : (y+1)*mask.Stride] {
			if m == 0 {
				continue
			}
			a := uint32(m) * uint32(c.A) // of 255*255
			for k, v := range over {
				at := &row[4*x+k]
				*at = uint8((uint32(*at)*(255*255-a) + v*a + 255*255/2) / (255 * 255))
			}
		}
	}
}

// piece adds a straight piece of a line, always with the same sense of winding.
func piece(r *vector.Rasterizer, a, b point, half float64) {
	dx, dy := b.x-a.x, b.y-a.y
	n := math.Hypot(dx, dy)
	if n == 0 {
		return
	}
	ox, oy := -dy/n*half, dx/n*half
	move(r, point{a.x + ox, a.y + oy})
	to(r, point{a.x - ox, a.y - oy})
	to(r, point{b.x - ox, b.y - oy})
	to(r, point{b.x + ox, b.y + oy})
	r.ClosePath()
}

// within cuts a piece to a field of w by h and a border around it (Liang and Barsky, 1984); ok is false if nothing is
// left. The rasteriser takes no places far outside.
func within(a, b point, w, h, border float64) (point, point, bool) {
	t0, t1 := 0.0, 1.0
	dx, dy := b.x-a.x, b.y-a.y
	for _, e := range [4][2]float64{{-dx, a.x + border}, {dx, w + border - a.x}, {-dy, a.y + border}, {dy, h + border - a.y}} {
		switch p, q := e[0], e[1]; {
		case p == 0 && q < 0:
			return a, b, false
		case p < 0:
			t0 = math.Max(t0, q/p)
		case p > 0:
			t1 = math.Min(t1, q/p)
		}
	}
	return point{a.x + t0*dx, a.y + t0*dy}, point{a.x + t1*dx, a.y + t1*dy}, t0 <= t1
}

// disc adds a circle as a polygon, in the sense of piece: of as many sides as it takes to stay within a tenth of a pixel
// of the circle, for a line has one at every corner.
func disc(r *vector.Rasterizer, c point, radius float64) {
	sides := 6
	for sides < 32 && radius*(1-math.Cos(math.Pi/float64(sides))) > 0.1 {
		sides++
	}
	for i := range sides {
		sin, cos := math.Sincos(2 * math.Pi * float64(i) / float64(sides))
		q := point{c.x + radius*cos, c.y + radius*sin}
		if i == 0 {
			move(r, q)
		} else {
			to(r, q)
		}
	}
	r.ClosePath()
}

func move(r *vector.Rasterizer, p point) { r.MoveTo(float32(p.x), float32(p.y)) }
func to(r *vector.Rasterizer, p point)   { r.LineTo(float32(p.x), float32(p.y)) }

func (p *painter) face(size float64) (font.Face, error) {
	if f, ok := p.faces[size]; ok {
		return f, nil
	}
	t, err := typeface()
	if err != nil {
		return nil, err
	}
	f, err := opentype.NewFace(t, &opentype.FaceOptions{Size: size * p.scale, DPI: 72, Hinting: font.HintingFull})
	if err == nil {
		p.faces[size] = f
	}
	return f, err
}

func (p *painter) word(it item) error {
	face, err := p.face(it.size)
	if err != nil {
		return err
	}
	width := font.MeasureString(face, it.text)
	shift := []fixed.Int26_6{0, width / 2, width}[it.anchor]
	x, y := it.at.x*p.scale, it.at.y*p.scale
	d := font.Drawer{Dst: p.img, Src: image.NewUniform(it.colour), Face: face,
		Dot: fixed.Point26_6{X: fixed.Int26_6(math.Round(x*64)) - shift, Y: fixed.Int26_6(math.Round(y)) << 6}}
	d.DrawString(it.text)
	return nil
}

// ruler measures words at one size; widths grow with the size.
var ruler = sync.OnceValue(func() func(string) float64 {
	const size = 64
	rough := func(s string) float64 { return float64(len(s)) * 0.55 }
	t, err := typeface()
	if err != nil {
		return rough
	}
	f, err := opentype.NewFace(t, &opentype.FaceOptions{Size: size, DPI: 72})
	if err != nil {
		return rough
	}
	var mu sync.Mutex // a face is for one goroutine
	return func(s string) float64 {
		mu.Lock()
		defer mu.Unlock()
		return float64(font.MeasureString(f, s)) / 64 / size
	}
})

// width is how wide a word is in a figure's units.
func width(text string, size float64) float64 { return ruler()(text) * size }
