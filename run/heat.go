package run

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"image"
	"math"
	"path/filepath"

	"github.com/smalti/smalti/event"
	"github.com/smalti/smalti/pixel"
	"github.com/smalti/smalti/spec"
)

// Files of a run folder that show a mask which was found by words.
const (
	maskFile = "mask.png" // as --mask takes it
	heatFile = "heat.png" // the picture in the colours of its heat, with a line around the mask
)

// found is a mask that was found by words.
type found struct {
	mask []byte // PNG
	over image.Image
	note string
}

// findMask looks for a mask's words in the source and returns the mask with its picture pinned, which becomes an input of
// the job. A recipe has its picture already; without the file it is found again and must be the same.
func (s *session) findMask(ctx context.Context, m *spec.Mask, source pixel.Image) (*spec.Mask, error) {
	if m.Picture != "" {
		var missing *MissingInputError
		if _, err := s.picture(m.Picture); !errors.As(err, &missing) {
			return m, err
		}
	}
	heat := pixel.Heat{W: source.W, H: source.H, Values: make([]float64, source.W*source.H)}
	img := source.ToImage()
	total := 0.0
	for _, e := range s.eyes {
		total += math.Abs(e.weight)
	}
	for _, e := range s.eyes {
		values, err := e.model.Heat(ctx, img, m.Words)
		if err != nil {
			return nil, fmt.Errorf("run: look for %q with %s: %w", m.Words, e.name, err)
		}
		for i, v := range values {
			heat.Values[i] += math.Abs(e.weight) / total * v
		}
	}
	heat = heat.Unit()
	var png bytes.Buffer
	if err := pixel.EncodePNG(&png, heat.Mask(m.Threshold)); err != nil {
		return nil, fmt.Errorf("run: write the mask: %w", err)
	}
	pinned := *m
	sum := sha256.Sum256(png.Bytes())
	pinned.Picture = hex.EncodeToString(sum[:])
	if m.Picture != "" && m.Picture != pinned.Picture {
		return nil, &MissingInputError{SHA256: m.Picture, err: fmt.Errorf("what is found of %q today is another mask", m.Words)}
	}
	s.used[pinned.Picture] = png.Bytes()
	s.found = &found{mask: png.Bytes(), over: heat.Over(img, m.Threshold), note: foundNote(heat, m)}
	return &pinned, nil
}

func foundNote(h pixel.Heat, m *spec.Mask) string {
	n := 0
	for _, v := range h.Values {
		if (v >= m.Threshold) != m.Invert {
			n++
		}
	}
	return fmt.Sprintf("%.0f %% of the picture is painted over", 100*float64(n)/float64(len(h.Values)))
}

// showFound writes a mask that was found into the run folder, for people to look at.
func (s *session) showFound() error {
	if s.found == nil {
		return nil
	}
	heat := filepath.Join(s.folder.path, heatFile)
	var over bytes.Buffer
	if err := pixel.EncodePNG(&over, s.found.over); err != nil {
		return fmt.Errorf("run: write the heat: %w", err)
	}
	if err := errors.Join(writeFile(heat, over.Bytes()), writeFile(filepath.Join(s.folder.path, maskFile), s.found.mask)); err != nil {
		return fmt.Errorf("run: show the mask: %w", err)
	}
	s.sink.Emit(event.Event{Kind: event.Notice, Path: heat, Message: s.found.note})
	return nil
}
