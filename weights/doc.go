// Package weights owns weight files: it reads safetensors, PyTorch zip archives, TorchScript archives, PyTorch-Lightning
// checkpoints, pickles from before PyTorch 1.6 and Hugging Face folders, writes safetensors, and accounts for every
// tensor of a file. It knows nothing of what a tensor means; names and shapes are the business of the model packages.
//
// Nothing in a file is ever executed. Pickles go through a reader of our own (pickle.go) that builds plain values for a
// short list of known constructors and opaque values for everything else; a pickle that refers to a function able to run
// code is refused by name. Lengths from a file are checked against the bytes that are there before anything is allocated.
//
// Where to start: Open (open.go) tells the formats apart by their content and returns a File of lazy Tensors, which share
// the memory mapping of the file wherever they can. A model package takes its tensors through a Loader (loader.go): each
// once, with its shape, and Done names what is missing and what is left over. WriteSafetensors (write.go) and SaveFile
// (save.go) are the way back.
package weights
