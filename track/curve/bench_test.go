package curve

import (
	"io"
	"math"
	"testing"

	"github.com/smalti/smalti/rng"
)

// A figure of a long training as people get it: six curves of 10,000 noisy values in two panels, 1920 pixels wide.
func BenchmarkPNG(b *testing.B) {
	var ss []Series
	for i := range 6 {
		s := Series{Name: string(rune('a' + i%3)), Panel: string(rune('p' + i/3))}
		r := rng.New(uint64(i), "bench")
		for n := range 10000 {
			s.X, s.Y = append(s.X, float64(n)), append(s.Y, math.Exp(-float64(n)/3000)+0.1*r.Normal())
		}
		ss = append(ss, s)
	}
	for b.Loop() {
		f, err := Plot(ss, Options{Smooth: 0.9})
		if err != nil {
			b.Fatal(err)
		}
		if err := f.PNG(io.Discard); err != nil {
			b.Fatal(err)
		}
	}
}
