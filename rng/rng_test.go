package rng

import (
	"math"
	"slices"
	"testing"
)

// The known answers of the paper's own test file (kat_vectors of Random123, philox4x32 10).
func TestPhiloxKnownAnswers(t *testing.T) {
	for _, c := range []struct {
		counter, want [4]uint32
		key           [2]uint32
	}{
		{[4]uint32{}, [4]uint32{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}, [2]uint32{}},
		{[4]uint32{^uint32(0), ^uint32(0), ^uint32(0), ^uint32(0)}, [4]uint32{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}, [2]uint32{^uint32(0), ^uint32(0)}},
		{[4]uint32{0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, [4]uint32{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}, [2]uint32{0xa4093822, 0x299f31d0}},
	} {
		if got := philox(c.counter, c.key); got != c.want {
			t.Errorf("philox(%x, %x) = %x, want %x", c.counter, c.key, got, c.want)
		}
	}
}

func draws(s *Stream, n int) []uint32 {
	out := make([]uint32, n)
	for i := range out {
		out[i] = s.Uint32()
	}
	return out
}

func TestStreamsDependOnEveryPartOfTheKey(t *testing.T) {
	base := draws(New(7, "cuts", 3, 1), 16)
	if !slices.Equal(base, draws(New(7, "cuts", 3, 1), 16)) {
		t.Fatal("the same key gave other numbers")
	}
	for name, s := range map[string]*Stream{
		"seed": New(8, "cuts", 3, 1), "name": New(7, "cut", 3, 1), "step": New(7, "cuts", 2, 1),
		"cut": New(7, "cuts", 3, 2), "fewer keys": New(7, "cuts", 3), "swapped keys": New(7, "cuts", 1, 3),
	} {
		if slices.Equal(base, draws(s, 16)) {
			t.Errorf("another %s gave the same numbers", name)
		}
	}
}

func TestMoments(t *testing.T) {
	const n = 200_000 // standard error of the mean is 0.0022 for normals: 0.01 is over four of them
	s := New(1, "moments")
	var mean, sq, umean float64
	for range n {
		v := s.Normal()
		mean += v
		sq += v * v
		u := s.Float64()
		if u < 0 || u >= 1 {
			t.Fatalf("Float64 gave %v", u)
		}
		umean += u
	}
	if m := mean / n; math.Abs(m) > 0.01 {
		t.Errorf("normal mean %v", m)
	}
	if v := sq / n; math.Abs(v-1) > 0.02 {
		t.Errorf("normal variance %v", v)
	}
	if m := umean / n; math.Abs(m-0.5) > 0.005 {
		t.Errorf("uniform mean %v", m)
	}
}

func TestIntNIsUniformAndPermIsAPermutation(t *testing.T) {
	s := New(2, "ints")
	const n, k = 70_000, 7
	var count [k]int
	for range n {
		count[s.IntN(k)]++
	}
	for v, c := range count { // expected 10,000 with a standard deviation of 93: 500 is over five of them
		if c < n/k-500 || c > n/k+500 {
			t.Errorf("%d came %d times of %d", v, c, n)
		}
	}
	p := s.Perm(100)
	slices.Sort(p)
	for i, v := range p {
		if i != v {
			t.Fatalf("Perm misses %d", i)
		}
	}
}

func TestCounterCarries(t *testing.T) {
	s := New(3, "carry")
	s.counter[0] = math.MaxUint32
	draws(s, 8)
	if s.counter[0] != 1 || s.counter[1] != 1 {
		t.Errorf("counter after the carry: %x", s.counter)
	}
}

// TestFillUint32: filling at once gives what single draws give, from any place in a block, and leaves the stream there.
func TestFillUint32(t *testing.T) {
	for before := range 6 {
		for n := range 23 {
			a, b := New(7, "fill", 3), New(7, "fill", 3)
			for range before {
				a.Uint32()
				b.Uint32()
			}
			got := make([]uint32, n)
			a.FillUint32(got)
			for i, v := range got {
				if want := b.Uint32(); v != want {
					t.Fatalf("%d words after %d: word %d is %x, want %x", n, before, i, v, want)
				}
			}
			if got, want := a.Uint32(), b.Uint32(); got != want {
				t.Fatalf("after %d and %d words: %x, want %x", before, n, got, want)
			}
		}
	}
}
