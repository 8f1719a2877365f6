package weights

import "fmt"

// DType is the type of a tensor's elements as the file stores them.
type DType uint8

// The element types that weight files use. U16, U32 and U64 have no place in older PyTorch files but safetensors has them.
const (
	InvalidDType DType = iota
	Bool
	U8
	I8
	U16
	I16
	U32
	I32
	U64
	I64
	F16
	BF16
	F32
	F64
)

var dtypes = [...]struct {
	name string
	size int
}{
	InvalidDType: {"invalid", 0},
	Bool:         {"BOOL", 1},
	U8:           {"U8", 1},
	I8:           {"I8", 1},
	U16:          {"U16", 2},
	I16:          {"I16", 2},
	U32:          {"U32", 4},
	I32:          {"I32", 4},
	U64:          {"U64", 8},
	I64:          {"I64", 8},
	F16:          {"F16", 2},
	BF16:         {"BF16", 2},
	F32:          {"F32", 4},
	F64:          {"F64", 8},
}

// String returns the name that safetensors headers use, such as "F32".
func (d DType) String() string {
	if int(d) >= len(dtypes) {
		return fmt.Sprintf("DType(%d)", uint8(d))
	}
	return dtypes[d].name
}

// Size returns the bytes of one element, 0 for an invalid type.
func (d DType) Size() int {
	if int(d) >= len(dtypes) {
		return 0
	}
	return dtypes[d].size
}

// IsFloat reports whether elements are floating-point numbers, which Tensor.Float32 converts.
func (d DType) IsFloat() bool { return d >= F16 && d <= F64 }

// IsInt reports whether elements are integers or booleans, which Tensor.Int64 converts.
func (d DType) IsInt() bool { return d >= Bool && d <= I64 }

// ParseDType returns the type with the given safetensors name.
func ParseDType(name string) (DType, bool) {
	for d := Bool; int(d) < len(dtypes); d++ {
		if dtypes[d].name == name {
			return d, true
		}
	}
	return InvalidDType, false
}
