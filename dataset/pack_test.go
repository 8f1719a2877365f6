package dataset

import (
	"errors"
	"image"
	"os"
	"path/filepath"
	"reflect"
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
