package cpu

import (
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/gomlx/compute"
	"github.com/gomlx/compute/dtypes"
)

// TestRowsEqualTheGeneralWay holds gathers and scatter sums of whole rows, which have a way of their own for int32
// indices, to the general way, which int64 indices take: bit for bit, on any number of threads, with rows that meet,
// and with indices outside (gathers move them to the border, scatters leave them out).
func TestRowsEqualTheGeneralWay(t *testing.T) {
	const rows, picks = 700, 6001
	for _, width := range []int{1, 3, 16, 17, 40} {
		r := rand.New(rand.NewPCG(7, uint64(width)))
		x, u := randomArray(r, rows, width), randomArray(r, picks, width)
		short, long := make([]int32, picks), make([]int64, picks)
		for i := range short {
			short[i] = int32(r.IntN(rows+40) - 20)
			long[i] = int64(short[i])
		}
		build := func(idx any) body {
			return func(f compute.Function, in []compute.Value) ([]compute.Value, error) {
				at, err := f.Constant(idx, picks, 1)
				if err != nil {
					return nil, err
				}
				s, err := f.ScatterSum(in[0], at, in[1], 1, []int{1}, []int{0}, []int{0}, false, false)
				if err != nil {
					return nil, err
				}
				g, err := f.Gather(in[0], at, 1, []int{1}, []int{0}, []int{0}, []int{1, width}, false)
				return []compute.Value{s, g}, err
			}
		}
		want := run(t, newBackend(t, 1), dtypes.Float32, build(long), x, u)
		for _, threads := range []int{1, 2, 3, 7} {
			got := run(t, newBackend(t, threads), dtypes.Float32, build(short), x, u)
			for k, name := range []string{"scatter", "gather"} {
				if !slices.Equal(got[k].data, want[k].data) {
					t.Errorf("%s of rows of %d on %d threads differs from the general way", name, width, threads)
				}
			}
		}
	}
}
