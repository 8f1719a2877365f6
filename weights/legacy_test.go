package weights_test

import (
	"bytes"
	"encoding/binary"
	"slices"
	"strings"
	"testing"

	"github.com/smalti/smalti/weights"
	wt "github.com/smalti/smalti/weights/weightstest"
)

// legacyFile has a tensor "w" in a storage of eight floats, 0 to 7, described by its class, its length and the push
// operations of its view, with the given keys after the pickle.
func legacyFile(t *testing.T, class string, n int, view string, keys ...string) []byte {
	t.Helper()
	p := wt.NewPickle().Op("}").Str("w").Global("torch._utils", "_rebuild_tensor_v2").Op("((").Str("storage")
	p.Global("torch", class).Str("77").Str("cpu").Int(n).Op(view + "tQ").Int(0).Ints([]int{3}).Ints([]int{1})
	var buf bytes.Buffer
	if err := wt.WriteLegacyPickle(&buf, p.Op("\x89").OrderedDict().Op("tRs").Bytes()); err != nil {
		t.Fatal(err)
	}
	list := wt.NewPickle().Op("](")
	for _, k := range keys {
		list.Str(k)
	}
	buf.Write(list.Op("e").Bytes())
	buf.Write(binary.LittleEndian.AppendUint64(nil, 8))
	if err := wt.Floats(0, 1, 2, 3, 4, 5, 6, 7)(&buf); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

// TestLegacyViews reads storages that are parts of others, which files of old PyTorch versions have.
func TestLegacyViews(t *testing.T) {
	cases := map[string][]float32{
		"N":                              {0, 1, 2},
		"(X\x01\x00\x00\x00vK\x02K\x04t": {2, 3, 4},
		"(X\x01\x00\x00\x00vK\x05K\x03t": {5, 6, 7},
	}
	for view, want := range cases {
		f, err := weights.OpenBytes(legacyFile(t, "FloatStorage", 8, view, "77"))
		if err != nil {
			t.Errorf("view %q: %v", view, err)
			continue
		}
		if w, ok := f.Tensor("w"); !ok || !slices.Equal(floats(t, w), want) {
			t.Errorf("view %q: %v, want %v", view, w, want)
		}
	}
}

func TestLegacyRefused(t *testing.T) {
	cases := []struct {
		want string
		data []byte
	}{
		{"outside", legacyFile(t, "FloatStorage", 8, "(X\x01\x00\x00\x00vK\x06K\x03t", "77")},
		{"outside", legacyFile(t, "FloatStorage", 8, "(X\x01\x00\x00\x00vK\x00K\x02t", "77")}, // the tensor has three elements
		{"broken view", legacyFile(t, "FloatStorage", 8, "K\x01", "77")},
		{"not supported", legacyFile(t, "QInt8Storage", 8, "N", "77")},
		{"has 8 elements where 7", legacyFile(t, "FloatStorage", 7, "N", "77")},
		{"cut short", legacyFile(t, "FloatStorage", 1<<30, "N", "77")},
		{"not in the file", legacyFile(t, "FloatStorage", 8, "N")},
		{"no tensor uses", legacyFile(t, "FloatStorage", 8, "N", "78")},
		{"listed twice", legacyFile(t, "FloatStorage", 8, "N", "77", "77")},
		{"not one of torch.save", wt.NewPickle().Op("}").Str("a").Op("Ns").Bytes()},
	}
	for i, c := range cases {
		if err := mustRefuse(t, c.want, c.data); err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("case %d: error %q, want one that contains %q", i, err, c.want)
		}
	}
}
