package dataset

import (
	"errors"
	"image"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

// writeTestPack writes a pack of 20 concepts in two styles and returns its pairs.
func writeTestPack(t *testing.T, dir string) []Pair {
	t.Helper()
	var pairs []Pair
	var imgs []*image.NRGBA
	for _, s := range fruits()[:40] {
		pairs = append(pairs, s.Pair)
		imgs = append(imgs, &image.NRGBA{Pix: s.RGBA, Stride: s.Size * 4, Rect: image.Rect(0, 0, s.Size, s.Size)})
	}
	if _, err := writePack(dir, Manifest{Name: "test", Size: 32, Recipe: "test"}, pairs, imgs, "notice"); err != nil {
		t.Fatal(err)
	}
	return pairs
}

func TestPackRoundTrip(t *testing.T) {
	dir := t.TempDir()
	pairs := writeTestPack(t, dir)
	p, err := OpenPack(dir)
	if err != nil {
		t.Fatal(err)
	}
	want := fruits()[:40]
	if len(p.Sprites) != len(want) || p.Manifest.Count != len(want) {
		t.Fatalf("%d sprites, want %d", len(p.Sprites), len(want))
	}
	for i, s := range p.Sprites {
		if !reflect.DeepEqual(s.Pair, pairs[i]) || !reflect.DeepEqual(s.RGBA, want[i].RGBA) || s.lookColor != want[i].lookColor {
			t.Fatalf("sprite %d (%s) came back changed", i, s.File)
		}
	}
	info, err := Info(dir)
	if err != nil {
		t.Fatal(err)
	}
	sp := p.Split()
	if info.Pictures != 40 || info.Concepts != 20 || info.Styles["noto"] != 20 || info.Styles[heldStyle] != 20 || info.Licences["MIT"] != 40 ||
		info.Train != len(sp.Train) || info.HeldOut != len(sp.HeldConcepts) || info.Style != len(sp.HeldStyle) {
		t.Errorf("info %+v does not fit the pack", info)
	}
}

func TestDamagedPackIsRefused(t *testing.T) {
	for name, damage := range map[string]func(dir string) error{
		"no manifest":     func(d string) error { return os.Remove(filepath.Join(d, manifestFile)) },
		"no images":       func(d string) error { return os.Remove(filepath.Join(d, imagesFile)) },
		"pairs cut short": func(d string) error { return os.Truncate(filepath.Join(d, pairsFile), 500) },
		"images cut":      func(d string) error { return os.Truncate(filepath.Join(d, imagesFile), 900) },
		"manifest cut":    func(d string) error { return os.Truncate(filepath.Join(d, manifestFile), 40) },
	} {
		dir := t.TempDir()
		writeTestPack(t, dir)
		if err := damage(dir); err != nil {
			t.Fatal(err)
		}
		if _, err := OpenPack(dir); !errors.Is(err, ErrNoPack) {
			t.Errorf("%s: OpenPack gives %v, want ErrNoPack", name, err)
		}
		if _, err := Info(dir); !errors.Is(err, ErrNoPack) {
			t.Errorf("%s: Info gives %v, want ErrNoPack", name, err)
		}
	}
	if _, err := OpenPack(filepath.Join(t.TempDir(), "nothing")); !errors.Is(err, ErrNoPack) {
		t.Errorf("a missing folder gives %v, want ErrNoPack", err)
	}
}

func TestFailedWriteLeavesNoPack(t *testing.T) {
	dir := t.TempDir()
	writeTestPack(t, dir)
	// A folder in the way of images.zip makes the rename fail after the old manifest is gone.
	if err := os.Remove(filepath.Join(dir, imagesFile)); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Join(dir, imagesFile, "x"), 0o755); err != nil {
		t.Fatal(err)
	}
	s := fruits()[0]
	img := &image.NRGBA{Pix: s.RGBA, Stride: s.Size * 4, Rect: image.Rect(0, 0, s.Size, s.Size)}
	if _, err := writePack(dir, Manifest{Size: 32}, []Pair{s.Pair}, []*image.NRGBA{img}, ""); err == nil {
		t.Fatal("writing over a folder worked")
	}
	if _, err := os.Stat(filepath.Join(dir, manifestFile)); !errors.Is(err, os.ErrNotExist) {
		t.Error("a manifest is left of a failed write")
	}
	left, err := filepath.Glob(filepath.Join(dir, ".tmp-*"))
	if err != nil || len(left) > 0 {
		t.Errorf("temporary files are left: %v %v", left, err)
	}
}

func TestFolder(t *testing.T) {
	dir := t.TempDir()
	red := disc("apple", "apple", "noto", 230, 20, 20)
	img := &image.NRGBA{Pix: red.RGBA, Stride: red.Size * 4, Rect: image.Rect(0, 0, red.Size, red.Size)}
	writePNG(t, filepath.Join(dir, "sub", "an_apple-1.png"), img)
	writePNG(t, filepath.Join(dir, "b.png"), img)
	for name, text := range map[string]string{
		"b.txt": "a red disc\n\n  the disc on the left \n", "corrupt.png": "\x89PNG\r\n\x1a\nnothing", "empty.jpg": "", "notes.md": "no picture",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	f, err := OpenFolder(dir, 16)
	if err != nil {
		t.Fatal(err)
	}
	if len(f.Pictures) != 2 || f.Skipped != 2 || f.First == nil {
		t.Fatalf("%d pictures, %d skipped (%v); want 2 and 2", len(f.Pictures), f.Skipped, f.First)
	}
	if got := f.Pictures[0].Captions; !reflect.DeepEqual(got, []string{"a red disc", "the disc on the left"}) {
		t.Errorf("captions %q", got)
	}
	if got := f.Pictures[1].Captions; !reflect.DeepEqual(got, []string{"an apple 1"}) {
		t.Errorf("captions from the name %q", got)
	}
	s := f.Sample(1, 0, 0)
	if got := classify(s.Pix[0], s.Pix[1], s.Pix[2]); got != 0 {
		t.Errorf("the transparent corner is colour %d, want white", got)
	}
	if mid := s.Pix[(8*16+8)*3:]; classify(mid[0], mid[1], mid[2]) != colourIndex("red") {
		t.Errorf("the middle is %v, want red", mid[:3])
	}
	if a, b := f.Batch(1, 0, 5), f.Batch(1, 0, 5); !reflect.DeepEqual(a, b) || !reflect.DeepEqual(a.Pix[:16*16*3], s.Pix) {
		t.Error("batches of a folder are not a function of their key")
	}
	if _, err := OpenFolder(t.TempDir(), 16); err == nil || !strings.Contains(err.Error(), "no pictures") {
		t.Errorf("an empty folder gives %v", err)
	}
}
