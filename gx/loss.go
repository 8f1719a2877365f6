package gx

import "github.com/gomlx/gomlx/core/graph"

// CrossEntropy is the mean of -log softmax(logits)[label] for logits [n,classes] and int32 labels [n].
func CrossEntropy(logits, labels *graph.Node) *graph.Node {
	logits.AssertRank(2)
	labels.AssertRank(1)
	hot := graph.OneHot(labels, logits.Shape().Dimensions[1], logits.DType())
	return graph.Neg(graph.ReduceAllMean(graph.ReduceSum(graph.Mul(hot, LogSoftmax(logits)), -1)))
}

// BCEWithLogits is the mean binary cross-entropy of sigmoid(x) against targets in [0,1]:
// max(x,0) - x*target + log(1 + exp(-|x|)).
func BCEWithLogits(x, target *graph.Node) *graph.Node {
	return graph.ReduceAllMean(graph.Sub(Softplus(x), graph.Mul(x, target)))
}

// MSE is the mean of the squared differences.
func MSE(a, b *graph.Node) *graph.Node { return graph.ReduceAllMean(graph.Square(graph.Sub(a, b))) }
