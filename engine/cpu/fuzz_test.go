package cpu

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/gomlx/compute"
	"github.com/gomlx/compute/dtypes"
)

// FuzzConvForms draws a convolution of a form from a seed and compares float32 and float64 with the definition.
func FuzzConvForms(f *testing.F) {
	b := newBackend(f, 2)
	names := slices.Sorted(maps.Keys(convForms))
	for i := range names {
		f.Add(uint64(1000+i), uint8(i))
	}
	f.Fuzz(func(t *testing.T, seed uint64, form uint8) {
		r := rand.New(rand.NewPCG(seed, 71))
		c := drawConv(r, names[int(form)%len(names)])
		if c.outSize(0) < 1 || c.outSize(1) < 1 {
			t.Skip("no output")
		}
		c.check(t, b, r)
	})
}

// FuzzDotForms draws a product of any axes from a seed and compares float32 with float64.
func FuzzDotForms(f *testing.F) {
	b := newBackend(f, 2)
	f.Add(uint64(1), uint8(0), uint8(1), uint8(7))
	f.Add(uint64(2), uint8(1), uint8(2), uint8(40))
	f.Fuzz(func(t *testing.T, seed uint64, batches, contracted, most uint8) {
		r := rand.New(rand.NewPCG(seed, 72))
		draw := func(n uint8) (out []int) {
			for range n % 3 {
				out = append(out, 1+r.IntN(1+int(most%60)))
			}
			return out
		}
		batch, contract := draw(batches), draw(contracted)
		x, lb, lc := place(r, batch, contract, draw(uint8(r.IntN(3))))
		y, rb, rc := place(r, batch, contract, draw(uint8(r.IntN(3))))
		if product(x)*product(y) > 1<<22 {
			t.Skip("too large")
		}
		build := one(func(f compute.Function, in []compute.Value) (compute.Value, error) {
			return f.DotGeneral(in[0], lc, lb, in[1], rc, rb, compute.DotGeneralConfig{})
		})
		xs, ys := randomArray(r, x...), randomArray(r, y...)
		got, want := run(t, b, dtypes.Float32, build, xs, ys), run(t, b, dtypes.Float64, build, xs, ys)
		near(t, fmt.Sprintf("%v %v %v x %v %v %v", x, lc, lb, y, rc, rb), got[0], want[0], 1e-5)
	})
}
