package dataset

import (
	"image"
	"image/color"
	"math"
)

// shapeSide is the side of a drawn shape in pixels.
const shapeSide = 64

// shape is a procedural figure: inside reports whether a point of [-1,1]^2 (y down) belongs to it.
type shape struct {
	name   string
	inside func(x, y float64) bool
}

// shapeList are the procedural shapes. Each fits the unit square.
var shapeList = []shape{
	{"circle", func(x, y float64) bool { return x*x+y*y < .92 }},
	{"square", func(x, y float64) bool { return math.Abs(x) < .86 && math.Abs(y) < .86 }},
	{"triangle", func(x, y float64) bool { return y < .8 && y > -.9 && math.Abs(x) < (y+.9)*.56 }},
	{"star", func(x, y float64) bool { return insideStar(x, y+.05, 5, .96, .40) }},
	{"ring", func(x, y float64) bool { r := x*x + y*y; return r < .92 && r > .36 }},
	{"heart", func(x, y float64) bool {
		x, y = x*1.22, -y*1.2+.12
		a := x*x + y*y - .9
		return a*a*a-x*x*y*y*y < 0
	}},
	{"diamond", func(x, y float64) bool { return math.Abs(x)*1.25+math.Abs(y) < .96 }},
	{"cross", func(x, y float64) bool {
		ax, ay := math.Abs(x), math.Abs(y)
		return ax < .9 && ay < .9 && (ax < .3 || ay < .3)
	}},
	{"hexagon", func(x, y float64) bool { return insidePolygon(x, y, 6, .96, 0) }},
	{"pentagon", func(x, y float64) bool { return insidePolygon(x, y+.04, 5, .96, -math.Pi/2) }},
	{"oval", func(x, y float64) bool { return x*x+y*y*2.6 < .92 }},
	{"rectangle", func(x, y float64) bool { return math.Abs(x) < .94 && math.Abs(y) < .52 }},
	{"crescent", func(x, y float64) bool { return x*x+y*y < .9 && (x-.42)*(x-.42)+y*y > .62 }},
	{"arrow pointing up", func(x, y float64) bool {
		return y > -.92 && y < .92 && (y < 0 && math.Abs(x) < (y+.92)*.9 || y >= -.05 && math.Abs(x) < .3)
	}},
	{"line", func(x, y float64) bool { return math.Abs(x) < .96 && math.Abs(y) < .12 }},
	{"half circle", func(x, y float64) bool { y -= .42; return x*x+y*y < .92 && y < 0 }},
}

// insidePolygon tests a regular polygon of n corners with one corner at the given angle.
func insidePolygon(x, y float64, n int, radius, angle float64) bool {
	inner := radius * math.Cos(math.Pi/float64(n))
	for i := range n {
		a := angle + (float64(i)+.5)*2*math.Pi/float64(n)
		if x*math.Cos(a)+y*math.Sin(a) > inner {
			return false
		}
	}
	return true
}

// insideStar tests a star of n points that points up.
func insideStar(x, y float64, n int, outer, inner float64) bool {
	r := math.Hypot(x, y)
	step := math.Pi / float64(n)
	a := math.Mod(math.Atan2(y, x)+math.Pi/2+4*math.Pi, 2*step)
	if a > step {
		a = 2*step - a
	}
	// The edge goes from (outer, angle 0) to (inner, angle step).
	px, py := r*math.Cos(a), r*math.Sin(a)
	qx, qy := inner*math.Cos(step), inner*math.Sin(step)
	return (qx-outer)*(py)-(qy)*(px-outer) > 0
}

// ShapeSprites draws the procedural shapes, anti-aliased, as sprites. They carry no colour of their
// own: a composer fills them with a named one.
func ShapeSprites() []*Sprite {
	out := make([]*Sprite, len(shapeList))
	for i, sh := range shapeList {
		img := image.NewNRGBA(image.Rect(0, 0, shapeSide, shapeSide))
		for y := range shapeSide {
			for x := range shapeSide {
				img.SetNRGBA(x, y, color.NRGBA{128, 128, 128, coverage(sh, x, y)})
			}
		}
		s := newSprite(Pair{File: sh.name, Style: "shapes", Licence: "Apache-2.0", Label: sh.name,
			Tags: []string{"shape", "geometry"}, Group: "shapes", Concept: "shape " + sh.name}, img)
		s.plain = true
		out[i] = s
	}
	return out
}

// coverage is the share of a pixel that the shape covers, by 6x6 samples.
func coverage(sh shape, px, py int) uint8 {
	const k = 6
	n := 0
	for j := range k {
		for i := range k {
			x := (float64(px)+(float64(i)+.5)/k)/shapeSide*2 - 1
			y := (float64(py)+(float64(j)+.5)/k)/shapeSide*2 - 1
			if sh.inside(x, y) {
				n++
			}
		}
	}
	return uint8((n*255 + k*k/2) / (k * k))
}

// Shapes is a composer of procedural shapes alone: training data that needs no files.
func Shapes() *Composer {
	c, err := NewComposer(nil, ComposeOptions{ShapeShare: 1})
	if err != nil {
		panic(err) // the built-in shapes always make a composer
	}
	return c
}
