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

// windowCase is a drawn window.
type windowCase struct {
	x                       []int
	size, strides, inD, dil []int
	pads                    [][2]int
}

func drawWindow(r *rand.Rand, scatter bool) windowCase {
	dims := [][]int{{7}, {2, 9, 8, 3}, {2, 3, 7, 9}, {1, 6, 6, 70}, {5, 4}, {2, 5, 5, 16}, {3, 2, 4, 3, 2}}[r.IntN(7)]
	c := windowCase{x: dims}
	for _, d := range dims {
		covered := r.IntN(3) > 0
		size, stride, in, dil, pad := 1, 1, 1, 1, [2]int{}
		if covered {
			size, stride = 1+r.IntN(3), 1+r.IntN(3)
			if !scatter {
				in, dil = 1+r.IntN(2), 1+r.IntN(2)
			}
			pad = [2]int{r.IntN(3), r.IntN(3)}
			for (size-1)*dil+1 > (d-1)*in+1+pad[0]+pad[1] {
				size--
			}
		}
		c.size, c.strides, c.inD, c.dil, c.pads = append(c.size, size), append(c.strides, stride), append(c.inD, in), append(c.dil, dil), append(c.pads, pad)
	}
	return c
}

// seen calls f with the operand's elements that an output position sees, in order.
func (c windowCase) seen(at []int, f func(i int)) {
	for w := range product(c.size) {
		from, ok := make([]int, len(at)), true
		for i, k := range unflat(c.size, w) {
			u := at[i]*c.strides[i] + k*c.dil[i] - c.pads[i][0]
			ok = ok && u >= 0 && u%c.inD[i] == 0 && u/c.inD[i] < c.x[i]
			from[i] = u / c.inD[i]
		}
		if ok {
			f(flat(c.x, from))
		}
	}
}

// TestReduceWindow compares all reductions in several types with the definition.
func TestReduceWindow(t *testing.T) {
	b := newBackend(t, 2)
	neutral := map[compute.ReduceOpType]float64{compute.ReduceOpSum: 0, compute.ReduceOpProduct: 1, compute.ReduceOpMax: math.Inf(-1), compute.ReduceOpMin: math.Inf(1)}
	combine := map[compute.ReduceOpType]func(x, y float64) float64{compute.ReduceOpSum: func(x, y float64) float64 { return x + y },
		compute.ReduceOpProduct: func(x, y float64) float64 { return x * y }, compute.ReduceOpMax: func(x, y float64) float64 { return max(x, y) },
		compute.ReduceOpMin: func(x, y float64) float64 { return min(x, y) }}
	for seed := range uint64(120) {
		r := rand.New(rand.NewPCG(seed, 21))
		c := drawWindow(r, false)
		kind := compute.ReduceOpType(1 + r.IntN(4))
		d := []dtypes.DType{dtypes.Float32, dtypes.Float32, dtypes.Float64, dtypes.Int32, dtypes.BFloat16, dtypes.Float16}[r.IntN(6)]
		x := randomArray(r, c.x...)
		for i := range x.data { // numbers that every type holds, and sums of them too
			x.data[i] = math.Round(2 * x.data[i])
		}
		got := run(t, b, d, one(func(f compute.Function, in []compute.Value) (compute.Value, error) {
			return f.ReduceWindow(in[0], kind, c.size, c.strides, c.inD, c.dil, c.pads)
		}), x)[0]
		want := array{got.dims, make([]float64, product(got.dims))}
		for o := range want.data {
			v := neutral[kind]
			c.seen(unflat(got.dims, o), func(i int) { v = combine[kind](v, x.data[i]) })
			if math.IsInf(v, 0) && d == dtypes.Int32 { // a window that sees nothing
				v = map[bool]float64{true: math.MaxInt32, false: math.MinInt32}[v > 0]
			}
			want.data[o] = v
		}
		tolerance := 0.0
		if kind == compute.ReduceOpProduct && isHalf(d) {
			tolerance = 1.0 / 128 // products need more bits than bfloat16 has
		}
		near(t, fmt.Sprintf("seed %d: %s %s %+v", seed, kind, d, c), got, want, tolerance)
	}
}

// TestSelectAndScatter compares the gradient of pooling with the definition, overlaps and padding included.
func TestSelectAndScatter(t *testing.T) {
	b := newBackend(t, 3)
	for seed := range uint64(80) {
		r := rand.New(rand.NewPCG(seed, 22))
		c := drawWindow(r, true)
		x := randomArray(r, c.x...)
		for i := range x.data { // with many ties
			x.data[i] = math.Round(x.data[i])
		}
		var out []int
		for i, d := range c.x {
			out = append(out, (d+c.pads[i][0]+c.pads[i][1]-c.size[i])/c.strides[i]+1)
		}
		y := randomArray(r, out...)
		for i := range y.data {
			y.data[i] = math.Round(4 * y.data[i])
		}
		smallest := r.IntN(2) == 0
		want := array{c.x, make([]float64, len(x.data))}
		for o, v := range y.data {
			best := -1
			c.seen(unflat(out, o), func(i int) {
				if best < 0 || (smallest && x.data[i] < x.data[best]) || (!smallest && x.data[i] > x.data[best]) {
					best = i
				}
			})
			if best >= 0 {
				want.data[best] += v
			}
		}
		for _, d := range []dtypes.DType{dtypes.Float32, dtypes.Float64, dtypes.BFloat16, dtypes.Int64} {
			got := run(t, b, d, one(func(f compute.Function, in []compute.Value) (compute.Value, error) {
				if smallest {
					return f.SelectAndScatterMin(in[0], in[1], c.size, c.strides, c.pads)
				}
				return f.SelectAndScatterMax(in[0], in[1], c.size, c.strides, c.pads)
			}), x, y)
			near(t, fmt.Sprintf("seed %d: %s %+v", seed, d, c), got[0], want, 0)
		}
	}
}

// TestWindowsAndNaN checks that NaN in a window is chosen and folded, and that a window over padding alone gives the neutral element.
func TestWindowsAndNaN(t *testing.T) {
	b := newBackend(t, 1)
	nan := math.NaN()
	x := array{[]int{4}, []float64{1, nan, 3, 2}}
	got := run(t, b, dtypes.Float32, func(f compute.Function, in []compute.Value) ([]compute.Value, error) {
		m, err1 := f.ReduceWindow(in[0], compute.ReduceOpMax, []int{2}, nil, nil, nil, [][2]int{{2, 0}})
		s, err2 := f.SelectAndScatterMax(in[0], in[1], []int{2}, nil, nil)
		if err1 == nil {
			err1 = err2
		}
		return []compute.Value{m, s}, err1
	}, x, array{[]int{2}, []float64{10, 20}})
	near(t, "maxima", got[0], array{[]int{3}, []float64{math.Inf(-1), nan, 3}}, 0)
	near(t, "gradient", got[1], array{[]int{4}, []float64{0, 10, 20, 0}}, 0)
}

// TestDynamicSlices compares slices at computed places, inside and outside, with those at clamped constant ones.
func TestDynamicSlices(t *testing.T) {
	b := newBackend(t, 2)
	for seed := range uint64(60) {
		r := rand.New(rand.NewPCG(seed, 23))
		dims := [][]int{{9}, {5, 7}, {3, 40, 24}, {2, 3, 4, 5}}[seed%4]
		size, starts, clamped := make([]int, len(dims)), make([]array, len(dims)), make([]int, len(dims))
		for i, d := range dims {
			size[i] = r.IntN(d + 1)
			at := r.IntN(3*d) - d
			starts[i] = array{nil, []float64{float64(at)}}
			clamped[i] = min(max(at, 0), d-size[i])
		}
		x, u := randomArray(r, dims...), randomArray(r, size...)
		want := array{dims, slices.Clone(x.data)}
		part := array{size, make([]float64, product(size))}
		for o := range part.data {
			at := unflat(size, o)
			for i := range at {
				at[i] += clamped[i]
			}
			part.data[o] = x.data[flat(dims, at)]
			want.data[flat(dims, at)] = u.data[o]
		}
		for i := range x.data {
			x.data[i], want.data[i] = math.Round(8*x.data[i]), math.Round(8*want.data[i])
		}
		for i := range u.data {
			u.data[i], part.data[i] = math.Round(8*u.data[i]), math.Round(8*part.data[i])
		}
		for _, d := range []dtypes.DType{dtypes.Float32, dtypes.Int16, dtypes.Int64} {
			got := run(t, b, d, func(f compute.Function, in []compute.Value) ([]compute.Value, error) {
				at := make([]compute.Value, len(dims))
				for i := range at {
					v, err := f.ConvertDType(in[2+i], dtypes.Int32)
					if err != nil {
						return nil, err
					}
					at[i] = v
				}
				if seed%2 == 0 { // all in one array
					for i, v := range at {
						one, err := f.Reshape(v, 1)
						if err != nil {
							return nil, err
						}
						at[i] = one
					}
					v, err := f.Concatenate(0, at...)
					if err != nil {
						return nil, err
					}
					at = []compute.Value{v}
				}
				s, err1 := f.DynamicSlice(in[0], at, size)
				p, err2 := f.DynamicUpdateSlice(in[0], in[1], at)
				if err1 == nil {
					err1 = err2
				}
				return []compute.Value{s, p}, err1
			}, append([]array{x, u}, starts...)...)
			what := fmt.Sprintf("seed %d: %s %v of %v at %v", seed, d, size, dims, starts)
			near(t, what, got[0], part, 0)
			near(t, what, got[1], want, 0)
		}
	}
}
