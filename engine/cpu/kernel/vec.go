package kernel

// Unary computes dst[i] = op(x[i]). It panics if op is not unary.
func (s *Set) Unary(op Op, dst, x []float32) { s.unary[op](dst, x[:len(dst)]) }

// Binary computes dst[i] = op(x[i], y[i]). It panics if op is not binary.
func (s *Set) Binary(op Op, dst, x, y []float32) {
	s.binary[op-numUnary](dst, x[:len(dst)], y[:len(dst)])
}

// BinaryScalar computes dst[i] = op(x[i], y), or op(y, x[i]) if reversed. It panics if op is not binary.
func (s *Set) BinaryScalar(op Op, dst, x []float32, y float32, reversed bool) {
	if reversed {
		s.scalarL[op-numUnary](dst, x[:len(dst)], y)
		return
	}
	s.scalarR[op-numUnary](dst, x[:len(dst)], y)
}

// Compare computes dst[i] = op(x[i], y[i]) for a comparison.
func (s *Set) Compare(op Op, dst []bool, x, y []float32) {
	s.compare[op-numOps](dst, x[:len(dst)], y[:len(dst)])
}

// CompareScalar computes dst[i] = op(x[i], y) for a comparison.
func (s *Set) CompareScalar(op Op, dst []bool, x []float32, y float32) {
	s.compareScalar[op-numOps](dst, x[:len(dst)], y)
}

// Select computes dst[i] = x[i] where cond[i], else y[i].
func (s *Set) Select(dst []float32, cond []bool, x, y []float32) {
	s.sel(dst, cond[:len(dst)], x[:len(dst)], y[:len(dst)])
}

// FMA computes dst[i] = a[i]*b[i] + c[i] with one rounding.
func (s *Set) FMA(dst, a, b, c []float32) {
	s.fma(dst, a[:len(dst)], b[:len(dst)], c[:len(dst)])
}

// FMAScalar computes dst[i] = a[i]*b + c[i] with one rounding (axpy when c is dst).
func (s *Set) FMAScalar(dst, a []float32, b float32, c []float32) {
	s.fmaScalar(dst, a[:len(dst)], c[:len(dst)], b)
}

// Affine computes dst[i] = x[i]*a + b with one rounding.
func (s *Set) Affine(dst, x []float32, a, b float32) { s.affine(dst, x[:len(dst)], a, b) }

// AddInto computes dst[i] += x[i].
func (s *Set) AddInto(dst, x []float32) { s.binary[Add-numUnary](dst, dst, x[:len(dst)]) }

// Sum folds x by addition: element i goes to lane i%64 in ascending order; lanes l, l+16, l+32, l+48 are folded as
// ((l)+(l+16))+((l+32)+(l+48)), then 16 lanes by halves (lane l += lane l+8, 4, 2, 1). Sum of nothing is 0.
func (s *Set) Sum(x []float32) float32 { return s.sum(x) }

// SumSquares folds x[i]*x[i] (fused into the addition) as Sum does.
func (s *Set) SumSquares(x []float32) float32 { return s.sumSq(x) }

// SumProduct folds x[i]*y[i], each product rounded before it is added, as Sum does: Sum of what Binary(Mul) gives. The
// length is x's.
func (s *Set) SumProduct(x, y []float32) float32 { return s.sumProduct(x, y[:len(x)]) }

// Dot folds x[i]*y[i] (fused into the addition) as Sum does. The length is x's.
func (s *Set) Dot(x, y []float32) float32 { return s.dot(x, y[:len(x)]) }

// Max is the largest element, NaN if any is NaN, -Inf of nothing.
func (s *Set) Max(x []float32) float32 { return s.max(x) }

// Min is the smallest element, NaN if any is NaN, +Inf of nothing.
func (s *Set) Min(x []float32) float32 { return s.min(x) }

// ExpSum writes dst[i] = exp(x[i]-shift) and returns their sum, folded as Sum does: the middle of a softmax. No x[i] may
// exceed shift by more than 89 (then nothing overflows, and the bits are those of Unary(Exp)); NaN passes. It asks the
// caches for what lies ahead elements after x[i], which need not exist: what comes next arrives while it computes.
func (s *Set) ExpSum(dst, x []float32, shift float32, ahead int) float32 {
	return s.expSum(dst, x[:len(dst)], shift, ahead)
}

// SquaresAbout folds (x[i]-m)^2, each square rounded before it is added, as Sum does: SumProduct of what BinaryScalar(Sub)
// gives with itself. ahead is that of ExpSum.
func (s *Set) SquaresAbout(x []float32, m float32, ahead int) float32 {
	return s.squaresAbout(x, m, ahead)
}

// ScaleShift computes dst[i] = x[i]*f*a[i] + b[i] with three roundings: the end of a layer norm.
func (s *Set) ScaleShift(dst, x, a, b []float32, f float32) {
	s.scaleShift(dst, x[:len(dst)], a[:len(dst)], b[:len(dst)], f)
}

// Normalise computes dst[i] = (x[i]-m)*f*a[i] + b[i] with four roundings: ScaleShift of what BinaryScalar(Sub) gives.
func (s *Set) Normalise(dst, x, a, b []float32, m, f float32) {
	s.normalise(dst, x[:len(dst)], a[:len(dst)], b[:len(dst)], m, f)
}

// F16ToF32 widens IEEE half precision numbers; exact.
func (s *Set) F16ToF32(dst []float32, x []uint16) { s.f16ToF32(dst, x[:len(dst)]) }

// F32ToF16 rounds to nearest even; overflow gives infinity; NaN stays (quiet) NaN.
func (s *Set) F32ToF16(dst []uint16, x []float32) { s.f32ToF16(dst, x[:len(dst)]) }

// BF16ToF32 widens bfloat16 numbers; exact.
func (s *Set) BF16ToF32(dst []float32, x []uint16) { s.bf16ToF32(dst, x[:len(dst)]) }

// F32ToBF16 rounds to nearest even; NaN stays (quiet) NaN; denormals are kept.
func (s *Set) F32ToBF16(dst []uint16, x []float32) { s.f32ToBF16(dst, x[:len(dst)]) }

// Transpose writes dst[c*ldd+r] = src[r*lds+c] for r < rows, c < cols. dst and src may not overlap.
func (s *Set) Transpose(dst []float32, ldd int, src []float32, lds, rows, cols int) {
	if rows <= 0 || cols <= 0 {
		return
	}
	_, _ = dst[(cols-1)*ldd+rows-1], src[(rows-1)*lds+cols-1]
	s.trans(dst, ldd, src, lds, rows, cols)
}
