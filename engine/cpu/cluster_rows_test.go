package cpu

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/gomlx/compute"
	"github.com/gomlx/compute/dtypes"
	"github.com/gomlx/compute/shapes"
	"github.com/gomlx/gomlx/core/graph"

	"github.com/smalti/smalti/gx"
)

// rowCase is an operation on x [...,c] with parameters gamma and beta [c], as package gx writes it.
type rowCase struct {
	name  string
	apply func(x, gamma, beta *graph.Node) *graph.Node
	ulps  float64 // by which the fused form may differ, in units of 2^-24 of the largest result; 0 where the bits are the same
	rows  bool    // a row cluster each for rows of 16 to 8192

	affine bool // gamma and beta are read
}

var rowCases = []rowCase{
	{"softmax", func(x, _, _ *graph.Node) *graph.Node { return gx.Softmax(x) }, 8, true, false},
	{"log-softmax", func(x, _, _ *graph.Node) *graph.Node { return gx.LogSoftmax(x) }, 0, true, false},
	{"layer norm", func(x, g, b *graph.Node) *graph.Node { return gx.LayerNorm(x, g, b, 1e-5) }, 0, true, true},
	{"layer norm without affine", func(x, _, _ *graph.Node) *graph.Node { return gx.LayerNorm(x, nil, nil, 1e-5) }, 0, true, false},
	{"layer norm and softmax", func(x, g, b *graph.Node) *graph.Node { return gx.Softmax(gx.LayerNorm(x, g, b, 1e-5)) }, 64, true, true},
	{"normalise", func(x, _, _ *graph.Node) *graph.Node { return gx.L2Normalize(x, -1) }, 0, true, false},
	{"group norm", func(x, g, b *graph.Node) *graph.Node { return gx.GroupNorm(x, 1, g, b, 1e-5) }, 0, false, true},
	{"instance norm", func(x, g, b *graph.Node) *graph.Node { return gx.InstanceNorm(x, g, b, 1e-5) }, 0, false, true},
	{"group norm and SiLU", func(x, g, b *graph.Node) *graph.Node { return gx.SiLU(gx.GroupNorm(x, 1, g, b, 1e-5)) }, 8, false, true},
	{"SiLU", func(x, _, _ *graph.Node) *graph.Node { return gx.SiLU(x) }, 8, false, false},
	{"QuickGELU", func(x, _, _ *graph.Node) *graph.Node { return gx.QuickGELU(x) }, 8, false, false},
	{"GELU", func(x, _, _ *graph.Node) *graph.Node { return gx.GELU(x) }, 8, false, false},
}

// build records the operation, and with back the gradients for x and, with params, for the parameters from dy.
func (c rowCase) build(back, params bool) func(in []*graph.Node) []*graph.Node {
	return func(in []*graph.Node) []*graph.Node {
		y := c.apply(in[0], in[1], in[2])
		if !back {
			return []*graph.Node{y}
		}
		of := in[:1]
		if params && c.affine {
			of = in[:3]
		}
		return append([]*graph.Node{y}, graph.Gradient(graph.ReduceAllSum(graph.Mul(y, in[3])), of...)...)
	}
}

// compileGraph compiles a graph of GoMLX for inputs of the given type and dimensions.
func compileGraph(t testing.TB, b *Backend, d dtypes.DType, build func(in []*graph.Node) []*graph.Node, dims ...[]int) *Executable {
	t.Helper()
	g := graph.NewGraph(b, t.Name())
	var in []*graph.Node
	for i, k := range dims {
		in = append(in, graph.Parameter(g, fmt.Sprint("in", i), shapes.Make(d, k...)))
	}
	if err := g.Compile(build(in)...); err != nil {
		t.Fatal(err)
	}
	return g.Executable().(*Executable)
}

// execute runs e on arrays of its type.
func execute(t testing.TB, e *Executable, in ...array) []array {
	t.Helper()
	var bufs []compute.Buffer
	for i, a := range in {
		s := e.params[i].Shape
		flat := any(a.data)
		if s.DType == dtypes.Float32 {
			f := make([]float32, len(a.data))
			for j, v := range a.data {
				f[j] = float32(v)
			}
			flat = f
		}
		x, err := e.backend.BufferFromFlatData(0, flat, s)
		if err != nil {
			t.Fatal(err)
		}
		bufs = append(bufs, x)
	}
	outs, err := e.Execute(bufs, nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	return read(outs)
}

func (c rowCase) inputs(seed uint64, dims []int) ([]array, [][]int) {
	r := rand.New(rand.NewPCG(seed, 3))
	ch := dims[len(dims)-1:]
	in := []array{randomArray(r, dims...), randomArray(r, ch...), randomArray(r, ch...), randomArray(r, dims...)}
	return in, [][]int{dims, ch, ch, dims}
}

// TestFusedEqualsApart runs norms, softmaxes and activations with their gradients fused and operation by operation, on one
// thread and on three: the same bits where the same kernels run, and near float64, for rows of all remainders, short ones and
// some too long for a row cluster.
func TestFusedEqualsApart(t *testing.T) {
	fused, apart := newBackend(t, 3), newBackend(t, 1)
	apart.plain = true // float64 never takes the fused ways
	for i, dims := range [][]int{{3, 5, 17}, {2, 33}, {1, 16}, {4, 7, 3}, {3, 2, 768}, {5, 1, 64}, {2, 1025}, {1, 2, 3000}, {2, 2, 8200}, {130, 20}, {1, 50, 50}} {
		for _, c := range rowCases {
			in, shape := c.inputs(uint64(i), dims)
			got := execute(t, compileGraph(t, fused, dtypes.Float32, c.build(true, true), shape...), in...)
			want := execute(t, compileGraph(t, apart, dtypes.Float32, c.build(true, true), shape...), in...)
			exact := execute(t, compileGraph(t, fused, dtypes.Float64, c.build(true, true), shape...), in...)
			for k := range want {
				what := fmt.Sprint(c.name, " of ", dims, ", output ", k)
				near(t, what, got[k], want[k], c.ulps*0x1p-24)
				near(t, what+" beside float64", got[k], exact[k], 1e-4) // sums of 8200 and divisions by small variances
			}
		}
	}
}

// TestFusedSpecials holds NaN and infinities in one row to the operations one by one; the other rows do not notice.
func TestFusedSpecials(t *testing.T) {
	fused, apart := newBackend(t, 2), newBackend(t, 1)
	apart.plain = true
	dims := []int{7, 40}
	for _, c := range rowCases {
		for i, bad := range []float64{math.NaN(), math.Inf(1), math.Inf(-1), 3e38, 1e-40} {
			in, shape := c.inputs(9, dims)
			in[0].data[3*40+i*7] = bad
			got := execute(t, compileGraph(t, fused, dtypes.Float32, c.build(false, false), shape...), in...)
			want := execute(t, compileGraph(t, apart, dtypes.Float32, c.build(false, false), shape...), in...)
			for k, w := range want[0].data {
				if g := got[0].data[k]; g != w && !(math.IsNaN(g) && math.IsNaN(w)) && !(math.Abs(g-w) <= c.ulps*0x1p-23*math.Max(1, math.Abs(w))) {
					t.Fatalf("%s with %v: element %d is %v, apart %v", c.name, bad, k, g, w)
				}
			}
		}
	}
}

// TestRowsAreOneUnit checks that what is meant to run in one pass over memory does.
func TestRowsAreOneUnit(t *testing.T) {
	b := newBackend(t, 1)
	for _, c := range rowCases {
		for _, back := range []bool{false, true} {
			_, shape := c.inputs(0, []int{6, 5, 40})
			u := compileGraph(t, b, dtypes.Float32, c.build(back, false), shape...).Units()
			if c.rows && (u["Rows"] != 1 || u["Cluster"] != 0 || u["ReduceSum"] != 0) {
				t.Errorf("%s, back %v: %v", c.name, back, u)
			}
		}
	}
}

// TestPatternsAreFound checks that each activation and softmax becomes the operations that passes make of it, and that nothing
// of what they replace is left, with the gradient and without.
func TestPatternsAreFound(t *testing.T) {
	b := newBackend(t, 1)
	for name, p := range map[string]struct{ forward, back string }{
		"SiLU": {"Swish", "SwishGrad"}, "QuickGELU": {"QuickGELU", "QuickGELUGrad"}, "GELU": {"GELU", "GELUGrad"},
		"group norm and SiLU": {" Swish", " SwishGrad"}, "softmax": {"MulRecip", "MulRecip"},
	} {
		c := rowCases[slices.IndexFunc(rowCases, func(c rowCase) bool { return c.name == name })]
		for _, back := range []bool{false, true} {
			_, shape := c.inputs(0, []int{6, 5, 40})
			all := ""
			for _, u := range compileGraph(t, b, dtypes.Float32, c.build(back, false), shape...).thunks {
				all += u.unit + "\n"
			}
			if !strings.Contains(all, p.forward) || back && !strings.Contains(all, p.back) {
				t.Errorf("%s, back %v: no %s or %s in\n%s", name, back, p.forward, p.back, all)
			}
			for _, op := range []string{"Logistic", "Erf", " Div"} {
				if strings.Contains(all, op) {
					t.Errorf("%s, back %v: %s is left in\n%s", name, back, op, all)
				}
			}
		}
	}
}

// TestRowsUseTheirKernels checks that softmax and layer norm end up on the kernels made for them, and that no difference from
// the mean is kept.
func TestRowsUseTheirKernels(t *testing.T) {
	b := newBackend(t, 1)
	for name, want := range map[string]string{"softmax": "(1 leaves, 1 outs, ExpSum)", "layer norm": "SquaresAbout, Normalise)"} {
		c := rowCases[slices.IndexFunc(rowCases, func(c rowCase) bool { return c.name == name })]
		_, shape := c.inputs(0, []int{6, 5, 40})
		all := ""
		for _, u := range compileGraph(t, b, dtypes.Float32, c.build(false, false), shape...).thunks {
			all += u.unit + "\n"
		}
		if !strings.Contains(all, want) {
			t.Errorf("%s: %s, want %s", name, all, want)
		}
	}
}
