// Package gx repairs and completes GoMLX.
//
// GoMLX v0.28.1 computes wrong input gradients for convolutions with even kernels and has no second derivative of
// convolutions, slices and pads; importing gx installs right ones (vjp.go). The rest of the package is what models
// need and GoMLX lacks: named variables as plain graph inputs (vars.go), convolutions, resampling, grid sampling and
// gradient tricks. gx knows no model, and only gx calls GoMLX's convolution.
//
// Start with vars.go, then conv.go. Graphs hold pictures as [batch, height, width, channels]; every function works in float32 and
// in float64, in which the gradients are tested.
package gx
