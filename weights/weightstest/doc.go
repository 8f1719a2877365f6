// Package weightstest writes weight files of other programs' formats, so that tests need no binary fixtures: archives as
// torch.save and torch.jit.save write them, PyTorch-Lightning checkpoints, files of before PyTorch 1.6, and pickles that
// try to run code. Only tests and tools import it. Data come from functions, so that files of hundreds of megabytes can
// be made without holding them in memory. Start with WriteTorchZip.
package weightstest
