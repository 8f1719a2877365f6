package check

import "github.com/smalti/smalti/golden"

// nnOps compares the low-level operations: forward values and gradients.
func nnOps(f *golden.Fixture, r *golden.Report) error {
	return nil
}
