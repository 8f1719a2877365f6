package course

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"image/png"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/smalti/smalti/dataset"
	"github.com/smalti/smalti/event"
	"github.com/smalti/smalti/gan"
	"github.com/smalti/smalti/rng"
	"github.com/smalti/smalti/train"
)

// toySet writes an IDX set of 8 x 8 pictures of two classes: a bar across and a bar down.
func toySet(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for part, n := range map[string]int{dataset.TrainPart: 64, dataset.TestPart: 64} {
		var pix, labels []byte
		for i := range n {
			at := 1 + rng.New(1, part, uint64(i)).IntN(5)
			for y := range 8 {
				for x := range 8 {
					v := byte(0)
					if i%2 == 0 && (y == at || y == at+1) || i%2 == 1 && (x == at || x == at+1) {
						v = 255
					}
					pix = append(pix, v)
				}
			}
			labels = append(labels, byte(i%2))
		}
		head := func(dims ...int) []byte {
			out := []byte{0, 0, 8, byte(len(dims))}
			for _, d := range dims {
				out = binary.BigEndian.AppendUint32(out, uint32(d))
			}
			return out
		}
		for name, b := range map[string][]byte{"-images-idx3-ubyte": append(head(n, 8, 8), pix...), "-labels-idx1-ubyte": append(head(n), labels...)} {
			if err := os.WriteFile(filepath.Join(dir, part+name), b, 0o666); err != nil {
				t.Fatal(err)
			}
		}
	}
	return dir
}

// toyOptions are a comparison of a few seconds.
func toyOptions(data, dir string) Options {
	return Options{Dir: dir, Data: data, Seed: 1, Steps: 12, Samples: 40, Minimax: true, scale: .2,
		Tune: func(_ string, c *train.GANConfig) {
			norm := c.Model.Discriminator.Norm
			c.Model = gan.Config{Kind: gan.DCGAN, Size: 8, Channels: 1, Levels: 1, MaxMult: 1, Latent: 4,
				Generator: gan.Net{Width: 4, Norm: gan.Batch}, Discriminator: gan.Net{Width: 4, Norm: norm, Bias: true}}
			c.Train.BatchSize, c.Train.MicroBatches, c.Train.ScalarsEvery, c.Train.EvalEvery, c.Train.SaveEvery, c.SheetEvery = 6, 1, 1, 2, 2, 1
			c.EvalSamples, c.Sheet, c.Turns = 40, 4, min(c.Turns, 2)
		},
		Learn: func(c *train.ClassifierConfig) {
			c.Width, c.Features, c.Shift = 6, 6, 0
			c.Train.Steps, c.Train.BatchSize, c.Train.MicroBatches, c.Train.Warmup, c.Train.EMA, c.Train.EvalEvery = 30, 16, 1, 2, .5, 0
		}}
}

func TestCompare(t *testing.T) {
	data, dir := toySet(t), t.TempDir()
	r, err := Compare(context.Background(), toyOptions(data, dir), event.Discard)
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Sides) != 3 || r.Sides[0].Steps != 12 || r.Sides[1].Steps != 4 {
		t.Fatalf("sides %+v", r.Sides)
	}
	html, err := os.ReadFile(filepath.Join(dir, pageFile))
	if err != nil {
		t.Fatal(err)
	}
	sources := regexp.MustCompile(`<img src="([^"]+)"`).FindAllStringSubmatch(string(html), -1)
	if len(sources) != 6+3*4 {
		t.Errorf("the page shows %d pictures, want 6 figures and 12 sheets", len(sources))
	}
	for _, m := range sources {
		f, err := os.Open(filepath.Join(dir, m[1]))
		if err != nil {
			t.Error(err)
			continue
		}
		if _, err := png.Decode(f); err != nil {
			t.Errorf("%s: %v", m[1], err)
		}
		f.Close()
	}
	if bad := regexp.MustCompile(`NaN|&lt;no value|%!`).FindString(string(html)); bad != "" {
		t.Errorf("the page says %q", bad)
	}
	checkNumbers(t, dir, r, string(html))
	checkAgain(t, data, dir, html)
}

// checkNumbers holds the page against report.json and the journals.
func checkNumbers(t *testing.T, dir string, r Report, html string) {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(dir, numbersFile))
	if err != nil {
		t.Fatal(err)
	}
	var back Report
	if err := json.Unmarshal(b, &back); err != nil {
		t.Fatal(err)
	}
	for i, s := range back.Sides {
		for _, name := range []string{"distance", "modes", "precision", "alike"} {
			v, ok := s.Final[name]
			if !ok || v != r.Sides[i].Final[name] {
				t.Errorf("%s: %s is %g in the file and %g in the report", s.Name, name, v, r.Sides[i].Final[name])
			}
		}
		h, err := readHistory(filepath.Join(dir, s.Name))
		if err != nil {
			t.Fatal(err)
		}
		norms := h.Scores["norm_mixed"]
		if norms == nil || s.NormMixed != norms.Y[len(norms.Y)-1] {
			t.Errorf("%s: norm at mixed pictures %g is not the journal's last", s.Name, s.NormMixed)
		}
		if i == 1 && s.Saturated != -1 || i != 1 && (s.Saturated < 0 || s.Saturated > 1) {
			t.Errorf("%s: share of saturated logits %g", s.Name, s.Saturated)
		}
	}
	for _, s := range r.Sides { // the claims of the page are those numbers
		for _, v := range []float64{s.Final["share_0"], s.Final["share_1"]} {
			if cell := fmt.Sprintf(">%.3g %%</td>", 100*v); !strings.Contains(html, cell) {
				t.Errorf("%s: the page does not say %s", s.Name, cell)
			}
		}
		if x, y := r.Sides[0].pairs("generator.loss"); len(x) < 3 || rankCorrelation(x, y) != r.Sides[0].LossTells {
			t.Errorf("the curve of losses over distances has %d points, and not the correlation that is told", len(x))
		}
	}
	if strings.Count(html, "has no such thing") != 1 {
		t.Error("the page does not say that a critic has no logits")
	}
}

// checkAgain: a finished comparison is not trained again, and says the same.
func checkAgain(t *testing.T, data, dir string, html []byte) {
	t.Helper()
	var rec event.Recorder
	if _, err := Compare(context.Background(), toyOptions(data, dir), &rec); err != nil {
		t.Fatal(err)
	}
	if n := len(rec.Events(event.Started)); n != 0 {
		t.Errorf("%d trainings began again", n)
	}
	again, err := os.ReadFile(filepath.Join(dir, pageFile))
	if err != nil || string(again) != string(html) {
		t.Errorf("the second page differs (%v)", err)
	}
}

func TestCompareGoesOn(t *testing.T) {
	data, dir := toySet(t), t.TempDir()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	sink := event.Func(func(e event.Event) {
		if e.Kind == event.Scalars && e.Values["discriminator.loss"] != 0 && e.Step == 5 {
			cancel()
		}
	})
	o := toyOptions(data, dir)
	o.Minimax = false
	if _, err := Compare(ctx, o, sink); !errors.Is(err, context.Canceled) {
		t.Fatalf("cancelled: %v", err)
	}
	got, err := Compare(context.Background(), o, event.Discard)
	if err != nil {
		t.Fatal(err)
	}
	o.Dir = t.TempDir()
	want, err := Compare(context.Background(), o, event.Discard)
	if err != nil {
		t.Fatal(err)
	}
	for i := range want.Sides {
		if got.Sides[i].Final["distance"] != want.Sides[i].Final["distance"] || got.Sides[i].Swing != want.Sides[i].Swing {
			t.Errorf("%s: stopped and gone on with, the report differs", want.Sides[i].Name)
		}
	}
}

func TestCompareRefuses(t *testing.T) {
	for name, change := range map[string]func(*Options){
		"dir": func(o *Options) { o.Dir = "" }, "steps": func(o *Options) { o.Steps = 0 }, "samples": func(o *Options) { o.Samples = 1 }, "clock": func(o *Options) { o.Budget = 1 },
	} {
		o := toyOptions(t.TempDir(), t.TempDir())
		change(&o)
		if _, err := Compare(context.Background(), o, event.Discard); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func TestRankCorrelation(t *testing.T) {
	x := []float64{1, 2, 3, 10}
	for _, k := range []struct {
		y    []float64
		want float64
	}{{[]float64{2, 4, 5, 100}, 1}, {[]float64{9, 8, 1, 0}, -1}, {[]float64{1, 1, 1, 1}, 0}, {[]float64{1, 3, 2, 4}, .8}} {
		if got := rankCorrelation(x, k.y); math.Abs(got-k.want) > 1e-12 {
			t.Errorf("%v: %g, want %g", k.y, got, k.want)
		}
	}
	if got := ranks([]float64{5, 1, 5}); !slices.Equal(got, []float64{2.5, 1, 2.5}) {
		t.Errorf("ranks %v", got)
	}
}

func TestSwing(t *testing.T) {
	if got := swing([]float64{1, 3, 1, 3}); math.Abs(got-1) > 1e-12 {
		t.Errorf("steps of 2 around 2: %g, want 1", got)
	}
	if got := swing([]float64{-4, -4}); got != 0 {
		t.Errorf("a still loss swings by %g", got)
	}
}
