//go:build !race

package cpu

import (
	"fmt"
	"syscall"
)

// mapFrom is the size in bytes from which on memory is mapped: it lies outside of the heap of the Go runtime, which would
// let garbage grow to the size of all weights before it collects, and it goes back to the system at once. Under the race detector,
// which does not see such memory, there is none.
const mapFrom = 1 << 20

// mapPages returns at least n zeroed bytes of pages.
func mapPages(n int) []byte {
	const page = 4096
	b, err := syscall.Mmap(-1, 0, (n+page-1)&^(page-1), syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_ANON|syscall.MAP_PRIVATE)
	if err != nil {
		panic(fmt.Errorf("no memory for %d bytes: %w", n, err))
	}
	if n >= 8<<20 {
		_ = syscall.Madvise(b, syscall.MADV_HUGEPAGE) // fewer faults; only advice
	}
	return b
}

// unmapPages gives back what mapPages returned.
func unmapPages(b []byte) { _ = syscall.Munmap(b[:cap(b)]) }
