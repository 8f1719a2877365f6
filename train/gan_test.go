package train

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"image/png"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/smalti/smalti/dataset"
	"github.com/smalti/smalti/engine"
	"github.com/smalti/smalti/event"
	"github.com/smalti/smalti/gan"
	"github.com/smalti/smalti/rng"
	"github.com/smalti/smalti/weights"
)

// barSet writes an IDX set of 8 x 8 pictures of three classes: a bar across, a bar down, a square.
func barSet(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for part, n := range map[string]int{dataset.TrainPart: 96, dataset.TestPart: 48} {
		pix, labels := make([]byte, 0, n*64), make([]byte, 0, n)
		for i := range n {
			class := i % 3
			s := rng.New(1, part, uint64(i))
			at := 2 + s.IntN(3)
			for y := range 8 {
				for x := range 8 {
					on := class == 0 && (y == at || y == at+1) || class == 1 && (x == at || x == at+1) || class == 2 && x >= at && x < at+3 && y >= at && y < at+3
					v := byte(s.IntN(20))
					if on {
						v += 220
					}
					pix = append(pix, v)
				}
			}
			labels = append(labels, byte(class))
		}
		head := func(kind byte, dims ...int) []byte {
			out := []byte{0, 0, 8, kind}
			for _, d := range dims {
				out = binary.BigEndian.AppendUint32(out, uint32(d))
			}
			return out
		}
		for name, b := range map[string][]byte{"-images-idx3-ubyte": append(head(3, n, 8, 8), pix...), "-labels-idx1-ubyte": append(head(1, n), labels...)} {
			if err := os.WriteFile(filepath.Join(dir, part+name), b, 0o666); err != nil {
				t.Fatal(err)
			}
		}
	}
	return dir
}

// tinyGAN is a training of a few seconds.
func tinyGAN(data, game string) GANConfig {
	c := DefaultGAN()
	c.Data, c.Game = data, game
	c.Model = gan.Config{Kind: gan.DCGAN, Size: 8, Channels: 1, Levels: 1, MaxMult: 1, Latent: 4, Generator: gan.Net{Width: 4, Norm: gan.Batch}, Discriminator: gan.Net{Width: 4, Norm: gan.Batch}}
	if game == WGANGP {
		c.Model, c.Turns = c.Model.Critic(gan.Layer), 2
	}
	c.SheetEvery, c.Sheet, c.EvalSamples, c.KeepLast = 4, 9, 40, 1
	t := &c.Train
	t.Steps, t.BatchSize, t.LR, t.ScalarsEvery, t.EvalEvery, t.SaveEvery = 8, 6, 2e-3, 1, 4, 4
	return c
}

func tinyClassifier(t *testing.T, data string) (path string, right float64) {
	t.Helper()
	c := DefaultClassifier()
	c.Data, c.Size, c.Width, c.Features, c.Shift = data, 8, 8, 8, 0
	c.Train.Steps, c.Train.BatchSize, c.Train.Warmup, c.Train.LR, c.Train.EMA, c.Train.EvalEvery = 60, 24, 5, .01, .8, 0
	dir := t.TempDir()
	res, err := RunClassifier(context.Background(), c, nil, Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	return filepath.Join(dir, ModelFile), res.Scores["right"]
}

func TestGANsRunAndAreMeasured(t *testing.T) {
	data := barSet(t)
	judge, right := tinyClassifier(t, data)
	if right < .95 {
		t.Fatalf("the classifier is right on %g of bars and squares", right)
	}
	for _, game := range []string{BasicGAN, WGANGP} {
		c := tinyGAN(data, game)
		c.Judge = judge
		var rec event.Recorder
		dir := t.TempDir()
		res, err := RunGAN(context.Background(), c, &rec, Options{Dir: dir})
		if err != nil {
			t.Fatal(game, err)
		}
		for _, s := range []string{"distance", "kernel_distance", "precision", "recall", "modes", "kl_uniform", "class_score", "share_0", "alike", "norm_real", "norm_fake", "norm_mixed"} {
			if _, ok := res.Scores[s]; !ok {
				t.Errorf("%s: no score %s", game, s)
			}
		}
		if e, ok := rec.Last(event.Scalars); !ok || !e.Histograms["norm_mixed"].Valid() {
			t.Errorf("%s: no histogram of norms in %+v", game, e)
		}
		f, err := os.Open(filepath.Join(dir, FramesDir, "0000008.png"))
		if err != nil {
			t.Fatal(game, err)
		}
		img, err := png.Decode(f)
		f.Close()
		if err != nil || img.Bounds().Dx() < 3*56 {
			t.Errorf("%s: sheet %v, %v", game, img.Bounds(), err)
		}
		checkModel(t, filepath.Join(dir, ModelFile), c.Model)
		checkModel(t, filepath.Join(dir, BestFile), c.Model)
	}
}

// checkModel opens a model file and makes a picture.
func checkModel(t *testing.T, path string, want gan.Config) {
	t.Helper()
	e, err := engine.New(engine.Options{Threads: 1})
	if err != nil {
		t.Fatal(err)
	}
	f, err := weights.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	m, err := gan.Open(e, f, nil)
	if err != nil {
		t.Fatal(err)
	}
	if m.Config() != want {
		t.Errorf("%s holds %+v, want %+v", path, m.Config(), want)
	}
	pics, err := m.Sample(context.Background(), want.Noise(1, 0, 2), nil)
	if err != nil || len(pics) != 2 || pics[0].W != want.Size || slices.Equal(pics[0].Pix, pics[1].Pix) {
		t.Errorf("%s: %d pictures, %v", path, len(pics), err)
	}
}

func TestGANResumeIsByteEqual(t *testing.T) {
	data := barSet(t)
	for _, game := range []string{BasicGAN, WGANGP} {
		c := tinyGAN(data, game)
		whole, parts := t.TempDir(), t.TempDir()
		if _, err := RunGAN(context.Background(), c, nil, Options{Dir: whole}); err != nil {
			t.Fatal(game, err)
		}
		ctx, cancel := context.WithCancel(context.Background())
		defer cancel()
		if _, err := RunGAN(ctx, c, cancelAt(3, cancel), Options{Dir: parts}); !errors.Is(err, context.Canceled) {
			t.Fatalf("%s: cancelled: %v", game, err)
		}
		if _, err := RunGAN(context.Background(), c, nil, Options{Dir: parts, Resume: true}); err != nil {
			t.Fatal(game, err)
		}
		for _, name := range []string{StateFile, ModelFile, filepath.Join(FramesDir, "0000008.png")} {
			if !bytes.Equal(readFile(t, whole, name), readFile(t, parts, name)) {
				t.Errorf("%s: stopped at 3 and resumed: %s differs from that of one run", game, name)
			}
		}
	}
}

func TestGANSeedsAndWorkers(t *testing.T) {
	data := barSet(t)
	run := func(seed uint64, workers int) []byte {
		c := tinyGAN(data, WGANGP)
		c.Train.Steps, c.Train.Seed, c.Train.Workers = 2, seed, workers
		dir := t.TempDir()
		if _, err := RunGAN(context.Background(), c, nil, Options{Dir: dir}); err != nil {
			t.Fatal(err)
		}
		return readFile(t, dir, StateFile)
	}
	one := run(1, 1)
	if !bytes.Equal(one, run(1, 2)) {
		t.Error("the numbers depend on the workers")
	}
	if bytes.Equal(one, run(2, 1)) {
		t.Error("two seeds give the same numbers")
	}
}

func TestGANWarmStart(t *testing.T) {
	data := barSet(t)
	first := tinyGAN(data, BasicGAN)
	dir := t.TempDir()
	res, err := RunGAN(context.Background(), first, nil, Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	// A wider discriminator: the generator goes over whole, and what does not fit is named.
	c := first
	c.Model.Discriminator.Width, c.Train.Steps, c.Train.LR = 6, 1, 0
	for _, file := range []string{StateFile, ModelFile} {
		var rec event.Recorder
		got, err := RunGAN(context.Background(), c, &rec, Options{Dir: t.TempDir(), InitFrom: filepath.Join(dir, file)})
		if err != nil {
			t.Fatal(file, err)
		}
		if !slices.Equal(got.EMA["generator.main.0.weight"], res.EMA["generator.main.0.weight"]) {
			t.Errorf("%s: the generator's weights did not come over", file)
		}
		misfits := rec.Events(event.Warning)
		if len(misfits) == 0 || !slices.ContainsFunc(misfits, func(e event.Event) bool { return strings.Contains(e.Message, "discriminator.main.0.weight") }) {
			t.Errorf("%s: nothing is said of the discriminator: %v", file, misfits)
		}
	}
	if _, err := RunGAN(context.Background(), c, nil, Options{Dir: t.TempDir(), InitFrom: filepath.Join(data, "train-images-idx3-ubyte")}); err == nil {
		t.Error("a file of pictures was taken for weights")
	}
}

func TestGANRefuses(t *testing.T) {
	data := barSet(t)
	for name, change := range map[string]func(*GANConfig){
		"game": func(c *GANConfig) { c.Game = "poker" }, "batch norm": func(c *GANConfig) { c.Model.Discriminator.Norm = gan.Batch },
		"turns": func(c *GANConfig) { c.Turns = 0 }, "size": func(c *GANConfig) { c.Model.Size = 16 }, "labels": func(c *GANConfig) { c.Model.Labels = 7 },
		"channels": func(c *GANConfig) { c.Model.Channels = 3 }, "data": func(c *GANConfig) { c.Data = t.TempDir() }, "sheet": func(c *GANConfig) { c.Sheet = 0 },
	} {
		c := tinyGAN(data, WGANGP)
		change(&c)
		dir := filepath.Join(t.TempDir(), "run")
		if _, err := RunGAN(context.Background(), c, nil, Options{Dir: dir}); err == nil {
			t.Errorf("%s: accepted", name)
		}
		if _, err := os.Stat(dir); err == nil {
			t.Errorf("%s: refused, but a folder was made", name)
		}
	}
}

func TestConditionalGAN(t *testing.T) {
	c := tinyGAN(barSet(t), WGANGP)
	c.Model.Labels, c.Train.Steps = 3, 2
	if _, err := RunGAN(context.Background(), c, nil, Options{Dir: t.TempDir()}); err != nil {
		t.Error(err)
	}
}

// TestTwoRates: judge_lr is the judge's own rate (TTUR), and its schedule counts its turns.
func TestTwoRates(t *testing.T) {
	data := barSet(t)
	c := tinyGAN(data, WGANGP)
	c.JudgeLR, c.Train.Warmup, c.Train.Schedule = 5e-3, 3, Linear
	game, err := GANGame(c, nil)
	if err != nil {
		t.Fatal(err)
	}
	judge, maker := game.Phases()[0].Optimiser, game.Phases()[1].Optimiser
	if judge.LR != 5e-3 || maker.LR != c.Train.LR || judge.Steps != c.Turns*c.Train.Steps || judge.Warmup != c.Turns*3 || judge.EMA != 0 || maker.EMA != c.Train.EMA {
		t.Errorf("judge %+v, maker %+v", judge, maker)
	}
	for turn := range c.Turns { // the judge's first turn of a step has come as far as the maker's step
		if at := float64(turn+c.Turns) / float64(3*c.Turns); judge.Rate(c.Turns+turn) < 5e-3*at || maker.Rate(1) != c.Train.LR*2/3 {
			t.Errorf("turn %d of the second step: %g", turn, judge.Rate(c.Turns+turn))
		}
	}
	weights := func(rate float64) []byte {
		c := tinyGAN(data, WGANGP)
		c.JudgeLR, c.Train.Steps, c.SheetEvery, c.Train.EvalEvery = rate, 2, 0, 0
		dir := t.TempDir()
		if _, err := RunGAN(context.Background(), c, nil, Options{Dir: dir}); err != nil {
			t.Fatal(err)
		}
		return readFile(t, dir, StateFile)
	}
	own := weights(tinyGAN(data, WGANGP).Train.LR)
	if !bytes.Equal(weights(0), own) || bytes.Equal(weights(5e-3), own) {
		t.Error("no rate of the judge's own must be the generator's, and another one must matter")
	}
}
