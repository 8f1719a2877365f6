package kernel

import "unsafe"

// winogradSides are the side lengths of the squares that each transform takes and gives.
var winogradSides = [...][2]int{winogradIn: {6, 6}, winogradOut: {6, 4}, winogradWeights: {3, 6}, winogradGradOut: {4, 6}, winogradGradWeights: {6, 3},
	winogradIn2: {5, 5}, winogradOut2: {5, 4}, winogradWeights2: {2, 5}, winogradGradOut2: {4, 5}, winogradGradWeights2: {5, 2}}

// winogradLine is the one-dimensional transform.
func winogradLine(kind int, x *[6]float32) (y [6]float32) {
	switch kind {
	case winogradIn:
		return winogradInLine(x)
	case winogradOut:
		r := winogradOutLine(x)
		copy(y[:], r[:])
	case winogradWeights:
		return winogradWeightsLine((*[3]float32)(x[:]))
	case winogradGradOut:
		return winogradGradOutLine((*[4]float32)(x[:]))
	case winogradGradWeights:
		r := winogradGradWeightsLine(x)
		copy(y[:], r[:])
	case winogradIn2:
		r := winogradIn2Line((*[5]float32)(x[:]))
		copy(y[:], r[:])
	case winogradOut2:
		r := winogradOut2Line((*[5]float32)(x[:]))
		copy(y[:], r[:])
	case winogradWeights2:
		r := winogradWeights2Line((*[2]float32)(x[:]))
		copy(y[:], r[:])
	case winogradGradOut2:
		r := winogradGradOut2Line((*[4]float32)(x[:]))
		copy(y[:], r[:])
	case winogradGradWeights2:
		r := winogradGradWeights2Line((*[5]float32)(x[:]))
		copy(y[:], r[:])
	}
	return y
}

// transformGo is the portable form of a two-dimensional transform: the line on each column, then on each row. Offsets may
// lead from one allocation into another (the zeros round a picture), which the pointer checker would refuse.
//
//go:nocheckptr
func transformGo(kind int, a *transformArgs) {
	in, out := winogradSides[kind][0], winogradSides[kind][1]
	src, dst := unsafe.Slice(a.srcOff, in*in), unsafe.Slice(a.dstOff, out*out)
	var tmp [36]float32
	var x [6]float32
	for c := range a.n {
		for j := range in {
			for i := range in {
				x[i] = *(*float32)(unsafe.Add(a.src, src[i*in+j]+c*4))
			}
			y := winogradLine(kind, &x)
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
			y := winogradLine(kind, &x)
			for j := range out {
				*(*float32)(unsafe.Add(a.dst, dst[i*out+j]+c*4)) = y[j] + b
			}
		}
	}
}
