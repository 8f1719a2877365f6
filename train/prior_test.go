package train

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"math"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/smalti/smalti/engine"
	"github.com/smalti/smalti/event"
	"github.com/smalti/smalti/gx"
	"github.com/smalti/smalti/prior"
	"github.com/smalti/smalti/vqgan"
	"github.com/smalti/smalti/weights"
)

// toyBook is the weight file of a VQGAN with drawn weights: f = 2, 16 codes.
func toyBook(t *testing.T, seed uint64) []byte {
	t.Helper()
	e, err := engine.New(engine.Options{Threads: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	c := vqgan.BuiltinV0()
	c.Ch, c.Groups, c.ChMult, c.NEmbed, c.Resolution = 4, 2, []int{1, 1}, 16, 8
	decls, err := c.Decls(e)
	if err != nil {
		t.Fatal(err)
	}
	values, err := engine.Upload(decls, gx.Materialise(decls, seed))
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if err := vqgan.SaveAs(&b, c, values, weights.F16); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// lending lends one file whatever the name.
func lending(file []byte) Lender {
	return func(kind, _ string) (*weights.File, string, error) {
		if kind != "vqgan" {
			return nil, "", errors.New("only a VQGAN is lent")
		}
		sum := sha256.Sum256(file)
		f, err := weights.OpenBytes(file)
		return f, hex.EncodeToString(sum[:]), err
	}
}

func toyPrior() PriorConfig {
	c := DefaultPrior()
	c.Data = ShapesData
	c.Model.Layers, c.Model.Heads, c.Model.Width = 1, 2, 16
	c.Model.Text = &prior.TextEncoder{Length: 6, Width: 8}
	c.Captions, c.Vocabulary, c.EvalPictures, c.Keep, c.Drop, c.Repeat = 100, 600, 20, .9, .3, 2
	c.Prompts = []string{"a red circle", "a star"}
	t := &c.Train
	t.Steps, t.BatchSize, t.Warmup, t.ScalarsEvery, t.EvalEvery, t.SaveEvery = 4, 6, 1, 1, 0, 2
	return c
}

func TestPriorResumesByteEqualWhateverTheWorkers(t *testing.T) {
	whole, parts := t.TempDir(), t.TempDir()
	lend := lending(toyBook(t, 1))
	c := toyPrior()
	c.Train.Workers = 2
	var rec event.Recorder
	res, err := RunPrior(context.Background(), c, &rec, Options{Dir: whole, Lend: lend})
	if err != nil {
		t.Fatal(err)
	}
	// Fresh weights know nothing: four steps leave the likelihood near that of 16 equal codes.
	if nll := res.Scores["scenes_nll"]; math.Abs(nll-math.Log(16)) > .7 {
		t.Errorf("scores %v, want a likelihood near %.2f", res.Scores, math.Log(16))
	}
	if e, ok := rec.Last(event.Samples); !ok || e.Picture == nil {
		t.Error("no sheet of samples")
	}
	c.Train.Workers = 1
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	if _, err := RunPrior(ctx, c, cancelAt(3, cancel), Options{Dir: parts, Lend: lend}); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	var stored PriorConfig
	if err := ReadConfig(parts, &stored); err != nil {
		t.Fatal(err)
	}
	if _, err := RunPrior(context.Background(), stored, nil, Options{Dir: parts, Resume: true, Lend: lend}); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{StateFile, ModelFile, ConfigFile} {
		if !bytes.Equal(readFile(t, whole, name), readFile(t, parts, name)) {
			t.Errorf("%s of a run with two workers in one sitting and of one with one worker in two differ", name)
		}
	}
}

// TestPriorLearns trains until the model knows more than how often codes are used.
func TestPriorLearns(t *testing.T) {
	c := toyPrior()
	c.Model.Width, c.Train.Steps, c.Train.BatchSize, c.Train.SaveEvery, c.Train.ScalarsEvery, c.Keep = 32, 150, 24, 0, 50, 1
	c.Train.LR, c.Train.EMA = 5e-3, .9
	var rec event.Recorder
	if _, err := RunPrior(context.Background(), c, &rec, Options{Dir: t.TempDir(), Lend: lending(toyBook(t, 1))}); err != nil {
		t.Fatal(err)
	}
	var losses []float64
	for _, e := range rec.Events(event.Scalars) {
		if e.Values != nil {
			losses = append(losses, e.Loss)
		}
	}
	if len(losses) != 3 || !(losses[2] < .8*losses[0]) {
		t.Errorf("mean losses of 50 steps each: %v, want the last a fifth below the first", losses)
	}
}

func TestPriorModelFile(t *testing.T) {
	book := toyBook(t, 1)
	dir := t.TempDir()
	c := toyPrior()
	c.Train.Steps = 2
	if _, err := RunPrior(context.Background(), c, nil, Options{Dir: dir, Lend: lending(book)}); err != nil {
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
	defer e.Close()
	m, err := prior.Open(e, f, nil)
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(book)
	got := m.Config()
	if b := got.Codebook; b == nil || b.SHA256 != hex.EncodeToString(sum[:]) || b.Factor != 2 || b.Name != "builtin/vqgan" {
		t.Errorf("codebook %+v", got.Codebook)
	}
	if got.VocabSize != 16 || got.GridH != 4 || got.GridW != 4 || got.Text.Length != 6 || got.Text.Tokens == "" {
		t.Errorf("config %+v", got)
	}

	// A warm start takes the model's vocabulary and weights; a VQGAN of other weights is refused.
	warm := t.TempDir()
	c.Train.Steps, c.Train.LR, c.Captions = 1, 0, 3
	from := Options{Dir: warm, Lend: lending(book), InitFrom: filepath.Join(dir, ModelFile)}
	if _, err := RunPrior(context.Background(), c, nil, from); err != nil {
		t.Fatal(err)
	}
	g, err := weights.Open(filepath.Join(warm, ModelFile))
	if err != nil {
		t.Fatal(err)
	}
	defer g.Close()
	for _, name := range f.Names() { // as numbers: the moving average turns -0 into 0
		x, _ := f.Tensor(name)
		y, ok := g.Tensor(name)
		if !ok {
			t.Fatalf("%s is gone", name)
		}
		was, _ := x.Float32()
		is, err := y.Float32()
		if err != nil || !slices.Equal(was, is) {
			t.Errorf("a warm start and a step of rate 0 changed %s: %v", name, err)
		}
	}
	from.Dir, from.Lend = t.TempDir(), lending(toyBook(t, 2))
	if _, err := RunPrior(context.Background(), c, nil, from); !errors.Is(err, ErrCodebook) {
		t.Errorf("a start from a prior of another VQGAN: %v", err)
	}
	var stored PriorConfig
	if err := ReadConfig(dir, &stored); err != nil {
		t.Fatal(err)
	}
	stored.Train.Steps = 3
	_, err = RunPrior(context.Background(), stored, nil, Options{Dir: dir, Resume: true, Lend: lending(toyBook(t, 2))})
	if err == nil || !strings.Contains(err.Error(), "sha256") {
		t.Errorf("going on with another VQGAN: %v", err)
	}
}

func TestPriorBatch(t *testing.T) {
	c := toyPrior()
	data, err := openScenes(c.Data, 16)
	if err != nil {
		t.Fatal(err)
	}
	coder, err := openCoder(&c.VQGAN, Options{Lend: lending(toyBook(t, 1))}, 1)
	if err != nil {
		t.Fatal(err)
	}
	defer coder.close()
	if _, err := c.start(data, coder, Options{}); err != nil {
		t.Fatal(err)
	}
	r, err := newPriorRecipe(c, data, coder)
	if err != nil {
		t.Fatal(err)
	}
	r.cfg.Repeat = 0
	a, err := r.Batch(1, 0)
	if err != nil {
		t.Fatal(err)
	}
	b, _ := r.Batch(1, 1)
	again, _ := r.Batch(1, 0)
	if slices.Equal(a[2].I, b[2].I) || !slices.Equal(a[2].I, again[2].I) || !slices.Equal(a[1].I, again[1].I) {
		t.Error("micro-batches are not functions of step and number")
	}
	if slices.Equal(a[1].I, a[2].I) {
		t.Error("no code was replaced")
	}
	// The codes of one picture do not depend on those encoded beside it.
	scenes := data.train.Batch(c.Train.Seed, c.Train.batchKey(1, 0), c.Train.BatchSize, c.Size)
	plane := c.Size * c.Size * 3
	one, err := coder.encode(slices.Clone(scenes.Pix[2*plane:3*plane]), 1, c.Size)
	if err != nil || !slices.Equal(one, a[2].I[2*16:3*16]) {
		t.Errorf("encoded alone %v, in the batch %v, %v", one, a[2].I[2*16:3*16], err)
	}
	r.cfg.Repeat = 3
	first, _ := r.Batch(1, 0)
	later, _ := r.Batch(4, 0) // remembered
	if !slices.Equal(first[2].I, a[2].I) || !slices.Equal(later[2].I, a[2].I) || slices.Equal(later[1].I, a[1].I) {
		t.Error("scenes that come again differ, or the same codes are replaced")
	}
	none, dropped := r.cfg.Model.Text.NoCaption(), 0
	for row := range slices.Chunk(a[0].I, 6) {
		if row[0] == none {
			dropped++
		}
	}
	if dropped == 0 || dropped == c.Train.BatchSize {
		t.Errorf("%d of %d captions were dropped", dropped, c.Train.BatchSize)
	}
}

func TestPriorRefusals(t *testing.T) {
	lend := lending(toyBook(t, 1))
	for name, spoil := range map[string]func(*PriorConfig){
		"drop":      func(c *PriorConfig) { c.Drop = 1 },
		"keep":      func(c *PriorConfig) { c.Keep = math.NaN() },
		"size":      func(c *PriorConfig) { c.Size = 7 },
		"guidance":  func(c *PriorConfig) { c.Guidance = -1 },
		"styles":    func(c *PriorConfig) { c.Styles = []string{"noto"} },
		"model":     func(c *PriorConfig) { c.Model.Heads = 3 },
		"condition": func(c *PriorConfig) { c.Model.Condition = prior.Class },
		"vqgan":     func(c *PriorConfig) { c.VQGAN.SHA256 = "00" },
		"precision": func(c *PriorConfig) { c.Train.Precision = "f8" },
	} {
		c := toyPrior()
		spoil(&c)
		if _, err := RunPrior(context.Background(), c, nil, Options{Dir: t.TempDir(), Lend: lend}); err == nil || !strings.Contains(err.Error(), name) && name != "vqgan" {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := RunPrior(context.Background(), toyPrior(), nil, Options{Dir: t.TempDir()}); err == nil {
		t.Error("nobody lends a VQGAN: no error")
	}
}
