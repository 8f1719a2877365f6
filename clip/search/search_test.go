package search

import (
	"context"
	"errors"
	"fmt"
	"image"
	"image/color"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/smalti/smalti/event"
	"github.com/smalti/smalti/pixel"
)

// colours is an encoder whose features are a picture's mean colour, and a colour for its name.
type colours struct {
	side   int
	looked int // pictures
	stop   func()
}

func (c *colours) ImageSize() int { return c.side }
func (c *colours) EmbedDim() int  { return 3 }

func (c *colours) EncodeImage(_ context.Context, pictures ...image.Image) ([][]float32, error) {
	var out [][]float32
	for _, p := range pictures {
		m := pixel.CLIPPreprocess(p, c.side)
		f := make([]float32, 3)
		for i, v := range m.Pix {
			f[i%3] += v / float32(len(m.Pix)/3)
		}
		out = append(out, f)
		c.looked++
	}
	if c.stop != nil {
		c.stop()
	}
	return out, nil
}

func (c *colours) EncodeText(_ context.Context, texts ...string) ([][]float32, error) {
	var out [][]float32
	for _, t := range texts {
		f, ok := map[string][]float32{"red": {9, 0, 0}, "green": {0, 9, 0}, "blue": {0, 0, 9}, "nothing": {0, 0, 0}}[t]
		if !ok {
			return nil, fmt.Errorf("no colour %q", t)
		}
		out = append(out, f)
	}
	return out, nil
}

func paint(t *testing.T, path string, c color.Color) {
	t.Helper()
	img := image.NewNRGBA(image.Rect(0, 0, 13, 9))
	for i := range 13 * 9 {
		img.Set(i%13, i/13, c)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(pixel.EncodePNG(f, img), f.Close()); err != nil {
		t.Fatal(err)
	}
}

var (
	red    = color.NRGBA{250, 10, 10, 255}
	green  = color.NRGBA{10, 250, 10, 255}
	blue   = color.NRGBA{10, 10, 250, 255}
	yellow = color.NRGBA{250, 250, 10, 255}
	black  = color.NRGBA{0, 0, 0, 255} // no direction
)

func folder(t *testing.T) (dir string, o Options) {
	t.Helper()
	dir = t.TempDir()
	for name, c := range map[string]color.Color{"red.png": red, "sub/green.png": green, "sub/deep/blue.png": blue, "yellow.PNG": yellow, ".hidden/x.png": red, "sub/.y.png": red} {
		paint(t, filepath.Join(dir, filepath.FromSlash(name)), c)
	}
	for name, text := range map[string]string{"broken.jpg": "no picture", "notes.txt": "red"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir, Options{Dir: dir, File: filepath.Join(t.TempDir(), "made", "index.safetensors"), Model: "m1"}
}

func update(t *testing.T, enc Encoder, o Options, sink event.Sink) (*Index, int) {
	t.Helper()
	ix, skipped, err := Update(t.Context(), enc, o, sink)
	if err != nil {
		t.Fatal(err)
	}
	return ix, skipped
}

func ask(t *testing.T, enc Encoder, ix *Index, query string, n int) []string {
	t.Helper()
	q, err := ParseQuery(query)
	if err != nil {
		t.Fatal(err)
	}
	v, err := q.Vector(t.Context(), enc, pixel.DecodeFile)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, h := range ix.Nearest(v, n) {
		out = append(out, h.Name)
	}
	return out
}

func TestSearch(t *testing.T) {
	dir, o := folder(t)
	enc := &colours{side: 8}
	var rec event.Recorder
	ix, skipped := update(t, enc, o, &rec)
	if ix.Pictures() != 4 || skipped != 1 || enc.looked != 4 {
		t.Fatalf("%d pictures, %d skipped, %d looked at", ix.Pictures(), skipped, enc.looked)
	}
	if e, ok := rec.Last(event.Step); !ok || e.Step != 5 || e.Steps != 5 {
		t.Errorf("progress %+v", e)
	}
	for query, want := range map[string][]string{
		"red":                         {"red.png", "yellow.PNG"},
		"green":                       {"sub/green.png", "yellow.PNG"},
		"red + green":                 {"yellow.PNG"},
		filepath.Join(dir, "red.png"): {"red.png"},
		"red + green - red":           {"sub/green.png"},
		"- red - green":               {"sub/deep/blue.png"},
		"0.1:red + 5:blue":            {"sub/deep/blue.png"},
	} {
		if got := ask(t, enc, ix, query, len(want)); !reflect.DeepEqual(got, want) {
			t.Errorf("%q finds %v, want %v", query, got, want)
		}
	}
	// The features of what was shrunk first are those of the picture itself, to the bit.
	img, err := pixel.DecodeFile(filepath.Join(dir, "yellow.PNG"))
	if err != nil {
		t.Fatal(err)
	}
	direct, _ := enc.EncodeImage(t.Context(), img)
	normalise(direct[0])
	i := slices.IndexFunc(ix.Entries, func(e Entry) bool { return e.Name == "yellow.PNG" })
	if !reflect.DeepEqual(ix.features[i], direct[0]) {
		t.Errorf("%v, directly %v", ix.features[i], direct[0])
	}
	if h := ix.Nearest(direct[0], 99); len(h) != 4 || math.Abs(h[0].Cosine-1) > 1e-6 { // float32
		t.Errorf("%+v", h)
	}
}

func TestIndexIsIncremental(t *testing.T) {
	dir, o := folder(t)
	enc := &colours{side: 8}
	update(t, enc, o, nil)
	before, err := os.ReadFile(o.File)
	if err != nil {
		t.Fatal(err)
	}
	again := func(what string, looked, pictures int) *Index {
		t.Helper()
		enc.looked = 0
		ix, _ := update(t, enc, o, nil)
		if enc.looked != looked || ix.Pictures() != pictures {
			t.Errorf("%s: %d looked at of %d, want %d of %d", what, enc.looked, ix.Pictures(), looked, pictures)
		}
		return ix
	}
	again("nothing changed", 0, 4)
	if now, _ := os.ReadFile(o.File); !reflect.DeepEqual(now, before) {
		t.Error("an index that is up to date was written anew")
	}
	paint(t, filepath.Join(dir, "sub", "more.png"), red)
	again("one more", 1, 5)
	paint(t, filepath.Join(dir, "red.png"), blue)
	later := time.Now().Add(time.Hour)
	if err := os.Chtimes(filepath.Join(dir, "red.png"), later, later); err != nil {
		t.Fatal(err)
	}
	if ix := again("one changed", 1, 5); ask(t, enc, ix, "red", 1)[0] != "sub/more.png" {
		t.Error("the changed picture is found as it was")
	}
	os.Remove(filepath.Join(dir, "sub", "more.png"))
	again("one less", 0, 4)
	again("one less, once more", 0, 4)
	paint(t, filepath.Join(dir, "broken.jpg"), green)
	if again("one repaired", 1, 5); enc.looked != 1 {
		t.Error("a repaired picture stays skipped")
	}
	paint(t, filepath.Join(dir, "black.png"), black)
	again("one without a direction", 1, 5)
	o.Rebuild = true
	again("all again", 6, 5)
	o.Rebuild = false
	if err := os.Remove(o.File); err != nil {
		t.Fatal(err)
	}
	again("deleted", 6, 5)
	o.Model = "m2"
	again("another model", 6, 5)
}

func TestDamagedIndexIsMadeAnew(t *testing.T) {
	_, o := folder(t)
	enc := &colours{side: 8}
	update(t, enc, o, nil)
	good, err := os.ReadFile(o.File)
	if err != nil {
		t.Fatal(err)
	}
	zero := slices.Clone(good)
	for i := len(zero) - 12*4; i < len(zero); i++ { // whichever of the two tensors lies there
		zero[i] = 0
	}
	for name, bad := range map[string][]byte{"empty": {}, "cut": good[:len(good)/2], "longer": append(slices.Clone(good), 0), "zeros": zero, "text": []byte("hello")} {
		if err := os.WriteFile(o.File, bad, 0o600); err != nil {
			t.Fatal(err)
		}
		enc.looked = 0
		var rec event.Recorder
		if ix, _ := update(t, enc, o, &rec); enc.looked != 4 || ix.Pictures() != 4 || len(rec.Events(event.Warning)) != 1 {
			t.Errorf("%s: %d looked at, %+v", name, enc.looked, rec.Events(event.Warning))
		}
		if now, _ := os.ReadFile(o.File); !reflect.DeepEqual(now, good) {
			t.Errorf("%s: the index differs from before", name)
		}
	}
}

// An interrupted indexing loses nothing that was looked at.
func TestInterruptedIndexing(t *testing.T) {
	dir, o := folder(t)
	for i := range 40 {
		paint(t, filepath.Join(dir, "many", fmt.Sprintf("%02d.png", i)), color.NRGBA{uint8(20 + i), 90, uint8(200 - i), 255})
	}
	ctx, cancel := context.WithCancel(t.Context())
	enc := &colours{side: 8, stop: cancel}
	if _, _, err := Update(ctx, enc, o, nil); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	first := enc.looked
	enc.stop = nil
	ix, _ := update(t, enc, o, nil)
	if first < 10 || enc.looked != 44 || ix.Pictures() != 44 {
		t.Errorf("%d, then %d looked at of %d", first, enc.looked, ix.Pictures())
	}
	resumed, err := os.ReadFile(o.File)
	if err != nil {
		t.Fatal(err)
	}
	o.Rebuild = true
	update(t, enc, o, nil)
	if whole, _ := os.ReadFile(o.File); !reflect.DeepEqual(whole, resumed) {
		t.Error("an interrupted and an uninterrupted indexing differ")
	}
}

func TestFolderWithoutPictures(t *testing.T) {
	o := Options{Dir: t.TempDir(), File: filepath.Join(t.TempDir(), "i"), Model: "m"}
	if ix, skipped := update(t, &colours{side: 8}, o, nil); ix.Pictures() != 0 || skipped != 0 || len(ix.Nearest([]float32{1, 0, 0}, 5)) != 0 {
		t.Error("found something")
	}
	update(t, &colours{side: 8}, o, nil)
	o.Dir = filepath.Join(o.Dir, "none")
	if _, _, err := Update(t.Context(), &colours{side: 8}, o, nil); err == nil {
		t.Error("a folder that is not there has an index")
	}
}

func TestParseQuery(t *testing.T) {
	for s, want := range map[string]Query{
		"a red apple":                  {{Text: "a red apple", Weight: 1}},
		"dog - leash":                  {{Text: "dog", Weight: 1}, {Text: "leash", Weight: -1}},
		"2:dog + pool.jpg - 0.5:leash": {{Text: "dog", Weight: 2}, {File: "pool.jpg", Weight: 1}, {Text: "leash", Weight: -0.5}},
		"- dog":                        {{Text: "dog", Weight: -1}},
		"black-and-white c++":          {{Text: "black-and-white c++", Weight: 1}},
		"note: a dog":                  {{Text: "note: a dog", Weight: 1}},
		"what is in x.png":             {{Text: "what is in x.png", Weight: 1}},
	} {
		if got, err := ParseQuery(s); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%q: %+v, %v", s, got, err)
		}
	}
	for _, s := range []string{"", " ", "dog -", "dog + + cat", "+", "2:", "0:dog"} {
		if got, err := ParseQuery(s); err == nil {
			t.Errorf("%q: %+v", s, got)
		}
	}
	enc := &colours{side: 8}
	for _, s := range []string{"red - red", "nothing", "0.5:green + blue - blue - 0.5:green"} {
		q, err := ParseQuery(s)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := q.Vector(t.Context(), enc, nil); !errors.Is(err, ErrNoDirection) {
			t.Errorf("%q: %v", s, err)
		}
	}
	q, _ := ParseQuery("gone.png")
	if _, err := q.Vector(t.Context(), enc, pixel.DecodeFile); err == nil || !strings.Contains(err.Error(), "gone.png") {
		t.Errorf("%v", err)
	}
}
