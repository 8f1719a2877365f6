package paint

import (
	"slices"
	"testing"

	"github.com/gomlx/gomlx/core/graph"

	"github.com/smalti/smalti/engine"
	"github.com/smalti/smalti/gx"
)

// through runs a filter on a picture and returns what it makes with the gradient of the product of that with w.
func through(t *testing.T, f Filter, x, w []float32, height, width int) (y, dx []float32) {
	t.Helper()
	p := testEngine.Program("filter", func(_ *gx.Vars, in []*graph.Node) []*graph.Node {
		y := f.Graph(in[0])
		return []*graph.Node{y, graph.Gradient(graph.ReduceAllSum(graph.Mul(y, in[1])), in[0])[0]}
	})
	out, err := p.Run(nil, engine.FromFloats(x, 1, height, width, 3), engine.FromFloats(w, 1, height, width, 3))
	if err != nil {
		t.Fatal(err)
	}
	return engine.Floats(out[0]), engine.Floats(out[1])
}

// Mirrors and squares project: a second time changes nothing, and the gradient is the filter of the gradient, because
// means over a symmetry are their own transpose.
func TestFiltersProject(t *testing.T) {
	const side = 12
	x, w := randomFloats("x", 3*side*side), randomFloats("w", 3*side*side)
	list := []Filter{PixelArt{Side: 4}}
	for _, kind := range Mirrors {
		list = append(list, Mirror{Kind: kind})
	}
	for _, f := range list {
		once, dx := through(t, f, x, w, side, side)
		twice, _ := through(t, f, once, w, side, side)
		fw, _ := through(t, f, w, w, side, side)
		if _, d := largest(once, twice); d > 1e-6 { // sums of up to 16 numbers below 1
			t.Errorf("%v: the second time differs by %v", f, d)
		}
		if _, d := largest(fw, dx); d > 1e-6 {
			t.Errorf("%v: gradients differ by %v", f, d)
		}
		if slices.Equal(once, x) {
			t.Errorf("%v changes nothing", f)
		}
	}
}

func TestMirrorKindsAreWhatTheySay(t *testing.T) {
	const side = 6
	x, w := randomFloats("x", 3*side*side), randomFloats("w", 3*side*side)
	at := func(v []float32, y, x int) float32 { return v[(y*side+x)*3] }
	for kind, image := range map[string]func(y, x int) (int, int){
		"left":    func(y, x int) (int, int) { return y, side - 1 - x },
		"top":     func(y, x int) (int, int) { return side - 1 - y, x },
		"turn":    func(y, x int) (int, int) { return side - 1 - y, side - 1 - x },
		"quarter": func(y, x int) (int, int) { return side - 1 - x, y },
		"square":  func(y, x int) (int, int) { return x, y },
	} {
		got, _ := through(t, Mirror{Kind: kind}, x, w, side, side)
		for y := range side {
			for x := range side {
				j, i := image(y, x)
				if d := abs(float64(at(got, y, x) - at(got, j, i))); d > 1e-6 {
					t.Fatalf("%s: (%d,%d) and (%d,%d) differ by %v", kind, y, x, j, i, d)
				}
			}
		}
	}
}

func TestPosteriseTakesTheNearestColour(t *testing.T) {
	f := Posterise{Colours: [][3]float64{{0, 0, 0}, {1, 1, 1}, {1, 0, 0}}}
	x := []float32{0.1, 0.2, 0, 0.9, 0.8, 1, 0.9, 0.1, 0.2, 0.4, 0.4, 0.4}
	w := randomFloats("w", len(x))
	y, dx := through(t, f, x, w, 2, 2)
	if want := []float32{0, 0, 0, 1, 1, 1, 1, 0, 0, 0, 0, 0}; !slices.Equal(y, want) {
		t.Errorf("%v, want %v", y, want)
	}
	if !slices.Equal(dx, w) {
		t.Errorf("the gradient is %v, want it unchanged", dx)
	}
}

func TestFiltersRefuseSizes(t *testing.T) {
	for _, f := range []Filter{PixelArt{Side: 5}, PixelArt{}, Mirror{Kind: "square"}, Mirror{Kind: "quarter"}, Posterise{}} {
		if f.Check(16, 12) == nil {
			t.Errorf("%v takes 16x12", f)
		}
	}
	if err := (Mirror{Kind: "both"}).Check(16, 12); err != nil {
		t.Error(err)
	}
}

// TestLookLosses: their values by hand, and that steps against their gradients lower them.
func TestLookLosses(t *testing.T) {
	red := [][3]float64{{1, 0, 0}, {0, 0, 1}}
	x := []float32{1, 0, 0, 0, 0, 0.5, 1, 0, 0, 1, 0.5, 0} // 2x2
	for _, c := range []struct {
		loss PixelLoss
		want float64
	}{
		{PaletteLoss{Colours: red}, (0.25 + 0.25) / 12},
		{Edge{Width: 0.4, RGB: red[0]}, (1.25 + 0.25) / 12}, // everything is frame
		// across: (1+0+.5) + (0+.5+0) over 6; down: (0) + (1+.5+.5) over 6; each less up to 1e-3
		{Smoothness{}, 2.0/6 + 2.0/6},
	} {
		l := newPixelLosses(testEngine, []WeightedPixelLoss{{c.loss, Const(1)}})
		at := func(x []float32) (float64, []float32) {
			dx := make([]float32, len(x))
			terms, err := l.add(0, engine.FromFloats(x, 1, 2, 2, 3), nil, dx)
			if err != nil {
				t.Fatal(err)
			}
			return terms[0].Value, dx
		}
		v, dx := at(x)
		if abs(v-c.want) > 2e-3 { // the rounding of |d| near zero in Smoothness; the others are exact
			t.Errorf("%s is %v, want %v", c.loss.Name(), v, c.want)
		}
		moved := slices.Clone(x)
		for i, g := range dx {
			moved[i] -= 0.1 * g
		}
		if less, _ := at(moved); less >= v {
			t.Errorf("%s: a step down leads from %v to %v", c.loss.Name(), v, less)
		}
	}
}
