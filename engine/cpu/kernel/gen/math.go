package main

import "math"

// Elementary functions. Coefficients are minimax fits of the named function in relative error of the result, rounded to
// float32; TestAccuracy of package kernel measures what comes out.

const (
	log2e = math.Log2E
	ln2hi = 0.693145751953125 // 14 significant bits
	ln2lo = math.Ln2 - ln2hi
)

// expReduce splits x = n*ln2 + r with n integral and |r| <= ln2/2.
func (b *builder) expReduce(x value) (n, r value) {
	n = b.rint(b.mul(x, b.c(log2e)))
	r = b.fnma(n, b.c(ln2hi), x)
	return n, b.fnma(n, b.c(ln2lo), r)
}

// expTail are the coefficients of (e^r-1-r)/r^2, highest first.
var expTail = []float64{1.37805939e-3, 8.37312452e-3, 4.16695364e-2, 1.66664720e-1, 4.99999851e-1}

// exp is e^x to 1 ulp; it overflows to Inf and underflows through the denormals to 0.
func (b *builder) exp(x value) value {
	return b.expWithin(b.min(b.c(89), b.max(b.c(-104), x))) // NaN passes: it is the second operand
}

// expWithin is exp for x in [-104, 89].
func (b *builder) expWithin(x value) value {
	n, r := b.expReduce(x)
	p := b.poly(r, append(expTail[:len(expTail):len(expTail)], 1, 1)...)
	return b.scalb(p, n)
}

// expm1 is e^x-1. Halving the power keeps 2^n finite at the upper end; the sign of x is the sign of the result.
func (b *builder) expm1(x value) value {
	t := b.min(b.c(89), b.max(b.c(-30), x))
	n, r := b.expReduce(t)
	q := b.poly(r, expTail...)
	q = b.fma(b.mul(q, r), r, r)
	s := b.scalb(b.c(0.5), n)
	e := b.fma(q, s, b.sub(s, b.c(0.5)))
	return b.withSign(b.add(e, e), x)
}

const signBit = 1 << 31

func (b *builder) signOf(x value) value { return b.iand(b.bits(x), b.ci(signBit)) }
func (b *builder) abs(x value) value    { return b.float(b.iand(b.bits(x), b.ci(signBit-1))) }
func (b *builder) neg(x value) value    { return b.float(b.ixor(b.bits(x), b.ci(signBit))) }

// withSign sets the sign bit of m where x has one.
func (b *builder) withSign(m, x value) value { return b.float(b.ior(b.bits(m), b.signOf(x))) }

// logTail are the coefficients of (log(1+f)-f)/f^2 for f in [-1/3,1/3], highest first.
var logTail = []float64{
	-0.133116037, 0.140062377, -0.120781824, 0.140008226, -0.166895017, 0.200107709, -0.249995068, 0.333332092, -0.5}

// logParts returns e*ln2 and log(m) in one sum: x = 2^e*m with m in [2/3,4/3). x must be positive, finite and normal.
func (b *builder) logParts(x, bias value) value {
	i := b.bits(x)
	e := b.iand(b.isub(i, b.ci(math.Float32bits(2.0/3))), b.ci(0xff800000))
	f := b.sub(b.float(b.isub(i, e)), b.c(1))
	n := b.fma(b.toF(e), b.c(1.0/(1<<23)), bias)
	p := b.poly(f, logTail...)
	p = b.fma(b.mul(f, f), p, f)
	return b.fma(n, b.c(math.Ln2), p)
}

// log is the natural logarithm: -Inf at 0, NaN below.
func (b *builder) log(x value) value {
	small := b.cmp(cmpLt, x, b.c(0x1p-126))
	y := b.sel(small, b.mul(x, b.c(1<<23)), x)
	r := b.logParts(y, b.sel(small, b.c(-23), b.c(0)))
	return b.logEdges(x, r)
}

// logEdges replaces r = log(x) where x is not positive and finite.
func (b *builder) logEdges(x, r value) value {
	r = b.sel(b.cmp(cmpEq, x, b.c(0)), b.c(math.Inf(-1)), r)
	r = b.sel(b.cmp(cmpLt, x, b.c(0)), b.c(math.NaN()), r)
	return b.sel(b.cmp(cmpLt, x, b.c(math.Inf(1))), r, x) // Inf and NaN
}

// log1p is log(1+x): the logarithm of the rounded sum plus what the rounding lost.
func (b *builder) log1p(x value) value {
	u := b.add(x, b.c(1))
	lost := b.div(b.sub(x, b.sub(u, b.c(1))), u)
	r := b.logEdges(u, b.add(b.logParts(u, b.c(0)), lost))
	// Below 2^-24 the sum is 1 and x itself is the answer, with its sign at zero.
	return b.sel(b.cmp(cmpEq, u, b.c(1)), x, r)
}

func (b *builder) tanh(x value) value {
	a := b.min(b.c(10), b.abs(x))
	n, r := b.expReduce(b.add(a, a))
	q := b.poly(r, expTail...)
	q = b.fma(b.mul(q, r), r, r)
	s := b.scalb(b.c(1), n)
	e := b.fma(q, s, b.sub(s, b.c(1)))
	return b.withSign(b.div(e, b.add(e, b.c(2))), x)
}

// expNeg is 1 + e^(-k*x).
func (b *builder) onePlusExpNeg(x value, k float64) value {
	return b.add(b.exp(b.mul(x, b.c(-k))), b.c(1))
}

func (b *builder) logistic(x value, k float64) value {
	return b.div(b.c(1), b.onePlusExpNeg(x, k))
}

// swish is x*logistic(k*x).
func (b *builder) swish(x value, k float64) value { return b.div(x, b.onePlusExpNeg(x, k)) }

// swishSlope is the derivative of x*logistic(k*x): s*(1 + k*x*(1-s)), where 1-s is e^(-k*x)*s to keep its digits.
func (b *builder) swishSlope(x value, k float64) value {
	e := b.min(b.c(1e38), b.exp(b.mul(x, b.c(-k))))
	s := b.div(b.c(1), b.add(e, b.c(1)))
	y := x
	if k != 1 {
		y = b.mul(x, b.c(k))
	}
	return b.mul(s, b.fma(y, b.mul(e, s), b.c(1)))
}

// erf blends a polynomial near 0 with 1 - e^(polynomial) beyond.
func (b *builder) erf(x value) value {
	t := b.min(b.c(4.25), b.abs(x)) // from 3.92 on the result is 1
	r := b.fma(t, b.c(-1.72853470e-5), b.c(3.83197126e-4))
	u := b.fma(t, b.c(-3.88396438e-3), b.c(2.42546219e-2))
	r = b.fma(r, b.mul(t, t), u)
	for _, c := range []float64{-1.06777877e-1, -6.34846687e-1, -1.28717512e-1} {
		r = b.fma(r, t, b.c(c))
	}
	r = b.fma(r, t, b.neg(t))
	big := b.withSign(b.sub(b.c(1), b.expWithin(r)), x)
	q := b.poly(b.mul(x, x), -5.96761703e-4, 4.99119423e-3, -2.67681349e-2, 1.12819925e-1, -3.76125336e-1, 1.28379166e-1)
	small := b.fma(q, x, x)
	return b.sel(b.cmp(cmpGt, t, b.c(0.927734375)), big, small)
}

func (b *builder) gelu(x value) value {
	h := b.mul(x, b.c(0.5))
	return b.fma(h, b.erf(b.mul(x, b.c(math.Sqrt2/2))), h)
}

// geluSlope is the derivative of gelu: Phi(x) + x*phi(x).
func (b *builder) geluSlope(x value) value {
	cdf := b.fma(b.erf(b.mul(x, b.c(math.Sqrt2/2))), b.c(0.5), b.c(0.5))
	pdf := b.mul(b.exp(b.mul(b.mul(x, x), b.c(-0.5))), b.c(1/math.Sqrt(2*math.Pi)))
	return b.fma(x, pdf, cdf)
}

// maxNaN and minNaN give NaN if either operand is NaN.
func (b *builder) maxNaN(x, y value) value {
	return b.sel(b.cmp(cmpUnord, x, x), x, b.max(x, y))
}

func (b *builder) minNaN(x, y value) value {
	return b.sel(b.cmp(cmpUnord, x, x), x, b.min(x, y))
}

func (b *builder) sign(x value) value {
	one := b.withSign(b.c(1), x)
	return b.sel(b.cmp(cmpGt, b.abs(x), b.c(0)), one, x) // zeros and NaN stay
}

// toBF16 rounds to nearest even into the low half of a lane; NaN becomes quiet.
func (b *builder) toBF16(x value) value {
	i := b.bits(x)
	top := b.shr(i, 16)
	odd := b.iand(top, b.ci(1))
	r := b.shr(b.iadd(b.iadd(i, odd), b.ci(0x7fff)), 16)
	return b.sel(b.cmp(cmpUnord, x, x), b.ior(top, b.ci(0x40)), r)
}
