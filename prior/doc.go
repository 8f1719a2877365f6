// Package prior owns the second stage of taming-transformers (Esser, Rombach and Ommer 2021, arXiv:2012.09841): a GPT
// that models the codes of pictures one after the other, row by row, and so can invent them. It is the minGPT of
// Net2NetTransformer with its weights' names, in three forms: without a condition, for classes, and for captions.
//
// Letters in comments: n sequences, p positions of the condition in front of the codes, s codes, t = p + s positions,
// d the width, k codes to choose from, h x w the grid of codes.
//
// Start with Config (config.go), then graph.go (what the network computes, and how a sequence grows one code at a time),
// loss.go (what training minimises). weights.go reads and writes files. filter.go turns logits into a code, sample.go
// and window.go draw whole pictures, use.go is Model. The package knows neither pixels nor words: codes go to a VQGAN
// and tokens come from a tokenizer, which package run joins to it.
package prior
