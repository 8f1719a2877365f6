// Package latent is the arithmetic of playing with pictures that exist as latents or as codes: mixing two of them,
// going beyond them, walking around them, carrying a difference from one pair to another, painting with codes, and
// placing frames along the way. It knows no model: a Grid is numbers, Codes are indices, a Book is the table between
// the two.
//
// Start with Grid and Lerp; codes.go has Codes and Book, crossfade.go turns one grid of codes into another,
// timeline.go says which mixture each frame of an animation shows, and curve.go spreads frames by how far the
// pictures move.
//
// Everything is a pure function of its arguments. Functions of several grids panic when shapes differ: that is a bug
// of the caller, who can ask SameShape first.
package latent

import (
	"fmt"
	"math"
	"slices"
)

// Grid is a latent [h,w,C]: H x W vectors of C numbers, row by row from the top left: Data[(y*W+x)*C+c].
type Grid struct {
	H, W, C int
	Data    []float32
}

// NewGrid returns a grid of zeros. It panics on sizes below 1.
func NewGrid(h, w, c int) Grid {
	if h < 1 || w < 1 || c < 1 {
		panic(fmt.Sprintf("latent: grid of %dx%dx%d", h, w, c))
	}
	return Grid{H: h, W: w, C: c, Data: make([]float32, h*w*c)}
}

// Valid reports a grid whose fields do not belong together.
func (g Grid) Valid() error {
	if g.H < 1 || g.W < 1 || g.C < 1 || len(g.Data) != g.H*g.W*g.C {
		return fmt.Errorf("latent: grid of %dx%dx%d holds %d numbers", g.H, g.W, g.C, len(g.Data))
	}
	return nil
}

// Vector returns the C numbers at row y and column x: a view, not a copy.
func (g Grid) Vector(y, x int) []float32 { return g.cell(y*g.W + x) }

func (g Grid) cell(i int) []float32 { return g.Data[i*g.C : (i+1)*g.C] }

// Clone returns a copy.
func (g Grid) Clone() Grid {
	g.Data = slices.Clone(g.Data)
	return g
}

// SameShape reports whether all grids have the shape of the first.
func SameShape(grids ...Grid) bool {
	for _, g := range grids {
		if g.H != grids[0].H || g.W != grids[0].W || g.C != grids[0].C || len(g.Data) != len(grids[0].Data) {
			return false
		}
	}
	return true
}

func mustMatch(grids ...Grid) {
	if !SameShape(grids...) {
		panic("latent: grids of different shapes")
	}
}

// Mix leads from a (t = 0) to b (t = 1), exactly so at both ends, and beyond them for other t.
type Mix func(a, b Grid, t float64) Grid

// Lerp goes straight: (1-t)a + tb.
func Lerp(a, b Grid, t float64) Grid {
	mustMatch(a, b)
	if end, ok := atEnd(a, b, t); ok {
		return end
	}
	out := a.Clone()
	for i, v := range b.Data {
		out.Data[i] = between(a.Data[i], v, t)
	}
	return out
}

// between returns equal ends unchanged for every t, so that what two pictures share does not flicker.
func between(a, b float32, t float64) float32 {
	if a == b {
		return a
	}
	return float32(float64(a)*(1-t) + float64(b)*t)
}

func atEnd(a, b Grid, t float64) (Grid, bool) {
	switch t {
	case 0:
		return a.Clone(), true
	case 1:
		return b.Clone(), true
	}
	return Grid{}, false
}

// Slerp turns every vector of the grid along the great circle from a to b (Shoemake 1985) while its length changes
// evenly, so that mixtures are as strong as what they are made of. Vectors that are zero, or closer than about 1.8
// degrees to one line, where the circle is not determined, go straight.
func Slerp(a, b Grid, t float64) Grid {
	mustMatch(a, b)
	if end, ok := atEnd(a, b, t); ok {
		return end
	}
	out := a.Clone()
	for i := range a.H * a.W {
		slerp(out.cell(i), a.cell(i), b.cell(i), t)
	}
	return out
}

func slerp(out, a, b []float32, t float64) {
	const parallel = 0.9995 // cosine
	na, nb := norm(a), norm(b)
	cos := 0.0
	for i := range a {
		cos += float64(a[i]) * float64(b[i])
	}
	if na > 0 && nb > 0 {
		cos /= na * nb
	}
	if na == 0 || nb == 0 || math.Abs(cos) > parallel {
		for i := range out {
			out[i] = between(a[i], b[i], t)
		}
		return
	}
	angle := math.Acos(cos)
	length := max(na*(1-t)+nb*t, 0)
	wa := math.Sin((1-t)*angle) / math.Sin(angle) * length / na
	wb := math.Sin(t*angle) / math.Sin(angle) * length / nb
	for i := range out {
		out[i] = float32(wa*float64(a[i]) + wb*float64(b[i]))
	}
}

func norm(v []float32) float64 {
	sum := 0.0
	for _, x := range v {
		sum += float64(x) * float64(x)
	}
	return math.Sqrt(sum)
}

// Range bounds each channel of a latent, usually by what the codes of a codebook reach.
type Range struct{ Lo, Hi []float32 }

// Clamp returns the grid with every channel inside the range; NaN becomes Lo. Where a mixture leads beyond its ends
// this keeps it where the decoder knows what to do. It panics if the range has other channels than the grid.
func (r Range) Clamp(g Grid) Grid {
	if len(r.Lo) != g.C || len(r.Hi) != g.C {
		panic("latent: range and grid of different channels")
	}
	out := g.Clone()
	for i, v := range out.Data {
		lo, hi := r.Lo[i%g.C], r.Hi[i%g.C]
		switch {
		case v > hi:
			out.Data[i] = hi
		case !(v >= lo):
			out.Data[i] = lo
		}
	}
	return out
}

// Corners mixes four grids placed at the corners of a square: a top left, b top right, c bottom left, d bottom right;
// u leads to the right and v down. Each corner is exact.
func Corners(a, b, c, d Grid, u, v float64, mix Mix) Grid {
	return mix(mix(a, b, u), mix(c, d, u), v)
}
