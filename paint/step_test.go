package paint

import (
	"context"
	"errors"
	"math"
	"reflect"
	"slices"
	"testing"

	"github.com/smalti/smalti/engine"
)

func TestPaintingLowersTheLoss(t *testing.T) {
	for _, scheme := range []string{"original", "updated", "pooled", "overview"} {
		t.Run(scheme, func(t *testing.T) {
			cfg := toyConfig(t, scheme)
			p := begun(t, cfg)
			first := advance(t, p, 1)
			last := advance(t, p, 24)
			if !(last.Total < first.Total-0.1) {
				t.Errorf("total loss %v at step 0, %v at step 24", first.Total, last.Total)
			}
			z, err := p.Latent(Now)
			if err != nil {
				t.Fatal(err)
			}
			for i, v := range z {
				if c := i % toyChannels; v < p.lo[c] || v > p.hi[c] {
					t.Fatalf("z[%d] = %v left the codebook's range %v to %v", i, v, p.lo[c], p.hi[c])
				}
			}
			pic, err := p.Picture(Now)
			if err != nil {
				t.Fatal(err)
			}
			if pic.W != 24 || pic.H != 20 || len(pic.Pix) != 3*24*20 || len(pic.Codes) != 6*5 {
				t.Errorf("picture of %dx%d with %d values and %d codes", pic.W, pic.H, len(pic.Pix), len(pic.Codes))
			}
			if slices.Max(pic.Pix) > 1 || slices.Min(pic.Pix) < 0 {
				t.Error("pixels outside of [0,1]")
			}
		})
	}
}

// TestChunksDoNotMatter: gradients have the same bits for any chunk.
func TestChunksDoNotMatter(t *testing.T) {
	schemes := []string{"updated", "pooled", "original", "overview"}
	if testing.Short() {
		schemes = schemes[:2]
	}
	for _, scheme := range schemes {
		for _, share := range []float64{0, 0.3} {
			var want []float32
			for _, chunk := range []int{32, 1, 4, 5} {
				cfg := toyConfig(t, scheme)
				cfg.Cuts, cfg.Chunk, cfg.Share = Const(32), chunk, Const(share)
				got, err := begun(t, cfg).PictureGradient(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				if want == nil {
					want = got
				}
				value, diff := largest(want, got)
				if value == 0 || diff != 0 {
					t.Errorf("%s, share %v: chunks of %d and of 32 differ by %v of %v", scheme, share, chunk, diff, value)
				}
			}
		}
	}
}

func TestChunkSizesAreEven(t *testing.T) {
	for _, c := range []struct{ cuts, limit, want int }{{32, 12, 11}, {32, 8, 8}, {3, 8, 3}, {9, 8, 5}, {1, 1, 1}} {
		if got := (&eye{}).chunkSize(c.cuts, c.limit); got != c.want {
			t.Errorf("%d cuts in chunks of at most %d: %d, want %d", c.cuts, c.limit, got, c.want)
		}
	}
}

// nothing is a loss over embeddings that forces the two-pass path and adds nothing.
type nothing struct{}

func (nothing) Name() string                       { return "nothing" }
func (nothing) Loss(Embeddings, []float64) float64 { return 0 }

// TestTwoPassesAgreeWithOne holds the fused graph against its slow twin. They share no code for the loss: the twin
// computes in float64 on the host, so float32 rounding of the fused one is what may differ.
func TestTwoPassesAgreeWithOne(t *testing.T) {
	for _, scheme := range []string{"original", "pooled"} {
		fast, slow := toyConfig(t, scheme), toyConfig(t, scheme)
		slow.Embedding = []EmbeddingLoss{nothing{}}
		a, err := begun(t, fast).gradients(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		b, err := begun(t, slow).gradients(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if value, diff := largest(b.dz, a.dz); value == 0 || diff > 2e-5*value {
			t.Errorf("%s: gradients differ by %v of %v", scheme, diff, value)
		}
		for i, term := range a.terms {
			if abs(term.Value-b.terms[i].Value) > 1e-5 || term.Name != b.terms[i].Name {
				t.Errorf("%s: %v in one pass, %v in two", scheme, term, b.terms[i])
			}
		}
	}
}

func TestContinuedRunIsTheWholeRun(t *testing.T) {
	kinds := append(slices.Clone(Optimisers), "share", "plateau")
	if testing.Short() {
		kinds = []string{"radam", "share"}
	}
	for _, kind := range kinds {
		t.Run(kind, func(t *testing.T) {
			cfg := toyConfig(t, "updated")
			cfg.Average = 0.9
			cfg.Latent = []LatentLoss{Pull{Const(0.2)}, Shrink{Weight: Schedule{Points: []Point{{0, 0.5}, {4, 0.1}}}, Restart: true}}
			cfg.Pixel = []WeightedPixelLoss{{TotalVariation{}, Const(0.5)}}
			cfg.LR = Schedule{Cosine, []Point{{0, 0.1}, {6, 0.01}}}
			cfg.Optimiser.Kind = kind
			if kind == "share" {
				cfg.Optimiser.Kind, cfg.Share = "adam", Const(0.4)
			}
			if kind == "plateau" { // of a single step, so that noise alone meets it
				cfg.Optimiser.Kind, cfg.Plateau = "adam", Plateau{Patience: 1, Factor: 0.5}
			}
			whole := begun(t, cfg)
			advance(t, whole, 6)

			half := begun(t, cfg)
			advance(t, half, 3)
			saved, err := half.State()
			if err != nil {
				t.Fatal(err)
			}
			advance(t, half, 3)
			want, err := whole.State()
			if err != nil {
				t.Fatal(err)
			}
			if got, err := half.State(); err != nil || !reflect.DeepEqual(got, want) {
				t.Errorf("two runs of the same job differ (%v)", err)
			}
			rest := newPainter(t, cfg)
			if err := rest.Restore(saved); err != nil {
				t.Fatal(err)
			}
			if rest.Step() != 3 {
				t.Errorf("restored at step %d", rest.Step())
			}
			advance(t, rest, 3)
			if got, err := rest.State(); err != nil || !reflect.DeepEqual(got, want) {
				t.Errorf("3+3 steps are not 6 steps (%v)", err)
			}
			if kind == "plateau" && whole.drops == 0 {
				t.Error("the rate never fell: the test shows nothing")
			}
		})
	}
}

func TestThreadsDoNotMatter(t *testing.T) {
	var want []Array
	for _, threads := range []int{1, 2} {
		e, err := engine.New(engine.Options{Threads: threads})
		if err != nil {
			t.Fatal(err)
		}
		d, enc := toys(t, e)
		p, err := New(e, d, []ImageEncoder{enc}, toyConfig(t, "updated"))
		if err != nil {
			t.Fatal(err)
		}
		if err := p.Begin(Start{}); err != nil {
			t.Fatal(err)
		}
		advance(t, p, 3)
		got, err := p.State()
		if err != nil {
			t.Fatal(err)
		}
		if want != nil && !reflect.DeepEqual(got, want) {
			t.Error("the state after three steps depends on the number of threads")
		}
		want = got
	}
}

func TestRestoreRefuses(t *testing.T) {
	cfg := toyConfig(t, "original")
	p := begun(t, cfg)
	advance(t, p, 2)
	good, err := p.State()
	if err != nil {
		t.Fatal(err)
	}
	without := func(name string) []Array {
		return slices.DeleteFunc(slices.Clone(good), func(a Array) bool { return a.Name == name })
	}
	replaced := func(name string, data []float32) []Array {
		return append(without(name), Array{name, []int{len(data)}, data})
	}
	wrongShape := slices.Clone(good)
	wrongShape[0].Shape = []int{1, 5, 6, 6}
	short := slices.Clone(good)
	short[0].Data = short[0].Data[1:]
	for name, arrays := range map[string][]Array{
		"missing":    without("z"),
		"no moment":  without("second_moment"),
		"left over":  append(slices.Clone(good), Array{"tea", []int{1}, []float32{1}}),
		"average":    append(slices.Clone(good), Array{"average", good[0].Shape, good[0].Data}),
		"shape":      wrongShape,
		"counts":     replaced("counts", []float32{1, 2, 3}),
		"negative":   replaced("counts", []float32{-1, 2, 3, 4}),
		"nan":        replaced("best_loss", []float32{float32(math.NaN())}),
		"short data": short,
	} {
		q := newPainter(t, cfg)
		if err := q.Restore(arrays); err == nil {
			t.Errorf("%s: restored", name)
		}
		if _, err := q.State(); !errors.Is(err, ErrNotStarted) {
			t.Errorf("%s: the failed restore left something behind", name)
		}
	}
	sgd := cfg
	sgd.Optimiser.Kind = "sgd"
	if err := newPainter(t, sgd).Restore(good); err == nil {
		t.Error("the state of adam was taken for sgd's")
	}
	averaging := cfg
	averaging.Average = 0.5
	if err := newPainter(t, averaging).Restore(good); err == nil {
		t.Error("a state without the average was taken for one with")
	}
}

// bomb is a latent loss that turns bad at a step.
type bomb struct {
	at    int
	value float64 // of the loss
	grad  float32
}

func (bomb) Name() string      { return "bomb" }
func (bomb) Restarts(int) bool { return false }
func (b bomb) Add(step int, _, _, grad []float32) float64 {
	if step != b.at {
		return 0
	}
	grad[0] += b.grad
	return b.value
}

func TestDivergenceKeepsTheLastGoodState(t *testing.T) {
	for name, b := range map[string]bomb{
		"loss":      {at: 2, value: math.NaN()},
		"gradient":  {at: 2, grad: float32(math.Inf(1))},
		"optimiser": {at: 2, grad: 1e30}, // its square overflows
	} {
		cfg := toyConfig(t, "original")
		cfg.Latent = []LatentLoss{b}
		p := begun(t, cfg)
		advance(t, p, 2)
		before, err := p.State()
		if err != nil {
			t.Fatal(err)
		}
		_, err = p.Advance(t.Context())
		var diverged *DivergedError
		if !errors.As(err, &diverged) || diverged.Step != 2 {
			t.Errorf("%s: error %v", name, err)
		}
		if after, err := p.State(); err != nil || !reflect.DeepEqual(before, after) {
			t.Errorf("%s: the state changed (%v)", name, err)
		}
	}
}

func TestCancelledStepChangesNothing(t *testing.T) {
	p := begun(t, toyConfig(t, "original"))
	before, err := p.State()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := p.Advance(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
	if after, err := p.State(); err != nil || !reflect.DeepEqual(before, after) {
		t.Errorf("the state changed (%v)", err)
	}
}

func TestTwoEncodersAddUp(t *testing.T) {
	d, enc := toys(t, testEngine)
	cfg := toyConfig(t, "original")
	cfg.Targets = append(cfg.Targets, Target{Name: "second", Encoder: 1, Embedding: NoiseEmbedding(13, toyWidth), Weight: 0.5})
	gradient := func(targets []Target) evaluation {
		c := cfg
		c.Targets = targets
		p, err := New(testEngine, d, []ImageEncoder{enc, enc}, c)
		if err != nil {
			t.Fatal(err)
		}
		if err := p.Begin(Start{}); err != nil {
			t.Fatal(err)
		}
		e, err := p.gradients(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return e
	}
	both, first, second := gradient(cfg.Targets), gradient(cfg.Targets[:2]), gradient(cfg.Targets[2:])
	sum := make([]float32, len(both.dx))
	for i := range sum {
		sum[i] = first.dx[i] + second.dx[i]
	}
	if value, diff := largest(both.dx, sum); value == 0 || diff > 1e-6*value {
		t.Errorf("gradients of two encoders differ from their sum by %v of %v", diff, value)
	}
	if len(both.terms) != 3 || both.terms[2].Value != second.terms[0].Value {
		t.Errorf("terms %v, of the second alone %v", both.terms, second.terms)
	}
}

func TestPixelLossGradients(t *testing.T) {
	cfg := toyConfig(t, "original")
	for _, loss := range []PixelLoss{TotalVariation{}, SaturationLoss{}, Symmetry{}, Edge{Width: 0.2, RGB: [3]float64{1, 0.5, 0}}} {
		l := newPixelLosses(testEngine, []WeightedPixelLoss{{loss, Const(2)}})
		x := randomFloats("pixels", 3*cfg.Width*cfg.Height)
		value := func(x []float32) (float64, []float32) {
			dx := make([]float32, len(x))
			terms, err := l.add(0, engine.FromFloats(x, 1, cfg.Height, cfg.Width, 3), nil, dx)
			if err != nil {
				t.Fatal(err)
			}
			return terms[0].Value, dx
		}
		v0, dx := value(x)
		// These losses are quadratic: central differences are exact but for rounding, so a wide step along the
		// gradient is the best.
		var slope float64
		up, down := slices.Clone(x), slices.Clone(x)
		for i, g := range dx {
			slope += float64(g) * float64(g)
			up[i], down[i] = x[i]+100*g, x[i]-100*g
		}
		v1, _ := value(up)
		v2, _ := value(down)
		if got := (v1 - v2) / 200; v0 == 0 || abs(got-slope) > 1e-3*slope {
			t.Errorf("%s: slope %v along the gradient, want %v", loss.Name(), got, slope)
		}
	}
}

func TestPullHoldsTheStart(t *testing.T) {
	z, init := []float32{1, 2, 4}, []float32{1, 1, 1}
	grad := make([]float32, 3)
	// mse = (0+1+9)/3, times weight/2 = 1.5; gradient weight*(z-init)/3.
	if v := (Pull{Const(3)}).Add(0, z, init, grad); abs(v-5) > 1e-12 || !slices.Equal(grad, []float32{0, 1, 3}) {
		t.Errorf("pull of %v with gradient %v", v, grad)
	}
	grad = make([]float32, 3)
	if v := (Pull{Const(3)}).Add(0, init, init, grad); v != 0 || !slices.Equal(grad, make([]float32, 3)) {
		t.Errorf("at the start: pull of %v with gradient %v", v, grad)
	}
	// The weight of a hyperbolic shrink at step 1 is a third: (1+4+16)/3 * 3/3/2.
	grad = make([]float32, 3)
	if v := (Shrink{Weight: Const(3), Hyperbolic: true}).Add(1, z, init, grad); abs(v-3.5) > 1e-12 {
		t.Errorf("shrink of %v", v)
	}
}

func TestAverageAndBest(t *testing.T) {
	cfg := toyConfig(t, "original")
	cfg.Average = 0.5
	p := begun(t, cfg)
	var zs [][]float32
	bestLoss, best := math.Inf(1), []float32(nil)
	for range 4 {
		before, _ := p.Latent(Now)
		r := advance(t, p, 1)
		if r.Total < bestLoss {
			bestLoss, best = r.Total, before
			if !r.Best {
				t.Error("a new best went unreported")
			}
		} else if r.Best {
			t.Error("a loss that is not the smallest was reported as best")
		}
		z, _ := p.Latent(Now)
		zs = append(zs, z)
	}
	if got, _ := p.Latent(Best); !slices.Equal(got, best) {
		t.Error("best is not the z of the smallest loss")
	}
	got, _ := p.Latent(Smooth)
	for i, v := range got {
		want := (zs[0][i] + 2*zs[1][i] + 4*zs[2][i] + 8*zs[3][i]) / 15
		if abs(float64(v-want)) > 1e-5 {
			t.Fatalf("average %v, want %v", v, want)
		}
	}
}

func TestRestartForgetsTheMoments(t *testing.T) {
	cfg := toyConfig(t, "original")
	cfg.Latent = []LatentLoss{Shrink{Weight: Schedule{Points: []Point{{0, 1}, {3, 0.5}}}, Restart: true}}
	p := begun(t, cfg)
	for step, want := range []int{1, 2, 3, 1, 2} {
		if advance(t, p, 1); p.opt.t != want {
			t.Errorf("after step %d the optimiser has taken %d steps, want %d", step, p.opt.t, want)
		}
	}
}
