package engine

import (
	"fmt"
	"math"
	"slices"
	"testing"

	"github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"

	"github.com/smalti/smalti/gx"
	"github.com/smalti/smalti/rng"
)

// convCase is a convolution of x [b,h,w,c] with a kernel [kh,kw,c/groups,o], and the axis orders in which the backend
// gets to see them: order[i] is the axis of the array as stored that holds axis i of the names above.
type convCase struct {
	b, c, o, groups          int
	in, kernel               [2]int
	stride, xDilate, wDilate [2]int
	pad                      [2][2]int
	xOrder, wOrder, yOrder   []int
}

func (c convCase) out(i int) int {
	n := (c.in[i]-1)*c.xDilate[i] + 1 + c.pad[i][0] + c.pad[i][1] - (c.kernel[i]-1)*c.wDilate[i] - 1
	if n < 0 {
		return 0
	}
	return n/c.stride[i] + 1
}

// naive is the definition: one loop for each index.
func (c convCase) naive(x, w []float64) []float64 {
	oh, ow := c.out(0), c.out(1)
	ci, co := c.c/c.groups, c.o/c.groups
	y := make([]float64, c.b*oh*ow*c.o)
	for at := range y {
		o, j, i, b := at%c.o, at/c.o%ow, at/c.o/ow%oh, at/c.o/ow/oh
		for q := range c.kernel[0] * c.kernel[1] {
			p := [2]int{i*c.stride[0] + q/c.kernel[1]*c.wDilate[0] - c.pad[0][0], j*c.stride[1] + q%c.kernel[1]*c.wDilate[1] - c.pad[1][0]}
			if p[0] < 0 || p[1] < 0 || p[0]%c.xDilate[0] != 0 || p[1]%c.xDilate[1] != 0 ||
				p[0]/c.xDilate[0] >= c.in[0] || p[1]/c.xDilate[1] >= c.in[1] {
				continue
			}
			row := ((b*c.in[0]+p[0]/c.xDilate[0])*c.in[1] + p[1]/c.xDilate[1]) * c.c
			for k := range ci {
				y[at] += x[row+o/co*ci+k] * w[(q*ci+k)*c.o+o]
			}
		}
	}
	return y
}

// stored permutes a row-major array so that its axis i becomes axis order[i].
func stored(x []float64, dims, order []int) (out []float64, outDims []int) {
	outDims = make([]int, len(dims))
	for i, d := range dims {
		outDims[order[i]] = d
	}
	out = make([]float64, len(x))
	for at := range x {
		rest, index := at, make([]int, len(dims))
		for i := len(dims) - 1; i >= 0; i-- {
			index[order[i]] = rest % dims[i]
			rest /= dims[i]
		}
		to := 0
		for i, v := range index {
			to = to*outDims[i] + v
		}
		out[to] = x[at]
	}
	return out, outDims
}

func (c convCase) axes() graph.ConvolveAxesConfig {
	x, w, y := c.xOrder, c.wOrder, c.yOrder
	return graph.ConvolveAxesConfig{
		InputBatch: x[0], InputSpatial: []int{x[1], x[2]}, InputChannels: x[3],
		KernelSpatial: []int{w[0], w[1]}, KernelInputChannels: w[2], KernelOutputChannels: w[3],
		OutputBatch: y[0], OutputSpatial: []int{y[1], y[2]}, OutputChannels: y[3],
	}
}

// randomCase draws a case; the sizes are small and odd enough to leave remainders everywhere.
func randomCase(s *rng.Stream) convCase {
	axis := func() (in, kernel, stride, xDilate, wDilate int, pad [2]int) {
		one := func(chance, most int) int {
			if s.IntN(chance) == 0 {
				return 2 + s.IntN(most-1)
			}
			return 1
		}
		return 1 + s.IntN(8), 1 + s.IntN(6), one(3, 3), one(3, 3), one(4, 2), [2]int{s.IntN(5) - 1, s.IntN(5) - 1}
	}
	orders := [][]int{{0, 1, 2, 3}, {0, 2, 3, 1}, {3, 1, 2, 0}, {3, 0, 1, 2}}
	for {
		c := convCase{b: 1 + s.IntN(3), groups: 1}
		if s.IntN(4) == 0 {
			c.groups = 2 + s.IntN(2)
		}
		c.c, c.o = c.groups*(1+s.IntN(3)), c.groups*(1+s.IntN(3))
		for i := range 2 {
			c.in[i], c.kernel[i], c.stride[i], c.xDilate[i], c.wDilate[i], c.pad[i] = axis()
		}
		c.xOrder, c.wOrder, c.yOrder = orders[s.IntN(4)], orders[s.IntN(4)], orders[s.IntN(4)]
		if c.out(0) > 0 && c.out(1) > 0 && (c.in[0]-1)*c.xDilate[0]+1+min(0, c.pad[0][0]) > 0 && (c.in[1]-1)*c.xDilate[1]+1+min(0, c.pad[1][0]) > 0 {
			return c
		}
	}
}

// TestConvAgainstDefinition draws convolutions of every form in float64: strides, both dilations, groups, negative pads,
// kernels larger than pictures, and the axis orders of channels-first pictures and of gradients.
func TestConvAgainstDefinition(t *testing.T) {
	e := sharedEngine(t)
	s := rng.New(5, "conv")
	for n := range 300 {
		c := randomCase(s)
		normal := func(n int) []float64 {
			v := make([]float64, n)
			for i := range v {
				v[i] = s.Normal()
			}
			return v
		}
		xDims := []int{c.b, c.in[0], c.in[1], c.c}
		wDims := []int{c.kernel[0], c.kernel[1], c.c / c.groups, c.o}
		x, w := normal(c.b*c.in[0]*c.in[1]*c.c), normal(c.kernel[0]*c.kernel[1]*wDims[2]*c.o)
		xs, xd := stored(x, xDims, c.xOrder)
		ws, wd := stored(w, wDims, c.wOrder)
		want, wantDims := stored(c.naive(x, w), []int{c.b, c.out(0), c.out(1), c.o}, c.yOrder)
		out, err := e.Program(fmt.Sprint("conv ", n), func(_ *gx.Vars, in []*graph.Node) []*graph.Node {
			return []*graph.Node{graph.ConvGeneral(in[0], in[1], c.axes(), c.stride[:], c.pad[:], c.xDilate[:], c.wDilate[:], c.groups, 1)}
		}).Run(nil, tensors.FromFlatDataAndDimensions(xs, xd...), tensors.FromFlatDataAndDimensions(ws, wd...))
		if err != nil {
			t.Fatalf("%+v: %v", c, err)
		}
		if got := out[0].Shape().Dimensions; !slices.Equal(got, wantDims) {
			t.Fatalf("%+v: shape %v, want %v", c, got, wantDims)
		}
		got := tensors.MustCopyFlatData[float64](out[0])
		for i := range want {
			// At most 5*5*3 products of normal numbers are summed, in another order: 1e-12 is a thousand roundings.
			if math.Abs(got[i]-want[i]) > 1e-12*(1+math.Abs(want[i])) {
				t.Fatalf("%+v: element %d is %g, want %g", c, i, got[i], want[i])
			}
		}
	}
}

// TestPadCrops checks negative edges, with and without zeros between, against the definition.
func TestPadCrops(t *testing.T) {
	e := sharedEngine(t)
	for _, a := range []graph.PadAxis{
		{Start: -1}, {End: -1}, {Start: -2, End: 1}, {Start: 1, End: -2}, {Start: -1, End: -1, Interior: 1}, {Start: -2, End: -3, Interior: 2}, {Start: 2, End: 1, Interior: 1},
	} {
		x := []float32{1, 2, 3, 4}
		n := (len(x)-1)*(a.Interior+1) + 1
		var want []float32
		for i := -a.Start; i < n+a.End; i++ {
			v := float32(-7)
			if i >= 0 && i < n && i%(a.Interior+1) == 0 {
				v = x[i/(a.Interior+1)]
			}
			want = append(want, v)
		}
		out, err := e.Program(fmt.Sprintf("pad %+v", a), func(_ *gx.Vars, in []*graph.Node) []*graph.Node {
			return []*graph.Node{graph.Pad(in[0], graph.Scalar(in[0].Graph(), in[0].DType(), -7.0), a)}
		}).Run(nil, FromFloats(x, 4))
		if err != nil {
			t.Fatal(err)
		}
		if got := Floats(out[0]); !slices.Equal(got, want) {
			t.Errorf("%+v: %v, want %v", a, got, want)
		}
	}
}
