package dataset

import (
	"math"

	"github.com/smalti/smalti/rng"
)

// Augment writes a distorted copy of src into dst: what a CLIP is trained on so that it judges a
// painting's cuts the way it judges whole pictures. Both hold size*size*3 values in [0,1]; they must
// not overlap. strength 0 copies; useful strengths are 0.3 to 0.75, 1 is strong.
//
// In this order: one warp (crop of side 1-0.6s to 1, rotation to 0.17s rad, shear, aspect and
// perspective to 0.08s), down-and-up scaling for 12 % of the pictures, a 3x3 blur for 30 %,
// brightness to 0.06s, contrast to 0.15s, saturation to 0.2s, noise of deviation up to 0.06s.
func Augment(s *rng.Stream, dst, src []float32, size int, strength float64) {
	if strength <= 0 {
		copy(dst, src)
		return
	}
	warp := drawWarp(s, strength)
	lowRes, side := s.Bernoulli(.12), int(s.Uniform(.375, .625)*float64(size)+.5)
	if lowRes && side >= 4 {
		small := make([]float32, side*side*3)
		warp.sample(small, side, src, size)
		identityWarp().sample(dst, size, small, side)
	} else {
		warp.sample(dst, size, src, size)
	}
	if s.Bernoulli(.3) {
		blur3(dst, size, float32(s.Uniform(.05, .25)))
	}
	tone(dst, float32(s.Uniform(-.06, .06)*strength), 1+float32(s.Uniform(-.15, .15)*strength), 1+float32(s.Uniform(-.2, .2)*strength))
	addNoise(s, dst, float32(s.Uniform(0, .06)*strength))
}

// projective maps target coordinates to source coordinates, both in [-1,1]:
// (x, y) -> (a x + b y + c, d x + e y + f) / (g x + h y + 1).
type projective struct{ a, b, c, d, e, f, g, h float32 }

func identityWarp() projective { return projective{a: 1, e: 1} }

// drawWarp draws the geometry of Augment.
func drawWarp(s *rng.Stream, strength float64) projective {
	scale := 1 - s.Float64()*min(.6*strength, .8) // side of the crop
	cx, cy := s.Uniform(-1, 1)*(1-scale), s.Uniform(-1, 1)*(1-scale)
	angle := s.Uniform(-.17, .17) * strength
	shear := s.Uniform(-.08, .08) * strength
	aspect := 1 + s.Uniform(-.08, .08)*strength
	sin, cos := math.Sincos(angle)
	sx, sy := scale*aspect, scale/aspect
	return projective{
		a: float32(cos * sx), b: float32((-sin + shear*cos) * sy), c: float32(cx),
		d: float32(sin * sx), e: float32((cos + shear*sin) * sy), f: float32(cy),
		g: float32(s.Uniform(-.08, .08) * strength), h: float32(s.Uniform(-.08, .08) * strength),
	}
}

// sample fills dst (dn x dn) from src (sn x sn) bilinearly; outside, the edge is repeated.
func (p projective) sample(dst []float32, dn int, src []float32, sn int) {
	half := float32(sn) / 2
	for y := range dn {
		v := (float32(y)+.5)*2/float32(dn) - 1
		for x := range dn {
			u := (float32(x)+.5)*2/float32(dn) - 1
			w := 1 / (p.g*u + p.h*v + 1)
			fx := ((p.a*u+p.b*v+p.c)*w+1)*half - .5
			fy := ((p.d*u+p.e*v+p.f)*w+1)*half - .5
			bilinear(dst[(y*dn+x)*3:(y*dn+x)*3+3], src, sn, fx, fy)
		}
	}
}

func bilinear(dst, src []float32, n int, fx, fy float32) {
	last := float32(n - 1)
	fx, fy = min(last, max(0, fx)), min(last, max(0, fy))
	x0, y0 := int(fx), int(fy)
	x1, y1 := min(x0+1, n-1), min(y0+1, n-1)
	tx, ty := fx-float32(x0), fy-float32(y0)
	a, b := src[(y0*n+x0)*3:], src[(y0*n+x1)*3:]
	c, d := src[(y1*n+x0)*3:], src[(y1*n+x1)*3:]
	for k := range 3 {
		top := a[k] + tx*(b[k]-a[k])
		bottom := c[k] + tx*(d[k]-c[k])
		dst[k] = top + ty*(bottom-top)
	}
}

// blur3 blurs in place with the kernel (w, 1-2w, w) along both axes, the edge repeated.
func blur3(pix []float32, n int, w float32) {
	line := make([]float32, n*3)
	centre := 1 - 2*w
	pass := func(start, step int) {
		for i := range n {
			copy(line[i*3:i*3+3], pix[start+i*step:start+i*step+3])
		}
		for i := range n {
			l, r := max(0, i-1)*3, min(n-1, i+1)*3
			o := pix[start+i*step : start+i*step+3]
			for k := range 3 {
				o[k] = w*(line[l+k]+line[r+k]) + centre*line[i*3+k]
			}
		}
	}
	for i := range n {
		pass(i*n*3, 3) // row i
	}
	for i := range n {
		pass(i*3, n*3) // column i
	}
}

// tone adds to brightness and multiplies contrast (around 1/2) and saturation (around luma).
func tone(pix []float32, brightness, contrast, saturation float32) {
	for i := 0; i < len(pix); i += 3 {
		p := pix[i : i+3]
		luma := .299*p[0] + .587*p[1] + .114*p[2]
		for k, v := range p {
			v = luma + (v-luma)*saturation
			p[k] = clamp01((v-.5)*contrast + .5 + brightness)
		}
	}
}

// addNoise adds noise of the given deviation: the sum of four uniform bytes, which is near enough to
// normal (cut at 3.4 deviations) and ten times as fast.
func addNoise(s *rng.Stream, pix []float32, deviation float32) {
	k := deviation / 147.8 // deviation of the sum of four bytes: sqrt(4*(256^2-1)/12)
	for i := range pix {
		u := s.Uint32()
		sum := int(u&255) + int(u>>8&255) + int(u>>16&255) + int(u>>24)
		pix[i] = clamp01(pix[i] + k*float32(sum-510))
	}
}

// AugmentBatch distorts every picture of a batch in place, in parallel; picture i draws from the
// stream (seed, "augment", step, i).
func AugmentBatch(b Batch, seed, step uint64, strength float64, workers int) {
	plane := b.Size * b.Size * 3
	parallel(b.N, workers, func(i int) {
		pix := b.Pix[i*plane : (i+1)*plane]
		src := append([]float32(nil), pix...)
		Augment(rng.New(seed, "augment", step, uint64(i)), pix, src, b.Size, strength)
	})
}
