package pixel

import (
	"testing"

	"github.com/smalti/smalti/weights"
)

// tensor is one entry of the fixture: uint8 or float32.
type tensor struct {
	shape []int
	u8    []uint8
	f32   []float32
}

// fixture reads testdata/pil.safetensors: what Pillow 9.4 and torchvision computed.
func fixture(t *testing.T) map[string]tensor {
	t.Helper()
	f, err := weights.Open("testdata/pil.safetensors")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	out := map[string]tensor{}
	for _, name := range f.Names() {
		x, _ := f.Tensor(name)
		e := tensor{shape: x.Shape}
		if x.DType.IsFloat() {
			e.f32, err = x.Float32()
		} else {
			e.u8, err = x.Bytes()
		}
		if err != nil {
			t.Fatal(err)
		}
		out[name] = e
	}
	return out
}
