package train

import (
	"fmt"
	"sync"

	"github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"

	"github.com/smalti/smalti/engine"
	"github.com/smalti/smalti/gx"
)

// Joined is a Recipe whose loss compares the examples of all micro-batches of a step with one another. Its gradient is exact
// while only one micro-batch is in memory at a time (gradient caching: Gao et al. 2021, arXiv:2101.06983, section 3): all are
// embedded, the loss is differentiated by the embeddings, and each is embedded again to carry its part of that back to the
// weights. The price is a second forward pass.
type Joined interface {
	// Joins reports whether the recipe is to be trained so. Loss is then Join of one micro-batch.
	Joins() bool
	// Embed is the part of the graph that has a micro-batch to itself: embeddings, examples along the first axis.
	Embed(v *gx.Vars, in []*graph.Node) []*graph.Node
	// JoinInputs are the indices of Batch's arrays that Join reads, examples along the first axis.
	JoinInputs() []int
	// Join is the loss of the embeddings of a whole step and of the arrays of JoinInputs.
	Join(v *gx.Vars, embedded, in []*graph.Node) Output
}

func joinedOf(r Recipe) Joined {
	if j, ok := r.(Joined); ok && j.Joins() {
		return j
	}
	return nil
}

// joiner is the graphs of a Joined recipe on one worker.
type joiner struct {
	embed, join, pull *engine.Program
}

// newJoiner makes the graphs; a batch has the given number of arrays.
func (w *worker) newJoiner(r Recipe, j Joined, batch int) *joiner {
	name := "train/" + r.Name()
	out := &joiner{}
	out.embed = w.engine.Program(name+"/embed", func(v *gx.Vars, in []*graph.Node) []*graph.Node { return j.Embed(v, in) })
	out.join = w.engine.Program(name+"/join", func(v *gx.Vars, in []*graph.Node) []*graph.Node {
		n := len(in) - len(j.JoinInputs())
		o := j.Join(v, in[:n], in[n:])
		outs := append([]*graph.Node{o.Loss}, o.Metrics...)
		outs = append(outs, graph.Gradient(o.Loss, in[:n]...)...)
		return append(outs, w.flat.gradients(v, Output{Loss: o.Loss}, nil)...)
	})
	out.pull = w.engine.Program(name+"/pull", func(v *gx.Vars, in []*graph.Node) []*graph.Node {
		var sum *graph.Node
		for i, e := range j.Embed(v, in[:batch]) {
			s := graph.ReduceAllSum(graph.Mul(e, graph.StopGradient(in[batch+i])))
			if sum == nil {
				sum = s
			} else {
				sum = graph.Add(sum, s)
			}
		}
		return w.flat.gradients(v, Output{Loss: sum}, nil)
	})
	return out
}

// joinedGradient is the gradient of a step's joined loss, summed over the micro-batches in their order.
func joinedGradient(ws []*worker, r Recipe, j Joined, step int, micros [][]Array) gradient {
	for _, w := range ws {
		if w.joiner == nil {
			w.joiner = w.newJoiner(r, j, len(micros[0]))
		}
	}
	embedded, err := spread(ws, step, len(micros), func(w *worker, i int) ([]Array, error) {
		return w.arrays(w.joiner.embed, micros[i])
	})
	if err != nil {
		return gradient{err: err}
	}
	in := joinArrays(embedded, nil)
	in = append(in, joinArrays(micros, j.JoinInputs())...)
	joins, err := spread(ws[:1], step, 1, func(w *worker, _ int) ([]Array, error) { return w.arrays(w.joiner.join, in) })
	if err != nil {
		return gradient{err: err}
	}
	g, outs := gradient{loss: float64(joins[0][0].F[0])}, joins[0][1:]
	for range r.Metrics() {
		g.metrics = append(g.metrics, float64(outs[0].F[0]))
		outs = outs[1:]
	}
	cots, own := outs[:len(embedded[0])], outs[len(embedded[0]):]
	pulled, err := spread(ws, step, len(micros), func(w *worker, i int) ([]Array, error) {
		return w.arrays(w.joiner.pull, append(append([]Array{}, micros[i]...), slicesOf(cots, i, len(micros))...))
	})
	if err != nil {
		return gradient{err: err}
	}
	f := ws[0].flat
	g.grad = make([]float32, f.offsets[len(f.decls)])
	for _, part := range append(pulled, own) {
		for i, a := range part {
			into := f.of(g.grad, i)
			for k, x := range a.F {
				into[k] += x
			}
		}
	}
	return g
}

// spread calls do for 0..n-1 from the workers, which have the weights of the step. Which worker gets which does not matter.
func spread(ws []*worker, step, n int, do func(w *worker, i int) ([]Array, error)) ([][]Array, error) {
	out, errs := make([][]Array, n), make([]error, n)
	next := make(chan int, n)
	for i := range n {
		next <- i
	}
	close(next)
	var wg sync.WaitGroup
	for _, w := range ws {
		wg.Go(func() {
			for i := range next {
				if err := engine.Try(func() {
					w.load(step, w.flat)
					out[i], errs[i] = do(w, i)
				}); err != nil {
					errs[i] = err
				}
			}
		})
	}
	wg.Wait()
	for _, err := range errs {
		if err != nil {
			return nil, err
		}
	}
	return out, nil
}

// arrays runs a program and brings its outputs to the host.
func (w *worker) arrays(p *engine.Program, in []Array) ([]Array, error) {
	ts := make([]*tensors.Tensor, len(in))
	for i, a := range in {
		ts[i] = a.tensor()
	}
	outs, err := p.Run(w.vars, ts...)
	if err != nil {
		return nil, err
	}
	all := make([]Array, len(outs))
	for i, t := range outs {
		all[i] = download(t)
	}
	for _, t := range append(ts, outs...) {
		t.MustFinalizeAll()
	}
	return all, nil
}

// joinArrays lays the chosen arrays of several batches, all of them if none are chosen, one after the other along the first axis.
func joinArrays(parts [][]Array, chosen []int) []Array {
	if chosen == nil {
		for i := range parts[0] {
			chosen = append(chosen, i)
		}
	}
	out := make([]Array, len(chosen))
	for k, i := range chosen {
		a := Array{Dims: append([]int(nil), parts[0][i].Dims...)}
		a.Dims[0] = 0
		for _, p := range parts {
			a.Dims[0] += p[i].Dims[0]
			a.F, a.I = append(a.F, p[i].F...), append(a.I, p[i].I...)
		}
		out[k] = a
	}
	return out
}

// slicesOf is the i-th of n equal parts of arrays along the first axis.
func slicesOf(all []Array, i, n int) []Array {
	out := make([]Array, len(all))
	for k, a := range all {
		if a.Dims[0]%n != 0 {
			panic(fmt.Sprintf("train: %d examples in %d parts", a.Dims[0], n))
		}
		dims := append([]int(nil), a.Dims...)
		dims[0] /= n
		size := len(a.F) / n
		out[k] = Floats(a.F[i*size:(i+1)*size], dims...)
	}
	return out
}
