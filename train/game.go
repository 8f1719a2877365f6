package train

import (
	"context"
	"fmt"
	"image"
	"slices"
	"strings"

	"github.com/gomlx/compute/shapes"
	"github.com/gomlx/gomlx/core/graph"

	"github.com/smalti/smalti/engine"
	"github.com/smalti/smalti/event"
	"github.com/smalti/smalti/gx"
)

// Game is what networks that are trained against each other bring to a GameLoop. A step is a list of phases; each
// minimises a loss of its own over the weights of one player, each its own, while those of the others stand still. Its methods are pure
// functions of the game's configuration and of their arguments; Batch and the losses are called from several goroutines.
type Game interface {
	// Name of the game, for events and graphs: "gan", "wgan-gp".
	Name() string
	// Phases of a step, in order.
	Phases() []Phase
	// Batch returns the arrays of one micro-batch, for each phase always of the same shapes.
	Batch(at Turn) ([]Array, error)
	// Evaluate measures weights: the moving average of all players, and the running statistics.
	Evaluate(ctx context.Context, e *engine.Engine, values Values) (Evaluation, error)
}

// Phase is a part of a step.
type Phase struct {
	Name      string   // before its figures in events: "critic", "generator"
	Player    string   // whose weights it trains: the variables below this name
	Turns     int      // how often it is played in a step, >= 1
	Optimiser Config   // rates, moments, clipping, moving average; its Steps and Warmup count turns
	Metrics   []string // names of the figures that Loss reports besides the loss

	// Loss builds the graph of one micro-batch; in has the shapes of Batch.
	Loss func(v *gx.Vars, in []*graph.Node) Played
}

// Played is what the graph of a phase returns.
type Played struct {
	Loss    *graph.Node   // scalar: what is minimised
	Metrics []*graph.Node // scalars, as named by Phase.Metrics
	Moves   []Move        // running statistics that this forward pass moves, in order; one may move several times
}

// Move takes a running statistic (of a batch norm) towards that of a batch: running <- (1-Momentum) running + Momentum
// batch. Running statistics are not trained, belong to checkpoints, and move once for each micro-batch, in order.
type Move struct {
	Name     string      // full name of the variable
	Batch    *graph.Node // what the batch says
	Start    float32     // value before the first move
	Momentum float64
}

// Turn numbers a micro-batch.
type Turn struct {
	Step  int // from 0
	Phase int // index among the Phases
	Turn  int // 0..Turns-1
	Micro int // 0..MicroBatches-1
}

// Sheeter is a Game that shows what it makes, cheaper than a whole evaluation.
type Sheeter interface {
	Sheet(ctx context.Context, e *engine.Engine, values Values) (image.Image, error)
}

// Prober is a Game that measures the players against each other beside every evaluation: spreads of numbers, and scores.
type Prober interface {
	Probe(ctx context.Context, e *engine.Engine, values Values) (map[string]event.Histogram, map[string]float64, error)
}

// Settler is a Game that brings running statistics in line with other weights than those they were gathered under. It
// returns the values with such statistics, for a moving average, and leaves values as it is.
type Settler interface {
	Settle(ctx context.Context, e *engine.Engine, values Values) (Values, error)
}

// player is one of the networks: a part of the flat arrays.
type player struct {
	name    string
	flat    *flat // shares the arrays of the whole
	version int   // how often the weights have changed
}

// running is a running statistic and where it goes in a phase.
type running struct {
	name     string
	momentum float32
}

// board is what tracing the phases tells.
type board struct {
	phases  []Phase
	players []*player   // of each phase
	moves   [][]running // of each phase, in the order of its extra outputs
	flat    *flat       // of all players
	stats   Values      // running statistics by name
}

// newBoard traces every phase and lays the variables out, player by player.
func newBoard(g Game, w *gameWorker) (*board, error) {
	b := &board{phases: g.Phases(), stats: Values{}}
	var all []gx.Decl
	owned, used := map[string]bool{}, map[string]string{}
	var cuts []int
	for i, p := range b.phases {
		batch, err := g.Batch(Turn{Phase: i})
		if err != nil {
			return nil, fmt.Errorf("train: first batch of %s: %w", p.Name, err)
		}
		decls, err := w.programs[i].Decls(shapesOf(batch)...)
		if err != nil {
			return nil, err
		}
		b.moves = append(b.moves, w.moves[i].list(b.stats))
		if slices.ContainsFunc(b.players, func(q *player) bool { return q.name == p.Player }) {
			return nil, fmt.Errorf("train: %s: player %q has more than one phase", g.Name(), p.Player)
		}
		b.players = append(b.players, &player{name: p.Player, version: 1})
		cuts = append(cuts, len(all))
		for _, d := range decls {
			if strings.HasPrefix(d.Name, p.Player+".") {
				all = append(all, d)
				owned[d.Name] = true
			}
		}
		for _, d := range decls {
			used[d.Name] = p.Name
		}
	}
	for name, phase := range used {
		if !owned[name] {
			return nil, fmt.Errorf("train: %s: phase %s uses the variable %q, which no player trains", g.Name(), phase, name)
		}
	}
	b.flat = newFlat(all, decays)
	cuts = append(cuts, len(all))
	for i, p := range b.players {
		if cuts[i] == cuts[i+1] {
			return nil, fmt.Errorf("train: %s: player %q has no variables", g.Name(), p.name)
		}
		p.flat = b.flat.part(cuts[i], cuts[i+1])
	}
	return b, nil
}

// part is the flat of the variables from..to-1, which shares f's arrays.
func (f *flat) part(from, to int) *flat {
	p := &flat{decls: f.decls[from:to]}
	lo, hi := f.offsets[from], f.offsets[to]
	for _, o := range f.offsets[from : to+1] {
		p.offsets = append(p.offsets, o-lo)
	}
	for _, c := range f.chunks {
		if c.from >= lo && c.to <= hi {
			p.chunks = append(p.chunks, chunk{c.from - lo, c.to - lo, c.decay})
		}
	}
	p.value, p.m, p.v, p.ema = f.value[lo:hi:hi], f.m[lo:hi:hi], f.v[lo:hi:hi], f.ema[lo:hi:hi]
	return p
}

// values are the given array's parts by name, with the running statistics.
func (b *board) values(array []float32) Values {
	out := b.flat.values(array)
	for name, s := range b.stats {
		out[name] = s
	}
	return out
}

// move applies the statistics of a phase's micro-batches, in order.
func (b *board) move(phase int, outs []gradient) {
	for _, o := range outs {
		for i, r := range b.moves[phase] {
			into, keep := b.stats[r.name], 1-r.momentum
			for k, x := range o.extra[i].F {
				into[k] = float32(keep*into[k]) + float32(r.momentum*x)
			}
		}
	}
}

func shapesOf(batch []Array) []shapes.Shape {
	out := make([]shapes.Shape, len(batch))
	for i, a := range batch {
		out[i] = a.shape()
	}
	return out
}
