package train

import (
	"bytes"
	"context"
	"errors"
	"math"
	"path/filepath"
	"slices"
	"testing"

	"github.com/gomlx/gomlx/core/graph"

	"github.com/smalti/smalti/engine"
	"github.com/smalti/smalti/event"
	"github.com/smalti/smalti/gx"
	"github.com/smalti/smalti/rng"
	"github.com/smalti/smalti/vqgan"
	"github.com/smalti/smalti/weights"
)

func toyVQGAN() VQGANConfig {
	c := DefaultVQGAN()
	c.Data = ShapesData
	c.Model.Ch, c.Model.ChMult, c.Model.Groups, c.Model.ZChannels, c.Model.EmbedDim, c.Model.NEmbed = 4, []int{1, 2}, 2, 4, 4, 16
	c.Crop, c.Canvases, c.Levels, c.EvalPictures = 8, []int{8, 12}, 2, 10
	c.Perceptual, c.Adversary, c.QuantiseFrom = PerceptualConfig{}, AdversaryConfig{}, 0
	c.ReviveEvery, c.ReviveUntil, c.ReviveBelow = 2, 100, .9 // revives much, so that a mistake in it shows
	t := &c.Train
	t.Steps, t.BatchSize, t.Warmup, t.ScalarsEvery, t.EvalEvery, t.SaveEvery = 5, 3, 1, 1, 0, 2
	return c
}

func TestVQGANResumesByteEqualWhateverTheWorkers(t *testing.T) {
	whole, parts := t.TempDir(), t.TempDir()
	c := toyVQGAN()
	c.Train.Workers = 2
	var rec event.Recorder
	res, err := RunVQGAN(context.Background(), c, &rec, Options{Dir: whole})
	if err != nil {
		t.Fatal(err)
	}
	if p := res.Scores["concepts_psnr"]; !(p > 0 && p < 50) {
		t.Errorf("scores %v", res.Scores)
	}
	if s, ok := rec.Last(event.Samples); !ok || s.Picture == nil {
		t.Error("no sheet of samples")
	}
	c.Train.Workers = 1
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	if _, err := RunVQGAN(ctx, c, cancelAt(3, cancel), Options{Dir: parts}); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	if _, err := RunVQGAN(context.Background(), c, nil, Options{Dir: parts, Resume: true}); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{StateFile, ModelFile, ConfigFile} {
		if !bytes.Equal(readFile(t, whole, name), readFile(t, parts, name)) {
			t.Errorf("%s of a run with two workers in one sitting and of one with one worker in two differ", name)
		}
	}
	f, err := weights.Open(filepath.Join(whole, ModelFile))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	e, err := engine.New(engine.Options{Threads: 1})
	if err != nil {
		t.Fatal(err)
	}
	m, err := vqgan.Open(e, f, nil)
	if err != nil {
		t.Fatal(err)
	}
	if got := m.Config().Resolution; got != 8 {
		t.Errorf("the model says it was trained at %d", got)
	}
}

func TestLaplacianByHand(t *testing.T) {
	// A 4x4 picture of one channel: level 0 is the difference from 2x2 means, level 1 that of the 2x2 picture of means
	// from its mean, the rest is the mean.
	x := []float32{1, 3, 0, 0, 1, 3, 0, 4, 8, 8, 2, 2, 8, 8, 2, 2}
	// Means: 2, 1, 8, 2. Level 0: (1+1+1+1 + 1+1+1+3 + 0 + 0)/16; level 1 around 3.25: (1.25+2.25+4.75+1.25)/4; rest 3.25.
	want := 10./16 + 9.5/4 + 3.25
	got := runGraph(t, func(in []*graph.Node) []*graph.Node { return []*graph.Node{laplacian(in[0], 2)} }, Floats(x, 1, 4, 4, 1))
	if math.Abs(float64(got[0][0])-want) > 1e-6 {
		t.Errorf("got %g, want %g", got[0][0], want)
	}
}

func TestKMeansFindsClusters(t *testing.T) {
	const d, k = 2, 3
	centres := [][]float32{{1, 0}, {0, 1}, {-1, 0}}
	s := rng.New(5, "test")
	var x []float32
	for i := range 300 {
		for _, v := range centres[i%3] {
			x = append(x, v+float32(s.Uniform(-.1, .1)))
		}
	}
	normaliseRows(x, d)
	got := kmeans(rng.New(5, "kmeans"), x, d, k, true)
	for _, c := range centres {
		near := got[nearestRow(got, c)*d:][:d]
		// The mean of 100 draws within .1 is within .02 of its centre except once in a million times.
		if math.Hypot(float64(near[0]-c[0]), float64(near[1]-c[1])) > .03 {
			t.Errorf("no centre near %v among %v", c, got)
		}
	}
	if two := kmeans(rng.New(5, "kmeans"), []float32{1, 0, 0, 1}, d, 5, false); len(two) != 10 {
		t.Errorf("5 centres of 2 rows: %v", two)
	}
}

func TestDeadCodesMoveToOutputs(t *testing.T) {
	c := toyVQGAN()
	c.Model.NEmbed, c.ReviveBelow = 4, .5
	data, err := openScenes(c.Data, 16)
	if err != nil {
		t.Fatal(err)
	}
	r := newVQGANRecipe(c, data, nil)
	f := newFlat([]gx.Decl{{Name: codebookName, Spec: gx.Spec{Dims: []int{4, 4}}}}, decays)
	for _, a := range [][]float32{f.value, f.m, f.v, f.ema} {
		for i := range a {
			a[i] = 7
		}
	}
	mean := float32(r.vectors()) / 4
	r.usage[0], r.usage[1], r.usage[2], r.usage[3] = mean, 0, mean, mean
	z := Floats([]float32{3, 0, 0, 4, 3, 0, 0, 4}, 1, 1, 2, 4)
	extra := [][]Array{{z, Ints([]int32{0, 2}, 1, 1, 2)}, {z, Ints([]int32{3, 3}, 1, 1, 2)}}
	if err := r.AfterStep(1, extra, Weights{f}); err != nil {
		t.Fatal(err)
	}
	if f.value[4] != 7 {
		t.Fatal("revived in a step that is none for it")
	}
	if err := r.AfterStep(2, extra, Weights{f}); err != nil {
		t.Fatal(err)
	}
	if row := f.value[4:8]; !slices.Equal(row, []float32{.6, 0, 0, .8}) {
		t.Errorf("the dead code is now %v, want the output at unit length", row)
	}
	if f.m[4] != 0 || f.v[7] != 0 || f.ema[4] != f.value[4] || r.usage[1] != mean {
		t.Error("moments, average or usage of the revived code were left")
	}
	if f.value[0] != 7 || f.m[8] != 7 {
		t.Error("a living code was touched")
	}
	if err := r.AfterStep(3, [][]Array{{z, Ints([]int32{9}, 1)}}, Weights{f}); err == nil {
		t.Error("a code outside the codebook went unnoticed")
	}
}

func TestPSNR(t *testing.T) {
	if got := psnr([]float32{0, 1, .5, .5}, []float32{.1, .9, .6, .4}); math.Abs(got-20) > 1e-4 { // mean square .01
		t.Errorf("got %g dB, want 20", got)
	}
	if got := psnr([]float32{.5}, []float32{.5}); got != 100 {
		t.Errorf("equal: %g", got)
	}
}

func TestVQGANRefusals(t *testing.T) {
	for name, spoil := range map[string]func(*VQGANConfig){
		"crop":      func(c *VQGANConfig) { c.Crop = 9 },
		"canvases":  func(c *VQGANConfig) { c.Canvases = []int{4} },
		"levels":    func(c *VQGANConfig) { c.Levels = 4 },
		"l1":        func(c *VQGANConfig) { c.L1 = math.NaN() },
		"quantiser": func(c *VQGANConfig) { c.Model.Quantiser, c.Model.L2 = vqgan.Gumbel, false },
		"data":      func(c *VQGANConfig) { c.Data = "" },
	} {
		c := toyVQGAN()
		spoil(&c)
		if _, err := RunVQGAN(context.Background(), c, nil, Options{Dir: t.TempDir()}); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}
