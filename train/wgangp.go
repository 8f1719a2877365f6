package train

import (
	"github.com/gomlx/gomlx/core/graph"

	"github.com/smalti/smalti/gan"
	"github.com/smalti/smalti/gx"
)

// criticPhase is the critic's phase of WGAN-GP (Gulrajani et al. 2017, algorithm 1): pictures [n,S,S,C] in [-1,1], classes
// [n], noise [n,k], epsilon [n]. Its loss C(fake) - C(real) + lambda (|dC/dmixed| - 1)^2 is one graph with one backward
// pass, although the penalty holds a gradient itself. "wasserstein" is the estimate C(real) - C(fake) of the distance.
func (g *ganGame) criticPhase() Phase {
	c := g.cfg
	return Phase{Name: "critic", Metrics: []string{"wasserstein", "penalty", "norm_mixed", "on_real", "on_fake"},
		Loss: func(v *gx.Vars, in []*graph.Node) Played {
			real, labels, z, epsilon := in[0], in[1], in[2], in[3]
			fake, own := g.generate(v, z, labels)
			fake = graph.StopGradient(fake)
			critic := func(x *graph.Node) *graph.Node { return c.Model.JudgeGraph(v.In(discriminatorName), x, labels, nil) }
			onReal, onFake := graph.ReduceAllMean(critic(real)), graph.ReduceAllMean(critic(fake))
			distance := graph.Sub(onReal, onFake)
			p := gan.GradientPenalty(critic, gan.Mix(real, fake, epsilon))
			loss := graph.Add(graph.Neg(distance), graph.MulScalar(p.Loss, c.Penalty))
			return Played{Loss: loss, Moves: moves(own), Metrics: []*graph.Node{distance, p.Loss, graph.ReduceAllMean(p.Norms), onReal, onFake}}
		}}
}

// makerPhase is the generator's phase of WGAN-GP: noise [n,k] and classes [n]; the loss is -C(fake).
func (g *ganGame) makerPhase() Phase {
	c := g.cfg
	return Phase{Name: generatorName, Loss: func(v *gx.Vars, in []*graph.Node) Played {
		fake, own := g.generate(v, in[0], in[1])
		values := c.Model.JudgeGraph(v.In(discriminatorName), fake, in[1], nil)
		return Played{Loss: graph.Neg(graph.ReduceAllMean(values)), Moves: moves(own)}
	}}
}
