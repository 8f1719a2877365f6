package train

import (
	"fmt"
	"hash/fnv"
	"slices"

	"github.com/gomlx/compute/dtypes"
	"github.com/gomlx/gomlx/core/graph"

	"github.com/smalti/smalti/dataset"
	"github.com/smalti/smalti/engine"
	"github.com/smalti/smalti/gx"
)

// excluded is added to the logits of pairs that are no negatives: exp of it is 0 in float32.
const excluded = -1e9

// contrastive is the symmetric InfoNCE loss (Radford et al. 2021, figure 3) of logits [n,n], row i a picture and column i
// its text, with label smoothing over the pairs that count. keep [n,n] is 1 where a pair counts and 0 where the two
// could as well belong together; it is symmetric and 1 on the diagonal. right is the share of pictures whose own
// text has the largest logit.
func contrastive(logits, keep *graph.Node, smoothing float64) (loss, right *graph.Node) {
	g, n := logits.Graph(), logits.Shape().Dimensions[0]
	logits.AssertDims(n, n)
	keep.AssertDims(n, n)
	eye := graph.OneHot(graph.Iota(g, engine.Int32(n), 0), n, dtypes.Float32)
	l := graph.Add(logits, graph.MulScalar(graph.AddScalar(keep, -1), -excluded))
	smooth := graph.MulScalar(graph.Div(keep, graph.ReduceAndKeep(keep, graph.ReduceSum, -1)), smoothing)
	target := graph.Add(graph.MulScalar(eye, 1-smoothing), smooth) // rows sum to 1; its transpose serves the columns
	rows := graph.ReduceAllSum(graph.Mul(target, gx.LogSoftmax(l)))
	columns := graph.ReduceAllSum(graph.Mul(target, gx.LogSoftmax(graph.Transpose(l, 0, 1))))
	loss = graph.MulScalar(graph.Add(rows, columns), -.5/float64(n))
	best := graph.OneHot(graph.ArgMax(l, 1, dtypes.Int32), n, dtypes.Float32)
	return loss, graph.MulScalar(graph.ReduceAllSum(graph.Mul(eye, best)), 1/float64(n))
}

// twoLabels is the cross-entropy of logits [n,k] with a distribution that puts a half on each of the two labels [n,2].
func twoLabels(logits, labels *graph.Node) *graph.Node {
	n, k := logits.Shape().Dimensions[0], logits.Shape().Dimensions[1]
	labels.AssertDims(n, 2)
	hot := graph.ReduceSum(graph.OneHot(labels, k, dtypes.Float32), 1) // [n,k], rows sum to 2
	return graph.MulScalar(graph.ReduceAllSum(graph.Mul(hot, gx.LogSoftmax(logits))), -.5/float64(n))
}

// distinct fills the matrix of pairs that count: those whose captions differ and whose pictures show different things
// or the same things in other colours or on another ground.
func distinct(b dataset.Batch) []float32 {
	keep := make([]float32, b.N*b.N)
	for i := range b.N {
		for j := range b.N {
			same := b.Captions[i] == b.Captions[j] || alike(b, i, j)
			if i == j || !same {
				keep[i*b.N+j] = 1
			}
		}
	}
	return keep
}

// marks are two numbers for each example [n,2]: of its caption, and of what its picture shows. Two examples with an equal number
// could as well belong together. (They are hashes: of two different ones one pair in four thousand million is equal.)
func marks(b dataset.Batch) []int32 {
	out := make([]int32, 0, 2*b.N)
	for i := range b.N {
		m := b.Meta[i]
		for _, what := range []string{b.Captions[i], fmt.Sprint(b.Concepts[i], m.Background, m.Count, m.Relation, m.Colours)} {
			h := fnv.New32a()
			h.Write([]byte(what))
			out = append(out, int32(h.Sum32()))
		}
	}
	return out
}

// keepOf is the matrix of pairs that count [n,n], as distinct gives it, of marks [n,2].
func keepOf(marks *graph.Node) *graph.Node {
	g, n := marks.Graph(), marks.Shape().Dimensions[0]
	var same *graph.Node
	for k := range 2 {
		column := graph.Slice(marks, graph.AxisRange(), graph.AxisElem(k)) // [n,1]
		rows, columns := graph.BroadcastToDims(column, n, n), graph.BroadcastToDims(graph.Reshape(column, 1, n), n, n)
		equal := graph.ConvertDType(graph.Equal(rows, columns), dtypes.Float32)
		if same == nil {
			same = equal
		} else {
			same = graph.Max(same, equal)
		}
	}
	eye := graph.OneHot(graph.Iota(g, engine.Int32(n), 0), n, dtypes.Float32)
	return graph.Max(graph.OneMinus(same), eye)
}

// alike reports whether two pictures of a batch show the same.
func alike(b dataset.Batch, i, j int) bool {
	x, y := b.Meta[i], b.Meta[j]
	return slices.Equal(b.Concepts[i], b.Concepts[j]) && x.Background == y.Background && x.Count == y.Count &&
		x.Relation == y.Relation && slices.Equal(x.Colours, y.Colours)
}
