package train

import (
	"fmt"
	"io"
	"path/filepath"
	"strings"

	"github.com/gomlx/gomlx/core/graph"

	"github.com/smalti/smalti/engine"
	"github.com/smalti/smalti/gx"
	"github.com/smalti/smalti/rng"
	"github.com/smalti/smalti/vqgan"
	"github.com/smalti/smalti/weights"
)

// vqganRecipe is the Recipe of VQGAN.
type vqganRecipe struct {
	cfg   VQGANConfig
	data  *scenes
	look  *perceptual // nil for none
	usage []float32   // moving average of how often a code is used in a step
	sums  []float32   // an EMACodebook's moving sums of vectors
	sizes []float32   // and of their numbers
	seen  []float32   // how often each code was used in the epoch so far
	epoch []float32   // how many codes the last whole epoch used; one number, 0 before
	judge vqganJudge
	told  map[string]bool // warnings given
}

func newVQGANRecipe(cfg VQGANConfig, data *scenes, look *perceptual) *vqganRecipe {
	k := cfg.Model.NEmbed
	r := &vqganRecipe{cfg: cfg, data: data, look: look, usage: make([]float32, k), seen: make([]float32, k), epoch: make([]float32, 1), told: map[string]bool{}}
	for i := range r.usage {
		r.usage[i] = float32(r.vectors()) / float32(len(r.usage)) // nobody is dead at first
	}
	if cfg.Codebook == EMACodebook {
		r.sums, r.sizes = make([]float32, k*cfg.Model.EmbedDim), make([]float32, k)
	}
	r.judge = newVQGANJudge(r)
	return r
}

func (r *vqganRecipe) Name() string { return "vqgan" }

func (r *vqganRecipe) Metrics() []string {
	m := []string{"l1", "mse", "pyramid", "perceptual", "codes"}
	if r.cfg.Adversary.Weight > 0 {
		m = append(m, "adversarial", "adversarial_weight", "discriminator_loss", "logit_real", "logit_fake")
	}
	return m
}

// vectors is the number of codes that a step chooses.
func (r *vqganRecipe) vectors() int {
	side := r.cfg.Crop / r.cfg.Model.Factor()
	return r.cfg.Train.MicroBatches * r.cfg.Train.BatchSize * side * side
}

// Forms of the loss: without a codebook, without a discriminator, with one that learns, with one that counts.
const (
	continuous = iota
	alone
	warming
	against
)

func (r *vqganRecipe) Stages() int {
	if r.cfg.Adversary.Weight > 0 {
		return against + 1
	}
	return alone + 1
}

func (r *vqganRecipe) Stage(step int) int {
	a := r.cfg.Adversary
	switch {
	case step < r.cfg.QuantiseFrom:
		return continuous
	case a.Weight == 0 || step < a.From:
		return alone
	case step < a.Start:
		return warming
	}
	return against
}

// discriminatorTeam is before the names of the discriminator's variables.
const discriminatorTeam = "discriminator"

func (r *vqganRecipe) Teams() []Team {
	a, o := r.cfg.Adversary, r.cfg.Train
	if a.Weight == 0 {
		return nil
	}
	if a.LR > 0 {
		o.LR = a.LR
	}
	o.Beta1, o.Beta2, o.WeightDecay, o.EMA = a.Beta1, a.Beta2, 0, 0 // nobody looks at an average of judges
	o.Steps = max(1, o.Steps-a.From)
	o.Warmup = min(o.Warmup, max(1, (a.Start-a.From)/2))
	return []Team{{Name: discriminatorTeam, Optimiser: o, From: a.From}}
}

// epochPictures is an epoch of pictures that are composed anew in every step.
const epochPictures = 8192

// epochSteps is how many steps an epoch has.
func (r *vqganRecipe) epochSteps() int {
	step := r.cfg.Train.MicroBatches * r.cfg.Train.BatchSize
	return (epochPictures + step - 1) / step
}

// Watch warns, once each, of a codebook that collapses and of a discriminator that learns too well or cannot be heard.
func (r *vqganRecipe) Watch(step int, means map[string]float64) []string {
	var out []string
	tell := func(name string, bad bool, format string, args ...any) {
		if bad && !r.told[name] {
			out = append(out, fmt.Sprintf(format, args...))
		}
		r.told[name] = bad
	}
	k, used := float64(r.cfg.Model.NEmbed), float64(r.epoch[0])
	tell("codes", used > 0 && used < k/4, "%.0f %% of codes in use (%.0f of %.0f) over the last %d pictures: let revive_until last longer, raise revive_below, or take fewer codes",
		100*used/k, used, k, epochPictures)
	a := r.cfg.Adversary
	if a.Weight == 0 || step <= a.From {
		return out
	}
	loss, margin := means["discriminator_loss"], means["logit_real"]-means["logit_fake"]
	tell("overpowers", loss < overpowers, "the discriminator overpowers the decoder (loss %.3f, logits %.2f apart): lower adversary.lr or adversary.layers, or start it later",
		loss, margin)
	tell("limit", step > a.Start+a.Ramp && means["adversarial_weight"] > .99*a.Weight*a.Limit, "the adaptive weight is at its limit of %g: the discriminator hardly reaches the decoder's last layer", a.Limit)
	return out
}

// overpowers is the discriminator's loss, 1 when it knows nothing in the hinge game and 0.69 in the vanilla one, below which
// hardly any patch of a reconstruction deceives it.
const overpowers = .1

// Decays keeps what is frozen as it is.
func (r *vqganRecipe) Decays(d gx.Decl) bool { return decays(d) && !r.frozen(d.Name) }

// frozen reports whether a variable of the model stays as it is.
func (r *vqganRecipe) frozen(name string) bool {
	return r.cfg.Freeze == FreezeEncoder && (strings.HasPrefix(name, "encoder.") || strings.HasPrefix(name, "quant"))
}

// Frozen are the weights of the perceptual network.
func (r *vqganRecipe) Frozen() Values {
	if r.look == nil {
		return nil
	}
	return r.look.values
}

func (r *vqganRecipe) Loss(v *gx.Vars, in []*graph.Node) Output { return r.LossAt(r.Stages()-1, v, in) }

// LossAt has the inputs pictures [n,S,S,3] in [0,1] and the share to which the discriminator counts, a scalar. Its extra
// outputs are the encoder's vectors and their codes. The discriminator judges the reconstructions that the autoencoder is
// trained on, so that one forward pass serves both; the reference reconstructs twice.
func (r *vqganRecipe) LossAt(stage int, v *gx.Vars, in []*graph.Node) Output {
	c, m := r.cfg, r.cfg.Model
	x := graph.AddScalar(graph.MulScalar(in[0], 2), -1)
	z := m.EncodeGraph(v, x)
	if c.Freeze == FreezeEncoder {
		z = graph.StopGradient(z)
	}
	zero := graph.ScalarZero(x.Graph(), x.DType())
	zq, quant, extra := m.Unquantised(z), zero, []*graph.Node(nil)
	if stage != continuous {
		var codes *graph.Node
		zq, codes = m.QuantiseGraph(v, z)
		quant, extra = r.codesLoss(v, z, codes), []*graph.Node{z, codes}
	}
	y := m.DecodeGraph(v, zq)
	nll, figures := r.reconstruction(v, x, y)
	out := Output{Metrics: append(figures, quant), Extra: extra}
	out.Loss = graph.Add(nll, graph.MulScalar(quant, c.Codes))
	if c.Adversary.Weight == 0 {
		return out
	}
	game := []*graph.Node{zero, zero, zero, zero, zero}
	if stage > alone {
		d, judge := c.Adversary.discriminator(), v.In(discriminatorTeam)
		real, fake := d.Graph(judge, x, &vqgan.Stats{}), d.Graph(judge, graph.StopGradient(y), &vqgan.Stats{})
		loss := vqgan.DiscriminatorLoss(real, fake, c.Adversary.Game)
		out.Rivals = []*graph.Node{loss}
		game[2], game[3], game[4] = loss, graph.ReduceAllMean(real), graph.ReduceAllMean(fake)
	}
	if stage == against {
		g := vqgan.GeneratorLoss(c.Adversary.discriminator().Graph(v.In(discriminatorTeam), y, &vqgan.Stats{}))
		w := vqgan.AdaptiveWeight(nll, g, v.Node("decoder.conv_out.weight"))
		w = graph.MulScalar(graph.MinScalar(w, c.Adversary.Limit), c.Adversary.Weight)
		out.Loss = graph.Add(out.Loss, graph.Mul(graph.Mul(graph.StopGradient(w), in[1]), g))
		game[0], game[1] = g, w
	}
	out.Metrics = append(out.Metrics, game...)
	return out
}

// reconstruction weighs how far y is from x, both [n,S,S,3] in [-1,1], and lists the figures.
func (r *vqganRecipe) reconstruction(v *gx.Vars, x, y *graph.Node) (*graph.Node, []*graph.Node) {
	c := r.cfg
	d := graph.Sub(y, x)
	l1, mse := graph.ReduceAllMean(graph.Abs(d)), graph.ReduceAllMean(graph.Square(d))
	pyramid, distance := laplacian(d, c.Levels), graph.ScalarZero(x.Graph(), x.DType())
	loss := graph.MulScalar(l1, c.L1)
	loss = graph.Add(loss, graph.MulScalar(mse, c.MSE))
	loss = graph.Add(loss, graph.MulScalar(pyramid, c.Pyramid))
	if r.look != nil {
		distance = graph.ReduceAllMean(r.look.distance(v.In(perceptualPrefix), x, y))
		loss = graph.Add(loss, graph.MulScalar(distance, c.Perceptual.Weight))
	}
	return loss, []*graph.Node{l1, mse, pyramid, distance}
}

// codesLoss is the quantisation loss; what an average or a frozen encoder does by itself is left out.
func (r *vqganRecipe) codesLoss(v *gx.Vars, z, codes *graph.Node) *graph.Node {
	c := r.cfg
	switch {
	case c.Freeze == FreezeEncoder:
		return graph.StopGradient(c.Model.VQLoss(v, z, codes, vqgan.LossOptions{Beta: c.Commit}))
	case c.Codebook == EMACodebook:
		return c.Model.CommitLoss(v, z, codes, c.Commit)
	}
	return c.Model.VQLoss(v, z, codes, vqgan.LossOptions{Beta: c.Commit, Legacy: c.Legacy})
}

// laplacian is the sum over the levels of a Laplacian pyramid (Burt and Adelson 1983, with 2x2 means and nearest
// neighbours for its filters) of the mean absolute value, for a difference d [n,h,w,c] of two pictures: the pyramid is
// linear, so that of the difference is the difference of the pyramids. With the last level comes what is left.
func laplacian(d *graph.Node, levels int) *graph.Node {
	var sum *graph.Node
	add := func(x *graph.Node) {
		x = graph.ReduceAllMean(graph.Abs(x))
		if sum == nil {
			sum = x
		} else {
			sum = graph.Add(sum, x)
		}
	}
	for range levels {
		s := d.Shape().Dimensions
		n, h, w, c := s[0], s[1]/2, s[2]/2, s[3]
		cells := graph.Reshape(d, n, h, 2, w, 2, c)
		small := graph.ReduceAndKeep(cells, graph.ReduceMean, 2, 4)
		add(graph.Sub(cells, small))
		d = graph.Reshape(small, n, h, w, c)
	}
	add(d)
	return sum
}

// Batch composes scenes at one of the canvas sizes each and cuts a square out: things appear at several scales.
func (r *vqganRecipe) Batch(step, micro int) ([]Array, error) {
	c := r.cfg
	n, key := c.Train.BatchSize, c.Train.batchKey(step, micro)
	pix := make([]float32, n*c.Crop*c.Crop*3)
	plane := c.Crop * c.Crop * 3
	inParallel(n, c.Train.workers(), func(i int) {
		s := rng.New(c.Train.Seed, "vqgan/crop", key, uint64(i))
		size := c.Canvases[s.IntN(len(c.Canvases))]
		scene := r.data.train.Sample(c.Train.Seed, key, uint64(i), size)
		x, y := s.IntN(size-c.Crop+1), s.IntN(size-c.Crop+1)
		for row := range c.Crop {
			from := ((y+row)*size + x) * 3
			copy(pix[i*plane+row*c.Crop*3:], scene.Pix[from:from+c.Crop*3])
		}
	})
	return []Array{Floats(pix, n, c.Crop, c.Crop, 3), Floats([]float32{r.share(step)})}, nil
}

// share is how much the discriminator counts at a step, 0 to 1.
func (r *vqganRecipe) share(step int) float32 {
	a := r.cfg.Adversary
	switch {
	case step < a.Start:
		return 0
	case step < a.Start+a.Ramp:
		return float32(step-a.Start+1) / float32(a.Ramp+1)
	}
	return 1
}

// export returns the function that writes the model file.
func (r *vqganRecipe) export(dir string) func(decls []gx.Decl, ema Values) error {
	return func(decls []gx.Decl, ema Values) error {
		up, err := engine.Upload(decls, ema)
		if err != nil {
			return err
		}
		model := r.cfg.Model
		model.Resolution = r.cfg.Crop
		return weights.SaveFile(filepath.Join(dir, ModelFile), func(w io.Writer) error {
			return vqgan.SaveAs(w, model, up, weights.F16)
		})
	}
}
