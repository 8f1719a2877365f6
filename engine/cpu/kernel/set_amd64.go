package kernel

// useAssembly replaces the portable kernels by the best ones of s.class.
func (s *Set) useAssembly() {
	if s.class >= AVX512 {
		s.nr, s.mr = 32, 8
		s.tile, s.tileT, s.winograd = tileAVX512F32Base, tileAVX512F32TBase, winogradAVX512Base
		s.vecAVX512()
		if s.class >= AVX512BF16 {
			s.tileBF16 = tileAVX512BF16Base
		}
		s.trans = blockTranspose(16, transposeAVX512)
		return
	}
	s.nr, s.mr = 16, 6
	s.tile, s.tileT, s.winograd = tileAVX2F32Base, tileAVX2F32TBase, winogradAVX2Base
	s.vecAVX2()
	s.trans = blockTranspose(8, transposeAVX2)
}

// blockTranspose transposes in blocks of at most n by n.
func blockTranspose(n int, block func(dst *float32, ldd int, src *float32, lds int, rows, cols int)) func([]float32, int, []float32, int, int, int) {
	return func(dst []float32, ldd int, src []float32, lds, rows, cols int) {
		for r := 0; r < rows; r += n {
			for c := 0; c < cols; c += n {
				block(&dst[c*ldd+r], ldd, &src[r*lds+c], lds, min(n, rows-r), min(n, cols-c))
			}
		}
	}
}
