// Package cpu is smalti's backend for GoMLX: a small compiler and runtime in pure Go. Graph functions record into a
// graph of operations (package ir, function_*.go), Compile rewrites it (package pass), places its values in one
// piece of memory (package plan), and turns it into a list of thunks (exec_*.go) over the kernels of package kernel, each
// parallel inside on one pool of workers.
//
// Start with [New]; then follow an operation: Function.ConvGeneral records it, the table in thunk.go names what compiles
// it, and the thunk runs it. docs/engine.md tells the whole way.
//
// # Determinism
//
// No choice of an algorithm or of a split depends on the number of threads, the size of the batch, the state of a cache
// or on timing. Every element of a product is one chain of multiply-adds, reductions are split by shape, so results
// are the same bits for any number of threads, and rows of a batch do not depend on how many there are.
package cpu
