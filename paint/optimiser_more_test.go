package paint

import (
	"math"
	"testing"
)

// TestDiffGradByTheFormulas holds three steps against the paper's formulas in float64.
func TestDiffGradByTheFormulas(t *testing.T) {
	o, err := NewOptimiser(OptimiserConfig{Kind: "diffgrad"}, 1)
	if err != nil {
		t.Fatal(err)
	}
	p, want := []float32{1}, 1.0
	var m, v, last float64
	for i, g := range []float64{0.5, 0.75, -0.25} {
		m, v = 0.9*m+0.1*g, 0.999*v+0.001*g*g
		xi := 1 / (1 + math.Exp(-math.Abs(last-g)))
		n := float64(i + 1)
		want -= 0.1 * xi * (m / (1 - math.Pow(0.9, n))) / (math.Sqrt(v/(1-math.Pow(0.999, n))) + 1e-8)
		last = g
		o.Step(p, []float32{float32(g)}, 0.1)
		if math.Abs(float64(p[0])-want) > 1e-6 { // float32 moments
			t.Errorf("step %d: %v, want %v", i+1, p[0], want)
		}
	}
}

// TestAdamPProjects: where the gradient stands at right angles to the parameters their step does too; elsewhere the step
// is Adam's.
func TestAdamPProjects(t *testing.T) {
	step := func(kind string, p, g []float32) []float32 {
		o, err := NewOptimiser(OptimiserConfig{Kind: kind}, len(p))
		if err != nil {
			t.Fatal(err)
		}
		// Two steps: Adam's first goes along the signs of the gradient alone.
		q := append([]float32(nil), p...)
		o.Step(q, []float32{0.3, -0.1, 0.2}, 0)
		o.Step(q, g, 0.01)
		out := make([]float32, len(p))
		for i := range p {
			out[i] = q[i] - p[i]
		}
		return out
	}
	p := []float32{1, 2, -1}
	dot := func(a, b []float32) (sum float64) {
		for i := range a {
			sum += float64(a[i]) * float64(b[i])
		}
		return sum
	}
	right := []float32{2, -1, 0} // at right angles to p
	if along := dot(step("adam", p, right), p); math.Abs(along) < 1e-3 {
		t.Fatalf("Adam's step along p is %v: the test shows nothing", along)
	}
	if along := dot(step("adamp", p, right), p); math.Abs(along) > 1e-6 { // rounding of float32
		t.Errorf("the step along p is %v, want 0", along)
	}
	tilted := []float32{2, 1, 0}
	a, b := step("adam", p, tilted), step("adamp", p, tilted)
	for i := range a {
		if math.Abs(float64(a[i]-b[i])) > 1e-7 {
			t.Errorf("steps %v and %v, want equal", a, b)
		}
	}
	if dot(a, a) == 0 {
		t.Error("no step was taken")
	}
}
