package paint

import (
	"fmt"
	"math"
	"slices"

	"github.com/gomlx/gomlx/core/tensors"

	"github.com/smalti/smalti/engine"
	"github.com/smalti/smalti/rng"
)

// StartKind says what is on the canvas before the first step.
type StartKind string

const (
	StartCodes    StartKind = "codes"    // random codes
	StartPixels   StartKind = "pixels"   // a picture of random pixels, encoded
	StartGradient StartKind = "gradient" // a picture of smooth random colour gradients, encoded
	StartFractal  StartKind = "fractal"  // a picture of fractal noise, encoded
	StartPicture  StartKind = "picture"  // a given picture, encoded
	StartGrid     StartKind = "grid"     // given codes
)

// Starts lists the kinds that need nothing but a seed.
var Starts = []StartKind{StartCodes, StartPixels, StartGradient, StartFractal}

// Start describes the first canvas.
type Start struct {
	Kind StartKind
	// Picture [H,W,3] in [0,1], of the painter's size, for StartPicture.
	Picture []float32
	// Codes [h,w] for StartGrid.
	Codes []int32
	// Used restricts StartCodes to these codes: large codebooks hold many that were never trained. Empty: all.
	Used []int32
}

// Begin puts the start on the canvas and forgets what was painted before. It fails when the start does not fit, and
// then leaves the painter as it was.
func (p *Painter) Begin(s Start) error {
	z, err := p.startLatents(s)
	if err != nil {
		return err
	}
	return p.BeginAt(z)
}

// BeginAt starts from latents [1,h,w,C], as a morph or a larger repainting has them.
func (p *Painter) BeginAt(z []float32) error { return p.BeginFrom(z, z) }

// BeginFrom starts from latents z [1,h,w,C] that are held to others, see Pull.
func (p *Painter) BeginFrom(z, held []float32) error {
	for _, list := range [][]float32{z, held} {
		if len(list) != p.h*p.w*p.c {
			return fmt.Errorf("paint: a start of %d numbers for latents %dx%dx%d", len(list), p.h, p.w, p.c)
		}
		for _, v := range list {
			if !finite(float64(v)) {
				return &DivergedError{0, "the start"}
			}
		}
	}
	opt := p.opt.clone()
	opt.Reset()
	p.state = state{z: append([]float32(nil), z...), init: append([]float32(nil), held...), opt: opt}
	return nil
}

// Shift moves the latents by d [1,h,w,C], and their average with them, within the codebook's range; what the optimiser remembers
// stays. A morph moves its goal so from frame to frame.
func (p *Painter) Shift(d []float32) error {
	if p.z == nil {
		return ErrNotStarted
	}
	if len(d) != len(p.z) {
		return fmt.Errorf("paint: a shift of %d numbers for %d", len(d), len(p.z))
	}
	s := p.state
	s.z = slices.Clone(p.z)
	for i, v := range d {
		if !finite(float64(v)) {
			return &DivergedError{p.step, "the shift"}
		}
		c := i % p.c
		s.z[i] = min(max(s.z[i]+v, p.lo[c]), p.hi[c])
	}
	if p.average != nil {
		rest := math.Pow(p.cfg.Average, float64(p.averaged))
		s.average = slices.Clone(p.average)
		for i := range s.average {
			s.average[i] += float32((1 - rest) * float64(s.z[i]-p.z[i]))
		}
	}
	p.state = s
	return nil
}

// Encode returns the latents [1,h,w,C] of the codes of a picture [H,W,3] in [0,1] of the painter's size.
func (p *Painter) Encode(pix []float32) ([]float32, error) {
	return p.startLatents(Start{Kind: StartPicture, Picture: pix})
}

func (p *Painter) startLatents(s Start) ([]float32, error) {
	h, w := p.cfg.Height, p.cfg.Width
	switch s.Kind {
	case StartCodes, "":
		codes, err := randomCodes(p.cfg.Seed, p.h*p.w, p.canvas.decoder.NumCodes(), s.Used)
		if err != nil {
			return nil, err
		}
		return p.latentsOfCodes(codes)
	case StartGrid:
		return p.latentsOfCodes(s.Codes)
	case StartPixels:
		x := make([]float32, 3*h*w)
		rng.New(p.cfg.Seed, "start/pixels").FillUniform(x, 0, 1)
		return p.latentsOfPicture(x)
	case StartGradient:
		return p.latentsOfPicture(gradientPicture(rng.New(p.cfg.Seed, "start/gradient"), h, w))
	case StartFractal:
		return p.latentsOfPicture(fractalPicture(rng.New(p.cfg.Seed, "start/fractal"), h, w))
	case StartPicture:
		return p.latentsOfPicture(s.Picture)
	}
	return nil, fmt.Errorf("paint: unknown start %q", s.Kind)
}

func (p *Painter) latentsOfCodes(codes []int32) ([]float32, error) {
	if len(codes) != p.h*p.w {
		return nil, fmt.Errorf("paint: %d codes for a grid of %dx%d", len(codes), p.h, p.w)
	}
	n := p.canvas.decoder.NumCodes()
	for _, c := range codes {
		if c < 0 || int(c) >= n {
			return nil, fmt.Errorf("paint: code %d of a codebook of %d", c, n)
		}
	}
	z, err := p.canvas.fromCodes(tensors.FromFlatDataAndDimensions(codes, 1, p.h, p.w))
	if err != nil {
		return nil, fmt.Errorf("paint: start: %w", err)
	}
	return z, nil
}

func (p *Painter) latentsOfPicture(x []float32) ([]float32, error) {
	if len(x) != 3*p.cfg.Height*p.cfg.Width {
		return nil, fmt.Errorf("paint: a start picture of %d numbers for %dx%d", len(x), p.cfg.Width, p.cfg.Height)
	}
	z, err := p.canvas.fromPicture(engine.FromFloats(x, 1, p.cfg.Height, p.cfg.Width, 3))
	if err != nil {
		return nil, fmt.Errorf("paint: start: %w", err)
	}
	return z, nil
}

func randomCodes(seed uint64, n, book int, used []int32) ([]int32, error) {
	s := rng.New(seed, "start/codes")
	codes := make([]int32, n)
	for i := range codes {
		if len(used) > 0 {
			codes[i] = used[s.IntN(len(used))]
		} else {
			codes[i] = int32(s.IntN(book))
		}
	}
	return codes, nil
}

// gradientPicture runs each channel from one random value to another in a random direction: [h,w,3].
func gradientPicture(s *rng.Stream, h, w int) []float32 {
	out := make([]float32, 3*h*w)
	for c := range 3 {
		from, to := s.Float64(), s.Float64()
		sin, cos := math.Sincos(2 * math.Pi * s.Float64())
		reach := math.Abs(sin) + math.Abs(cos)
		for y := range h {
			for x := range w {
				u, v := 2*(float64(x)+0.5)/float64(w)-1, 2*(float64(y)+0.5)/float64(h)-1
				t := (1 + (u*cos+v*sin)/reach) / 2
				out[(y*w+x)*3+c] = float32(from + (to-from)*t)
			}
		}
	}
	return out
}

// fractalPicture sums octaves of smooth value noise, each twice as fine and half as strong (Perlin 1985), for each
// channel: [h,w,3].
func fractalPicture(s *rng.Stream, h, w int) []float32 {
	out := make([]float32, 3*h*w)
	smooth := func(t float64) float64 { return t * t * (3 - 2*t) }
	for c := range 3 {
		total := 0.0
		for octave, strength := 2, 1.0; octave < min(h, w); octave, strength = octave*2, strength/2 {
			total += strength
			grid := make([]float64, (octave+1)*(octave+1))
			for i := range grid {
				grid[i] = s.Float64() * strength
			}
			for y := range h {
				fy := (float64(y) + 0.5) / float64(h) * float64(octave)
				iy, ty := int(fy), smooth(fy-math.Floor(fy))
				for x := range w {
					fx := (float64(x) + 0.5) / float64(w) * float64(octave)
					ix, tx := int(fx), smooth(fx-math.Floor(fx))
					a, b := grid[iy*(octave+1)+ix:], grid[(iy+1)*(octave+1)+ix:]
					v := (a[0]*(1-tx)+a[1]*tx)*(1-ty) + (b[0]*(1-tx)+b[1]*tx)*ty
					out[(y*w+x)*3+c] += float32(v)
				}
			}
		}
		for i := c; total > 0 && i < len(out); i += 3 {
			out[i] /= float32(total)
		}
	}
	return out
}
