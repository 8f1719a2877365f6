//go:build unix

package bench

import (
	"runtime"
	"syscall"
)

// PeakRSS is the most memory that the process has had so far, in MiB; 0 when unknown.
func PeakRSS() int {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	if runtime.GOOS == "darwin" || runtime.GOOS == "ios" {
		return int(u.Maxrss >> 20) // bytes there
	}
	return int(u.Maxrss >> 10)
}
