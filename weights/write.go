package weights

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"slices"
	"unicode/utf8"
)

// Out is a tensor to be written: a name, the element type to store, a shape, and the elements in row-major order in
// exactly one of the three fields. A tensor without elements may leave all three nil.
type Out struct {
	Name  string
	DType DType
	Shape []int

	Floats []float32 // for F16, BF16, F32 and F64
	Ints   []int64   // for Bool (0 and 1) and integer types
	Raw    []byte    // little-endian elements of DType, as Tensor.Bytes returns them
}

// WriteSafetensors writes a safetensors file. The bytes depend only on the arguments, not on the order of tensors: the
// header lists them by name, the data lie by falling element size and then by name, so that all are aligned; the header
// is padded with spaces to a multiple of 8. Floats are rounded to nearest even; a finite number that half precision
// cannot hold, an integer out of range, a repeated name or a wrong count is an error, found before anything of the
// tensor is written.
func WriteSafetensors(w io.Writer, meta map[string]string, ts []Out) error {
	for i := range ts {
		if err := ts[i].check(); err != nil {
			return fmt.Errorf("write safetensors: tensor %q: %w", ts[i].Name, err)
		}
	}
	order := make([]*Out, len(ts))
	for i := range ts {
		order[i] = &ts[i]
	}
	slices.SortFunc(order, func(a, b *Out) int {
		return cmp.Or(cmp.Compare(b.DType.Size(), a.DType.Size()), cmp.Compare(a.Name, b.Name))
	})
	header, err := buildHeader(meta, order)
	if err != nil {
		return fmt.Errorf("write safetensors: %w", err)
	}
	if _, err := w.Write(header); err != nil {
		return fmt.Errorf("write safetensors: %w", err)
	}
	for _, t := range order {
		if err := t.write(w); err != nil {
			return fmt.Errorf("write safetensors: tensor %q: %w", t.Name, err)
		}
	}
	return nil
}

// check finds everything that can be wrong with t, so that writing it can fail only in w.
func (t *Out) check() error {
	n, ok := elements(t.Shape)
	size := t.DType.Size()
	switch {
	case t.Name == "" || t.Name == metadataKey || !utf8.ValidString(t.Name):
		return fmt.Errorf("bad name")
	case !ok:
		return fmt.Errorf("bad shape %v", t.Shape)
	case size == 0:
		return fmt.Errorf("bad element type %v", t.DType)
	}
	given, have := 0, 0
	if t.Floats != nil {
		given, have = given+1, len(t.Floats)
		if !t.DType.IsFloat() {
			return fmt.Errorf("%w: floats cannot be stored as %v", ErrDType, t.DType)
		}
	}
	if t.Ints != nil {
		given, have = given+1, len(t.Ints)
		if !t.DType.IsInt() {
			return fmt.Errorf("%w: integers cannot be stored as %v", ErrDType, t.DType)
		}
	}
	if t.Raw != nil {
		given, have = given+1, len(t.Raw)/size
		if len(t.Raw)%size != 0 {
			return fmt.Errorf("%d raw bytes are not a whole number of %v", len(t.Raw), t.DType)
		}
	}
	if given > 1 {
		return fmt.Errorf("elements are given in more than one way")
	}
	if have != n {
		return fmt.Errorf("%d elements for shape %v", have, t.Shape)
	}
	return t.checkRange()
}

func (t *Out) checkRange() error {
	if t.DType == F16 || t.DType == BF16 {
		for i, x := range t.Floats {
			if !representable(x, t.DType) {
				return fmt.Errorf("element %d: %g does not fit %v", i, x, t.DType)
			}
		}
	}
	lo, hi := intRange(t.DType)
	for i, x := range t.Ints {
		if x < lo || x > hi {
			return fmt.Errorf("element %d: %d does not fit %v", i, x, t.DType)
		}
	}
	return nil
}

// representable reports whether a finite x stays finite in half precision or bfloat16.
func representable(x float32, d DType) bool {
	if d == F16 {
		return Float16Bits(x)&0x7fff != 0x7c00 || math.IsInf(float64(x), 0)
	}
	return BFloat16Bits(x)&0x7fff != 0x7f80 || math.IsInf(float64(x), 0)
}

// intRange returns the smallest and largest int64 that an integer type holds.
func intRange(d DType) (lo, hi int64) {
	switch d {
	case Bool:
		return 0, 1
	case U8, U16, U32:
		return 0, 1<<(8*d.Size()) - 1
	case U64:
		return 0, math.MaxInt64
	case I8, I16, I32:
		return -1 << (8*d.Size() - 1), 1<<(8*d.Size()-1) - 1
	}
	return math.MinInt64, math.MaxInt64
}

// buildHeader returns the length and the padded JSON header for tensors that will be written in the given order.
func buildHeader(meta map[string]string, order []*Out) ([]byte, error) {
	type entry struct {
		DType   string `json:"dtype"`
		Shape   []int  `json:"shape"`
		Offsets [2]int `json:"data_offsets"`
	}
	object := make(map[string]any, len(order)+1) // encoding/json writes keys sorted
	if len(meta) > 0 {
		object[metadataKey] = meta
	}
	at := 0
	for _, t := range order {
		if _, ok := object[t.Name]; ok {
			return nil, fmt.Errorf("tensor %q is given twice", t.Name)
		}
		n, _ := elements(t.Shape)
		end := at + n*t.DType.Size()
		object[t.Name] = entry{t.DType.String(), append([]int{}, t.Shape...), [2]int{at, end}}
		at = end
	}
	var buf bytes.Buffer
	buf.Write(make([]byte, 8))
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(object); err != nil {
		return nil, err
	}
	buf.Truncate(buf.Len() - 1) // the encoder's line feed
	for buf.Len()%8 != 0 {
		buf.WriteByte(' ')
	}
	if buf.Len()-8 > maxHeader {
		return nil, fmt.Errorf("header of %d bytes is over the limit of %d", buf.Len()-8, maxHeader)
	}
	binary.LittleEndian.PutUint64(buf.Bytes(), uint64(buf.Len()-8))
	return buf.Bytes(), nil
}

// write streams the elements through a small buffer.
func (t *Out) write(w io.Writer) error {
	if t.Raw != nil {
		_, err := w.Write(t.Raw)
		return err
	}
	const chunk = 8192 // elements
	n := len(t.Floats) + len(t.Ints)
	buf := make([]byte, 0, min(n, chunk)*t.DType.Size())
	for at := 0; at < n; at += chunk {
		buf = buf[:0]
		end := min(at+chunk, n)
		if t.Floats != nil {
			buf = appendFloats(buf, t.Floats[at:end], t.DType)
		} else {
			buf = appendInts(buf, t.Ints[at:end], t.DType)
		}
		if _, err := w.Write(buf); err != nil {
			return err
		}
	}
	return nil
}

func appendFloats(buf []byte, xs []float32, d DType) []byte {
	for _, x := range xs {
		switch d {
		case F16:
			buf = binary.LittleEndian.AppendUint16(buf, Float16Bits(x))
		case BF16:
			buf = binary.LittleEndian.AppendUint16(buf, BFloat16Bits(x))
		case F32:
			buf = binary.LittleEndian.AppendUint32(buf, math.Float32bits(x))
		case F64:
			buf = binary.LittleEndian.AppendUint64(buf, math.Float64bits(float64(x)))
		}
	}
	return buf
}

func appendInts(buf []byte, xs []int64, d DType) []byte {
	for _, x := range xs {
		switch d.Size() {
		case 1:
			buf = append(buf, byte(x))
		case 2:
			buf = binary.LittleEndian.AppendUint16(buf, uint16(x))
		case 4:
			buf = binary.LittleEndian.AppendUint32(buf, uint32(x))
		case 8:
			buf = binary.LittleEndian.AppendUint64(buf, uint64(x))
		}
	}
	return buf
}
