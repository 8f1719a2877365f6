package train

import (
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/gomlx/compute/shapes"
	"github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"

	"github.com/smalti/smalti/engine"
	"github.com/smalti/smalti/gx"
)

// worker computes gradients on an engine of its own: tensors belong to one engine.
type worker struct {
	engine   *engine.Engine
	programs []*engine.Program // one for each form of the loss
	joiner   *joiner           // of a Joined recipe, made when it is needed
	flat     *flat             // what the gradients are of; nil while variables are only listed
	vars     engine.Tensors    // frozen weights, and those of the step at hand
	step     int               // that step, or -1
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
	// One thread each: micro-batches use the cores better than the inside of small operations does.
	e, err := engine.New(engine.Options{Threads: 1, Precision: precision})
	if err != nil {
		return nil, err
	}
	w := &worker{engine: e, step: -1, vars: engine.Tensors{}}
	for stage := range stagesOf(r) {
		w.programs = append(w.programs, e.Program(fmt.Sprintf("train/%s/%d", r.Name(), stage), w.build(r, stage)))
	}
	return w, nil
}

// build is the graph of one form of the loss: loss, metrics, the gradient of every variable in the order of w.flat, extras.
func (w *worker) build(r Recipe, stage int) engine.Build {
	return func(v *gx.Vars, in []*graph.Node) []*graph.Node {
		out := lossOf(r, stage, v, in)
		teams := teamsOf(r)
		if !out.Loss.Shape().IsScalar() || len(out.Metrics) != len(r.Metrics()) || len(out.Rivals) > len(teams) {
			panic(fmt.Errorf("recipe %s: loss of shape %s, %d metrics and %d rivals, want a scalar, %d and at most %d", r.Name(),
				out.Loss.Shape(), len(out.Metrics), len(out.Rivals), len(r.Metrics()), len(teams)))
		}
		outs := append([]*graph.Node{out.Loss}, out.Metrics...)
		if w.flat == nil {
			return append(outs, out.Extra...)
		}
		return append(append(outs, w.flat.gradients(v, out, teams)...), out.Extra...)
	}
}

// gradients differentiates each loss by the variables of its side. Variables that the form at hand does not use, and those
// whose side rests, have a gradient of zeros.
func (f *flat) gradients(v *gx.Vars, out Output, teams []Team) []*graph.Node {
	grads := make([]*graph.Node, len(f.decls))
	for side, loss := range append([]*graph.Node{out.Loss}, out.Rivals...) {
		if loss == nil {
			continue
		}
		var params []*graph.Node
		var at []int
		for i, d := range f.decls {
			if n := v.Node(d.Name); n != nil && sideOf(d.Name, teams) == side {
				params, at = append(params, n), append(at, i)
			}
		}
		for k, g := range graph.Gradient(loss, params...) {
			grads[at[k]] = g
		}
	}
	for i, d := range f.decls {
		if grads[i] == nil {
			grads[i] = graph.Zeros(out.Loss.Graph(), d.Shape())
		}
	}
	return grads
}

// sideOf is 0 for a variable of the main loss, i+1 for one of the i-th team.
func sideOf(name string, teams []Team) int {
	for i, t := range teams {
		if strings.HasPrefix(name, t.Name+".") {
			return i + 1
		}
	}
	return 0
}

func stagesOf(r Recipe) int {
	if s, ok := r.(Staged); ok {
		return s.Stages()
	}
	return 1
}

func stageOf(r Recipe, step int) int {
	if s, ok := r.(Staged); ok {
		return s.Stage(step)
	}
	return 0
}

func lossOf(r Recipe, stage int, v *gx.Vars, in []*graph.Node) Output {
	if s, ok := r.(Staged); ok {
		return s.LossAt(stage, v, in)
	}
	return r.Loss(v, in)
}

func teamsOf(r Recipe) []Team {
	if t, ok := r.(Teamed); ok {
		return t.Teams()
	}
	return nil
}

func frozenOf(r Recipe) Values {
	if f, ok := r.(Freezer); ok {
		return f.Frozen()
	}
	return nil
}

// decls traces the last form of the loss for a batch and returns the variables to be trained, side by side (those of a
// team lie together), and those that are frozen.
func (w *worker) decls(r Recipe, batch []Array) (trained, frozen []gx.Decl, err error) {
	in := make([]shapes.Shape, len(batch))
	for i, a := range batch {
		in[i] = a.shape()
	}
	all, err := w.programs[len(w.programs)-1].Decls(in...)
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
	teams := teamsOf(r)
	slices.SortStableFunc(trained, func(a, b gx.Decl) int { return sideOf(a.Name, teams) - sideOf(b.Name, teams) })
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
func (w *worker) run(stage, nMetrics int, batch []Array) gradient {
	f := w.flat
	in := make([]*tensors.Tensor, len(batch))
	for i, a := range batch {
		in[i] = a.tensor()
	}
	outs, err := w.programs[stage].Run(w.vars, in...)
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
func gradients(ws []*worker, r Recipe, step int, micros [][]Array) []gradient {
	stage, nMetrics := stageOf(r, step), len(r.Metrics())
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
				out[i] = w.runStep(step, stage, nMetrics, micros[i])
			}
		})
	}
	wg.Wait()
	return out
}

// runStep is load and run with panics of the tensor library as errors.
func (w *worker) runStep(step, stage, nMetrics int, batch []Array) (g gradient) {
	if err := engine.Try(func() {
		w.load(step, w.flat)
		g = w.run(stage, nMetrics, batch)
	}); err != nil {
		g = gradient{err: err}
	}
	return g
}
