package train

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/smalti/smalti/clip"
	"github.com/smalti/smalti/engine"
	"github.com/smalti/smalti/gx"
	"github.com/smalti/smalti/weights"
)

func toyJudge() ClipConfig {
	c, j := toyClip(), DefaultJudge()
	c.Train.Seed, c.Model.Role, c.Model.Vision = j.Train.Seed, clip.Judge, clip.Vision{Kind: clip.VGG, ImageSize: 8, Widths: []int{4, 6}}
	return c
}

func TestJudgeSharesNothingWithThePainter(t *testing.T) {
	if err := DefaultJudge().Validate(); err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*ClipConfig){
		"seed":         func(c *ClipConfig) { c.Train.Seed = DefaultClip().Train.Seed },
		"architecture": func(c *ClipConfig) { c.Model.Vision = DefaultClip().Model.Vision },
	} {
		c := DefaultJudge()
		change(&c)
		if err := c.Validate(); !errors.Is(err, ErrJudge) {
			t.Errorf("the painter's %s: %v", name, err)
		}
	}
}

func TestJudgeIsMarkedAndNoAncestor(t *testing.T) {
	dir, painter := t.TempDir(), t.TempDir()
	lend := func(kind, name string) (*weights.File, string, error) {
		f, err := weights.Open(filepath.Join(painter, ModelFile))
		return f, "", err
	}
	if _, err := RunClip(context.Background(), toyClip(), nil, Options{Dir: painter}); err != nil {
		t.Fatal(err)
	}
	if _, err := RunClip(context.Background(), toyJudge(), nil, Options{Dir: dir, Lend: lend}); err != nil {
		t.Fatal(err)
	}
	f, err := weights.Open(filepath.Join(dir, ModelFile))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	e, err := engine.New(engine.Options{Threads: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	if c, err := clip.Check(e, f, nil); err != nil || c.Role != clip.Judge {
		t.Errorf("role %q, %v", c.Role, err)
	}
	for name, run := range map[string]struct {
		cfg  ClipConfig
		from string
	}{"a painter from a judge": {toyClip(), dir}, "a judge from a painter": {toyJudge(), painter}} {
		_, err := RunClip(context.Background(), run.cfg, nil, Options{Dir: t.TempDir(), InitFrom: filepath.Join(run.from, ModelFile)})
		if !errors.Is(err, ErrJudge) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := os.Rename(filepath.Join(dir, ModelFile), filepath.Join(painter, ModelFile)); err != nil { // a painter that got the judge's tower
		t.Fatal(err)
	}
	if _, err := RunClip(context.Background(), toyJudge(), nil, Options{Dir: t.TempDir(), Lend: lend}); !errors.Is(err, ErrJudge) {
		t.Errorf("the tower of the painter: %v", err)
	}
}

func TestJudgeIsSmall(t *testing.T) {
	c := DefaultJudge().Model
	c.Text.VocabSize = DefaultJudge().Vocabulary
	e, err := engine.New(engine.Options{Threads: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	decls, err := c.Decls(e)
	if err != nil {
		t.Fatal(err)
	}
	if n := numbers(decls); 2*n > 8e6 {
		t.Errorf("%d numbers are %d bytes in half precision, more than 8 MB", n, 2*n)
	} else {
		t.Logf("%d numbers", n)
	}
}

func numbers(decls []gx.Decl) int {
	n := 0
	for _, d := range decls {
		n += d.Shape().Size()
	}
	return n
}
