package train

import (
	"fmt"
	"strings"
	"sync"

	"github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"

	"github.com/smalti/smalti/engine"
	"github.com/smalti/smalti/gx"
)

// gameWorker computes the gradients of all phases on an engine of its own.
type gameWorker struct {
	engine   *engine.Engine
	programs []*engine.Program // one for each phase
	moves    []*traced         // of each phase
	vars     engine.Tensors    // the players' weights as uploaded
	versions []int             // of the uploaded weights, for each player
}

// traced remembers the running statistics that a phase's graph moves, as of its last tracing.
type traced struct {
	mu    sync.Mutex
	moves []Move
	sizes []int
}

func (t *traced) set(moves []Move) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.moves, t.sizes = nil, nil
	for _, m := range moves {
		t.sizes = append(t.sizes, m.Batch.Shape().Size())
		m.Batch = nil // do not keep the graph
		t.moves = append(t.moves, m)
	}
}

// list returns the moves and enters statistics that are new into stats at their start.
func (t *traced) list(stats Values) []running {
	t.mu.Lock()
	defer t.mu.Unlock()
	out := make([]running, len(t.moves))
	for i, m := range t.moves {
		out[i] = running{m.Name, float32(m.Momentum)}
		if _, ok := stats[m.Name]; !ok {
			s := make([]float32, t.sizes[i])
			for k := range s {
				s[k] = m.Start
			}
			stats[m.Name] = s
		}
	}
	return out
}

func newGameWorker(g Game, precision string) (*gameWorker, error) {
	e, err := engine.New(engine.Options{Threads: 1, Precision: precision})
	if err != nil {
		return nil, err
	}
	w := &gameWorker{engine: e, vars: engine.Tensors{}}
	for _, p := range g.Phases() {
		t := &traced{}
		w.moves = append(w.moves, t)
		w.programs = append(w.programs, e.Program("train/"+g.Name()+"/"+p.Name, p.build(t)))
	}
	return w, nil
}

// build is the graph of a phase with the gradient for its player: loss, metrics, gradients, statistics.
func (p Phase) build(t *traced) engine.Build {
	return func(v *gx.Vars, in []*graph.Node) []*graph.Node {
		out := p.Loss(v, in)
		if !out.Loss.Shape().IsScalar() || len(out.Metrics) != len(p.Metrics) {
			panic(fmt.Errorf("phase %s: loss of shape %s and %d metrics, want a scalar and %d", p.Name, out.Loss.Shape(), len(out.Metrics), len(p.Metrics)))
		}
		var params []*graph.Node
		for _, d := range v.Decls() {
			if strings.HasPrefix(d.Name, p.Player+".") {
				params = append(params, v.Node(d.Name))
			}
		}
		outs := append([]*graph.Node{out.Loss}, out.Metrics...)
		outs = append(outs, graph.Gradient(out.Loss, params...)...)
		for _, m := range out.Moves {
			outs = append(outs, m.Batch)
		}
		t.set(out.Moves)
		return outs
	}
}

// load uploads the weights of the players that have changed since they were uploaded.
func (w *gameWorker) load(players []*player) {
	if w.versions == nil {
		w.versions = make([]int, len(players))
	}
	for i, p := range players {
		if w.versions[i] == p.version {
			continue
		}
		for k, d := range p.flat.decls {
			if old := w.vars[d.Name]; old != nil {
				old.MustFinalizeAll()
			}
			w.vars[d.Name] = tensors.FromFlatDataAndDimensions(p.flat.of(p.flat.value, k), d.Dims...)
		}
		w.versions[i] = p.version
	}
}

// run computes one micro-batch of a phase; panics of the tensor library become errors.
func (w *gameWorker) run(b *board, phase int, batch []Array) (g gradient) {
	if err := engine.Try(func() {
		w.load(b.players)
		g = w.compute(b, phase, batch)
	}); err != nil {
		g = gradient{err: err}
	}
	return g
}

func (w *gameWorker) compute(b *board, phase int, batch []Array) gradient {
	f := b.players[phase].flat
	in := make([]*tensors.Tensor, len(batch))
	for i, a := range batch {
		in[i] = a.tensor()
	}
	outs, err := w.programs[phase].Run(w.vars, in...)
	if err != nil {
		return gradient{err: err}
	}
	defer func() {
		for _, t := range append(in, outs...) {
			t.MustFinalizeAll()
		}
	}()
	g := gradient{grad: make([]float32, len(f.value)), loss: float64(engine.Floats(outs[0])[0])}
	rest := outs[1:]
	n := len(b.phases[phase].Metrics)
	for _, t := range rest[:n] {
		g.metrics = append(g.metrics, float64(engine.Floats(t)[0]))
	}
	for i := range f.decls {
		copy(f.of(g.grad, i), engine.Floats(rest[n+i]))
	}
	for _, t := range rest[n+len(f.decls):] {
		g.extra = append(g.extra, download(t))
	}
	return g
}

// gradientsOf computes the micro-batches of a turn. Which worker gets which is up to the scheduler and does not matter.
func (b *board) gradientsOf(ws []*gameWorker, phase int, micros [][]Array) []gradient {
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
				out[i] = w.run(b, phase, micros[i])
			}
		})
	}
	wg.Wait()
	return out
}

// fold sums the micro-batches of a turn in their order, into the first: the one place where gradients meet, so that they
// can come from other machines as well.
func (f *flat) fold(workers int, outs []gradient) (gradient, error) {
	for _, g := range outs {
		if g.err != nil {
			return gradient{}, g.err
		}
	}
	sum := outs[0]
	for _, g := range outs[1:] {
		sum.loss += g.loss
		for i := range sum.metrics {
			sum.metrics[i] += g.metrics[i]
		}
		f.each(workers, func(_ int, c chunk) {
			into, from := sum.grad[c.from:c.to], g.grad[c.from:c.to]
			for i := range into {
				into[i] += from[i]
			}
		})
	}
	return sum, nil
}
