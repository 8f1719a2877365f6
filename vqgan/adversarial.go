package vqgan

import (
	"fmt"

	"github.com/gomlx/gomlx/core/graph"

	"github.com/smalti/smalti/gx"
)

// Game is how a discriminator's logits become its loss.
type Game string

const (
	Hinge   Game = "hinge"   // (mean relu(1 - real) + mean relu(1 + fake)) / 2 (Lim and Ye 2017, arXiv:1705.02894)
	Vanilla Game = "vanilla" // (mean softplus(-real) + mean softplus(fake)) / 2: half the cross-entropies of Goodfellow et al. 2014
)

// DiscriminatorLoss is the loss of a discriminator for its logits of real and of reconstructed pictures, of any shape.
func DiscriminatorLoss(real, fake *graph.Node, game Game) *graph.Node {
	var a, b *graph.Node
	switch game {
	case Hinge:
		a, b = gx.ReLU(graph.OneMinus(real)), gx.ReLU(graph.OnePlus(fake))
	case Vanilla:
		a, b = gx.Softplus(graph.Neg(real)), gx.Softplus(fake)
	default:
		panic(fmt.Errorf("vqgan: unknown game %q (there are %q and %q)", game, Hinge, Vanilla))
	}
	return graph.MulScalar(graph.Add(graph.ReduceAllMean(a), graph.ReduceAllMean(b)), 0.5)
}

// GeneratorLoss is what the autoencoder minimises in either game: minus the mean logit of its pictures.
func GeneratorLoss(fake *graph.Node) *graph.Node { return graph.Neg(graph.ReduceAllMean(fake)) }

// Bounds of AdaptiveWeight in the reference.
const (
	weightFloor = 1e-4 // added to the norm that is divided by
	weightLimit = 1e4
)

// AdaptiveWeight balances the adversarial loss with the rest by what they do to the last layer (Esser et al. 2021,
// equation 7): |grad nll| / (|grad g| + 1e-4) for the gradients at the decoder's last kernel, at most 1e4. It is a constant
// to whoever differentiates the loss.
func AdaptiveWeight(nll, g, last *graph.Node) *graph.Node {
	norm := func(loss *graph.Node) *graph.Node {
		return gx.GlobalNorm(graph.Gradient(loss, last))
	}
	w := graph.Div(norm(nll), graph.AddScalar(norm(g), weightFloor))
	return graph.StopGradient(graph.MinScalar(w, weightLimit))
}

// Perceptual measures how different pictures look, x and y [n,H,W,3] in [-1,1] -> [n] (or a scalar). Its network's
// weights, below a view of their own, must not be trained along.
type Perceptual func(x, y *graph.Node) *graph.Node

// Adversarial is the training loss of a VQGAN (taming's VQLPIPSWithDiscriminator).
type Adversarial struct {
	Discriminator Discriminator
	Game          Game
	Weight        float64     // of the generator's loss, beside AdaptiveWeight; 0.8 in the paper's models
	Codebook      float64     // of the quantisation loss, 1
	VQ            LossOptions // its two sides
	Perceptual    Perceptual  // nil for none
	LPIPS         float64     // weight of Perceptual, 1
}

// DefaultAdversarial is taming's configuration of its published models, but with the quantisation loss put right.
func DefaultAdversarial() Adversarial {
	return Adversarial{Discriminator: Discriminator{Channels: 3, Width: 64, Layers: 3}, Game: Hinge, Weight: 0.8, Codebook: 1,
		VQ: LossOptions{Beta: 0.25}, LPIPS: 1}
}

// Reconstruction is what the autoencoder's side of a step computes. All but the last three are scalars.
type Reconstruction struct {
	Loss      *graph.Node // what the autoencoder minimises: NLL + factor * Weight * Generator + Codebook * Quant
	NLL       *graph.Node // mean absolute difference and perceptual distance, weighed
	L1        *graph.Node // mean absolute difference
	Distance  *graph.Node // mean perceptual distance, 0 without one
	Weight    *graph.Node // adaptive weight times Adversarial.Weight
	Generator *graph.Node // GeneratorLoss
	Quant     *graph.Node // VQLoss

	Picture *graph.Node // [n,H,W,3], not clamped
	Z       *graph.Node // [n,h,w,e], before quantisation
	Codes   *graph.Node // int32 [n,h,w]
}

// Reconstruct is the autoencoder's side of a step: x [n,H,W,3] in [-1,1]. model and judge are the views of the model's and
// of the discriminator's variables. factor, a scalar, is 0 while the discriminator does not count yet and 1 afterwards: it
// is an input, so that one graph serves both. stats are those of the discriminator's batch norms, which move here too.
func (a Adversarial) Reconstruct(c Config, model, judge *gx.Vars, x, factor *graph.Node, stats *Stats) Reconstruction {
	z := c.EncodeGraph(model, x)
	zq, codes := c.QuantiseGraph(model, z)
	r := Reconstruction{Z: z, Codes: codes, Picture: c.DecodeGraph(model, zq), Quant: c.VQLoss(model, z, codes, a.VQ)}
	r.L1 = graph.ReduceAllMean(graph.Abs(graph.Sub(x, r.Picture)))
	r.NLL, r.Distance = r.L1, graph.ZerosLike(r.L1)
	if a.Perceptual != nil && a.LPIPS != 0 {
		r.Distance = graph.ReduceAllMean(a.Perceptual(x, r.Picture))
		r.NLL = graph.Add(r.L1, graph.MulScalar(r.Distance, a.LPIPS))
	}
	r.Generator = GeneratorLoss(a.Discriminator.Graph(judge, r.Picture, stats))
	last := model.Node(model.Name("decoder.conv_out.weight"))
	r.Weight = graph.MulScalar(AdaptiveWeight(r.NLL, r.Generator, last), a.Weight)
	r.Loss = graph.Add(r.NLL, graph.Mul(graph.Mul(r.Weight, factor), r.Generator))
	r.Loss = graph.Add(r.Loss, graph.MulScalar(r.Quant, a.Codebook))
	return r
}

// Judgement is what the discriminator's side of a step computes, scalars.
type Judgement struct {
	Loss *graph.Node // what the discriminator minimises
	Real *graph.Node // mean logit of pictures
	Fake *graph.Node // mean logit of reconstructions
}

// Judge is the discriminator's side of a step: pictures and their reconstructions, [n,H,W,3] each, in this order through
// the batch norms. No gradient reaches the reconstructions. The reference multiplies the loss by the same factor as the
// generator's, which leaves the discriminator untrained before it counts; training it from the start is the caller's choice.
func (a Adversarial) Judge(judge *gx.Vars, real, fake *graph.Node, stats *Stats) Judgement {
	onReal := a.Discriminator.Graph(judge, graph.StopGradient(real), stats)
	onFake := a.Discriminator.Graph(judge, graph.StopGradient(fake), stats)
	return Judgement{Loss: DiscriminatorLoss(onReal, onFake, a.Game), Real: graph.ReduceAllMean(onReal), Fake: graph.ReduceAllMean(onFake)}
}
