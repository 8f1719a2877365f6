package weights

import (
	"bytes"
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// safetensorsFile puts a length before a header and data behind it.
func safetensorsFile(header string, data []byte) []byte {
	b := binary.LittleEndian.AppendUint64(nil, uint64(len(header)))
	return append(append(b, header...), data...)
}

func TestReadSafetensors(t *testing.T) {
	header := `{"__metadata__":{"made":"by hand"},"b":{"dtype":"F16","shape":[2,1],"data_offsets":[4,8]},` +
		`"a":{"dtype":"F32","shape":[],"data_offsets":[0,4]},"e":{"dtype":"I64","shape":[0,3],"data_offsets":[8,8]}}  `
	f, err := OpenBytes(safetensorsFile(header, []byte{0, 0, 0xc0, 0x3f, 0, 0x3c, 0, 0xc0}))
	if err != nil {
		t.Fatal(err)
	}
	if got := f.Names(); !slices.Equal(got, []string{"a", "b", "e"}) {
		t.Errorf("names %v", got)
	}
	if f.Format() != Safetensors || f.Metadata()["made"] != "by hand" {
		t.Errorf("format %v, metadata %v", f.Format(), f.Metadata())
	}
	a, _ := f.Tensor("a")
	if x, err := a.Float32(); err != nil || !slices.Equal(x, []float32{1.5}) || len(a.Shape) != 0 || a.NumElements() != 1 {
		t.Errorf("a = %v, %v of shape %v", x, err, a.Shape)
	}
	b, _ := f.Tensor("b")
	if x, err := b.Float32(); err != nil || !slices.Equal(x, []float32{1, -2}) {
		t.Errorf("b = %v, %v", x, err)
	}
	if _, err := b.Int64(); !errors.Is(err, ErrDType) {
		t.Errorf("integers of a float tensor: %v", err)
	}
	e, _ := f.Tensor("e")
	if x, err := e.Int64(); err != nil || len(x) != 0 {
		t.Errorf("e = %v, %v", x, err)
	}
	if _, err := e.Float32(); !errors.Is(err, ErrDType) {
		t.Errorf("floats of an integer tensor: %v", err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := a.Float32(); !errors.Is(err, ErrClosed) {
		t.Errorf("after Close: %v", err)
	}
}

// TestSafetensorsRefused gives each kind of damage its own message.
func TestSafetensorsRefused(t *testing.T) {
	entry := func(name, dtype, shape, offsets string) string {
		return `"` + name + `":{"dtype":"` + dtype + `","shape":[` + shape + `],"data_offsets":[` + offsets + `]}`
	}
	cases := []struct{ name, header, want string }{
		{"overlap", "{" + entry("a", "F32", "1", "0,4") + "," + entry("b", "F16", "2", "2,6") + "," + entry("c", "F16", "1", "6,8") + "}", "inside the tensor before"},
		{"hole", "{" + entry("a", "F32", "1", "0,4") + "," + entry("b", "F16", "1", "6,8") + "}", "unused bytes"},
		{"trailing data", "{" + entry("a", "F32", "1", "0,4") + "}", "unused bytes at the end"},
		{"past the end", "{" + entry("a", "F32", "3", "0,12") + "}", "cut short"},
		{"backwards", "{" + entry("a", "F32", "1", "4,0") + "}", "before it begins"},
		{"huge offset", "{" + entry("a", "F32", "1", "0,18446744073709551615") + "}", "cut short"},
		{"negative offset", "{" + entry("a", "F32", "1", "-4,0") + "}", "broken header"},
		{"negative shape", "{" + entry("a", "F32", "-1,-2", "0,8") + "}", "bad shape"},
		{"overflowing shape", "{" + entry("a", "U8", "4294967296,4294967296,8", "0,8") + "}", "bad shape"},
		{"zero hides overflow", "{" + entry("a", "F64", "0,9223372036854775807", "0,0") + "," + entry("b", "F64", "1", "0,8") + "}", "bad shape"},
		{"wrong size", "{" + entry("a", "F16", "2", "0,8") + "}", "does not fill"},
		{"unknown dtype", "{" + entry("a", "F4", "16", "0,8") + "}", "not supported"},
		{"duplicate", "{" + entry("a", "F32", "1", "0,4") + "," + entry("a", "F32", "1", "4,8") + "}", "twice"},
		{"no shape", `{"a":{"dtype":"F64","data_offsets":[0,8]}}`, "lacks its shape"},
		{"one offset", `{"a":{"dtype":"F64","shape":[1],"data_offsets":[0]}}`, "lacks its shape"},
		{"not an object", `{"a":[1,2]}`, "broken header"},
		{"metadata not strings", `{"__metadata__":{"a":1}}`, "__metadata__"},
		{"unclosed", `{"a":{"dtype":"F64","shape":[1],"data_offsets":[0,8]}`, "broken header"},
		{"number as a name", `{1:{"dtype":"F64","shape":[1],"data_offsets":[0,8]}}`, "broken header"},
		{"two objects", `{}{}`, "goes on"},
	}
	for _, c := range cases {
		_, err := OpenBytes(safetensorsFile(c.header, make([]byte, 8)))
		if !errors.Is(err, ErrFormat) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error %q, want one that contains %q", c.name, err, c.want)
		}
	}
	long := binary.LittleEndian.AppendUint64(nil, maxHeader+1)
	long = append(long, bytes.Repeat([]byte("{"), maxHeader+1)...)
	if _, err := OpenBytes(long); !errors.Is(err, ErrFormat) || !strings.Contains(err.Error(), "limit") {
		t.Errorf("header over the limit: %v", err)
	}
	claim := append(binary.LittleEndian.AppendUint64(nil, 1<<40), "{}"...)
	if _, err := OpenBytes(claim); !errors.Is(err, ErrFormat) || !strings.Contains(err.Error(), "cut short") {
		t.Errorf("header longer than the file: %v", err)
	}
}

// TestSafetensorsTruncated cuts a good file at every byte; none of the pieces may open.
func TestSafetensorsTruncated(t *testing.T) {
	var buf bytes.Buffer
	err := WriteSafetensors(&buf, map[string]string{"k": "v"}, []Out{
		{Name: "x", DType: F32, Shape: []int{3}, Floats: []float32{1, 2, 3}},
		{Name: "y", DType: I64, Shape: []int{1}, Ints: []int64{7}},
	})
	if err != nil {
		t.Fatal(err)
	}
	for n := range buf.Len() {
		if _, err := OpenBytes(buf.Bytes()[:n]); !errors.Is(err, ErrFormat) {
			t.Fatalf("cut to %d of %d bytes: %v", n, buf.Len(), err)
		}
	}
	if _, err := OpenBytes(buf.Bytes()); err != nil {
		t.Fatal(err)
	}
}

// TestUnaligned reads float32 from every alignment, which must give the same numbers (and, with -race, no checkptr fault).
func TestUnaligned(t *testing.T) {
	want := []float32{1, -2.5, 3e-9}
	for pad := range 8 {
		header := `{"x":{"dtype":"F32","shape":[3],"data_offsets":[0,12]}}` + strings.Repeat(" ", pad)
		f, err := OpenBytes(safetensorsFile(header, appendFloats(nil, want, F32)))
		if err != nil {
			t.Fatal(err)
		}
		x, _ := f.Tensor("x")
		if got, err := x.Float32(); err != nil || !slices.Equal(got, want) {
			t.Errorf("pad %d: %v, %v", pad, got, err)
		}
	}
}

// TestGuess names files that people mistake for weights.
func TestGuess(t *testing.T) {
	cases := map[string]string{
		"version https://git-lfs.github.com/spec/v1\n": "Git LFS",
		"<!DOCTYPE html><html>":                        "web page",
		"GGUF\x03\x00\x00\x00":                         "GGUF",
		"hello, world, this is text":                   "neither",
		"{\"a\": 1}":                                   "weight_map",
		"":                                             "empty",
		strings.Repeat("x", 257) + "ustar\x00":         "tar archive",
	}
	dir := t.TempDir()
	for content, want := range cases {
		path := filepath.Join(dir, "model.safetensors")
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := Open(path)
		if !errors.Is(err, ErrFormat) || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), path) {
			t.Errorf("%.20q: error %v, want one that contains %q and the path", content, err, want)
		}
	}
	if _, err := Open(filepath.Join(dir, "absent")); !errors.Is(err, os.ErrNotExist) || errors.Is(err, ErrFormat) {
		t.Errorf("a file that is not there: %v", err)
	}
}
