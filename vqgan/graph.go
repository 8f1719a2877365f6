package vqgan

import (
	"fmt"

	"github.com/gomlx/gomlx/core/graph"

	"github.com/smalti/smalti/gx"
	"github.com/smalti/smalti/nn"
)

// EncodeGraph maps pictures to vectors before quantisation: x [n,H,W,3] in [-1,1] -> [n,h,w,e]. H and W must be
// multiples of f. With L2 the vectors are not normalised yet: QuantiseGraph does it.
func (c Config) EncodeGraph(v *gx.Vars, x *graph.Node) *graph.Node {
	return c.quantConv(v, c.Codec().Encode(v.In("encoder"), x))
}

func (c Config) quantConv(v *gx.Vars, enc *graph.Node) *graph.Node {
	return nn.Conv(v.In("quant_conv"), enc, c.EmbedDim, 1, 1, 0, true)
}

// DecodeGraph maps codes' vectors to pictures: zq [n,h,w,e] -> [n,H,W,3], nominally in [-1,1] but not clamped.
func (c Config) DecodeGraph(v *gx.Vars, zq *graph.Node) *graph.Node {
	return c.Codec().Decode(v.In("decoder"), c.postQuant(v, zq))
}

func (c Config) postQuant(v *gx.Vars, zq *graph.Node) *graph.Node {
	return nn.Conv(v.In("post_quant_conv"), zq, c.ZChannels, 1, 1, 0, true)
}

// QuantiseGraph replaces each vector by the nearest code: z [n,h,w,e] -> zq [n,h,w,e] and the codes, int32 [n,h,w].
// zq has exactly the codes' values, and its gradient goes to z unchanged ("straight through", van den Oord et al.
// 2017, section 3.2); the codebook gets none from here, but from VQLoss. With L2 both sides are brought to unit length
// first, and the gradient passes through the normalisation of z.
//
// In a Gumbel model this is the search among quantize.embed that a latent under optimisation needs; the codes of a
// picture come from CodesGraph there.
func (c Config) QuantiseGraph(v *gx.Vars, z *graph.Node) (zq, codes *graph.Node) {
	z.AssertDims(-1, -1, -1, c.EmbedDim)
	z, table := c.unit(z), c.unit(c.codebook(v))
	codes = nearest(graph.StopGradient(z), graph.StopGradient(table))
	return gx.StraightThrough(lookup(table, codes), z), codes
}

// Unquantised is what QuantiseGraph would give of z [n,h,w,e] if every vector were a code.
func (c Config) Unquantised(z *graph.Node) *graph.Node { return c.unit(z) }

// LookupGraph returns the vectors of codes: int32 [n,h,w] -> [n,h,w,e], of unit length with L2. Codes must lie in [0,k).
func (c Config) LookupGraph(v *gx.Vars, codes *graph.Node) *graph.Node {
	return c.unit(lookup(c.codebook(v), codes))
}

// CodesGraph returns the codes of an encoder's output z [n,h,w,e]: int32 [n,h,w]. They are the nearest codes, or with
// the Gumbel quantiser those of the largest logits.
func (c Config) CodesGraph(v *gx.Vars, z *graph.Node) *graph.Node {
	if c.Quantiser == Gumbel {
		return graph.ArgMax(c.LogitsGraph(v, z), -1)
	}
	_, codes := c.QuantiseGraph(v, z)
	return codes
}

// codebook is the table of codes [k,e] as it is stored.
func (c Config) codebook(v *gx.Vars) *graph.Node {
	spec := gx.Spec{Dims: []int{c.NEmbed, c.EmbedDim}}
	switch {
	case c.Quantiser == Gumbel:
		spec.Init = gx.Normal(1) // torch.nn.Embedding
	case c.L2:
		spec.Init = gx.Normal(1) // evenly over the sphere
	default:
		spec.Init = gx.Uniform(1 / float64(c.NEmbed)) // taming's VectorQuantizer2
	}
	return v.Get(c.codebookName(), spec)
}

func (c Config) codebookName() string {
	if c.Quantiser == Gumbel {
		return "quantize.embed.weight"
	}
	return "quantize.embedding.weight"
}

// unit brings the vectors of the last axis to unit length when the model has L2 codes.
func (c Config) unit(x *graph.Node) *graph.Node {
	if !c.L2 {
		return x
	}
	return gx.L2Normalize(x, -1)
}

// nearest returns for each vector of z [n,h,w,e] the row of table [k,e] at the smallest distance, the first of equals:
// int32 [n,h,w]. Of |z-t|^2 = |z|^2 + |t|^2 - 2 z.t the first term is the same for all rows and left out, which loses
// fewer digits.
func nearest(z, table *graph.Node) *graph.Node {
	n, h, w, e := z.Shape().Dimensions[0], z.Shape().Dimensions[1], z.Shape().Dimensions[2], z.Shape().Dimensions[3]
	dot := graph.DotGeneral(graph.Reshape(z, n*h*w, e), []int{1}, nil, table, []int{1}, nil) // [nhw,k]
	sq := graph.ReduceSum(graph.Mul(table, table), 1)                                        // [k]
	d := graph.Sub(graph.ExpandLeftToRank(sq, 2), graph.MulScalar(dot, 2))
	return graph.Reshape(graph.ArgMin(d, 1), n, h, w)
}

// lookup gathers rows: table [k,e], codes int32 [n,h,w] -> [n,h,w,e].
func lookup(table, codes *graph.Node) *graph.Node {
	codes.AssertRank(3)
	return graph.Gather(table, graph.InsertAxes(codes, -1))
}

// LossOptions weigh the two sides of the quantisation loss.
type LossOptions struct {
	Beta   float64 // weight of the commitment term, 0.25 in taming
	Legacy bool    // put Beta on the codebook term instead, as taming does by mistake for old checkpoints (legacy=True)
}

// VQLoss is the quantisation loss of vectors z [n,h,w,e] and their codes, int32 [n,h,w] (van den Oord et al. 2017,
// equation 3): mean |sg(z) - t|^2, which pulls the codes t, plus Beta mean |z - sg(t)|^2, which pulls the encoder.
// With L2 both at unit length. A scalar.
func (c Config) VQLoss(v *gx.Vars, z, codes *graph.Node, o LossOptions) *graph.Node {
	z, t := c.unit(z), c.LookupGraph(v, codes)
	codebook := meanSquare(graph.Sub(graph.StopGradient(z), t))
	commit := meanSquare(graph.Sub(z, graph.StopGradient(t)))
	if o.Legacy {
		codebook, commit = commit, codebook
	}
	return graph.Add(codebook, graph.MulScalar(commit, o.Beta))
}

// CommitLoss is the encoder's side of VQLoss alone, Beta mean |z - sg(t)|^2, for a codebook that is no subject of gradients.
func (c Config) CommitLoss(v *gx.Vars, z, codes *graph.Node, beta float64) *graph.Node {
	t := graph.StopGradient(c.LookupGraph(v, codes))
	return graph.MulScalar(meanSquare(graph.Sub(c.unit(z), t)), beta)
}

func meanSquare(x *graph.Node) *graph.Node { return graph.ReduceAllMean(graph.Mul(x, x)) }

// LogitsGraph is the score of every code for an encoder's output in a Gumbel model: z [n,h,w,e] -> [n,h,w,k].
func (c Config) LogitsGraph(v *gx.Vars, z *graph.Node) *graph.Node {
	if c.Quantiser != Gumbel {
		panic(fmt.Errorf("vqgan: logits of a model with the quantiser %q", c.Quantiser))
	}
	return nn.Conv(v.In("quantize.proj"), z, c.NEmbed, 1, 1, 0, true)
}

// GumbelOptions steer the draw of GumbelGraph.
type GumbelOptions struct {
	Tau  float64 // temperature, > 0
	Soft bool    // mix codes by their probabilities instead of drawing one
}

// GumbelGraph draws codes for training a Gumbel model (Jang et al. 2016, arXiv:1611.01144): z [n,h,w,e] and Gumbel(0,1)
// noise [n,h,w,k] -> zq [n,h,w,e], the weights of the codes y [n,h,w,k] at temperature Tau before hardening, and the
// divergence of the code distribution from the uniform one, a scalar that is to be weighed (5e-4 in taming) and added to
// the loss. Without Soft, zq is one code forward and the mixture backward.
func (c Config) GumbelGraph(v *gx.Vars, z, noise *graph.Node, o GumbelOptions) (zq, y, kl *graph.Node) {
	logits := c.LogitsGraph(v, z)
	noise.AssertDims(logits.Shape().Dimensions...)
	y = gx.Softmax(graph.MulScalar(graph.Add(logits, noise), 1/o.Tau))
	table := c.codebook(v)
	mix := func(table *graph.Node) *graph.Node { return graph.DotGeneral(y, []int{3}, nil, table, []int{0}, nil) }
	if o.Soft {
		zq = mix(table)
	} else {
		hard := lookup(table, graph.ArgMax(graph.Add(logits, noise), -1)) // the gradient of the table
		soft := mix(graph.StopGradient(table))                            // the gradient of the logits
		zq = graph.Add(hard, graph.Sub(soft, graph.StopGradient(soft)))
	}
	q := gx.Softmax(logits)
	term := graph.Mul(q, graph.Log(graph.AddScalar(graph.MulScalar(q, float64(c.NEmbed)), 1e-10)))
	return zq, y, graph.ReduceAllMean(graph.ReduceSum(term, -1))
}
