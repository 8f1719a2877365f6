// Package paint is the way from words to a picture: it optimises the latents of a decoder until image encoders see in
// the picture what their text towers read in the prompts (VQGAN+CLIP, Crowson et al. 2022).
//
// It owns the loop and what happens in it: starts, cuts, augmentations, losses, schedules, optimisers, and the state
// that a run can be continued from. It knows no model package and no files: models come in through Decoder and
// ImageEncoder, prompts as embeddings. Nothing prints; a Step returns a Report.
//
// One step: decode z once to the picture x; for each encoder and each chunk of cuts compute the losses and one
// gradient plane for each cut; fold the planes, one cut at a time, into dL/dx; one product with the decoder's Jacobian
// gives dL/dz; the optimiser moves z. Memory grows neither with the cuts nor with the encoders, and no result depends on
// how cuts are chunked. Every random draw is keyed by (seed, purpose, step, cut), every schedule is in absolute steps:
// a run that is stopped and continued is the run that never stopped.
//
// Start with this file, then step.go. Letters: H, W the picture; h, w, C the latents; S the side that an encoder sees;
// n cuts; R rows of targets; D the width of embeddings.
package paint

import (
	"errors"
	"fmt"

	"github.com/gomlx/gomlx/core/graph"

	"github.com/smalti/smalti/engine"
	"github.com/smalti/smalti/gx"
)

// Decoder is the model that paints: latents on a grid, a codebook, and a way to pictures. Its graphs take pictures
// [n,H,W,3] from -1 to 1 and latents [n,h,w,C], where H = h*Factor.
type Decoder interface {
	// QuantiseGraph returns for each latent its nearest code's, with the gradient passed straight to z, and the codes,
	// int32 [n,h,w].
	QuantiseGraph(v *gx.Vars, z *graph.Node) (zq, codes *graph.Node)
	// LookupGraph returns the latents of codes.
	LookupGraph(v *gx.Vars, codes *graph.Node) *graph.Node
	// DecodeGraph returns pictures, which may leave [-1,1].
	DecodeGraph(v *gx.Vars, zq *graph.Node) *graph.Node
	// EncodeGraph returns the latents of pictures before quantisation.
	EncodeGraph(v *gx.Vars, x *graph.Node) *graph.Node
	Factor() int
	Channels() int
	NumCodes() int
	// CodebookRange returns the smallest and largest value of each channel in the codebook.
	CodebookRange() (least, most []float32)
	Weights() engine.Tensors
}

// ImageEncoder is the model that judges.
type ImageEncoder interface {
	// ImageGraph returns the embeddings [n,D] of pictures [n,S,S,3] in [0,1].
	ImageGraph(v *gx.Vars, x *graph.Node) *graph.Node
	ImageSize() int // S
	EmbedDim() int  // D
	Weights() engine.Tensors
}

// Config is what a picture is painted with.
type Config struct {
	Seed          uint64
	Width, Height int // in pixels, multiples of the decoder's factor

	Targets []Target
	Scheme  Scheme
	// Source gives the cuts; nil draws them as the scheme says.
	Source CutSource
	Cuts   Schedule // for each encoder, at least 1 at every step
	Chunk  int      // cuts that are looked at together; memory grows with it, results do not. 0 means 8
	// Share is how much of the targets' loss looks at the mean embedding of all cuts, 0 to 1. Above 0 the cuts are
	// encoded twice.
	Share Schedule

	Optimiser OptimiserConfig
	LR        Schedule
	Plateau   Plateau

	Embedding []EmbeddingLoss
	Pixel     []WeightedPixelLoss
	Latent    []LatentLoss
	// Keep holds a part of a picture as it is; nil paints everywhere.
	Keep  *Keep
	Torus Torus
	// Free lets z leave the codebook's range.
	Free bool
	// Average is the decay of the moving average of z (Smooth pictures), 0 to below 1; 0 means none.
	Average float64
}

// Painter paints one picture. It is not safe for concurrent use.
type Painter struct {
	engine *engine.Engine
	cfg    Config
	eyes   []*eye
	canvas *canvas
	pixel  *pixelLosses
	looks  []look          // what targets want to see, in the order of the encoders
	narrow map[string]*eye // eyes for windows, by encoder and window
	source CutSource

	h, w, c int // of z
	lo, hi  []float32
	state
}

// ErrNotStarted is returned when a painter has neither been started nor restored.
var ErrNotStarted = errors.New("paint: not started")

// New prepares a painter. It fails when the description does not fit the models; no graph runs yet.
func New(e *engine.Engine, d Decoder, encoders []ImageEncoder, cfg Config) (*Painter, error) {
	f := d.Factor()
	if cfg.Width < f || cfg.Height < f || cfg.Width%f != 0 || cfg.Height%f != 0 {
		return nil, fmt.Errorf("paint: %dx%d is not a multiple of %d", cfg.Width, cfg.Height, f)
	}
	if cfg.Chunk == 0 {
		cfg.Chunk = 8
	}
	if cfg.Chunk < 0 {
		return nil, fmt.Errorf("paint: chunks of %d cuts", cfg.Chunk)
	}
	if !(cfg.Average >= 0 && cfg.Average < 1) {
		return nil, fmt.Errorf("paint: average of %v, want 0 <= a < 1", cfg.Average)
	}
	if err := errors.Join(cfg.Scheme.check(), cfg.Plateau.check()); err != nil {
		return nil, err
	}
	p := &Painter{engine: e, cfg: cfg, narrow: map[string]*eye{}, canvas: newCanvas(e, d), pixel: newPixelLosses(e, cfg.Pixel),
		h: cfg.Height / f, w: cfg.Width / f, c: d.Channels()}
	p.lo, p.hi = d.CodebookRange()
	if len(p.lo) != p.c || len(p.hi) != p.c {
		return nil, fmt.Errorf("paint: the codebook's range has %d and %d channels, want %d", len(p.lo), len(p.hi), p.c)
	}
	if p.source = cfg.Source; p.source == nil {
		p.source = Drawn{Scheme: cfg.Scheme, Seed: cfg.Seed}
	}
	if err := cfg.Keep.check(p); err != nil {
		return nil, err
	}
	for i, enc := range encoders {
		p.eyes = append(p.eyes, newEye(e, enc, i, cfg.Scheme, p.source))
	}
	if err := p.Change(Change{Targets: &cfg.Targets, Cuts: &cfg.Cuts, Share: &cfg.Share, LR: &cfg.LR}); err != nil {
		return nil, err
	}
	opt, err := NewOptimiser(cfg.Optimiser, p.h*p.w*p.c)
	if err != nil {
		return nil, err
	}
	p.opt = opt
	return p, nil
}

// Change is what may change between steps; nil leaves things as they are.
type Change struct {
	Targets         *[]Target
	Cuts, Share, LR *Schedule
}

// Change applies changes before the next step. Nothing changes when it fails.
func (p *Painter) Change(c Change) error {
	for name, s := range map[string]*Schedule{"cuts": c.Cuts, "share": c.Share, "lr": c.LR} {
		if s == nil {
			continue
		}
		if err := s.check(name); err != nil {
			return err
		}
		for _, q := range s.Points {
			if q.Value < 0 || name == "cuts" && q.Value < 1 || name == "share" && q.Value > 1 {
				return fmt.Errorf("paint: %s of %v at step %d", name, q.Value, q.Step)
			}
		}
	}
	if c.Cuts != nil && len(c.Cuts.Points) == 0 {
		return errors.New("paint: no cuts")
	}
	if c.Targets != nil {
		looks, err := p.looksOf(*c.Targets)
		if err != nil {
			return err
		}
		p.looks, p.cfg.Targets = looks, append([]Target(nil), *c.Targets...)
	}
	for to, from := range map[*Schedule]*Schedule{&p.cfg.Cuts: c.Cuts, &p.cfg.Share: c.Share, &p.cfg.LR: c.LR} {
		if from != nil {
			*to = *from
		}
	}
	return nil
}

// Latents returns the grid of the latents: rows, columns and channels.
func (p *Painter) Latents() (h, w, c int) { return p.h, p.w, p.c }
