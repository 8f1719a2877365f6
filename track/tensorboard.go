package track

import (
	"bytes"
	"context"
	"image/png"
	"maps"
	"slices"
	"time"

	"github.com/smalti/smalti/event"
	"github.com/smalti/smalti/track/tfevents"
)

// tensorBoard is the Sink of one event file. Every process that works on a run writes a file of its own into the run's
// folder; TensorBoard reads them in order of their names.
type tensorBoard struct {
	file    growing
	pending []byte
	samples []Record // not encoded yet
	resumed bool     // the next Started event tells TensorBoard to forget what came after it
}

func newTensorBoard(path string, open openFunc, at time.Time, resumed bool) *tensorBoard {
	return &tensorBoard{file: growing{path: path, open: open}, pending: tfevents.FileVersion(nil, at), resumed: resumed}
}

// Take encodes a record's numbers and histograms.
func (t *tensorBoard) Take(r Record) {
	step := int64(r.Step)
	switch r.Kind {
	case event.Started:
		if t.resumed {
			t.pending = tfevents.Restart(t.pending, r.Time, step+1)
		}
		t.resumed = true
	case event.Samples:
		if r.Picture != nil && !r.Picture.Bounds().Empty() {
			t.samples = append(t.samples, r)
		}
	case event.Histograms:
		for _, k := range slices.Sorted(maps.Keys(r.Histograms)) {
			if h := r.Histograms[k]; h.Valid() {
				t.pending = tfevents.Histogram(t.pending, r.Time, step, k, h)
			}
		}
	case System:
		for _, k := range slices.Sorted(maps.Keys(r.Values)) {
			t.pending = tfevents.Scalar(t.pending, r.Time, r.Time.Unix(), "system/"+k, r.Values[k])
		}
	default:
		values := Numbers(r.Event)
		for _, k := range slices.Sorted(maps.Keys(values)) {
			t.pending = tfevents.Scalar(t.pending, r.Time, step, k, values[k])
		}
	}
}

// Flush appends what is pending in one piece.
func (t *tensorBoard) Flush(context.Context) error {
	for _, r := range t.samples {
		var b bytes.Buffer
		if err := png.Encode(&b, r.Picture); err != nil {
			continue // no PNG can hold it
		}
		size := r.Picture.Bounds().Size()
		t.pending = tfevents.Image(t.pending, r.Time, int64(r.Step), sampleName(r.Event), size.X, size.Y, b.Bytes())
	}
	t.samples = nil
	if err := t.file.append(t.pending); err != nil {
		return err
	}
	t.pending = t.pending[:0]
	return nil
}

// Close closes the file.
func (t *tensorBoard) Close(context.Context, End) error { return t.file.close() }
