package kernel

// PeakLoop runs n rounds of independent multiply-adds in registers, the most that a core of this class can do, and
// returns how many floating-point operations that were (a multiply-add counts two). With bf16 they are dot products of
// bfloat16. It returns 0 where the class has no such loop. Measurements run it beside what they measure.
func (s *Set) PeakLoop(bf16 bool, n int) (flops float64) {
	switch {
	case bf16 && s.class < AVX512BF16, s.class < AVX2:
		return 0
	case bf16:
		peakBF16(n)
		return 24 * 64 * float64(n)
	case s.class < AVX512:
		peakAVX2(n)
		return 24 * 16 * float64(n)
	}
	peakAVX512(n)
	return 24 * 32 * float64(n)
}
