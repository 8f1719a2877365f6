package kernel

// useAssembly replaces the portable kernels by the best ones of s.class.
func (s *Set) useAssembly() {
	if s.class >= AVX512 {
		s.nr, s.mr = 32, 8
		s.tiles, s.tilesT = tileAVX512F32s, tileAVX512F32Ts
		s.vecAVX512()
		return
	}
	s.nr, s.mr = 16, 6
	s.tiles, s.tilesT = tileAVX2F32s, tileAVX2F32Ts
	s.vecAVX2()
}
