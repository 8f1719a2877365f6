package run

import (
	"context"
	"testing"

	"github.com/smalti/smalti/spec"
)

// TestForecastChooses gives a picture ever less room: first it fits as it is, then with fewer cuts at once, then not at all; and the size
// that is offered in its place does fit.
func TestForecastChooses(t *testing.T) {
	r := runner(t, nil)
	j := spec.Default()
	j.Prompts = []spec.Prompt{{Text: "a red apple", Weight: 1}}
	j.VQGAN, j.CLIP = spec.ModelRef{Name: "toy/vqgan"}, []spec.ModelRef{{Name: "toy/clip"}}
	j.Width, j.Height, j.Cuts.Count, j.Steps, j.Length = 192, 96, 8, 10, 10
	j.Cuts.Scheme = "original"
	req := Painting{Job: j, Chunk: 8}
	const base = 50 << 20
	room := Room{Free: 1 << 40, InUse: func() int64 { return base }}
	ask := func() Forecast {
		t.Helper()
		f, err := r.Forecast(context.Background(), req, room, 8, 1)
		check(t, err)
		return f
	}
	whole := ask()
	if !whole.Fits || whole.Chunk != 8 || whole.Bytes <= 0 || whole.Seconds < 10 { // the test's clock counts a second for each reading
		t.Fatalf("with all room: %+v", whole)
	}
	room.Free = whole.Bytes - 1
	fewer := ask()
	if !fewer.Fits || fewer.Chunk != 1 || fewer.Bytes >= whole.Bytes {
		t.Fatalf("with a little less than %d: %+v", whole.Bytes, fewer)
	}
	room.Free = fewer.Bytes - 1
	none := ask()
	if none.Fits {
		t.Fatalf("with less than it needs: %+v", none)
	}
	w, h, err := r.Nearest(context.Background(), req, none, room)
	check(t, err)
	if f := 2; w%f != 0 || h%f != 0 || w < 96 || w >= 192 || h >= 96 {
		t.Errorf("nearest to 192x96 is %dx%d", w, h)
	}
	req.Job.Width, req.Job.Height = w, h
	if f := ask(); !f.Fits {
		t.Errorf("%dx%d was offered and does not fit: %+v in %d", w, h, f, room.Free)
	}
	room.Free = 1
	if w, h, err := r.Nearest(context.Background(), req, none, room); err != nil || w != 0 || h != 0 {
		t.Errorf("without room: %dx%d, %v", w, h, err)
	}
}
