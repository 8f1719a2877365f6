package kernel

import "unsafe"

// winogradGeneric are the portable transforms.
func winogradGeneric() winogradKernels {
	return winogradKernels{
		in: transformGo(6, 6, func(x, y []float32) {
			r := winogradInLine((*[6]float32)(x))
			copy(y, r[:])
		}),
		out: transformGo(6, 4, func(x, y []float32) {
			r := winogradOutLine((*[6]float32)(x))
			copy(y, r[:])
		}),
		weights: transformGo(3, 6, func(x, y []float32) {
			r := winogradWeightsLine((*[3]float32)(x))
			copy(y, r[:])
		}),
		gradOut: transformGo(4, 6, func(x, y []float32) {
			r := winogradGradOutLine((*[4]float32)(x))
			copy(y, r[:])
		}),
		gradWeights: transformGo(6, 3, func(x, y []float32) {
			r := winogradGradWeightsLine((*[6]float32)(x))
			copy(y, r[:])
		}),
	}
}

// transformGo is the portable form of a two-dimensional transform: line on each column, then on each row.
func transformGo(in, out int, line func(x, y []float32)) func(a *transformArgs) {
	return func(a *transformArgs) {
		src, dst := unsafe.Slice(a.srcOff, in*in), unsafe.Slice(a.dstOff, out*out)
		var tmp [36]float32
		var x, y [6]float32
		for c := range a.n {
			for j := range in {
				for i := range in {
					x[i] = *(*float32)(unsafe.Add(a.src, src[i*in+j]+c*4))
				}
				line(x[:], y[:])
				for i := range out {
					tmp[i*in+j] = y[i]
				}
			}
			b := float32(0)
			if a.bias != nil {
				b = *(*float32)(unsafe.Add(a.bias, c*4))
			}
			for i := range out {
				copy(x[:], tmp[i*in:][:in])
				line(x[:], y[:])
				for j := range out {
					*(*float32)(unsafe.Add(a.dst, dst[i*out+j]+c*4)) = y[j] + b
				}
			}
		}
	}
}
