//go:build !linux

package main

// memory is not asked for on this system.
func memory() finding { return finding{what: "memory", value: "unknown"} }

// freeMemory and inUse are not asked for either.
func freeMemory() int64 { return 0 }
func inUse() int64      { return 0 }
