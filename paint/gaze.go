package paint

import (
	"context"
	"fmt"

	"github.com/gomlx/gomlx/core/tensors"

	"github.com/smalti/smalti/engine"
)

// gaze is one encoder's look at one picture in one step.
type gaze struct {
	*Painter
	*eye
	view *tensors.Tensor
	cuts int
	sum  []float32 // gradient for the view, onto which each cut's is folded
}

// each runs f on the chunks of cuts in order.
func (g gaze) each(ctx context.Context, f func(c *chunk, in []*tensors.Tensor) error) error {
	n := g.chunkSize(g.cuts, g.cfg.Chunk)
	for first := 0; first < g.cuts; first += n {
		if err := ctx.Err(); err != nil {
			return err
		}
		c, err := g.draw(g.step, first, g.cuts, n, g.cfg.Width, g.cfg.Height)
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
		c.fold(g.sum, engine.Floats(out[1]))
		return nil
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
	for i, l := range g.cfg.Embedding {
		extra[i] += l.Loss(e, grad)
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
		c.fold(g.sum, engine.Floats(out[0]))
		return nil
	})
}
