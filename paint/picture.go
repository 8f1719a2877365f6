package paint

import (
	"context"
	"fmt"
	"slices"

	"github.com/gomlx/gomlx/core/tensors"

	"github.com/smalti/smalti/engine"
)

// Which of the latents a picture shows.
type Which int

const (
	Now    Which = iota // the current ones
	Smooth              // their moving average; the current ones when the config has none or nothing was painted yet
	Best                // those with the smallest loss so far; the current ones before the first step
)

// Picture is a decoded canvas.
type Picture struct {
	W, H  int
	Pix   []float32 // [H,W,3] in [0,1]
	Codes []int32   // [h,w]
}

// Picture decodes the canvas.
func (p *Painter) Picture(which Which) (Picture, error) {
	z, err := p.Latent(which)
	if err != nil {
		return Picture{}, err
	}
	x, codes, err := p.canvas.decode(engine.FromFloats(z, 1, p.h, p.w, p.c))
	if err != nil {
		return Picture{}, fmt.Errorf("paint: decode: %w", err)
	}
	pix := engine.Floats(x)
	if k := p.cfg.Keep; k != nil {
		pix = k.over(pix)
	}
	return Picture{W: p.cfg.Width, H: p.cfg.Height, Pix: pix, Codes: codes}, nil
}

// Latent returns a copy of latents [1,h,w,C].
func (p *Painter) Latent(which Which) ([]float32, error) {
	switch {
	case p.z == nil:
		return nil, ErrNotStarted
	case which == Smooth && p.average != nil:
		// The average started from zero: divide by the weight that is in it (Kingma and Ba 2015, section 3).
		rest := 1.0
		for range p.averaged {
			rest *= p.cfg.Average
		}
		out := slices.Clone(p.average)
		for i := range out {
			out[i] /= float32(1 - rest)
		}
		return out, nil
	case which == Best && p.best != nil:
		return slices.Clone(p.best), nil
	}
	return slices.Clone(p.z), nil
}

// PictureGradient returns the gradient of the loss of the coming step for the picture [H,W,3]: of targets, embedding
// losses and pixel losses. It changes nothing.
func (p *Painter) PictureGradient(ctx context.Context) ([]float32, error) {
	e, err := p.gradients(ctx)
	return e.dx, err
}

// LatentGradient returns the gradient of the loss of the coming step for the latents [1,h,w,C]. It changes nothing.
func (p *Painter) LatentGradient(ctx context.Context) ([]float32, error) {
	e, err := p.gradients(ctx)
	return e.dz, err
}

func (p *Painter) gradients(ctx context.Context) (evaluation, error) {
	if p.z == nil {
		return evaluation{}, ErrNotStarted
	}
	return p.evaluate(ctx)
}

// Cuts returns the cuts [n,S,S,3] that an encoder will see of the current picture in the coming step.
func (p *Painter) Cuts(ctx context.Context, encoder int) ([]float32, error) {
	pic, err := p.Picture(Now)
	if err != nil {
		return nil, err
	}
	return p.lookAt(ctx, encoder, pic.Pix, p.cutsAt(p.step), func(g gaze, in []*tensors.Tensor) (*tensors.Tensor, error) {
		out, err := g.eye.cuts.Run(nil, in...)
		if err != nil {
			return nil, err
		}
		return out[0], nil
	})
}

// EmbedPicture returns the embeddings [n,D] of n cuts of a picture [H,W,3] in [0,1] of the painter's size: the rows of a
// picture prompt.
func (p *Painter) EmbedPicture(ctx context.Context, encoder int, pix []float32, n int) ([]float32, error) {
	if len(pix) != 3*p.cfg.Width*p.cfg.Height || n < 1 {
		return nil, fmt.Errorf("paint: %d cuts of a picture of %d numbers for %dx%d", n, len(pix), p.cfg.Width, p.cfg.Height)
	}
	return p.lookAt(ctx, encoder, pix, n, func(g gaze, in []*tensors.Tensor) (*tensors.Tensor, error) {
		out, err := g.embed.Run(g.encoder.Weights(), in...)
		if err != nil {
			return nil, err
		}
		return out[0], nil
	})
}

// lookAt runs f on every chunk of n cuts of a picture and joins its outputs, without those of the padding.
func (p *Painter) lookAt(ctx context.Context, encoder int, pix []float32, n int,
	f func(g gaze, in []*tensors.Tensor) (*tensors.Tensor, error)) ([]float32, error) {
	if encoder < 0 || encoder >= len(p.eyes) {
		return nil, fmt.Errorf("paint: encoder %d of %d", encoder, len(p.eyes))
	}
	y := p.eyes[encoder]
	view, err := y.see(engine.FromFloats(pix, 1, p.cfg.Height, p.cfg.Width, 3))
	if err != nil {
		return nil, fmt.Errorf("paint: %w", err)
	}
	g := gaze{Painter: p, eye: y, view: view, width: p.cfg.Width, height: p.cfg.Height, cuts: n}
	var all []float32
	err = g.each(ctx, func(c *chunk, in []*tensors.Tensor) error {
		out, err := f(g, in)
		if err != nil {
			return err
		}
		data := engine.Floats(out)
		all = append(all, data[:len(data)/c.n*c.real]...)
		return nil
	})
	return all, err
}
