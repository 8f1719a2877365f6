package weightstest

import (
	"archive/zip"
	"bytes"
	"io"
	"testing"

	"github.com/smalti/smalti/weights"
)

// TestArchiveIsAZip reads an archive with the standard library, which verifies its checksums, and checks what torch
// relies on: stored entries whose data begin at multiples of 64.
func TestArchiveIsAZip(t *testing.T) {
	ts := []Tensor{Random("b", weights.F32, []int{3, 5}, 1, 0.5), Random("a", weights.F16, []int{70000}, 2, 0.5)}
	var buf, again bytes.Buffer
	for _, w := range []io.Writer{&buf, &again} {
		if err := WriteTorchZip(w, ts, Options{Layout: TorchScript}); err != nil {
			t.Fatal(err)
		}
	}
	if !bytes.Equal(buf.Bytes(), again.Bytes()) {
		t.Error("the same arguments gave different bytes")
	}
	z, err := zip.NewReader(bytes.NewReader(buf.Bytes()), int64(buf.Len()))
	if err != nil {
		t.Fatal(err)
	}
	sizes := map[string]int{"model/data/0": 60, "model/data/1": 140000, "model/version": 2}
	for _, f := range z.File {
		at, err := f.DataOffset()
		if err != nil || at%64 != 0 || f.Method != zip.Store {
			t.Errorf("%s begins at %d, method %d, %v", f.Name, at, f.Method, err)
		}
		r, err := f.Open()
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(r)
		if want, ok := sizes[f.Name]; err != nil || ok && len(b) != want {
			t.Errorf("%s has %d bytes, %v, want %d", f.Name, len(b), err, want)
		}
		delete(sizes, f.Name)
	}
	if len(sizes) > 0 {
		t.Errorf("entries are missing: %v", sizes)
	}
}

// TestWrongFill checks that a Fill which writes too little is an error, not a broken file.
func TestWrongFill(t *testing.T) {
	ts := []Tensor{{Name: "a", DType: weights.F32, Shape: []int{2}, Fill: Floats(1)}}
	if err := WriteTorchZip(io.Discard, ts, Options{}); err == nil {
		t.Error("a short storage was written to an archive")
	}
	if err := WriteLegacy(io.Discard, ts); err == nil {
		t.Error("a short storage was written to a legacy file")
	}
}
