// Package vqgan owns the vector-quantised image autoencoder of taming-transformers (Esser, Rombach and Ommer 2021,
// arXiv:2012.09841) in its two forms, VQModel (nearest code) and GumbelVQ: graphs, weight files and use on pictures.
//
// Variables carry taming's names (encoder.down.0.block.0.norm1.weight, quantize.embedding.weight, ...), so a taming
// checkpoint needs no name table; diffusers' VQModel files go through one (diffusers.go).
//
// Letters in comments: n pictures, H x W pixels, h x w = H/f x W/f codes, e = EmbedDim, k = NEmbed codes.
//
// Start with config.go (what a model is), then graph.go (what it computes), weights.go (files), use.go (pictures).
package vqgan
