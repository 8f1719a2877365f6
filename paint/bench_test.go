package paint

import "testing"

// BenchmarkHost measures the host's work for 32 cuts of 224 of a 256x256 picture: drawing, matrices, noise, fold.
func BenchmarkHost(b *testing.B) {
	s, err := SchemeByName("updated")
	if err != nil {
		b.Fatal(err)
	}
	y := &eye{encoder: sized{size: 224}, scheme: s, source: Drawn{Scheme: s}}
	sum, planes := make([]float32, 3*256*256), make([]float32, 32*3*256*256)
	for b.Loop() {
		c, err := y.draw(0, 0, 32, 32, 256, 256)
		if err != nil {
			b.Fatal(err)
		}
		c.fold(sum, planes)
	}
}

// sized is an encoder that only has a size.
type sized struct {
	ImageEncoder
	size int
}

func (s sized) ImageSize() int { return s.size }
