package gan

import "math"

// msWeights are those of the scales of MS-SSIM, from the finest (Wang et al. 2003, section 3.2).
var msWeights = []float64{0.0448, 0.2856, 0.3001, 0.2363, 0.1333}

// Alikeness is the mean multi-scale structural similarity of pairs of pictures [n,S,S,C] in [0,1], first with second,
// third with fourth and so on, at most the given number of pairs: a measure of how little variety there is (Odena et al.
// 2017, section 4.2). Small pictures have fewer scales, with weights that sum to one again. n must be at least 2.
func Alikeness(planes []float32, size, channels, pairs int) float64 {
	plane := size * size * channels
	n := min(pairs, len(planes)/plane/2)
	sum := 0.
	for i := range n {
		sum += msSSIM(grey(planes[2*i*plane:(2*i+1)*plane], channels), grey(planes[(2*i+1)*plane:(2*i+2)*plane], channels), size)
	}
	return sum / float64(n)
}

// grey is the mean of the channels.
func grey(plane []float32, channels int) []float64 {
	out := make([]float64, len(plane)/channels)
	for i, v := range plane {
		out[i/channels] += float64(v) / float64(channels)
	}
	return out
}

// window is the side of the square that the statistics of SSIM are taken over. Wang's Gaussian of 11 pixels does not fit
// pictures of 28 pixels at more than two scales; a plain square of 8 is the form that the paper of SSIM mentions first.
const window = 8

// msSSIM compares two pictures of size x size.
func msSSIM(a, b []float64, size int) float64 {
	scales := 1
	for scales < len(msWeights) && size>>scales >= window {
		scales++
	}
	total := 0.
	for _, w := range msWeights[:scales] {
		total += w
	}
	product := 1.
	for s := range scales {
		luminance, structure := ssim(a, b, size)
		v := structure
		if s == scales-1 {
			v *= luminance
		}
		product *= math.Pow(max(v, 0), msWeights[s]/total)
		a, b, size = half(a, size), half(b, size), size/2
	}
	return product
}

// ssim returns the means of the luminance term and of the contrast and structure term over all windows (Wang et al. 2004).
func ssim(a, b []float64, size int) (luminance, structure float64) {
	const c1, c2 = 0.01 * 0.01, 0.03 * 0.03
	side := min(window, size)
	count := 0.
	for y := 0; y+side <= size; y += 2 {
		for x := 0; x+side <= size; x += 2 {
			var sa, sb, saa, sbb, sab float64
			for i := y; i < y+side; i++ {
				for j := x; j < x+side; j++ {
					p, q := a[i*size+j], b[i*size+j]
					sa, sb, saa, sbb, sab = sa+p, sb+q, saa+p*p, sbb+q*q, sab+p*q
				}
			}
			n := float64(side * side)
			ma, mb := sa/n, sb/n
			va, vb, vab := saa/n-ma*ma, sbb/n-mb*mb, sab/n-ma*mb
			luminance += (2*ma*mb + c1) / (ma*ma + mb*mb + c1)
			structure += (2*vab + c2) / (va + vb + c2)
			count++
		}
	}
	return luminance / count, structure / count
}

// half averages squares of four.
func half(a []float64, size int) []float64 {
	n := size / 2
	out := make([]float64, n*n)
	for y := range n {
		for x := range n {
			at := 2*y*size + 2*x
			out[y*n+x] = (a[at] + a[at+1] + a[at+size] + a[at+size+1]) / 4
		}
	}
	return out
}
