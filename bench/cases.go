package bench

import (
	"fmt"

	"github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"

	"github.com/smalti/smalti/engine"
	"github.com/smalti/smalti/engine/cpu/kernel"
	"github.com/smalti/smalti/gx"
	"github.com/smalti/smalti/rng"
)

// convShape is a 3x3 convolution of stride 1 with zeros around.
type convShape struct{ h, w, in, out int }

func (c convShape) String() string { return fmt.Sprintf("%dx%d %d->%d", c.h, c.w, c.in, c.out) }

// cases lists what is measured: the sizes of a VQGAN decoder and of ViT-B/32 with 32 cuts, and odd ones. A case whose
// name begins with "kernel" calls kernels as the engine does, the others are whole graphs. Names are also those of
// tools/bench/torch_reference.py, which computes the same.
func cases(small bool, s *kernel.Set) []benchCase {
	f := func(n int) int { // shrinks a size
		if small {
			return max(1, n/16)
		}
		return n
	}
	var out []benchCase
	for _, d := range [][3]int{{1600, 768, 3072}, {1600, 3072, 768}, {1024, 1024, 1024}, {2048, 2048, 2048}, {256, 256, 256}} {
		m, k, n := f(d[0]), f(d[1]), f(d[2])
		out = append(out, kernelGemm(m, k, n))
		if s.HasBF16() {
			out = append(out, kernelGemmBF16(m, k, n))
		}
		out = append(out, matmul(m, k, n))
	}
	convs := []convShape{{16, 16, 512, 512}, {32, 32, 512, 512}, {64, 64, 256, 256}, {128, 128, 128, 128}, {256, 256, 128, 128}, {63, 61, 96, 160}}
	for _, c := range convs {
		if small {
			c = convShape{max(4, c.h/16), max(3, c.w/16), c.in / 16, c.out / 16}
		}
		out = append(out, kernelDirect(c))
		out = append(out, conv3x3(c)...)
	}
	out = append(out, elementwise(f)...)
	out = append(out, attention(f(32), f(50), 12, f(64))...)
	return append(out, convTransposed(f(64), f(32), f(64), f(32)))
}

// normals are n numbers; large arrays repeat the same few, since drawing takes longer than measuring.
func normals(name string, n int) []float32 {
	out := make([]float32, n)
	const drawn = 1 << 16
	rng.New(1, "bench/"+name).FillNormal(out[:min(n, drawn)])
	for i := drawn; i < n; i += drawn {
		copy(out[i:], out[:drawn])
	}
	return out
}

func filled(name string, dims ...int) *tensors.Tensor {
	n := 1
	for _, d := range dims {
		n *= d
	}
	return engine.FromFloats(normals(name, n), dims...)
}

// graph prepares a graph over arrays that stay: operands that the engine packs are packed by the time of measuring.
func (b *bed) graph(build func(in []*graph.Node) []*graph.Node, in ...*tensors.Tensor) (func() error, error) {
	p := b.engine.Program("bench", func(_ *gx.Vars, in []*graph.Node) []*graph.Node { return build(in) })
	run := func() error {
		out, err := p.Run(nil, in...)
		for _, t := range out {
			t.MustFinalizeAll()
		}
		return err
	}
	for range 3 { // compiles; packs are kept from the second request on
		if err := run(); err != nil {
			return nil, err
		}
	}
	return run, nil
}

// rowBlock is how many rows of a matrix product a thread takes at a time.
const rowBlock = 64

func kernelGemm(m, k, n int) benchCase {
	return benchCase{"kernel gemm f32", fmt.Sprintf("%dx%dx%d", m, k, n), fma, 2 * float64(m) * float64(k) * float64(n), func(b *bed) (func() error, error) {
		s := b.set
		a, c, packed := normals("a", m*k), make([]float32, m*n), make([]float32, s.PackedSize(k, n))
		s.PackB(packed, normals("b", k*n), k, n, n, 1)
		return func() error {
			b.each((m+rowBlock-1)/rowBlock, func(_, j int) {
				i := j * rowBlock
				s.Gemm(c[i*n:], n, a[i*k:], k, packed, min(rowBlock, m-i), k, n, false)
			})
			return nil
		}, nil
	}}
}

// kernelGemmBF16 includes the rounding of A, which a graph has in float32.
func kernelGemmBF16(m, k, n int) benchCase {
	return benchCase{"kernel gemm bf16", fmt.Sprintf("%dx%dx%d", m, k, n), dots, 2 * float64(m) * float64(k) * float64(n), func(b *bed) (func() error, error) {
		s := b.set
		lda := k + 32
		a, c, packed := normals("a", m*k), make([]float32, m*n), make([]uint16, s.PackedSizeBF16(k, n))
		s.PackBF16(packed, normals("b", k*n), k, n, n, 1)
		scratch := make([][]uint16, b.threads)
		for i := range scratch {
			scratch[i] = make([]uint16, rowBlock*lda)
		}
		return func() error {
			b.each((m+rowBlock-1)/rowBlock, func(worker, j int) {
				i, rows := j*rowBlock, min(rowBlock, m-j*rowBlock)
				s.RowsBF16(scratch[worker], lda, a[i*k:], k, rows, k)
				s.GemmBF16(c[i*n:], n, scratch[worker], lda, packed, rows, k, n, false)
			})
			return nil
		}, nil
	}}
}

func matmul(m, k, n int) benchCase {
	return benchCase{"matmul", fmt.Sprintf("%dx%dx%d", m, k, n), fma, 2 * float64(m) * float64(k) * float64(n), func(b *bed) (func() error, error) {
		return b.graph(func(in []*graph.Node) []*graph.Node {
			return []*graph.Node{graph.Dot(in[0], in[1]).Product()}
		}, filled("a", m, k), filled("b", k, n))
	}}
}

// kernelDirect is the convolution that is not Winograd's, which strides, few channels and other kernels get.
func kernelDirect(c convShape) benchCase {
	return benchCase{"kernel conv3x3 direct", c.String(), fma, c.flops(), func(b *bed) (func() error, error) {
		d := b.set.NewDirect(kernel.ConvShape{N: 1, H: c.h, W: c.w, Cin: c.in, OutH: c.h, OutW: c.w, Cout: c.out, KH: 3, KW: 3,
			StrideH: 1, StrideW: 1, DilH: 1, DilW: 1, PadTop: 1, PadLeft: 1})
		in, out, packed := normals("x", c.h*c.w*c.in), make([]float32, c.h*c.w*c.out), make([]float32, d.WeightSize())
		d.PackWeights(packed, normals("w", 9*c.in*c.out))
		scratch := make([][]float32, b.threads)
		for i := range scratch {
			scratch[i] = make([]float32, d.Scratch())
		}
		return func() error {
			b.each(d.Jobs(), func(worker, j int) { d.Run(j, out, in, packed, nil, scratch[worker]) })
			return nil
		}, nil
	}}
}

// flops are the operations of the direct algorithm; a faster algorithm shows as more than the peak.
func (c convShape) flops() float64 { return 18 * float64(c.h*c.w) * float64(c.in) * float64(c.out) }

// conv3x3 are the convolution and its two gradients.
func conv3x3(c convShape) []benchCase {
	apply := func(x, w *graph.Node) *graph.Node { return gx.Convolve(x, w, gx.ConvOptions{Pad: gx.Around(1)}) }
	one := func(name string, build func(in []*graph.Node) *graph.Node) benchCase {
		return benchCase{"conv3x3 " + name, c.String(), fma, c.flops(), func(b *bed) (func() error, error) {
			return b.graph(func(in []*graph.Node) []*graph.Node { return []*graph.Node{build(in)} },
				filled("x", 1, c.h, c.w, c.in), filled("w", 3, 3, c.in, c.out), filled("dy", 1, c.h, c.w, c.out))
		}}
	}
	gradient := func(i int) func(in []*graph.Node) *graph.Node {
		return func(in []*graph.Node) *graph.Node {
			return graph.Gradient(graph.ReduceAllSum(graph.Mul(apply(in[0], in[1]), in[2])), in[i])[0]
		}
	}
	return []benchCase{
		one("forward", func(in []*graph.Node) *graph.Node { return apply(in[0], in[1]) }),
		one("input gradient", gradient(0)),
		one("weight gradient", gradient(1)),
	}
}

// elementwise cases are held against a copy: they read and write their array once, or should.
func elementwise(f func(int) int) []benchCase {
	one := func(name string, build func(x, gamma, beta *graph.Node) *graph.Node, dims ...int) benchCase {
		shape, n := "", 1
		for i, d := range dims {
			if i > 0 {
				shape += "x"
			}
			shape += fmt.Sprint(d)
			n *= d
		}
		last := dims[len(dims)-1]
		return benchCase{name, shape, copied, 8 * float64(n), func(b *bed) (func() error, error) {
			return b.graph(func(in []*graph.Node) []*graph.Node { return []*graph.Node{build(in[0], in[1], in[2])} },
				filled("x", dims...), filled("gamma", last), filled("beta", last))
		}}
	}
	side, rows, width := f(256), f(1600), f(768)
	groups := min(32, f(128))
	return []benchCase{
		one("swish", func(x, _, _ *graph.Node) *graph.Node { return gx.SiLU(x) }, f(4<<20)),
		one("groupnorm+swish", func(x, g, b *graph.Node) *graph.Node { return gx.SiLU(gx.GroupNorm(x, groups, g, b, 1e-6)) }, 1, side, side, f(128)),
		one("softmax", func(x, _, _ *graph.Node) *graph.Node { return gx.Softmax(x) }, rows, width),
		one("layernorm", func(x, g, b *graph.Node) *graph.Node { return gx.LayerNorm(x, g, b, 1e-5) }, rows, width),
		one("gelu", func(x, _, _ *graph.Node) *graph.Node { return gx.GELU(x) }, rows, f(3072)),
		one("quickgelu", func(x, _, _ *graph.Node) *graph.Node { return gx.QuickGELU(x) }, rows, f(3072)),
	}
}

// attention is that of a vision transformer from the fused projection [n,tokens,3*heads*d], alone and with its gradient.
func attention(n, tokens, heads, d int) []benchCase {
	apply := func(qkv *graph.Node) *graph.Node {
		part := func(i int) *graph.Node {
			p := graph.Slice(qkv, graph.AxisRange(), graph.AxisRange(), graph.AxisRange(i*heads*d, (i+1)*heads*d))
			return graph.Reshape(p, n, tokens, heads, d)
		}
		return graph.Reshape(gx.Attention(part(0), part(1), part(2), nil), n, tokens, heads*d)
	}
	shape := fmt.Sprintf("%dx%dx%d batch %d", heads, tokens, d, n)
	flops := 4 * float64(n*heads) * float64(tokens*tokens) * float64(d)
	return []benchCase{
		{"attention", shape, fma, flops, func(b *bed) (func() error, error) {
			return b.graph(func(in []*graph.Node) []*graph.Node { return []*graph.Node{apply(in[0])} }, filled("qkv", n, tokens, 3*heads*d))
		}},
		{"attention forward+backward", shape, fma, 3 * flops, func(b *bed) (func() error, error) {
			return b.graph(func(in []*graph.Node) []*graph.Node {
				y := apply(in[0])
				return []*graph.Node{y, graph.Gradient(graph.ReduceAllSum(graph.Mul(y, in[1])), in[0])[0]}
			}, filled("qkv", n, tokens, 3*heads*d), filled("dy", n, tokens, heads*d))
		}},
	}
}

// convTransposed is a layer of a DCGAN's generator, 4x4 with stride 2, forward with both gradients.
func convTransposed(n, side, in, out int) benchCase {
	flops := 3 * 32 * float64(n*side*side) * float64(in*out)
	return benchCase{"convT forward+backward", fmt.Sprintf("%d->%d %dx%d batch %d", in, out, side, side, n), fma, flops, func(b *bed) (func() error, error) {
		return b.graph(func(a []*graph.Node) []*graph.Node {
			y := gx.ConvTranspose(a[0], a[1], 2, 1, 0)
			g := graph.Gradient(graph.ReduceAllSum(graph.Mul(y, a[2])), a[0], a[1])
			return []*graph.Node{y, g[0], g[1]}
		}, filled("x", n, side, side, in), filled("w", 4, 4, in, out), filled("dy", n, 2*side, 2*side, out))
	}}
}
