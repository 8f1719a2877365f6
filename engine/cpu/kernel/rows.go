package kernel

// SoftmaxRows computes a softmax over each row of x[rows][n] (rows are contiguous). A row of -Inf gives NaN, as XLA does.
func (s *Set) SoftmaxRows(dst, x []float32, rows, n int) {
	for r := range rows {
		d, v := dst[r*n:][:n], x[r*n:][:n]
		sum := s.expSum(d, v, s.max(v), 0)
		s.scalarR[Mul-numUnary](d, d, 1/sum)
	}
}
