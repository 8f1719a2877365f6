package cpu

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/gomlx/compute"
	"github.com/gomlx/compute/dtypes"
)

// indexCase is a drawn Gather and the scatter that goes back: windows of an operand at indices. The window axes of the result
// (or of the updates) stand anywhere among the axes of the indices.
type indexCase struct {
	operand, window      []int // window: its size along each axis of the operand
	dropped              []int // axes of the operand, of window 1, that the result does not have
	toAxes               []int // the operand's axis of each element of an index vector
	index                []int // dimensions of the indices
	vector               int   // their axis of the index vectors, or their rank: vectors of one element without an axis
	result, windowInside []int // dimensions, and which axes of them are the window's
}

func drawIndices(r *rand.Rand) indexCase {
	var c indexCase
	c.operand = [][]int{{9}, {5, 7}, {4, 3, 6}, {5, 6, 4}, {2, 3, 4, 3}}[r.IntN(5)]
	var kept []int
	for i, d := range c.operand {
		c.window = append(c.window, 1+r.IntN(d))
		if r.IntN(3) == 0 {
			c.window[i] = 1
			c.dropped = append(c.dropped, i)
		} else {
			kept = append(kept, c.window[i])
		}
	}
	c.toAxes = r.Perm(len(c.operand))[:1+r.IntN(len(c.operand))]
	batch := [][]int{{}, {3}, {2, 3}, {1, 4}}[r.IntN(4)]
	c.vector = r.IntN(len(batch) + 1)
	if len(c.toAxes) == 1 && r.IntN(2) == 0 {
		c.index, c.vector = slices.Clone(batch), len(batch)
	} else {
		c.index = slices.Insert(slices.Clone(batch), c.vector, len(c.toAxes))
	}
	rank := len(batch) + len(kept)
	c.windowInside = r.Perm(rank)[:len(kept)]
	slices.Sort(c.windowInside)
	for i := range rank {
		if k := slices.Index(c.windowInside, i); k >= 0 {
			c.result = append(c.result, kept[k])
		} else {
			c.result, batch = append(c.result, batch[0]), batch[1:]
		}
	}
	return c
}

// at is where element i of the result stands in the operand: the start that its index vector gives, and the place in the window.
func (c indexCase) at(i int, indices []int32) (start, inside []int) {
	var batch []int
	inside = make([]int, len(c.operand))
	kept := rest(len(c.operand), c.dropped)
	for axis, v := range unflat(c.result, i) {
		if k := slices.Index(c.windowInside, axis); k >= 0 {
			inside[kept[k]] = v
		} else {
			batch = append(batch, v)
		}
	}
	start = make([]int, len(c.operand))
	for k, axis := range c.toAxes {
		at := batch
		if c.vector < len(c.index) {
			at = slices.Insert(slices.Clone(batch), c.vector, k)
		}
		start[axis] = int(indices[flat(c.index, at)])
	}
	return start, inside
}

// TestGatherAndScatter compares all index layouts, with indices outside the operand too, with the definitions: a gather moves
// such a window to the border, a scatter leaves it out.
func TestGatherAndScatter(t *testing.T) {
	b := newBackend(t, 3)
	for seed := range uint64(200) {
		r := rand.New(rand.NewPCG(seed, 51))
		c := drawIndices(r)
		x, u := randomArray(r, c.operand...), randomArray(r, c.result...)
		for i := range x.data {
			x.data[i] = math.Round(4 * x.data[i])
		}
		for i := range u.data {
			u.data[i] = math.Round(4 * u.data[i])
		}
		indices := make([]int32, product(c.index))
		for i := range indices {
			indices[i] = int32(r.IntN(9) - 2)
		}
		gathered := array{c.result, make([]float64, len(u.data))}
		sum, most, least := slices.Clone(x.data), slices.Clone(x.data), slices.Clone(x.data)
		for i, v := range u.data {
			start, inside := c.at(i, indices)
			whole := true
			from, to := make([]int, len(start)), make([]int, len(start))
			for k, s := range start {
				whole = whole && s >= 0 && s+c.window[k] <= c.operand[k]
				from[k], to[k] = min(max(s, 0), c.operand[k]-c.window[k])+inside[k], s+inside[k]
			}
			gathered.data[i] = x.data[flat(c.operand, from)]
			if whole {
				k := flat(c.operand, to)
				sum[k], most[k], least[k] = sum[k]+v, max(most[k], v), min(least[k], v)
			}
		}
		for _, d := range []dtypes.DType{dtypes.Float32, dtypes.Int32, dtypes.BFloat16} {
			got := run(t, b, d, func(f compute.Function, in []compute.Value) ([]compute.Value, error) {
				rec := record{t, f}
				idx := rec.v(f.Constant(indices, c.index...))
				return []compute.Value{rec.v(f.Gather(in[0], idx, c.vector, c.windowInside, c.dropped, c.toAxes, c.window, false)),
					rec.v(f.ScatterSum(in[0], idx, in[1], c.vector, c.windowInside, c.dropped, c.toAxes, false, false)),
					rec.v(f.ScatterMax(in[0], idx, in[1], c.vector, c.windowInside, c.dropped, c.toAxes, false, false)),
					rec.v(f.ScatterMin(in[0], idx, in[1], c.vector, c.windowInside, c.dropped, c.toAxes, false, false))}, nil
			}, x, u)
			what := fmt.Sprintf("seed %d: %s %+v", seed, d, c)
			near(t, what+": gather", got[0], gathered, 0)
			near(t, what+": sum", got[1], array{c.operand, sum}, 0)
			near(t, what+": max", got[2], array{c.operand, most}, 0)
			near(t, what+": min", got[3], array{c.operand, least}, 0)
		}
	}
}
