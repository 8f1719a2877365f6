package train

import (
	"fmt"
	"sync"

	"github.com/gomlx/compute/shapes"
	"github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"

	"github.com/smalti/smalti/engine"
	"github.com/smalti/smalti/gx"
)

// worker computes gradients on an engine of its own: tensors belong to one engine.
type worker struct {
	engine  *engine.Engine
	program *engine.Program
	vars    engine.Tensors // frozen weights, and those of the step at hand
	step    int            // that step, or -1
}

// gradient is what one micro-batch contributes.
type gradient struct {
	loss    float64
	metrics []float64
	grad    []float32 // in the order of flat
	extra   []Array
	err     error
}

func newWorker(r Recipe, precision string) (*worker, error) {
	// One thread each: the engine's elementwise operations are serial, so cores are used by micro-batches.
	e, err := engine.New(engine.Options{Threads: 1, Precision: precision})
	if err != nil {
		return nil, err
	}
	frozen := frozenOf(r)
	w := &worker{engine: e, step: -1, vars: engine.Tensors{}}
	w.program = e.Program("train/"+r.Name(), func(v *gx.Vars, in []*graph.Node) []*graph.Node {
		out := r.Loss(v, in)
		if !out.Loss.Shape().IsScalar() || len(out.Metrics) != len(r.Metrics()) {
			panic(fmt.Errorf("recipe %s: loss of shape %s and %d metrics, want a scalar and %d", r.Name(),
				out.Loss.Shape(), len(out.Metrics), len(r.Metrics())))
		}
		var params []*graph.Node
		for _, d := range v.Decls() {
			if _, ok := frozen[d.Name]; !ok {
				params = append(params, v.Node(d.Name))
			}
		}
		outs := append([]*graph.Node{out.Loss}, out.Metrics...)
		outs = append(outs, graph.Gradient(out.Loss, params...)...)
		return append(outs, out.Extra...)
	})
	return w, nil
}

func frozenOf(r Recipe) Values {
	if f, ok := r.(Freezer); ok {
		return f.Frozen()
	}
	return nil
}

// decls traces the gradient for a batch and returns the variables to be trained and those that are frozen.
func (w *worker) decls(r Recipe, batch []Array) (trained, frozen []gx.Decl, err error) {
	in := make([]shapes.Shape, len(batch))
	for i, a := range batch {
		in[i] = a.shape()
	}
	all, err := w.program.Decls(in...)
	if err != nil {
		return nil, nil, err
	}
	values := frozenOf(r)
	for _, d := range all {
		if _, ok := values[d.Name]; ok {
			frozen = append(frozen, d)
		} else {
			trained = append(trained, d)
		}
	}
	return trained, frozen, nil
}

// freeze uploads the weights that are not trained.
func (w *worker) freeze(decls []gx.Decl, values Values) error {
	up, err := engine.Upload(decls, values)
	if err != nil {
		return err
	}
	for name, t := range up {
		w.vars[name] = t
	}
	return nil
}

// load uploads the weights of a step, once.
func (w *worker) load(step int, f *flat) {
	if w.step == step {
		return
	}
	for i, d := range f.decls {
		if old := w.vars[d.Name]; old != nil {
			old.MustFinalizeAll()
		}
		w.vars[d.Name] = tensors.FromFlatDataAndDimensions(f.of(f.value, i), d.Dims...)
	}
	w.step = step
}

// run computes one micro-batch.
func (w *worker) run(f *flat, nMetrics int, batch []Array) gradient {
	in := make([]*tensors.Tensor, len(batch))
	for i, a := range batch {
		in[i] = a.tensor()
	}
	outs, err := w.program.Run(w.vars, in...)
	if err != nil {
		return gradient{err: err}
	}
	defer func() {
		for _, t := range append(in, outs...) {
			t.MustFinalizeAll()
		}
	}()
	g := gradient{grad: make([]float32, f.offsets[len(f.decls)])}
	g.loss = float64(engine.Floats(outs[0])[0])
	for _, t := range outs[1 : 1+nMetrics] {
		g.metrics = append(g.metrics, float64(engine.Floats(t)[0]))
	}
	outs0 := outs[1+nMetrics:]
	for i := range f.decls {
		copy(f.of(g.grad, i), engine.Floats(outs0[i]))
	}
	for _, t := range outs0[len(f.decls):] {
		g.extra = append(g.extra, download(t))
	}
	return g
}

// gradients computes the micro-batches of a step. Which worker gets which is up to the scheduler and does not matter.
func gradients(ws []*worker, step int, f *flat, nMetrics int, micros [][]Array) []gradient {
	out := make([]gradient, len(micros))
	next := make(chan int, len(micros))
	for i := range micros {
		next <- i
	}
	close(next)
	var wg sync.WaitGroup
	for _, w := range ws {
		wg.Go(func() {
			for i := range next {
				out[i] = w.runStep(step, f, nMetrics, micros[i])
			}
		})
	}
	wg.Wait()
	return out
}

// runStep is load and run with panics of the tensor library as errors.
func (w *worker) runStep(step int, f *flat, nMetrics int, batch []Array) (g gradient) {
	if err := engine.Try(func() {
		w.load(step, f)
		g = w.run(f, nMetrics, batch)
	}); err != nil {
		g = gradient{err: err}
	}
	return g
}
