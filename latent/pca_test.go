package latent

import (
	"math"
	"slices"
	"testing"

	"github.com/smalti/smalti/rng"
)

// A cloud that is long along one direction, less so along another and thin in the rest has these as its axes.
func TestAxesOfACloud(t *testing.T) {
	const k, c = 2000, 5
	s := rng.New(1, "test")
	long := []float64{0.6, 0, 0.8, 0, 0}
	wide := []float64{0, 1, 0, 0, 0}
	table := make([]float32, 0, k*c)
	for range k {
		a, b := 3*s.Normal(), s.Normal()
		for i := range c {
			table = append(table, float32(2+a*long[i]+b*wide[i]+0.05*s.Normal()))
		}
	}
	book, err := NewBook(table, c)
	if err != nil {
		t.Fatal(err)
	}
	axes := book.Axes(2)
	for n, want := range [][]float64{long, wide} {
		dot := 0.0
		for i, v := range want {
			dot += v * axes[n][i]
		}
		if dot < 0.999 { // the cloud's own axes differ from those it was drawn with by sampling
			t.Errorf("axis %d is %v, want %v", n, axes[n], want)
		}
	}
	if got := len(book.Axes(9)); got != c {
		t.Errorf("%d axes of %d numbers", got, c)
	}
}

func TestMapHoldsEveryCodeOnceAndInOrder(t *testing.T) {
	table := []float32{}
	for k := range 10 { // on a line: the first axis decides alone
		table = append(table, float32(9-k), 0)
	}
	book, err := NewBook(table, 2)
	if err != nil {
		t.Fatal(err)
	}
	codes := []int32{0, 1, 2, 3, 4, 5, 6}
	got := book.Map(codes, 3)
	if len(got) != 9 {
		t.Fatalf("%d places", len(got))
	}
	var seen []int32
	for x := range 3 {
		least := math.Inf(-1)
		for y := range 3 {
			k := got[y*3+x]
			if k < 0 {
				continue
			}
			seen = append(seen, k)
			least = max(least, float64(book.Code(k)[0]))
		}
		if x > 0 && got[x-1] >= 0 && got[x] >= 0 && book.Code(got[x-1])[0] > book.Code(got[x])[0] {
			t.Errorf("columns are out of order: %v", got)
		}
	}
	slices.Sort(seen)
	if !slices.Equal(seen, codes) {
		t.Errorf("the map holds %v", seen)
	}
	same, err := NewBook(make([]float32, 8), 2)
	if err != nil {
		t.Fatal(err)
	}
	if got := same.Map([]int32{0, 1, 2, 3}, 2); len(got) != 4 {
		t.Errorf("a book of equal codes maps to %v", got)
	}
}
