package kernel

import "math"

// SoftmaxRows computes a softmax over each row of x[rows][n] (rows are contiguous). A row of -Inf gives NaN, as XLA does.
func (s *Set) SoftmaxRows(dst, x []float32, rows, n int) {
	for r := range rows {
		d, v := dst[r*n:][:n], x[r*n:][:n]
		sum := s.expSum(d, v, s.max(v))
		s.scalarR[Mul-numUnary](d, d, 1/sum)
	}
}

// LogSoftmaxRows computes x - max - log(sum(exp(x-max))) over each row of x[rows][n]. dst may not be x.
func (s *Set) LogSoftmaxRows(dst, x []float32, rows, n int) {
	for r := range rows {
		d, v := dst[r*n:][:n], x[r*n:][:n]
		m := s.max(v)
		sum := s.expSum(d, v, m)
		s.affine(d, v, 1, -m)
		s.affine(d, d, 1, -float32(math.Log(float64(sum))))
	}
}

// RowMoments writes the mean and the (biased) variance of each row of x[rows][n]: mean by Sum, variance in a second
// pass over the differences from it, so that no cancellation occurs.
func (s *Set) RowMoments(mean, variance, x []float32, rows, n int) {
	for r := range rows {
		v := x[r*n:][:n]
		m := s.sum(v) / float32(n)
		mean[r] = m
		variance[r] = s.sumSqDiff(v, m) / float32(n)
	}
}

// LayerNormRows computes (x-mean)/sqrt(var+eps)*gamma + beta over each row of x[rows][n]; gamma and beta have n elements.
func (s *Set) LayerNormRows(dst, x, gamma, beta []float32, rows, n int, eps float32) {
	gamma, beta = gamma[:n], beta[:n]
	for r := range rows {
		d, v := dst[r*n:][:n], x[r*n:][:n]
		m := s.sum(v) / float32(n)
		rstd := 1 / math.Sqrt(float64(s.sumSqDiff(v, m)/float32(n))+float64(eps))
		s.normRow(d, v, gamma, beta, m, float32(rstd))
	}
}

// ColStats adds to sum[c] and sumSq[c] the sums over rows of x[r][c] and x[r][c]^2, rows ascending, for c < len(sum).
// x holds whole rows. For group and batch norms: call it on at most 64 rows at a time and add up in float64.
func (s *Set) ColStats(sum, sumSq, x []float32) {
	n := len(sum)
	sumSq = sumSq[:n]
	for len(x) >= n && n > 0 {
		s.colStats(sum, sumSq, x[:n])
		x = x[n:]
	}
}

// ScaleShiftRows computes dst[r][c] = x[r][c]*a[c] + b[c] over rows of len(a) columns; x holds whole rows.
func (s *Set) ScaleShiftRows(dst, x, a, b []float32) {
	n := len(a)
	b = b[:n]
	for len(x) >= n && n > 0 {
		s.fma(dst[:n], x[:n], a, b)
		dst, x = dst[n:], x[n:]
	}
}

// ScaleShiftSwishRows computes swish(x[r][c]*a[c] + b[c]) over rows of len(a) columns: the second half of a group norm
// with its activation.
func (s *Set) ScaleShiftSwishRows(dst, x, a, b []float32) {
	n := len(a)
	b = b[:n]
	for len(x) >= n && n > 0 {
		s.scaleShiftSwish(dst[:n], x[:n], a, b)
		dst, x = dst[n:], x[n:]
	}
}
