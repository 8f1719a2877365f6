package bench

import (
	"reflect"
	"testing"

	"github.com/smalti/smalti/engine"
	"github.com/smalti/smalti/paint"
)

// TestModesPaintTheSameBytes paints three steps with everything that may change memory and speed but no byte: threads, chunks,
// and whether the engine keeps what it needs again, and bands.
func TestModesPaintTheSameBytes(t *testing.T) {
	type mode struct {
		threads, chunk int
		low            bool
		bands          int
	}
	modes := []mode{{1, 4, false, 0}, {2, 4, true, 0}, {3, 1, false, 32 << 10}, {7, 32, true, 0}, {2, 32, false, 100 << 10}, {1, 1, true, 16 << 10}}
	for _, precision := range []string{engine.F32, engine.Mixed} {
		var want []paint.Array
		for _, m := range modes {
			e, err := engine.New(engine.Options{Threads: m.threads, Precision: precision, LowMemory: m.low, Bands: m.bands})
			if err != nil && precision == engine.Mixed {
				t.Skip(err) // this machine does not multiply bfloat16
			}
			if err != nil {
				t.Fatal(err)
			}
			p, err := newPainter(e, Painting{Decoder: "builtin-v0", Encoder: "tiny", Size: 64, Cuts: 6, Chunk: m.chunk, Scheme: "updated"})
			if err != nil {
				t.Fatal(err)
			}
			for range 3 {
				if _, err := p.Advance(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
			got, err := p.State()
			if err != nil {
				t.Fatal(err)
			}
			if want == nil {
				want = got
			}
			if !reflect.DeepEqual(got, want) {
				t.Errorf("%s, %+v: other bytes than with %+v", precision, m, modes[0])
			}
			e.Close()
		}
	}
}
