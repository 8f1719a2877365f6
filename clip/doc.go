// Package clip is CLIP (Radford et al. 2021, arXiv:2103.00020): two towers that put pictures and texts into one space,
// where the cosine says how well they belong together.
//
// Start with Config (config.go), one struct that says everything about a model. graph.go joins the parts: ImageGraph and
// TextGraph are pure graph functions over gx.Vars, whose variable names are the keys of OpenAI's files; the image towers
// are vit.go, resnet.go and conv.go, the text tower is text.go, and blocks.go holds what they share. tokenizer.go turns
// words into numbers as OpenAI's SimpleTokenizer does, after clean.go and fix.go have repaired the text, and vocab.go cuts
// the vocabulary down for small models. weights.go reads and writes files. use.go is Model: strings and pictures in,
// features out.
package clip
