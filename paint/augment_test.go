package paint

import (
	"fmt"
	"math"
	"testing"

	"github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"

	"github.com/smalti/smalti/engine"
	"github.com/smalti/smalti/rng"
)

// tensorsOf makes tensors of pairs of data and dimensions.
func tensorsOf(in []any) []*tensors.Tensor {
	var out []*tensors.Tensor
	for i := 0; i < len(in); i += 2 {
		out = append(out, engine.FromFloats(in[i].([]float32), in[i+1].([]int)...))
	}
	return out
}

var allAugments = []Augment{
	Flip{P: 0.5}, Gray{P: 0.5}, Jitter{P: 0.5, Brightness: 0.1, Contrast: 0.1, Saturation: 0.1, Hue: 0.1}, Sharpen{P: 0.5, Max: 0.3},
	Affine{P: 0.5, Degrees: 15, Translate: 0.1, Shear: 5}, Affine{P: 0.5, Degrees: 30, Border: true},
	Perspective{P: 0.5, Distortion: 0.7}, Rotate{P: 0.5, Degrees: 15},
	Erase{P: 0.5, Area: [2]float64{0.1, 0.4}, Aspect: [2]float64{0.3, 3.3}},
}

// TestAugmentsOnAndOff: a cut that was not chosen keeps every bit, one that was changes, and each cut's result is its
// own, whatever its neighbours in the chunk. What the changes are is held against kornia in tools/parity.
func TestAugmentsOnAndOff(t *testing.T) {
	const n, s = 3, 9
	x := randomFloats("augment", n*s*s*3)
	for i, a := range allAugments {
		t.Run(fmt.Sprint(i, a.Name()), func(t *testing.T) {
			var on []float32
			for seed := uint64(0); len(on) == 0 || on[0] == 0; seed++ {
				on = a.Draw(Draws{Cut: rng.New(seed, "cut"), Step: rng.New(seed, "step"), Size: s})
			}
			if len(on) != a.Params() {
				t.Fatalf("%d parameters drawn, %d declared", len(on), a.Params())
			}
			off := append([]float32{0}, on[1:]...)
			apply := func(x []float32, rows ...[]float32) []float32 {
				var p []float32
				for _, r := range rows {
					p = append(p, r...)
				}
				return run(t, func(in []*graph.Node) []*graph.Node { return []*graph.Node{a.Apply(in[0], in[1])} },
					x, []int{len(rows), s, s, 3}, p, []int{len(rows), a.Params()})[0]
			}
			plane := s * s * 3
			got, alone := apply(x, off, on, off), apply(x[plane:2*plane], on)
			for i := range plane {
				if got[i] != x[i] || got[2*plane+i] != x[2*plane+i] {
					t.Fatal("a cut that was not chosen changed")
				}
			}
			if _, diff := largest(got[plane:2*plane], x[plane:2*plane]); diff < 1e-3 {
				t.Error("a chosen cut did not change")
			}
			if _, diff := largest(got[plane:2*plane], alone); diff > 1e-6 {
				t.Errorf("a cut changes by %v with its neighbours", diff)
			}
		})
	}
}

func TestEraseIsSharedUnlessOwn(t *testing.T) {
	draw := func(a Erase, cut uint64) []float32 {
		return a.Draw(Draws{Cut: rng.New(1, "cut", cut), Step: rng.New(1, "step"), Size: 64})
	}
	a := Erase{P: 1, Area: [2]float64{0.1, 0.4}, Aspect: [2]float64{0.3, 3.3}}
	if p, q := draw(a, 1), draw(a, 2); fmt.Sprint(p) != fmt.Sprint(q) {
		t.Errorf("two cuts of a step erase %v and %v", p, q)
	}
	a.Own = true
	if p, q := draw(a, 1), draw(a, 2); fmt.Sprint(p) == fmt.Sprint(q) {
		t.Error("two cuts that draw for themselves erase the same")
	}
	for cut := range uint64(500) {
		p := draw(a, cut)
		area := float64((p[2] - p[1]) * (p[4] - p[3]))
		// Sides are rounded and capped, so the area may leave its range by a little.
		if p[1] < 0 || p[3] < 0 || p[2] > 64 || p[4] > 64 || area < 0.08*64*64 || area > 0.42*64*64 {
			t.Fatalf("erases %v, %v pixels", p, area)
		}
	}
}

func TestMatrices(t *testing.T) {
	from := [4][2]float64{{0, 0}, {8, 0}, {8, 6}, {0, 6}}
	to := [4][2]float64{{1, 0.5}, {7, 1}, {7.5, 5}, {0.25, 6}}
	m := PerspectiveMatrix(from, to)
	for i, p := range from {
		z := m[6]*p[0] + m[7]*p[1] + m[8]
		x, y := (m[0]*p[0]+m[1]*p[1]+m[2])/z, (m[3]*p[0]+m[4]*p[1]+m[5])/z
		if math.Abs(x-to[i][0]) > 1e-9 || math.Abs(y-to[i][1]) > 1e-9 {
			t.Errorf("corner %d goes to (%v, %v), want %v", i, x, y, to[i])
		}
	}
	for i, v := range m.mul(m.inverse()) {
		if want := float64(map[bool]int{true: 1}[i%4 == 0]); math.Abs(v-want) > 1e-9 {
			t.Errorf("element %d of matrix times inverse is %v", i, v)
		}
	}
}
