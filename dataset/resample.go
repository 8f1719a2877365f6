package dataset

import "math"

// tapTable holds the Hamming-windowed sinc of radius 1: sharper than a triangle and never negative
// enough to ring, so alpha stays in [0,1] up to rounding.
const tapSteps = 1024

var tapTable = func() (t [tapSteps + 1]float32) {
	for i := range t {
		x := float64(i) / tapSteps
		if x == 0 {
			t[i] = 1
			continue
		}
		t[i] = float32(math.Sin(math.Pi*x) / (math.Pi * x) * (.54 + .46*math.Cos(math.Pi*x)))
	}
	return t
}()

// taps are the weights of one axis of a resampling: for each target pixel a run of source pixels.
type taps struct {
	first  []int     // first source pixel of each target pixel
	count  []int     // number of source pixels
	weight []float32 // stride values for each target pixel
	stride int
}

// fill computes the weights that map n source pixels, laid over [start, start+side) of the target
// axis, to the target pixels lo..hi-1. Source pixels outside 0..n-1 count as transparent.
func (t *taps) fill(n int, start, side float32, lo, hi int) {
	ratio := float32(n) / side
	radius := max(1, ratio)
	t.stride = int(2*radius) + 3
	m := hi - lo
	t.first, t.count = grow(t.first, m), grow(t.count, m)
	t.weight = grow(t.weight, m*t.stride)
	for i := range m {
		centre := (float32(lo+i) + .5 - start) * ratio
		from := int(math.Floor(float64(centre - radius)))
		to := int(math.Ceil(float64(centre + radius)))
		w := t.weight[i*t.stride : (i+1)*t.stride]
		var sum float32
		k := 0
		for j := from; j < to; j++ {
			d := (float32(j) + .5 - centre) / radius
			if d < 0 {
				d = -d
			}
			if d >= 1 {
				if j >= 0 && j < n && k > 0 {
					w[k] = 0
					k++
				}
				continue
			}
			v := tapTable[int(d*tapSteps)]
			sum += v
			if j < 0 || j >= n {
				continue
			}
			if k == 0 {
				t.first[i] = j
			}
			w[k] = v
			k++
		}
		t.count[i] = k
		if sum > 0 {
			for j := range k {
				w[j] /= sum
			}
		}
	}
}

// grow returns a slice of length n, reusing s where it is long enough. Contents are undefined.
func grow[T any](s []T, n int) []T {
	if cap(s) >= n {
		return s[:n]
	}
	return make([]T, n)
}

// scratch is the working memory of one goroutine.
type scratch struct {
	sprite []float32 // premultiplied planes of the sprite
	rows   []float32 // after the horizontal pass
	xs, ys taps
}

// over composes premultiplied planes (n*n*4) onto dst (height*width*3): the square of the given side
// (in target pixels) with its corner at (left, top), which may leave the picture.
func (sc *scratch) over(dst []float32, width, height, n int, planes []float32, left, top, side float32) {
	x0, x1 := clipSpan(left, side, width)
	y0, y1 := clipSpan(top, side, height)
	if x0 >= x1 || y0 >= y1 {
		return
	}
	sc.xs.fill(n, left, side, x0, x1)
	sc.ys.fill(n, top, side, y0, y1)
	w := x1 - x0
	sc.rows = grow(sc.rows, n*w*4)
	for y := range n {
		row, out := planes[y*n*4:(y+1)*n*4], sc.rows[y*w*4:(y+1)*w*4]
		for x := range w {
			var r, g, b, a float32
			first := sc.xs.first[x]
			for k, wt := range sc.xs.weight[x*sc.xs.stride : x*sc.xs.stride+sc.xs.count[x]] {
				p := row[(first+k)*4 : (first+k)*4+4]
				r += wt * p[0]
				g += wt * p[1]
				b += wt * p[2]
				a += wt * p[3]
			}
			o := out[x*4 : x*4+4]
			o[0], o[1], o[2], o[3] = r, g, b, a
		}
	}
	for y := range y1 - y0 {
		weights := sc.ys.weight[y*sc.ys.stride : y*sc.ys.stride+sc.ys.count[y]]
		first := sc.ys.first[y]
		line := dst[((y0+y)*width+x0)*3 : ((y0+y)*width+x1)*3]
		for x := range w {
			var r, g, b, a float32
			for k, wt := range weights {
				p := sc.rows[((first+k)*w+x)*4 : ((first+k)*w+x)*4+4]
				r += wt * p[0]
				g += wt * p[1]
				b += wt * p[2]
				a += wt * p[3]
			}
			d := line[x*3 : x*3+3]
			d[0] = clamp01(d[0]*(1-a) + r)
			d[1] = clamp01(d[1]*(1-a) + g)
			d[2] = clamp01(d[2]*(1-a) + b)
		}
	}
}

// clipSpan is the range of whole pixels that [start, start+side) touches, with a pixel for the
// filter's foot, inside 0..size.
func clipSpan(start, side float32, size int) (int, int) {
	lo := int(math.Floor(float64(start))) - 1
	hi := int(math.Ceil(float64(start+side))) + 1
	return max(0, lo), min(size, hi)
}

func clamp01(v float32) float32 { return min(1, max(0, v)) }
