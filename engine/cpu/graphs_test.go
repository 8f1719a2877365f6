package cpu_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"os"
	"sync"
	"testing"

	"github.com/gomlx/compute/shapes"
	"github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"

	"github.com/smalti/smalti/clip"
	"github.com/smalti/smalti/engine"
	"github.com/smalti/smalti/gx"
	"github.com/smalti/smalti/prior"
	"github.com/smalti/smalti/rng"
	"github.com/smalti/smalti/vqgan"
)

// graphCase is a whole graph as smalti runs them, small.
type graphCase struct {
	name  string
	build engine.Build
	in    [][]int
}

func graphCases() []graphCase {
	conv := clip.BuiltinV0(clip.Vocab{})
	conv.Vision.Widths = []int{12, 20, 36}
	vit := conv
	vit.Vision = clip.Vision{Kind: clip.ViT, ImageSize: 32, PatchSize: 8, Width: 48, Layers: 2, Heads: 3}
	vq := vqgan.BuiltinV0()
	vq.Attn = []bool{false, false, true}
	gpt := prior.ForCaptions(70, 3, prior.TextEncoder{Vocab: 9, Length: 4, Width: 8}, 2, 3, 48)
	tower := func(c clip.Config) engine.Build {
		return func(v *gx.Vars, in []*graph.Node) []*graph.Node {
			y := clip.Normalise(c.ImageGraph(v, in[0]))
			return append([]*graph.Node{y}, gradients(v, graph.ReduceAllSum(graph.Mul(y, in[1])), in[0])...)
		}
	}
	return []graphCase{
		{"clip conv", tower(conv), [][]int{{5, 32, 32, 3}, {5, 128}}},
		{"clip vit", tower(vit), [][]int{{5, 32, 32, 3}, {5, 128}}},
		{"vqgan", func(v *gx.Vars, in []*graph.Node) []*graph.Node {
			z := vq.EncodeGraph(v, in[0])
			zq, codes := vq.QuantiseGraph(v, z)
			y := vq.DecodeGraph(v, zq)
			loss := graph.ReduceAllMean(graph.Abs(graph.Sub(y, in[0])))
			loss = graph.Add(loss, vq.VQLoss(v, z, codes, vqgan.LossOptions{Beta: .25}))
			return append([]*graph.Node{y}, gradients(v, loss, in[0])...)
		}, [][]int{{3, 32, 32, 3}}},
		{"gpt", func(v *gx.Vars, in []*graph.Node) []*graph.Node {
			y := gx.LogSoftmax(gpt.LogitsGraph(v, in[0], nil))
			return append([]*graph.Node{y}, gradients(v, graph.ReduceAllSum(graph.Mul(y, in[1])), in[0])...)
		}, [][]int{{3, 7, 48}, {3, 7, 70}}},
	}
}

// gradients are those of a loss for all variables and for x.
func gradients(v *gx.Vars, loss, x *graph.Node) []*graph.Node {
	var ps []*graph.Node
	for _, d := range v.Decls() {
		ps = append(ps, v.Node(d.Name))
	}
	return append([]*graph.Node{loss}, graph.Gradient(loss, append(ps, x)...)...)
}

func normal(name string, scale float32, dims ...int) *tensors.Tensor {
	n := 1
	for _, d := range dims {
		n *= d
	}
	data := make([]float32, n)
	rng.New(1, name).FillNormal(data)
	for i := range data {
		data[i] *= scale
	}
	return engine.FromFloats(data, dims...)
}

// session runs a case on an engine of its own.
type session struct {
	e    *engine.Engine
	p    *engine.Program
	vars engine.Tensors
	in   []*tensors.Tensor
}

func start(t *testing.T, c graphCase, threads int) *session {
	t.Helper()
	e, err := engine.New(engine.Options{Threads: threads, Class: os.Getenv("SMALTI_CPU")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(e.Close)
	s := &session{e: e, p: e.Program(c.name, c.build), vars: engine.Tensors{}}
	var ss []shapes.Shape
	for i, d := range c.in {
		s.in = append(s.in, normal(fmt.Sprint("input", i), 1, d...))
		ss = append(ss, s.in[i].Shape())
	}
	decls, err := s.p.Decls(ss...)
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range decls {
		fan := 1
		for _, k := range d.Dims[:max(0, len(d.Dims)-1)] {
			fan *= k
		}
		s.vars[d.Name] = normal(d.Name, 1/float32(fan), d.Dims...)
	}
	return s
}

func (s *session) run(t *testing.T) []byte {
	t.Helper()
	outs, err := s.p.Run(s.vars, s.in...)
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	for _, o := range outs {
		if o.DType().IsFloat() {
			_ = binary.Write(&b, binary.LittleEndian, engine.Floats(o))
		}
	}
	return b.Bytes()
}

// TestSameBytesForAnyThreads runs whole graphs, forward and backward, with several numbers of threads, and again in the
// same session, when packed weights are kept.
func TestSameBytesForAnyThreads(t *testing.T) {
	for _, c := range graphCases() {
		t.Run(c.name, func(t *testing.T) {
			var want []byte
			for _, threads := range []int{1, 2, 3, 7} {
				s := start(t, c, threads)
				for i := range 3 {
					got := s.run(t)
					if want == nil {
						want = got
					}
					if !bytes.Equal(got, want) {
						t.Fatalf("%d threads, run %d: other bytes than with one thread", threads, i)
					}
				}
				if f := s.e.Fallbacks(); len(f) > 0 {
					t.Errorf("fallbacks: %v", f)
				}
			}
		})
	}
}

// TestRowsDoNotDependOnTheBatch encodes pictures together and one by one.
func TestRowsDoNotDependOnTheBatch(t *testing.T) {
	for _, c := range graphCases() {
		build := c.build
		c.build = func(v *gx.Vars, in []*graph.Node) []*graph.Node { return build(v, in)[:1] } // the features or pictures
		s := start(t, c, 2)
		all, err := s.p.Run(s.vars, s.in...)
		if err != nil {
			t.Fatal(err)
		}
		want := engine.Floats(all[0])
		n := c.in[0][0]
		for i := range n {
			var one []*tensors.Tensor
			for _, x := range s.in {
				d := x.Shape().Dimensions
				size := x.Shape().Size() / n
				one = append(one, engine.FromFloats(engine.Floats(x)[i*size:(i+1)*size], append([]int{1}, d[1:]...)...))
			}
			outs, err := s.p.Run(s.vars, one...)
			if err != nil {
				t.Fatal(err)
			}
			size := len(want) / n
			for k, v := range engine.Floats(outs[0]) {
				if v != want[i*size+k] {
					t.Fatalf("%s: picture %d, element %d is %v alone and %v among %d", c.name, i, k, v, want[i*size+k], n)
				}
			}
		}
	}
}

// TestConcurrentRuns runs one executable from several goroutines at once.
func TestConcurrentRuns(t *testing.T) {
	s := start(t, graphCases()[0], 2)
	want := s.run(t)
	var wg sync.WaitGroup
	for range 4 {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for range 2 {
				outs, err := s.p.Run(s.vars, s.in...)
				if err != nil {
					t.Error(err)
					return
				}
				var b bytes.Buffer
				for _, o := range outs {
					_ = binary.Write(&b, binary.LittleEndian, engine.Floats(o))
				}
				if !bytes.Equal(b.Bytes(), want) {
					t.Error("other bytes than alone")
				}
			}
		}()
	}
	wg.Wait()
}

// TestGraphsHitTheFusedWays counts the row clusters of whole graphs (each norm and softmax outside attention, forward and
// back, where neighbours may share one) and what is left of elementwise clusters and reductions, so that a pattern that no
// longer matches is noticed. Reductions over rows, of gradients for weights and of group norms, stay operations.
func TestGraphsHitTheFusedWays(t *testing.T) {
	want := map[string]struct{ rows, attention, clusters, sums int }{
		"clip conv": {9, 0, 11, 17}, "clip vit": {11, 2, 11, 23}, "vqgan": {1, 3, 594, 368}, "gpt": {11, 2, 8, 24},
	}
	for _, c := range graphCases() {
		s, w := start(t, c, 1), want[c.name]
		var in []shapes.Shape
		for _, x := range s.in {
			in = append(in, x.Shape())
		}
		u, err := s.p.Units(in, nil)
		if err != nil {
			t.Fatal(err)
		}
		if u["Rows"] < w.rows || u["Attention"] < w.attention || u["AttentionGrad"] < w.attention {
			t.Errorf("%s: fewer fused units than before: %v", c.name, u)
		}
		if u["Cluster"] > w.clusters || u["ReduceSum"] > w.sums || u["ReduceMax"] > 0 {
			t.Errorf("%s: more clusters and reductions than before: %v", c.name, u)
		}
	}
}
