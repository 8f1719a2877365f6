package weights

import (
	"fmt"
	"math"
	"sync"
)

// Tensor is one named array of a weight file. Its data are read when they are asked for. Methods may be called from
// several goroutines at once, but not during or after File.Close.
type Tensor struct {
	Name  string
	DType DType // as stored
	Shape []int // empty for a scalar

	src     *storage
	offset  int   // first element within src
	strides []int // in elements; nil when the elements are contiguous in row-major order
	numel   int
}

// storage is a run of elements that one or more tensors are views of.
type storage struct {
	dtype DType
	n     int // elements
	owner *mapping
	load  func() ([]byte, error) // n*dtype.Size() bytes; called once

	once sync.Once
	data []byte
	err  error
}

func (s *storage) bytes() ([]byte, error) {
	if s.owner.closed.Load() {
		return nil, ErrClosed
	}
	s.once.Do(func() {
		s.data, s.err = s.load()
		if want := s.n * s.dtype.Size(); s.err == nil && len(s.data) != want {
			s.data, s.err = nil, formatf("storage has %d bytes, want %d", len(s.data), want)
		}
	})
	return s.data, s.err
}

// newTensor makes a view of src and checks that it lies inside it. Nil strides mean row-major order.
func newTensor(name string, src *storage, offset int, shape, strides []int) (*Tensor, error) {
	n, ok := elements(shape)
	if !ok {
		return nil, formatf("tensor %q: bad shape %v", name, shape)
	}
	if strides != nil && len(strides) != len(shape) {
		return nil, formatf("tensor %q: %d strides for shape %v", name, len(strides), shape)
	}
	if contiguous(shape, strides) || n == 0 {
		strides = nil
	}
	last := n - 1
	if strides != nil {
		if last, ok = lastElement(shape, strides); !ok {
			return nil, formatf("tensor %q: bad strides %v", name, strides)
		}
		if n > src.n && n > maxExpanded {
			return nil, formatf("tensor %q: shape %v repeats %d stored elements too often", name, shape, src.n)
		}
	}
	if offset < 0 || offset > src.n || last >= src.n-offset {
		return nil, formatf("tensor %q: shape %v at offset %d reaches outside its storage of %d elements", name, shape, offset, src.n)
	}
	return &Tensor{Name: name, DType: src.dtype, Shape: shape, src: src, offset: offset, strides: strides, numel: n}, nil
}

// NumElements returns the product of the shape, 1 for a scalar.
func (t *Tensor) NumElements() int { return t.numel }

// NumBytes returns the bytes of the tensor's elements as stored.
func (t *Tensor) NumBytes() int { return t.numel * t.DType.Size() }

// Bytes returns the elements as little-endian bytes in row-major order. Where the file has them like that the result
// shares its memory: it is valid until File.Close, and must not be written.
func (t *Tensor) Bytes() ([]byte, error) {
	b, err := t.src.bytes()
	if err != nil {
		return nil, fmt.Errorf("tensor %q: %w", t.Name, err)
	}
	size := t.DType.Size()
	if t.strides == nil {
		return b[t.offset*size : (t.offset+t.numel)*size : (t.offset+t.numel)*size], nil
	}
	return gather(b[t.offset*size:], size, t.Shape, t.strides, t.numel), nil
}

// Float32 returns the elements of a floating-point tensor in row-major order, converted from half, bfloat16 or double.
// float32 elements that are aligned in the file are not copied: the result is valid until File.Close, and must not be
// written. An integer tensor gives an error that wraps ErrDType.
func (t *Tensor) Float32() ([]float32, error) {
	if !t.DType.IsFloat() {
		return nil, fmt.Errorf("tensor %q: %w: %v where floats are wanted", t.Name, ErrDType, t.DType)
	}
	b, err := t.Bytes()
	if err != nil {
		return nil, err
	}
	return toFloat32(b, t.DType, t.numel), nil
}

// Int64 returns the elements of an integer or boolean tensor in row-major order; the result is the caller's. A tensor of
// floats gives an error that wraps ErrDType.
func (t *Tensor) Int64() ([]int64, error) {
	if !t.DType.IsInt() {
		return nil, fmt.Errorf("tensor %q: %w: %v where integers are wanted", t.Name, ErrDType, t.DType)
	}
	b, err := t.Bytes()
	if err != nil {
		return nil, err
	}
	out, ok := toInt64(b, t.DType, t.numel)
	if !ok {
		return nil, fmt.Errorf("tensor %q: %w: a U64 element does not fit int64", t.Name, ErrDType)
	}
	return out, nil
}

// maxExpanded bounds the elements of a view that repeats stored elements (a stride of zero), which costs a file nothing.
const maxExpanded = 1 << 24

// maxElements bounds one tensor so that its bytes fit an int on every machine we build for.
const maxElements = math.MaxInt / 16

// maxRank bounds the number of dimensions; PyTorch's own limit is 64.
const maxRank = 64

// elements returns the product of a shape; false when a dimension is negative or the product is out of range.
func elements(shape []int) (int, bool) {
	if len(shape) > maxRank {
		return 0, false
	}
	n := 1
	for _, d := range shape {
		if d < 0 || (d > 0 && n > maxElements/d) {
			return 0, false
		}
		n *= d
	}
	// A zero may hide large dimensions before or after it: those must be sane as well.
	for _, d := range shape {
		if d > maxElements {
			return 0, false
		}
	}
	return n, true
}

// lastElement returns the highest element index that a strided view reaches, relative to its offset. No dimension is 0.
func lastElement(shape, strides []int) (int, bool) {
	last := 0
	for i, d := range shape {
		s := strides[i]
		if s < 0 || (d > 1 && s > (maxElements-last)/(d-1)) {
			return 0, false
		}
		last += (d - 1) * s
	}
	return last, true
}

// contiguous reports whether strides are those of row-major order; the stride of a dimension of one does not matter.
func contiguous(shape, strides []int) bool {
	if strides == nil {
		return true
	}
	step := 1
	for i := len(shape) - 1; i >= 0; i-- {
		if shape[i] != 1 && strides[i] != step {
			return false
		}
		step *= shape[i]
	}
	return true
}
