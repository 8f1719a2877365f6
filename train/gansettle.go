package train

import (
	"context"
	"fmt"
	"maps"
	"sync"

	"github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"

	"github.com/smalti/smalti/engine"
	"github.com/smalti/smalti/gan"
	"github.com/smalti/smalti/gx"
)

// Batches that settle running statistics: together as many pictures as a small evaluation.
const (
	settleBatches = 16
	settleBatch   = 64
)

// settleSeed is the seed of their noise, which no sheet shows.
const settleSeed = 2

// ganSettle recomputes the running statistics of the generator's batch norms. Those of the training belong to its newest
// weights; under the moving average of the weights they are wrong, the more so the longer the average reaches back.
type ganSettle struct {
	mu      sync.Mutex
	engine  *engine.Engine
	program *engine.Program
	moves   *traced
}

// programOf is the graph of a batch: noise [n,k], classes [n] -> the statistics of the batch at every norm, in order.
func (s *ganSettle) programOf(e *engine.Engine, c gan.Config) (*engine.Program, *traced) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.engine != e {
		s.engine, s.moves = e, &traced{}
		t := s.moves
		s.program = e.Program("gan settle", func(v *gx.Vars, in []*graph.Node) []*graph.Node {
			stats := &gan.Stats{}
			c.GenerateGraph(v.In(generatorName), in[0], in[1], stats)
			var out []*graph.Node
			for _, m := range stats.Moves {
				out = append(out, m.Batch)
			}
			t.set(moves(stats))
			return out
		})
	}
	return s.program, s.moves
}

// Settle returns the values with running statistics that fit the weights among them: means over batches of fixed noise
// that pass through the generator as in training (the standing statistics of Brock et al. 2019, arXiv:1809.11096,
// section 4.1). values is left as it is.
func (g *ganGame) Settle(ctx context.Context, e *engine.Engine, values Values) (Values, error) {
	c := g.cfg.Model
	if c.Generator.Norm != gan.Batch || g.data == nil { // steps that are held against a reference keep its statistics
		return values, nil
	}
	vars, err := g.tensorsOf(e, values)
	if err != nil {
		return nil, err
	}
	prog, traced := g.settle.programOf(e, c)
	var sums [][]float64
	for i := range settleBatches {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		z := engine.FromFloats(c.Noise(settleSeed, i*settleBatch, settleBatch), settleBatch, c.Latent)
		outs, err := prog.Run(vars, z, tensors.FromFlatDataAndDimensions(c.Classes(settleBatch), settleBatch))
		if err != nil {
			return nil, fmt.Errorf("train: settle the running statistics: %w", err)
		}
		if sums == nil {
			sums = make([][]float64, len(outs))
		}
		for k, t := range outs {
			sums[k] = plus(sums[k], engine.Floats(t))
		}
	}
	out := maps.Clone(values)
	for k, m := range traced.list(Values{}) {
		mean := make([]float32, len(sums[k]))
		for j, s := range sums[k] {
			mean[j] = float32(s / settleBatches)
		}
		out[m.name] = mean
	}
	return out, nil
}

// plus adds x to sum, which is as long or nil.
func plus(sum []float64, x []float32) []float64 {
	if sum == nil {
		sum = make([]float64, len(x))
	}
	for i, v := range x {
		sum[i] += float64(v)
	}
	return sum
}
