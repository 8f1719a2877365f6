package cpu

import (
	"math"
	"math/rand/v2"
	"slices"
	"sort"
	"strings"
	"testing"

	"github.com/gomlx/compute"
	"github.com/gomlx/compute/dtypes"
	"github.com/gomlx/compute/shapes"
)

// record fails the test at the first error of recording.
type record struct {
	t *testing.T
	f compute.Function
}

func (r record) v(v compute.Value, err error) compute.Value {
	r.t.Helper()
	if err != nil {
		r.t.Fatal(err)
	}
	return v
}

func (r record) vs(vs []compute.Value, err error) []compute.Value {
	r.t.Helper()
	if err != nil {
		r.t.Fatal(err)
	}
	return vs
}

// closure records a closure with parameters of the given shapes.
func (r record) closure(build func(in record, p []compute.Value) []compute.Value, ss ...shapes.Shape) compute.Function {
	r.t.Helper()
	g, err := r.f.Closure()
	if err != nil {
		r.t.Fatal(err)
	}
	in := record{r.t, g}
	in.finish(build, ss...)
	return g
}

func (r record) finish(build func(in record, p []compute.Value) []compute.Value, ss ...shapes.Shape) {
	r.t.Helper()
	var p []compute.Value
	for _, s := range ss {
		p = append(p, r.v(r.f.Parameter("p", s, nil)))
	}
	if err := r.f.Return(build(r, p), nil); err != nil {
		r.t.Fatal(err)
	}
}

func vector(n int) shapes.Shape { return shapes.Make(dtypes.Float32, n) }

// TestWhile doubles a vector until its sum is at least a bound that the condition captures, counting the rounds; what the body
// adds is captured too.
func TestWhile(t *testing.T) {
	b := newBackend(t, 2)
	build := func(f compute.Function, in []compute.Value) ([]compute.Value, error) {
		r := record{t, f}
		state := []shapes.Shape{vector(3), shapes.Make(dtypes.Float32)}
		cond := r.closure(func(r record, p []compute.Value) []compute.Value {
			return []compute.Value{r.v(r.f.LessThan(r.v(r.f.ReduceSum(p[0])), in[1]))}
		}, state...)
		body := r.closure(func(r record, p []compute.Value) []compute.Value {
			one := r.v(r.f.Constant([]float32{1}))
			return []compute.Value{r.v(r.f.Add(r.v(r.f.Add(p[0], p[0])), in[2])), r.v(r.f.Add(p[1], one))}
		}, state...)
		return r.vs(f.While(cond, body, in[0], r.v(f.Constant([]float32{0})))), nil
	}
	x := array{[]int{3}, []float64{1, 2, 3}}
	add := array{[]int{3}, []float64{1, 0, -1}}
	for _, bound := range []float64{5, 7, 40, 50} {
		want, rounds := slices.Clone(x.data), 0.0
		for want[0]+want[1]+want[2] < bound {
			for i := range want {
				want[i] = 2*want[i] + add.data[i]
			}
			rounds++
		}
		got := run(t, b, dtypes.Float32, build, x, array{nil, []float64{bound}}, add)
		near(t, "state", got[0], array{x.dims, want}, 0)
		near(t, "rounds", got[1], array{nil, []float64{rounds}}, 0)
	}
}

// TestNestedClosures runs a branch in a loop in a branch; the innermost uses a value of the outermost function through all.
func TestNestedClosures(t *testing.T) {
	b := newBackend(t, 2)
	scalar := shapes.Make(dtypes.Float32)
	build := func(f compute.Function, in []compute.Value) ([]compute.Value, error) {
		r := record{t, f}
		loop := func(r record) []compute.Value {
			cond := r.closure(func(r record, p []compute.Value) []compute.Value {
				return []compute.Value{r.v(r.f.LessThan(p[0], r.v(r.f.Constant([]float32{10}))))}
			}, scalar)
			body := r.closure(func(r record, p []compute.Value) []compute.Value {
				small := r.v(r.f.LessThan(p[0], r.v(r.f.Constant([]float32{4}))))
				one := r.closure(func(r record, _ []compute.Value) []compute.Value { return []compute.Value{r.v(r.f.Add(p[0], in[1]))} })
				two := r.closure(func(r record, _ []compute.Value) []compute.Value { return []compute.Value{r.v(r.f.Mul(p[0], in[1]))} })
				return r.vs(r.f.If(small, one, two))
			}, scalar)
			return r.vs(r.f.While(cond, body, in[0]))
		}
		yes := r.closure(func(r record, _ []compute.Value) []compute.Value { return loop(r) })
		no := r.closure(func(r record, _ []compute.Value) []compute.Value { return []compute.Value{r.v(r.f.Neg(in[0]))} })
		return r.vs(f.If(r.v(f.GreaterThan(in[0], r.v(f.Constant([]float32{0})))), yes, no)), nil
	}
	for from, want := range map[float64]float64{1: 10, 9: 18, -3: 3, 20: 20} { // 1,3,5,10 | 9,18 | the other branch | no round
		got := run(t, b, dtypes.Float32, build, array{nil, []float64{from}}, array{nil, []float64{2}})
		near(t, "result", got[0], array{nil, []float64{want}}, 0)
	}
}

// TestCall checks that calls are copies of the function, and what is refused.
func TestCall(t *testing.T) {
	b := newBackend(t, 1)
	build := func(f compute.Function, in []compute.Value) ([]compute.Value, error) {
		g, err := f.Builder().NewFunction("poly")
		if err != nil {
			return nil, err
		}
		r := record{t, f}
		record{t, g}.finish(func(r record, p []compute.Value) []compute.Value {
			return []compute.Value{r.v(r.f.Add(r.v(r.f.Mul(p[0], p[0])), p[1])), r.v(r.f.Sub(p[0], p[1]))}
		}, vector(2), vector(2))
		if _, err := f.Builder().NewFunction("poly"); err == nil {
			t.Error("two functions of one name")
		}
		if _, err := f.Call(g, in[0]); err == nil {
			t.Error("a call with one argument too few")
		}
		once := r.vs(f.Call(g, in[0], in[1]))
		return r.vs(f.Call(g, once[0], once[1])), nil
	}
	got := run(t, b, dtypes.Float32, build, array{[]int{2}, []float64{2, 3}}, array{[]int{2}, []float64{1, -1}})
	near(t, "sum", got[0], array{[]int{2}, []float64{5*5 + 1, 8*8 + 4}}, 0)
	near(t, "difference", got[1], array{[]int{2}, []float64{4, 4}}, 0)
}

// TestClosuresAreChecked looks at what must be refused when it is recorded.
func TestClosuresAreChecked(t *testing.T) {
	b := newBackend(t, 1)
	f := b.Builder("checks").Main()
	r := record{t, f}
	x := r.v(f.Parameter("x", vector(2), nil))
	identity := r.closure(func(_ record, p []compute.Value) []compute.Value { return p }, vector(2))
	open, err := f.Closure()
	if err != nil {
		t.Fatal(err)
	}
	foreign := b.Builder("other").Main()
	y := r.v(foreign.Parameter("y", vector(2), nil))
	if _, err := open.Neg(y); err == nil {
		t.Error("a closure took a value of another builder")
	}
	if _, err := f.While(identity, identity, x); err == nil || !strings.Contains(err.Error(), "condition") {
		t.Errorf("a condition that returns a vector: %v", err)
	}
	if _, err := f.While(open, identity, x); err == nil {
		t.Error("a closure that has not returned was used")
	}
	if _, err := f.If(x, identity, identity); err == nil {
		t.Error("a branch on a vector")
	}
	if _, err := f.Sort(identity, 0, true, x); err == nil {
		t.Error("a comparator that returns a vector")
	}
}

// TestErrorInAClosure checks that a failure inside names the way to it and leaves inputs alone.
func TestErrorInAClosure(t *testing.T) {
	b := newBackend(t, 2)
	exe, bufs := compileBody(t, b, dtypes.Int32, func(f compute.Function, in []compute.Value) ([]compute.Value, error) {
		r := record{t, f}
		zero := r.v(f.Sub(in[0], in[0]))
		yes := r.closure(func(r record, _ []compute.Value) []compute.Value { return []compute.Value{r.v(r.f.Div(in[0], zero))} })
		no := r.closure(func(r record, _ []compute.Value) []compute.Value { return []compute.Value{in[0]} })
		return r.vs(f.If(r.v(f.Constant([]bool{true})), yes, no)), nil
	}, array{[]int{2}, []float64{1, 2}})
	_, err := exe.Execute(bufs, []bool{true}, 0)
	if err == nil || !strings.Contains(err.Error(), "operation If") || !strings.Contains(err.Error(), "operation Div") {
		t.Errorf("error %v", err)
	}
	if _, err := bufs[0].Shape(); err != nil {
		t.Errorf("the input is used up: %v", err)
	}
}

// sortCase is a comparator and its twin in Go.
type sortCase struct {
	name       string
	compare    func(r record, p []compute.Value) compute.Value
	less       func(a, b float64) bool
	recognised bool
}

var sortCases = []sortCase{
	{"ascending", func(r record, p []compute.Value) compute.Value { return r.v(r.f.LessThan(p[0], p[1])) }, func(a, b float64) bool { return a < b }, true},
	{"descending", func(r record, p []compute.Value) compute.Value { return r.v(r.f.GreaterThan(p[0], p[1])) }, func(a, b float64) bool { return a > b }, true},
	{"turned", func(r record, p []compute.Value) compute.Value { return r.v(r.f.LessThan(p[1], p[0])) }, func(a, b float64) bool { return a > b }, true},
	{"by distance from one", func(r record, p []compute.Value) compute.Value {
		one := r.v(r.f.ConvertDType(r.v(r.f.Constant([]float32{1})), dtypes.Float32))
		away := func(v compute.Value) compute.Value {
			return r.v(r.f.Abs(r.v(r.f.Sub(r.v(r.f.ConvertDType(v, dtypes.Float32)), one))))
		}
		return r.v(r.f.LessThan(away(p[0]), away(p[1])))
	}, func(a, b float64) bool { return math.Abs(a-1) < math.Abs(b-1) }, false},
}

// TestSort sorts keys together with their positions along every axis, in several types and with ties, by comparators that are
// recognised and by one that is run.
func TestSort(t *testing.T) {
	b := newBackend(t, 2)
	for seed := range uint64(30) {
		r := rand.New(rand.NewPCG(seed, 31))
		dims := [][]int{{1}, {40}, {3, 17}, {2, 9, 4}, {4, 0}}[seed%5]
		axis := r.IntN(len(dims))
		x := randomArray(r, dims...)
		position := array{dims, make([]float64, len(x.data))}
		for i := range x.data {
			x.data[i] = math.Round(3 * x.data[i])
			position.data[i] = float64(unflat(dims, i)[axis])
		}
		for _, c := range sortCases {
			for _, d := range []dtypes.DType{dtypes.Float32, dtypes.BFloat16, dtypes.Int8, dtypes.Float64} {
				got := run(t, b, d, func(f compute.Function, in []compute.Value) ([]compute.Value, error) {
					rec := record{t, f}
					s := shapes.Make(d)
					less := rec.closure(func(r record, p []compute.Value) []compute.Value { return []compute.Value{c.compare(r, p)} }, s, s, s, s)
					return f.Sort(less, axis, true, in...)
				}, x, position)
				want := sortedRows(x, position, axis, c.less)
				near(t, c.name+" keys of "+d.String(), got[0], want[0], 0)
				near(t, c.name+" positions of "+d.String(), got[1], want[1], 0)
			}
		}
	}
}

// sortedRows is a stable sort by the definition.
func sortedRows(x, y array, axis int, less func(a, b float64) bool) []array {
	out := []array{{x.dims, slices.Clone(x.data)}, {y.dims, slices.Clone(y.data)}}
	if len(x.data) == 0 {
		return out
	}
	n := x.dims[axis]
	for row := range len(x.data) / n {
		l := lines(x.dims, axis, row)
		order := make([]int, n)
		for i := range order {
			order[i] = l.at + i*l.step
		}
		places := slices.Clone(order)
		sort.SliceStable(order, func(i, j int) bool { return less(x.data[order[i]], x.data[order[j]]) })
		for i, from := range order {
			out[0].data[places[i]], out[1].data[places[i]] = x.data[from], y.data[from]
		}
	}
	return out
}

// TestSortsAreRecognised checks that the usual comparators are not run, and where NaN goes.
func TestSortsAreRecognised(t *testing.T) {
	b := newBackend(t, 1)
	for _, c := range sortCases {
		f := b.Builder("sort").Main()
		r := record{t, f}
		x := r.v(f.Parameter("x", shapes.Make(dtypes.BFloat16, 4), nil))
		s := shapes.Make(dtypes.BFloat16)
		less := r.closure(func(r record, p []compute.Value) []compute.Value { return []compute.Value{c.compare(r, p)} }, s, s)
		out := r.vs(f.Sort(less, 0, false, x))
		if err := f.Return(out, nil); err != nil {
			t.Fatal(err)
		}
		if got := f.(*Function).g.Outputs[0].Attr.(*sorting).key >= 0; got != c.recognised {
			t.Errorf("%s: recognised %v", c.name, got)
		}
	}
	nan, inf := math.NaN(), math.Inf(1)
	x := array{[]int{6}, []float64{nan, 2, -inf, inf, nan, -1}}
	for _, c := range []struct {
		compare func(f compute.Function, p []compute.Value) (compute.Value, error)
		want    []float64
	}{
		{func(f compute.Function, p []compute.Value) (compute.Value, error) { return f.LessThan(p[0], p[1]) }, []float64{-inf, -1, 2, inf, nan, nan}},
		{func(f compute.Function, p []compute.Value) (compute.Value, error) { return f.GreaterThan(p[0], p[1]) }, []float64{inf, 2, -1, -inf, nan, nan}},
		{func(f compute.Function, p []compute.Value) (compute.Value, error) {
			return f.GreaterThanTotalOrder(p[0], p[1])
		}, []float64{nan, nan, inf, 2, -1, -inf}},
	} {
		got := run(t, b, dtypes.Float32, func(f compute.Function, in []compute.Value) ([]compute.Value, error) {
			s := shapes.Make(dtypes.Float32)
			less := record{t, f}.closure(func(r record, p []compute.Value) []compute.Value { return []compute.Value{r.v(c.compare(r.f, p))} }, s, s)
			return f.Sort(less, 0, false, in...)
		}, x)
		near(t, "with NaN", got[0], array{x.dims, c.want}, 0)
	}
}

// shape is that of a value with other dimensions.
func (r record) shape(v compute.Value, dims ...int) shapes.Shape {
	r.t.Helper()
	s, err := r.f.Shape(v)
	if err != nil {
		r.t.Fatal(err)
	}
	return shapes.Make(s.DType, dims...)
}
