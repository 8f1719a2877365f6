//go:build !amd64

package kernel

// Detect returns the highest class that this CPU and operating system can run.
func Detect() Class { return Generic }

func (s *Set) useAssembly() {}
