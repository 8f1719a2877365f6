package paint

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"sync"

	"github.com/smalti/smalti/rng"
)

// Scheme says how cuts are made of a picture. The zero value cuts nothing but random squares.
type Scheme struct {
	Name string
	// Pooled shows every cut the whole picture, shrunk by pooling; otherwise cuts are random squares.
	Pooled bool
	// KeepAspect fits a pooled picture into the square and repeats its edges around it; otherwise it is squashed.
	KeepAspect bool
	// CutPower shapes the sizes of squares: smallest + U^CutPower * (largest - smallest). Above 1 favours small squares.
	// 0 means 1.
	CutPower float64
	// EdgeFair lets offsets run over the edge by this share of the square's side and snaps them back, so that edges are
	// seen as often as the middle. 0.5 is fair; 0 is the original.
	EdgeFair float64
	// Overview is the probability, over the steps, that a cut is the whole picture instead of a square of it, with its
	// aspect kept and its edges repeated. Overviews early and squares late give one scene with detail; squares alone
	// repeat the object all over the picture.
	Overview Schedule
	Augments []Augment
	// Clamp limits cuts to [0,1] after the augmentations, with the gradient of ClampWithGrad.
	Clamp bool
	// Noise is the largest strength of the normal noise that is added; each cut draws its own from 0 to it.
	Noise float64
}

// Schemes lists the names that SchemeByName knows.
var Schemes = []string{"original", "updated", "pooled", "latest", "overview"}

// SchemeByName returns a published scheme with its published constants:
//
//   - original: random squares (Crowson 2021)
//   - updated: random squares with light augmentations and noise (VQGAN-CLIP, the author's choice for small details)
//   - pooled, also latest: the whole picture, pooled, with strong augmentations and noise (VQGAN-CLIP's default)
//   - overview: whole pictures first, mostly small squares later (after Disco Diffusion's cuts; the steps are ours)
func SchemeByName(name string) (Scheme, error) {
	switch strings.ToLower(name) {
	case "original":
		return Scheme{Name: "original", Clamp: true}, nil
	case "updated":
		return Scheme{Name: "updated", Noise: 0.1, Augments: []Augment{
			Flip{P: 0.5}, Jitter{P: 0.7, Hue: 0.01, Saturation: 0.01}, Sharpen{P: 0.4, Max: 0.3},
			Affine{P: 0.8, Degrees: 30, Translate: 0.1, Border: true}, Perspective{P: 0.4, Distortion: 0.2},
		}}, nil
	case "pooled", "latest":
		return Scheme{Name: "pooled", Pooled: true, Noise: 0.1, Augments: []Augment{
			Affine{P: 0.7, Degrees: 15, Translate: 0.1, Shear: 5}, Perspective{P: 0.7, Distortion: 0.7},
			Jitter{P: 0.7, Brightness: 0.1, Contrast: 0.1, Saturation: 0.1, Hue: 0.1},
			Erase{P: 0.7, Area: [2]float64{0.1, 0.4}, Aspect: [2]float64{0.3, 1 / 0.3}},
		}}, nil
	case "overview":
		return Scheme{Name: "overview", CutPower: 1.5, EdgeFair: 0.25, Noise: 0.03, Clamp: true,
			Overview: Schedule{Linear, []Point{{0, 0.75}, {60, 0.25}}},
			Augments: []Augment{
				Flip{P: 0.5}, Affine{P: 1, Degrees: 10, Translate: 0.05, Border: true}, Gray{P: 0.1},
				Jitter{P: 1, Brightness: 0.1, Contrast: 0.1, Saturation: 0.1, Hue: 0.1},
			}}, nil
	}
	return Scheme{}, fmt.Errorf("paint: unknown cut scheme %q (have %s)", name, strings.Join(Schemes, ", "))
}

func (s Scheme) check() error {
	if !(s.CutPower >= 0) || math.IsInf(s.CutPower, 0) {
		return fmt.Errorf("paint: cut power %v", s.CutPower)
	}
	if !(s.EdgeFair >= 0 && s.EdgeFair <= 1) {
		return fmt.Errorf("paint: edge-fair share %v, want 0 to 1", s.EdgeFair)
	}
	if !(s.Noise >= 0) || math.IsInf(s.Noise, 0) {
		return fmt.Errorf("paint: noise %v", s.Noise)
	}
	if err := s.Overview.check("overviews"); err != nil {
		return err
	}
	var seen []string // names key the random streams
	for _, a := range s.Augments {
		if slices.Contains(seen, a.Name()) {
			return fmt.Errorf("paint: the scheme has two augmentations named %q", a.Name())
		}
		seen = append(seen, a.Name())
	}
	return nil
}

// params is how many numbers the augmentations of one cut need.
func (s Scheme) params() int {
	n := 0
	for _, a := range s.Augments {
		n += a.Params()
	}
	return n
}

// Box is a square of a picture, in pixels. It lies inside, except that it may be larger than the picture along an axis.
type Box struct{ X, Y, Size int }

// Cut is what was drawn for one cut. Everything in it enters the graph as input.
type Cut struct {
	Box    Box       // ignored by pooled schemes
	Params []float32 // of the scheme's augmentations, one after the other
	Noise  []float32 // [size,size,3] to add; nil when the scheme has no noise
}

// CutKey addresses a cut.
type CutKey struct {
	Step, Encoder, Index int
	Width, Height        int // of the picture
	Size                 int // side of the cut, as the encoder sees it
}

// CutSource gives the cuts of every step. A cut depends on its key alone.
type CutSource interface {
	Cut(k CutKey) (Cut, error)
}

// Drawn is the usual CutSource: cuts at random, as a scheme says.
type Drawn struct {
	Scheme Scheme
	Seed   uint64
}

// stream returns a random stream of one purpose. The first encoder's streams are named by the purpose alone.
func (d Drawn) stream(k CutKey, purpose string, keys ...uint64) *rng.Stream {
	if k.Encoder > 0 {
		purpose = fmt.Sprintf("%s/encoder %d", purpose, k.Encoder)
	}
	return rng.New(d.Seed, purpose, append([]uint64{uint64(k.Step)}, keys...)...)
}

// Cut draws a cut.
func (d Drawn) Cut(k CutKey) (Cut, error) {
	c := d.plain(k)
	if d.Scheme.Noise > 0 {
		c.Noise = make([]float32, 3*k.Size*k.Size)
		d.noise(k, c.Noise)
	}
	return c, nil
}

// noise draws the noise of a cut. It is safe for concurrent use.
func (d Drawn) noise(k CutKey, dst []float32) {
	s := d.stream(k, "noise", uint64(k.Index))
	fillNoise(s, dst, float32(s.Uniform(0, d.Scheme.Noise)))
}

// plain draws all of a cut but the noise.
func (d Drawn) plain(k CutKey) Cut {
	var c Cut
	cut := uint64(k.Index)
	if !d.Scheme.Pooled {
		c.Box = d.Scheme.box(d.stream(k, "cut", cut), k)
		if d.stream(k, "overview", cut).Bernoulli(d.Scheme.Overview.At(k.Step)) {
			side := max(k.Width, k.Height)
			c.Box = Box{X: (k.Width - side) / 2, Y: (k.Height - side) / 2, Size: side}
		}
	}
	for _, a := range d.Scheme.Augments {
		purpose := "augment/" + a.Name()
		p := a.Draw(Draws{Cut: d.stream(k, purpose, cut), Step: d.stream(k, purpose), Size: k.Size})
		c.Params = append(c.Params, p...)
	}
	return c
}

// box draws a square: never smaller than what the encoder sees, unless the picture is.
func (s Scheme) box(r *rng.Stream, k CutKey) Box {
	largest := min(k.Width, k.Height)
	smallest := min(largest, k.Size)
	power := s.CutPower
	if power == 0 {
		power = 1
	}
	b := Box{Size: int(math.Pow(r.Float64(), power)*float64(largest-smallest) + float64(smallest))}
	b.X = s.offset(r, k.Width-b.Size, b.Size)
	b.Y = s.offset(r, k.Height-b.Size, b.Size)
	return b
}

// offset draws an offset from 0 to room, or over a range that is wider on both sides and snapped back.
func (s Scheme) offset(r *rng.Stream, room, size int) int {
	over := int(s.EdgeFair * float64(size))
	return min(max(r.IntN(room+2*over+1)-over, 0), room)
}

// normals are the quantiles of the normal distribution at 2^16 evenly spaced probabilities.
var normals = sync.OnceValue(func() []float32 {
	t := make([]float32, 1<<16)
	for i := range t {
		t[i] = float32(math.Sqrt2 * math.Erfinv(2*(float64(i)+0.5)/float64(len(t))-1))
	}
	return t
})

// fillNoise fills dst with strength times normal numbers. It looks quantiles up, two to a random word: some ten times
// faster than exact normals, which matters at five million a step; the tails end at 4.3 sigma.
func fillNoise(s *rng.Stream, dst []float32, strength float32) {
	table := (*[1 << 16]float32)(normals())
	var words [256]uint32
	for len(dst) > 0 {
		n := min(len(dst), 2*len(words))
		w := words[:(n+1)/2]
		s.FillUint32(w)
		part := dst[:n]
		for len(part) >= 2 {
			part[0], part[1] = strength*table[uint16(w[0])], strength*table[w[0]>>16]
			part, w = part[2:], w[1:]
		}
		if len(part) == 1 {
			part[0] = strength * table[uint16(w[0])]
		}
		dst = dst[n:]
	}
}

// checkCut refuses a cut that does not fit the scheme and the picture.
func (s Scheme) checkCut(c Cut, k CutKey) error {
	if want := 3 * k.Size * k.Size; s.Noise > 0 && len(c.Noise) != want {
		return fmt.Errorf("paint: cut %d of step %d: %d noise values, want %d", k.Index, k.Step, len(c.Noise), want)
	}
	return s.checkPlain(c, k)
}

// checkPlain is checkCut of all but the noise.
func (s Scheme) checkPlain(c Cut, k CutKey) error {
	fits := func(at, size, whole int) bool { return at >= 0 && at+size <= whole || at <= 0 && at+size >= whole }
	b := c.Box
	if !s.Pooled && (b.Size < 1 || !fits(b.X, b.Size, k.Width) || !fits(b.Y, b.Size, k.Height)) {
		return fmt.Errorf("paint: cut %d of step %d: box %+v outside of %dx%d", k.Index, k.Step, b, k.Width, k.Height)
	}
	if len(c.Params) != s.params() {
		return fmt.Errorf("paint: cut %d of step %d: %d parameters, want %d", k.Index, k.Step, len(c.Params), s.params())
	}
	return nil
}
