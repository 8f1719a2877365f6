package vp8

// zigzag is the order in which the coefficients of a block are written (section 13).
var zigzag = [16]int{0, 1, 4, 8, 5, 2, 3, 6, 9, 12, 13, 10, 7, 11, 14, 15}

// quantiser holds the steps of the first coefficient of a block and of the others.
type quantiser struct{ dc, ac int32 }

func (q quantiser) step(i int) int32 {
	if i == 0 {
		return q.dc
	}
	return q.ac
}

// quantise writes the levels of coefficients from the first-th on and replaces them by what decoders make of those. It
// reports whether any level is not zero. Coefficients but the first round to zero from further away: they cost more bits
// than they are worth.
func (q quantiser) quantise(levels *[16]int16, c *[16]int32, first int) (any bool) {
	const most = 2047 // the largest level that tokens can say is above it
	for n := first; n < 16; n++ {
		i := zigzag[n]
		step := q.step(i)
		bias := step / 2
		if i > 0 {
			bias = step * 3 / 8
		}
		l := min((max(c[i], -c[i])+bias)/step, most)
		if c[i] < 0 {
			l = -l
		}
		levels[n], c[i] = int16(l), l*step
		any = any || l != 0
	}
	return any
}

// Values of the cosine basis, times 2^13: 1/2, cos(pi/8)/sqrt(2), sin(pi/8)/sqrt(2).
const basisA, basisB, basisC = 4096, 5352, 2217

// forward is the cosine transform whose inverse section 14.3 defines: twice the orthonormal one.
func forward(c *[16]int32) {
	line := func(a, b, c, d int64) (w, x, y, z int64) {
		return basisA * (a + b + c + d), basisB*(a-d) + basisC*(b-c), basisA * (a - b - c + d), basisC*(a-d) - basisB*(b-c)
	}
	var t [16]int64
	for y := range 4 {
		r := c[4*y : 4*y+4]
		t[4*y], t[4*y+1], t[4*y+2], t[4*y+3] = line(int64(r[0]), int64(r[1]), int64(r[2]), int64(r[3]))
	}
	for x := range 4 {
		a, b, d, e := line(t[x], t[4+x], t[8+x], t[12+x])
		for k, v := range [4]int64{a, b, d, e} {
			c[4*k+x] = int32((v + 1<<24) >> 25)
		}
	}
}

// inverse is section 14.3 to the bit.
func inverse(c *[16]int32) {
	line := func(a, b, c, d int32) (w, x, y, z int32) {
		const sin, cosLess1 = 35468, 20091 // sin(pi/8)sqrt(2) and cos(pi/8)sqrt(2)-1, times 2^16
		e, f := a+c, a-c
		g := b*sin>>16 - (d + d*cosLess1>>16)
		h := b + b*cosLess1>>16 + d*sin>>16
		return e + h, f + g, f - g, e - h
	}
	for x := range 4 {
		c[x], c[4+x], c[8+x], c[12+x] = line(c[x], c[4+x], c[8+x], c[12+x])
	}
	for y := range 4 {
		r := c[4*y : 4*y+4]
		a, b, d, e := line(r[0], r[1], r[2], r[3])
		r[0], r[1], r[2], r[3] = (a+4)>>3, (b+4)>>3, (d+4)>>3, (e+4)>>3
	}
}

// hadamard is the transform of the sixteen DCs (section 14.3), without its scale.
func hadamard(c *[16]int32) {
	line := func(a, b, c, d int32) (w, x, y, z int32) {
		return a + b + c + d, a + b - c - d, a - b - c + d, a - b + c - d
	}
	for x := range 4 {
		c[x], c[4+x], c[8+x], c[12+x] = line(c[x], c[4+x], c[8+x], c[12+x])
	}
	for y := range 4 {
		r := c[4*y : 4*y+4]
		r[0], r[1], r[2], r[3] = line(r[0], r[1], r[2], r[3])
	}
}
