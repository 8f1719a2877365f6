// Package kernel owns the inner loops of the CPU backend: matrix products, convolution tiles, elementwise maths,
// reductions, conversions and small transposes over plain slices. It knows no graphs, no tensors and no threads.
//
// Start with [Set]: the kernels of one CPU class, chosen once by [For]. Every kernel exists in portable Go (the files
// *_go.go and gen_vec_go.go, which are also the reference in the tests) and, on amd64, in assembly written by the
// generator in ./gen (files gen_*_amd64.s; run `go generate` here after changing it).
//
// # Determinism
//
// A result depends on the operands and the class only, never on how a caller cuts the work: each element of a matrix
// product is one chain of multiply-adds over ascending k, in every tile and for every position in C, and accumulation
// starts from the value in C, so splitting k, rows or columns changes no bit. Reductions fold 16 lanes in a fixed tree
// (see [Set.Sum]); the 16-lane order is the same in every class.
//
// Elementwise kernels are written once in a small vector language (./gen) and give the same bits in every class.
package kernel

//go:generate go run ./gen
