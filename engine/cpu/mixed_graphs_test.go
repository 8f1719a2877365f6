package cpu_test

import (
	"bytes"
	"errors"
	"math"
	"os"
	"testing"

	"github.com/gomlx/gomlx/core/graph"

	"github.com/smalti/smalti/clip"
	"github.com/smalti/smalti/engine"
	"github.com/smalti/smalti/gx"
)

// towers are CLIP's, with the gradient for what goes in, at widths that are computed in bfloat16. Tokens cannot have a
// gradient: the text's is for its token embedding.
func towers() []graphCase {
	c := clip.BuiltinV0(clip.Vocab{})
	c.Vision = clip.Vision{Kind: clip.ViT, ImageSize: 32, PatchSize: 8, Width: 192, Layers: 3, Heads: 3}
	c.Text = clip.Text{ContextLength: 77, VocabSize: 300, Width: 128, Heads: 2, Layers: 3}
	c.EmbedDim = 128
	return []graphCase{
		{"image", func(v *gx.Vars, in []*graph.Node) []*graph.Node {
			y := clip.Normalise(c.ImageGraph(v, in[0]))
			return []*graph.Node{y, graph.Gradient(graph.ReduceAllSum(graph.Mul(y, in[1])), in[0])[0]}
		}, [][]int{{5, 32, 32, 3}, {5, 128}}},
		{"text", func(v *gx.Vars, in []*graph.Node) []*graph.Node {
			tokens := graph.Const(in[0].Graph(), [][]int32{{298, 5, 17, 230, 299, 0}, {298, 88, 299, 0, 0, 0}, {298, 1, 2, 3, 4, 299}})
			y := clip.Normalise(c.TextGraph(v, tokens))
			return []*graph.Node{y, graph.Gradient(graph.ReduceAllSum(graph.Mul(y, in[0])), v.Node("token_embedding.weight"))[0]}
		}, [][]int{{3, 128}}},
	}
}

// withPrecision starts a case like start, or skips when the class lacks the precision.
func withPrecision(t *testing.T, c graphCase, threads int, precision string) *session {
	t.Helper()
	e, err := engine.New(engine.Options{Threads: threads, Class: os.Getenv("SMALTI_CPU"), Precision: precision})
	if errors.Is(err, engine.ErrPrecision) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(e.Close)
	s := start(t, c, threads)
	s.e, s.p = e, e.Program(c.name, c.build)
	for name, v := range s.vars { // as large as trained weights are, so that layers count beside what they are added to
		if d := v.Shape().Dimensions; len(d) > 1 {
			s.vars[name] = normal(name, 1/float32(math.Sqrt(float64(v.Shape().Size()/d[len(d)-1]))), d...)
		}
	}
	return s
}

// TestMixedTowers compares features and gradients with those of float32. Each of the three layers adds errors of a few
// products (2.5e-3 each) to the residual stream, and the gradient passes all of them twice: 1e-2 and 2e-2 hold.
func TestMixedTowers(t *testing.T) {
	for _, c := range towers() {
		t.Run(c.name, func(t *testing.T) {
			f32, mixed := withPrecision(t, c, 2, engine.F32), withPrecision(t, c, 2, engine.Mixed)
			want, err := f32.p.Run(f32.vars, f32.in...)
			if err != nil {
				t.Fatal(err)
			}
			got, err := mixed.p.Run(mixed.vars, mixed.in...)
			if err != nil {
				t.Fatal(err)
			}
			for i, most := range []float64{1e-2, 2e-2} {
				var d, s float64
				g := engine.Floats(got[i])
				for k, w := range engine.Floats(want[i]) {
					d += math.Pow(float64(g[k]-w), 2)
					s += math.Pow(float64(w), 2)
				}
				e := math.Sqrt(d / s)
				t.Logf("output %d: relative rms error %.2g", i, e)
				if !(e <= most) || e == 0 {
					t.Errorf("output %d: relative rms error %g, want up to %g and not none", i, e, most)
				}
			}
			bytesOf := mixed.run(t)
			for _, threads := range []int{1, 3} {
				s := withPrecision(t, c, threads, engine.Mixed)
				for i := range 3 {
					if !bytes.Equal(s.run(t), bytesOf) {
						t.Errorf("%d threads, run %d: other bytes than with two", threads, i)
					}
				}
			}
		})
	}
}
