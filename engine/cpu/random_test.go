package cpu

import (
	"slices"
	"testing"

	"github.com/gomlx/compute"
	"github.com/gomlx/compute/dtypes"
	"github.com/gomlx/compute/shapes"
)

// randomBits runs the generator on a state.
func randomBits(t *testing.T, b *Backend, state []uint64, s shapes.Shape) (next []uint64, mem []byte) {
	t.Helper()
	bld := b.Builder("random")
	f := bld.Main()
	p, err := f.Parameter("state", compute.RNGStateShape, nil)
	if err != nil {
		t.Fatal(err)
	}
	newState, values, err := f.RNGBitGenerator(p, s)
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Return([]compute.Value{newState, values}, nil); err != nil {
		t.Fatal(err)
	}
	exe, err := bld.Compile()
	if err != nil {
		t.Fatal(err)
	}
	in, err := b.BufferFromFlatData(0, state, compute.RNGStateShape)
	if err != nil {
		t.Fatal(err)
	}
	outs, err := exe.Execute([]compute.Buffer{in}, nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	return slices.Clone(view[uint64](outs[0].(*Buffer).mem)), slices.Clone(outs[1].(*Buffer).mem)
}

// TestRandomBitsKnownAnswers uses the vectors of the Philox paper (kat_vectors of Random123, philox4x32 10) in XLA's layout of
// the state: the key, then the counter's low and high half; and XLA's layout of the results: words in order, two of them with
// the low one first for 64 bits, the low bits of one for narrow types.
func TestRandomBitsKnownAnswers(t *testing.T) {
	b := newBackend(t, 2)
	for _, c := range []struct{ state, next, words []uint64 }{
		{[]uint64{0, 0, 0}, []uint64{0, 1, 0}, []uint64{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}},
		{[]uint64{^uint64(0), ^uint64(0), ^uint64(0)}, []uint64{^uint64(0), 0, 0}, []uint64{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}},
		{[]uint64{0x299f31d0_a4093822, 0x85a308d3_243f6a88, 0x03707344_13198a2e}, []uint64{0x299f31d0_a4093822, 0x85a308d3_243f6a89, 0x03707344_13198a2e},
			[]uint64{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}},
		{[]uint64{7, ^uint64(0), 5}, []uint64{7, 0, 6}, nil}, // the carry into the high half
	} {
		next, mem := randomBits(t, b, c.state, shapes.Make(dtypes.Uint32, 4))
		if !slices.Equal(next, c.next) {
			t.Errorf("state %x becomes %x, want %x", c.state, next, c.next)
		}
		if c.words == nil {
			continue
		}
		for i, w := range view[uint32](mem) {
			if uint64(w) != c.words[i] {
				t.Errorf("state %x, word %d: %x, want %x", c.state, i, w, c.words[i])
			}
		}
		_, mem = randomBits(t, b, c.state, shapes.Make(dtypes.Uint64, 2))
		if got, want := view[uint64](mem), []uint64{c.words[0] | c.words[1]<<32, c.words[2] | c.words[3]<<32}; !slices.Equal(got, want) {
			t.Errorf("state %x: 64 bits %x, want %x", c.state, got, want)
		}
		for _, d := range []dtypes.DType{dtypes.Uint8, dtypes.Int16} {
			_, mem = randomBits(t, b, c.state, shapes.Make(d, 4))
			for i, w := range c.words {
				if got := unsigned(int64(mem[i*d.Size()])); got != w&0xff {
					t.Errorf("state %x, %s %d: low byte %x, want %x", c.state, d, i, got, w&0xff)
				}
			}
		}
	}
}

// TestRandomBitsOfAnySize checks that element i does not depend on the number of elements or workers, and how far states move.
func TestRandomBitsOfAnySize(t *testing.T) {
	state := []uint64{3, ^uint64(0) - 2, 9} // the carry happens inside
	_, all := randomBits(t, newBackend(t, 1), state, shapes.Make(dtypes.Uint32, 20_000))
	b := newBackend(t, 3)
	for _, c := range []struct {
		s    shapes.Shape
		used uint64
	}{
		{shapes.Make(dtypes.Uint32), 1}, {shapes.Make(dtypes.Uint32, 0), 0}, {shapes.Make(dtypes.Uint32, 5), 2}, {shapes.Make(dtypes.Int32, 4999, 4), 4999},
		{shapes.Make(dtypes.Uint64, 3, 3), 5}, {shapes.Make(dtypes.Float32, 7), 2}, {shapes.Make(dtypes.Uint64, 1), 1},
	} {
		next, mem := randomBits(t, b, state, c.s)
		if low, high := counterAt(state, c.used); next[0] != state[0] || next[1] != low || next[2] != high {
			t.Errorf("%s: state %x, want %d blocks on", c.s, next, c.used)
		}
		if !slices.Equal(mem, all[:len(mem)]) {
			t.Errorf("%s: other bits than a long array has", c.s)
		}
	}
	f := b.Builder("refused").Main()
	p, err := f.Parameter("state", compute.RNGStateShape, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := f.RNGBitGenerator(p, shapes.Make(dtypes.Bool, 2)); !compute.IsNotImplemented(err) {
		t.Errorf("random booleans: %v", err)
	}
}
