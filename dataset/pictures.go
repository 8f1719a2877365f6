package dataset

import (
	"fmt"
	"sync"

	"github.com/smalti/smalti/rng"
)

// Pictures is a numbered set of square pictures, with classes or without: what a generative model is trained on. It is
// safe for concurrent use.
type Pictures interface {
	Len() int
	Size() int                     // side in pixels
	Channels() int                 // 1 grey or 3 RGB
	Read(i int, dst []uint8) error // fills Size*Size*Channels values, row by row
	Class(i int) int               // 0 where there are no classes
	Classes() []string             // names; empty where there are no classes
}

// Tagged are Pictures with tags: yes-or-no properties, of which a picture has any number.
type Tagged interface {
	Tags() []string     // names
	Tagged(i int) []int // the tags of a picture
}

// Order draws pictures epoch by epoch, each epoch in an order of its own: a pure function of the seed and of the number
// of the draw, so that a training which is resumed goes on where it was. It is safe for concurrent use.
type Order struct {
	seed uint64
	n    int

	mu     sync.Mutex
	epochs map[uint64][]int // orders in use
}

// NewOrder is the order of n pictures.
func NewOrder(seed uint64, n int) *Order {
	return &Order{seed: seed, n: n, epochs: map[uint64][]int{}}
}

// At is the picture of the k-th draw.
func (o *Order) At(k uint64) int {
	epoch, i := k/uint64(o.n), k%uint64(o.n)
	o.mu.Lock()
	defer o.mu.Unlock()
	p, ok := o.epochs[epoch]
	if !ok {
		if len(o.epochs) > 2 { // draws are near one another
			clear(o.epochs)
		}
		p = rng.New(o.seed, "order", epoch).Perm(o.n)
		o.epochs[epoch] = p
	}
	return p[i]
}

// Subset is the part of a set that pick lists.
type Subset struct {
	Pictures
	Pick []int
}

// Len is the number of pictures in the part.
func (s Subset) Len() int { return len(s.Pick) }

// Read reads the i-th of the part.
func (s Subset) Read(i int, dst []uint8) error { return s.Pictures.Read(s.Pick[i], dst) }

// Class is that of the i-th of the part.
func (s Subset) Class(i int) int { return s.Pictures.Class(s.Pick[i]) }

// Tags are those of the whole set.
func (s Subset) Tags() []string {
	if t, ok := s.Pictures.(Tagged); ok {
		return t.Tags()
	}
	return nil
}

// Tagged lists the tags of the i-th of the part.
func (s Subset) Tagged(i int) []int {
	if t, ok := s.Pictures.(Tagged); ok {
		return t.Tagged(s.Pick[i])
	}
	return nil
}

// Hold divides a set: the last n pictures of a fixed order of its own are held out of training. n is at most half.
func Hold(p Pictures, n int) (train, held Subset) {
	perm := rng.New(1, "dataset/hold", uint64(p.Len())).Perm(p.Len())
	n = min(n, p.Len()/2)
	cut := p.Len() - n
	return Subset{p, perm[:cut]}, Subset{p, perm[cut:]}
}

// Planes reads pictures as float32 [len(index),S,S,C] in [-1,1], which is what the networks see, with their classes.
func Planes(p Pictures, index []int) (pix []float32, classes []int32, err error) {
	one := p.Size() * p.Size() * p.Channels()
	pix, classes = make([]float32, len(index)*one), make([]int32, len(index))
	errs := make([]error, len(index))
	parallel(len(index), 4, func(k int) {
		raw := make([]uint8, one)
		if errs[k] = p.Read(index[k], raw); errs[k] != nil {
			return
		}
		for i, v := range raw {
			pix[k*one+i] = float32(v)/127.5 - 1
		}
		classes[k] = int32(p.Class(index[k]))
	})
	for k, err := range errs {
		if err != nil {
			return nil, nil, fmt.Errorf("picture %d: %w", index[k], err)
		}
	}
	return pix, classes, nil
}
