package train

import (
	"context"
	"fmt"
	"image"
	"strings"

	"github.com/gomlx/compute/shapes"
	"github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"

	"github.com/smalti/smalti/engine"
	"github.com/smalti/smalti/gx"
)

// Recipe is what a model brings to the loop. Its methods are pure functions of the recipe's configuration and of their
// arguments; Batch and Loss are called from several goroutines at once.
type Recipe interface {
	// Name of the recipe, for events and graphs: "clip", "vqgan".
	Name() string
	// Metrics names the figures that Loss reports besides the loss, in order.
	Metrics() []string
	// Loss builds the graph of one micro-batch. in has the shapes of Batch.
	Loss(v *gx.Vars, in []*graph.Node) Output
	// Batch returns the arrays of one micro-batch of a step, always of the same shapes.
	Batch(step, micro int) ([]Array, error)
	// Evaluate measures weights (the moving average) on data that training does not see.
	Evaluate(ctx context.Context, e *engine.Engine, values Values) (Evaluation, error)
}

// Output is what a Recipe's graph returns.
type Output struct {
	Loss    *graph.Node   // scalar: what is minimised
	Metrics []*graph.Node // scalars, as named by Recipe.Metrics
	Extra   []*graph.Node // arrays for AfterStep, brought to the host

	Rivals []*graph.Node // what each Team minimises over its own variables, scalars, in their order; nil for one that rests
}

// Values are weights by name, in the layout of the graph.
type Values map[string][]float32

// Evaluation is the judgement of a model in training.
type Evaluation struct {
	Scores map[string]float64
	Sheet  image.Image // what the model makes, or nil

	Warnings []string // what the scores mean where they mean trouble
}

// Freezer is a Recipe whose graph also uses weights that are not trained (a perceptual network, say).
type Freezer interface {
	Frozen() Values
}

// Decayer is a Recipe that chooses which weights decay. Without it matrices and kernels decay, norms, biases and
// embeddings do not.
type Decayer interface {
	Decays(d gx.Decl) bool
}

// Starter is a Recipe that improves the drawn weights before the first step (k-means of a codebook, say).
type Starter interface {
	Start(ctx context.Context, e *engine.Engine, values Values) error
}

// Restarter is a Recipe that improves weights in the middle of a training, as a Starter does at its beginning.
type Restarter interface {
	// Restart is called before each step, counted from 0. It must depend on nothing but the step and the values, and returns
	// the names of those that it changed in place: their moments and averages begin anew.
	Restart(ctx context.Context, e *engine.Engine, step int, values Values) (changed []string, err error)
}

// Stepper is a Recipe that acts on the weights after a step, on the host.
type Stepper interface {
	// AfterStep gets the Extra outputs of the step's micro-batches, in their order. step counts from 1.
	AfterStep(step int, extra [][]Array, w Weights) error
	// Memory is what AfterStep keeps from step to step, by name; the loop saves it in checkpoints and
	// fills it when a run is resumed. The slices stay the same ones.
	Memory() Values
}

// Staged is a Recipe whose loss changes its form in the course of a training: a graph for each form, so that a part that
// does not count yet costs nothing.
type Staged interface {
	// Stages is the number of forms; the last one uses every variable.
	Stages() int
	// Stage is the form of a step, counted from 0.
	Stage(step int) int
	// LossAt is Loss in one of its forms. Metrics are the same in all of them; Extra may differ.
	LossAt(stage int, v *gx.Vars, in []*graph.Node) Output
}

// Team is a part of the variables that is trained against the rest, in the same step and from the same graph: the
// discriminator of a VQGAN, say.
type Team struct {
	Name      string // its variables lie below this name; also before its figures in events
	Optimiser Config // rates, moments, clipping, moving average; its Steps and Warmup count from From
	From      int    // its first step, counted from 0; before it nothing of it changes
}

// Teamed is a Recipe with Teams. Config rules the variables that belong to none of them.
type Teamed interface {
	Teams() []Team
}

// Watcher is a Recipe that tells in words what the figures of a training mean when they mean trouble.
type Watcher interface {
	// Watch gets the means of the figures since the last report.
	Watch(step int, means map[string]float64) []string
}

// Array is an array on the host: either F or I holds the elements, row-major.
type Array struct {
	Dims []int
	F    []float32
	I    []int32
}

// Floats is an Array of float32. It panics when the data do not fill the shape.
func Floats(data []float32, dims ...int) Array {
	mustFill(len(data), dims)
	return Array{Dims: dims, F: data}
}

// Ints is an Array of int32. It panics when the data do not fill the shape.
func Ints(data []int32, dims ...int) Array {
	mustFill(len(data), dims)
	return Array{Dims: dims, I: data}
}

func mustFill(n int, dims []int) {
	want := 1
	for _, d := range dims {
		want *= d
	}
	if n != want {
		panic(fmt.Sprintf("train: %d elements for shape %v", n, dims))
	}
}

func (a Array) shape() shapes.Shape {
	if a.I != nil {
		return engine.Int32(a.Dims...)
	}
	return engine.Float32(a.Dims...)
}

func (a Array) tensor() *tensors.Tensor {
	if a.I != nil {
		return tensors.FromFlatDataAndDimensions(a.I, a.Dims...)
	}
	return tensors.FromFlatDataAndDimensions(a.F, a.Dims...)
}

func download(t *tensors.Tensor) Array {
	dims := append([]int(nil), t.Shape().Dimensions...)
	if t.DType().IsFloat() {
		return Array{Dims: dims, F: engine.Floats(t)}
	}
	return Array{Dims: dims, I: engine.Ints(t)}
}

// decays is the rule of which weights decay when the recipe has none of its own.
func decays(d gx.Decl) bool {
	return len(d.Dims) >= 2 && !strings.Contains(d.Name, "embedding")
}
