package train

import (
	"math"
	"slices"
	"testing"

	"github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"

	"github.com/smalti/smalti/dataset"
	"github.com/smalti/smalti/engine"
	"github.com/smalti/smalti/gx"
)

// runGraph runs a graph without variables and returns its outputs' numbers.
func runGraph(t *testing.T, build func(in []*graph.Node) []*graph.Node, in ...Array) [][]float32 {
	t.Helper()
	e, err := engine.New(engine.Options{Threads: 1})
	if err != nil {
		t.Fatal(err)
	}
	ts := make([]*tensors.Tensor, len(in))
	for i, a := range in {
		ts[i] = a.tensor()
	}
	outs, err := e.Program(t.Name(), func(_ *gx.Vars, in []*graph.Node) []*graph.Node { return build(in) }).Run(nil, ts...)
	if err != nil {
		t.Fatal(err)
	}
	var all [][]float32
	for _, o := range outs {
		all = append(all, engine.Floats(o))
	}
	return all
}

// contrastByHand is the loss in float64, term by term.
func contrastByHand(l, keep []float64, n int, smoothing float64) float64 {
	loss := 0.
	oneSide := func(logit, kept func(i, j int) float64) {
		for i := range n {
			sum, count := 0., 0.
			for j := range n {
				sum += kept(i, j) * math.Exp(logit(i, j))
				count += kept(i, j)
			}
			for j := range n {
				target := smoothing / count * kept(i, j)
				if i == j {
					target += 1 - smoothing
				}
				if target > 0 {
					loss -= target * (logit(i, j) - math.Log(sum)) / float64(2*n)
				}
			}
		}
	}
	oneSide(func(i, j int) float64 { return l[i*n+j] }, func(i, j int) float64 { return keep[i*n+j] })
	oneSide(func(i, j int) float64 { return l[j*n+i] }, func(i, j int) float64 { return keep[j*n+i] })
	return loss
}

var (
	contrastLogits = []float64{2, .5, -1, .3, -.7, 1.5, .2, .9, 1.1, -2, .4, 0, .6, .1, -.3, 1.7}
	contrastKeep   = []float64{1, 0, 1, 1, 0, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1}
)

func toFloat32(x []float64) []float32 {
	out := make([]float32, len(x))
	for i, v := range x {
		out[i] = float32(v)
	}
	return out
}

func TestContrastiveByHand(t *testing.T) {
	for _, smoothing := range []float64{0, .03, .5} {
		outs := runGraph(t, func(in []*graph.Node) []*graph.Node {
			loss, right := contrastive(in[0], in[1], smoothing)
			return []*graph.Node{loss, right, graph.Gradient(loss, in[0])[0]}
		}, Floats(toFloat32(contrastLogits), 4, 4), Floats(toFloat32(contrastKeep), 4, 4))
		want := contrastByHand(contrastLogits, contrastKeep, 4, smoothing)
		if got := float64(outs[0][0]); math.Abs(got-want) > 2e-6*want { // float32 sums of eight terms
			t.Errorf("smoothing %g: loss %.8f, want %.8f", smoothing, got, want)
		}
		// In rows 0, 1 and 3 the own text is first (0-1 is masked); in row 2 text 0 is.
		if got := outs[1][0]; got != .75 {
			t.Errorf("smoothing %g: share of right ones %g, want 0.75", smoothing, got)
		}
		for i := range contrastLogits {
			at := func(d float64) float64 {
				l := slices.Clone(contrastLogits)
				l[i] += d
				return contrastByHand(l, contrastKeep, 4, smoothing)
			}
			const h = 1e-4
			want := (at(h) - at(-h)) / (2 * h)
			// 1e-6: the difference quotient is good to h^2, the graph to float32.
			if got := float64(outs[2][i]); math.Abs(got-want) > 1e-6 {
				t.Errorf("smoothing %g: gradient %d is %.8f, want %.8f", smoothing, i, got, want)
			}
			if contrastKeep[i] == 0 && outs[2][i] != 0 {
				t.Errorf("smoothing %g: an excluded pair has the gradient %g", smoothing, outs[2][i])
			}
		}
	}
}

func TestTwoLabelsByHand(t *testing.T) {
	logits := []float64{1, 2, .5, 0, -1, 3}
	outs := runGraph(t, func(in []*graph.Node) []*graph.Node { return []*graph.Node{twoLabels(in[0], in[1])} },
		Floats(toFloat32(logits), 2, 3), Ints([]int32{0, 1, 2, 2}, 2, 2))
	logp := func(row, k int) float64 {
		sum := 0.
		for j := range 3 {
			sum += math.Exp(logits[3*row+j])
		}
		return logits[3*row+k] - math.Log(sum)
	}
	want := -((logp(0, 0)+logp(0, 1))/2 + logp(1, 2)) / 2
	if got := float64(outs[0][0]); math.Abs(got-want) > 1e-6 {
		t.Errorf("got %.8f, want %.8f", got, want)
	}
}

func TestDistinct(t *testing.T) {
	red, blue := dataset.Meta{Background: "white", Colours: []string{"red"}, Count: 1}, dataset.Meta{Background: "white", Colours: []string{"blue"}, Count: 1}
	b := dataset.Batch{N: 4, Captions: []string{"a red apple", "a blue apple", "red apple, fruit", "a blue apple"},
		Concepts: [][]int{{3}, {3}, {3}, {5}}, Meta: []dataset.Meta{red, blue, red, blue}}
	// 0 and 2 show the same, 1 and 3 say the same; all else counts.
	want := []float32{1, 1, 0, 1, 1, 1, 1, 0, 0, 1, 1, 1, 1, 0, 1, 1}
	if got := distinct(b); !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestRecall(t *testing.T) {
	pictures := [][]float32{{1, 0}, {0, 1}, {.6, .8}}
	texts := [][]float32{{1, 0}, {.9, .1}, {0, 1}}
	// The first picture finds its text; the second finds the third text, its own being last of three; the third has
	// the same caption as the second text.
	first, five := recallAt(pictures, texts, []string{"a", "b", "b"})
	if first != 1 || five != 1 {
		t.Errorf("repeated caption: %g, %g", first, five)
	}
	first, five = recallAt(pictures, texts, []string{"a", "b", "c"})
	if math.Abs(first-2./3) > 1e-12 || five != 1 {
		t.Errorf("got %g, %g, want 2/3 and 1", first, five)
	}
}
