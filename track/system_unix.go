//go:build unix

package track

import (
	"syscall"
	"time"
)

// cpuTime is the CPU time of this process, in user and kernel mode.
func cpuTime() (time.Duration, bool) {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0, false
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano()), true
}
