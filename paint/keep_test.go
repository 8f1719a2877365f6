package paint

import (
	"math"
	"reflect"
	"slices"
	"testing"

	"github.com/smalti/smalti/engine"
)

// toyKeep lets the left half of a toy picture be painted, with a soft column beside it.
func toyKeep() *Keep {
	const w, h = 24, 20
	k := &Keep{Source: randomFloats("source", 3*w*h), Pixels: make([]float32, w*h), Cells: make([]float32, w/4*h/4), Seam: Const(0.5)}
	for i := range k.Pixels {
		switch x := i % w; {
		case x < 11:
			k.Pixels[i] = 1
		case x == 11:
			k.Pixels[i] = 0.25
		}
	}
	for i := range k.Cells {
		if i%(w/4) < 3 {
			k.Cells[i] = 1
		}
	}
	return k
}

// TestKeptPartsStay: outside of the mask pixels are the source's and latents the start's, exactly; inside they move.
func TestKeptPartsStay(t *testing.T) {
	cfg := toyConfig(t, "updated")
	cfg.Keep = toyKeep()
	p := begun(t, cfg)
	r := advance(t, p, 4)
	if last := r.Terms[len(r.Terms)-1]; last.Name != "seam" || last.Value <= 0 {
		t.Errorf("the last term is %v, want a seam", last)
	}
	pic, err := p.Picture(Now)
	if err != nil {
		t.Fatal(err)
	}
	for i, w := range cfg.Keep.Pixels {
		if w == 0 && !slices.Equal(pic.Pix[3*i:3*i+3], cfg.Keep.Source[3*i:3*i+3]) {
			t.Fatalf("pixel %d outside of the mask changed", i)
		}
	}
	moved := false
	for i, w := range cfg.Keep.Cells {
		same := slices.Equal(p.z[i*p.c:(i+1)*p.c], p.init[i*p.c:(i+1)*p.c])
		if w == 0 && !same {
			t.Fatalf("cell %d outside of the mask moved", i)
		}
		moved = moved || w == 1 && !same
	}
	if !moved {
		t.Error("nothing moved inside of the mask")
	}
}

// TestSeamGradient: a quadratic, so central differences are exact but for rounding.
func TestSeamGradient(t *testing.T) {
	k := toyKeep()
	x := randomFloats("x", len(k.Source))
	dx := make([]float32, len(x))
	v := k.seam(0, x, dx)
	slope := 0.0
	up, down := slices.Clone(x), slices.Clone(x)
	for i, g := range dx {
		slope += float64(g) * float64(g)
		up[i], down[i] = x[i]+100*g, x[i]-100*g
	}
	none := make([]float32, len(x))
	got := (k.seam(0, up, none) - k.seam(0, down, slices.Clone(none))) / 200
	if v == 0 || math.Abs(got-slope) > 1e-4*slope {
		t.Errorf("seam %v with slope %v, want %v", v, got, slope)
	}
}

// TestSightIsItsOwnAdjoint: <see(x) - see(0), g> = <x, back(g)>.
func TestSightIsItsOwnAdjoint(t *testing.T) {
	for name, change := range map[string]func(*Config){
		"mask":  func(c *Config) { c.Keep = toyKeep() },
		"torus": func(c *Config) { c.Torus = Torus{true, true} },
		"both":  func(c *Config) { c.Keep, c.Torus = toyKeep(), Torus{Columns: true} },
	} {
		cfg := toyConfig(t, "original")
		change(&cfg)
		p := begun(t, cfg)
		p.step = 3
		s := p.sight()
		n := 3 * cfg.Width * cfg.Height
		x, g := randomFloats("x", n), randomFloats("g", n)
		seen := engine.Floats(s.see(engine.FromFloats(x, 1, cfg.Height, cfg.Width, 3)))
		zero := engine.Floats(s.see(engine.FromFloats(make([]float32, n), 1, cfg.Height, cfg.Width, 3)))
		back := s.back(g)
		var a, b float64
		for i := range x {
			a += (float64(seen[i]) - float64(zero[i])) * float64(g[i])
			b += float64(x[i]) * float64(back[i])
		}
		if math.Abs(a-b) > 1e-4*math.Abs(a) || a == 0 {
			t.Errorf("%s: %v and %v", name, a, b)
		}
		if cfg.Torus.Columns && s.x0 == 0 && s.y0 == 0 {
			t.Errorf("%s: the picture is not turned: the test shows nothing", name)
		}
	}
}

// TestTorusSeesEveryPlaceAlike: over many steps the origin is everywhere along the axes that continue, and only there.
func TestTorusSeesEveryPlaceAlike(t *testing.T) {
	seen := map[int]int{}
	for step := range 600 {
		x, y := (Torus{Columns: true}).origin(1, step, 6, 5)
		if y != 0 {
			t.Fatal("rows turn, which do not continue")
		}
		seen[x]++
	}
	for x := range 6 {
		if n := seen[x]; n < 60 || n > 140 { // 100 expected, standard deviation 9
			t.Errorf("origin %d in %d of 600 steps", x, n)
		}
	}
}

// TestWindowsPullTheirPartAlone: the gradient of a target with a window is that of painting the window, and nothing
// elsewhere; other windows do not change its draws.
func TestWindowsPullTheirPartAlone(t *testing.T) {
	window := &Window{X: 8, Y: 4, W: 12, H: 14, Share: make([]float32, 12*14)}
	for i := range window.Share {
		window.Share[i] = float32(i%12) / 11
	}
	other := &Window{X: 0, Y: 0, W: 8, H: 8}
	gradient := func(targets ...Target) ([]float32, []Term) {
		cfg := toyConfig(t, "updated")
		cfg.Targets = targets
		p := begun(t, cfg)
		e, err := p.evaluate(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return e.dx, e.terms
	}
	mine := Target{Name: "mine", Embedding: NoiseEmbedding(11, toyWidth), Weight: 1, Window: window}
	dx, terms := gradient(mine)
	if len(terms) != 1 || terms[0].Value == 0 {
		t.Fatalf("terms %v", terms)
	}
	inside := 0.0
	for i, g := range dx {
		x, y := i/3%24, i/3/24
		in := x > 8 && x < 20 && y >= 4 && y < 18 // the first column's share is 0
		if !in && g != 0 {
			t.Fatalf("gradient %v at (%d,%d)", g, x, y)
		}
		inside += float64(g) * float64(g)
	}
	if inside == 0 {
		t.Fatal("no gradient inside")
	}
	both, terms2 := gradient(Target{Name: "other", Embedding: NoiseEmbedding(12, toyWidth), Weight: 1, Window: other}, mine)
	if terms2[1] != terms[0] {
		t.Errorf("beside another window the loss is %v, alone %v", terms2[1], terms[0])
	}
	for i, g := range dx {
		if x, y := i/3%24, i/3/24; (x >= 8 || y >= 8) && both[i] != g {
			t.Fatalf("beside another window the gradient at (%d,%d) is %v, alone %v", x, y, both[i], g)
		}
	}
}

// TestPlacesContinue: masks, windows and a torus in two sittings are one sitting.
func TestPlacesContinue(t *testing.T) {
	for name, change := range map[string]func(*Config){
		"mask and window": func(c *Config) {
			c.Keep = toyKeep()
			c.Targets[0].Window = &Window{X: 4, Y: 4, W: 12, H: 8}
		},
		"torus": func(c *Config) { c.Torus = Torus{true, true} },
	} {
		cfg := toyConfig(t, "updated")
		change(&cfg)
		whole := begun(t, cfg)
		advance(t, whole, 4)
		half := begun(t, cfg)
		advance(t, half, 2)
		saved, err := half.State()
		if err != nil {
			t.Fatal(err)
		}
		cfg.Chunk = 5
		rest := newPainter(t, cfg)
		if err := rest.Restore(saved); err != nil {
			t.Fatal(err)
		}
		advance(t, rest, 2)
		want, _ := whole.State()
		if got, err := rest.State(); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: 2+2 steps in other chunks are not 4 steps (%v)", name, err)
		}
	}
}

func TestPlacesRefused(t *testing.T) {
	for name, change := range map[string]func(*Config){
		"mask of another size": func(c *Config) { c.Keep = toyKeep(); c.Keep.Pixels = c.Keep.Pixels[1:] },
		"mask above 1":         func(c *Config) { c.Keep = toyKeep(); c.Keep.Cells[0] = 2 },
		"window outside":       func(c *Config) { c.Targets[0].Window = &Window{X: 20, Y: 0, W: 8, H: 8} },
		"shares":               func(c *Config) { c.Targets[0].Window = &Window{W: 8, H: 8, Share: make([]float32, 3)} },
		"window of a torus": func(c *Config) {
			c.Targets[0].Window, c.Torus = &Window{W: 8, H: 8}, Torus{Rows: true}
		},
	} {
		cfg := toyConfig(t, "updated")
		change(&cfg)
		d, enc := toys(t, testEngine)
		if _, err := New(testEngine, d, []ImageEncoder{enc}, cfg); err == nil {
			t.Errorf("%s is accepted", name)
		}
	}
}
