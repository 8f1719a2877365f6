package run

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"image"
	"image/gif"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/smalti/smalti/event"
	"github.com/smalti/smalti/latent"
	"github.com/smalti/smalti/pixel"
	"github.com/smalti/smalti/spec"
)

// morphed is a runner with pictures painted by the toys.
type morphed struct {
	*Runner
	dir      string // of one test
	pictures []string
}

// gallery is the runner and the pictures that all tests share: nothing writes to them.
var gallery struct {
	sync.Once
	morphed
}

func TestMain(m *testing.M) {
	code := m.Run()
	if gallery.dir != "" {
		os.RemoveAll(gallery.dir)
	}
	os.Exit(code)
}

func morphs(t *testing.T, n int) morphed {
	t.Helper()
	gallery.Do(func() {
		dir, err := os.MkdirTemp("", "smalti-morphs-*")
		check(t, err)
		g := morphed{Runner: runnerIn(t, dir, nil), dir: dir}
		for i := range 4 {
			j := job(2, "a red apple")
			j.Seed = uint64(i)
			path := filepath.Join(dir, string(rune('a'+i))+".png")
			_, err := g.Paint(context.Background(), Painting{Job: j, Out: path}, event.Discard)
			check(t, err)
			g.pictures = append(g.pictures, path)
		}
		gallery.morphed = g
	})
	if len(gallery.pictures) == 0 {
		t.Fatal("the pictures were not painted")
	}
	return morphed{gallery.Runner, t.TempDir(), slices.Clone(gallery.pictures[:n])}
}

// request is a morph through pictures with an output in a folder of its own.
func (m morphed) request(t *testing.T, n int, change func(*Morph)) Morph {
	q := Morph{Pictures: slices.Clone(m.pictures[:n]), Mode: "tokens", Frames: 8, To: float64(n - 1), Loop: latent.Once, Ease: "linear",
		Film: Film{Out: []string{filepath.Join(t.TempDir(), "m.webm")}, Delay: time.Second / 24, Quality: 80}}
	if change != nil {
		change(&q)
	}
	return q
}

func (m morphed) make(t *testing.T, q Morph) (MorphResult, []event.Event) {
	t.Helper()
	var rec event.Recorder
	res, err := m.Morph(context.Background(), q, &rec)
	check(t, err)
	return res, rec.Events()
}

func frame(t *testing.T, dir string, i int) image.Image {
	t.Helper()
	img, err := pixel.DecodeFile(filepath.Join(dir, framesDir, fmt.Sprintf("%06d.png", i)))
	check(t, err)
	return img
}

func samePixels(t *testing.T, what string, a image.Image, path string) {
	t.Helper()
	b, err := pixel.DecodeFile(path)
	check(t, err)
	if d, err := pixel.Compare(a, b); err != nil || !d.Equal() {
		t.Errorf("%s: %v, %+v", what, err, d)
	}
}

func TestMorphShowsItsPicturesExactly(t *testing.T) {
	m := morphs(t, 3)
	for name, change := range map[string]func(*Morph){
		"tokens":    nil,
		"lerp":      func(q *Morph) { q.Mode = "lerp" },
		"slerp":     func(q *Morph) { q.Mode = "slerp" },
		"soft":      func(q *Morph) { q.Mode, q.Soft = "slerp", true },
		"uniform t": func(q *Morph) { q.Mode, q.UniformT, q.Ease = "lerp", true, "smooth" },
		"folders": func(q *Morph) {
			q.Pictures = []string{FolderFor(m.pictures[0]), m.pictures[1], FolderFor(m.pictures[2])}
		},
	} {
		t.Run(name, func(t *testing.T) {
			q := m.request(t, 3, change)
			res, events := m.make(t, q)
			samePixels(t, "the first frame", frame(t, res.Dir, 0), m.pictures[0])
			samePixels(t, "the last frame", frame(t, res.Dir, 7), m.pictures[2])
			between := 0
			for i := range 8 {
				if d, err := pixel.Compare(frame(t, res.Dir, i), mustDecode(t, m.pictures[1])); err == nil && d.Equal() {
					between++
				}
			}
			if between < 1 { // mixtures close to it may have the same nearest codes
				t.Error("no frame shows the second picture")
			}
			for _, e := range events {
				if e.Kind == event.Warning || e.Kind == event.Notice && strings.Contains(e.Message, "reconstruction") {
					t.Errorf("%s", e.Message)
				}
			}
			if res.Frames != 8 || !(res.Mean > 0) || res.Max < res.Mean {
				t.Errorf("result %+v", res)
			}
		})
	}
}

func mustDecode(t *testing.T, path string) image.Image {
	t.Helper()
	img, err := pixel.DecodeFile(path)
	check(t, err)
	return img
}

func TestMorphResumesToTheSameBytes(t *testing.T) {
	m := morphs(t, 2)
	whole := m.request(t, 2, func(q *Morph) { q.Out = append(q.Out, strings.Replace(q.Out[0], ".webm", ".apng", 1)) })
	m.make(t, whole)
	parts := m.request(t, 2, func(q *Morph) { q.Out = append(q.Out, strings.Replace(q.Out[0], ".webm", ".apng", 1)) })
	ctx, stop := context.WithCancel(context.Background())
	_, err := m.Morph(ctx, parts, event.Func(func(e event.Event) {
		if e.Kind == event.Step && e.Step == 3 && e.Steps == 8 {
			stop()
		}
	}))
	var stopped *StoppedMorphError
	if !errors.As(err, &stopped) || stopped.Done != 3 || stopped.Frames != 8 || !errors.Is(err, context.Canceled) {
		t.Fatalf("error %v", err)
	}
	dir := FolderOfMorph(parts.Out[0])
	first := filepath.Join(dir, framesDir, "000000.png")
	before, err := os.Stat(first)
	check(t, err)
	_, events := m.make(t, parts)
	for _, e := range events {
		if e.Kind == event.Notice && strings.Contains(e.Message, "measuring") {
			t.Error("the frames were placed a second time")
		}
	}
	if after, err := os.Stat(first); err != nil || !after.ModTime().Equal(before.ModTime()) {
		t.Error("a frame was written again")
	}
	for i, out := range parts.Out {
		if !bytes.Equal(read(t, out), read(t, whole.Out[i])) {
			t.Errorf("%s differs from the morph made in one go", out)
		}
	}
	for _, e := range mustReadDir(t, filepath.Join(dir, framesDir)) {
		if !bytes.Equal(read(t, dir, framesDir, e), read(t, FolderOfMorph(whole.Out[0]), framesDir, e)) {
			t.Errorf("frame %s differs", e)
		}
	}
}

func mustReadDir(t *testing.T, dir string) (names []string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	check(t, err)
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

func TestMorphFolders(t *testing.T) {
	m := morphs(t, 2)
	q := m.request(t, 2, nil)
	m.make(t, q)
	dir := FolderOfMorph(q.Out[0])
	old := read(t, dir, framesDir, "000003.png")
	// Another morph takes the place of this one, unless it was told to keep others.
	q.Mode, q.KeepOther = "lerp", true
	if _, err := m.Morph(context.Background(), q, event.Discard); !spec.IsRefusal(err) {
		t.Errorf("error %v", err)
	}
	if !bytes.Equal(read(t, dir, framesDir, "000003.png"), old) {
		t.Error("a refused morph changed frames")
	}
	q.KeepOther, q.Frames = false, 4
	m.make(t, q)
	if got := mustReadDir(t, filepath.Join(dir, framesDir)); len(got) != 4 {
		t.Errorf("frames of the old morph were left: %v", got)
	}
	// A folder of something else is not touched.
	q.Dir = t.TempDir()
	check(t, os.WriteFile(filepath.Join(q.Dir, "mine.txt"), []byte("mine"), 0o644))
	if _, err := m.Morph(context.Background(), q, event.Discard); !spec.IsRefusal(err) {
		t.Errorf("error %v", err)
	}
	if got := mustReadDir(t, q.Dir); !slices.Equal(got, []string{"mine.txt"}) {
		t.Errorf("the folder holds %v", got)
	}
}

func TestMorphTakesForeignPictures(t *testing.T) {
	m := morphs(t, 2)
	photo := filepath.Join(m.dir, "photo.png")
	img := image.NewNRGBA(image.Rect(0, 0, 50, 31))
	for i := range img.Pix {
		img.Pix[i] = uint8(i) | 3
	}
	check(t, savePNG(photo, img))
	// A picture whose recipe names other weights.
	recipe, chunks, err := ReadRecipe(m.pictures[1])
	check(t, err)
	recipe.VQGAN.Name, recipe.VQGAN.SHA256 = "other/model", strings.Repeat("0", 64)
	data, err := recipe.Encode()
	check(t, err)
	text, err := pixel.ITXtChunk(pixel.RecipeKey, string(data))
	check(t, err)
	other := filepath.Join(m.dir, "other.png")
	check(t, savePNG(other, mustDecode(t, m.pictures[1]), text, chunks[len(chunks)-1]))
	// And one that was painted over.
	edited := filepath.Join(m.dir, "edited.png")
	_, chunks, err = ReadRecipe(m.pictures[1])
	check(t, err)
	check(t, savePNG(edited, image.NewNRGBA(image.Rect(0, 0, 16, 12)), chunks...))

	for name, c := range map[string]struct {
		second, said string
		kind         event.Kind
	}{
		"photo":  {photo, "was not made by smalti: it is shown as its reconstruction at 16x12", event.Notice},
		"other":  {other, "was made with another model (other/model)", event.Notice},
		"edited": {edited, "has other pixels than its codes", event.Warning},
	} {
		t.Run(name, func(t *testing.T) {
			q := m.request(t, 2, func(q *Morph) { q.Pictures = []string{m.pictures[0], c.second} })
			res, events := m.make(t, q)
			samePixels(t, "the first frame", frame(t, res.Dir, 0), m.pictures[0])
			if name == "edited" {
				samePixels(t, "the last frame", frame(t, res.Dir, 7), m.pictures[1])
			}
			if !slices.ContainsFunc(events, func(e event.Event) bool { return e.Kind == c.kind && strings.Contains(e.Message, c.said) }) {
				t.Errorf("it does not say: %s", c.said)
			}
		})
	}
	// Without a picture of smalti the first one decides the size, rounded; the model must be named, as there is no default one.
	q := m.request(t, 2, func(q *Morph) { q.Pictures, q.VQGAN = []string{photo, photo}, "toy/vqgan" })
	res, _ := m.make(t, q)
	if got := frame(t, res.Dir, 0).Bounds(); got != image.Rect(0, 0, 50, 32) {
		t.Errorf("size %v", got)
	}
	if res.Max != 0 || res.Mean != 0 {
		t.Errorf("between a picture and itself: %+v", res)
	}
	// The recipe of the first picture names weights that are not there.
	q.Pictures, q.VQGAN = []string{other, photo}, ""
	if _, err := m.Morph(context.Background(), q, event.Discard); !spec.IsRefusal(err) || !strings.Contains(err.Error(), "other/model") {
		t.Errorf("error %v", err)
	}
}

func savePNG(path string, img image.Image, chunks ...pixel.Chunk) error {
	var b bytes.Buffer
	if err := pixel.EncodePNG(&b, img, chunks...); err != nil {
		return err
	}
	return os.WriteFile(path, b.Bytes(), 0o644)
}

func TestMorphGoesBeyond(t *testing.T) {
	m := morphs(t, 2)
	for _, mode := range []string{"lerp", "slerp"} {
		// The nearest of the toy's 16 codes is often the picture's own, so what lies beyond is painted as it is.
		q := m.request(t, 2, func(q *Morph) { q.Mode, q.From, q.To, q.Frames, q.UniformT, q.Soft = mode, -1, 2, 7, true, true })
		res, _ := m.make(t, q)
		samePixels(t, "t 0", frame(t, res.Dir, 2), m.pictures[0])
		samePixels(t, "t 1", frame(t, res.Dir, 4), m.pictures[1])
		for _, i := range []int{0, 6} {
			for _, p := range m.pictures {
				if d, err := pixel.Compare(frame(t, res.Dir, i), mustDecode(t, p)); err != nil || d.Equal() {
					t.Errorf("%s: frame %d beyond the ends is one of the pictures (%v)", mode, i, err)
				}
			}
		}
	}
}

func TestMorphLoops(t *testing.T) {
	m := morphs(t, 2)
	bounce := m.request(t, 2, func(q *Morph) { q.Loop, q.Frames, q.Hold = latent.Bounce, 6, 1 })
	res, _ := m.make(t, bounce)
	if res.Frames != 8 { // both pictures are held
		t.Fatalf("%d frames", res.Frames)
	}
	frames := filepath.Join(res.Dir, framesDir)
	name := mustReadDir(t, frames)
	// 0 0' 1 2 3 3' 4 5, where 4 is 2 and 5 is 1 again.
	for _, pair := range [][2]int{{0, 1}, {4, 5}, {3, 6}, {2, 7}} {
		if !bytes.Equal(read(t, frames, name[pair[0]]), read(t, frames, name[pair[1]])) {
			t.Errorf("frames %v differ", pair)
		}
	}
	cycle := m.request(t, 2, func(q *Morph) { q.Loop = latent.Cycle })
	res, _ = m.make(t, cycle)
	samePixels(t, "the first frame", frame(t, res.Dir, 0), m.pictures[0])
	last, first := frame(t, res.Dir, 7), mustDecode(t, m.pictures[0])
	if d, err := pixel.Compare(last, first); err != nil || d.Equal() || d.Mean > res.Max {
		t.Errorf("the end does not lead to the beginning: %v, mean %g of at most %g", err, d.Mean, res.Max)
	}
}

func TestMorphGrid(t *testing.T) {
	m := morphs(t, 4)
	for _, mode := range []string{"tokens", "lerp", "slerp"} {
		sheet := filepath.Join(t.TempDir(), "grid.png")
		q := m.request(t, 4, func(q *Morph) { q.Mode, q.Columns, q.Rows, q.Out = mode, 3, 3, []string{sheet} })
		res, _ := m.make(t, q)
		for i, at := range []int{0, 2, 6, 8} {
			samePixels(t, mode+" corner", frame(t, res.Dir, at), m.pictures[i])
		}
		img := mustDecode(t, sheet)
		if img.Bounds() != image.Rect(0, 0, 3*16, 3*12) || res.Frames != 9 || !(res.Max >= res.Mean && res.Mean > 0) {
			t.Errorf("sheet %v, %+v", img.Bounds(), res)
		}
		corner := pixel.FromImage(img).Crop(32, 24, 16, 12).ToImage()
		samePixels(t, mode+" corner of the sheet", corner, m.pictures[3])
	}
}

func TestMorphFormats(t *testing.T) {
	m := morphs(t, 2)
	dir := t.TempDir()
	out := func(ext string) string { return filepath.Join(dir, "m"+ext) }
	q := m.request(t, 2, func(q *Morph) { q.Out = []string{out(".gif"), out(".apng"), out(".webm")} })
	res, events := m.make(t, q)
	g, err := gif.DecodeAll(bytes.NewReader(read(t, out(".gif"))))
	if err != nil || len(g.Image) != 8 || g.Delay[0] != 4 {
		t.Errorf("gif: %v", err)
	}
	frames, delay, err := pixel.DecodeAPNG(bytes.NewReader(read(t, out(".apng"))))
	if err != nil || len(frames) != 8 || delay != 41700*time.Microsecond {
		t.Fatalf("apng: %v, %d frames, %v", err, len(frames), delay)
	}
	for i, f := range frames {
		if d, err := pixel.Compare(f, frame(t, res.Dir, i)); err != nil || !d.Equal() {
			t.Errorf("apng: frame %d differs", i)
		}
	}
	if data := read(t, out(".webm")); !bytes.Contains(data, []byte("V_VP8")) {
		t.Error("no webm")
	}
	saved := 0
	for _, e := range events {
		if e.Kind == event.Saved {
			saved++
		}
	}
	if saved != 3 {
		t.Errorf("%d files are reported", saved)
	}
}

// TestMorphIsEven holds a token crossfade to the promise: no step is more than twice the mean.
func TestMorphIsEven(t *testing.T) {
	m := morphs(t, 0)
	for i := range 2 {
		j := job(1, "a red apple")
		j.Seed, j.Width, j.Height = uint64(i), 64, 64
		path := filepath.Join(m.dir, string(rune('a'+i))+".png")
		_, err := m.Paint(context.Background(), Painting{Job: j, Out: path}, event.Discard)
		check(t, err)
		m.pictures = append(m.pictures, path)
	}
	res, _ := m.make(t, m.request(t, 2, func(q *Morph) { q.Frames = 30 }))
	if ratio := res.Max / res.Mean; ratio > 2 {
		t.Errorf("the longest step is %.2f of the mean", ratio)
	} else {
		t.Logf("longest step over mean: %.3f", ratio)
	}
}

func TestMorphRefuses(t *testing.T) {
	m := morphs(t, 2)
	for name, change := range map[string]func(*Morph){
		"one picture":     func(q *Morph) { q.Pictures = q.Pictures[:1] },
		"unknown mode":    func(q *Morph) { q.Mode = "melt" },
		"soft tokens":     func(q *Morph) { q.Soft = true },
		"unknown ease":    func(q *Morph) { q.Ease = "bouncy" },
		"unknown loop":    func(q *Morph) { q.Loop = "knot" },
		"tokens beyond":   func(q *Morph) { q.To = 1.5 },
		"far beyond":      func(q *Morph) { q.Mode, q.From = "lerp", -1e9 },
		"backwards":       func(q *Morph) { q.From, q.To = 1, 0 },
		"too few frames":  func(q *Morph) { q.Frames = 1 },
		"too many frames": func(q *Morph) { q.Frames = 1e6 },
		"negative hold":   func(q *Morph) { q.Hold = -1 },
		"no pace":         func(q *Morph) { q.Delay = 0 },
		"quality":         func(q *Morph) { q.Quality = 101 },
		"unknown format":  func(q *Morph) { q.Out = []string{"m.avi"} },
		"no output":       func(q *Morph) { q.Out = nil },
		"no such folder":  func(q *Morph) { q.Out = []string{filepath.Join(m.dir, "none", "m.webm")} },
		"no steps":        func(q *Morph) { q.Mode = "clip" },
		"soft clip":       func(q *Morph) { q.Mode, q.Steps, q.Soft = "clip", 1, true },
		"empty prompt":    func(q *Morph) { q.Pictures[1] = "prompt: " },
		"grid by clip": func(q *Morph) {
			q.Pictures, q.Mode, q.Steps, q.Columns, q.Rows, q.To, q.Out = slices.Repeat(q.Pictures, 2), "clip", 1, 2, 2, 3, []string{"g.png"}
		},
		"grid of two":      func(q *Morph) { q.Columns, q.Rows, q.Out = 3, 3, []string{"g.png"} },
		"size":             func(q *Morph) { q.Width, q.Height = 15, 15 },
		"enormous":         func(q *Morph) { q.Width, q.Height = 16384, 16384 },
		"gif too large":    func(q *Morph) { q.Width, q.Height, q.Out = 6000, 6000, []string{filepath.Join(m.dir, "m.gif")} },
		"unknown model":    func(q *Morph) { q.VQGAN = "none" },
		"not a run folder": func(q *Morph) { q.Pictures = []string{m.pictures[0], m.dir} },
		"missing ffmpeg":   func(q *Morph) { q.Out = []string{filepath.Join(m.dir, "m.mp4")} },
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv("PATH", "")
			q := m.request(t, 2, change)
			if _, err := m.Morph(context.Background(), q, event.Discard); !spec.IsRefusal(err) {
				t.Errorf("error %v", err)
			}
		})
	}
	q := m.request(t, 2, func(q *Morph) { q.Pictures = []string{m.pictures[0], filepath.Join(m.dir, "none.png")} })
	if _, err := m.Morph(context.Background(), q, event.Discard); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("error %v", err)
	}
}
