package run

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

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
