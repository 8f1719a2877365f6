package prior

import (
	"strings"

	"github.com/gomlx/gomlx/core/graph"

	"github.com/smalti/smalti/gx"
	"github.com/smalti/smalti/rng"
)

// LossGraph is what training minimises: the mean over all codes of -log p(code | condition, codes before it), in nats.
// cond is int32 [n,p]; codes, int32 [n,s], are predicted; seen, int32 [n,s], are what the network reads instead of them:
// the codes themselves, or those that Corrupt made. right is the share of codes that have the largest logit.
func (c Config) LossGraph(v *gx.Vars, cond, seen, codes *graph.Node) (loss, right *graph.Node) {
	logits := c.CodesGraph(v, cond, seen)
	flat := graph.Reshape(logits, -1, c.VocabSize)
	labels := graph.Reshape(codes, -1)
	seenLogits := graph.StopGradient(flat)
	own := graph.ReduceSum(graph.Mul(seenLogits, graph.OneHot(labels, c.VocabSize, flat.DType())), -1)
	hits := graph.Equal(own, graph.ReduceMax(seenLogits, -1)) // no ArgMax: the head's products may be rounded (engine.Mixed)
	return gx.CrossEntropy(flat, labels), graph.ReduceAllMean(graph.ConvertDType(hits, logits.DType()))
}

// Decays says which variables weight decay is for: the matrices of linear layers, as minGPT has it. Tables of tokens and
// positions, norms and biases keep what they learn.
func Decays(d gx.Decl) bool {
	return len(d.Dims) == 2 && !strings.HasSuffix(d.Name, "tok_emb.weight") && !strings.HasSuffix(d.Name, "token_embedding.weight")
}

// LikelihoodGraph is the mean over the codes of each sequence of -log p, in nats: [n]. It judges pictures.
func (c Config) LikelihoodGraph(v *gx.Vars, cond, codes *graph.Node) *graph.Node {
	logits := c.CodesGraph(v, cond, codes)
	return c.expected(logits, graph.OneHot(codes, c.VocabSize, logits.DType()))
}

// SoftLossGraph is LikelihoodGraph for codes that are not decided yet: weights [n,s,VocabSize] of the codes at each
// position, which sum to 1, are read as the mixture of their vectors and predicted as that mixture. With all weight on
// one code each it equals LikelihoodGraph; its gradient tells which codes a picture under way should rather have.
func (c Config) SoftLossGraph(v *gx.Vars, cond, weights *graph.Node) *graph.Node {
	s := weights.Shape().Dimensions[1]
	weights.AssertDims(-1, s, c.VocabSize)
	x := c.PrefixGraph(v, cond)
	if s > 1 {
		read := graph.Slice(weights, graph.AxisRange(), graph.AxisRange(0, s-1), graph.AxisRange())
		x = graph.Concatenate([]*graph.Node{x, graph.DotGeneral(read, []int{2}, nil, c.table(v), []int{0}, nil)}, 1)
	}
	y := graph.Slice(c.hidden(v, x, nil), graph.AxisRange(), graph.AxisRange(c.Prefix()-1), graph.AxisRange())
	return c.expected(c.head(v, y), weights)
}

// expected is the mean over the positions of the cross-entropy of logits [n,s,k] with weights [n,s,k]: [n].
func (c Config) expected(logits, weights *graph.Node) *graph.Node {
	return graph.Neg(graph.ReduceMean(graph.ReduceSum(graph.Mul(weights, gx.LogSoftmax(logits)), -1), 1))
}

// Corrupt returns codes of which each is kept with probability keep, and replaced by any of the model's otherwise (pkeep
// of Net2NetTransformer): a network that has seen wrong codes draws on undisturbed after one of its own.
func (c Config) Corrupt(codes []int32, keep float64, s *rng.Stream) []int32 {
	out := make([]int32, len(codes))
	for i, code := range codes {
		u, other := s.Float64(), s.IntN(c.NumCodes())
		if out[i] = code; u >= keep {
			out[i] = int32(other)
		}
	}
	return out
}

// DropCaptions replaces each of the captions, rows of Text.Length tokens, by NoCaption with the given probability, in
// place: what classifier-free guidance needs to compare with (Ho and Salimans 2022, arXiv:2207.12598).
func (c Config) DropCaptions(tokens []int32, drop float64, s *rng.Stream) {
	for len(tokens) > 0 {
		row := tokens[:c.Text.Length]
		tokens = tokens[c.Text.Length:]
		if s.Float64() < drop {
			for i := range row {
				row[i] = c.Text.NoCaption()
			}
		}
	}
}
