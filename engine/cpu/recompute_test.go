package cpu

import (
	"bytes"
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/gomlx/compute"
	"github.com/gomlx/compute/dtypes"
	"github.com/gomlx/compute/shapes"
	"github.com/gomlx/gomlx/core/graph"

	"github.com/smalti/smalti/gx"
)

// residual is two blocks of norm, SiLU and convolution over x [1,8,8,32], each added to what it reads, and a last SiLU; its
// outputs are y and the gradient for x from that for y.
func residual(x, dy *graph.Node, w []*graph.Node) []*graph.Node {
	y := x
	for i := range 2 {
		h := gx.SiLU(gx.GroupNorm(y, 4, w[3*i], w[3*i+1], 1e-6))
		y = graph.Add(y, gx.Convolve(h, w[3*i+2], gx.ConvOptions{Pad: gx.Around(1)}))
	}
	y = gx.QuickGELU(y)
	return []*graph.Node{y, graph.Gradient(graph.ReduceAllSum(graph.Mul(y, dy)), x)[0]}
}

var residualDims = [][]int{{1, 8, 8, 32}, {1, 8, 8, 32}, {32}, {32}, {3, 3, 32, 32}, {32}, {32}, {3, 3, 32, 32}}

func residualShapes() (out []shapes.Shape) {
	for _, d := range residualDims {
		out = append(out, shapes.Make(dtypes.Float32, d...))
	}
	return out
}

// compileResidual compiles residual on a backend; dy is called as asked.
func compileResidual(t *testing.T, b *Backend, dy string) *Executable {
	t.Helper()
	g := graph.NewGraph(b, "residual")
	var in []*graph.Node
	for i, s := range residualShapes() {
		name := fmt.Sprint("input", i)
		if i == 1 {
			name = dy
		}
		in = append(in, graph.Parameter(g, name, s))
	}
	if err := g.Compile(residual(in[0], in[1], in[2:])...); err != nil {
		t.Fatal(err)
	}
	return g.Executable().(*Executable)
}

func residualInputs(t *testing.T, b *Backend) []compute.Buffer {
	t.Helper()
	r := rand.New(rand.NewPCG(1, 2))
	var out []compute.Buffer
	for _, s := range residualShapes() {
		data := make([]float32, s.Size())
		for i := range data {
			data[i] = float32(r.NormFloat64()) / float32(math.Sqrt(math.Sqrt(float64(s.Size()))))
		}
		x, err := b.BufferFromFlatData(0, data, s)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, x)
	}
	return out
}

func outputBytes(outs []compute.Buffer) []byte {
	var b bytes.Buffer
	for _, o := range outs {
		b.Write(o.(*Buffer).mem)
	}
	return b.Bytes()
}

// TestRecompute runs a graph with its gradient as it is and in the form that keeps less: the same bytes from less memory.
func TestRecompute(t *testing.T) {
	var arenas []int
	var want []byte
	for _, least := range []int{math.MaxInt, 0} {
		b := newBackend(t, 2)
		b.recompute = least
		e := compileResidual(t, b, "dy")
		outs, err := e.Execute(residualInputs(t, b), nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		got := outputBytes(outs)
		if want == nil {
			want = got
		}
		if !bytes.Equal(got, want) {
			t.Error("other bytes when less is kept")
		}
		arenas = append(arenas, e.Memory().Arena)
	}
	// 8 KiB a map: 8 are kept as the graph is recorded; two norms, the sum before the last SiLU, and what a block works with are needed
	if arenas[1] > 6*8<<10 || arenas[0] < 8*8<<10 {
		t.Errorf("arenas of %d and %d bytes", arenas[0], arenas[1])
	}
}

// TestStaged runs the graph in two parts, several at once and with other runs between the parts, on several numbers of
// threads: the bytes of the whole run.
func TestStaged(t *testing.T) {
	var want []byte
	for _, threads := range []int{1, 2, 3, 7} {
		b := newBackend(t, threads)
		b.recompute = 0
		in := residualInputs(t, b)
		early := append(append([]compute.Buffer(nil), in[0]), in[2:]...)
		outs, err := compileResidual(t, b, "dy").Execute(in, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		if want == nil {
			want = outputBytes(outs)
		}
		e := compileResidual(t, b, LatePrefix+"dy")
		if m := e.Memory(); m.Kept == 0 || m.Kept > 4*8<<10 { // two norms, the sum before the last SiLU, and statistics
			t.Errorf("%d bytes are kept", m.Kept)
		}
		var pending []*Pending
		var first [][]byte
		for range 3 {
			p, y, err := e.Start(early)
			if err != nil {
				t.Fatal(err)
			}
			pending, first = append(pending, p), append(first, outputBytes(y))
			_ = y[0].Finalize() // what the rest needs of it is kept elsewhere
		}
		pending[1].Drop()
		if all, err := e.Execute(in, nil, 0); err != nil || !bytes.Equal(outputBytes(all), want) {
			t.Errorf("%d threads: a whole run of the staged graph differs (%v)", threads, err)
		}
		for _, i := range []int{2, 0} {
			rest, err := pending[i].Finish(in[1:2])
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(append(first[i], outputBytes(rest)...), want) {
				t.Errorf("%d threads: two parts make other bytes than the whole", threads)
			}
		}
		for _, i := range []int{0, 1} {
			if _, err := pending[i].Finish(in[1:2]); err == nil {
				t.Error("a run ended twice")
			}
		}
		if _, _, err := e.Start(in); err == nil {
			t.Error("started with an input too many")
		}
		p, _, err := e.Start(early)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := p.Finish(in[2:3]); err == nil {
			t.Error("finished with an input of another shape")
		}
		if n := len(b.memory.arenas.free); n != 4 { // three of what was kept at once, one that all runs shared
			t.Errorf("%d arenas came back", n)
		}
	}
}
