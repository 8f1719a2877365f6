// Package kernel owns the inner loops of the CPU backend: matrix products, convolution tiles, elementwise maths,
// reductions, conversions and small transposes over plain slices. It knows no graphs, no tensors and no threads.
//
// Start with [Set]: the kernels of one CPU class, chosen once by [For]. Then: elementwise loops and folds (vec.go, rows.go,
// op.go), matrix products (gemm.go, gemm_bf16.go), convolutions ([Set.NewConv] in conv.go; direct.go, winograd.go; poly.go for
// those of stride 2) and their weight gradients (winograd_grad.go, polygrad.go).
//
// Every kernel exists in portable Go (*_go.go; also the reference in the tests) and, on amd64, in assembly written by the
// generator in ./gen: run `go generate` here after changing it, a test compares. To add an elementwise kernel, describe it
// in gen/kernels.go with the vector language of gen/lang.go and gen/math.go and give it a field in Set: the three forms
// and the table entries follow. Tiles of matrix products are in gen/tile.go, Winograd transforms in gen/winograd.go.
//
// Assembly cannot be preempted: hand elementwise loops at most some 100,000 elements at a time.
//
// Benchmarks print the share of a loop of nothing but multiply-adds that runs beside them:
// `go test -run xxx -bench . -benchtime 1x`.
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
