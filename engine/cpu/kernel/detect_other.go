//go:build !amd64

package kernel

// Detect returns the highest class that this CPU and operating system can run.
func Detect() Class { return Generic }

// Features lists what decides the class and this CPU has: kernels for it are portable whatever it has.
func Features() []string { return nil }

func (s *Set) useAssembly() {}

// No assembly exists here, and no class that would call it.
func callTile(*tileArgs, int)           { panic("kernel: no assembly") }
func callTransform(*transformArgs, int) { panic("kernel: no assembly") }
