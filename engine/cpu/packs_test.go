package cpu

import (
	"math/rand/v2"
	"reflect"
	"runtime"
	"testing"
	"time"

	"github.com/gomlx/compute"
	"github.com/gomlx/compute/dtypes"
	"github.com/gomlx/compute/shapes"
)

// TestPackBudget keeps packs up to the budget, from the second request on, and gets the budget back from buffers that are gone.
func TestPackBudget(t *testing.T) {
	b := newBackend(t, 1)
	b.memory.winograd.most = 4000
	made := 0
	ask := func(x *Buffer, n int) bool {
		return x.pack(packing{key: "p", bytes: n, winograd: true, make: func([]float32) { made++ }}) != nil
	}
	fill := func() {
		x, y := b.newBuffer(shapes.Make(dtypes.Float32, 4)), b.newBuffer(shapes.Make(dtypes.Float32, 4))
		if ask(x, 4000) || !ask(x, 4000) || !ask(x, 4000) || made != 1 {
			t.Errorf("made %d times, want once, at the second request", made)
		}
		if ask(y, 4) || ask(y, 4) || ask(y, 4) || made != 1 {
			t.Errorf("kept a pack beyond the budget")
		}
	}
	fill()
	z := b.newBuffer(shapes.Make(dtypes.Float32, 4))
	ask(z, 4000)
	for range 200 {
		runtime.GC()
		if ask(z, 4000) {
			return
		}
		time.Sleep(5 * time.Millisecond)
	}
	t.Error("the budget of a buffer that is gone is still used")
}

// TestPackedWeightsLiveInTheirPacks multiplies by a weight and by its transpose until both packed forms are kept: the weight has
// no memory of its own then, and still has its numbers, for reading, for products that never saw it, and for other operations.
func TestPackedWeightsLiveInTheirPacks(t *testing.T) {
	if mapFrom > 4*600*700 {
		t.Skip("weights are on the heap here")
	}
	b := newBackend(t, 2)
	r := rand.New(rand.NewPCG(3, 4))
	x, y, w := randomArray(r, 3, 600), randomArray(r, 3, 700), randomArray(r, 600, 700)
	dots := func(f compute.Function, in []compute.Value) ([]compute.Value, error) {
		u, err := f.DotGeneral(in[0], []int{1}, nil, in[2], []int{0}, nil, compute.DotGeneralConfig{})
		if err != nil {
			return nil, err
		}
		v, err := f.DotGeneral(in[1], []int{1}, nil, in[2], []int{1}, nil, compute.DotGeneralConfig{})
		return []compute.Value{u, v}, err
	}
	exe, bufs := compileBody(t, b, dtypes.Float32, dots, x, y, w)
	weight := bufs[2].(*Buffer)
	var want []array
	for i := range 4 {
		outs, err := exe.Execute(bufs, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		got := read(outs)
		if want == nil {
			want = got
		}
		if !reflect.DeepEqual(got, want) {
			t.Fatalf("run %d: other numbers", i)
		}
		if gone := weight.mem == nil; gone != (i > 0) {
			t.Fatalf("after run %d: weight without memory: %v", i, gone)
		}
	}
	flat := make([]float32, 600*700)
	if err := weight.ToFlatData(flat); err != nil {
		t.Fatal(err)
	}
	for i, v := range flat {
		if float64(v) != w.data[i] {
			t.Fatalf("element %d is %v, want %v", i, v, w.data[i])
		}
	}
	if weight.mem != nil {
		t.Error("the memory stayed after reading")
	}
	other, _ := compileBody(t, b, dtypes.Float32, one(func(f compute.Function, in []compute.Value) (compute.Value, error) {
		return f.Neg(in[2])
	}), x, y, w)
	for range 2 {
		outs, err := other.Execute(bufs, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		for i, v := range read(outs)[0].data {
			if v != -w.data[i] {
				t.Fatalf("element %d is %v, want %v", i, v, -w.data[i])
			}
		}
	}
	if weight.mem == nil {
		t.Error("a weight that is read as it is has no memory")
	}
	if err := weight.Finalize(); err != nil || b.memory.packs.used.Load() != 0 {
		t.Errorf("%d bytes of packs are left (%v)", b.memory.packs.used.Load(), err)
	}
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
