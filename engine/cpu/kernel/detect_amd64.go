package kernel

import "golang.org/x/sys/cpu"

// Detect returns the highest class that this CPU and operating system can run.
func Detect() Class {
	x := &cpu.X86
	switch {
	case !x.HasAVX2 || !x.HasFMA:
		return Generic
	case !x.HasAVX512F || !x.HasAVX512BW || !x.HasAVX512DQ || !x.HasAVX512VL:
		return AVX2
	case !x.HasAVX512BF16:
		return AVX512
	}
	return AVX512BF16
}

// Features lists what decides the class and this CPU has, in the names that Linux uses.
func Features() (names []string) {
	x := &cpu.X86
	for _, f := range []struct {
		name string
		has  bool
	}{{"avx2", x.HasAVX2}, {"fma", x.HasFMA}, {"avx512f", x.HasAVX512F}, {"avx512bw", x.HasAVX512BW}, {"avx512dq", x.HasAVX512DQ},
		{"avx512vl", x.HasAVX512VL}, {"avx512_bf16", x.HasAVX512BF16}} {
		if f.has {
			names = append(names, f.name)
		}
	}
	return names
}
