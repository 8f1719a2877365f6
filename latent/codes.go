package latent

import (
	"cmp"
	"fmt"
	"math"
	"slices"
)

// Codes is a grid of codebook indices [h,w], row by row.
type Codes struct {
	H, W  int
	Index []int32
}

// Clone returns a copy.
func (c Codes) Clone() Codes {
	c.Index = slices.Clone(c.Index)
	return c
}

// Equal reports whether both grids have the same size and the same codes.
func (c Codes) Equal(o Codes) bool { return c.sameSize(o) && slices.Equal(c.Index, o.Index) }

func (c Codes) sameSize(o Codes) bool {
	return c.H == o.H && c.W == o.W && len(c.Index) == c.H*c.W && len(o.Index) == len(c.Index)
}

// Replace puts other codes in the place of those named, everywhere at once: {3: 5, 5: 3} swaps two.
func (c Codes) Replace(by map[int32]int32) Codes {
	out := c.Clone()
	for i, k := range out.Index {
		if j, ok := by[k]; ok {
			out.Index[i] = j
		}
	}
	return out
}

// Brush takes the codes of src where weight, one number for each cell, is at least a half, and of c elsewhere. It
// panics when sizes differ.
func (c Codes) Brush(src Codes, weight []float32) Codes {
	if !c.sameSize(src) || len(weight) != len(c.Index) {
		panic("latent: brush over grids of different sizes")
	}
	out := c.Clone()
	for i, w := range weight {
		if w >= 0.5 {
			out.Index[i] = src.Index[i]
		}
	}
	return out
}

// Disc returns the weights of a round brush over h x w cells: 1 within radius of (y,x), 0 outside, and a smooth edge
// over feather cells around the radius. Cells are measured at their middles.
func Disc(h, w int, y, x, radius, feather float64) []float32 {
	out := make([]float32, h*w)
	for j := range h {
		for i := range w {
			d := math.Hypot(float64(j)+0.5-y, float64(i)+0.5-x)
			switch {
			case feather > 0:
				out[j*w+i] = float32(smooth(min(max((radius+feather/2-d)/feather, 0), 1)))
			case d <= radius:
				out[j*w+i] = 1
			}
		}
	}
	return out
}

// Rect returns the weights of a rectangle over h x w cells: 1 in rows y0..y1-1 and columns x0..x1-1.
func Rect(h, w, y0, x0, y1, x1 int) []float32 {
	out := make([]float32, h*w)
	for y := max(y0, 0); y < min(y1, h); y++ {
		for x := max(x0, 0); x < min(x1, w); x++ {
			out[y*w+x] = 1
		}
	}
	return out
}

// Book is a codebook: K codes of C numbers, Table[k*C+c], as the decoder receives them (of unit length for models that
// normalise).
type Book struct {
	K, C  int
	Table []float32
}

// NewBook makes a book of a table of codes of c numbers each.
func NewBook(table []float32, c int) (*Book, error) {
	if c < 1 || len(table) == 0 || len(table)%c != 0 {
		return nil, fmt.Errorf("latent: a codebook of %d numbers in codes of %d", len(table), c)
	}
	return &Book{K: len(table) / c, C: c, Table: table}, nil
}

// Code returns the numbers of code k: a view, not a copy.
func (b *Book) Code(k int32) []float32 { return b.Table[int(k)*b.C : (int(k)+1)*b.C] }

// Distance is the Euclidean distance of two codes.
func (b *Book) Distance(i, j int32) float64 { return math.Sqrt(squared(b.Code(i), b.Code(j))) }

func squared(a, b []float32) float64 {
	sum := 0.0
	for i, v := range a {
		d := float64(v) - float64(b[i])
		sum += d * d
	}
	return sum
}

// Check reports codes that do not fill their grid or lie outside the book.
func (b *Book) Check(c Codes) error {
	if c.H < 1 || c.W < 1 || len(c.Index) != c.H*c.W {
		return fmt.Errorf("latent: %d codes for a grid of %dx%d", len(c.Index), c.W, c.H)
	}
	for i, k := range c.Index {
		if k < 0 || int(k) >= b.K {
			return fmt.Errorf("latent: code %d at position %d is outside the codebook of %d", k, i, b.K)
		}
	}
	return nil
}

// Lookup returns the latent of codes.
func (b *Book) Lookup(c Codes) (Grid, error) {
	if err := b.Check(c); err != nil {
		return Grid{}, err
	}
	out := NewGrid(c.H, c.W, b.C)
	for i, k := range c.Index {
		copy(out.cell(i), b.Code(k))
	}
	return out, nil
}

// Nearest returns the code nearest to each vector, the first of equals. It looks at every code for every vector; models
// have a faster way. It panics if the grid has other channels than the book.
func (b *Book) Nearest(g Grid) Codes {
	if g.C != b.C {
		panic("latent: grid and codebook of different channels")
	}
	out := Codes{H: g.H, W: g.W, Index: make([]int32, g.H*g.W)}
	for i := range out.Index {
		best := math.Inf(1)
		for k := range int32(b.K) {
			if d := squared(b.Code(k), g.cell(i)); d < best {
				best, out.Index[i] = d, k
			}
		}
	}
	return out
}

// Neighbours returns at most n codes in order of their distance from k, without k itself; equal distances are in order
// of their numbers.
func (b *Book) Neighbours(k int32, n int) []int32 {
	type near struct {
		code int32
		d    float64
	}
	all := make([]near, 0, b.K)
	for j := range int32(b.K) {
		if j != k {
			all = append(all, near{j, squared(b.Code(k), b.Code(j))})
		}
	}
	slices.SortFunc(all, func(x, y near) int {
		if c := cmp.Compare(x.d, y.d); c != 0 {
			return c
		}
		return cmp.Compare(x.code, y.code)
	})
	out := make([]int32, min(max(n, 0), len(all)))
	for i := range out {
		out[i] = all[i].code
	}
	return out
}

// Spread is the standard deviation of the book's numbers around the mean of their channel.
func (b *Book) Spread() float64 {
	mean := make([]float64, b.C)
	for i, v := range b.Table {
		mean[i%b.C] += float64(v) / float64(b.K)
	}
	sum := 0.0
	for i, v := range b.Table {
		d := float64(v) - mean[i%b.C]
		sum += d * d
	}
	return math.Sqrt(sum / float64(len(b.Table)))
}

// Range returns the smallest and largest value of each channel over all codes.
func (b *Book) Range() Range {
	r := Range{Lo: slices.Clone(b.Code(0)), Hi: slices.Clone(b.Code(0))}
	for i, v := range b.Table {
		c := i % b.C
		r.Lo[c], r.Hi[c] = min(r.Lo[c], v), max(r.Hi[c], v)
	}
	return r
}
