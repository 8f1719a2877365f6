package train

import (
	"bytes"
	"context"
	"errors"
	"math"
	"path/filepath"
	"testing"

	"github.com/smalti/smalti/clip"
	"github.com/smalti/smalti/engine"
	"github.com/smalti/smalti/event"
	"github.com/smalti/smalti/weights"
)

func toyClip() ClipConfig {
	c := DefaultClip()
	c.Data = ShapesData
	c.Model.Vision.ImageSize, c.Model.Vision.Widths = 8, []int{4, 6}
	c.Model.Text.Width, c.Model.Text.Heads, c.Model.EmbedDim = 8, 2, 8
	c.Captions = 200
	c.Vocabulary, c.Tokens, c.EvalPictures, c.AugmentSteps = 600, 12, 20, 2
	t := &c.Train
	t.Steps, t.BatchSize, t.Warmup, t.ScalarsEvery, t.EvalEvery, t.SaveEvery = 4, 6, 1, 1, 0, 2
	return c
}

func TestClipResumesByteEqualWhateverTheWorkers(t *testing.T) {
	whole, parts := t.TempDir(), t.TempDir()
	c := toyClip()
	c.Train.Workers = 2
	var rec event.Recorder
	res, err := RunClip(context.Background(), c, &rec, Options{Dir: whole})
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"style_r1", "style_r5", "concepts_r1", "scenes_r5"} {
		if v, ok := res.Scores[name]; !ok || v < 0 || v > 1 {
			t.Errorf("score %s is %v", name, v)
		}
	}
	c.Train.Workers = 1
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	if _, err := RunClip(ctx, c, cancelAt(3, cancel), Options{Dir: parts}); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	var stored ClipConfig
	if err := ReadConfig(parts, &stored); err != nil {
		t.Fatal(err)
	}
	if _, err := RunClip(context.Background(), stored, nil, Options{Dir: parts, Resume: true}); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{StateFile, ModelFile, ConfigFile} {
		if !bytes.Equal(readFile(t, whole, name), readFile(t, parts, name)) {
			t.Errorf("%s of a run with two workers in one sitting and of one with one worker in two differ", name)
		}
	}
}

func TestClipModelFile(t *testing.T) {
	dir := t.TempDir()
	c := toyClip()
	c.Train.Steps, c.MaxTemperature = 2, 10 // below the start of 14.3: the file must hold the cap
	if _, err := RunClip(context.Background(), c, nil, Options{Dir: dir}); err != nil {
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
	m, err := clip.Open(e, f, nil)
	if err != nil {
		t.Fatal(err)
	}
	got, err := m.EncodeText(context.Background(), "a red circle")
	if err != nil || len(got[0]) != 8 {
		t.Fatalf("text features %v, %v", got, err)
	}
	scale, _ := f.Tensor("logit_scale")
	v, err := scale.Float32()
	if err != nil || math.Abs(float64(v[0])-math.Log(10)) > 1e-3 { // float16
		t.Errorf("logit_scale %v, %v; want log 10", v, err)
	}
	if _, ok := f.Tensor("concept_head.weight"); ok {
		t.Error("the head of the training is in the model")
	}

	// A warm start takes the model's vocabulary and weights.
	warm := t.TempDir()
	c.Train.Steps, c.Train.LR = 1, 0
	if _, err := RunClip(context.Background(), c, nil, Options{Dir: warm, InitFrom: filepath.Join(dir, ModelFile)}); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(readFile(t, warm, ModelFile), readFile(t, dir, ModelFile)) {
		t.Error("a warm start and a step of rate 0 changed the model")
	}
}

func TestClipBatch(t *testing.T) {
	c := toyClip()
	data, err := openScenes(c.Data, 16)
	if err != nil {
		t.Fatal(err)
	}
	r := newClipRecipe(c, data)
	a, err := r.Batch(1, 0)
	if err != nil {
		t.Fatal(err)
	}
	b, _ := r.Batch(1, 1)
	again, _ := r.Batch(1, 0)
	if bytes.Equal(bytesOf(a[0].F), bytesOf(b[0].F)) {
		t.Error("two micro-batches are the same")
	}
	if !bytes.Equal(bytesOf(a[0].F), bytesOf(again[0].F)) {
		t.Error("a micro-batch differs when it is made again")
	}
	for i, x := range a[0].F {
		if !(x >= 0 && x <= 1) {
			t.Fatalf("value %d is %g", i, x)
		}
	}
	if s := []float64{r.strength(0), r.strength(1), r.strength(2), r.strength(99)}; math.Abs(s[0]-.3) > 1e-12 || math.Abs(s[1]-.525) > 1e-12 || s[2] != .75 || s[3] != .75 {
		t.Errorf("strengths %v", s)
	}
}

func bytesOf(x []float32) []byte {
	var out []byte
	for _, v := range x {
		b := math.Float32bits(v)
		out = append(out, byte(b), byte(b>>8), byte(b>>16), byte(b>>24))
	}
	return out
}

func TestClipRefusals(t *testing.T) {
	for name, spoil := range map[string]func(*ClipConfig){
		"batch_size": func(c *ClipConfig) { c.Train.BatchSize = 1 },
		"tokens":     func(c *ClipConfig) { c.Tokens = 78 },
		"smoothing":  func(c *ClipConfig) { c.Smoothing = math.NaN() },
		"data":       func(c *ClipConfig) { c.Data = filepath.Join(t.TempDir(), "nothing") },
		"model":      func(c *ClipConfig) { c.Model.EmbedDim = 0 },
	} {
		c := toyClip()
		spoil(&c)
		if _, err := RunClip(context.Background(), c, nil, Options{Dir: t.TempDir()}); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	if _, err := RunClip(context.Background(), toyClip(), nil, Options{}); err == nil {
		t.Error("no folder: no error")
	}
}
