package cpu

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/gomlx/compute"
	"github.com/gomlx/compute/dtypes"
	"github.com/gomlx/compute/shapes"
	"github.com/gomlx/gomlx/core/graph"

	"github.com/smalti/smalti/gx"
)

// bandedCase is a small decoder: residual blocks, one of them with a 1x1 convolution around it, an enlargement, and a limit.
type bandedCase struct {
	h, w, c int
	next    int // parameters declared so far
	g       *graph.Graph
	shapes  []shapes.Shape
}

func (d *bandedCase) param(dims ...int) *graph.Node {
	return d.named(fmt.Sprint("weight", d.next), dims...)
}

func (d *bandedCase) named(name string, dims ...int) *graph.Node {
	d.next++
	s := shapes.Make(dtypes.Float32, dims...)
	d.shapes = append(d.shapes, s)
	return graph.Parameter(d.g, name, s)
}

func (d *bandedCase) conv(x *graph.Node, k, out int) *graph.Node {
	in := x.Shape().Dimensions[3]
	y := gx.Convolve(x, d.param(k, k, in, out), gx.ConvOptions{Pad: gx.Around(k / 2)})
	return graph.Add(y, graph.ExpandLeftToRank(d.param(out), 4))
}

func (d *bandedCase) norm(x *graph.Node) *graph.Node {
	c := x.Shape().Dimensions[3]
	return gx.SiLU(gx.GroupNorm(x, 4, d.param(c), d.param(c), 1e-6))
}

func (d *bandedCase) block(x *graph.Node, out int) *graph.Node {
	y := d.conv(d.norm(d.conv(d.norm(x), 3, out)), 3, out)
	if x.Shape().Dimensions[3] != out {
		x = d.conv(x, 1, out)
	}
	return graph.Add(x, y)
}

// build records the decoder of z and the gradient for z from dy, which comes late if asked.
func (d *bandedCase) build(b *Backend, late bool) []*graph.Node {
	d.g = graph.NewGraph(b, "banded")
	z := d.named("z", 1, d.h, d.w, 5)
	y := d.block(d.conv(z, 3, d.c), 2*d.c)
	y = d.conv(gx.UpsampleNearest(y, 2), 3, 2*d.c)
	y = d.block(d.block(y, d.c), d.c)
	y = gx.ClampWithGrad(d.conv(d.norm(y), 3, 3), -0.1, 0.1)
	name := "dy"
	if late {
		name = LatePrefix + name
	}
	dy := d.named(name, 1, 2*d.h, 2*d.w, 3)
	return []*graph.Node{y, graph.Gradient(graph.ReduceAllSum(graph.Mul(y, dy)), z)[0]}
}

// run compiles and runs the case and returns the bytes of its results.
func (d bandedCase) run(t *testing.T, o Options, late bool) ([]byte, *Executable) {
	t.Helper()
	b, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Finalize()
	outs := d.build(b, late)
	if err := d.g.Compile(outs...); err != nil {
		t.Fatal(err)
	}
	e := d.g.Executable().(*Executable)
	r := rand.New(rand.NewPCG(1, 2))
	var in []compute.Buffer
	for _, s := range d.shapes {
		data := make([]float32, s.Size())
		for i := range data {
			data[i] = float32(r.NormFloat64()) * 0.3
		}
		x, err := b.BufferFromFlatData(0, data, s)
		if err != nil {
			t.Fatal(err)
		}
		in = append(in, x)
	}
	var all []byte
	for range 2 { // the second run has packed weights
		var results []compute.Buffer
		if late {
			last := len(in) - 1
			p, first, err := e.Start(in[:last])
			if err != nil {
				t.Fatal(err)
			}
			second, err := p.Finish(in[last:])
			if err != nil {
				t.Fatal(err)
			}
			results = append(first, second...)
		} else if results, err = e.Execute(in, nil, 0); err != nil {
			t.Fatal(err)
		}
		all = append(all, outputBytes(results)...)
	}
	return all, e
}

// TestBandsChangeNothing compares graphs that run band by band with whole ones, bit by bit: odd sizes, bands that end within
// Winograd's tiles at the bottom, sums whose parts end within rows, any threads.
func TestBandsChangeNothing(t *testing.T) {
	for _, d := range []bandedCase{{h: 24, w: 20, c: 16}, {h: 21, w: 11, c: 12}, {h: 9, w: 40, c: 32}} {
		want, _ := d.run(t, Options{Threads: 2}, false)
		for _, o := range []Options{{Threads: 1, Bands: 8 << 10}, {Threads: 2, Bands: 20 << 10}, {Threads: 2, Bands: 60 << 10}, {Threads: 2, Bands: 20 << 10, LowMemory: true}} {
			for _, late := range []bool{false, true} {
				got, e := d.run(t, o, late)
				if !bytes.Equal(got, want) {
					t.Errorf("%dx%dx%d in bands of %d bytes, %d threads, late %v: other bytes", d.w, d.h, d.c, o.Bands, o.Threads, late)
				}
				if e.Units()["Bands"] < 3 {
					t.Errorf("%dx%dx%d in bands of %d bytes: %v", d.w, d.h, d.c, o.Bands, e.Units())
				}
			}
		}
	}
}
