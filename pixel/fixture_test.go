package pixel

import (
	"encoding/binary"
	"encoding/json"
	"math"
	"os"
	"testing"
)

// tensor is one entry of a safetensors fixture: uint8 or float32.
type tensor struct {
	shape []int
	u8    []uint8
	f32   []float32
}

// fixture reads testdata/pil.safetensors (what Pillow 9.4 and torchvision computed) with the few lines that it takes,
// so that this package depends on no other to be tested.
func fixture(t *testing.T) map[string]tensor {
	t.Helper()
	raw, err := os.ReadFile("testdata/pil.safetensors")
	if err != nil {
		t.Fatal(err)
	}
	n := binary.LittleEndian.Uint64(raw)
	var entries map[string]struct {
		DType   string `json:"dtype"`
		Shape   []int  `json:"shape"`
		Offsets [2]int `json:"data_offsets"`
	}
	var header map[string]json.RawMessage
	if err := json.Unmarshal(raw[8:8+n], &header); err != nil {
		t.Fatal(err)
	}
	delete(header, "__metadata__")
	rest, _ := json.Marshal(header)
	if err := json.Unmarshal(rest, &entries); err != nil {
		t.Fatal(err)
	}
	out := map[string]tensor{}
	for name, e := range entries {
		data := raw[8+int(n)+e.Offsets[0] : 8+int(n)+e.Offsets[1]]
		x := tensor{shape: e.Shape}
		switch e.DType {
		case "U8":
			x.u8 = data
		case "F32":
			for i := 0; i < len(data); i += 4 {
				x.f32 = append(x.f32, math.Float32frombits(binary.LittleEndian.Uint32(data[i:])))
			}
		default:
			t.Fatalf("%s has dtype %s", name, e.DType)
		}
		out[name] = x
	}
	return out
}
