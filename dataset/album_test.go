package dataset

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"image"
	"image/color"
	"image/png"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

// flat is a PNG of one colour with a transparent corner.
func flat(t *testing.T, w, h int, c color.NRGBA) string {
	t.Helper()
	img := image.NewNRGBA(image.Rect(0, 0, w, h))
	for y := range h {
		for x := range w {
			img.SetNRGBA(x, y, c)
		}
	}
	img.SetNRGBA(0, 0, color.NRGBA{})
	var b bytes.Buffer
	if err := png.Encode(&b, img); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// ownFiles is a collection with every kind of caption.
func ownFiles(t *testing.T) map[string]string {
	red := flat(t, 20, 20, color.NRGBA{230, 20, 20, 255})
	return map[string]string{
		"lines.png": red, "lines.txt": "a red disc\n\n  the disc on the left \n", "lines.json": `{"caption": "lines win"}`,
		"one.png": red, "one.json": `{"caption": "one red thing", "width": 3}`,
		"many.png": red, "many.json": `{"texts": ["red", "a red one", 7]}`,
		"sub/listed.png": red, "sub/metadata.jsonl": `{"file_name": "listed.png", "text": "from a list"}` + "\n" + `{"file_name": "deep/er.png", "text": "further down"}`,
		"sub/deep/er.png": red, "tab/row.jpg.png": red, "tab/metadata.csv": "\ufefffile_name,caption\nrow.jpg.png,\"a row, quoted\"\nmissing.png,nothing\n",
		"coco.png": red, "annotations/captions_train.json": `{"images": [{"id": 5, "file_name": "coco.png"}, {"id": 6, "file_name": "gone.png"}],
			"annotations": [{"image_id": 5, "caption": "first "}, {"image_id": 5, "caption": "second"}, {"image_id": 9, "caption": "no picture"}]}`,
		"an_apple-1.png": red, "broken.png": "\x89PNG\r\n\x1a\nnothing", "empty.jpg": "", "notes.md": "no picture", "badside.png": red, "badside.json": "{",
		"._hidden.png": "forks of another system",
	}
}

var ownCaptions = map[string][]string{
	"lines.png": {"a red disc", "the disc on the left"}, "one.png": {"one red thing"}, "many.png": {"red", "a red one"}, "sub/listed.png": {"from a list"},
	"sub/deep/er.png": {"further down"}, "tab/row.jpg.png": {"a row, quoted"}, "coco.png": {"first", "second"}, "an_apple-1.png": {"an apple 1"},
	"badside.png": {"badside"},
}

func writeFiles(t *testing.T, dir string, files map[string]string) {
	t.Helper()
	for name, text := range files {
		path := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o666); err != nil {
			t.Fatal(err)
		}
	}
}

func tarOf(t *testing.T, files map[string]string) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, name := range sortedKeys(files) {
		if err := w.WriteHeader(&tar.Header{Name: "./" + name, Mode: 0o666, Size: int64(len(files[name]))}); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write([]byte(files[name])); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func zipOf(t *testing.T, files map[string]string) []byte {
	t.Helper()
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	for _, name := range sortedKeys(files) {
		f, err := w.Create(name)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.Write([]byte(files[name])); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// TestAlbumSources opens the same pictures as a folder, a zip file and a tar file.
func TestAlbumSources(t *testing.T) {
	files, dir := ownFiles(t), t.TempDir()
	writeFiles(t, filepath.Join(dir, "folder"), files)
	writeFiles(t, dir, map[string]string{"own.zip": string(zipOf(t, files)), "own.tar": string(tarOf(t, files))})
	var first *Album
	for _, source := range []string{"folder", "own.zip", "own.tar"} {
		a, err := OpenAlbum(filepath.Join(dir, source), 8)
		if err != nil {
			t.Fatal(err)
		}
		got := map[string][]string{}
		for _, p := range a.Pictures {
			got[p.Path] = p.Captions
		}
		if !reflect.DeepEqual(got, ownCaptions) {
			t.Errorf("%s: captions %v", source, got)
		}
		if a.Skipped != 2 || a.First == nil || !strings.Contains(a.First.Error(), "broken.png") {
			t.Errorf("%s: %d skipped, the first: %v; want 2, broken.png", source, a.Skipped, a.First)
		}
		if first == nil {
			first = a
		} else if !reflect.DeepEqual(a.Batch(3, 1, 6, 8), first.Batch(3, 1, 6, 8)) {
			t.Errorf("%s: another batch than from the folder", source)
		}
	}
}

func TestAlbumOfShards(t *testing.T) {
	red, blue := flat(t, 8, 8, color.NRGBA{255, 0, 0, 255}), flat(t, 8, 8, color.NRGBA{0, 0, 255, 255})
	dir := t.TempDir()
	whole := tarOf(t, map[string]string{"000.png": red, "000.txt": "red"})
	cut := tarOf(t, map[string]string{"000.png": blue, "000.json": `{"caption":"blue"}`, "001.png": blue})
	writeFiles(t, dir, map[string]string{"a-0.tar": string(whole), "a-1.tar": string(cut[:len(cut)-1024-512-300])}) // ends inside the last picture
	a, err := OpenAlbum(dir, 4)
	if err != nil {
		t.Fatal(err)
	}
	if len(a.Pictures) != 2 || a.Pictures[0].Path != "a-0/000.png" || a.Pictures[1].Captions[0] != "blue" || a.Skipped > 1 {
		t.Fatalf("%+v, %d skipped", a.Pictures, a.Skipped)
	}
	if pix, _ := a.Plain(1, 4); pix[3*5] != 0 || pix[3*5+2] != 1 {
		t.Errorf("the second shard's picture is %v, want blue", pix[3*5:3*5+3])
	}
}

func TestAlbumOfCOCO(t *testing.T) {
	dir, files := t.TempDir(), ownFiles(t)
	writeFiles(t, dir, files)
	a, err := OpenAlbum(filepath.Join(dir, "annotations", "captions_train.json"), 8)
	if err != nil {
		t.Fatal(err)
	}
	if len(a.Pictures) != 1 || a.Pictures[0].Path != "coco.png" || len(a.Pictures[0].Captions) != 2 {
		t.Errorf("got %+v, want only the picture that the list has", a.Pictures)
	}
}

func TestAlbumSamples(t *testing.T) {
	dir := t.TempDir()
	writeFiles(t, dir, map[string]string{"wide.png": flat(t, 40, 20, color.NRGBA{230, 20, 20, 255}), "tall.png": flat(t, 20, 30, color.NRGBA{20, 20, 230, 255})})
	a, err := OpenAlbum(dir, 16)
	if err != nil {
		t.Fatal(err)
	}
	b := a.Batch(1, 7, 5, 16)
	for i := range 5 {
		s := a.Sample(1, 7, uint64(i), 16)
		if !reflect.DeepEqual(s.Pix, b.Pix[i*16*16*3:(i+1)*16*16*3]) || s.Caption != b.Captions[i] {
			t.Errorf("sample %d is not that of the batch", i)
		}
	}
	if s := a.Sample(1, 7, 0, 8); len(s.Pix) != 8*8*3 || s.Pix[3*30] < .05 {
		t.Errorf("a smaller sample: %d values, %v", len(s.Pix), s.Pix[3*30:3*30+3])
	}
	// Read again for each use, the same numbers.
	set, err := openFiles(dir)
	if err != nil {
		t.Fatal(err)
	}
	lazy, err := newAlbum(set, 16, 16*16*3)
	if err != nil {
		t.Fatal(err)
	}
	if lazy.Pictures[0].rgb != nil {
		t.Fatal("kept in memory beyond the limit")
	}
	if !reflect.DeepEqual(lazy.Batch(1, 7, 5, 16), b) {
		t.Error("pictures that are not kept give another batch")
	}
	if err := os.Remove(filepath.Join(dir, "tall.png")); err != nil {
		t.Fatal(err)
	}
	if pix, _ := lazy.Plain(0, 16); pix[0] != float32(128)/255 {
		t.Errorf("a picture that is gone is %v, want grey", pix[:3])
	}
	if err := lazy.Read(0, make([]uint8, 16*16*3)); err == nil {
		t.Error("reading it is no error")
	}
}

func TestAlbumSplit(t *testing.T) {
	a := &Album{Size: 1}
	for i := range 2000 {
		a.Pictures = append(a.Pictures, Picture{Path: strings.Repeat("x", i%7) + string(rune('a'+i%26)) + string(rune('0'+i/26))})
	}
	train, held := a.Split()
	if n := len(held.Pictures); n < 60 || n > 140 || n+len(train.Pictures) != 2000 { // 100 expected, deviation 9.7
		t.Errorf("%d of 2000 are held out", n)
	}
	few := &Album{Pictures: []Picture{{Path: "a"}, {Path: "b"}}}
	if train, held := few.Split(); len(train.Pictures) != 1 || len(held.Pictures) != 1 {
		t.Errorf("two pictures: %d and %d", len(train.Pictures), len(held.Pictures))
	}
	one := &Album{Pictures: []Picture{{Path: "a"}}}
	if train, held := one.Split(); len(train.Pictures)+len(held.Pictures) != 1 || len(train.Pictures) == 0 {
		t.Errorf("one picture: %d and %d", len(train.Pictures), len(held.Pictures))
	}
}

func TestAlbumRefusals(t *testing.T) {
	dir := t.TempDir()
	writeFiles(t, dir, map[string]string{"a.txt": "text", "bad.zip": "no zip", "bad/metadata.jsonl": "{", "bad/x.png": flat(t, 4, 4, color.NRGBA{A: 255}), "none/y.txt": ""})
	for source, want := range map[string]string{"a.txt": "neither a folder", "bad.zip": "zip", "bad": "metadata.jsonl", "none": "no pictures", "missing": "missing"} {
		if _, err := OpenAlbum(filepath.Join(dir, source), 8); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", source, err, want)
		}
	}
}
