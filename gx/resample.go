package gx

import (
	"fmt"
	"math"

	"github.com/gomlx/gomlx/core/graph"
)

// UpsampleNearest repeats every pixel of x [n,h,w,c] factor times along both axes.
func UpsampleNearest(x *graph.Node, factor int) *graph.Node {
	n, h, w, c := dims4(x)
	y := graph.BroadcastToDims(graph.Reshape(x, n, h, 1, w, 1, c), n, h, factor, w, factor, c)
	return graph.Reshape(y, n, h*factor, w*factor, c)
}

// AvgPool is the mean of each k x k block of x [n,h,w,c]; rows and columns that do not fill a block are dropped.
func AvgPool(x *graph.Node, k int) *graph.Node { return graph.ReduceMean(blocks(x, k), 2, 4) }

// MaxPool is the largest of each k x k block of x, as AvgPool.
func MaxPool(x *graph.Node, k int) *graph.Node { return graph.ReduceMax(blocks(x, k), 2, 4) }

func blocks(x *graph.Node, k int) *graph.Node {
	n, h, w, c := dims4(x)
	if h%k != 0 || w%k != 0 {
		x = graph.Slice(x, graph.AxisRange(), graph.AxisRange(0, h/k*k), graph.AxisRange(0, w/k*k), graph.AxisRange())
	}
	return graph.Reshape(x, n, h/k, k, w/k, k, c)
}

func dims4(x *graph.Node) (n, h, w, c int) {
	x.AssertRank(4)
	d := x.Shape().Dimensions
	return d[0], d[1], d[2], d[3]
}

// Matrix is a linear map from In to Out samples, row by row: one axis of a resampling.
type Matrix struct {
	Out, In int
	Data    []float64 // [Out,In]
}

func newMatrix(out, in int) Matrix {
	if out <= 0 || in <= 0 {
		panic(fmt.Errorf("resampling of %d to %d samples", in, out))
	}
	return Matrix{out, in, make([]float64, out*in)}
}

func (m Matrix) add(o, i int, weight float64) {
	m.Data[o*m.In+min(max(i, 0), m.In-1)] += weight
}

// source returns where output sample o lies on the axis of the input, as PyTorch's interpolate places it: computed in
// float32, whose rounding (1e-6 of a sample) shows in the gradients.
func source(o, in, out int, alignCorners bool) float64 {
	if alignCorners {
		if out == 1 {
			return 0
		}
		scale := float32(in-1) / float32(out-1)
		return float64(scale * float32(o))
	}
	scale := float32(in) / float32(out)
	return float64(float32(scale*(float32(o)+0.5)) - 0.5)
}

// LinearMatrix is one axis of torch's interpolate(mode="bilinear"), without antialiasing.
func LinearMatrix(in, out int, alignCorners bool) Matrix {
	m := newMatrix(out, in)
	for o := range out {
		s := max(0, source(o, in, out, alignCorners))
		i := int(s)
		m.add(o, i, 1-(s-float64(i)))
		m.add(o, i+1, s-float64(i))
	}
	return m
}

// CubicMatrix is one axis of torch's interpolate(mode="bicubic"): Keys' kernel with a = -0.75, edges repeated. The
// weights are computed in float32, in torch's order of operations, as the places are: the cubics cancel.
func CubicMatrix(in, out int, alignCorners bool) Matrix {
	const a = float32(-0.75)
	near := func(t float32) float64 { // |t| <= 1
		return float64(float32(float32(float32(float32((a+2)*t)-(a+3))*t)*t) + 1)
	}
	far := func(t float32) float64 { // 1 < |t| < 2
		return float64(float32(float32(float32(float32(float32(a*t)-5*a)*t)+8*a)*t) - 4*a)
	}
	m := newMatrix(out, in)
	for o := range out {
		s := source(o, in, out, alignCorners)
		i := int(math.Floor(s))
		t := float32(s - math.Floor(s))
		m.add(o, i-1, far(t+1))
		m.add(o, i, near(t))
		m.add(o, i+1, near(1-t))
		m.add(o, i+2, far(2-t))
	}
	return m
}

// NearestMatrix is one axis of torch's interpolate(mode="nearest"): sample floor(o*in/out).
func NearestMatrix(in, out int) Matrix {
	m := newMatrix(out, in)
	for o := range out {
		m.add(o, o*in/out, 1)
	}
	return m
}

// AreaMatrix is one axis of torch's adaptive average pooling, which is also interpolate(mode="area"): the mean of the
// samples from floor(o*in/out) to ceil((o+1)*in/out).
func AreaMatrix(in, out int) Matrix {
	m := newMatrix(out, in)
	for o := range out {
		from, to := o*in/out, ((o+1)*in+out-1)/out
		for i := from; i < to; i++ {
			m.add(o, i, 1/float64(to-from))
		}
	}
	return m
}

// Resample applies one matrix to the rows and one to the columns of x [n,h,w,c].
func Resample(x *graph.Node, rows, cols Matrix) *graph.Node {
	_, h, w, _ := dims4(x)
	if rows.In != h || cols.In != w {
		panic(fmt.Errorf("resampling of %s by matrices for %dx%d", x.Shape(), rows.In, cols.In))
	}
	x = graph.DotGeneral(x, []int{1}, nil, constant(x, rows), []int{1}, nil) // [n,w,c,H]
	x = graph.DotGeneral(x, []int{1}, nil, constant(x, cols), []int{1}, nil) // [n,c,H,W]
	return graph.TransposeAllAxes(x, 0, 2, 3, 1)
}

func constant(like *graph.Node, m Matrix) *graph.Node {
	return graph.Reshape(graph.ConstAsDType(like.Graph(), like.DType(), m.Data), m.Out, m.In)
}
