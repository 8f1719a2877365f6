package run

import (
	"context"
	"errors"
	"fmt"
	"image"
	"io/fs"
	"path/filepath"
	"strconv"

	"github.com/smalti/smalti/latent"
	"github.com/smalti/smalti/paint"
	"github.com/smalti/smalti/spec"
)

// MorphLR is the usual learning rate of mode clip.
const MorphLR = 0.02

// chaser paints the frames of mode clip: one painting that goes on from frame to frame, without taking codes in between.
// For each frame some steps are painted towards what CLIP sees between the two pictures: a point on the great circle
// between their embeddings. The learning rate rises and falls between the pictures as 4t(1-t). Then the latents are moved towards
// those of the picture that comes next, as far as an even way to it allows: so no frame has to jump.
type chaser struct {
	*session
	rows []latent.Grid // [1,1,D], what CLIP sees in the ends
	at   int           // the frame that the painter stands at; -1 before the first
}

func (m *morpher) newChaser(ctx context.Context) (*chaser, error) {
	job := spec.Default()
	job.Seed, job.Width, job.Height = m.req.Seed, m.w, m.h
	job.Steps, job.Length, job.Cuts.Count = m.req.Steps, m.req.Steps, spec.Presets["draft"].Cuts
	job.VQGAN, job.CLIP = m.ref, []spec.ModelRef{m.clip}
	job.Optimiser.FinalLR = 1
	s, err := m.prepare(ctx, &Painting{Job: job}, 0, m.sink)
	if err != nil {
		return nil, err
	}
	c := &chaser{session: s, at: -1}
	for _, e := range m.ends {
		img, err := m.model.Decode(e.codes)
		if err != nil {
			return nil, err
		}
		row, err := s.eyes[0].model.EncodeImage(ctx, img.ToImage())
		if err != nil {
			return nil, err
		}
		c.rows = append(c.rows, latent.Grid{H: 1, W: 1, C: len(row[0]), Data: row[0]})
	}
	return c, nil
}

// chase paints a frame that is none of the pictures.
func (m *morpher) chase(ctx context.Context, plan []place, i int) (*image.NRGBA, []int32, error) {
	if m.chaser == nil {
		var err error
		if m.chaser, err = m.newChaser(ctx); err != nil {
			return nil, nil, err
		}
	}
	if err := m.standBefore(ctx, plan, i); err != nil {
		return nil, nil, err
	}
	if err := m.paintOn(ctx, plan, i); err != nil {
		return nil, nil, err
	}
	return m.shown()
}

// shown is the picture of the painter's latents with its codes, or as they are, without.
func (m *morpher) shown() (*image.NRGBA, []int32, error) {
	z, err := m.chaser.painter.Latent(paint.Now)
	if err != nil {
		return nil, nil, err
	}
	return m.shownAt(z)
}

func (m *morpher) shownAt(z []float32) (*image.NRGBA, []int32, error) {
	h, w := m.grids[0].H, m.grids[0].W
	if m.req.Soft {
		pic, err := m.model.DecodeLatent(z, h, w)
		return pic.ToImage(), nil, err
	}
	codes, err := m.model.NearestCodes(z, h, w)
	if err != nil {
		return nil, nil, err
	}
	pic, err := m.model.Decode(codes)
	return pic.ToImage(), codes.Idx, err
}

// standBefore brings the painter to where it stood after the frame before: it is there, or its state is on disk, or the frames
// since the last picture are painted again. A frame that follows a picture begins with that.
func (m *morpher) standBefore(ctx context.Context, plan []place, i int) error {
	c := m.chaser
	if i == 0 || m.end(plan[i-1]) >= 0 {
		z := m.circle(plan[max(0, i-1)])
		if i == 0 {
			c.at = -1
		} else {
			c.at = i - 1
		}
		return c.painter.BeginAt(z.Data)
	}
	path := filepath.Join(m.req.Dir, chaseFile)
	if c.at == i-1 { // its frame is written by now
		return c.writeState(path, map[string]string{"frame": strconv.Itoa(c.at)})
	}
	arrays, about, err := readState(path)
	switch {
	case err == nil && about["frame"] == strconv.Itoa(i-1):
		c.at = i - 1
		return c.painter.Restore(arrays)
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return err
	}
	if err := m.standBefore(ctx, plan, i-1); err != nil {
		return err
	}
	return m.paintOn(ctx, plan, i-1)
}

// paintOn leads the painter from the frame before to a frame.
func (m *morpher) paintOn(ctx context.Context, plan []place, i int) error {
	c, p := m.chaser, plan[i]
	between := p.T > 0 && p.T < 1
	if !between && i > 0 { // beyond the pictures the way is the circle's
		if err := c.painter.Shift(difference(m.circle(p), m.circle(plan[i-1]), 1)); err != nil {
			return err
		}
	}
	aim := latent.Slerp(c.rows[p.A], c.rows[p.B], p.T)
	targets := []paint.Target{{Name: "between", Embedding: aim.Data, Weight: 1}}
	lr := paint.Const(m.req.LR)
	if between {
		lr = paint.Const(m.req.LR * 4 * p.T * (1 - p.T))
	}
	if err := c.painter.Change(paint.Change{Targets: &targets, LR: &lr}); err != nil {
		return fmt.Errorf("run: %w", err)
	}
	for range m.req.Steps {
		if _, err := c.painter.Advance(ctx); err != nil {
			return err
		}
	}
	c.at = i
	if goal, left := m.ahead(plan, i); goal >= 0 && i > 0 {
		return m.approach(plan, goal, left, i)
	}
	return nil
}

// approach moves the painter's latents towards a picture that comes left frames after this one. The move is found by halving: the
// largest, to one in 128, with which the frame is no further from the one before than an even way to the picture allows.
func (m *morpher) approach(plan []place, goal, left, i int) error {
	before, err := m.reel.read(i - 1)
	if err != nil {
		return err
	}
	there, _, err := m.decode(m.ends[goal].codes)
	if err != nil {
		return err
	}
	// The way is not straight: at its beginning as much again is allowed for what it goes round.
	done := 1
	for i-done > 0 && m.end(plan[i-done]) < 0 {
		done++
	}
	allowed := apart(before, there) / float64(left+1) * (1 + float64(left)/float64(left+done))
	z, err := m.chaser.painter.Latent(paint.Now)
	if err != nil {
		return err
	}
	here := latent.Grid{H: m.grids[goal].H, W: m.grids[goal].W, C: m.grids[goal].C, Data: z}
	share := 0.0
	for step := 0.5; step >= 1.0/128; step /= 2 {
		img, _, err := m.shownAt(latent.Lerp(here, m.grids[goal], share+step).Data)
		if err != nil {
			return err
		}
		if apart(before, img) <= allowed {
			share += step
		}
	}
	return m.chaser.painter.Shift(difference(m.grids[goal], here, share))
}

// difference is share times a less b.
func difference(a, b latent.Grid, share float64) []float32 {
	out := make([]float32, len(a.Data))
	for i := range out {
		out[i] = float32(share * float64(a.Data[i]-b.Data[i]))
	}
	return out
}

// circle is the latent of a place on the circle between two pictures, within the codebook's range.
func (m *morpher) circle(p place) latent.Grid {
	if k := m.end(p); k >= 0 {
		return m.grids[k]
	}
	return m.bounds().Clamp(latent.Slerp(m.grids[p.A], m.grids[p.B], p.T))
}

// ahead is the picture that comes next, -1 if none does, and in how many frames. A loop leads to the first one.
func (m *morpher) ahead(plan []place, i int) (goal, left int) {
	for j := i + 1; j < len(plan); j++ {
		if k := m.end(plan[j]); k >= 0 {
			return k, j - i
		}
	}
	if m.req.Loop != latent.Once {
		return 0, len(plan) - i
	}
	return -1, 0
}
