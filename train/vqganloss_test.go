package train

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"

	"github.com/smalti/smalti/clip"
	"github.com/smalti/smalti/engine"
	"github.com/smalti/smalti/gx"
	"github.com/smalti/smalti/rng"
	"github.com/smalti/smalti/vqgan"
	"github.com/smalti/smalti/weights"
)

// toyTower writes a small CLIP with drawn weights, to serve as a perceptual network.
func toyTower(t *testing.T) string {
	t.Helper()
	c := clip.BuiltinV0(clip.TrimVocab([]string{"a red ball"}, 600))
	c.Vision.ImageSize, c.Vision.Widths, c.EmbedDim = 8, []int{4, 6, 8}, 8
	c.Text.Width, c.Text.Heads = 8, 2
	e, err := engine.New(engine.Options{Threads: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	decls, err := c.Decls(e)
	if err != nil {
		t.Fatal(err)
	}
	ts, err := engine.Upload(decls, gx.Materialise(decls, 7))
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "tower.safetensors")
	if err := weights.SaveFile(path, func(w io.Writer) error { return clip.Save(w, c, ts) }); err != nil {
		t.Fatal(err)
	}
	return path
}

// lendFile takes names for paths.
func lendFile(_, name string) (*weights.File, string, error) {
	f, err := weights.Open(name)
	return f, "sum of " + name, err
}

// toyRivals is toyVQGAN with a perceptual network and a discriminator that learns from the third step and counts from the fourth. Its
// first step has no codebook.
func toyRivals(t *testing.T) VQGANConfig {
	t.Helper()
	c := toyVQGAN()
	c.Crop, c.Canvases = 16, []int{16, 24}
	c.QuantiseFrom, c.Perceptual = 1, PerceptualConfig{Model: toyTower(t), Weight: .1}
	c.Adversary = AdversaryConfig{Weight: .2, Game: vqgan.Hinge, Width: 4, Layers: 1, From: 2, Start: 3, Ramp: 2, Limit: 100, LR: 1e-3, Beta1: .5, Beta2: .9}
	return c
}

// stop runs a training until the given step.
func stopAt(t *testing.T, c VQGANConfig, dir string, step int) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	if _, err := RunVQGAN(ctx, c, cancelAt(step, cancel), Options{Dir: dir, Lend: lendFile}); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
}

func TestRivalsResumeByteEqualInEveryForm(t *testing.T) {
	c := toyRivals(t)
	c.Codebook, c.Decay = EMACodebook, .5
	c.Train.Workers = 2
	whole := t.TempDir()
	res, err := RunVQGAN(context.Background(), c, nil, Options{Dir: whole, Lend: lendFile})
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"concepts_psnr", "concepts_ssim", "concepts_perceptual", "frechet", "codes_used"} {
		if v, ok := res.Scores[name]; !ok || math.IsNaN(v) {
			t.Errorf("score %s: %v", name, v)
		}
	}
	c.Train.Workers = 1
	for step := 1; step <= 4; step++ { // without a codebook, before the discriminator learns, before it counts, and while it counts
		parts := t.TempDir()
		stopAt(t, c, parts, step)
		if _, err := RunVQGAN(context.Background(), c, nil, Options{Dir: parts, Resume: true, Lend: lendFile}); err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{StateFile, ModelFile} {
			if !bytes.Equal(readFile(t, whole, name), readFile(t, parts, name)) {
				t.Errorf("stopped after step %d: %s differs", step, name)
			}
		}
	}
	m, err := weights.Open(filepath.Join(whole, ModelFile))
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	for _, name := range weights.NewLoader(m).Names() {
		if strings.HasPrefix(name, "discriminator") || strings.HasPrefix(name, "perceptual") {
			t.Errorf("the model's file holds %s", name)
		}
	}
}

// TestLossIsTamings holds the loss of the trainer, with its own terms off, to vqgan.Adversarial, which parity tests hold to
// taming's: values and the gradients of both sides.
func TestLossIsTamings(t *testing.T) {
	c := toyRivals(t)
	c.MSE, c.Pyramid, c.Levels, c.Codes, c.Perceptual = 0, 0, 0, 1, PerceptualConfig{}
	c.Adversary.Weight, c.Adversary.Limit = .8, 1e4
	r := newVQGANRecipe(c, mustScenes(t), nil)
	x := make([]float32, 2*16*16*3)
	rng.New(1, "x").FillUniform(x, 0, 1)
	in := []Array{Floats(x, 2, 16, 16, 3), Floats([]float32{.5})}
	kernel, judge := "encoder.down.0.block.0.conv1.weight", "discriminator.main.2.weight"
	ours := func(v *gx.Vars, in []*graph.Node) []*graph.Node {
		o := r.LossAt(against, v, in)
		return []*graph.Node{o.Loss, o.Rivals[0], graph.Gradient(o.Loss, v.Node(kernel))[0], graph.Gradient(o.Rivals[0], v.Node(judge))[0]}
	}
	theirs := func(v *gx.Vars, in []*graph.Node) []*graph.Node {
		a := vqgan.DefaultAdversarial()
		a.Discriminator = c.Adversary.discriminator()
		x := graph.AddScalar(graph.MulScalar(in[0], 2), -1)
		rec := a.Reconstruct(c.Model, v, v.In(discriminatorTeam), x, in[1], &vqgan.Stats{})
		j := a.Judge(v.In(discriminatorTeam), x, rec.Picture, &vqgan.Stats{})
		return []*graph.Node{rec.Loss, j.Loss, graph.Gradient(rec.Loss, v.Node(kernel))[0], graph.Gradient(j.Loss, v.Node(judge))[0]}
	}
	a, b := runVars(t, ours, in), runVars(t, theirs, in)
	for i := range a {
		for k := range a[i] {
			if d := math.Abs(float64(a[i][k] - b[i][k])); d > 1e-5*(1e-2+math.Abs(float64(b[i][k]))) { // other orders of the same sums
				t.Fatalf("output %d, element %d: %g, want %g", i, k, a[i][k], b[i][k])
			}
		}
	}
}

func mustScenes(t *testing.T) *scenes {
	t.Helper()
	s, err := openScenes(ShapesData, 16)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// runVars runs a graph with drawn variables.
func runVars(t *testing.T, build engine.Build, in []Array) [][]float32 {
	t.Helper()
	e, err := engine.New(engine.Options{Threads: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	p := e.Program("test", build)
	decls, err := p.Decls(shapesOf(in)...)
	if err != nil {
		t.Fatal(err)
	}
	vars, err := engine.Upload(decls, gx.Materialise(decls, 3))
	if err != nil {
		t.Fatal(err)
	}
	ts := make([]*tensors.Tensor, len(in))
	for i, a := range in {
		ts[i] = a.tensor()
	}
	outs, err := p.Run(vars, ts...)
	if err != nil {
		t.Fatal(err)
	}
	var out [][]float32
	for _, o := range outs {
		out = append(out, engine.Floats(o))
	}
	return out
}

// TestSidesDoNotTouch checks that before its first step nothing of the discriminator changes, and that then it does.
func TestSidesDoNotTouch(t *testing.T) {
	c := toyRivals(t)
	c.Train.SaveEvery = 1
	at := func(step int) (judge, maker []float32) {
		dir := t.TempDir()
		stopAt(t, c, dir, step)
		f, err := weights.Open(filepath.Join(dir, StateFile))
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		get := func(name string) []float32 {
			x, ok := f.Tensor(valuePrefix + name)
			if !ok {
				t.Fatalf("no %s", name)
			}
			data, err := x.Float32()
			if err != nil {
				t.Fatal(err)
			}
			return slices.Clone(data) // the file is closed
		}
		return get("discriminator.main.0.weight"), get("decoder.conv_out.weight")
	}
	judge1, maker1 := at(2)
	judge2, maker2 := at(3)
	decls := []gx.Decl{{Name: "discriminator.main.0.weight", Spec: gx.Spec{Dims: []int{4, 4, 3, 4}, Layout: gx.Conv, Init: gx.Normal(.02)}}}
	drawn := gx.Conv.ToFile(gx.Materialise(decls, c.Train.Seed)["discriminator.main.0.weight"], []int{4, 4, 3, 4})
	if !slices.Equal(judge1, drawn) {
		t.Error("the discriminator moved before its first step")
	}
	if slices.Equal(judge1, judge2) || slices.Equal(maker1, maker2) {
		t.Error("a side stands still in its step")
	}
}

func TestFrozenEncoderStaysToTheBit(t *testing.T) {
	c := toyRivals(t)
	first := t.TempDir()
	if _, err := RunVQGAN(context.Background(), c, nil, Options{Dir: first, Lend: lendFile}); err != nil {
		t.Fatal(err)
	}
	c.Freeze, c.QuantiseFrom = FreezeEncoder, 0
	if _, err := RunVQGAN(context.Background(), c, nil, Options{Dir: t.TempDir(), Lend: lendFile}); err == nil {
		t.Error("a drawn encoder was frozen")
	}
	second := t.TempDir()
	if _, err := RunVQGAN(context.Background(), c, nil, Options{Dir: second, InitFrom: filepath.Join(first, ModelFile), Lend: lendFile}); err != nil {
		t.Fatal(err)
	}
	a, b := tensorsIn(t, filepath.Join(first, ModelFile)), tensorsIn(t, filepath.Join(second, ModelFile))
	moved := 0
	for name := range a {
		same := slices.Equal(a[name], b[name])
		if frozen := strings.HasPrefix(name, "encoder.") || strings.HasPrefix(name, "quant"); frozen && !same {
			t.Errorf("%s changed", name)
		} else if !frozen && !same {
			moved++
		}
	}
	if moved == 0 {
		t.Error("the decoder did not learn")
	}
}

func tensorsIn(t *testing.T, path string) map[string][]float32 {
	t.Helper()
	f, err := weights.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	out := map[string][]float32{}
	for _, n := range weights.NewLoader(f).Names() {
		x, _ := f.Tensor(n)
		data, err := x.Float32()
		if err != nil {
			t.Fatal(err)
		}
		out[n] = slices.Clone(data) // the file is closed
	}
	return out
}

func TestOpenTrunk(t *testing.T) {
	values := Values{}
	scale := map[string]float64{"encoder.conv_in.weight": math.Sqrt(3), "decoder.up.1.upsample.conv.weight": math.Sqrt(3), "post_quant_conv.weight": math.Sqrt(3),
		"decoder.up.0.block.0.nin_shortcut.weight": math.Sqrt(3), "encoder.mid.block_1.conv2.weight": .02, "encoder.mid.block_1.conv1.weight": 1,
		"encoder.norm_out.weight": 1, "encoder.conv_in.bias": 1, "decoder.mid.attn_1.q.weight": 1, codebookName: 1, "discriminator.main.0.weight": 1}
	for name := range scale {
		values[name] = []float32{2}
	}
	openTrunk(values)
	for name, want := range scale {
		if got := float64(values[name][0]); math.Abs(got-2*want) > 1e-6 {
			t.Errorf("%s: scaled by %g, want %g", name, got/2, want)
		}
	}
}

func TestAveragedCodebookByHand(t *testing.T) {
	c := toyVQGAN()
	c.Model.NEmbed, c.Model.EmbedDim, c.Model.L2 = 2, 2, false
	c.Codebook, c.Decay, c.ReviveEvery = EMACodebook, .75, 0
	r := newVQGANRecipe(c, mustScenes(t), nil)
	f := newFlat([]gx.Decl{{Name: codebookName, Spec: gx.Spec{Dims: []int{2, 2}}}}, decays)
	copy(f.value, []float32{1, 1, 5, 6})
	z := Floats([]float32{2, 0, 4, 8}, 1, 1, 2, 2)
	if err := r.AfterStep(1, [][]Array{{z, Ints([]int32{0, 0}, 1, 1, 2)}}, Weights{f}); err != nil {
		t.Fatal(err)
	}
	// Sums .25*(6,8), number .25*2: the mean is (3,4). Nobody chose the second code.
	if !slices.Equal(f.value, []float32{3, 4, 5, 6}) || !slices.Equal(f.ema[:2], f.value[:2]) {
		t.Errorf("codes %v, averages %v", f.value, f.ema)
	}
	if err := r.AfterStep(2, [][]Array{{Floats([]float32{7, 4, 0, 0}, 1, 1, 2, 2), Ints([]int32{0, 1}, 1, 1, 2)}}, Weights{f}); err != nil {
		t.Fatal(err)
	}
	// First: (.75*1.5 + .25*7, .75*2 + .25*4) over .75*.5 + .25.
	if got, want := f.value[0], float32(2.875/.625); math.Abs(float64(got-want)) > 1e-6 {
		t.Errorf("got %g, want %g", got, want)
	}
	if f.value[2] != 0 {
		t.Errorf("the second code is %v, want its only vector", f.value[2:])
	}
}

func TestWatchSpeaksOnce(t *testing.T) {
	c := toyRivals(t)
	r := newVQGANRecipe(c, mustScenes(t), nil)
	good := map[string]float64{"discriminator_loss": .6, "adversarial_weight": .1}
	bad := map[string]float64{"discriminator_loss": .01, "logit_real": 3, "logit_fake": -3, "adversarial_weight": c.Adversary.Weight * c.Adversary.Limit}
	if w := r.Watch(5, good); len(w) != 0 {
		t.Errorf("all is well: %q", w)
	}
	w := r.Watch(6, bad)
	if len(w) != 2 || !strings.Contains(w[0], "the discriminator overpowers") || !strings.Contains(w[1], "limit") {
		t.Errorf("got %q", w)
	}
	if again := r.Watch(7, bad); len(again) != 0 {
		t.Errorf("said again: %q", again)
	}
	r.seen[3] = 5
	r.endEpoch()
	if w := r.Watch(8, good); len(w) != 1 || !strings.Contains(w[0], "6 % of codes in use (1 of 16)") {
		t.Errorf("got %q", w)
	}
}

func TestPerceptualDistance(t *testing.T) {
	p, err := openPerceptual(&PerceptualConfig{Model: toyTower(t), Weight: 1}, lendFile)
	if err != nil {
		t.Fatal(err)
	}
	x, y := make([]float32, 2*16*16*3), make([]float32, 2*16*16*3)
	rng.New(1, "x").FillUniform(x, -1, 1)
	copy(y, x[:16*16*3]) // the second pictures differ
	got := runPerceptual(t, p, x, y)
	if got[0] > 1e-9 {
		t.Errorf("equal pictures are %g apart", got[0])
	}
	if !(got[1] > 1e-3 && got[1] <= 4) {
		t.Errorf("different pictures are %g apart", got[1])
	}
	if back := runPerceptual(t, p, y, x); math.Abs(float64(back[1]-got[1])) > 1e-6 {
		t.Errorf("%g there, %g back", got[1], back[1])
	}
	if _, err := openPerceptual(&PerceptualConfig{Model: toyTower(t), Weight: 1, Side: 6}, lendFile); err == nil {
		t.Error("a side that does not halve twice was taken")
	}
	if none, err := openPerceptual(&PerceptualConfig{}, nil); none != nil || err != nil {
		t.Errorf("no network: %v, %v", none, err)
	}
}

// TestPerceptualOfVGG trains a step with a VGG16 of few channels in the loss.
func TestPerceptualOfVGG(t *testing.T) {
	e, err := engine.New(engine.Options{Threads: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	m := vqgan.LPIPS{Widths: [5]int{2, 2, 3, 3, 4}, Linear: true}
	decls, err := m.Decls(e)
	if err != nil {
		t.Fatal(err)
	}
	values := gx.Materialise(decls, 1)
	var outs []weights.Out
	for _, d := range decls {
		outs = append(outs, weights.Out{Name: d.Name, DType: weights.F32, Shape: d.Layout.FileDims(d.Dims), Floats: d.Layout.ToFile(values[d.Name], d.Dims)})
	}
	path := filepath.Join(t.TempDir(), "vgg.safetensors")
	if err := weights.SaveFile(path, func(w io.Writer) error { return weights.WriteSafetensors(w, nil, outs) }); err != nil {
		t.Fatal(err)
	}
	c := toyRivals(t)
	c.Perceptual.Model, c.Train.Steps = path, 2
	dir := t.TempDir()
	res, err := RunVQGAN(context.Background(), c, nil, Options{Dir: dir, Lend: lendFile})
	if err != nil {
		t.Fatal(err)
	}
	if d := res.Scores["concepts_perceptual"]; !(d > 0) {
		t.Errorf("scores %v", res.Scores)
	}
	c.Perceptual.SHA256 = "of other weights"
	if _, err := RunVQGAN(context.Background(), c, nil, Options{Dir: dir, Resume: true, Lend: lendFile}); err == nil || !strings.Contains(err.Error(), "began with") {
		t.Errorf("other weights under the name: %v", err)
	}
}

func runPerceptual(t *testing.T, p *perceptual, x, y []float32) []float32 {
	t.Helper()
	e, err := engine.New(engine.Options{Threads: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	prog := e.Program("distance", func(v *gx.Vars, in []*graph.Node) []*graph.Node {
		return []*graph.Node{p.distance(v.In(perceptualPrefix), in[0], in[1])}
	})
	n := len(x) / (16 * 16 * 3)
	outs, err := prog.Run(p.upload(), Floats(x, n, 16, 16, 3).tensor(), Floats(y, n, 16, 16, 3).tensor())
	if err != nil {
		t.Fatal(err)
	}
	return engine.Floats(outs[0])
}
