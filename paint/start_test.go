package paint

import (
	"math"
	"slices"
	"strings"
	"testing"
)

func TestStarts(t *testing.T) {
	cfg := toyConfig(t, "original")
	grid := make([]int32, 5*6)
	for i := range grid {
		grid[i] = int32(i % toyCodes)
	}
	starts := map[string]Start{
		"codes": {}, "pixels": {Kind: StartPixels}, "gradient": {Kind: StartGradient}, "fractal": {Kind: StartFractal},
		"picture": {Kind: StartPicture, Picture: randomFloats("start", 3*24*20)},
		"grid":    {Kind: StartGrid, Codes: grid}, "used": {Used: []int32{3, 7}},
	}
	seen := map[string]string{}
	for name, s := range starts {
		p := newPainter(t, cfg)
		if err := p.Begin(s); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		pic, err := p.Picture(Now)
		if err != nil {
			t.Fatal(err)
		}
		// Every start lies on codes: looking its codes up gives z again.
		z, _ := p.Latent(Now)
		again, err := p.latentsOfCodes(pic.Codes)
		if err != nil || !slices.Equal(z, again) {
			t.Errorf("%s: z is not that of its codes (%v)", name, err)
		}
		q := newPainter(t, cfg)
		if err := q.Begin(s); err != nil {
			t.Fatal(err)
		}
		if other, _ := q.Latent(Now); !slices.Equal(z, other) {
			t.Errorf("%s: the same start twice differs", name)
		}
		cfg := cfg
		cfg.Seed++
		q = newPainter(t, cfg)
		if err := q.Begin(s); err != nil {
			t.Fatal(err)
		}
		other, _ := q.Latent(Now)
		if given := name == "picture" || name == "grid"; slices.Equal(z, other) != given {
			t.Errorf("%s: another seed gives the same start: %v", name, !given)
		}
		switch name {
		case "grid":
			if !slices.Equal(pic.Codes, grid) {
				t.Error("the start has other codes than the grid")
			}
		case "used":
			for _, c := range pic.Codes {
				if c != 3 && c != 7 {
					t.Errorf("code %d is not among the used", c)
				}
			}
		}
		seen[name] = name
	}
	if len(seen) != len(starts) {
		t.Error("a start was not tried")
	}
}

func TestStartsRefuse(t *testing.T) {
	cfg := toyConfig(t, "original")
	for name, s := range map[string]Start{
		"kind": {Kind: "tea"}, "grid size": {Kind: StartGrid, Codes: make([]int32, 4)},
		"code":    {Kind: StartGrid, Codes: append(make([]int32, 29), toyCodes)},
		"picture": {Kind: StartPicture, Picture: make([]float32, 5)},
		"used":    {Used: []int32{-1}},
	} {
		if err := newPainter(t, cfg).Begin(s); err == nil {
			t.Errorf("%s: started", name)
		}
	}
	p := newPainter(t, cfg)
	if err := p.BeginAt(append(make([]float32, 5*6*toyChannels-1), float32(math.NaN()))); err == nil {
		t.Error("started from NaN")
	}
	if _, err := p.Advance(t.Context()); err != ErrNotStarted {
		t.Errorf("a step before the start: %v", err)
	}
}

func TestDrawnPicturesStayInRange(t *testing.T) {
	d := Drawn{Seed: 1}
	k := CutKey{}
	for name, x := range map[string][]float32{
		"gradient": gradientPicture(d.stream(k, "a"), 31, 17),
		"fractal":  fractalPicture(d.stream(k, "b"), 31, 17),
		"small":    fractalPicture(d.stream(k, "c"), 4, 4),
	} {
		if least, most := slices.Min(x), slices.Max(x); least < 0 || most > 1 || least == most {
			t.Errorf("%s: values from %v to %v", name, least, most)
		}
	}
}

func TestConfigsRefuse(t *testing.T) {
	d, enc := toys(t, testEngine)
	for name, change := range map[string]func(c *Config){
		"size":      func(c *Config) { c.Width = 25 },
		"no size":   func(c *Config) { c.Height = 0 },
		"no cuts":   func(c *Config) { c.Cuts = Schedule{} },
		"zero cuts": func(c *Config) { c.Cuts = Const(0) },
		"chunk":     func(c *Config) { c.Chunk = -1 },
		"share":     func(c *Config) { c.Share = Const(1.5) },
		"lr":        func(c *Config) { c.LR = Const(math.NaN()) },
		"average":   func(c *Config) { c.Average = 1 },
		"width":     func(c *Config) { c.Targets[0].Embedding = c.Targets[0].Embedding[1:] },
		"direction": func(c *Config) { c.Targets[0].Embedding = make([]float32, toyWidth) },
		"weight":    func(c *Config) { c.Targets[0].Weight = math.Inf(1) },
		"encoder":   func(c *Config) { c.Targets[0].Encoder = 1 },
		"optimiser": func(c *Config) { c.Optimiser.Kind = "magic" },
		"momentum":  func(c *Config) { c.Optimiser.Beta1 = 1 },
		"scheme":    func(c *Config) { c.Scheme.EdgeFair = -1 },
	} {
		cfg := toyConfig(t, "original")
		change(&cfg)
		if _, err := New(testEngine, d, []ImageEncoder{enc}, cfg); err == nil {
			t.Errorf("%s: accepted", name)
		} else if !strings.HasPrefix(err.Error(), "paint: ") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestChangeBetweenSteps(t *testing.T) {
	p := begun(t, toyConfig(t, "original"))
	advance(t, p, 1)
	bad := []Target{{Name: "bad", Embedding: []float32{1}, Weight: 1}}
	lr := Const(7)
	if err := p.Change(Change{Targets: &bad, LR: &lr}); err == nil {
		t.Error("a bad change was taken")
	}
	if r := advance(t, p, 1); r.LR != 0.1 || len(r.Terms) != 2 {
		t.Errorf("a refused change changed things: %+v", r)
	}
	one, cuts := []Target{{Name: "one", Embedding: NoiseEmbedding(1, toyWidth), Weight: 2}}, Const(2)
	lr = Const(0.01)
	if err := p.Change(Change{Targets: &one, Cuts: &cuts, LR: &lr}); err != nil {
		t.Fatal(err)
	}
	if r := advance(t, p, 1); r.LR != 0.01 || r.Cuts != 2 || len(r.Terms) != 1 || r.Terms[0].Name != "one" {
		t.Errorf("after the change: %+v", r)
	}
}

func TestPicturePrompt(t *testing.T) {
	p := begun(t, toyConfig(t, "original"))
	rows, err := p.EmbedPicture(t.Context(), 0, randomFloats("prompt", 3*24*20), 5)
	if err != nil {
		t.Fatal(err)
	}
	if len(rows) != 5*toyWidth {
		t.Fatalf("%d numbers for 5 cuts", len(rows))
	}
	targets := []Target{{Name: "picture", Embedding: rows, Weight: 1}}
	if err := p.Change(Change{Targets: &targets}); err != nil {
		t.Fatal(err)
	}
	first, last := advance(t, p, 1), advance(t, p, 29)
	if !(last.Total < first.Total) {
		t.Errorf("distance to the picture %v, then %v", first.Total, last.Total)
	}
}

// A shift moves the latents and their mean, within the codebook's range, and leaves the optimiser's memory alone.
func TestShift(t *testing.T) {
	cfg := toyConfig(t, "updated")
	cfg.Average = 0.5
	p := begun(t, cfg)
	advance(t, p, 3)
	z, err := p.Latent(Now)
	if err != nil {
		t.Fatal(err)
	}
	mean, err := p.Latent(Smooth)
	if err != nil {
		t.Fatal(err)
	}
	d := make([]float32, len(z))
	for i := range d {
		d[i] = 0.05
	}
	d[0] = 1e9
	moments := append([]float32(nil), p.opt.m...)
	if err := p.Shift(d); err != nil {
		t.Fatal(err)
	}
	now, _ := p.Latent(Now)
	smooth, _ := p.Latent(Smooth)
	for i := range z {
		want := min(max(z[i]+d[i], p.lo[i%toyChannels]), p.hi[i%toyChannels])
		if now[i] != want || abs(float64(smooth[i]-mean[i]-(now[i]-z[i]))) > 1e-5 {
			t.Fatalf("latent %d went from %v to %v, its mean from %v to %v", i, z[i], now[i], mean[i], smooth[i])
		}
		if p.opt.m[i] != moments[i] {
			t.Fatal("the optimiser's memory changed")
		}
	}
	if p.Step() != 3 || p.Shift(d[1:]) == nil || p.Shift([]float32{}) == nil {
		t.Error("a shift of another shape was taken, or counted as a step")
	}
}
