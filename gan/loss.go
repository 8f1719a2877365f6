package gan

import (
	"fmt"

	"github.com/gomlx/gomlx/core/graph"

	"github.com/smalti/smalti/gx"
)

// Goal is what the generator of a basic GAN minimises (Goodfellow et al. 2014, section 3).
type Goal string

// The goals.
const (
	NonSaturating Goal = "nonsaturating" // -log D(G(z)): BCE with logits against "real"
	Minimax       Goal = "minimax"       // log(1 - D(G(z))): the game as it is defined; flat where the discriminator is sure
)

// DiscriminatorLoss returns the two halves of a discriminator's loss: binary cross-entropies with logits of real pictures
// against the target real (1, or less for one-sided label smoothing; Salimans et al. 2016) and of generated ones against
// 0. Logits are [n]; each half is a scalar.
func DiscriminatorLoss(onReal, onFake *graph.Node, real float64) (lossReal, lossFake *graph.Node) {
	return gx.BCEWithLogits(onReal, graph.MulScalar(graph.OnesLike(onReal), real)), graph.ReduceAllMean(gx.Softplus(onFake))
}

// GeneratorLoss is the generator's loss for logits [n] of its pictures.
func GeneratorLoss(onFake *graph.Node, goal Goal) *graph.Node {
	switch goal {
	case NonSaturating:
		return graph.ReduceAllMean(gx.Softplus(graph.Neg(onFake))) // -log sigmoid(x)
	case Minimax:
		return graph.Neg(graph.ReduceAllMean(gx.Softplus(onFake))) // log(1 - sigmoid(x))
	}
	panic(fmt.Errorf("gan: unknown goal %q", goal))
}

// Penalty is the gradient penalty of a critic and what it is made of.
type Penalty struct {
	Loss  *graph.Node // scalar: mean of (norm - 1)^2; to be weighed, 10 in the paper
	Norms *graph.Node // [n]: Euclidean norms of the critic's gradient
	Grad  *graph.Node // [n,S,S,C]: the gradient of each picture's value
}

// Mix returns epsilon*real + (1-epsilon)*fake with one epsilon [n] in [0,1) for each picture (Gulrajani et al. 2017,
// algorithm 1, line 6). Pictures are [n,S,S,C].
func Mix(real, fake, epsilon *graph.Node) *graph.Node {
	e := graph.Reshape(epsilon, epsilon.Shape().Dimensions[0], 1, 1, 1)
	return graph.Add(graph.Mul(e, real), graph.Mul(graph.OneMinus(e), fake))
}

// GradientPenalty is the penalty of a critic at pictures x [n,S,S,C] (Gulrajani et al. 2017, equation 3). Its derivatives
// for the critic's weights pass through the critic twice. The critic must judge each picture by itself, or the gradient
// of the sum is not that of each value.
func GradientPenalty(critic func(x *graph.Node) *graph.Node, x *graph.Node) Penalty {
	grad := graph.Gradient(graph.ReduceAllSum(critic(x)), x)[0]
	sum := graph.ReduceSum(graph.Square(graph.Reshape(grad, x.Shape().Dimensions[0], -1)), 1)
	// A gradient of exactly zero has no direction: below 1e-12 the norm is a constant and pulls nowhere, instead of to NaN.
	norms := graph.Sqrt(graph.MaxScalar(sum, 1e-24))
	return Penalty{Loss: graph.ReduceAllMean(graph.Square(graph.AddScalar(norms, -1))), Norms: norms, Grad: grad}
}
