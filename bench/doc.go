// Package bench measures: what the kernels and single operations of the engine reach of what the machine can do, what an
// iteration of a painting at the size of the published models takes, and what a step of a GAN takes. Nothing is read
// from disk; weights are random, since time does not depend on their values.
//
// Every figure is the best of several runs, because the machine may be anybody's, and stands beside a limit measured in
// turns with it: a loop of multiply-adds for arithmetic, a copy for what only moves numbers. Figures of different runs
// or machines must not be compared; ratios of one run may.
//
// Start with Engine in engine.go; cases.go lists what it measures. paint.go and gan.go measure whole iterations. The
// package shows nothing: cmd/smalti prints, tools/bench compares with PyTorch.
package bench
