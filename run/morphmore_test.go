package run

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/smalti/smalti/engine"
	"github.com/smalti/smalti/event"
	"github.com/smalti/smalti/gan"
	"github.com/smalti/smalti/gx"
	"github.com/smalti/smalti/latent"
	"github.com/smalti/smalti/pixel"
	"github.com/smalti/smalti/spec"
)

// TestMorphPaintsWords leads from words to a picture; the words are painted once.
func TestMorphPaintsWords(t *testing.T) {
	m := morphs(t, 1)
	q := m.request(t, 1, func(q *Morph) {
		q.Pictures, q.To, q.Frames = []string{"prompt:a red apple", q.Pictures[0]}, 1, 4
		q.CLIP, q.Seed = "toy/clip", 7
	})
	painted := func(events []event.Event) (n int) {
		for _, e := range events {
			if e.Message == "painting a red apple" {
				n++
			}
		}
		return n
	}
	res, events := m.make(t, q)
	if n := painted(events); n != spec.Presets["draft"].Steps {
		t.Errorf("%d steps of painting", n)
	}
	end := filepath.Join(res.Dir, endsDir, "000000.png")
	samePixels(t, "the first frame", frame(t, res.Dir, 0), end)
	samePixels(t, "the last frame", frame(t, res.Dir, 3), m.pictures[0])
	if words := read(t, res.Dir, morphFile); !bytes.Contains(words, []byte(`{"prompt":"a red apple","seed":7}`)) || !bytes.Contains(words, []byte("toy/clip")) {
		t.Errorf("the words are not recorded: %s", words)
	}
	whole := read(t, q.Out[0])
	check(t, os.RemoveAll(filepath.Join(res.Dir, framesDir)))
	check(t, os.Mkdir(filepath.Join(res.Dir, framesDir), 0o755))
	if _, events = m.make(t, q); painted(events) > 0 || !bytes.Equal(whole, read(t, q.Out[0])) {
		t.Error("the second sitting painted the words again, or made another film")
	}
	// A frame is as good a picture as any: it carries its codes and says whose they are.
	e, err := openEnd(end)
	check(t, err)
	if e.own == nil || e.by.Name != "toy/vqgan" {
		t.Error("the painted end has no codes")
	}
	// Words alone are painted at the default size.
	q = m.request(t, 1, func(q *Morph) {
		q.Pictures, q.To, q.VQGAN, q.CLIP, q.Width, q.Height = []string{"prompt:apple", "prompt:tree"}, 1, "toy/vqgan", "toy/clip", 16, 12
		q.Frames = 2
	})
	if res, _ := m.make(t, q); !(res.Max > 0) {
		t.Error("two prompts are one picture")
	}
}

// TestMorphByCLIP holds mode clip to exact ends and to the same bytes for threads and sittings.
func TestMorphByCLIP(t *testing.T) {
	m := morphs(t, 2)
	change := func(q *Morph) {
		q.Mode, q.Steps, q.LR, q.CLIP, q.Frames = "clip", 4, MorphLR, "toy/clip", 6
		q.From, q.To = -0.4, 1.4
	}
	whole := m.request(t, 2, change)
	res, _ := m.make(t, whole)
	const second = 4 // six frames from -0.4 to 1.4: one before the first picture, one after the second
	samePixels(t, "t 0", frame(t, res.Dir, 1), m.pictures[0])
	samePixels(t, "t 1", frame(t, res.Dir, second), m.pictures[1])
	for i := 2; i < second; i++ {
		for _, p := range m.pictures {
			if d, err := pixel.Compare(frame(t, res.Dir, i), mustDecode(t, p)); err != nil || d.Equal() {
				t.Errorf("frame %d between the pictures is one of them (%v)", i, err)
			}
		}
	}
	if !(res.Mean > 0) {
		t.Error("nothing moves")
	}
	even := m.request(t, 2, func(q *Morph) { change(q); q.From, q.To, q.Frames, q.Soft = 0, 1, 16, true })
	if res, _ := m.make(t, even); !(res.Max/res.Mean <= 2) {
		t.Errorf("the longest step is %.2f of the mean", res.Max/res.Mean)
	}

	parts := m.request(t, 2, change)
	ctx, stop := context.WithCancel(context.Background())
	_, err := m.Morph(ctx, parts, event.Func(func(e event.Event) {
		if e.Kind == event.Step && e.Step == second && e.Steps == 6 {
			stop()
		}
	}))
	var stopped *StoppedMorphError
	if !errors.As(err, &stopped) || stopped.Done != second {
		t.Fatalf("error %v", err)
	}
	alone, err := New(Options{Store: m.store, Threads: 1, Version: "test", Now: m.now})
	check(t, err)
	_, err = alone.Morph(context.Background(), parts, event.Discard)
	check(t, err)
	if !bytes.Equal(read(t, whole.Out[0]), read(t, parts.Out[0])) {
		t.Error("two sittings, one of them on a single thread, made another film")
	}
	// Without the painter's state, frames that are gone are painted again as they were.
	check(t, os.RemoveAll(filepath.Join(res.Dir, chaseFile)))
	check(t, os.Remove(filepath.Join(res.Dir, framesDir, "000003.png")))
	film := read(t, whole.Out[0])
	if m.make(t, whole); !bytes.Equal(film, read(t, whole.Out[0])) {
		t.Error("a frame that was painted again is another one")
	}
	// The steps count.
	more := m.request(t, 2, func(q *Morph) { change(q); q.Steps = 12 })
	m.make(t, more)
	if bytes.Equal(read(t, whole.Out[0]), read(t, more.Out[0])) {
		t.Error("more steps changed nothing")
	}
}

func TestMorphByCLIPEndsLoops(t *testing.T) {
	m := &morpher{req: &Morph{Loop: latent.Cycle}}
	plan := []place{{Frame: latent.Frame{A: 0, B: 1, T: 0}}, {Frame: latent.Frame{A: 0, B: 1, T: 0.5}}, {Frame: latent.Frame{A: 1, B: 0, T: 0}},
		{Frame: latent.Frame{A: 1, B: 0, T: 0.3}}, {Frame: latent.Frame{A: 1, B: 0, T: 0.7}}}
	for i, want := range map[int][2]int{1: {1, 1}, 3: {0, 2}, 4: {0, 1}} {
		if goal, left := m.ahead(plan, i); goal != want[0] || left != want[1] {
			t.Errorf("frame %d leads to picture %d in %d", i, goal, left)
		}
	}
	m.req.Loop = latent.Once
	if goal, _ := m.ahead(plan, 3); goal != -1 {
		t.Errorf("after the last picture it leads to %d", goal)
	}
}

// toyGAN writes a generator with random weights into a folder like that of a training.
func toyGAN(t *testing.T, r *Runner, labels int) string {
	t.Helper()
	c := gan.MNISTConv()
	c.Size, c.Latent, c.Labels, c.Generator.Width, c.Discriminator.Width = 16, 6, labels, 4, 4
	decls, err := c.GeneratorDecls(r.Engine())
	check(t, err)
	raw := gx.Materialise(decls, 3)
	for _, v := range raw { // weights as DCGAN begins with make grey pictures: stronger ones
		if slices.Max(v) < 0.5 {
			for i := range v {
				v[i] *= 12
			}
		}
	}
	values, err := engine.Upload(decls, raw)
	check(t, err)
	dir := t.TempDir()
	var b bytes.Buffer
	check(t, gan.Save(&b, c, values))
	check(t, os.WriteFile(filepath.Join(dir, trainedFile), b.Bytes(), 0o644))
	return dir
}

func TestMorphBetweenNoise(t *testing.T) {
	m := morphs(t, 0)
	dir := toyGAN(t, m.Runner, 0)
	g, _, err := m.GANAt(dir)
	check(t, err)
	all, err := g.Sample(context.Background(), g.Config().Noise(5, 0, 4), nil)
	check(t, err)
	same := func(what string, dir string, i, picture int) {
		t.Helper()
		if d, err := pixel.Compare(frame(t, dir, i), all[picture].ToImage()); err != nil || !d.Equal() {
			t.Errorf("%s: frame %d is not picture %d of the seed: %v", what, i, picture, err)
		}
	}
	name := func(k int) string { return fmt.Sprintf("gan:%s#5/%d", dir, k) }
	for _, mode := range []string{"lerp", "slerp"} {
		q := m.request(t, 0, func(q *Morph) {
			q.Pictures, q.Mode, q.To, q.Frames = []string{"gan:" + dir + "#5", name(3)}, mode, 1, 24
			q.Out = append(q.Out, strings.Replace(q.Out[0], ".webm", ".gif", 1))
		})
		res, _ := m.make(t, q)
		same(mode, res.Dir, 0, 0)
		same(mode, res.Dir, 23, 3)
		if ratio := res.Max / res.Mean; !(ratio <= 2) {
			t.Errorf("%s: the longest step is %.2f of the mean", mode, ratio)
		} else {
			t.Logf("%s: longest step over mean %.3f", mode, ratio)
		}
		film := read(t, q.Out[0])
		check(t, os.RemoveAll(filepath.Join(res.Dir, framesDir, "000007.png")))
		if m.make(t, q); !bytes.Equal(film, read(t, q.Out[0])) {
			t.Errorf("%s: another film from the same frames", mode)
		}
	}
	sheet := m.request(t, 0, func(q *Morph) {
		q.Pictures, q.Mode, q.To, q.Columns, q.Rows = []string{name(0), name(1), name(2), name(3)}, "slerp", 3, 3, 2
		q.Out = []string{filepath.Join(m.dir, "sheet.png")}
	})
	res, _ := m.make(t, sheet)
	for i, at := range []int{0, 2, 3, 5} {
		same("corner", res.Dir, at, i)
	}
	// Far beyond the ends noise is held to where generators have seen it.
	far := m.request(t, 0, func(q *Morph) {
		q.Pictures, q.Mode, q.From, q.To, q.Frames, q.UniformT = []string{name(0), name(1)}, "lerp", -8, 9, 18, true
	})
	res, _ = m.make(t, far)
	same("far", res.Dir, 8, 0)
	same("far", res.Dir, 9, 1)
	q := far
	mo, err := m.newMorpher(&q, event.Discard)
	check(t, err)
	z := mo.gan.reach.Clamp(mo.mixed(place{Frame: latent.Frame{A: 0, B: 1, T: 9}}))
	for _, v := range z.Data {
		if v < -noiseReach || v > noiseReach { // both ends of this seed lie within
			t.Errorf("noise of %g", v)
		}
	}
}

func TestMorphBetweenNoiseRefuses(t *testing.T) {
	m := morphs(t, 1)
	dir := toyGAN(t, m.Runner, 3)
	a, b := "gan:"+dir+"#1/0", "gan:"+dir+"#1/3"
	q := m.request(t, 0, func(q *Morph) { q.Pictures, q.Mode, q.To, q.Frames = []string{a, b}, "slerp", 1, 3 })
	m.make(t, q) // both are of class 0
	for name, change := range map[string]func(*Morph){
		"two classes":    func(q *Morph) { q.Pictures[1] = "gan:" + dir + "#1/1" },
		"two models":     func(q *Morph) { q.Pictures[1] = "gan:other#1" },
		"other pictures": func(q *Morph) { q.Pictures[1] = m.pictures[0] },
		"words":          func(q *Morph) { q.Pictures[0] = "prompt:apple" },
		"no seed":        func(q *Morph) { q.Pictures[1] = "gan:" + dir },
		"bad seed":       func(q *Morph) { q.Pictures[1] = "gan:" + dir + "#x" },
		"bad picture":    func(q *Morph) { q.Pictures[1] = "gan:" + dir + "#1/-1" },
		"tokens":         func(q *Morph) { q.Mode = "tokens" },
		"soft":           func(q *Morph) { q.Soft = true },
		"size":           func(q *Morph) { q.Width, q.Height = 64, 64 },
		"no model":       func(q *Morph) { q.Pictures = []string{"gan:none#1", "gan:none#2"} },
		"no checkpoint":  func(q *Morph) { q.Pictures = []string{"gan:" + m.dir + "#1", "gan:" + m.dir + "#2"} },
	} {
		t.Run(name, func(t *testing.T) {
			q := m.request(t, 0, func(q *Morph) { q.Pictures, q.Mode, q.To, q.Frames = []string{a, b}, "slerp", 1, 3 })
			change(&q)
			if _, err := m.Morph(context.Background(), q, event.Discard); !spec.IsRefusal(err) {
				t.Errorf("error %v", err)
			}
		})
	}
}
