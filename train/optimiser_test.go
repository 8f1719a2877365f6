package train

import (
	"math"
	"testing"

	"github.com/smalti/smalti/gx"
)

// TestAdamWByHand follows one weight for three steps in float64, by the equations of the paper.
func TestAdamWByHand(t *testing.T) {
	c := DefaultConfig()
	c.LR, c.Warmup, c.Schedule, c.EMA, c.WeightDecay = .1, 0, Constant, .5, .2
	c.MicroBatches, c.Workers = 1, 1
	decls := []gx.Decl{{Name: "w", Spec: gx.Spec{Dims: []int{1, 1}}}, {Name: "b", Spec: gx.Spec{Dims: []int{1}}}}
	f := newFlat(decls, decays)
	f.value[0], f.value[1] = 1, 1
	f.ema[0], f.ema[1] = 1, 1
	grads := []float64{.5, -1, 2}
	for i, decay := range []float64{.2, 0} {
		p, m, v, ema := 1., 0., 0., 1.
		for s, g := range grads {
			n := float64(s + 1)
			m, v = .9*m+.1*g, .98*v+.02*g*g
			p = p*(1-.1*decay) - .1*(m/(1-math.Pow(.9, n)))/(math.Sqrt(v/(1-math.Pow(.98, n)))+1e-8)
			d := min(.5, n/(9+n))
			ema = d*ema + (1-d)*p
		}
		g := newFlat(decls, decays)
		copy(g.value, []float32{1, 1})
		copy(g.ema, []float32{1, 1})
		for s, x := range grads {
			g.update(c, s, []float32{float32(2 * x), float32(2 * x)}, .5)
		}
		// 2e-6: some twenty float32 roundings of numbers around 1.
		if got := float64(g.value[i]); math.Abs(got-p) > 2e-6 {
			t.Errorf("weight %d: %g, want %g", i, got, p)
		}
		if got := float64(g.ema[i]); math.Abs(got-ema) > 2e-6 {
			t.Errorf("average %d: %g, want %g", i, got, ema)
		}
	}
}

func TestNormDoesNotDependOnWorkers(t *testing.T) {
	f := newFlat([]gx.Decl{{Name: "w", Spec: gx.Spec{Dims: []int{3, chunkSize}}}, {Name: "b", Spec: gx.Spec{Dims: []int{7}}}}, decays)
	grad := make([]float32, len(f.value))
	sum := 0.
	for i := range grad {
		grad[i] = float32(i%17) * .25
		sum += float64(grad[i]) * float64(grad[i]) // exact: multiples of 1/16 below 2^53
	}
	for _, workers := range []int{1, 2, 5} {
		if got := f.norm(workers, grad); got != math.Sqrt(sum) {
			t.Errorf("%d workers: %g, want %g", workers, got, math.Sqrt(sum))
		}
	}
	grad[chunkSize+3] = float32(math.Inf(1))
	if got := f.norm(2, grad); !math.IsInf(got, 1) {
		t.Errorf("an infinite element gives the norm %g", got)
	}
}

func TestRates(t *testing.T) {
	c := Config{LR: 2, FinalLR: .1, Warmup: 4, Steps: 104}
	for _, k := range []struct {
		schedule string
		step     int
		want     float64
	}{
		{Cosine, 0, .5}, {Cosine, 3, 2}, {Cosine, 4, 2}, {Cosine, 54, 1.1}, {Cosine, 104, .2},
		{Linear, 4, 2}, {Linear, 54, 1.1}, {Linear, 79, .65}, {Constant, 90, 2}, {Linear, 1000, .2},
	} {
		c.Schedule = k.schedule
		if got := c.Rate(k.step); math.Abs(got-k.want) > 1e-12 {
			t.Errorf("%s at %d: %g, want %g", k.schedule, k.step, got, k.want)
		}
	}
}

func TestValidate(t *testing.T) {
	if err := DefaultConfig().Validate(); err != nil {
		t.Fatal(err)
	}
	for name, spoil := range map[string]func(*Config){
		"steps":         func(c *Config) { c.Steps = 0 },
		"micro_batches": func(c *Config) { c.MicroBatches = 65 },
		"lr":            func(c *Config) { c.LR = math.NaN() },
		"ema":           func(c *Config) { c.EMA = 1 },
		"schedule":      func(c *Config) { c.Schedule = "sometimes" },
		"beta2":         func(c *Config) { c.Beta2 = -.1 },
	} {
		c := DefaultConfig()
		spoil(&c)
		if c.Validate() == nil {
			t.Errorf("%s out of range was accepted", name)
		}
	}
}

func TestWhatDecays(t *testing.T) {
	for _, k := range []struct {
		name string
		dims []int
		want bool
	}{
		{"visual.conv1.weight", []int{3, 3, 3, 8}, true}, {"mlp.weight", []int{4, 4}, true}, {"ln.weight", []int{4}, false},
		{"mlp.bias", []int{4}, false}, {"token_embedding.weight", []int{9, 4}, false}, {"logit_scale", nil, false},
	} {
		if got := decays(gx.Decl{Name: k.name, Spec: gx.Spec{Dims: k.dims}}); got != k.want {
			t.Errorf("%s decays: %v", k.name, got)
		}
	}
}
