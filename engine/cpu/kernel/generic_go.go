package kernel

import "math"

// newGeneric builds the set of portable kernels.
func newGeneric() *Set {
	s := &Set{nr: genericNR, mr: maxMR}
	s.tiles, s.tilesT = genericTiles()
	for op := range numUnary {
		s.unary[op] = mapGo(unaryGo[op])
	}
	for op := range numBinary {
		f := binaryGo[op]
		s.binary[op] = zipGo(f)
		s.scalarR[op] = func(dst, x []float32, y float32) {
			for i, v := range x {
				dst[i] = f(v, y)
			}
		}
		s.scalarL[op] = func(dst, x []float32, y float32) {
			for i, v := range x {
				dst[i] = f(y, v)
			}
		}
	}
	for op := range numCompare {
		f := compareGo[op]
		s.compare[op] = func(dst []bool, x, y []float32) {
			for i, v := range x {
				dst[i] = f(v, y[i])
			}
		}
		s.compareScalar[op] = func(dst []bool, x []float32, y float32) {
			for i, v := range x {
				dst[i] = f(v, y)
			}
		}
	}
	s.sel, s.trans = selectGo, transposeGo
	s.fma, s.fmaScalar, s.affine, s.normRow, s.colStats = fmaGo, fmaScalarGo, affineGo, normRowGo, colStatsGo
	s.sum, s.sumSq, s.dot, s.max, s.min, s.expSum, s.sumSqDiff = sumGo, sumSqGo, dotGo, maxGo, minGo, expSumGo, sumSqDiffGo
	s.f16ToF32, s.f32ToF16, s.bf16ToF32, s.f32ToBF16 = f16ToF32Go, f32ToF16Go, bf16ToF32Go, f32ToBF16Go
	return s
}

func mapGo(f func(float32) float32) func(dst, x []float32) {
	return func(dst, x []float32) {
		for i, v := range x {
			dst[i] = f(v)
		}
	}
}

func zipGo(f func(x, y float32) float32) func(dst, x, y []float32) {
	return func(dst, x, y []float32) {
		for i, v := range x {
			dst[i] = f(v, y[i])
		}
	}
}

// via64 evaluates f in float64 and rounds once.
func via64(f func(float64) float64) func(float32) float32 {
	return func(x float32) float32 { return float32(f(float64(x))) }
}

var unaryGo = [numUnary]func(float32) float32{
	Neg:      func(x float32) float32 { return -x },
	Abs:      via64(math.Abs),
	Sqrt:     via64(math.Sqrt),
	Rsqrt:    func(x float32) float32 { return 1 / float32(math.Sqrt(float64(x))) },
	Exp:      via64(math.Exp),
	Expm1:    via64(math.Expm1),
	Log:      via64(math.Log),
	Log1p:    via64(math.Log1p),
	Tanh:     via64(math.Tanh),
	Logistic: via64(logistic64),
	Erf:      via64(math.Erf),
	Sin:      via64(math.Sin),
	Cos:      via64(math.Cos),
	Floor:    via64(math.Floor),
	Ceil:     via64(math.Ceil),
	Round:    via64(math.RoundToEven),
	Sign:     sign,
	Recip:    func(x float32) float32 { return 1 / x },
	Square:   func(x float32) float32 { return x * x },
	Swish:    via64(func(x float64) float64 { return x * logistic64(x) }),
	QuickGELU: via64(func(x float64) float64 {
		return x * logistic64(1.702*x)
	}),
	GELU: via64(func(x float64) float64 { return 0.5 * x * math.Erfc(-x*math.Sqrt2/2) }),
	Relu: func(x float32) float32 { return max(x, 0) },
}

var binaryGo = [numBinary]func(x, y float32) float32{
	Add - numUnary:          func(x, y float32) float32 { return x + y },
	Sub - numUnary:          func(x, y float32) float32 { return x - y },
	Mul - numUnary:          func(x, y float32) float32 { return x * y },
	Div - numUnary:          func(x, y float32) float32 { return x / y },
	Max - numUnary:          func(x, y float32) float32 { return max(x, y) },
	Min - numUnary:          func(x, y float32) float32 { return min(x, y) },
	Pow - numUnary:          func(x, y float32) float32 { return float32(math.Pow(float64(x), float64(y))) },
	LogisticGrad - numUnary: func(dy, y float32) float32 { return float32(dy*y) * float32(1-y) },
	TanhGrad - numUnary:     func(dy, y float32) float32 { return dy * float32(1-float32(y*y)) },
	SwishGrad - numUnary:    func(dy, x float32) float32 { return float32(float64(dy) * sigmoidSlope(float64(x), 1)) },
	QuickGELUGrad - numUnary: func(dy, x float32) float32 {
		return float32(float64(dy) * sigmoidSlope(float64(x), 1.702))
	},
	GELUGrad - numUnary: func(dy, x float32) float32 {
		v := float64(x)
		return float32(float64(dy) * (0.5*math.Erfc(-v*math.Sqrt2/2) + v*math.Exp(-0.5*v*v)/math.Sqrt(2*math.Pi)))
	},
}

var compareGo = [numCompare]func(x, y float32) bool{
	func(x, y float32) bool { return x == y }, func(x, y float32) bool { return x != y }, func(x, y float32) bool { return x < y },
	func(x, y float32) bool { return x <= y }, func(x, y float32) bool { return x > y }, func(x, y float32) bool { return x >= y },
}

func logistic64(x float64) float64 { return 1 / (1 + math.Exp(-x)) }

// sigmoidSlope is the derivative of x*logistic(k*x).
func sigmoidSlope(x, k float64) float64 {
	s := logistic64(k * x)
	return s + k*x*s*(1-s)
}

func sign(x float32) float32 {
	switch {
	case x > 0:
		return 1
	case x < 0:
		return -1
	}
	return x
}

func selectGo(dst []float32, cond []bool, x, y []float32) {
	for i, c := range cond {
		if c {
			dst[i] = x[i]
		} else {
			dst[i] = y[i]
		}
	}
}

// fma32 is a*b+c rounded to float64 and then to float32 (the product is exact).
func fma32(a, b, c float32) float32 { return float32(float64(a)*float64(b) + float64(c)) }

func fmaGo(dst, a, b, c []float32) {
	for i, v := range a {
		dst[i] = fma32(v, b[i], c[i])
	}
}

func fmaScalarGo(dst, a []float32, b float32, c []float32) {
	for i, v := range a {
		dst[i] = fma32(v, b, c[i])
	}
}

func affineGo(dst, x []float32, a, b float32) {
	for i, v := range x {
		dst[i] = fma32(v, a, b)
	}
}

func normRowGo(dst, x, gamma, beta []float32, mean, rstd float32) {
	for i, v := range x {
		dst[i] = fma32(float32(v-mean)*rstd, gamma[i], beta[i])
	}
}

func colStatsGo(sum, sumSq, x []float32) {
	for i, v := range x {
		sum[i] += v
		sumSq[i] = fma32(v, v, sumSq[i])
	}
}

func transposeGo(dst []float32, ldd int, src []float32, lds, rows, cols int) {
	for r := range rows {
		for c, v := range src[r*lds:][:cols] {
			dst[c*ldd+r] = v
		}
	}
}
