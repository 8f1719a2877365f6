package prior

import (
	"context"
	"errors"
	"math"
	"slices"
	"sync"
	"testing"

	"github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"

	"github.com/smalti/smalti/engine"
	"github.com/smalti/smalti/gx"
	"github.com/smalti/smalti/rng"
)

var testEngine = sync.OnceValue(func() *engine.Engine {
	e, err := engine.New(engine.Options{Threads: 1})
	if err != nil {
		panic(err)
	}
	return e
})

// plain, classes and captions are toys of each kind, on a grid of 4 x 4 codes. In classes the first codes are unmasked.
func plain() Config {
	return Config{VocabSize: 20, BlockSize: 16, Layers: 2, Heads: 2, Width: 16, Condition: Unconditional, SOS: 3, GridH: 4, GridW: 4}
}

func classes() Config {
	c := plain()
	c.Condition, c.Classes, c.Unmasked, c.Codes = Class, 5, 6, 17
	return c
}

func captions() Config {
	return ForCaptions(20, 4, TextEncoder{Vocab: 30, Length: 5, Width: 8}, 2, 2, 16)
}

// toy is a model with drawn weights; scale makes its predictions sharper than those of a fresh one.
func toy(t *testing.T, c Config) *Model {
	t.Helper()
	decls, err := c.Decls(testEngine())
	if err != nil {
		t.Fatal(err)
	}
	values := gx.Materialise(decls, 4)
	for name, x := range values {
		for i := range x {
			switch {
			case name == "transformer.pos_emb":
				x[i] = float32(rng.New(5, "pos", uint64(i)).Normal())
			case len(x) > c.Width && name != "text.token_embedding.weight":
				x[i] *= 12
			}
		}
	}
	up, err := engine.Upload(decls, values)
	if err != nil {
		t.Fatal(err)
	}
	m, err := New(testEngine(), c, up)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func mustSample(t *testing.T, m *Model, in []Input, o Options) []Codes {
	t.Helper()
	out, err := m.Sample(context.Background(), in, o)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func equal(a, b []Codes) bool {
	return slices.EqualFunc(a, b, func(a, b Codes) bool { return a.H == b.H && a.W == b.W && slices.Equal(a.Idx, b.Idx) })
}

var drawn = Options{Choice: Choice{Temperature: 1, TopK: 15, TopP: .95}, Seed: 7}

// kinds are a model of each kind with inputs for five pictures and the options that suit it.
func kinds(t *testing.T) map[string]struct {
	m  *Model
	in []Input
	o  Options
} {
	type kind = struct {
		m  *Model
		in []Input
		o  Options
	}
	guided := drawn
	guided.Guidance = 2
	return map[string]kind{
		"plain":    {toy(t, plain()), make([]Input, 5), drawn},
		"classes":  {toy(t, classes()), []Input{{Class: 1}, {Class: 4}, {Class: 0}, {Class: 1}, {Class: 2}}, drawn},
		"captions": {toy(t, captions()), []Input{{Tokens: []int32{1, 2}}, {}, {Tokens: []int32{29, 3, 4, 5, 6}}, {Tokens: []int32{7}}, {Tokens: []int32{1, 2}}}, guided},
	}
}

// TestCache compares the cached way with its slow twin, and one batch with many: equal codes.
func TestCache(t *testing.T) {
	for name, k := range kinds(t) {
		want := mustSample(t, k.m, k.in, k.o)
		slow := k.o
		slow.NoCache = true
		if got := mustSample(t, k.m, k.in, slow); !equal(got, want) {
			t.Errorf("%s: without the cache %v, with it %v", name, got, want)
		}
		for _, batch := range []int{1, 3} {
			o := k.o
			o.Batch = batch
			if got := mustSample(t, k.m, k.in, o); !equal(got, want) {
				t.Errorf("%s: %v in batches of %d, %v at once", name, got, batch, want)
			}
		}
		o := k.o
		o.First = 3
		if got := mustSample(t, k.m, k.in[3:], o); !equal(got, want[3:]) {
			t.Errorf("%s: pictures 3 and 4 depend on those before them", name)
		}
		if slices.Equal(want[0].Idx, want[4].Idx) || slices.Equal(want[0].Idx, want[3].Idx) {
			t.Errorf("%s: pictures of the same input are equal", name)
		}
		for _, p := range want {
			if err := k.m.checkCodes(p.Idx, false); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
}

// TestCacheLogits compares the numbers themselves, from codes of a seeded stream. They are equal to the last bit: both
// ways sum the same products in the same order.
func TestCacheLogits(t *testing.T) {
	for name, k := range kinds(t) {
		s, err := k.m.sheet(k.in[:2], Options{H: 4, W: 4}, 0)
		if err != nil {
			t.Fatal(err)
		}
		for i := range s.codes {
			for j := range s.codes[i] {
				s.codes[i][j] = int32(rng.New(9, "codes", uint64(i), uint64(j)).IntN(k.m.NumCodes()))
			}
		}
		g, slow := s.newGrowth(), s.newGrowth()
		ctx := context.Background()
		if _, err := g.read(ctx, 0); err != nil {
			t.Fatal(err)
		}
		for at := 1; at < 16; at++ {
			got, err := g.next(ctx, at)
			if err != nil {
				t.Fatal(err)
			}
			want, err := slow.read(ctx, at)
			if err != nil {
				t.Fatal(err)
			}
			for i := range want {
				if got[i] != want[i] {
					t.Fatalf("%s: at %d logit %d is %g with the cache, %g without", name, at, i, got[i], want[i])
				}
			}
		}
	}
}

// TestCompletion gives the first codes of a picture, or some in between, and expects the same picture: every code has
// its own number, whatever is drawn before it.
func TestCompletion(t *testing.T) {
	for name, k := range kinds(t) {
		want := mustSample(t, k.m, k.in, k.o)
		for _, keep := range []func(i int) bool{
			func(i int) bool { return i < 8 }, func(i int) bool { return i%3 == 1 }, func(i int) bool { return i >= 8 }, func(int) bool { return true },
		} {
			in := slices.Clone(k.in)
			for p := range in {
				in[p].Given = slices.Clone(want[p].Idx)
				for i := range in[p].Given {
					if !keep((i + p) % 16) {
						in[p].Given[i] = Unknown
					}
				}
			}
			if got := mustSample(t, k.m, in, k.o); !equal(got, want) {
				t.Errorf("%s: completed to %v, want %v", name, got, want)
			}
		}
		other := slices.Repeat([]int32{Unknown}, 16)
		other[0] = (want[0].Idx[0] + 1) % 17
		in := k.in[0]
		in.Given = other
		got := mustSample(t, k.m, []Input{in}, k.o)[0]
		if got.Idx[0] != other[0] || slices.Equal(got.Idx[1:], want[0].Idx[1:]) {
			t.Errorf("%s: another first code changes nothing: %v", name, got.Idx)
		}
	}
}

// TestWindow compares the order row by row with the wavefront, and the window on the model's own grid with the plain way.
func TestWindow(t *testing.T) {
	for name, k := range kinds(t) {
		for _, size := range [][2]int{{7, 9}, {3, 6}, {6, 4}, {4, 4}} {
			o := k.o
			o.H, o.W = size[0], size[1]
			var sheets []*sheet
			for _, order := range []func(window, []bool) [][]int{rowByRow, wavefront} {
				in := slices.Clone(k.in[:2])
				in[1].Given = slices.Repeat([]int32{Unknown}, o.H*o.W)
				in[1].Given[2], in[1].Given[o.W] = 5, 6
				s, err := k.m.sheet(in, o, 0)
				if err != nil {
					t.Fatal(err)
				}
				if err := s.slide(context.Background(), order(s.window(), s.known()), 3); err != nil {
					t.Fatal(err)
				}
				sheets = append(sheets, s)
			}
			for p, codes := range sheets[0].codes {
				if slices.Contains(codes, Unknown) || !slices.Equal(codes, sheets[1].codes[p]) {
					t.Errorf("%s %v: row by row %v, as a wave %v", name, size, codes, sheets[1].codes[p])
				}
			}
			if codes := sheets[0].codes[1]; codes[2] != 5 || codes[o.W] != 6 {
				t.Errorf("%s %v: the given codes are gone", name, size)
			}
			if size == [2]int{4, 4} {
				if want := mustSample(t, k.m, k.in[:1], k.o)[0].Idx; !slices.Equal(want, sheets[0].codes[0]) {
					t.Errorf("%s: %v through a window, %v without", name, sheets[0].codes[0], want)
				}
			}
		}
	}
	large := drawn
	large.H, large.W = 5, 6
	got := mustSample(t, toy(t, plain()), make([]Input, 1), large)[0]
	if got.H != 5 || got.W != 6 || len(got.Idx) != 30 {
		t.Errorf("a grid of %dx%d with %d codes", got.W, got.H, len(got.Idx))
	}
}

// TestWavefront counts the groups for taming's window of 16 x 16. The ratios are those that facts about the reference's
// indexing give: 512 px, 1024 x 512 px and 1024 px at f = 16. It checks the corners against the reference's own rule.
func TestWavefront(t *testing.T) {
	for _, tc := range []struct {
		h, w  int
		ratio float64
	}{{32, 32, 1.94}, {32, 64, 3.66}, {64, 64, 3.82}, {16, 16, 1}} {
		w := window{tc.h, tc.w, 16, 16}
		groups := wavefront(w, make([]bool, tc.h*tc.w))
		if r := float64(tc.h*tc.w) / float64(len(groups)); math.Abs(r-tc.ratio) > .006 {
			t.Errorf("%dx%d: %.3f times fewer steps, want %.2f", tc.w, tc.h, r, tc.ratio)
		}
		for i := range tc.h {
			local := 8
			if i <= 8 {
				local = i
			} else if tc.h-i < 8 {
				local = 16 - (tc.h - i)
			}
			if top, _ := w.corner(i, 0); top != i-local {
				t.Errorf("row %d of %d: the window begins at %d, want %d", i, tc.h, top, i-local)
			}
		}
	}
}

// TestCausality changes a code and sees which predictions move.
func TestCausality(t *testing.T) {
	run := func(m *Model, cond, codes []int32) []float32 {
		outs, err := testEngine().Program("codes", func(v *gx.Vars, in []*graph.Node) []*graph.Node {
			return []*graph.Node{m.CodesGraph(v, in[0], in[1])}
		}).Run(m.Weights(), ints(cond, 1, len(cond)), ints(codes, 1, len(codes)))
		if err != nil {
			t.Fatal(err)
		}
		return engine.Floats(outs[0])
	}
	for name, k := range kinds(t) {
		cond, err := k.m.condition(nil, k.in[2])
		if err != nil {
			t.Fatal(err)
		}
		codes := []int32{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12}
		base := run(k.m, cond, codes)
		for at := range codes {
			other := slices.Clone(codes)
			other[at]++
			first := len(codes) // prediction that moves
			for i, x := range run(k.m, cond, other) {
				if x != base[i] {
					first = i / k.m.VocabSize
					break
				}
			}
			want := at + 1
			if k.m.Unmasked > k.m.Prefix() && at+k.m.Prefix() < k.m.Unmasked { // it is seen by everything unmasked
				want = 0
			}
			if first != want {
				t.Errorf("%s: code %d moves the predictions from %d on, want %d", name, at, first, want)
			}
		}
		if name != "plain" {
			cond[len(cond)-1] = (cond[len(cond)-1] + 1) % 5
			if slices.Equal(run(k.m, cond, codes)[:k.m.VocabSize], base[:k.m.VocabSize]) {
				t.Errorf("%s: the condition changes nothing", name)
			}
		}
	}
}

func TestRefusals(t *testing.T) {
	p, c, x := toy(t, plain()), toy(t, classes()), toy(t, captions())
	for _, tc := range []struct {
		name string
		m    *Model
		in   Input
		o    Options
		is   error
	}{
		{"narrow grid", p, Input{}, Options{H: 4, W: 3}, ErrSize},
		{"huge grid", p, Input{}, Options{H: 4, W: 3000}, ErrSize},
		{"one side", p, Input{}, Options{W: 8}, ErrSize},
		{"too few given", p, Input{Given: make([]int32, 3)}, Options{}, ErrSize},
		{"given beyond the codes", c, Input{Given: slices.Repeat([]int32{18}, 16)}, Options{}, nil},
		{"class", c, Input{Class: 5}, Options{}, ErrInput},
		{"guided class", c, Input{}, Options{Guidance: 2}, nil},
		{"long caption", x, Input{Tokens: make([]int32, 6)}, Options{}, ErrInput},
		{"token", x, Input{Tokens: []int32{30}}, Options{}, ErrInput},
		{"temperature", p, Input{}, Options{Choice: Choice{Temperature: -1}}, nil},
		{"not a number", p, Input{}, Options{Choice: Choice{Temperature: math.NaN()}}, nil},
		{"top-p", p, Input{}, Options{Choice: Choice{Temperature: 1, TopP: 1.5}}, nil},
	} {
		_, err := tc.m.Sample(context.Background(), []Input{tc.in}, tc.o)
		if err == nil || tc.is != nil && !errors.Is(err, tc.is) {
			t.Errorf("%s: %v", tc.name, err)
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	o := drawn
	o.Progress = func(done, _ int) {
		if done == 3 {
			cancel()
		}
	}
	if _, err := p.Sample(ctx, make([]Input, 1), o); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	for _, spoil := range []func(*Config){
		func(c *Config) { c.Heads = 3 }, func(c *Config) { c.SOS = 20 }, func(c *Config) { c.Condition = "depth" }, func(c *Config) { c.GridW = 5 },
		func(c *Config) { c.BlockSize = 1; c.GridH, c.GridW = 0, 0 }, func(c *Config) { c.Condition = Text }, func(c *Config) { c.Codes = 21 },
	} {
		c := plain()
		if spoil(&c); c.Validate() == nil {
			t.Errorf("accepted %+v", c)
		}
	}
	leaky := captions()
	if leaky.Unmasked++; leaky.Validate() == nil {
		t.Error("accepted captions that see codes")
	}
}

func TestBest(t *testing.T) {
	m := toy(t, captions())
	in := Input{Tokens: []int32{1, 2}}
	all := mustSample(t, m, []Input{in, in, in, in}, drawn)
	best, scores, err := m.Best(context.Background(), in, 4, func(_ context.Context, ps []Codes) ([]float64, error) {
		if !equal(ps, all) {
			t.Error("the judge sees other pictures than Sample draws")
		}
		return []float64{1, 3, 3, 2}, nil
	}, drawn)
	if err != nil || !slices.Equal(best.Idx, all[1].Idx) || !slices.Equal(scores, []float64{1, 3, 3, 2}) {
		t.Errorf("best %v, scores %v, %v", best, scores, err)
	}
	if _, _, err := m.Best(context.Background(), in, 2, func(context.Context, []Codes) ([]float64, error) { return nil, nil }, drawn); err == nil {
		t.Error("missing scores went unnoticed")
	}
}

// floats runs a graph of a model and returns its first output.
func (m *Model) floats(t *testing.T, build engine.Build, in ...*tensors.Tensor) []float32 {
	t.Helper()
	outs, err := testEngine().Program(t.Name(), build).Run(m.Weights(), in...)
	if err != nil {
		t.Fatal(err)
	}
	return engine.Floats(outs[0])
}
