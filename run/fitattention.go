package run

import (
	"fmt"

	"github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"

	"github.com/smalti/smalti/engine"
	"github.com/smalti/smalti/gx"
	"github.com/smalti/smalti/nn"
	"github.com/smalti/smalti/vqgan"
)

// stopwatch measures what a decoder's attention takes, which small pictures do not tell: it grows with the square of the places.
type stopwatch struct {
	r     *Runner
	codec nn.Codec
	known map[[2]int]float64 // seconds of one block and step by places and width
}

// maxTimed bounds the places that are measured; more are told from those, by the square.
const maxTimed = 4096

func (r *Runner) stopwatch(m *vqgan.Model) *stopwatch {
	return &stopwatch{r: r, codec: m.Config().Codec(), known: map[[2]int]float64{}}
}

// attention is the time that a step of a picture of h x w codes spends in the decoder's attention, in seconds.
func (s *stopwatch) attention(h, w int) (float64, error) {
	sum := 0.
	for _, l := range s.codec.DecoderLooks(h, w) {
		n := min(l.Places, maxTimed)
		t, err := s.block(n, l.Width)
		if err != nil {
			return 0, fmt.Errorf("time attention over %d places: %w", n, err)
		}
		grown := float64(l.Places) / float64(n)
		sum += float64(l.Blocks) * t * grown * grown
	}
	return sum, nil
}

// block measures attention of n places over themselves, forward and backward as a step does it.
func (s *stopwatch) block(n, width int) (float64, error) {
	key := [2]int{n, width}
	if t, ok := s.known[key]; ok {
		return t, nil
	}
	e := s.r.engine
	forward := e.Program("fit: attention", func(_ *gx.Vars, in []*graph.Node) []*graph.Node {
		return []*graph.Node{gx.Attention(in[0], in[1], in[2], nil)}
	})
	both := e.Program("fit: attention gradient", func(_ *gx.Vars, in []*graph.Node) []*graph.Node {
		y := gx.Attention(in[0], in[1], in[2], nil)
		return append(graph.Gradient(graph.ReduceAllSum(graph.Mul(y, in[3])), in[:3]...), y)
	})
	x := engine.FromFloats(make([]float32, n*width), 1, n, 1, width)
	defer x.MustFinalizeAll()
	t, err := s.best(both, x, x, x, x)
	if err != nil {
		return 0, err
	}
	if e.LowMemory() && !e.Bands() { // the forward pass is repeated
		more, err := s.best(forward, x, x, x)
		if err != nil {
			return 0, err
		}
		t += more
	}
	s.known[key] = t
	return t, nil
}

// best is the shorter of two runs of a program; one before them compiles it.
func (s *stopwatch) best(p *engine.Program, in ...*tensors.Tensor) (float64, error) {
	best := 0.
	for i := range 3 {
		began := s.r.now()
		outs, err := p.Run(nil, in...)
		if err != nil {
			return 0, err
		}
		for _, o := range outs {
			o.MustFinalizeAll()
		}
		if t := s.r.now().Sub(began).Seconds(); i == 1 || i > 1 && t < best {
			best = t
		}
	}
	return best, nil
}
