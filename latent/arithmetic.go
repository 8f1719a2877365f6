package latent

import "math"

// Mean averages grids of one shape, in float64. It panics without grids.
func Mean(grids ...Grid) Grid {
	if len(grids) == 0 {
		panic("latent: mean of nothing")
	}
	mustMatch(grids...)
	out := grids[0].Clone()
	for i := range out.Data {
		sum := 0.0
		for _, g := range grids {
			sum += float64(g.Data[i])
		}
		out.Data[i] = float32(sum / float64(len(grids)))
	}
	return out
}

// Shift carries a difference over to z: z + t(with - without). With the means of pictures that have a property and of
// pictures that lack it, t adds the property (t > 0) or takes it away (Radford et al. 2015, section 6.3.2).
func Shift(z, with, without Grid, t float64) Grid {
	mustMatch(z, with, without)
	out := z.Clone()
	for i := range out.Data {
		if d := float64(with.Data[i]) - float64(without.Data[i]); d != 0 {
			out.Data[i] = float32(float64(out.Data[i]) + t*d)
		}
	}
	return out
}

// Smooth is a Gaussian low pass over rows and columns, sigma in cells, cut off at three sigma; beyond the borders the
// outermost cells repeat. Sigma 0 or less changes nothing.
func Smooth(g Grid, sigma float64) Grid {
	if sigma <= 0 {
		return g.Clone()
	}
	taps := gauss(sigma)
	rows := g.Clone()
	pass(rows.Data, g.Data, taps, g.W, g.C, g.H, g.W*g.C)
	out := g.Clone()
	pass(out.Data, rows.Data, taps, g.H, g.W*g.C, 1, 0)
	return out
}

// gauss returns the middle and one side of a normalised window.
func gauss(sigma float64) []float64 {
	taps := make([]float64, int(math.Ceil(3*sigma))+1)
	sum := 0.0
	for i := range taps {
		taps[i] = math.Exp(-float64(i*i) / (2 * sigma * sigma))
		if sum += taps[i]; i > 0 {
			sum += taps[i]
		}
	}
	for i := range taps {
		taps[i] /= sum
	}
	return taps
}

// pass filters lines of n samples, each of width numbers; count lines start pitch numbers apart.
func pass(dst, src []float32, taps []float64, n, width, count, pitch int) {
	for line := range count {
		for i := range n {
			for c := range width {
				sum := 0.0
				for k, w := range taps {
					lo, hi := max(i-k, 0), min(i+k, n-1)
					sum += w * float64(src[line*pitch+lo*width+c])
					if k > 0 {
						sum += w * float64(src[line*pitch+hi*width+c])
					}
				}
				dst[line*pitch+i*width+c] = float32(sum)
			}
		}
	}
}

// MixScales joins the layout of one picture with the detail of another. A VQGAN has a single level of codes, so the two
// are told apart by frequency: what is larger than about sigma cells comes from coarse, the rest from fine:
// fine + Smooth(coarse) - Smooth(fine). Equal arguments give themselves; sigma 0 gives coarse, a sigma far above the
// grid's size only moves the mean.
func MixScales(coarse, fine Grid, sigma float64) Grid {
	mustMatch(coarse, fine)
	low := Smooth(coarse, sigma)
	if sigma <= 0 {
		return low
	}
	return Shift(fine, low, Smooth(fine, sigma), 1)
}

// Blend mixes a and b cell by cell: weight 0 keeps a, 1 takes b, both exactly; others mix straight. Weight holds one
// number for each cell, row by row, as brushes make them.
func Blend(a, b Grid, weight []float32) Grid {
	mustMatch(a, b)
	if len(weight) != a.H*a.W {
		panic("latent: weights and grid of different shapes")
	}
	out := a.Clone()
	for i, w := range weight {
		if w == 1 {
			copy(out.cell(i), b.cell(i))
			continue
		}
		for c := range a.C {
			out.cell(i)[c] = between(a.cell(i)[c], b.cell(i)[c], float64(w))
		}
	}
	return out
}
