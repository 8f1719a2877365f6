package cpu

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/gomlx/compute/dtypes"
	"github.com/gomlx/gomlx/core/graph"

	"github.com/smalti/smalti/gx"
)

// TestWarps: bilinear samples and their gradient for the picture run as one operation each. Forward is the very sum of the
// separate operations; the gradient adds in another order. Positions reach outside on all sides.
func TestWarps(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 7))
	for _, padding := range []gx.Padding{gx.PadZeros, gx.PadBorder, gx.PadReflect} {
		for _, c := range []int{2, 3, 5} {
			t.Run(fmt.Sprint(padding, c), func(t *testing.T) {
				x, g := randomArray(r, 3, 13, 11, c), randomArray(r, 3, 17, 19, c)
				grid := array{[]int{3, 17, 19, 2}, make([]float64, 3*17*19*2)}
				for i := range grid.data {
					grid.data[i] = float64(float32(1.4 * (2*r.Float64() - 1)))
				}
				p := pattern{ops: []string{"Sample", "Spread"}, in: []array{x, grid, g}, build: func(in []*graph.Node) []*graph.Node {
					y := gx.GridSample(in[0], graph.StopGradient(in[1]), padding, true)
					loss := graph.ReduceAllSum(graph.Mul(y, graph.Add(y, in[2])))
					return []*graph.Node{y, graph.Gradient(loss, in[0])[0]}
				}}
				// Positions are rounded to float32: 1e-6 of a side is 1e-5 of a pixel.
				fused, plain := p.check(t, 5e-5)
				same(t, fused[0], plain[0])
				near(t, "gradients", fused[1], plain[1], 1e-6)

				alone := p // the last picture of the batch
				alone.in = nil
				for _, a := range p.in {
					dims, n := slices.Clone(a.dims), len(a.data)/3
					dims[0] = 1
					alone.in = append(alone.in, array{dims, a.data[2*n:]})
				}
				one, _ := alone.results(t, newBackend(t, 2), f32)
				for k, a := range one {
					same(t, a, array{a.dims, fused[k].data[2*len(a.data):]})
				}
			})
		}
	}
}

// TestWarpsPartly: what is not the pattern keeps its own operations and its results: weights with a gradient, a term that
// is read elsewhere too, tables that differ.
func TestWarpsPartly(t *testing.T) {
	r := rand.New(rand.NewPCG(8, 8))
	index := func(table, at *graph.Node) *graph.Node {
		return graph.Gather(table, graph.ConvertDType(at, dtypes.Int32))
	}
	at := array{[]int{6, 1}, []float64{0, 3, 3, 4, 1, 2}}
	for name, build := range map[string]func(in []*graph.Node) []*graph.Node{
		"gradient of weights": func(in []*graph.Node) []*graph.Node {
			y := graph.Add(graph.Mul(index(in[0], in[2]), in[3]), graph.Mul(index(in[0], graph.OneMinus(in[2])), in[3]))
			return append(graph.Gradient(graph.ReduceAllSum(graph.Square(y)), in[3]), y)
		},
		"shared": func(in []*graph.Node) []*graph.Node {
			term := graph.Mul(index(in[0], in[2]), in[3])
			return []*graph.Node{graph.Add(term, graph.Mul(index(in[0], graph.OneMinus(in[2])), in[3])), term}
		},
		"two tables": func(in []*graph.Node) []*graph.Node {
			return []*graph.Node{graph.Add(graph.Mul(index(in[0], in[2]), in[3]), graph.Mul(index(in[1], in[2]), in[3]))}
		},
	} {
		t.Run(name, func(t *testing.T) {
			pattern{build: build, in: []array{randomArray(r, 5, 3), randomArray(r, 5, 3), at, randomArray(r, 6, 1)}}.check(t, 1e-6)
		})
	}
}

// TestSpreadLeaf: numbers that repeat a few times fill tiles that begin and end anywhere.
func TestSpreadLeaf(t *testing.T) {
	for times := 2; times < 8; times++ {
		src := make([]int32, 40)
		for i := range src {
			src[i] = int32(i)
		}
		for off := range 2 * times {
			for n := 0; off+n <= len(src)*times; n += 1 + n/3 {
				dst := make([]int32, n)
				spread(dst, src, times, off)
				for i, v := range dst {
					if int(v) != (off+i)/times {
						t.Fatalf("%d times from %d: element %d of %d is %d", times, off, i, n, v)
					}
				}
			}
		}
	}
}
