// Package rng gives every random draw of smalti its own address.
//
// A Stream is keyed by a seed, a stream name and a few integers (usually the step and the cut). Two streams with
// the same key give the same numbers on every machine, whatever ran before them and on however many threads: that
// is what lets a picture be repeated byte for byte, resumed in the middle, or painted in chunks of any size.
// There is no global generator and none may be added.
//
// The generator is Philox 4x32-10 (Salmon, Moraes, Dror, Shaw: "Parallel random numbers: as easy as 1, 2, 3", SC 2011).
package rng

import (
	"crypto/sha256"
	"encoding/binary"
	"math"
)

// Philox 4x32 constants of the paper's table 2: the multipliers and the Weyl increments of the key.
const (
	mul0, mul1   = 0xD2511F53, 0xCD9E8D57
	weyl0, weyl1 = 0x9E3779B9, 0xBB67AE85
	rounds       = 10
)

// Stream is a sequence of random numbers determined by its key alone. It is not safe for concurrent use; make one
// stream for each unit of work instead of sharing one.
type Stream struct {
	key     [2]uint32
	counter [4]uint32
	block   [4]uint32
	left    int // unread words of block
	spare   float64
	spared  bool // Normal draws pairs; spare holds the second of the last pair
}

// New returns the stream of a key. The name separates purposes ("cuts", "init", ...): draws of one purpose never
// move when another purpose draws more. Each further key (step, cut, ...) addresses an independent sub-stream.
func New(seed uint64, name string, keys ...uint64) *Stream {
	// The name and the keys are hashed into the Philox key and the upper half of the counter, so that no two
	// addresses share a block; the lower half counts blocks.
	h := sha256.New()
	var b [8]byte
	put := func(v uint64) { binary.LittleEndian.PutUint64(b[:], v); h.Write(b[:]) }
	put(seed)
	put(uint64(len(name)))
	h.Write([]byte(name))
	for _, k := range keys {
		put(k)
	}
	sum := h.Sum(nil)
	word := func(i int) uint32 { return binary.LittleEndian.Uint32(sum[4*i:]) }
	return &Stream{key: [2]uint32{word(0), word(1)}, counter: [4]uint32{0, 0, word(2), word(3)}}
}

// Block is the ten-round block function itself, for the backend's generator of random bits, which is addressed by a state of
// its own as XLA's is: counter and key in, four random words out.
func Block(counter [4]uint32, key [2]uint32) [4]uint32 { return philox(counter, key) }

// philox is the ten-round block function: counter and key in, four random words out.
func philox(c [4]uint32, k [2]uint32) [4]uint32 {
	c0, c1, c2, c3, k0, k1 := c[0], c[1], c[2], c[3], k[0], k[1] // in registers, where arrays would go through memory
	for range rounds {
		p0, p1 := uint64(mul0)*uint64(c0), uint64(mul1)*uint64(c2)
		c0, c1, c2, c3 = uint32(p1>>32)^c1^k0, uint32(p1), uint32(p0>>32)^c3^k1, uint32(p0)
		k0 += weyl0
		k1 += weyl1
	}
	return [4]uint32{c0, c1, c2, c3}
}

// next makes the block at the counter and moves on.
func (s *Stream) next() [4]uint32 {
	b := philox(s.counter, s.key)
	s.counter[0]++
	if s.counter[0] == 0 {
		s.counter[1]++
	}
	return b
}

// FillUint32 fills dst with what as many calls of Uint32 would return, a block at a time.
func (s *Stream) FillUint32(dst []uint32) {
	for len(dst) > 0 && s.left > 0 {
		dst[0], dst = s.Uint32(), dst[1:]
	}
	for len(dst) >= 4 {
		*(*[4]uint32)(dst) = s.next()
		dst = dst[4:]
	}
	for i := range dst {
		dst[i] = s.Uint32()
	}
}

// Uint32 returns 32 uniform bits.
func (s *Stream) Uint32() uint32 {
	if s.left == 0 {
		s.block = s.next()
		s.left = len(s.block)
	}
	v := s.block[len(s.block)-s.left]
	s.left--
	return v
}

// Uint64 returns 64 uniform bits.
func (s *Stream) Uint64() uint64 { return uint64(s.Uint32()) | uint64(s.Uint32())<<32 }

// Float64 returns a uniform number in [0,1) with 53 random bits.
func (s *Stream) Float64() float64 { return float64(s.Uint64()>>11) * 0x1p-53 }

// Float32 returns a uniform number in [0,1) with 24 random bits.
func (s *Stream) Float32() float32 { return float32(s.Uint32()>>8) * 0x1p-24 }

// Uniform returns a uniform number in [lo,hi).
func (s *Stream) Uniform(lo, hi float64) float64 { return lo + (hi-lo)*s.Float64() }

// Bernoulli reports true with probability p.
func (s *Stream) Bernoulli(p float64) bool { return s.Float64() < p }

// Normal returns a standard normal number (Box and Muller 1958, the trigonometric form).
func (s *Stream) Normal() float64 {
	if s.spared {
		s.spared = false
		return s.spare
	}
	u := 1 - s.Float64() // (0,1]: the logarithm stays finite
	sin, cos := math.Sincos(2 * math.Pi * s.Float64())
	r := math.Sqrt(-2 * math.Log(u))
	s.spare, s.spared = r*sin, true
	return r * cos
}

// IntN returns a uniform integer in [0,n) without modulo bias (Lemire 2019). It panics when n <= 0.
func (s *Stream) IntN(n int) int {
	if n <= 0 {
		panic("rng: IntN of a range that is not positive")
	}
	if uint64(n) > math.MaxUint32 {
		return int(s.Uint64() % uint64(n)) // the bias of a 64-bit draw is below 2^-32
	}
	m := uint64(s.Uint32()) * uint64(n)
	if low := uint32(m); low < uint32(n) {
		for threshold := -uint32(n) % uint32(n); low < threshold; low = uint32(m) {
			m = uint64(s.Uint32()) * uint64(n)
		}
	}
	return int(m >> 32)
}

// Perm returns a uniform permutation of 0..n-1 (Fisher and Yates).
func (s *Stream) Perm(n int) []int {
	p := make([]int, n)
	for i := range p {
		j := s.IntN(i + 1)
		p[i] = p[j]
		p[j] = i
	}
	return p
}

// FillNormal fills dst with standard normal numbers.
func (s *Stream) FillNormal(dst []float32) {
	for i := range dst {
		dst[i] = float32(s.Normal())
	}
}

// FillUniform fills dst with uniform numbers in [lo,hi).
func (s *Stream) FillUniform(dst []float32, lo, hi float64) {
	for i := range dst {
		dst[i] = float32(s.Uniform(lo, hi))
	}
}
