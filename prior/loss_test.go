package prior

import (
	"context"
	"math"
	"slices"
	"testing"

	"github.com/gomlx/gomlx/core/graph"

	"github.com/smalti/smalti/engine"
	"github.com/smalti/smalti/gx"
	"github.com/smalti/smalti/rng"
)

// TestLosses holds the three forms of the same number against each other: of two sequences at once, of each, and of
// certain mixtures. 1e-5 is some roundings of a mean of logarithms near 3.
func TestLosses(t *testing.T) {
	m := toy(t, captions())
	in := []Input{{Tokens: []int32{1, 2}}, {}}
	pictures := mustSample(t, m, in, drawn)
	nll, err := m.Likelihood(context.Background(), in, pictures)
	if err != nil {
		t.Fatal(err)
	}
	var cond, codes []int32
	for i, p := range pictures {
		if cond, err = m.condition(cond, in[i]); err != nil {
			t.Fatal(err)
		}
		codes = append(codes, p.Idx...)
	}
	loss := m.floats(t, func(v *gx.Vars, in []*graph.Node) []*graph.Node {
		l, _ := m.LossGraph(v, in[0], in[1], in[1])
		return []*graph.Node{l}
	}, ints(cond, 2, 5), ints(codes, 2, 16))
	if want := (nll[0] + nll[1]) / 2; math.Abs(float64(loss[0])-want) > 1e-5 {
		t.Errorf("loss %g, mean likelihood %g", loss[0], want)
	}
	hot := make([]float32, 2*16*20)
	for i, k := range codes {
		hot[i*20+int(k)] = 1
	}
	soft := m.floats(t, func(v *gx.Vars, in []*graph.Node) []*graph.Node {
		return []*graph.Node{m.SoftLossGraph(v, in[0], in[1])}
	},
		ints(cond, 2, 5), engine.FromFloats(hot, 2, 16, 20))
	for i, want := range nll {
		if math.Abs(float64(soft[i])-want) > 1e-5 {
			t.Errorf("soft loss %g, likelihood %g", soft[i], want)
		}
	}
	// Codes drawn at temperature 1 are likelier than codes at random, of which none has an expectation below log k.
	other := slices.Clone(codes)
	s := rng.New(1, "other")
	for i := range other {
		other[i] = int32(s.IntN(20))
	}
	worse, err := m.Likelihood(context.Background(), in[:1], []Codes{{4, 4, other[:16]}})
	if err != nil || worse[0] <= nll[0] {
		t.Errorf("random codes %v, drawn ones %v, %v", worse, nll[0], err)
	}
	if _, err := m.Likelihood(context.Background(), in[:1], []Codes{{2, 8, other[:16]}}); err == nil {
		t.Error("took a grid of another width")
	}
}

// TestTraining teaches a model that a caption's token is the code of the whole picture, with captions dropped and codes
// replaced; afterwards it draws what captions say, guidance sharpens, and without a caption it draws any of the codes.
func TestTraining(t *testing.T) {
	c := ForCaptions(8, 3, TextEncoder{Vocab: 8, Length: 2, Width: 8}, 1, 2, 16)
	decls, err := c.Decls(testEngine())
	if err != nil {
		t.Fatal(err)
	}
	values, err := engine.Upload(decls, gx.Materialise(decls, 1))
	if err != nil {
		t.Fatal(err)
	}
	step := testEngine().Program("train", func(v *gx.Vars, in []*graph.Node) []*graph.Node {
		loss, right := c.LossGraph(v, in[0], in[1], in[2])
		ds := v.Decls()
		nodes := make([]*graph.Node, len(ds))
		for i, d := range ds {
			nodes[i] = v.Node(d.Name)
		}
		for i, g := range graph.Gradient(loss, nodes...) { // signs of gradients: Adam's first step at every step
			v.Set(ds[i].Name, graph.Sub(nodes[i], graph.MulScalar(graph.Sign(g), .01)))
		}
		return []*graph.Node{loss, right}
	})
	var first, last float32
	for i := range 120 {
		s := rng.New(2, "batch", uint64(i))
		var cond, codes []int32
		for range 16 {
			k := int32(s.IntN(8))
			cond = append(cond, k, 0)
			codes = append(codes, slices.Repeat([]int32{k}, 9)...)
		}
		c.DropCaptions(cond, .2, s)
		outs, err := step.Run(values, ints(cond, 16, 2), ints(c.Corrupt(codes, .9, s), 16, 9), ints(codes, 16, 9))
		if err != nil {
			t.Fatal(err)
		}
		if last = engine.Floats(outs[0])[0]; i == 0 {
			first = last
		}
	}
	// The best possible is what dropped captions hide: .2 log 8 / 9 = .05, and what replaced codes blur.
	if math.Abs(float64(first)-math.Log(8)) > .1 || last > .5 {
		t.Fatalf("loss %g at first, %g in the end", first, last)
	}
	m, err := New(testEngine(), c, values)
	if err != nil {
		t.Fatal(err)
	}
	o := Options{Choice: Choice{Temperature: 1}, Guidance: 2}
	for k := range int32(8) {
		p := mustSample(t, m, []Input{{Tokens: []int32{k, 0}}}, o)[0]
		wrong := 0
		for _, code := range p.Idx {
			if code != k {
				wrong++
			}
		}
		if wrong > 1 {
			t.Errorf("caption %d draws %v", k, p.Idx)
		}
	}
	seen := map[int32]bool{}
	for _, p := range mustSample(t, m, make([]Input, 12), Options{Choice: Choice{Temperature: 1}}) {
		seen[p.Idx[4]] = true
	}
	if len(seen) < 3 {
		t.Errorf("without a caption only %v", seen)
	}
}

func TestCorruptAndDrop(t *testing.T) {
	c := captions()
	codes := make([]int32, 10000)
	kept := 0
	for _, k := range c.Corrupt(codes, .75, rng.New(3, "corrupt")) {
		if k == 0 {
			kept++
		}
	}
	// Of the 2500 replaced ones a twentieth is 0 again; the standard deviation is 42.
	if want := 7500 + 125; kept < want-170 || kept > want+170 {
		t.Errorf("%d of 10000 codes stay, want %d", kept, want)
	}
	if got := c.Corrupt([]int32{4, 5}, 1, rng.New(3, "corrupt")); !slices.Equal(got, []int32{4, 5}) {
		t.Errorf("with keep 1 codes became %v", got)
	}
	tokens := slices.Repeat([]int32{7}, 5*2000)
	c.DropCaptions(tokens, .1, rng.New(3, "drop"))
	dropped := 0
	for i := 0; i < len(tokens); i += 5 {
		if tokens[i] == c.Text.NoCaption() {
			dropped++
		}
		for _, x := range tokens[i : i+5] {
			if x != tokens[i] {
				t.Fatal("a caption was dropped in part")
			}
		}
	}
	if dropped < 140 || dropped > 260 { // the standard deviation is 13
		t.Errorf("%d of 2000 captions dropped, want 200", dropped)
	}
}

func TestFilters(t *testing.T) {
	logits := func() []float32 { return []float32{1, 3, 2, 3, 0} }
	for _, tc := range []struct {
		name string
		do   func(x []float32)
		kept []int
	}{
		{"top 1 keeps equals", func(x []float32) { TopK(x, 1) }, []int{1, 3}},
		{"top 3", func(x []float32) { TopK(x, 3) }, []int{1, 2, 3}},
		{"top 0", func(x []float32) { TopK(x, 0) }, []int{0, 1, 2, 3, 4}},
		{"top 9", func(x []float32) { TopK(x, 9) }, []int{0, 1, 2, 3, 4}},
		{"a tiny nucleus is the first of the likeliest", func(x []float32) { TopP(x, 1e-9) }, []int{1}},
		{"nucleus", func(x []float32) { TopP(x, .8) }, []int{1, 2, 3}}, // .39 + .39 < .8
		{"nucleus of all", func(x []float32) { TopP(x, 1) }, []int{0, 1, 2, 3, 4}},
	} {
		x := logits()
		tc.do(x)
		var kept []int
		for i, v := range x {
			if v != never {
				kept = append(kept, i)
			}
		}
		if !slices.Equal(kept, tc.kept) {
			t.Errorf("%s: %v, want %v", tc.name, kept, tc.kept)
		}
	}
	counts := make([]float64, 5)
	const draws = 20000
	for i := range draws {
		counts[Choice{Temperature: 2}.pick(logits(), uniform(1, 0, i))]++
	}
	cold := logits()
	for i := range cold {
		cold[i] /= 2
	}
	chi := 0.
	for i, p := range Probabilities(cold) {
		chi += (counts[i] - draws*p) * (counts[i] - draws*p) / (draws * p)
	}
	if chi > 18.5 { // 0.1 % of such counts, 4 degrees of freedom
		t.Errorf("counts %v, chi-square %.1f", counts, chi)
	}
	if got := (Choice{}).pick(logits(), .99); got != 1 {
		t.Errorf("the likeliest is %d", got)
	}
	if got := (Choice{Temperature: 1, TopK: 1}).pick(logits(), math.Nextafter(1, 0)); got != 3 {
		t.Errorf("the last of two is %d", got)
	}
	with := []float32{1, 2}
	if guide(with, []float32{0, 3}, 2); !slices.Equal(with, []float32{2, 1}) {
		t.Errorf("guided to %v", with)
	}
}
