package latent

import (
	"math"
	"slices"
	"testing"
)

// ruler is a book whose code k is the number k*k/10 (0, 0.1, 0.4, 0.9, 1.6, ...).
func ruler(t *testing.T, k int) *Book {
	t.Helper()
	table := make([]float32, k)
	for i := range table {
		table[i] = float32(i*i) / 10
	}
	b, err := NewBook(table, 1)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func codes(h, w int, k ...int32) Codes { return Codes{h, w, k} }

func TestBook(t *testing.T) {
	b, err := NewBook([]float32{0, 0, 3, 4, -3, 4, 0, 0}, 2)
	if err != nil {
		t.Fatal(err)
	}
	if b.K != 4 || b.Distance(0, 1) != 5 || b.Distance(1, 2) != 6 {
		t.Errorf("%d codes, distances %g and %g", b.K, b.Distance(0, 1), b.Distance(1, 2))
	}
	if got := b.Neighbours(1, 9); !slices.Equal(got, []int32{0, 3, 2}) {
		t.Errorf("neighbours %v", got)
	}
	if got := b.Neighbours(2, 1); !slices.Equal(got, []int32{0}) {
		t.Errorf("nearest neighbour %v", got)
	}
	r := b.Range()
	if !slices.Equal(r.Lo, []float32{-3, 0}) || !slices.Equal(r.Hi, []float32{3, 4}) {
		t.Errorf("range %v", r)
	}
	z, err := b.Lookup(codes(1, 3, 2, 0, 3))
	if err != nil || !slices.Equal(z.Data, []float32{-3, 4, 0, 0, 0, 0}) {
		t.Errorf("lookup %v %v", z, err)
	}
	if got := b.Nearest(z); !slices.Equal(got.Index, []int32{2, 0, 0}) { // 3 and 0 are the same: the first
		t.Errorf("nearest %v", got)
	}
	for name, c := range map[string]Codes{"outside": codes(1, 1, 4), "negative": codes(1, 1, -1), "too few": codes(2, 1, 0), "empty": {}} {
		if _, err := b.Lookup(c); err == nil {
			t.Errorf("%s: looked up", name)
		}
	}
	if _, err := NewBook(make([]float32, 5), 2); err == nil {
		t.Error("half a code was taken")
	}
}

func TestReplaceAndBrush(t *testing.T) {
	a, b := codes(2, 2, 1, 2, 3, 1), codes(2, 2, 7, 7, 7, 7)
	if got := a.Replace(map[int32]int32{1: 2, 2: 1}); !got.Equal(codes(2, 2, 2, 1, 3, 2)) {
		t.Errorf("swap %v", got)
	}
	if got := a.Brush(b, []float32{1, 0.5, 0.4, 0}); !got.Equal(codes(2, 2, 7, 7, 3, 1)) {
		t.Errorf("brush %v", got)
	}
	if !a.Equal(codes(2, 2, 1, 2, 3, 1)) || a.Equal(codes(1, 4, 1, 2, 3, 1)) {
		t.Error("the original changed, or shapes are not compared")
	}
}

func TestMasks(t *testing.T) {
	if got := Rect(3, 3, 1, -1, 9, 2); !slices.Equal(got, []float32{0, 0, 0, 1, 1, 0, 1, 1, 0}) {
		t.Errorf("rectangle %v", got)
	}
	if got := Disc(3, 3, 1.5, 1.5, 1.1, 0); !slices.Equal(got, []float32{0, 1, 0, 1, 1, 1, 0, 1, 0}) {
		t.Errorf("disc %v", got)
	}
	soft := Disc(1, 5, 0.5, 0.5, 2, 2) // distances 0..4, edge from 1 to 3
	if want := []float32{1, 1, 0.5, 0, 0}; !slices.Equal(soft, want) {
		t.Errorf("soft disc %v, want %v", soft, want)
	}
}

func TestCrossfade(t *testing.T) {
	b := ruler(t, 6)
	from, to := codes(2, 3, 0, 0, 0, 0, 5, 0), codes(2, 3, 0, 3, 1, 2, 5, 1)
	c, err := NewCrossfade(from, to, b, 1)
	if err != nil {
		t.Fatal(err)
	}
	if c.Exchanges() != 4 {
		t.Fatalf("%d exchanges", c.Exchanges())
	}
	if !c.At(0).Equal(from) || !c.At(-1).Equal(from) || !c.At(1).Equal(to) || !c.At(2).Equal(to) || !c.At(math.NaN()).Equal(from) {
		t.Error("an end is not exact")
	}
	// Distances 0.1, 0.1, 0.4, 0.9 of 1.5 in all: done at 0.067, 0.133, 0.4 and 1.
	count := func(t float64) int {
		n := 0
		for i, k := range c.At(t).Index {
			if k != from.Index[i] {
				n++
			}
		}
		return n
	}
	for _, s := range []struct {
		t    float64
		want int
	}{{0.05, 0}, {0.07, 1}, {0.14, 2}, {0.39, 2}, {0.41, 3}, {0.99, 3}} {
		if got := count(s.t); got != s.want {
			t.Errorf("t %g: %d exchanges, want %d", s.t, got, s.want)
		}
	}
	if got := c.At(0.41); got.Index[3] != 2 || got.Index[1] != 0 {
		t.Errorf("the small change was not first: %v", got)
	}
	again, _ := NewCrossfade(from, to, b, 1)
	if !again.At(0.07).Equal(c.At(0.07)) {
		t.Error("two crossfades of one seed differ")
	}
	// The seed decides among equals: of 16 seeds both orders occur.
	first := map[int]bool{}
	for seed := range uint64(16) {
		d, _ := NewCrossfade(from, to, b, seed)
		first[d.order[0]] = true
	}
	if !first[2] || !first[5] || len(first) != 2 {
		t.Errorf("first exchanges of 16 seeds: %v", first)
	}
	if _, err := NewCrossfade(from, codes(3, 2, to.Index...), b, 1); err == nil {
		t.Error("sizes are not compared")
	}
	if _, err := NewCrossfade(from, codes(2, 3, 0, 0, 0, 0, 0, 6), b, 1); err == nil {
		t.Error("a code outside the book was taken")
	}
}

func TestCrossfadeOfTwins(t *testing.T) {
	b, _ := NewBook([]float32{1, 1}, 1)
	c, err := NewCrossfade(codes(1, 2, 0, 0), codes(1, 2, 1, 1), b, 1)
	if err != nil {
		t.Fatal(err)
	}
	if !c.At(0).Equal(codes(1, 2, 0, 0)) || !c.At(1).Equal(codes(1, 2, 1, 1)) || c.At(0.6).Index[0]+c.At(0.6).Index[1] != 1 {
		t.Error("codes of equal meaning are not exchanged evenly")
	}
}
