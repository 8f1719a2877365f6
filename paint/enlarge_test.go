package paint

import (
	"bytes"
	"math"
	"slices"
	"testing"

	"github.com/smalti/smalti/engine"
)

func TestStretchKeepsPlanes(t *testing.T) {
	const h, w, c = 3, 4, 2
	at := func(y, x float64, k int) float64 { return 1 + 2*y - 3*x + 5*float64(k) }
	v := make([]float32, h*w*c)
	for i := range v {
		v[i] = float32(at((float64(i/c/w)+0.5)/h, (float64(i/c%w)+0.5)/w, i%c))
	}
	const height, width = 7, 8
	for i, got := range stretch(v, h, w, height, width, c) {
		// Beyond the middles of the outermost cells the plane goes on flat.
		y := min(max((float64(i/c/width)+0.5)/height, 0.5/h), 1-0.5/h)
		x := min(max((float64(i/c%width)+0.5)/width, 0.5/w), 1-0.5/w)
		if want := at(y, x, i%c); math.Abs(float64(got)-want) > 1e-5 { // float32 of numbers below 10
			t.Errorf("element %d is %g, want %g", i, got, want)
		}
	}
	if same := stretch(v, h, w, h, w, c); !slices.Equal(same, v) {
		t.Error("the same size changes numbers")
	}
}

// TestEnlargedRunGoesOn climbs in the middle of a run: the steps go on counting, nothing of the smaller size is compared with the
// larger one, and a painter that is restored from the state after it goes on to the same bytes.
func TestEnlargedRunGoesOn(t *testing.T) {
	small := toyConfig(t, "updated")
	small.Average, small.Plateau = 0.8, Plateau{Patience: 2, Factor: 0.5}
	large := small
	large.Width, large.Height = 2*small.Width, 2*small.Height
	p := begun(t, small)
	advance(t, p, 3)
	q := newPainter(t, large)
	if err := q.Enlarge(p); err != nil {
		t.Fatal(err)
	}
	if q.Step() != 3 || q.Idle() != 0 {
		t.Errorf("step %d, idle for %d", q.Step(), q.Idle())
	}
	state, err := q.State()
	if err != nil {
		t.Fatal(err)
	}
	if StepsOf(state) != 3 {
		t.Errorf("the state says %d steps", StepsOf(state))
	}
	if r := advance(t, q, 1); !r.Best {
		t.Error("the first loss at the new size is not its best")
	}
	advance(t, q, 2)
	other := newPainter(t, large)
	if err := other.Restore(state); err != nil {
		t.Fatal(err)
	}
	advance(t, other, 3)
	if a, b := stateBytes(t, q), stateBytes(t, other); !bytes.Equal(a, b) {
		t.Error("a restored painter goes on to other bytes")
	}
	for _, threads := range []int{1, 3} {
		e, err := engine.New(engine.Options{Threads: threads, LowMemory: threads == 1})
		if err != nil {
			t.Fatal(err)
		}
		d, enc := toys(t, e)
		one, err := New(e, d, []ImageEncoder{enc}, large)
		if err != nil {
			t.Fatal(err)
		}
		if err := one.Enlarge(p); err != nil {
			t.Fatal(err)
		}
		advance(t, one, 3)
		if !bytes.Equal(stateBytes(t, one), stateBytes(t, q)) {
			t.Errorf("%d threads paint other bytes", threads)
		}
		e.Close()
	}
	if err := q.Enlarge(newPainter(t, small)); err != ErrNotStarted {
		t.Errorf("a painter that painted nothing: %v", err)
	}
}

func stateBytes(t *testing.T, p *Painter) []byte {
	t.Helper()
	arrays, err := p.State()
	if err != nil {
		t.Fatal(err)
	}
	var b []byte
	for _, a := range arrays {
		b = append(b, a.Name...)
		for _, v := range a.Data {
			bits := math.Float32bits(v)
			b = append(b, byte(bits), byte(bits>>8), byte(bits>>16), byte(bits>>24))
		}
	}
	return b
}
