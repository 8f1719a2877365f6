// Package recall is the memory of training pictures that painting may start from: for each a picture's codes, its outline, what an
// image encoder sees in it, and what it shows, in a file small enough to travel with the program. It knows no model: codes go to the
// VQGAN, and words come from the CLIP, that the file names.
//
// Start with Index; file.go reads and writes, find.go looks for the nearest.
package recall

import (
	"errors"
	"fmt"
	"math/bits"
)

// Model names a model that an index was made with.
type Model struct {
	Name   string `json:"name"`   // when the index was made
	SHA256 string `json:"sha256"` // of its weight file, which decides
}

// Config says what an index holds.
type Config struct {
	Pictures int   `json:"pictures"`
	GridH    int   `json:"grid_h"` // rows of codes of a picture
	GridW    int   `json:"grid_w"` // columns
	Factor   int   `json:"factor"` // pixels on a side of a code
	Codes    int   `json:"codes"`  // in the codebook
	Width    int   `json:"width"`  // of an embedding
	VQGAN    Model `json:"vqgan"`
	CLIP     Model `json:"clip"`
}

// Limits of what a file may ask for.
const (
	maxPictures = 1 << 20
	maxNumbers  = 1 << 28 // codes, pixels or numbers of embeddings of all pictures
)

// Validate reports the first number that is out of its range.
func (c Config) Validate() error {
	for _, n := range []int{c.Pictures, c.GridH, c.GridW, c.Factor, c.Codes, c.Width} {
		if n < 1 || n > maxPictures {
			return fmt.Errorf("index config: %+v is out of range", c)
		}
	}
	if c.GridH > 1024 || c.GridW > 1024 || c.Factor > 1024 || c.Pictures*c.GridH*c.GridW > maxNumbers || c.Pictures*c.side() > maxNumbers || c.Pictures*c.Width > maxNumbers {
		return fmt.Errorf("index config: %+v is too large", c)
	}
	for _, m := range []Model{c.VQGAN, c.CLIP} {
		if len(m.SHA256) != 64 {
			return fmt.Errorf("index config: the sha256 of %s has %d digits", m.Name, len(m.SHA256))
		}
	}
	return nil
}

// side is the number of pixels of a picture.
func (c Config) side() int { return c.GridH * c.GridW * c.Factor * c.Factor }

// maskBytes is the size of a picture's outline, a bit for each pixel.
func (c Config) maskBytes() int { return (c.side() + 7) / 8 }

// codeBits is how many bits a code takes.
func (c Config) codeBits() int { return max(1, bits.Len(uint(c.Codes-1))) }

// Entry says what a picture shows.
type Entry struct {
	Label string   `json:"label"`          // in lower-case English, without an article
	Style string   `json:"style"`          // of the drawing
	Group string   `json:"group"`          // coarse class
	Tags  []string `json:"tags,omitempty"` // further words
}

// Index is the memory of pictures. It is safe for concurrent use as long as nobody adds to it.
type Index struct {
	Config
	Entries []Entry

	codes   []int32   // [n, h*w]
	masks   []byte    // [n, maskBytes]
	vectors []float32 // [n, width], of unit length
}

// New returns an index without pictures. c.Pictures counts those that Add brings.
func New(c Config) *Index {
	c.Pictures = 0
	return &Index{Config: c}
}

// ErrMisfit says that a picture is not of an index's sizes.
var ErrMisfit = errors.New("recall: a picture that does not fit the index")

// Add appends a picture: its codes [h*w] on white, whether each of its pixels [h*f, w*f] belongs to the thing shown, and its
// embedding, of any length but zero.
func (x *Index) Add(e Entry, codes []int32, mask []bool, vector []float32) error {
	u := unit(vector)
	if len(codes) != x.GridH*x.GridW || len(mask) != x.side() || len(u) != x.Width {
		return fmt.Errorf("%w: %d codes, %d pixels, %d numbers", ErrMisfit, len(codes), len(mask), len(vector))
	}
	for _, c := range codes {
		if c < 0 || int(c) >= x.Codes {
			return fmt.Errorf("%w: code %d of %d", ErrMisfit, c, x.Codes)
		}
	}
	packed := make([]byte, x.maskBytes())
	for i, in := range mask {
		if in {
			packed[i/8] |= 1 << (i % 8)
		}
	}
	x.Entries = append(x.Entries, e)
	x.codes = append(x.codes, codes...)
	x.masks = append(x.masks, packed...)
	x.vectors = append(x.vectors, u...)
	x.Pictures++
	return nil
}

// Grid returns the codes of a picture, [h*w].
func (x *Index) Grid(i int) []int32 {
	n := x.GridH * x.GridW
	return x.codes[i*n : (i+1)*n : (i+1)*n]
}

// Mask reports for each pixel of a picture, [h*f, w*f], whether it belongs to the thing shown.
func (x *Index) Mask(i int) []bool {
	packed := x.masks[i*x.maskBytes() : (i+1)*x.maskBytes()]
	out := make([]bool, x.side())
	for k := range out {
		out[k] = packed[k/8]>>(k%8)&1 == 1
	}
	return out
}

func (x *Index) vector(i int) []float32 { return x.vectors[i*x.Width : (i+1)*x.Width] }
