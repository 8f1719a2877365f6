package run

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"testing"

	"github.com/smalti/smalti/event"
	"github.com/smalti/smalti/pixel"
	"github.com/smalti/smalti/spec"
)

// TestStartsFromWhatIsSeen: a picture starts from its codes only while they stand for its pixels. One that was filtered
// carries codes too, and starts like its copy without any.
func TestStartsFromWhatIsSeen(t *testing.T) {
	r := runner(t, nil)
	dir := t.TempDir()
	paint := func(name string, change func(*spec.Job), in Inputs) string {
		j := spec.Default()
		j.Prompts = []spec.Prompt{{Text: "a red apple", Weight: 1}}
		j.VQGAN.Name, j.CLIP[0].Name = "toy/vqgan", "toy/clip"
		j.Width, j.Height, j.Steps, j.Length, j.Cuts.Count = 16, 16, 1, 1, 1
		change(&j)
		path := filepath.Join(dir, name+".png")
		_, err := r.Paint(context.Background(), Painting{Job: j, Out: path, Inputs: in}, event.Discard)
		check(t, err)
		return path
	}
	filtered := paint("filtered", func(j *spec.Job) { j.Filters = []spec.Filter{{Name: "pixelart", Side: 4}} }, Inputs{})
	img, err := pixel.DecodeFile(filtered)
	check(t, err)
	var bare bytes.Buffer
	check(t, pixel.EncodePNG(&bare, img))
	copied := filepath.Join(dir, "copy.png")
	check(t, os.WriteFile(copied, bare.Bytes(), 0o644))
	plain := paint("plain", func(*spec.Job) {}, Inputs{})

	from := func(name, source string) *end {
		var in Inputs
		sum, err := in.AddInput(source)
		check(t, err)
		out := paint(name, func(j *spec.Job) {
			j.Start = spec.Start{Kind: "image", Image: sum}
			j.Optimiser.LR = 1e-6 // nothing moves: what is seen is the start
		}, in)
		e, err := openEnd(out)
		check(t, err)
		return e
	}
	a := from("from-filtered", filtered)
	b := from("from-copy", copied)
	if !equalCodes(a, b) {
		t.Error("a filtered picture starts from its codes, not from what is seen")
	}
	c := from("from-plain", plain)
	p, err := openEnd(plain)
	check(t, err)
	if !equalCodes(c, p) {
		t.Error("a painted picture does not start from its own codes")
	}
}

func equalCodes(a, b *end) bool {
	for i, k := range a.own.Idx {
		if b.own.Idx[i] != k {
			return false
		}
	}
	return len(a.own.Idx) == len(b.own.Idx)
}
