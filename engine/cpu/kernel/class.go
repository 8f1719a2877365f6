package kernel

import "fmt"

// Class is a level of CPU ability that kernels are written for. Results are byte-equal within one class.
type Class uint8

// The classes, in ascending order of ability.
const (
	Generic    Class = iota // portable Go
	AVX2                    // AVX2, FMA, F16C
	AVX512                  // AVX-512 F, BW, DQ, VL
	AVX512BF16              // AVX512 and bf16 dot products
)

var classNames = [...]string{"generic", "avx2", "avx512", "avx512bf16"}

// String gives the name used in recipes and in SMALTI_CPU.
func (c Class) String() string {
	if int(c) < len(classNames) {
		return classNames[c]
	}
	return fmt.Sprintf("class(%d)", uint8(c))
}

// ParseClass is the inverse of String. It does not ask whether this machine can run the class; see [Detect].
func ParseClass(name string) (Class, error) {
	for i, n := range classNames {
		if n == name {
			return Class(i), nil
		}
	}
	return 0, fmt.Errorf("unknown CPU class %q (known: avx512bf16, avx512, avx2, generic)", name)
}
