package vqgan

import (
	"fmt"
	"math"

	"github.com/smalti/smalti/pixel"
)

// Usage says how often each code occurs in a set of pictures.
type Usage struct {
	Counts []int // for each code of the codebook
	Total  int
}

// NewUsage returns an empty count for a codebook of k codes.
func NewUsage(k int) Usage { return Usage{Counts: make([]int, k)} }

// Add counts the codes of a picture. A code outside the codebook is an error, and then nothing is counted.
func (u *Usage) Add(c Codes) error {
	for _, k := range c.Idx {
		if k < 0 || int(k) >= len(u.Counts) {
			return fmt.Errorf("vqgan: code %d is outside the codebook of %d", k, len(u.Counts))
		}
	}
	for _, k := range c.Idx {
		u.Counts[k]++
	}
	u.Total += len(c.Idx)
	return nil
}

// Used is how many codes occur at all.
func (u Usage) Used() int {
	n := 0
	for _, c := range u.Counts {
		if c > 0 {
			n++
		}
	}
	return n
}

// Perplexity is exp(entropy) of the distribution of codes: how many equally frequent codes would be as varied. It is
// between 1 and the size of the codebook, and 0 when nothing was counted.
func (u Usage) Perplexity() float64 {
	if u.Total == 0 {
		return 0
	}
	h := 0.0
	for _, c := range u.Counts {
		if c > 0 {
			p := float64(c) / float64(u.Total)
			h -= p * math.Log(p)
		}
	}
	return math.Exp(h)
}

// CodeUsage counts the codes of pictures of any size. Sides that are not multiples of f are cropped, centred, to the
// next smaller multiple: repeated borders would count codes that no picture has. Pictures smaller than f are an error
// that wraps ErrSize.
func (m *Model) CodeUsage(imgs ...pixel.Image) (Usage, error) {
	u := NewUsage(m.NEmbed)
	f := m.Factor()
	for i, img := range imgs {
		w, h := img.W/f*f, img.H/f*f
		if w == 0 || h == 0 {
			return Usage{}, fmt.Errorf("vqgan: picture %d: %w: %dx%d is smaller than one code (%dx%d)", i, ErrSize, img.W, img.H, f, f)
		}
		c, err := m.EncodePixels(img.Crop((img.W-w)/2, (img.H-h)/2, w, h))
		if err != nil {
			return Usage{}, fmt.Errorf("picture %d: %w", i, err)
		}
		if err := u.Add(c); err != nil {
			return Usage{}, err
		}
	}
	return u, nil
}
