package dataset

import (
	"runtime"

	"github.com/smalti/smalti/rng"
)

// Sample is a picture of the folder: a pure function of (seed, step, index). size must be the
// folder's; half of the pictures are mirrored unless their caption speaks of a side.
func (f *Folder) Sample(seed, step, index uint64) Sample {
	out := Sample{Pix: make([]float32, f.Size*f.Size*3), Size: f.Size}
	f.draw(rng.New(seed, "folder", step, index), &out)
	return out
}

// Batch is samples 0..n-1 of a step; it does not depend on the number of goroutines.
func (f *Folder) Batch(seed, step uint64, n int) Batch {
	plane := f.Size * f.Size * 3
	b := Batch{Pix: make([]float32, n*plane), N: n, Size: f.Size,
		Captions: make([]string, n), Concepts: make([][]int, n), Meta: make([]Meta, n)}
	parallel(n, runtime.GOMAXPROCS(0), func(i int) {
		s := Sample{Pix: b.Pix[i*plane : (i+1)*plane], Size: f.Size}
		f.draw(rng.New(seed, "folder", step, uint64(i)), &s)
		b.Captions[i], b.Concepts[i], b.Meta[i] = s.Caption, s.Concepts, s.Meta
	})
	return b
}

func (f *Folder) draw(s *rng.Stream, out *Sample) {
	i := s.IntN(len(f.Pictures))
	p := &f.Pictures[i]
	out.Caption = p.Captions[s.IntN(len(p.Captions))]
	out.Concepts = []int{i}
	out.Meta = Meta{Kind: "picture", Count: 1}
	flip := s.Bernoulli(.5) && !oneSided(out.Caption)
	n := f.Size
	for y := range n {
		for x := range n {
			from := (y*n + x) * 3
			if flip {
				from = (y*n + n - 1 - x) * 3
			}
			to := (y*n + x) * 3
			for k := range 3 {
				out.Pix[to+k] = float32(p.RGB[from+k]) / 255
			}
		}
	}
}
