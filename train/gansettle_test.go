package train

import (
	"context"
	"math"
	"path/filepath"
	"slices"
	"testing"

	"github.com/smalti/smalti/engine"
	"github.com/smalti/smalti/gx"
	"github.com/smalti/smalti/weights"
)

// drawnGame are starting values of both players of a tiny game, with running statistics that fit nothing.
func drawnGame(t *testing.T, g *ganGame) (Values, *engine.Engine) {
	t.Helper()
	w, err := newGameWorker(g, engine.F32)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.engine.Close)
	b, err := newBoard(g, w)
	if err != nil {
		t.Fatal(err)
	}
	values := Values(gx.Materialise(b.flat.decls, 3))
	for name, s := range b.stats {
		for i := range s {
			s[i] = 5
		}
		values[name] = s
	}
	return values, w.engine
}

// TestSettledStatisticsAreThoseOfTheWeights holds the first norm of a generator against its statistics worked out one
// picture at a time.
func TestSettledStatisticsAreThoseOfTheWeights(t *testing.T) {
	cfg := tinyGAN(barSet(t), BasicGAN)
	data, err := OpenPictures(cfg.Data, cfg.Model.Size, cfg.HeldOut)
	if err != nil {
		t.Fatal(err)
	}
	g := newGANGame(cfg, data)
	values, e := drawnGame(t, g)
	got, err := g.Settle(context.Background(), e, values)
	if err != nil {
		t.Fatal(err)
	}
	c := cfg.Model
	w, out, side := values["generator.main.0.weight"], c.Generator.Width, c.Base()
	want, spread := make([]float64, out), make([]float64, out)
	for b := range settleBatches {
		z := c.Noise(settleSeed, b*settleBatch, settleBatch)
		sum, square, n := make([]float64, out), make([]float64, out), float64(settleBatch*side*side)
		for i := range settleBatch {
			for at := range side * side {
				for o := range out {
					x := 0.
					for k := range c.Latent {
						x += float64(z[i*c.Latent+k]) * float64(w[(at*c.Latent+k)*out+o])
					}
					sum[o], square[o] = sum[o]+x, square[o]+x*x
				}
			}
		}
		for o := range out {
			want[o] += sum[o] / n / settleBatches
			spread[o] += (square[o] - sum[o]*sum[o]/n) / (n - 1) / settleBatches
		}
	}
	for o := range out { // float32 sums of 1024 products near 0.02 against float64
		if d := math.Abs(float64(got["generator.main.1.running_mean"][o]) - want[o]); !(d < 1e-6) {
			t.Errorf("channel %d: mean is off by %g", o, d)
		}
		if d := math.Abs(float64(got["generator.main.1.running_var"][o])/spread[o] - 1); !(d < 1e-5) {
			t.Errorf("channel %d: variance is off by a part of %g", o, d)
		}
	}
	if s := values["generator.main.1.running_mean"]; s[0] != 5 {
		t.Error("the statistics of the training were changed")
	}
	if s := got["discriminator.main.3.running_mean"]; slices.ContainsFunc(s, func(x float32) bool { return x != 5 }) {
		t.Error("the discriminator's statistics, which fit its own weights, were changed")
	}
}

// TestModelsAreSettled: what a run writes as its model has the statistics of its own weights, and its checkpoint those of
// the training.
func TestModelsAreSettled(t *testing.T) {
	cfg := tinyGAN(barSet(t), BasicGAN)
	cfg.Train.EMA = .99
	dir := t.TempDir()
	res, err := RunGAN(context.Background(), cfg, nil, Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	const name = "main.1.running_mean"
	read := func(file, name string) []float32 {
		f, err := weights.Open(filepath.Join(dir, file))
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		x, ok := f.Tensor(name)
		if !ok {
			t.Fatalf("%s: no %s", file, name)
		}
		data, err := x.Float32()
		if err != nil {
			t.Fatal(err)
		}
		return slices.Clone(data)
	}
	model, state := read(ModelFile, name), read(StateFile, memoryPrefix+generatorName+"."+name)
	if slices.Equal(model, state) {
		t.Error("the model's statistics are those of the training")
	}
	if !slices.Equal(model, res.EMA[generatorName+"."+name]) {
		t.Error("the model's statistics differ from the result's")
	}
	data, err := OpenPictures(cfg.Data, cfg.Model.Size, cfg.HeldOut)
	if err != nil {
		t.Fatal(err)
	}
	e, err := engine.New(engine.Options{Threads: 2})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	again, err := newGANGame(cfg, data).Settle(context.Background(), e, res.EMA)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(again[generatorName+"."+name], model) {
		t.Error("settling once more, with two threads, gives other statistics")
	}
}
