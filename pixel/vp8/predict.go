package vp8

// mode says how a block is guessed from the pixels left of it and above (section 12).
type mode int

const (
	modeDC mode = iota // their mean
	modeV              // the row above
	modeH              // the column to the left
	modeTM             // left + above - corner
	modes
)

// writeLuma is the tree of section 11.2 with the probabilities of key frames; its other branch would be 4x4 modes.
func (m mode) writeLuma(out *boolWriter) {
	out.bit(true, 145)
	out.bit(m == modeH || m == modeTM, 156)
	switch m {
	case modeDC, modeV:
		out.bit(m == modeV, 163)
	default:
		out.bit(m == modeTM, 128)
	}
}

func (m mode) writeChroma(out *boolWriter) {
	if out.bit(m != modeDC, 142); m == modeDC {
		return
	}
	if out.bit(m != modeV, 114); m == modeV {
		return
	}
	out.bit(m == modeTM, 183)
}

// predict fills dst, n x n, with the guess for the block at (x0,y0).
func (p *plane) predict(dst []uint8, m mode, x0, y0, n int) {
	dc := p.mean(x0, y0, n)
	corner := p.at(x0-1, y0-1)
	for y := range n {
		left := p.at(x0-1, y0+y)
		for x := range n {
			v := dc
			switch m {
			case modeV:
				v = p.at(x0+x, y0-1)
			case modeH:
				v = left
			case modeTM:
				v = min(max(left+p.at(x0+x, y0-1)-corner, 0), 255)
			}
			dst[y*n+x] = uint8(v)
		}
	}
}

// mean is over what exists of the row above and the column to the left, or 128.
func (p *plane) mean(x0, y0, n int) int {
	sum, count := 0, 0
	for i := range n {
		if y0 > 0 {
			sum, count = sum+p.at(x0+i, y0-1), count+1
		}
		if x0 > 0 {
			sum, count = sum+p.at(x0-1, y0+i), count+1
		}
	}
	if count == 0 {
		return 128
	}
	return (sum + count/2) / count
}

// miss is the squared error of a guess.
func (p *plane) miss(guess []uint8, x0, y0, n int) int {
	sum := 0
	for y := range n {
		for x := range n {
			d := p.at(x0+x, y0+y) - int(guess[y*n+x])
			sum += d * d
		}
	}
	return sum
}

// choose returns the mode that misses least in the given planes together, the first of equals, and its guesses.
func (e *encoder) choose(planes []int, x0, y0, n int) (best mode, guesses [2][256]uint8) {
	least := -1
	for m := range modes {
		var g [2][256]uint8
		miss := 0
		for i, p := range planes {
			e.done[p].predict(g[i][:n*n], m, x0, y0, n)
			miss += e.source[p].miss(g[i][:n*n], x0, y0, n)
		}
		if least < 0 || miss < least {
			best, guesses, least = m, g, miss
		}
	}
	return best, guesses
}

// macroblock encodes 16x16 pixels and leaves in done what decoders will see.
func (e *encoder) macroblock(mbx, mby int) {
	b := &e.blocks[mby*e.mbw+mbx]
	var guess [2][256]uint8
	b.luma, guess = e.choose([]int{0}, 16*mbx, 16*mby, 16)
	any := e.encodeLuma(b, guess[0][:], 16*mbx, 16*mby)
	b.chroma, guess = e.choose([]int{1, 2}, 8*mbx, 8*mby, 8)
	for i, first := range []int{blockU, blockV} {
		for k := range 4 {
			x, y := k%2*4, k/2*4
			c := e.source[1+i].rest(guess[i][:64], 8*mbx, 8*mby, x, y, 8)
			forward(&c)
			any = e.uv.quantise(&b.levels[first+k], &c, 0) || any
			e.done[1+i].restore(guess[i][:64], &c, 8*mbx, 8*mby, x, y, 8)
		}
	}
	b.empty = !any
}

// encodeLuma encodes sixteen blocks whose DCs are transformed once more together.
func (e *encoder) encodeLuma(b *macroblock, guess []uint8, x0, y0 int) (any bool) {
	var blocks [16][16]int32
	var dcs [16]int32
	for k := range blocks {
		blocks[k] = e.source[0].rest(guess, x0, y0, k%4*4, k/4*4, 16)
		forward(&blocks[k])
		dcs[k] = blocks[k][0]
		any = e.y1.quantise(&b.levels[blockY+k], &blocks[k], 1) || any
	}
	hadamard(&dcs)
	for i, v := range dcs { // the inverse has a scale of 1/8, twice the transform one of 16
		dcs[i] = (v + v>>31&1) >> 1
	}
	any = e.y2.quantise(&b.levels[blockY2], &dcs, 0) || any
	hadamard(&dcs)
	for k := range blocks {
		blocks[k][0] = (dcs[k] + 3) >> 3
		e.done[0].restore(guess, &blocks[k], x0, y0, k%4*4, k/4*4, 16)
	}
	return any
}

// rest is what a guess of n x n at (x0,y0) leaves of the 4x4 pixels at (x,y) in it.
func (p *plane) rest(guess []uint8, x0, y0, x, y, n int) (c [16]int32) {
	for i := range c {
		dx, dy := x+i%4, y+i/4
		c[i] = int32(p.at(x0+dx, y0+dy) - int(guess[dy*n+dx]))
	}
	return c
}

// restore adds decoded coefficients to the guess.
func (p *plane) restore(guess []uint8, c *[16]int32, x0, y0, x, y, n int) {
	inverse(c)
	for i, v := range c {
		dx, dy := x+i%4, y+i/4
		p.set(x0+dx, y0+dy, uint8(min(max(int32(guess[dy*n+dx])+v, 0), 255)))
	}
}
