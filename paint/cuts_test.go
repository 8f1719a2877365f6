package paint

import (
	"math"
	"reflect"
	"testing"

	"github.com/gomlx/gomlx/core/graph"

	"github.com/smalti/smalti/engine"
	"github.com/smalti/smalti/gx"
	"github.com/smalti/smalti/rng"
)

// run evaluates a graph without variables.
func run(t *testing.T, f func(in []*graph.Node) []*graph.Node, in ...any) [][]float32 {
	t.Helper()
	p := testEngine.Program(t.Name(), func(_ *gx.Vars, nodes []*graph.Node) []*graph.Node { return f(nodes) })
	outs, err := p.Run(nil, tensorsOf(in)...)
	if err != nil {
		t.Fatal(err)
	}
	var all [][]float32
	for _, o := range outs {
		all = append(all, engine.Floats(o))
	}
	return all
}

func TestDrawnCutsDependOnTheirKeyAlone(t *testing.T) {
	s, _ := SchemeByName("updated")
	d := Drawn{Scheme: s, Seed: 9}
	key := CutKey{Step: 3, Index: 4, Width: 40, Height: 30, Size: 8}
	want, err := d.Cut(key)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.checkCut(want, key); err != nil {
		t.Fatal(err)
	}
	if got, _ := (Drawn{Scheme: s, Seed: 9}).Cut(key); !reflect.DeepEqual(got, want) {
		t.Error("the same key gives another cut")
	}
	for name, k := range map[string]CutKey{
		"step":    {Step: 4, Index: 4, Width: 40, Height: 30, Size: 8},
		"cut":     {Step: 3, Index: 5, Width: 40, Height: 30, Size: 8},
		"encoder": {Step: 3, Index: 4, Encoder: 1, Width: 40, Height: 30, Size: 8},
	} {
		got, _ := d.Cut(k)
		if reflect.DeepEqual(got.Noise, want.Noise) || reflect.DeepEqual(got.Params, want.Params) {
			t.Errorf("another %s gives the same draws", name)
		}
	}
	s.Augments = s.Augments[2:]
	fewer, _ := Drawn{Scheme: s, Seed: 9}.Cut(key)
	if fewer.Box != want.Box || !reflect.DeepEqual(fewer.Params, want.Params[len(want.Params)-len(fewer.Params):]) {
		t.Error("leaving augmentations out moves the draws of the others")
	}
}

func TestBoxesStayInsideAndCoverTheirRange(t *testing.T) {
	for _, c := range []struct{ w, h, size, least, most int }{
		{40, 30, 8, 8, 30}, {30, 40, 64, 30, 30}, {8, 8, 8, 8, 8},
	} {
		least, most := 1<<30, 0
		for i := range 2000 {
			k := CutKey{Index: i, Width: c.w, Height: c.h, Size: c.size}
			cut, err := Drawn{Seed: 1}.Cut(k)
			if err != nil {
				t.Fatal(err)
			}
			if err := (Scheme{}).checkCut(cut, k); err != nil {
				t.Fatal(err)
			}
			least, most = min(least, cut.Box.Size), max(most, cut.Box.Size)
		}
		if least != c.least || most < c.most-1 || most > c.most {
			t.Errorf("%+v: sizes from %d to %d", c, least, most)
		}
	}
}

func TestCutPowerAndEdgeFairness(t *testing.T) {
	mean := func(s Scheme) (size, corner float64) {
		const n = 4000
		for i := range n {
			cut, _ := Drawn{Scheme: s, Seed: 2}.Cut(CutKey{Index: i, Width: 48, Height: 48, Size: 8})
			size += float64(cut.Box.Size) / n
			if cut.Box.X == 0 && cut.Box.Y == 0 {
				corner += 1. / n
			}
		}
		return size, corner
	}
	plain, corner := mean(Scheme{})
	small, _ := mean(Scheme{CutPower: 2})
	// U is 1/2 and U^2 is 1/3 of 40 on average, less half for the floor; 4000 draws leave 0.2.
	if math.Abs(plain-27.5) > 0.8 || math.Abs(small-20.9) > 0.8 {
		t.Errorf("mean sizes %.2f with power 1, %.2f with power 2", plain, small)
	}
	if _, fair := mean(Scheme{EdgeFair: 0.5}); fair < 4*corner {
		t.Errorf("the corner is in a share of %.4f of cuts, edge-fair %.4f", corner, fair)
	}
}

// TestOverviews: their share follows the schedule, and an overview of a picture that is not square shows all of it with
// the edges repeated.
func TestOverviews(t *testing.T) {
	s := Scheme{Overview: Schedule{Linear, []Point{{0, 0.75}, {100, 0.25}}}}
	for step, want := range map[int]float64{0: 0.75, 50: 0.5, 100: 0.25} {
		var got float64
		for i := range 2000 {
			k := CutKey{Step: step, Index: i, Width: 40, Height: 30, Size: 8}
			cut, _ := Drawn{Scheme: s, Seed: 3}.Cut(k)
			if err := s.checkCut(cut, k); err != nil {
				t.Fatal(err)
			}
			if cut.Box == (Box{X: 0, Y: -5, Size: 40}) {
				got += 1. / 2000
			}
		}
		if math.Abs(got-want) > 0.05 { // five standard errors
			t.Errorf("step %d: %.3f of the cuts are overviews, want %.2f", step, got, want)
		}
	}
	m := CropMatrix(40, 30, -5, 40)
	for o := range 40 {
		if at := min(max(o-5, 0), 29); m[o*30+at] != 1 {
			t.Errorf("row %d of the overview is not row %d of the picture", o, at)
		}
	}
}

func TestFastNoiseIsNormal(t *testing.T) {
	v := make([]float32, 1<<16+1)
	fillNoise(rng.New(4, "noise"), v, 2)
	var mean, square, fourth float64
	for _, x := range v {
		y := float64(x) / 2
		mean += y / float64(len(v))
		square += y * y / float64(len(v))
		fourth += y * y * y * y / float64(len(v))
	}
	// Standard errors over 65537 draws: 0.004, 0.006, 0.04; five of them.
	if math.Abs(mean) > 0.02 || math.Abs(square-1) > 0.03 || math.Abs(fourth-3) > 0.2 {
		t.Errorf("moments %v, %v, %v", mean, square, fourth)
	}
}

func TestSchemesRefuse(t *testing.T) {
	if _, err := SchemeByName("mosaic"); err == nil {
		t.Error("an unknown scheme was found")
	}
	for _, name := range Schemes {
		if s, err := SchemeByName(name); err != nil || s.check() != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, s := range []Scheme{{CutPower: -1}, {CutPower: math.NaN()}, {EdgeFair: 2}, {Noise: math.Inf(1)}, {Augments: []Augment{Flip{}, Flip{}}}} {
		if s.check() == nil {
			t.Errorf("%+v was accepted", s)
		}
	}
}

// TestCropAdjoint: <crop(x), g> = <x, sum of adjoint planes>, the identity that makes the planes the gradient.
func TestCropAdjoint(t *testing.T) {
	const n, s, h, w = 3, 5, 9, 11
	var rows, cols []float32
	for _, b := range []Box{{0, 0, 9}, {4, 2, 7}, {8, 5, 3}} {
		rows = append(rows, CropMatrix(s, h, b.Y, b.Size)...)
		cols = append(cols, CropMatrix(s, w, b.X, b.Size)...)
	}
	x, g := randomFloats("x", h*w*3), randomFloats("g", n*s*s*3)
	out := run(t, func(in []*graph.Node) []*graph.Node {
		return []*graph.Node{CropGraph(in[0], in[1], in[2]), CropAdjoint(in[3], in[1], in[2])}
	}, x, []int{1, h, w, 3}, rows, []int{n, s, h}, cols, []int{n, s, w}, g, []int{n, s, s, 3})
	var left, right float64
	for i, v := range out[0] {
		left += float64(v) * float64(g[i])
	}
	for i, v := range out[1] {
		right += float64(v) * float64(x[i%len(x)])
	}
	if left == 0 || math.Abs(left-right) > 1e-5*math.Abs(left) {
		t.Errorf("<crop(x), g> = %v, <x, adjoint(g)> = %v", left, right)
	}
}

func TestCropMatrixKeepsConstantsAndCopies(t *testing.T) {
	for _, size := range []int{1, 2, 5, 8, 13} {
		m := CropMatrix(5, 16, 2, size)
		for o := range 5 {
			var sum float64
			for i, v := range m[o*16 : (o+1)*16] {
				sum += float64(v)
				if v != 0 && (i < 2 || i >= 2+size) {
					t.Fatalf("size %d: output %d reads sample %d, outside of the cut", size, o, i)
				}
			}
			if math.Abs(sum-1) > 1e-6 {
				t.Errorf("size %d: weights of output %d sum to %v", size, o, sum)
			}
		}
		for o := range 5 {
			if size == 5 && m[o*16+2+o] != 1 {
				t.Errorf("a cut of the same size is not a copy: %v", m[o*16:(o+1)*16])
			}
		}
	}
}

// TestMaxPool compares with the definition, ties included: the gradient of equal values goes to the first.
func TestMaxPool(t *testing.T) {
	const h, w = 7, 10
	for _, c := range []struct{ oh, ow int }{{3, 4}, {7, 10}, {9, 13}, {5, 5}, {1, 1}} {
		x := randomFloats("pool", h*w*2)
		for i := range x {
			x[i] = float32(math.Floor(float64(x[i]) * 3)) // many ties
		}
		g := randomFloats("adjoint", c.oh*c.ow*2)
		out := run(t, func(in []*graph.Node) []*graph.Node {
			y := maxPoolGraph(in[0], c.oh, c.ow)
			return []*graph.Node{y, vjp(y, in[1], in[0])}
		}, x, []int{1, h, w, 2}, g, []int{1, c.oh, c.ow, 2})
		want := make([]float32, len(x))
		for oy := range c.oh {
			for ox := range c.ow {
				for k := range 2 {
					best, at := float32(math.Inf(-1)), 0
					y0, y1 := poolWindow(oy, c.oh, h)
					x0, x1 := poolWindow(ox, c.ow, w)
					for y := y0; y < y1; y++ {
						for xx := x0; xx < x1; xx++ {
							if i := (y*w+xx)*2 + k; x[i] > best {
								best, at = x[i], i
							}
						}
					}
					o := (oy*c.ow+ox)*2 + k
					if out[0][o] != best {
						t.Fatalf("%+v: output %d is %v, want %v", c, o, out[0][o], best)
					}
					want[at] += g[o]
				}
			}
		}
		if _, diff := largest(want, out[1]); diff > 1e-6 {
			t.Errorf("%+v: the gradient is off by %v", c, diff)
		}
	}
}

func TestFitKeepsTheAspect(t *testing.T) {
	const h, w, s = 6, 12, 8
	x := randomFloats("fit", h*w*3)
	out := run(t, func(in []*graph.Node) []*graph.Node {
		return []*graph.Node{fitGraph(in[0], s), PoolGraph(in[0], 4, 8)}
	}, x, []int{1, h, w, 3})
	row := func(v []float32, y int) []float32 { return v[y*s*3 : (y+1)*s*3] }
	for y := range s {
		if want := row(out[1], min(max(y-2, 0), 3)); !reflect.DeepEqual(row(out[0], y), want) {
			t.Errorf("row %d is not the pooled row with edges repeated", y)
		}
	}
}

func TestPooledKeepAspectPaints(t *testing.T) {
	cfg := toyConfig(t, "pooled")
	cfg.Scheme.KeepAspect = true
	p := begun(t, cfg)
	first, last := advance(t, p, 1), advance(t, p, 19)
	if last.Total >= first.Total {
		t.Errorf("total loss %v, then %v", first.Total, last.Total)
	}
}

func TestBadCutsAreRefused(t *testing.T) {
	for name, cut := range map[string]Cut{
		"outside": {Box: Box{X: 20, Y: 0, Size: 12}},
		"partly":  {Box: Box{X: -1, Y: -1, Size: 22}},
		"empty":   {Box: Box{}},
		"params":  {Box: Box{Size: 12}, Params: []float32{1}},
	} {
		cfg := toyConfig(t, "original")
		cfg.Source = fixedCut(cut)
		if _, err := begun(t, cfg).Advance(t.Context()); err == nil {
			t.Errorf("%s: a cut was taken that does not fit", name)
		}
	}
}

type fixedCut Cut

func (c fixedCut) Cut(CutKey) (Cut, error) { return Cut(c), nil }
