// Package nn owns the blocks that several models are built of: linear layers, convolutions, norms, attention, residual
// blocks, up- and downsampling, and the convolutional encoder and decoder that VQGAN and the autoencoder of Stable
// Diffusion share. It knows no model and no files.
//
// A block is a function over gx.Vars: it declares its variables below the view it is given, with PyTorch's default
// initialisation, and the names are those of the reference implementations ("weight", "bias", "norm1.weight", ...).
// Arithmetic that needs no weights is gx's.
//
// Letters in comments: n batch, h and w rows and columns, c channels, s sequence length, d width of a head.
// Pictures are NHWC, sequences [n,s,c].
//
// Start with layers.go, then codec.go.
package nn
