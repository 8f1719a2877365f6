package clip

import (
	"errors"
	"maps"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/gomlx/compute/dtypes"
	"github.com/gomlx/compute/shapes"
	"github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"

	"github.com/smalti/smalti/engine"
	"github.com/smalti/smalti/gx"
	"github.com/smalti/smalti/rng"
)

// tinyText is a text tower that runs in no time.
var tinyText = Text{ContextLength: 12, VocabSize: 40, Width: 16, Heads: 2, Layers: 2}

func tinyConfig(v Vision) Config {
	return Config{Vision: v, Text: tinyText, EmbedDim: 8, Activation: QuickGELU, Mean: openAIMean, Std: openAIStd}
}

var tinyTowers = map[string]Config{
	ViT:    tinyConfig(Vision{Kind: ViT, ImageSize: 8, PatchSize: 4, Width: 16, Layers: 1, Heads: 2}),
	ResNet: tinyConfig(Vision{Kind: ResNet, ImageSize: 32, Width: 4, Heads: 2, Blocks: []int{1, 1, 1, 1}}),
	Conv:   tinyConfig(Vision{Kind: Conv, ImageSize: 8, Widths: []int{4, 6, 8}}),
	VGG:    tinyConfig(Vision{Kind: VGG, ImageSize: 8, Widths: []int{4, 6}}),
}

func testEngine(t *testing.T) *engine.Engine {
	t.Helper()
	e, err := engine.New(engine.Options{Threads: 2})
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// start declares and materialises the variables of a program.
func start(t *testing.T, p *engine.Program, in ...*tensors.Tensor) engine.Tensors {
	t.Helper()
	var ins []shapes.Shape
	for _, x := range in {
		ins = append(ins, x.Shape())
	}
	decls, err := p.Decls(ins...)
	if err != nil {
		t.Fatal(err)
	}
	vars, err := engine.Upload(decls, gx.Materialise(decls, 1))
	if err != nil {
		t.Fatal(err)
	}
	return vars
}

func picture(seed uint64, dims ...int) *tensors.Tensor {
	n := 1
	for _, d := range dims {
		n *= d
	}
	x := make([]float32, n)
	rng.New(seed, "test picture").FillUniform(x, 0, 1)
	return engine.FromFloats(x, dims...)
}

func tokenTensor(rows ...[]int32) *tensors.Tensor {
	var flat []int32
	for _, r := range rows {
		flat = append(flat, r...)
	}
	return tensors.FromFlatDataAndDimensions(flat, len(rows), len(rows[0]))
}

// TestTowersLearn takes gradient steps on the contrastive loss of two pairs: a tower with a dead or wrong path from
// its variables to its features would not bring the loss down.
func TestTowersLearn(t *testing.T) {
	e := testEngine(t)
	for kind, c := range tinyTowers {
		t.Run(kind, func(t *testing.T) {
			if err := c.Validate(); err != nil {
				t.Fatal(err)
			}
			p := e.Program("learn", func(v *gx.Vars, in []*graph.Node) []*graph.Node {
				logits := c.LogitsGraph(v, c.ImageGraph(v, in[0]), c.TextGraph(v, in[1]))
				other := graph.ReduceAllSum(graph.Exp(logits)) // both pairs are right on the diagonal
				loss := graph.Sub(graph.Log(other), graph.MulScalar(graph.ReduceAllSum(graph.Mul(logits, diagonal(logits))), 0.5))
				decls := slices.DeleteFunc(v.Decls(), func(d gx.Decl) bool { return !Trainable(d.Name) })
				nodes := make([]*graph.Node, len(decls))
				for i, d := range decls {
					nodes[i] = v.Node(d.Name)
				}
				for i, g := range graph.Gradient(loss, nodes...) {
					v.Set(decls[i].Name, graph.Sub(nodes[i], graph.MulScalar(g, 0.01)))
				}
				return []*graph.Node{loss}
			})
			x, text := picture(2, 2, c.Vision.ImageSize, c.Vision.ImageSize, 3), tokenTensor([]int32{38, 5, 39, 0}, []int32{38, 9, 7, 39})
			vars := start(t, p, x, text)
			for name, old := range vars { // blocks of the resnet start as identities: nothing would reach what they hide
				if strings.HasSuffix(name, "bn3.weight") {
					vars[name] = engine.FromFloats(slices.Repeat([]float32{1}, old.Size()), old.Size())
				}
			}
			before := maps.Clone(vars)
			var first, last float32
			for i := range 15 {
				out, err := p.Run(vars, x, text)
				if err != nil {
					t.Fatal(err)
				}
				if last = engine.Floats(out[0])[0]; i == 0 {
					first = last
				}
			}
			if !(last < first-0.1) {
				t.Errorf("loss %g -> %g", first, last)
			}
			for name, old := range before {
				if !Trainable(name) || strings.HasSuffix(name, "k_proj.bias") { // softmax does not see a shift of all scores
					continue
				}
				if slices.Equal(engine.Floats(old), engine.Floats(vars[name])) {
					t.Errorf("%s did not move", name)
				}
			}
		})
	}
}

// TestClassTokenAlone: the last block computes the class token alone, to the bits that it has among all tokens.
func TestClassTokenAlone(t *testing.T) {
	c := tinyConfig(Vision{Kind: ViT, ImageSize: 12, PatchSize: 4, Width: 48, Layers: 3, Heads: 3})
	p := testEngine(t).Program("class token", func(v *gx.Vars, in []*graph.Node) []*graph.Node {
		var all *graph.Node
		short := tower{c, func(name string, y *graph.Node) *graph.Node {
			if name == "visual.transformer.resblocks.2" {
				all = y
			}
			return y
		}}.vision(v, in[0])
		all.AssertDims(5, 10, 48)
		v = v.In("visual")
		return []*graph.Node{short, project(v, "proj", layerNorm(v.In("ln_post"), graph.Reshape(first(all, 1), 5, 48)), c.EmbedDim)}
	})
	x := picture(3, 5, 12, 12, 3)
	out, err := p.Run(start(t, p, x), x)
	if err != nil {
		t.Fatal(err)
	}
	if short, all := engine.Floats(out[0]), engine.Floats(out[1]); !slices.Equal(short, all) {
		t.Errorf("alone %v, among all %v", short, all)
	}
}

func diagonal(x *graph.Node) *graph.Node {
	return graph.OneHot(graph.Iota(x.Graph(), shapes.Make(dtypes.Int32, 2), 0), 2, dtypes.Float32)
}

func TestTextIgnoresWhatFollowsTheEnd(t *testing.T) {
	e := testEngine(t)
	c := tinyTowers[Conv]
	p := e.Program("text", func(v *gx.Vars, in []*graph.Node) []*graph.Node { return []*graph.Node{c.TextGraph(v, in[0])} })
	long := tokenTensor([]int32{38, 5, 7, 39, 0, 0, 0, 0, 0, 0, 0, 0})
	vars := start(t, p, long)
	run := func(x *tensors.Tensor) []float32 {
		out, err := p.Run(vars, x)
		if err != nil {
			t.Fatal(err)
		}
		return engine.Floats(out[0])
	}
	want := run(long)
	for name, x := range map[string]*tensors.Tensor{
		"shorter":       tokenTensor([]int32{38, 5, 7, 39}),
		"other padding": tokenTensor([]int32{38, 5, 7, 39, 9, 9, 9, 9, 9, 9, 9, 9}),
	} {
		for i, got := range run(x) {
			if math.Abs(float64(got-want[i])) > 1e-6 { // sums of masked zeros may be taken in another order
				t.Errorf("%s: feature %d is %g, want %g", name, i, got, want[i])
			}
		}
	}
	if other := run(tokenTensor([]int32{38, 5, 8, 39})); math.Abs(float64(other[0]-want[0])) < 1e-6 {
		t.Error("another word gives the same feature")
	}
}

func TestValidateNamesEverythingWrong(t *testing.T) {
	c := tinyTowers[ViT]
	c.Vision.PatchSize, c.Text.Heads, c.Std[1] = 3, 5, 0
	err := c.Validate()
	if err == nil {
		t.Fatal("accepted")
	}
	c.Text.Layers = 1 << 30
	err = errors.Join(err, c.Validate())
	for _, want := range []string{"patch_size 3", "5 heads", "std[1]", "layers is 1073741824"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%v does not mention %q", err, want)
		}
	}
}
