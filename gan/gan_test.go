package gan

import (
	"bytes"
	"context"
	"errors"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/gomlx/gomlx/core/graph"

	"github.com/smalti/smalti/engine"
	"github.com/smalti/smalti/gx"
	"github.com/smalti/smalti/rng"
	"github.com/smalti/smalti/weights"
)

func testEngine(t testing.TB) *engine.Engine {
	t.Helper()
	e, err := engine.New(engine.Options{Threads: 1})
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// small are configurations of every kind, cheap enough to run.
func small() map[string]Config {
	dc := Config{Kind: DCGAN, Size: 16, Channels: 3, Levels: 2, MaxMult: 2, Latent: 8, Generator: Net{Width: 4, Norm: Batch}, Discriminator: Net{Width: 4, Norm: Batch}}
	labelled := dc.Critic(Layer)
	labelled.Labels = 3
	return map[string]Config{
		"dcgan": dc, "critic": dc.Critic(Instance), "labels": labelled,
		"mlp":    {Kind: MLP, Size: 8, Channels: 1, Levels: 3, MaxMult: 1, Latent: 5, Generator: Net{Width: 6, Norm: Batch}, Discriminator: Net{Width: 6, Norm: NoNorm}},
		"resnet": {Kind: ResNet, Size: 16, Channels: 1, Levels: 2, MaxMult: 8, Latent: 6, Generator: Net{Width: 4, Norm: Batch}, Discriminator: Net{Width: 4, Norm: Layer}},
	}
}

func drawn(t testing.TB, decls []gx.Decl, prefix string) engine.Tensors {
	t.Helper()
	ts, err := engine.Upload(decls, gx.Materialise(decls, 5))
	if err != nil {
		t.Fatal(err)
	}
	out := engine.Tensors{}
	for name, x := range ts {
		out[prefix+name] = x
	}
	return out
}

func sum(decls []gx.Decl) int {
	n := 0
	for _, d := range decls {
		n += d.Shape().Size()
	}
	return n
}

func TestPublishedArchitectures(t *testing.T) {
	e := testEngine(t)
	// PyTorch's DCGAN example at 64 pixels (ngf = ndf = 64, nz = 100) prints 3,576,704 and 2,765,568 parameters; running
	// statistics, two for each channel of a norm, come on top here: 960 channels in the generator, 896 in the discriminator.
	c := Faces64()
	c.Latent, c.Generator.Width, c.Discriminator = 100, 64, Net{Width: 64, Norm: Batch}
	for _, w := range []struct {
		list  func(*engine.Engine) ([]gx.Decl, error)
		want  int
		first string
	}{{c.GeneratorDecls, 3_576_704 + 2*960, "main.0.weight"}, {c.DiscriminatorDecls, 2_765_568 + 2*896, "main.0.weight"}} {
		decls, err := w.list(e)
		if err != nil {
			t.Fatal(err)
		}
		if got := sum(decls); got != w.want || decls[0].Name != w.first {
			t.Errorf("%d variables from %s on, want %d", got, decls[0].Name, w.want)
		}
	}
	for _, c := range []Config{MNISTBasic(), MNISTConv(), MNISTConv().Critic(Instance), Faces64(), Faces128(), Paper64(64)} {
		if err := c.Validate(); err != nil {
			t.Error(err)
		}
	}
}

func TestPaperNetworksHaveTheirShapes(t *testing.T) {
	e := testEngine(t)
	decls, err := Paper64(64).DiscriminatorDecls(e)
	if err != nil {
		t.Fatal(err)
	}
	dims := map[string][]int{}
	for _, d := range decls {
		dims[d.Name] = d.Layout.FileDims(d.Dims)
	}
	// gan_64x64.py, GoodDiscriminator with dim 64: dim, 2, 4, 8, 8 times dim at 64, 32, 16, 8, 4 pixels.
	for name, want := range map[string][]int{"input.weight": {64, 3, 3, 3}, "res1.conv1.weight": {64, 64, 3, 3}, "res1.conv2.weight": {128, 64, 3, 3},
		"res4.conv2.weight": {512, 512, 3, 3}, "res4.shortcut.weight": {512, 512, 1, 1}, "output.weight": {1, 4 * 4 * 512}, "res1.norm2.weight": {64}} {
		if !slices.Equal(dims[name], want) {
			t.Errorf("%s is %v, want %v", name, dims[name], want)
		}
	}
	if _, ok := dims["res1.conv1.bias"]; ok {
		t.Error("the first convolution of a block has a bias; the paper's has none")
	}
}

func TestValidateRefuses(t *testing.T) {
	for name, change := range map[string]func(*Config){
		"kind": func(c *Config) { c.Kind = "vae" }, "size": func(c *Config) { c.Size = 30 }, "channels": func(c *Config) { c.Channels = 4 },
		"latent": func(c *Config) { c.Latent = 0 }, "norm": func(c *Config) { c.Generator.Norm = "spectral" }, "levels": func(c *Config) { c.Levels = 5 },
		"instance": func(c *Config) { c.Kind, c.Generator.Norm = MLP, Instance },
	} {
		c := Faces64()
		c.Size = 32
		change(&c)
		if c.Validate() == nil {
			t.Errorf("%s: accepted %+v", name, c)
		}
	}
}

func TestNetworksRunForwardAndBack(t *testing.T) {
	e := testEngine(t)
	for name, c := range small() {
		gen, err := c.GeneratorDecls(e)
		if err != nil {
			t.Fatal(name, err)
		}
		judge, err := c.DiscriminatorDecls(e)
		if err != nil {
			t.Fatal(name, err)
		}
		vars := drawn(t, gen, "g.")
		for n, x := range drawn(t, judge, "d.") {
			vars[n] = x
		}
		var names []string
		p := e.Program(name, func(v *gx.Vars, in []*graph.Node) []*graph.Node {
			s := &Stats{}
			fake := c.GenerateGraph(v.In("g"), in[0], in[1], s)
			logits := c.JudgeGraph(v.In("d"), fake, in[1], s)
			var nodes []*graph.Node
			names = nil
			for _, d := range v.Decls() {
				names, nodes = append(names, d.Name), append(nodes, v.Node(d.Name))
			}
			return append([]*graph.Node{fake, logits}, graph.Gradient(GeneratorLoss(logits, NonSaturating), nodes...)...)
		})
		z := c.Noise(1, 0, 4)
		labels := engineInts(c.Classes(4))
		outs, err := p.Run(vars, engine.FromFloats(z, 4, c.Latent), labels)
		if err != nil {
			t.Fatal(name, err)
		}
		for _, v := range engine.Floats(outs[0]) {
			if !(v >= -1 && v <= 1) {
				t.Fatalf("%s: a pixel is %g", name, v)
			}
		}
		if l := engine.Floats(outs[1]); len(l) != 4 || l[0] == l[1] {
			t.Errorf("%s: logits %v", name, l)
		}
		for i, n := range names {
			nonzero := slices.ContainsFunc(engine.Floats(outs[2+i]), func(g float32) bool { return g != 0 && !math.IsNaN(float64(g)) })
			if !nonzero {
				t.Errorf("%s: no gradient reaches %s", name, n)
			}
		}
	}
}

func TestLabelsMatter(t *testing.T) {
	e := testEngine(t)
	c := small()["labels"]
	m := model(t, e, c)
	z := append(slices.Clone(c.Noise(1, 0, 1)), c.Noise(1, 0, 1)...)
	planes, err := m.Planes(context.Background(), z, []int32{0, 2})
	if err != nil {
		t.Fatal(err)
	}
	if slices.Equal(planes[:len(planes)/2], planes[len(planes)/2:]) {
		t.Error("two classes give the same picture of the same noise")
	}
	if _, err := m.Planes(context.Background(), z, []int32{0, 3}); err == nil {
		t.Error("class 3 of 3 was accepted")
	}
}

func model(t testing.TB, e *engine.Engine, c Config) *Model {
	t.Helper()
	decls, err := c.GeneratorDecls(e)
	if err != nil {
		t.Fatal(err)
	}
	m, err := New(e, c, drawn(t, decls, ""))
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestBatchNormStatistics(t *testing.T) {
	e := testEngine(t)
	p := e.Program("norm", func(v *gx.Vars, in []*graph.Node) []*graph.Node {
		s := &Stats{}
		y := norm(v.In("n"), in[0], Batch, s)
		s.Apply(v)
		return []*graph.Node{y}
	})
	vars := engine.Tensors{"n.weight": engine.FromFloats([]float32{1}, 1), "n.bias": engine.FromFloats([]float32{0}, 1),
		"n.running_mean": engine.FromFloats([]float32{2}, 1), "n.running_var": engine.FromFloats([]float32{3}, 1)}
	if _, err := p.Run(vars, engine.FromFloats([]float32{1, 3, 5, 7}, 4, 1)); err != nil {
		t.Fatal(err)
	}
	// mean 4; variance 20/3 with n-1, as torch.nn.BatchNorm keeps it.
	if m, v := engine.Floats(vars["n.running_mean"])[0], engine.Floats(vars["n.running_var"])[0]; math.Abs(float64(m)-2.2) > 1e-6 || math.Abs(float64(v)-(2.7+2./3)) > 1e-6 {
		t.Errorf("running mean %g and variance %g, want 2.2 and 3.3667", m, v)
	}
}

func TestSaveAndRead(t *testing.T) {
	e := testEngine(t)
	for name, c := range small() {
		m := model(t, e, c)
		var b bytes.Buffer
		if err := Save(&b, c, m.Weights()); err != nil {
			t.Fatal(name, err)
		}
		f, err := weights.OpenBytes(b.Bytes())
		if err != nil {
			t.Fatal(name, err)
		}
		got, err := Open(e, f, nil)
		if err != nil {
			t.Fatal(name, err)
		}
		if got.Config() != c {
			t.Errorf("%s: read %+v, want %+v", name, got.Config(), c)
		}
		z := c.Noise(9, 0, 3)
		want, err1 := m.Planes(context.Background(), z, nil)
		have, err2 := got.Planes(context.Background(), z, nil)
		if err := errors.Join(err1, err2); err != nil || !slices.Equal(want, have) {
			t.Errorf("%s: other pictures after reading (%v)", name, err)
		}
	}
}

func TestReadRefuses(t *testing.T) {
	e := testEngine(t)
	c := small()["dcgan"]
	m := model(t, e, c)
	delete(m.values, "main.3.weight")
	if _, err := New(e, c, m.values); err == nil || !strings.Contains(err.Error(), "main.3.weight") {
		t.Errorf("New: %v", err)
	}
	var b bytes.Buffer
	outs := []weights.Out{{Name: "conv.weight", DType: weights.F32, Shape: []int{1}, Floats: []float32{1}}}
	if err := weights.WriteSafetensors(&b, nil, outs); err != nil {
		t.Fatal(err)
	}
	f, err := weights.OpenBytes(b.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Open(e, f, nil); !errors.Is(err, ErrNotGAN) {
		t.Errorf("Open: %v", err)
	}
	if _, err := OpenClassifier(e, f); !errors.Is(err, ErrNotClassifier) {
		t.Errorf("OpenClassifier: %v", err)
	}
}

func TestNoiseIsNumbered(t *testing.T) {
	c := small()["mlp"]
	all, part := c.Noise(3, 0, 6), c.Noise(3, 4, 2)
	if !slices.Equal(all[4*c.Latent:], part) {
		t.Error("pictures 4 and 5 have other noise when they are drawn alone")
	}
	if slices.Equal(all[:c.Latent], all[c.Latent:2*c.Latent]) {
		t.Error("two pictures have the same noise")
	}
}

func TestBetween(t *testing.T) {
	a, b := []float32{3, 0}, []float32{0, 3}
	got := Between(a, b, 3)
	r := float32(3 / math.Sqrt2)
	for i, want := range []float32{3, 0, r, r, 0, 3} {
		if math.Abs(float64(got[i]-want)) > 1e-6 {
			t.Fatalf("%v", got)
		}
	}
	if same := Between(a, a, 4); slices.ContainsFunc(same, func(v float32) bool { return math.IsNaN(float64(v)) }) || same[2] != 3 {
		t.Errorf("from a point to itself: %v", same)
	}
}

func TestGoalsFarOut(t *testing.T) {
	e := testEngine(t)
	run := func(goal Goal, x float32) (loss, slope float32) {
		p := e.Program("goal", func(_ *gx.Vars, in []*graph.Node) []*graph.Node {
			l := GeneratorLoss(in[0], goal)
			return []*graph.Node{l, graph.Gradient(l, in[0])[0]}
		})
		outs, err := p.Run(engine.Tensors{}, engine.FromFloats([]float32{x}, 1))
		if err != nil {
			t.Fatal(err)
		}
		return engine.Floats(outs[0])[0], engine.Floats(outs[1])[0]
	}
	for _, k := range []struct {
		goal        Goal
		x           float32
		loss, slope float64
	}{
		{NonSaturating, -80, 80, -1}, {NonSaturating, 80, 0, 0}, {NonSaturating, 0, math.Ln2, -.5},
		{Minimax, -80, 0, 0}, {Minimax, 80, -80, -1}, {Minimax, 0, -math.Ln2, -.5},
	} {
		loss, slope := run(k.goal, k.x)
		if math.Abs(float64(loss)-k.loss) > 1e-6 || math.Abs(float64(slope)-k.slope) > 1e-6 {
			t.Errorf("%s at %g: loss %g, slope %g, want %g and %g", k.goal, k.x, loss, slope, k.loss, k.slope)
		}
	}
}

// TestPenaltyOfALine: a critic w.x has the gradient w everywhere, so everything is known.
func TestPenaltyOfALine(t *testing.T) {
	e := testEngine(t)
	p := e.Program("penalty", func(v *gx.Vars, in []*graph.Node) []*graph.Node {
		w := v.Get("w", gx.Spec{Dims: []int{2}})
		pen := GradientPenalty(func(x *graph.Node) *graph.Node {
			return graph.DotGeneral(graph.Reshape(x, 3, 2), []int{1}, nil, w, []int{0}, nil)
		}, in[0])
		return []*graph.Node{pen.Loss, pen.Norms, graph.Gradient(pen.Loss, w)[0]}
	})
	x := engine.FromFloats(make([]float32, 6), 3, 2, 1, 1)
	for _, w := range [][]float32{{3, 4}, {0, 0}} {
		outs, err := p.Run(engine.Tensors{"w": engine.FromFloats(w, 2)}, x)
		if err != nil {
			t.Fatal(err)
		}
		norm := math.Hypot(float64(w[0]), float64(w[1]))
		if got := float64(engine.Floats(outs[0])[0]); math.Abs(got-(norm-1)*(norm-1)) > 1e-5 {
			t.Errorf("penalty at norm %g is %g", norm, got)
		}
		if n := engine.Floats(outs[1]); len(n) != 3 || math.Abs(float64(n[2])-norm) > 1e-6 {
			t.Errorf("norms %v, want %g", n, norm)
		}
		for i, g := range engine.Floats(outs[2]) { // 2 (|w|-1) w/|w|, and nothing at all where there is no direction
			want := 0.
			if norm > 0 {
				want = 2 * (norm - 1) * float64(w[i]) / norm
			}
			if math.Abs(float64(g)-want) > 1e-5 {
				t.Errorf("gradient %d at norm %g is %g, want %g", i, norm, g, want)
			}
		}
	}
}

// TestPenaltyGradient holds the double backward of a whole critic against differences of the penalty, for each norm.
func TestPenaltyGradient(t *testing.T) {
	e := testEngine(t)
	for _, n := range []Norm{NoNorm, Instance, Layer} {
		for _, kind := range []Kind{DCGAN, ResNet} {
			c := Config{Kind: kind, Size: 8, Channels: 1, Levels: 1, MaxMult: 2, Latent: 2, Generator: Net{Width: 2, Norm: NoNorm}, Discriminator: Net{Width: 3, Norm: n, Bias: true}}
			decls, err := c.DiscriminatorDecls(e)
			if err != nil {
				t.Fatal(err)
			}
			x := make([]float32, 2*8*8)
			rng.New(1, "x").FillNormal(x)
			values := gx.Materialise(decls, 3)
			for name, v := range values { // far from zero, so that differences of float32 mean something
				s := rng.New(2, name)
				for i := range v {
					v[i] += float32(.2 * s.Normal())
				}
			}
			p := e.Program("penalty", func(v *gx.Vars, in []*graph.Node) []*graph.Node {
				pen := GradientPenalty(func(x *graph.Node) *graph.Node { return c.JudgeGraph(v, x, nil, nil) }, in[0])
				outs := []*graph.Node{pen.Loss}
				for _, d := range v.Decls() {
					outs = append(outs, graph.Gradient(pen.Loss, v.Node(d.Name))[0])
				}
				return outs
			})
			at := func(name string, i int, step float32) float64 {
				old := values[name][i]
				values[name][i] = old + step
				defer func() { values[name][i] = old }()
				vars, err := engine.Upload(decls, values)
				if err != nil {
					t.Fatal(err)
				}
				outs, err := p.Run(vars, engine.FromFloats(x, 2, 8, 8, 1))
				if err != nil {
					t.Fatal(err)
				}
				if step == 0 {
					for k, d := range decls {
						if d.Name == name {
							return float64(engine.Floats(outs[1+k])[i])
						}
					}
				}
				return float64(engine.Floats(outs[0])[0])
			}
			checked := 0
			for _, d := range decls {
				if !strings.HasSuffix(d.Name, "weight") {
					continue
				}
				const h = 2e-3
				got, want := at(d.Name, 1%len(values[d.Name]), 0), (at(d.Name, 1%len(values[d.Name]), h)-at(d.Name, 1%len(values[d.Name]), -h))/(2*h)
				// Rounding of a penalty near 1 by 1e-7 over 4e-3, and kinks of leaky ReLUs that the step may cross.
				if math.Abs(got-want) > 3e-3+.03*math.Abs(want) {
					t.Errorf("%s with %s norm: d penalty / d %s[1] = %g, differences say %g", kind, n, d.Name, got, want)
				}
				checked++
			}
			if checked < 2 {
				t.Errorf("%s: only %d weights checked", kind, checked)
			}
		}
	}
}
