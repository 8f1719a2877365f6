package paint

import (
	"fmt"

	"github.com/gomlx/compute/shapes"

	"github.com/smalti/smalti/engine"
)

// Plan says what a step needs in memory, in bytes, besides what does not grow with the picture: weights, their packed forms,
// and the program itself.
type Plan struct {
	Arena   int // places of the largest program
	Kept    int // what the decoder keeps from its forward to its backward pass
	Planes  int // gradient planes of one chunk of cuts: once as the engine's, once as the host's
	Picture int // the pictures and gradients of the picture's size that are alive at once
}

// picturesAlive is how many arrays of the picture's size a step holds at once, counted in Painter.evaluate: the picture as the engine's
// and as the host's, the gradient, its copies for the decoder, and what one of the pixel losses makes of them.
const picturesAlive = 6

// Total is the sum.
func (p Plan) Total() int { return p.Arena + p.Kept + p.Planes + p.Picture }

// Plan compiles the programs of a step with chunks of at most so many cuts, runs none of them, and returns what they need. Programs that
// are compiled here are ready for Advance if the chunk is that of the config.
func (p *Painter) Plan(chunk int) (Plan, error) {
	picture := 12 * p.cfg.Width * p.cfg.Height
	out := Plan{Picture: picturesAlive * picture}
	add := func(g *engine.Program, in, late []shapes.Shape) error {
		m, err := g.Memory(in, late)
		if err != nil {
			return fmt.Errorf("paint: plan: %w", err)
		}
		out.Arena, out.Kept = max(out.Arena, m.Arena), max(out.Kept, m.Kept)
		return nil
	}
	z, x := engine.Float32(1, p.h, p.w, p.c), engine.Float32(1, p.cfg.Height, p.cfg.Width, 3)
	if c := p.canvas; c.both != nil {
		if err := add(c.both, []shapes.Shape{z}, []shapes.Shape{x}); err != nil {
			return Plan{}, err
		}
	} else if err := add(c.backward, []shapes.Shape{z, x}, nil); err != nil {
		return Plan{}, err
	}
	for _, l := range p.looks {
		if l.rows.len() == 0 {
			continue
		}
		height, width := p.cfg.Height, p.cfg.Width
		if l.window != nil {
			height, width = l.window.H, l.window.W
		}
		n := l.chunkSize(p.cutsAt(p.step), chunk)
		in, plane := l.shapes(n, height, width)
		r, d := l.rows.len(), l.encoder.EmbedDim()
		fused := append(in, engine.Float32(r, d), engine.Float32(r), engine.Float32(r), engine.Float32(r), engine.Float32(n))
		if err := add(l.fused, fused, nil); err != nil {
			return Plan{}, err
		}
		out.Planes = max(out.Planes, 2*n*plane)
	}
	return out, nil
}

// shapes are those of the inputs of cutGraph for n cuts, and the bytes of one gradient plane.
func (y *eye) shapes(n, height, width int) (in []shapes.Shape, plane int) {
	s := y.encoder.ImageSize()
	if y.scheme.Pooled {
		in, plane = append(in, engine.Float32(1, s, s, 3)), 12*s*s
	} else {
		in, plane = append(in, engine.Float32(1, height, width, 3), engine.Float32(n, s, height), engine.Float32(n, s, width)), 12*height*width
	}
	if k := y.scheme.params(); k > 0 {
		in = append(in, engine.Float32(n, k))
	}
	if y.scheme.Noise > 0 {
		in = append(in, engine.Float32(n, s, s, 3))
	}
	if y.scheme.Pooled && len(in) == 1 {
		in = append(in, engine.Float32(n))
	}
	return in, plane
}
