package run

import (
	"fmt"

	"github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"

	"github.com/smalti/smalti/engine"
	"github.com/smalti/smalti/gx"
	"github.com/smalti/smalti/prior"
	"github.com/smalti/smalti/spec"
)

// likelihood is a prior as a loss on the latent: weight times the mean of -log p of its codes given the words, in nats. The
// latent is read as soft codes, p(k) in proportion to exp(-|z - e_k|^2 / T) (prior.SoftLossGraph), so that the gradient tells
// which codes the picture should rather have.
type likelihood struct {
	weight  float64
	program *engine.Program
	weights engine.Tensors
	cond    *tensors.Tensor // int32 [1,p]
	book    *tensors.Tensor // [K,C]
	dims    []int           // of z: 1,h,w,C
	err     error
}

// softness is T as a share of the mean squared distance from a code to its nearest neighbour: a code under z has nearly all
// the weight, one between two has a choice.
const softness = 0.25

func (l *likelihood) Name() string      { return "prior" }
func (l *likelihood) Restarts(int) bool { return false }
func (l *likelihood) Err() error        { return l.err }

func (l *likelihood) Add(_ int, z, _, grad []float32) float64 {
	if l.err != nil {
		return 0
	}
	outs, err := l.program.Run(l.weights, engine.FromFloats(z, l.dims...), l.cond, l.book)
	if err != nil {
		l.err = fmt.Errorf("run: the prior's likelihood: %w", err)
		return 0
	}
	w := float32(l.weight)
	for i, g := range engine.Floats(outs[1]) {
		grad[i] += w * g
	}
	return l.weight * float64(engine.Floats(outs[0])[0])
}

// checkLikelihood refuses a loss that fits neither the canvas nor the VQGAN, and pins the prior.
func (r *Runner) checkLikelihood(j *spec.Job) (*Drawer, error) {
	d := j.Losses.Prior
	from, err := r.Drawer(d.Prior, j.VQGAN)
	if err != nil {
		return nil, err
	}
	d.Prior = from.Ref
	if _, _, err := from.input(d.Prompt, nil); err != nil {
		return nil, err
	}
	f := from.VQGAN.Factor()
	if gh, gw := from.Prior.Grid(); j.Width != gw*f || j.Height != gh*f {
		return nil, spec.Refusef(fmt.Sprintf("use --size %dx%d", gw*f, gh*f), "--prior-weight judges whole pictures of %s, which are %dx%d", from.Ref.Name, gw*f, gh*f)
	}
	if c := from.Prior.Config(); c.VocabSize != from.VQGAN.NumCodes() {
		return nil, spec.Refusef("leave out --prior-weight", "the prior %s reads %d codes, %s has %d", from.Ref.Name, c.VocabSize, from.VQGANRef.Name, from.VQGAN.NumCodes())
	}
	return from, nil
}

// likelihood builds the loss of a job.
func (s *session) likelihood() (*likelihood, error) {
	d := *s.job.Losses.Prior
	s.job.Losses.Prior = &d
	from, err := s.checkLikelihood(s.job)
	if err != nil {
		return nil, err
	}
	in, _, err := from.input(d.Prompt, nil)
	if err != nil {
		return nil, err
	}
	return newLikelihood(s.engine, from, d.Weight, in)
}

func newLikelihood(e *engine.Engine, from *Drawer, weight float64, in prior.Input) (*likelihood, error) {
	cfg := from.Prior.Config()
	cond, err := cfg.Conditions(in)
	if err != nil {
		return nil, fmt.Errorf("run: %w", err)
	}
	book, err := from.VQGAN.Book()
	if err != nil {
		return nil, err
	}
	k, c := from.VQGAN.NumCodes(), from.VQGAN.Channels()
	gh, gw := cfg.Grid()
	l := &likelihood{weight: weight, weights: from.Prior.Weights(), cond: tensors.FromFlatDataAndDimensions(cond, 1, len(cond)),
		book: engine.FromFloats(book, k, c), dims: []int{1, gh, gw, c}}
	unit, t := from.VQGAN.Config().L2, softness*neighbours(book, c)
	l.program = e.Program("prior likelihood of soft codes", func(v *gx.Vars, in []*graph.Node) []*graph.Node {
		z := graph.Reshape(in[0], gh*gw, c)
		if unit {
			z = gx.L2Normalize(z, -1)
		}
		cross := graph.DotGeneral(z, []int{1}, nil, in[2], []int{1}, nil) // [s,K]
		norms := graph.Reshape(graph.ReduceSum(graph.Square(in[2]), -1), 1, k)
		// |z|^2 is the same for all codes, and the softmax does not see it.
		soft := graph.Softmax(graph.MulScalar(graph.Sub(graph.MulScalar(cross, 2), norms), 1/t), -1)
		loss := graph.ReduceAllSum(cfg.SoftLossGraph(v, in[1], graph.Reshape(soft, 1, gh*gw, k)))
		return []*graph.Node{loss, graph.Gradient(loss, in[0])[0]}
	})
	return l, nil
}

// neighbours is the mean squared distance of the rows of a codebook to their nearest others.
func neighbours(book []float32, c int) float64 {
	k, sum := len(book)/c, 0.
	for i := range k {
		least := -1.
		for j := range k {
			if j == i {
				continue
			}
			d := 0.
			for n := range c {
				x := float64(book[i*c+n]) - float64(book[j*c+n])
				d += x * x
			}
			if least < 0 || d < least {
				least = d
			}
		}
		sum += max(least, 0)
	}
	return max(sum/float64(k), 1e-12)
}
