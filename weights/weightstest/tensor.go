package weightstest

import (
	"encoding/binary"
	"fmt"
	"io"
	"math"
	"math/rand/v2"

	"github.com/smalti/smalti/weights"
)

// Tensor describes one tensor of a file to be written.
type Tensor struct {
	Name    string
	DType   weights.DType
	Shape   []int
	Strides []int // in elements; nil means row-major order
	Offset  int   // first element within the storage

	// Storage names the storage; tensors with the same name share it, and the first of them gives its length and its data.
	// An empty name means a storage of the tensor's own.
	Storage string
	Len     int // elements of the storage; 0 means as many as the shape has

	Parameter bool // wrapped in torch.nn.Parameter

	// Fill writes the storage's bytes; nil means zeros.
	Fill func(w io.Writer) error
}

// Bytes returns a Fill that writes b.
func Bytes(b []byte) func(io.Writer) error {
	return func(w io.Writer) error {
		_, err := w.Write(b)
		return err
	}
}

// Floats returns a Fill that writes float32 numbers.
func Floats(xs ...float32) func(io.Writer) error {
	var b []byte
	for _, x := range xs {
		b = binary.LittleEndian.AppendUint32(b, math.Float32bits(x))
	}
	return Bytes(b)
}

// Int64s returns a Fill that writes 64-bit integers.
func Int64s(xs ...int64) func(io.Writer) error {
	var b []byte
	for _, x := range xs {
		b = binary.LittleEndian.AppendUint64(b, uint64(x))
	}
	return Bytes(b)
}

// Random returns a tensor of random numbers, uniform between -scale and scale, that depend on seed alone. The element
// type is F32 or F16.
func Random(name string, d weights.DType, shape []int, seed uint64, scale float32) Tensor {
	n := product(shape)
	return Tensor{Name: name, DType: d, Shape: shape, Fill: func(w io.Writer) error {
		r := rand.New(rand.NewPCG(seed, uint64(len(name))))
		buf := make([]byte, 0, 1<<16)
		for i := range n {
			x := (2*r.Float32() - 1) * scale
			switch d {
			case weights.F32:
				buf = binary.LittleEndian.AppendUint32(buf, math.Float32bits(x))
			case weights.F16:
				buf = binary.LittleEndian.AppendUint16(buf, weights.Float16Bits(x))
			default:
				return fmt.Errorf("random %v is not supported", d)
			}
			if len(buf) == cap(buf) || i == n-1 {
				if _, err := w.Write(buf); err != nil {
					return err
				}
				buf = buf[:0]
			}
		}
		return nil
	}}
}

func product(shape []int) int {
	n := 1
	for _, d := range shape {
		n *= d
	}
	return n
}

// storage is the data behind one or more tensors.
type storage struct {
	key   string
	dtype weights.DType
	n     int
	fill  func(io.Writer) error
}

// storages returns the storages of ts in order of first use, and the one of each tensor.
func storages(ts []Tensor) (all []*storage, of []*storage) {
	shared := make(map[string]*storage)
	for _, t := range ts {
		s := shared[t.Storage]
		if t.Storage == "" || s == nil {
			n := t.Len
			if n == 0 {
				n = product(t.Shape)
			}
			s = &storage{key: fmt.Sprint(len(all)), dtype: t.DType, n: n, fill: t.Fill}
			all = append(all, s)
			shared[t.Storage] = s
		}
		of = append(of, s)
	}
	return all, of
}

// write writes the storage's bytes and checks their number.
func (s *storage) write(w io.Writer) error {
	want := int64(s.n * s.dtype.Size())
	c := &counter{w: w}
	var err error
	if s.fill == nil {
		_, err = io.CopyN(c, zeros{}, want)
	} else {
		err = s.fill(c)
	}
	if err == nil && c.n != want {
		err = fmt.Errorf("storage %s: %d bytes written, want %d", s.key, c.n, want)
	}
	return err
}

type zeros struct{}

func (zeros) Read(b []byte) (int, error) {
	clear(b)
	return len(b), nil
}

// counter counts the bytes that pass.
type counter struct {
	w io.Writer
	n int64
}

func (c *counter) Write(b []byte) (int, error) {
	n, err := c.w.Write(b)
	c.n += int64(n)
	return n, err
}
