package paint

import (
	"context"
	"fmt"
	"hash/fnv"

	"github.com/gomlx/gomlx/core/tensors"

	"github.com/smalti/smalti/engine"
)

// look is what targets want one encoder to see: the whole picture, or a window.
type look struct {
	*eye
	window *Window // nil: the whole picture
	rows   *targetRows
}

// looksOf sorts targets by what they look at: for each encoder first the whole picture, then windows in their order.
func (p *Painter) looksOf(targets []Target) ([]look, error) {
	for _, t := range targets {
		if t.Encoder < 0 || t.Encoder >= len(p.eyes) {
			return nil, fmt.Errorf("paint: target %q is for encoder %d of %d", t.Name, t.Encoder, len(p.eyes))
		}
		if err := t.Window.check(p.cfg.Width, p.cfg.Height); err != nil {
			return nil, err
		}
		if t.Window != nil && p.cfg.Torus != (Torus{}) {
			return nil, fmt.Errorf("paint: target %q looks at a window of a torus, which has no fixed places", t.Name)
		}
	}
	var out []look
	for i, whole := range p.eyes {
		rows, err := newTargetRows(targets, i, whole.encoder.EmbedDim())
		if err != nil {
			return nil, err
		}
		out = append(out, look{whole, nil, rows})
		seen := map[string]bool{}
		for _, t := range targets {
			if t.Encoder != i || t.Window == nil || seen[t.Window.key()] {
				continue
			}
			seen[t.Window.key()] = true
			if rows, err = windowRows(targets, i, whole.encoder.EmbedDim(), t.Window); err != nil {
				return nil, err
			}
			out = append(out, look{p.narrowEye(i, t.Window), t.Window, rows})
		}
	}
	return out, nil
}

// narrowEye returns the eye of an encoder for a window. Its draws are keyed by the window's place, so they do not depend
// on what other windows there are or when they came.
func (p *Painter) narrowEye(encoder int, w *Window) *eye {
	key := fmt.Sprintf("%d:%s", encoder, w.key())
	if _, ok := p.narrow[key]; !ok {
		h := fnv.New32a()
		h.Write([]byte(w.key()))
		index := encoder + len(p.eyes)*(1+int(h.Sum32()))
		p.narrow[key] = newEye(p.engine, p.eyes[encoder].encoder, index, p.cfg.Scheme, p.source)
	}
	return p.narrow[key]
}

// gaze is one encoder's look at one picture in one step.
type gaze struct {
	*Painter
	*eye
	view          *tensors.Tensor
	width, height int // of what is cut, in pixels
	cuts          int
	sum           []float32 // gradient for the view, onto which each cut's is folded
}

// each runs f on the chunks of cuts in order.
func (g gaze) each(ctx context.Context, f func(c *chunk, in []*tensors.Tensor) error) error {
	n := g.chunkSize(g.cuts, g.cfg.Chunk)
	for first := 0; first < g.cuts; first += n {
		if err := ctx.Err(); err != nil {
			return err
		}
		c, err := g.draw(g.step, first, g.cuts, n, g.width, g.height)
		if err != nil {
			return err
		}
		if err := f(c, append([]*tensors.Tensor{g.view}, c.in...)); err != nil {
			return fmt.Errorf("paint: cuts from %d: %w", first, err)
		}
	}
	return nil
}

// once computes losses that look at each cut alone, in one pass. It adds the value of each target to values.
func (g gaze) once(ctx context.Context, t *targetRows, values []float64) error {
	r := t.len()
	fixed := []*tensors.Tensor{engine.FromFloats(t.rows, r, t.width), engine.FromFloats(t.sign, r),
		engine.FromFloats(t.stop, r), engine.FromFloats(t.scale, r)}
	return g.each(ctx, func(c *chunk, in []*tensors.Tensor) error {
		share := make([]float32, c.n)
		for i := range c.real {
			share[i] = 1 / float32(g.cuts)
		}
		out, err := g.fused.Run(g.encoder.Weights(), append(append(in, fixed...), engine.FromFloats(share, c.n))...)
		if err != nil {
			return err
		}
		signed := engine.Floats(out[0])
		for i := range c.real {
			for k, target := range t.targets {
				values[target] += float64(t.scale[k]) * float64(signed[i*r+k]) / float64(g.cuts)
			}
		}
		return c.foldOut(g.sum, out)
	})
}

// twice computes losses that look at all cuts together: a pass for the embeddings, and one for the gradients.
func (g gaze) twice(ctx context.Context, t sharedTargets, values, extra []float64) error {
	d := g.encoder.EmbedDim()
	e := Embeddings{Step: g.step, Encoder: g.index, N: g.cuts, D: d}
	err := g.each(ctx, func(c *chunk, in []*tensors.Tensor) error {
		out, err := g.embed.Run(g.encoder.Weights(), in...)
		if err != nil {
			return err
		}
		e.Data = append(e.Data, engine.Floats(out[0])[:c.real*d]...)
		return nil
	})
	if err != nil {
		return err
	}
	grad := make([]float64, len(e.Data))
	t.add(e, values, grad)
	for i := range extra { // none for a window: they look at the whole picture
		extra[i] += g.cfg.Embedding[i].Loss(e, grad)
	}
	return g.each(ctx, func(c *chunk, in []*tensors.Tensor) error {
		adjoint := make([]float32, c.n*d) // padding keeps zeros
		for i := range c.real * d {
			adjoint[i] = float32(grad[c.first*d+i])
		}
		out, err := g.back.Run(g.encoder.Weights(), append(in, engine.FromFloats(adjoint, c.n, d))...)
		if err != nil {
			return err
		}
		return c.foldOut(g.sum, out)
	})
}
