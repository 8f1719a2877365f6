package train

import (
	"context"
	"math"
	"testing"

	"github.com/gomlx/gomlx/core/graph"

	"github.com/smalti/smalti/engine"
	"github.com/smalti/smalti/event"
	"github.com/smalti/smalti/gx"
	"github.com/smalti/smalti/rng"
)

// toy is a recipe of a few numbers: y = sin(sum x) is fitted by a layer of 16 units.
type toy struct {
	n       int
	poison  int // step whose batch holds a NaN; 0 none
	counter []float32
}

func newToy(c Config) *toy { return &toy{n: c.BatchSize, counter: make([]float32, 2)} }

func (t *toy) Name() string      { return "toy" }
func (t *toy) Metrics() []string { return []string{"largest"} }

func (t *toy) Loss(v *gx.Vars, in []*graph.Node) Output {
	x, y := in[0], in[1]
	h := graph.Dot(x, v.Get("in.weight", gx.Spec{Dims: []int{3, 16}, Layout: gx.Linear, Init: gx.KaimingUniform})).Product()
	h = graph.Tanh(graph.Add(h, graph.Reshape(v.Get("in.bias", gx.Spec{Dims: []int{16}}), 1, 16)))
	out := graph.Dot(h, v.Get("out.weight", gx.Spec{Dims: []int{16, 1}, Layout: gx.Linear, Init: gx.KaimingUniform})).Product()
	d := graph.Sub(graph.Reshape(out, t.n), y)
	return Output{Loss: graph.ReduceAllMean(graph.Square(d)), Metrics: []*graph.Node{graph.ReduceAllMax(graph.Abs(d))},
		Extra: []*graph.Node{d}}
}

func (t *toy) Batch(step, micro int) ([]Array, error) {
	s := rng.New(3, "toy", uint64(step), uint64(micro))
	x, y := make([]float32, t.n*3), make([]float32, t.n)
	s.FillUniform(x, -1, 1)
	for i := range y {
		y[i] = float32(math.Sin(float64(x[3*i] + x[3*i+1] + x[3*i+2])))
	}
	if t.poison > 0 && step == t.poison {
		y[0] = float32(math.NaN())
	}
	return []Array{Floats(x, t.n, 3), Floats(y, t.n)}, nil
}

func (t *toy) Evaluate(_ context.Context, e *engine.Engine, values Values) (Evaluation, error) {
	return Evaluation{Scores: map[string]float64{"first": float64(values["in.weight"][0])}}, nil
}

// AfterStep nudges a weight by what it remembers, so that a resume that loses the memory shows.
func (t *toy) AfterStep(step int, extra [][]Array, w Weights) error {
	for _, e := range extra {
		t.counter[0] += e[0].F[0]
	}
	t.counter[1]++
	value, _, _, _, _ := w.Get("in.bias")
	value[0] += 1e-3 * t.counter[0]
	return nil
}

func (t *toy) Memory() Values { return Values{"counter": t.counter} }

func toyConfig() Config {
	c := DefaultConfig()
	c.Steps, c.BatchSize, c.MicroBatches, c.LR, c.Warmup = 12, 8, 3, .02, 4
	c.ScalarsEvery, c.EvalEvery, c.SaveEvery = 2, 5, 4
	return c
}

func runToy(t *testing.T, ctx context.Context, c Config, dir string, resume bool) Result {
	t.Helper()
	l := Loop{Config: c, Recipe: newToy(c), Dir: dir, Resume: resume}
	res, err := l.Run(ctx)
	if err != nil {
		t.Fatal(err)
	}
	return res
}

// cancelAt is a Sink that cancels a context when a step is reported.
func cancelAt(step int, cancel context.CancelFunc) event.Sink {
	return event.Func(func(e event.Event) {
		if e.Kind == event.Scalars && e.Step >= step {
			cancel()
		}
	})
}
