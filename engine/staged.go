package engine

import (
	"errors"
	"fmt"

	"github.com/gomlx/compute"
	"github.com/gomlx/compute/shapes"
	"github.com/gomlx/gomlx/core/tensors"

	"github.com/smalti/smalti/engine/cpu"
)

// Staged returns a graph function that runs in two parts: Start computes what does not need the last inputs and keeps what
// the rest will need, Finish computes the rest when these inputs are there. Its outputs are those of Run, in order, each
// from the part that can compute it. Records call the parts name and rest. The graph must not Set variables.
func (e *Engine) Staged(name, rest string, build Build) *Program {
	p := e.Program(name, build)
	p.rest = rest
	return p
}

// Rest is a program that was started. One of Finish and Drop must follow. It is not safe for concurrent use.
type Rest struct {
	p       *Program
	pending *cpu.Pending
	weights []*tensors.Tensor // kept alive, with their buffers
	in      []*tensors.Tensor
}

// Start runs the first part of a Staged program. late are the shapes of the inputs that Finish will bring.
func (p *Program) Start(vars Tensors, in []*tensors.Tensor, late []shapes.Shape) ([]*tensors.Tensor, *Rest, error) {
	if p.rest == "" {
		return nil, nil, fmt.Errorf("engine: %s is not staged", p.name)
	}
	c, err := p.compile(shapesOf(in), late)
	if err == nil && len(c.updates) > 0 {
		err = errors.New("a staged graph sets variables")
	}
	if err != nil {
		return nil, nil, fmt.Errorf("engine: compile %s: %w", p.name, err)
	}
	r := &Rest{p: p, in: in}
	if r.weights, err = p.weights(c, vars); err != nil {
		return nil, nil, err
	}
	var outs []*tensors.Tensor
	err = p.e.timed(p.name, false, func() error {
		return Try(func() {
			var results []compute.Buffer
			r.pending, results = must2(c.g.Executable().(*cpu.Executable).Start(p.e.buffers(in, r.weights)))
			outs = wrap(results)
		})
	})
	if err != nil {
		return nil, nil, fmt.Errorf("engine: run %s: %w", p.name, err)
	}
	return outs, r, nil
}

// Finish runs the second part with the late inputs. The run ends with it, whether it succeeds or not.
func (r *Rest) Finish(late ...*tensors.Tensor) ([]*tensors.Tensor, error) {
	var outs []*tensors.Tensor
	err := r.p.e.timed(r.p.rest, false, func() error {
		return Try(func() {
			results, err := r.pending.Finish(r.p.e.buffers(late, nil))
			if err != nil {
				panic(err)
			}
			outs = wrap(results)
		})
	})
	r.weights, r.in = nil, nil
	if err != nil {
		return nil, fmt.Errorf("engine: run %s: %w", r.p.rest, err)
	}
	return outs, nil
}

// Drop ends a run that will not be finished. After Finish it does nothing.
func (r *Rest) Drop() { r.pending.Drop() }

// wrap makes tensors of results.
func wrap(results []compute.Buffer) []*tensors.Tensor {
	out := make([]*tensors.Tensor, len(results))
	for i, b := range results {
		t, err := tensors.FromBuffer(b)
		if err != nil {
			panic(err)
		}
		out[i] = t
	}
	return out
}

func must2[A, B any](a A, b B, err error) (A, B) {
	if err != nil {
		panic(err)
	}
	return a, b
}
