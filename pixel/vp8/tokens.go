package vp8

import "math"

// probTable holds the probabilities of coefficient tokens: by kind of block, band of the position, what came before,
// and node of the tree (section 13.3).
type probTable [4][8][3][11]uint8

// Kinds of blocks.
const (
	kindYRest = 0 // luma without its first coefficient, which is in Y2
	kindY2    = 1
	kindUV    = 2
)

// band of a position.
var band = [16]int{0, 1, 2, 3, 6, 4, 5, 6, 6, 6, 6, 6, 6, 6, 6, 7}

// categories of large levels: the first level, and the probabilities of the bits that say how far above it (section 13.2).
var categories = []struct {
	base int
	bits []uint8
}{
	{5, []uint8{159}}, {7, []uint8{165, 145}}, {11, []uint8{173, 148, 140}}, {19, []uint8{176, 155, 140, 135}},
	{35, []uint8{180, 157, 141, 134, 130}}, {67, []uint8{254, 254, 243, 230, 196, 177, 153, 140, 133, 130, 129}},
}

// tokenWriter writes tokens, or only counts them when it has no out.
type tokenWriter struct {
	out    *boolWriter
	probs  *probTable
	counts [4][8][3][11][2]int
}

func (t *tokenWriter) node(kind, band, before, node int, b bool) {
	if t.out != nil {
		t.out.bit(b, t.probs[kind][band][before][node])
		return
	}
	i := 0
	if b {
		i = 1
	}
	t.counts[kind][band][before][node][i]++
}

func (t *tokenWriter) fixed(b bool, p uint8) {
	if t.out != nil {
		t.out.bit(b, p)
	}
}

// block writes the levels of a block from the first-th on. Before is how many of the blocks to the left and above have
// any. It reports whether this one has.
func (t *tokenWriter) block(levels *[16]int16, kind, first, before int) bool {
	last := 15
	for last >= first && levels[last] == 0 {
		last--
	}
	afterZero := false
	for n := first; n <= last; n++ {
		put := func(node int, b bool) { t.node(kind, band[n], before, node, b) }
		if !afterZero {
			put(0, true) // not the end
		}
		v := int(max(levels[n], -levels[n]))
		put(1, v > 0)
		if afterZero = v == 0; afterZero {
			before = 0
			continue
		}
		t.size(put, v)
		t.fixed(levels[n] < 0, 128)
		before = min(v, 2)
	}
	if last < 15 {
		t.node(kind, band[last+1], before, 0, false)
	}
	return last >= first
}

// size writes the magnitude of a level that is not zero.
func (t *tokenWriter) size(put func(node int, b bool), v int) {
	if put(2, v > 1); v == 1 {
		return
	}
	if put(3, v > 4); v <= 4 {
		if put(4, v > 2); v > 2 {
			put(5, v > 3)
		}
		return
	}
	c := 0
	for c+1 < len(categories) && v >= categories[c+1].base {
		c++
	}
	if put(6, c >= 2); c < 2 {
		put(7, c == 1)
	} else {
		put(8, c >= 4)
		put(9+(c-2)/2, c%2 == 1)
	}
	for i, p := range categories[c].bits {
		t.fixed((v-categories[c].base)>>(len(categories[c].bits)-1-i)&1 == 1, p)
	}
}

// edge says which blocks on one side of a macroblock have levels: four of Y, two of U, two of V, one of Y2.
type edge [9]int

// group is a square of blocks of one kind in a macroblock.
type group struct {
	first, side, edge, kind, from int
}

var groups = []group{{blockY2, 1, 8, kindY2, 0}, {blockY, 4, 0, kindYRest, 1}, {blockU, 2, 4, kindUV, 0}, {blockV, 2, 6, kindUV, 0}}

// tokens writes the coefficients of all macroblocks.
func (e *encoder) tokens(t *tokenWriter) {
	above := make([]edge, e.mbw)
	for y := range e.mbh {
		var left edge
		for x := range e.mbw {
			b := &e.blocks[y*e.mbw+x]
			if b.empty {
				left, above[x] = edge{}, edge{}
				continue
			}
			for _, g := range groups {
				for k := range g.side * g.side {
					l, a := &left[g.edge+k/g.side], &above[x][g.edge+k%g.side]
					has := 0
					if t.block(&b.levels[g.first+k], g.kind, g.from, *l+*a) {
						has = 1
					}
					*l, *a = has, has
				}
			}
		}
	}
}

// cost[p] is the length of a bit of probability p/256 in 1/256 bits.
var cost = func() (out [257]int) {
	for p := 1; p <= 256; p++ {
		out[p] = int(math.Round(-256 * math.Log2(float64(p)/256)))
	}
	return out
}()

// fit chooses the probabilities of this frame: those that it has by itself where saying so is shorter than keeping the
// default ones.
func (e *encoder) fit() (*probTable, *[4][8][3][11]bool) {
	var t tokenWriter
	e.tokens(&t)
	probs, updates := defaultProbs, [4][8][3][11]bool{}
	for i := range probs {
		for j := range probs[i] {
			for k := range probs[i][j] {
				for n := range probs[i][j][k] {
					zeros, ones := t.counts[i][j][k][n][0], t.counts[i][j][k][n][1]
					if zeros+ones == 0 {
						continue
					}
					old, own := int(probs[i][j][k][n]), min(max(256*zeros/(zeros+ones), 1), 255)
					say := int(updateProbs[i][j][k][n])
					saved := zeros*(cost[old]-cost[own]) + ones*(cost[256-old]-cost[256-own])
					if saved > 8*256+cost[256-say]-cost[say] {
						probs[i][j][k][n], updates[i][j][k][n] = uint8(own), true
					}
				}
			}
		}
	}
	return &probs, &updates
}
