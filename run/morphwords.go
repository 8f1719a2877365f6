package run

import (
	"context"
	"errors"
	"fmt"
	"image"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/smalti/smalti/latent"
	"github.com/smalti/smalti/paint"
	"github.com/smalti/smalti/pixel"
	"github.com/smalti/smalti/spec"
	"github.com/smalti/smalti/vqgan"
	"github.com/smalti/smalti/weights"
)

// paintWords paints the ends that are words, and keeps them in the folder for the next sitting.
func (m *morpher) paintWords(ctx context.Context) error {
	for i, e := range m.ends {
		if e.words == "" {
			continue
		}
		path := filepath.Join(m.req.Dir, endsDir, fmt.Sprintf("%06d.png", i))
		old, err := openEnd(path)
		switch {
		case err == nil && old.exact(m.ref):
			e.codes = *old.own
		case err == nil || errors.Is(err, fs.ErrNotExist): // a codebook too large for the file is painted again
			if e.codes, err = m.paintEnd(ctx, e.words, path); err != nil {
				return err
			}
		default:
			return err
		}
		if m.grids[i], err = m.book.Lookup(e.grid()); err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
	}
	return nil
}

func (m *morpher) paintEnd(ctx context.Context, words, path string) (vqgan.Codes, error) {
	codes, _, err := m.sketch(ctx, m.table, sketch{spec.Operand{Prompt: words, Seed: m.req.Seed}, m.clip}, m.sink)
	if err != nil {
		return codes, err
	}
	img, err := m.model.Decode(codes)
	if err != nil {
		return codes, err
	}
	chunks, err := m.frameChunks(codes.Idx)
	if err != nil {
		return codes, err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return codes, fmt.Errorf("run: keep a painted picture: %w", err)
	}
	return codes, weights.SaveFile(path, func(w io.Writer) error { return pixel.EncodePNG(w, img.ToImage(), chunks...) })
}

// chaser paints the frames of mode clip. Each starts from the last one, a step nearer to the picture that comes next, and
// is then painted towards what CLIP sees between the two pictures: a point on the great circle between their embeddings.
type chaser struct {
	*session
	rows []latent.Grid // [1,1,D], what CLIP sees in the ends
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
	c := &chaser{session: s}
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

// chase paints a frame that is none of the pictures. It depends on the file of the frame before alone, so that it does not
// matter in which sitting that was painted.
func (m *morpher) chase(ctx context.Context, plan []place, i int) (*image.NRGBA, []int32, error) {
	if m.chaser == nil {
		var err error
		if m.chaser, err = m.newChaser(ctx); err != nil {
			return nil, nil, err
		}
	}
	z, err := m.before(plan, i)
	if err != nil {
		return nil, nil, err
	}
	if goal, left := m.ahead(plan, i); goal >= 0 {
		z = latent.Lerp(z, m.grids[goal], 1/float64(left+1))
	}
	c, p := m.chaser, plan[i]
	aim := latent.Slerp(c.rows[p.A], c.rows[p.B], p.T)
	targets := []paint.Target{{Name: "between", Embedding: aim.Data, Weight: 1}}
	if err := c.painter.Change(paint.Change{Targets: &targets}); err != nil {
		return nil, nil, fmt.Errorf("run: %w", err)
	}
	if err := c.painter.BeginAt(z.Data); err != nil {
		return nil, nil, err
	}
	for range m.req.Steps {
		if _, err := c.painter.Advance(ctx); err != nil {
			return nil, nil, err
		}
	}
	pic, err := c.painter.Picture(paint.Now)
	if err != nil {
		return nil, nil, fmt.Errorf("run: %w", err)
	}
	return toImage(pic), pic.Codes, nil
}

// before is the latent of the frame before; the first frame follows the picture that it is nearer to.
func (m *morpher) before(plan []place, i int) (latent.Grid, error) {
	if i == 0 {
		if plan[0].T > 0.5 {
			return m.grids[plan[0].B], nil
		}
		return m.grids[plan[0].A], nil
	}
	if k := m.end(plan[i-1]); k >= 0 {
		return m.grids[k], nil
	}
	e, err := openEnd(m.reel.path(i - 1))
	if err != nil {
		return latent.Grid{}, err
	}
	if e.own == nil {
		return latent.Grid{}, fmt.Errorf("run: frame %d carries no codes", i-1)
	}
	return m.book.Lookup(latent.Codes{H: e.own.H, W: e.own.W, Index: e.own.Idx})
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
