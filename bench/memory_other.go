//go:build !unix

package bench

// PeakRSS is 0: unknown.
func PeakRSS() int { return 0 }
