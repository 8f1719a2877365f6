package cpu

import (
	"runtime"
	"testing"
	"time"

	"github.com/gomlx/compute/dtypes"
	"github.com/gomlx/compute/shapes"
)

// TestPackWithin keeps packs up to the budget, from the second request on, and gets the budget back from buffers that are gone.
func TestPackWithin(t *testing.T) {
	b, err := New(Options{Threads: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Finalize()
	made := 0
	ask := func(x *Buffer, n int) bool {
		return x.packWithin("p", n, func() []float32 { made++; return []float32{1} }) != nil
	}
	fill := func() {
		x, y := b.newBuffer(shapes.Make(dtypes.Float32, 4)), b.newBuffer(shapes.Make(dtypes.Float32, 4))
		if ask(x, winogradBytes) || !ask(x, winogradBytes) || !ask(x, winogradBytes) || made != 1 {
			t.Errorf("made %d times, want once, at the second request", made)
		}
		if ask(y, 1) || ask(y, 1) || ask(y, 1) || made != 1 {
			t.Errorf("kept a pack beyond the budget")
		}
	}
	fill()
	z := b.newBuffer(shapes.Make(dtypes.Float32, 4))
	ask(z, winogradBytes)
	for range 200 {
		runtime.GC()
		if ask(z, winogradBytes) {
			return
		}
		time.Sleep(5 * time.Millisecond)
	}
	t.Error("the budget of a buffer that is gone is still used")
}

// TestArenas gives the smallest arena that is large enough, and keeps no arena that a larger one replaced.
func TestArenas(t *testing.T) {
	var a arenas
	small, large := a.take(100), a.take(1000)
	a.give(small)
	a.give(large)
	if m := a.take(90); &m[0] != &small[0] {
		t.Error("not the smallest arena that fits")
	} else {
		a.give(m)
	}
	a.give(a.take(2000))
	if len(a.free) != 2 || len(a.free[0]) != 100 || len(a.free[1]) != 2000 {
		t.Errorf("%d arenas are kept, want those of 100 and 2000 bytes", len(a.free))
	}
}
