//go:build !amd64

package kernel

// PeakLoop returns 0: there is no such loop for this machine.
func (s *Set) PeakLoop(bf16 bool, n int) (flops float64) { return 0 }
