package engine

import (
	"fmt"
	"sync"
	"testing"

	"github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"

	"github.com/smalti/smalti/gx"
	"github.com/smalti/smalti/rng"
)

func filled(name string, dims ...int) *tensors.Tensor {
	n := 1
	for _, d := range dims {
		n *= d
	}
	data := make([]float32, n)
	rng.New(1, name).FillNormal(data)
	return FromFloats(data, dims...)
}

// BenchmarkConv reports GFLOP/s of the shapes that the built-in models train on: forward, input gradient and kernel
// gradient apart.
func BenchmarkConv(b *testing.B) {
	shapes := []struct {
		n, side, in, out, k, stride int
	}{
		{64, 32, 24, 24, 3, 1}, {64, 16, 56, 56, 3, 1}, {64, 8, 112, 112, 3, 1}, {64, 32, 24, 56, 3, 2}, {64, 16, 56, 56, 1, 1},
	}
	for _, s := range shapes {
		conv := func(x, w *graph.Node) *graph.Node {
			return gx.Convolve(x, w, gx.ConvOptions{Stride: s.stride, Pad: gx.Around(s.k / 2)})
		}
		x, w := filled("x", s.n, s.side, s.side, s.in), filled("w", s.k, s.k, s.in, s.out)
		out := s.side / s.stride
		v := filled("v", s.n, out, out, s.out)
		flops := 2 * float64(s.n*out*out*s.out) * float64(s.k*s.k*s.in)
		gradient := func(i int) func(in []*graph.Node) []*graph.Node {
			return func(in []*graph.Node) []*graph.Node {
				y := graph.ReduceAllSum(graph.Mul(conv(in[0], in[1]), in[2]))
				return graph.Gradient(y, in[i])
			}
		}
		name := fmt.Sprintf("%dx%dx%d-%d/k%ds%d", s.side, s.side, s.in, s.out, s.k, s.stride)
		bench(b, name+"/F", flops, func(in []*graph.Node) []*graph.Node { return []*graph.Node{conv(in[0], in[1])} }, x, w)
		bench(b, name+"/DX", flops, gradient(0), x, w, v)
		bench(b, name+"/DW", flops, gradient(1), x, w, v)
	}
}

// BenchmarkOps reports Gelem/s of single operations on [64,32,32,24].
func BenchmarkOps(b *testing.B) {
	x := filled("x", 64, 32, 32, 24)
	one := func(f func(x *graph.Node) *graph.Node) func(in []*graph.Node) []*graph.Node {
		return func(in []*graph.Node) []*graph.Node { return []*graph.Node{f(in[0])} }
	}
	for _, c := range []struct {
		name string
		f    func(x *graph.Node) *graph.Node
	}{
		{"add", func(x *graph.Node) *graph.Node { return graph.Add(x, x) }},
		{"mul scalar", func(x *graph.Node) *graph.Node { return graph.MulScalar(x, 1.5) }},
		{"mul [1,1,1,c]", func(x *graph.Node) *graph.Node {
			return graph.Mul(x, graph.Reshape(graph.Slice(x, graph.AxisElem(0), graph.AxisElem(0), graph.AxisElem(0)), 1, 1, 1, 24))
		}},
		{"mul [n,1,1,c]", func(x *graph.Node) *graph.Node {
			return graph.Mul(x, graph.Slice(x, graph.AxisRange(), graph.AxisElem(0), graph.AxisElem(0)))
		}},
		{"mul [n,h,w,1]", func(x *graph.Node) *graph.Node {
			return graph.Mul(x, graph.Slice(x, graph.AxisRange(), graph.AxisRange(), graph.AxisRange(), graph.AxisElem(0)))
		}},
		{"exp", graph.Exp}, {"logistic", graph.Logistic}, {"tanh", graph.Tanh}, {"erf", graph.Erf}, {"sqrt", graph.Sqrt}, {"rsqrt", graph.Rsqrt},
		{"div", func(x *graph.Node) *graph.Node { return graph.Div(x, x) }},
		{"max scalar", func(x *graph.Node) *graph.Node { return graph.MaxScalar(x, 0.5) }},
		{"where", func(x *graph.Node) *graph.Node {
			return graph.Where(graph.GreaterThan(x, graph.ScalarZero(x.Graph(), x.DType())), x, graph.ZerosLike(x))
		}},
		{"reduce last", func(x *graph.Node) *graph.Node { return graph.ReduceSum(x, -1) }},
		{"reduce middle", func(x *graph.Node) *graph.Node { return graph.ReduceSum(x, 1, 2) }},
		{"reduce first", func(x *graph.Node) *graph.Node { return graph.ReduceSum(x, 0, 1, 2) }},
		{"reduce all", func(x *graph.Node) *graph.Node { return graph.ReduceAllSum(x) }},
		{"reduce max last", func(x *graph.Node) *graph.Node { return graph.ReduceMax(x, -1) }},
		{"transpose 0312", func(x *graph.Node) *graph.Node { return graph.TransposeAllDims(x, 0, 3, 1, 2) }},
		{"transpose 3012", func(x *graph.Node) *graph.Node { return graph.TransposeAllDims(x, 3, 0, 1, 2) }},
		{"transpose 0213", func(x *graph.Node) *graph.Node { return graph.TransposeAllDims(x, 0, 2, 1, 3) }},
		{"upsample", func(x *graph.Node) *graph.Node { return gx.UpsampleNearest(x, 2) }},
		{"broadcast", func(x *graph.Node) *graph.Node {
			return graph.BroadcastToDims(graph.Slice(x, graph.AxisRange(), graph.AxisElem(0), graph.AxisElem(0)), 64, 32, 32, 24)
		}},
		{"concat", func(x *graph.Node) *graph.Node { return graph.Concatenate([]*graph.Node{x, x}, -1) }},
		{"slice", func(x *graph.Node) *graph.Node {
			return graph.Slice(x, graph.AxisRange(), graph.AxisRange(1, 31), graph.AxisRange(1, 31))
		}},
		{"pad", func(x *graph.Node) *graph.Node {
			return graph.Pad(x, graph.ScalarZero(x.Graph(), x.DType()), graph.PadAxis{}, graph.PadAxis{Start: 1, End: 1}, graph.PadAxis{Start: 1, End: 1})
		}},
		{"silu", gx.SiLU},
		{"group norm", func(x *graph.Node) *graph.Node { return gx.GroupNorm(x, 8, nil, nil, 1e-6) }},
	} {
		bench(b, c.name, float64(x.Size()), one(c.f), x)
	}
}

// BenchmarkGEMM reports GFLOP/s of matrix products [m,k] x [k,n].
func BenchmarkGEMM(b *testing.B) {
	for _, s := range [][3]int{{512, 512, 512}, {65536, 216, 24}, {16384, 504, 56}, {4096, 1008, 112}, {65536, 24, 216}, {2048, 96, 384}} {
		m, k, n := s[0], s[1], s[2]
		bench(b, fmt.Sprintf("%dx%dx%d", m, k, n), 2*float64(m)*float64(k)*float64(n),
			func(in []*graph.Node) []*graph.Node { return []*graph.Node{graph.Dot(in[0], in[1]).Product()} }, filled("a", m, k), filled("b", k, n))
		bench(b, fmt.Sprintf("T %dx%dx%d", m, k, n), 2*float64(m)*float64(k)*float64(n),
			func(in []*graph.Node) []*graph.Node {
				return []*graph.Node{graph.DotGeneral(in[0], []int{0}, nil, in[1], []int{0}, nil)}
			}, filled("a", k, m), filled("b", k, n))
	}
}

// benchEngine is shared: a tensor belongs to the engine that used it first.
var benchEngine = sync.OnceValues(func() (*Engine, error) { return New(Options{}) })

func bench(b *testing.B, name string, work float64, f func(in []*graph.Node) []*graph.Node, in ...*tensors.Tensor) {
	b.Run(name, func(b *testing.B) {
		e, err := benchEngine()
		if err != nil {
			b.Fatal(err)
		}
		p := e.Program(name, func(_ *gx.Vars, in []*graph.Node) []*graph.Node { return f(in) })
		if _, err := p.Run(nil, in...); err != nil {
			b.Fatal(err)
		}
		for b.Loop() {
			out, err := p.Run(nil, in...)
			if err != nil {
				b.Fatal(err)
			}
			for _, t := range out {
				t.MustFinalizeAll()
			}
		}
		b.ReportMetric(work*float64(b.N)/b.Elapsed().Seconds()/1e9, "G/s")
	})
}
