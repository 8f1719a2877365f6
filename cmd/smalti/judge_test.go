package main

import (
	"os"
	"testing"

	"github.com/smalti/smalti/clip"
	"github.com/smalti/smalti/run"
	"github.com/smalti/smalti/spec"
	"github.com/smalti/smalti/store"
	"github.com/smalti/smalti/store/builtin"
)

// TestJudgeOfTheRepository: the judge that figures are published by measures, guides nobody, and has another image tower and text tower
// than the CLIP that paints.
func TestJudgeOfTheRepository(t *testing.T) {
	const path = "../../" + defaultJudge
	info, err := os.Stat(path)
	if err != nil || info.Size() > 8<<20 {
		t.Fatalf("%v, %v", info, err)
	}
	r, err := run.New(run.Options{Store: store.New(t.TempDir(), builtin.Models()...), Threads: 1, Version: release})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	judge, _, err := r.Judge(path)
	if err != nil {
		t.Fatal(err)
	}
	guide, _, err := r.CLIP(spec.ModelRef{Name: "builtin/clip"})
	if err != nil {
		t.Fatal(err)
	}
	a, b := judge.Config(), guide.Config()
	if a.Role != clip.Judge || b.Role == clip.Judge || a.ImageSize() == b.ImageSize() || a.Text.Width == b.Text.Width || a.Vision.Kind == b.Vision.Kind {
		t.Errorf("judge %+v, guide %+v", a, b)
	}
}
