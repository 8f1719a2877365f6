package weights_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/smalti/smalti/weights"
	wt "github.com/smalti/smalti/weights/weightstest"
)

// checkOpen opens data, which must give an error that wraps ErrFormat or a file whose tensors can be read or say why not.
func checkOpen(t *testing.T, data []byte) {
	f, err := weights.OpenBytes(data)
	if err != nil {
		if !errors.Is(err, weights.ErrFormat) {
			t.Fatalf("%v does not wrap ErrFormat", err)
		}
		return
	}
	defer f.Close()
	for _, name := range f.Names() {
		x, ok := f.Tensor(name)
		if !ok || x.Name != name {
			t.Fatalf("tensor %q is not under its name", name)
		}
		n := 1
		for _, d := range x.Shape {
			n *= d
		}
		if n != x.NumElements() {
			t.Fatalf("%q: %d elements of shape %v", name, x.NumElements(), x.Shape)
		}
		if n > 1<<16 {
			continue // a view may repeat one element many times
		}
		b, err := x.Bytes()
		if err == nil && len(b) != x.NumBytes() {
			t.Fatalf("%q: %d bytes, want %d", name, len(b), x.NumBytes())
		}
		if x.DType.IsFloat() {
			v, ferr := x.Float32()
			if (ferr == nil) != (err == nil) || ferr == nil && len(v) != n {
				t.Fatalf("%q: %d floats, %v and %v", name, len(v), ferr, err)
			}
		} else if v, ierr := x.Int64(); ierr == nil && len(v) != n {
			t.Fatalf("%q: %d integers, want %d", name, len(v), n)
		}
	}
}

func FuzzOpenSafetensors(f *testing.F) {
	f.Add([]byte(`{"a":{"dtype":"F32","shape":[2,2],"data_offsets":[0,16]}}`), []byte("0123456789abcdef"))
	f.Add([]byte(`{"__metadata__":{"a":"b"},"x":{"dtype":"BOOL","shape":[],"data_offsets":[0,1]}}`), []byte{1})
	f.Add([]byte(`{"a":{"dtype":"U64","shape":[1],"data_offsets":[0,8]},"a":{"dtype":"F16","shape":[0],"data_offsets":[8,8]}}`), []byte("01234567"))
	f.Add([]byte(`{}`), []byte{})
	f.Fuzz(func(t *testing.T, header, body []byte) {
		data := binary.LittleEndian.AppendUint64(nil, uint64(len(header)))
		checkOpen(t, append(append(data, header...), body...))
	})
}

func FuzzOpenPickle(f *testing.F) {
	for _, h := range wt.HostilePickles() {
		f.Add(h.Pickle)
	}
	ts, _ := sample()
	for _, o := range []wt.Options{{}, {Layout: wt.Lightning}, {Layout: wt.TorchScript}} {
		p, err := wt.TorchPickle(ts[:6], o)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(p)
	}
	f.Add([]byte("(dp0\nS'a'\np1\nI01\nsS'b'\nL5L\nsF1.5\nlp2\n."))
	f.Fuzz(func(t *testing.T, pickle []byte) {
		var zip, legacy bytes.Buffer
		err := wt.WriteArchive(&zip, []wt.Entry{{Name: "x/data.pkl", Fill: wt.Bytes(pickle)},
			{Name: "x/data/0", Fill: wt.Floats(1, 2, 3, 4, 5, 6)}, {Name: "x/data/1", Fill: wt.Int64s(1)}}, false)
		if err != nil {
			t.Fatal(err)
		}
		if err := wt.WriteLegacyPickle(&legacy, append(pickle, wt.NewPickle().Op("](").Str("0").Op("e").Bytes()...)); err != nil {
			t.Fatal(err)
		}
		legacy.Write([]byte{6, 0, 0, 0, 0, 0, 0, 0})
		legacy.Write(make([]byte, 24))
		checkOpen(t, zip.Bytes())
		checkOpen(t, legacy.Bytes())
		checkOpen(t, pickle)
	})
}

func FuzzOpenZip(f *testing.F) {
	ts, _ := sample()
	for _, o := range []wt.Options{{}, {Layout: wt.TorchScript}, {Deflate: true}} {
		var buf bytes.Buffer
		if err := wt.WriteTorchZip(&buf, ts[:3], o); err != nil {
			f.Fatal(err)
		}
		f.Add(buf.Bytes())
	}
	var buf bytes.Buffer
	if err := wt.WriteLegacy(&buf, ts[:3]); err != nil {
		f.Fatal(err)
	}
	f.Add(buf.Bytes())
	if small, err := os.ReadFile(filepath.Join(goldenDir, "discriminator/disc_bn_legacy.pth")); err == nil {
		f.Add(small)
	}
	f.Fuzz(func(t *testing.T, data []byte) { checkOpen(t, data) })
}
