package kernel

import "math"

// newGeneric builds the set of portable kernels.
func newGeneric() *Set {
	s := &Set{nr: genericNR, mr: maxMR, trans: transposeGo, tile: genericTile, tileT: genericTileT, tileBF16: genericTileBF16}
	s.vecGo()
	s.unary[Sin], s.unary[Cos] = mapGo(math.Sin), mapGo(math.Cos)
	s.binary[Pow-numUnary], s.scalarR[Pow-numUnary], s.scalarL[Pow-numUnary] = powGo, powScalarGo, powOfScalarGo
	return s
}

// mapGo evaluates f in float64 and rounds once.
func mapGo(f func(float64) float64) func(dst, x []float32) {
	return func(dst, x []float32) {
		for i, v := range x {
			dst[i] = float32(f(float64(v)))
		}
	}
}

func pow32(x, y float32) float32 { return float32(math.Pow(float64(x), float64(y))) }

func powGo(dst, x, y []float32) {
	for i, v := range x {
		dst[i] = pow32(v, y[i])
	}
}

func powScalarGo(dst, x []float32, y float32) {
	for i, v := range x {
		if y == 2 {
			dst[i] = v * v
		} else {
			dst[i] = pow32(v, y)
		}
	}
}

func powOfScalarGo(dst, x []float32, y float32) {
	for i, v := range x {
		dst[i] = pow32(y, v)
	}
}

func transposeGo(dst []float32, ldd int, src []float32, lds, rows, cols int) {
	for r := range rows {
		for c, v := range src[r*lds:][:cols] {
			dst[c*ldd+r] = v
		}
	}
}
