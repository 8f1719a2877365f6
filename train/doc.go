// Package train trains smalti's models: one loop for all of them, and one recipe file for each model.
//
// The loop (loop.go) runs steps of a fixed number of micro-batches. Workers compute the gradients of the micro-batches,
// each on an engine of its own (worker.go); the host sums them in the order of the micro-batches, clips, and applies
// AdamW and the moving average of the weights (optimiser.go). Batches are prepared ahead (prefetch.go) as pure functions
// of the seed, the step and the micro-batch. So a run's numbers depend on its configuration alone: not on the number of
// workers, and not on where it was stopped and resumed (state.go: checkpoints).
//
// A model enters through the [Recipe] interface (recipe.go). RunClip (clip.go) and RunVQGAN (vqgan.go) are whole
// trainings: recipe, loop, evaluation, export of the model file.
//
// Nothing here prints: progress goes to an event.Sink and to events.jsonl of the run's folder.
package train
