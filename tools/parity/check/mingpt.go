package check

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"

	"github.com/smalti/smalti/engine"
	"github.com/smalti/smalti/golden"
	"github.com/smalti/smalti/gx"
	"github.com/smalti/smalti/prior"
	"github.com/smalti/smalti/vqgan"
)

// Tolerances of the GPT fixtures. Two layers deep, float32 in another order of summation is 4e-7 away (fp64_check); what is
// allowed is theirs. Gradients: of the largest, as for CLIP. The gradient of a key's bias is zero but for rounding.
var (
	gptValues = golden.Tolerance{Abs: 5e-5, Rel: 1e-4}
	gptGrads  = golden.Tolerance{OfMax: 1e-4}
	gptNorms  = golden.Tolerance{Abs: 1e-7, Rel: 1e-4}
)

func init() { checkers["mingpt"] = minGPT }

// gptFixture is a model with the fixture that it is held against.
type gptFixture struct {
	f *golden.Fixture
	r *golden.Report
	e *engine.Engine
	m *prior.Model
	c prior.Config
}

// minGPT compares taming's Net2NetTransformer: the network, its loss and gradients, what filters leave of logits, and
// the likeliest sequences, with the cache and without.
func minGPT(f *golden.Fixture, r *golden.Report) error {
	g, err := openGPT(f, r)
	if err != nil {
		return err
	}
	for _, check := range []func() error{g.forward, g.gradients, g.filters, g.greedy, g.decode} {
		if err := check(); err != nil {
			return err
		}
	}
	return nil
}

func openGPT(f *golden.Fixture, r *golden.Report) (*gptFixture, error) {
	var want struct {
		Model struct {
			Vocab    int `json:"vocab_size"`
			Block    int `json:"block_size"`
			Layers   int `json:"n_layer"`
			Heads    int `json:"n_head"`
			Width    int `json:"n_embd"`
			Unmasked int `json:"n_unmasked"`
			Cond     string
			SOS      int `json:"sos_token"`
			Classes  int `json:"n_classes"`
		}
	}
	if err := f.Config(&want); err != nil {
		return nil, err
	}
	e, err := startEngine()
	if err != nil {
		return nil, err
	}
	wf, err := f.Weights("model.ckpt")
	if err != nil {
		return nil, err
	}
	defer wf.Close()
	w := want.Model
	c, err := prior.Infer(wf, w.Heads)
	if err != nil {
		return nil, err
	}
	c.Condition, c.SOS, c.Classes = prior.Condition(w.Cond), w.SOS, w.Classes
	if need := (prior.Config{VocabSize: w.Vocab, BlockSize: w.Block, Layers: w.Layers, Heads: w.Heads, Width: w.Width, Unmasked: w.Unmasked,
		Condition: c.Condition, SOS: w.SOS, Classes: w.Classes}); c != need {
		return nil, fmt.Errorf("inferred %+v, want %+v", c, need)
	}
	c.GridH, c.GridW = 8, 8 // 32 pixels at f = 4
	m, err := prior.Open(e, wf, &c)
	return &gptFixture{f: f, r: r, e: e, m: m, c: c}, err
}

// run runs a graph over tensors of the fixture.
func (g *gptFixture) run(build engine.Build, names ...string) ([]*tensors.Tensor, error) {
	in := make([]*tensors.Tensor, len(names))
	for i, name := range names {
		if name == "prefix_embeddings" {
			in[i] = fixtureTensor(g.f, name)
		} else {
			in[i] = tensors.FromFlatDataAndDimensions(g.codes(name), g.f.Shape(name)...)
		}
	}
	return g.e.Program(g.f.Name, build).Run(g.m.Weights(), in...)
}

func (g *gptFixture) codes(name string) []int32 {
	var out []int32
	for _, k := range g.f.Ints(name) {
		out = append(out, int32(k))
	}
	return out
}

func (g *gptFixture) forward() error {
	outs, err := g.run(func(v *gx.Vars, in []*graph.Node) []*graph.Node {
		cond, codes, read, prefix := in[0], in[1], in[2], in[3]
		loss, _ := g.c.LossGraph(v, cond, codes, codes)
		six := graph.Slice(codes, graph.AxisRange(), graph.AxisRange(0, 6))
		return []*graph.Node{g.c.CodesGraph(v, cond, codes), loss, g.c.LogitsGraph(v, nil, read), g.c.LogitsGraph(v, prefix, six)}
	}, "c_indices", "z_indices", "transformer_in", "prefix_embeddings")
	if err != nil {
		return err
	}
	for i, name := range []string{"logits", "loss", "transformer_logits_all", "logits_with_prefix"} {
		g.r.Compare(name, engine.Floats(outs[i]), g.f.Floats(name), gptValues)
	}
	return nil
}

// gradients compares some gradients of the loss and the norms of all.
func (g *gptFixture) gradients() error {
	var want struct {
		Norms map[string]float64 `json:"grad_norms"`
	}
	if err := g.f.Config(&want); err != nil {
		return err
	}
	var decls []gx.Decl
	outs, err := g.run(func(v *gx.Vars, in []*graph.Node) []*graph.Node {
		loss, _ := g.c.LossGraph(v, in[0], in[1], in[1])
		decls = v.Decls()
		nodes := make([]*graph.Node, len(decls))
		for i, d := range decls {
			nodes[i] = v.Node(d.Name)
		}
		return graph.Gradient(loss, nodes...)
	}, "c_indices", "z_indices")
	if err != nil {
		return err
	}
	var norms, expected []float32
	for i, d := range decls {
		name := strings.TrimPrefix(d.Name, "transformer.")
		grad := d.Layout.ToFile(engine.Floats(outs[i]), d.Dims)
		if g.f.Has("grad." + name) {
			g.r.Compare("grad."+name, grad, g.f.Floats("grad."+name), gptGrads)
		}
		norm, ok := want.Norms[name]
		if !ok {
			return fmt.Errorf("the fixture has no gradient of %s", name)
		}
		norms, expected = append(norms, euclid(grad)), append(expected, float32(norm))
	}
	if len(norms) != len(want.Norms) {
		return fmt.Errorf("%d variables, the fixture has %d", len(norms), len(want.Norms))
	}
	g.r.Compare("grad_norms", norms, expected, gptNorms)
	return nil
}

// filters compares what TopK, TopP and a temperature leave of the last position's logits.
func (g *gptFixture) filters() error {
	shape := g.f.Shape("logits")
	n, s, k := shape[0], shape[1], shape[2]
	all := g.f.Floats("logits")
	var top, nucleus, probs []float32
	for i := range n {
		last := all[(i*s+s-1)*k : (i*s+s)*k]
		five := slices.Clone(last)
		prior.TopK(five, 5)
		top = append(top, five...)
		seven := slices.Clone(last)
		prior.TopK(seven, 7)
		prior.TopP(seven, 0.8)
		nucleus = append(nucleus, seven...)
		warm := slices.Clone(last)
		for j := range warm {
			warm[j] /= 0.7
		}
		prior.TopK(warm, 5)
		for _, p := range prior.Probabilities(warm) {
			probs = append(probs, float32(p))
		}
	}
	g.r.Compare("topk5", top, g.f.Floats("topk5"), golden.Tolerance{})
	g.r.Compare("topk7_topp0.8", nucleus, g.f.Floats("topk7_topp0.8"), golden.Tolerance{})
	g.r.Compare("probs_temp0.7_topk5", probs, g.f.Floats("probs_temp0.7_topk5"), golden.Tolerance{Abs: 1e-6})
	return nil
}

// greedy compares the likeliest first codes of each condition.
func (g *gptFixture) greedy() error {
	conds := g.codes("c_indices")
	steps := g.f.Shape("greedy")[1]
	given := slices.Repeat([]int32{0}, 64) // what comes after the first codes is not asked for
	for i := range steps {
		given[i] = prior.Unknown
	}
	in := make([]prior.Input, len(conds))
	for i, c := range conds {
		in[i] = prior.Input{Given: given}
		if g.c.Condition == prior.Class {
			in[i].Class = int(c)
		}
	}
	for _, noCache := range []bool{true, false} {
		pictures, err := g.m.Sample(context.Background(), in, prior.Options{NoCache: noCache})
		if err != nil {
			return err
		}
		var got []int64
		for _, p := range pictures {
			for _, k := range p.Idx[:steps] {
				got = append(got, int64(k))
			}
		}
		name := "greedy"
		if !noCache {
			g.r.Exact("greedy:cached", got, g.f.Ints("greedy"))
			if name = "greedy_with_past"; !g.f.Has(name) {
				continue // the reference's cache is wrong beyond unmasked positions, so it has none there
			}
		}
		g.r.Exact(name, got, g.f.Ints(name))
	}
	return nil
}

// decode compares the pictures of the codes, by the model that they belong to.
func (g *gptFixture) decode() error {
	dir, err := golden.Open(g.f.Sibling("vqgan_tiny"))
	if err != nil {
		return err
	}
	defer dir.Close()
	wf, err := dir.Weights("model.ckpt")
	if err != nil {
		return err
	}
	defer wf.Close()
	c, w, err := vqgan.Read(g.e, wf, nil)
	if err != nil {
		return err
	}
	shape := g.f.Shape("z_indices")
	codes := tensors.FromFlatDataAndDimensions(g.codes("z_indices"), shape[0], 8, 8)
	outs, err := g.e.Program(g.f.Name, func(v *gx.Vars, in []*graph.Node) []*graph.Node {
		return []*graph.Node{vqCHW(c.DecodeGraph(v, c.LookupGraph(v, in[0])))}
	}).Run(w, codes)
	if err != nil {
		return err
	}
	g.r.Compare("decoded", engine.Floats(outs[0]), g.f.Floats("decoded"), vqValues)
	return nil
}

// euclid is the norm of all elements.
func euclid(x []float32) float32 {
	sum := 0.
	for _, v := range x {
		sum += float64(v) * float64(v)
	}
	return float32(math.Sqrt(sum))
}
