package weights

import (
	"encoding/binary"
	"math"
	"unsafe"
)

// nativeLittle reports whether this machine stores numbers as the files do.
var nativeLittle = binary.NativeEndian.Uint16([]byte{1, 0}) == 1

// gather copies a strided view into row-major order. b begins at the view's first element; size is that of an element.
func gather(b []byte, size int, shape, strides []int, n int) []byte {
	out := make([]byte, 0, n*size)
	// The innermost dimensions that are contiguous are copied as one run.
	run, inner := 1, len(shape)
	for inner > 0 && (shape[inner-1] == 1 || strides[inner-1] == run) {
		inner--
		run *= shape[inner]
	}
	index := make([]int, inner)
	at := 0
	for len(out) < n*size {
		out = append(out, b[at*size:(at+run)*size]...)
		for d := inner - 1; d >= 0; d-- {
			index[d]++
			at += strides[d]
			if index[d] < shape[d] {
				break
			}
			at -= index[d] * strides[d]
			index[d] = 0
		}
	}
	return out
}

// toFloat32 converts n floating-point elements. Aligned float32 share b's memory.
func toFloat32(b []byte, d DType, n int) []float32 {
	if d == F32 && n > 0 && nativeLittle && aligned(b, 4) {
		return unsafe.Slice((*float32)(unsafe.Pointer(unsafe.SliceData(b))), n)
	}
	out := make([]float32, n)
	switch d {
	case F32:
		for i := range out {
			out[i] = math.Float32frombits(binary.LittleEndian.Uint32(b[4*i:]))
		}
	case F16:
		for i := range out {
			out[i] = FromFloat16(binary.LittleEndian.Uint16(b[2*i:]))
		}
	case BF16:
		for i := range out {
			out[i] = FromBFloat16(binary.LittleEndian.Uint16(b[2*i:]))
		}
	case F64:
		for i := range out {
			out[i] = float32(math.Float64frombits(binary.LittleEndian.Uint64(b[8*i:])))
		}
	}
	return out
}

// toInt64 widens n integer or boolean elements; false when one is out of range.
func toInt64(b []byte, d DType, n int) ([]int64, bool) {
	out := make([]int64, n)
	for i := range out {
		switch d {
		case Bool:
			if b[i] != 0 {
				out[i] = 1
			}
		case U8:
			out[i] = int64(b[i])
		case I8:
			out[i] = int64(int8(b[i]))
		case U16:
			out[i] = int64(binary.LittleEndian.Uint16(b[2*i:]))
		case I16:
			out[i] = int64(int16(binary.LittleEndian.Uint16(b[2*i:])))
		case U32:
			out[i] = int64(binary.LittleEndian.Uint32(b[4*i:]))
		case I32:
			out[i] = int64(int32(binary.LittleEndian.Uint32(b[4*i:])))
		case U64, I64:
			v := binary.LittleEndian.Uint64(b[8*i:])
			if d == U64 && v > math.MaxInt64 {
				return nil, false
			}
			out[i] = int64(v)
		}
	}
	return out, true
}

// aligned reports whether b begins at a multiple of size, so that its memory may be read as elements of that size.
func aligned(b []byte, size uintptr) bool {
	return uintptr(unsafe.Pointer(unsafe.SliceData(b)))%size == 0
}
