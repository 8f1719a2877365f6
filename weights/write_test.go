package weights

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestWriteSafetensorsRoundTrip(t *testing.T) {
	nan := float32(math.NaN())
	outs := []Out{
		{Name: "z.bool", DType: Bool, Shape: []int{3}, Ints: []int64{1, 0, 1}},
		{Name: "u8", DType: U8, Shape: []int{2}, Ints: []int64{0, 255}},
		{Name: "i8", DType: I8, Shape: []int{2}, Ints: []int64{-128, 127}},
		{Name: "u16", DType: U16, Shape: []int{2}, Ints: []int64{0, 65535}},
		{Name: "i16", DType: I16, Shape: []int{2}, Ints: []int64{-32768, 32767}},
		{Name: "u32", DType: U32, Shape: []int{1}, Ints: []int64{1<<32 - 1}},
		{Name: "i32", DType: I32, Shape: []int{1}, Ints: []int64{-1 << 31}},
		{Name: "u64", DType: U64, Shape: []int{1}, Ints: []int64{math.MaxInt64}},
		{Name: "i64", DType: I64, Shape: []int{2, 1}, Ints: []int64{math.MinInt64, math.MaxInt64}},
		{Name: "f64", DType: F64, Shape: nil, Floats: []float32{0.1}},
		{Name: "f32 <&> \"q\" é", DType: F32, Shape: []int{2, 2}, Floats: []float32{1, -2, 3e-30, nan}},
		{Name: "f16", DType: F16, Shape: []int{3}, Floats: []float32{1.5, -65504, float32(math.Inf(1))}},
		{Name: "bf16", DType: BF16, Shape: []int{1}, Floats: []float32{-3}},
		{Name: "raw", DType: F32, Shape: []int{1}, Raw: []byte{0, 0, 128, 63}},
		{Name: "none", DType: F32, Shape: []int{0, 4}},
	}
	var buf, again bytes.Buffer
	meta := map[string]string{"b": "2", "a": "1"}
	if err := WriteSafetensors(&buf, meta, outs); err != nil {
		t.Fatal(err)
	}
	reversed := slices.Clone(outs)
	slices.Reverse(reversed)
	if err := WriteSafetensors(&again, meta, reversed); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(buf.Bytes(), again.Bytes()) {
		t.Error("the bytes depend on the order of the tensors")
	}
	if n := binary.LittleEndian.Uint64(buf.Bytes()); n%8 != 0 {
		t.Errorf("header of %d bytes is not padded to 8", n)
	}
	f, err := OpenBytes(buf.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	if len(f.Names()) != len(outs) || f.Metadata()["a"] != "1" {
		t.Errorf("%d tensors of %d, metadata %v", len(f.Names()), len(outs), f.Metadata())
	}
	for _, o := range outs {
		got, ok := f.Tensor(o.Name)
		if !ok || got.DType != o.DType || !slices.Equal(got.Shape, o.Shape) {
			t.Errorf("%s: %+v", o.Name, got)
			continue
		}
		switch {
		case o.Ints != nil:
			if x, err := got.Int64(); err != nil || !slices.Equal(x, o.Ints) {
				t.Errorf("%s = %v, %v, want %v", o.Name, x, err, o.Ints)
			}
		case o.Floats != nil:
			x, err := got.Float32()
			same := func(a, b float32) bool { return math.Float32bits(a) == math.Float32bits(b) }
			if err != nil || !slices.EqualFunc(x, o.Floats, same) {
				t.Errorf("%s = %v, %v, want %v", o.Name, x, err, o.Floats)
			}
		}
	}
}

// TestWriteChunks writes tensors longer than the writer's buffer.
func TestWriteChunks(t *testing.T) {
	floats, ints := make([]float32, 20001), make([]int64, 20001)
	for i := range floats {
		floats[i], ints[i] = float32(i), int64(-i)
	}
	var buf bytes.Buffer
	err := WriteSafetensors(&buf, nil, []Out{
		{Name: "f", DType: F32, Shape: []int{20001}, Floats: floats}, {Name: "i", DType: I32, Shape: []int{20001}, Ints: ints}})
	if err != nil {
		t.Fatal(err)
	}
	f, err := OpenBytes(buf.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	l := NewLoader(f)
	if x, err := l.Take("f", 20001); err != nil || !slices.Equal(x, floats) {
		t.Errorf("floats differ: %v", err)
	}
	if x, err := l.TakeInt64("i", 20001); err != nil || !slices.Equal(x, ints) {
		t.Errorf("integers differ: %v", err)
	}
}

func TestWriteRefused(t *testing.T) {
	cases := []struct {
		want string
		outs []Out
	}{
		{"twice", []Out{{Name: "a", DType: F32}, {Name: "a", DType: F32}}},
		{"bad name", []Out{{Name: "", DType: F32, Floats: []float32{1}}}},
		{"bad name", []Out{{Name: "__metadata__", DType: F32, Floats: []float32{1}}}},
		{"bad name", []Out{{Name: "\xff", DType: F32, Floats: []float32{1}}}},
		{"bad shape", []Out{{Name: "a", DType: F32, Shape: []int{-1}}}},
		{"element type", []Out{{Name: "a", Floats: []float32{1}}}},
		{"2 elements", []Out{{Name: "a", DType: F32, Shape: []int{3}, Floats: []float32{1, 2}}}},
		{"floats cannot", []Out{{Name: "a", DType: I64, Floats: []float32{1}}}},
		{"integers cannot", []Out{{Name: "a", DType: F16, Ints: []int64{1}}}},
		{"whole number", []Out{{Name: "a", DType: F32, Raw: []byte{1, 2, 3}}}},
		{"more than one way", []Out{{Name: "a", DType: F32, Raw: make([]byte, 4), Floats: []float32{1}}}},
		{"does not fit F16", []Out{{Name: "a", DType: F16, Floats: []float32{70000}}}},
		{"does not fit BF16", []Out{{Name: "a", DType: BF16, Floats: []float32{math.MaxFloat32}}}},
		{"does not fit U16", []Out{{Name: "a", DType: U16, Ints: []int64{65536}}}},
		{"does not fit I8", []Out{{Name: "a", DType: I8, Ints: []int64{-129}}}},
		{"does not fit U64", []Out{{Name: "a", DType: U64, Ints: []int64{-1}}}},
		{"does not fit BOOL", []Out{{Name: "a", DType: Bool, Ints: []int64{2}}}},
	}
	for _, c := range cases {
		for i := range c.outs {
			if c.want == "twice" {
				c.outs[i].Floats = []float32{1}
			}
		}
		var buf bytes.Buffer
		err := WriteSafetensors(&buf, nil, c.outs)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("error %v, want one that contains %q", err, c.want)
		}
		if buf.Len() > 0 {
			t.Errorf("%s: %d bytes written", c.want, buf.Len())
		}
	}
}

// failing fails after n bytes, as a full disk does.
type failing struct{ n int }

var errFull = errors.New("no space left")

func (f *failing) Write(b []byte) (int, error) {
	if len(b) > f.n {
		n := f.n
		f.n = 0
		return n, errFull
	}
	f.n -= len(b)
	return len(b), nil
}

func TestWriteFullDisk(t *testing.T) {
	outs := []Out{{Name: "a", DType: F32, Shape: []int{100}, Floats: make([]float32, 100)}, {Name: "b", DType: U8, Shape: []int{1}, Raw: []byte{1}}}
	var buf bytes.Buffer
	if err := WriteSafetensors(&buf, nil, outs); err != nil {
		t.Fatal(err)
	}
	for n := range buf.Len() {
		if err := WriteSafetensors(&failing{n}, nil, outs); !errors.Is(err, errFull) {
			t.Fatalf("disk full after %d bytes: %v", n, err)
		}
	}
	if err := WriteSafetensors(&failing{buf.Len()}, nil, outs); err != nil {
		t.Fatal(err)
	}
}

func TestSaveFile(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "model.safetensors")
	save := func(content string) error {
		return SaveFile(path, func(w io.Writer) error {
			_, err := io.WriteString(w, content)
			return err
		})
	}
	check := func(want string) {
		t.Helper()
		got, err := os.ReadFile(path)
		if err != nil || string(got) != want {
			t.Errorf("file holds %q, %v, want %q", got, err, want)
		}
		if entries, _ := os.ReadDir(dir); len(entries) != 1 {
			t.Errorf("the folder holds %v", entries)
		}
	}
	if err := save("one"); err != nil {
		t.Fatal(err)
	}
	check("one")
	if err := save("two"); err != nil {
		t.Fatal(err)
	}
	check("two")
	err := SaveFile(path, func(w io.Writer) error {
		io.WriteString(w, "thr")
		return errFull
	})
	if !errors.Is(err, errFull) || !strings.Contains(err.Error(), path) {
		t.Errorf("error %v", err)
	}
	check("two")
	func() {
		defer func() {
			if recover() == nil {
				t.Error("the panic was swallowed")
			}
		}()
		SaveFile(path, func(io.Writer) error { panic("x") })
	}()
	check("two")
	if err := SaveFile(filepath.Join(dir, "absent", "x"), func(io.Writer) error { return nil }); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("missing folder: %v", err)
	}
	if err := SaveFile(dir, func(io.Writer) error { return nil }); err == nil {
		t.Error("a folder was replaced by a file")
	}
	check("two")
}
