package latent

import (
	"errors"
	"math"
	"reflect"
	"slices"
	"testing"
)

func TestEasings(t *testing.T) {
	for _, name := range Easings() {
		e, err := EasingByName(name)
		if err != nil {
			t.Fatal(err)
		}
		if e(0) != 0 || e(1) != 1 {
			t.Errorf("%s: ends %g and %g", name, e(0), e(1))
		}
		for i := range 100 {
			if e(float64(i)/100) > e(float64(i+1)/100) {
				t.Errorf("%s goes backwards at %d", name, i)
			}
		}
	}
	for name, want := range map[string]float64{"linear": 0.25, "smooth": 0.15625, "in": 0.0625, "out": 0.4375, "smoother": 0.103515625} {
		if e, _ := EasingByName(name); e(0.25) != want {
			t.Errorf("%s at a quarter: %g, want %g", name, e(0.25), want)
		}
	}
	if _, err := EasingByName("bouncy"); err == nil {
		t.Error("an unknown easing was found")
	}
}

func plan(t *testing.T, tl Timeline, curves []Curve) []Frame {
	t.Helper()
	got, err := tl.Plan(curves)
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func TestPlan(t *testing.T) {
	for name, c := range map[string]struct {
		tl   Timeline
		want []Frame
	}{
		"two":    {Timeline{Keys: 2, To: 1, Frames: 3}, []Frame{{0, 1, 0}, {0, 1, 0.5}, {0, 1, 1}}},
		"three":  {Timeline{Keys: 3, To: 2, Frames: 5}, []Frame{{0, 1, 0}, {0, 1, 0.5}, {1, 2, 0}, {1, 2, 0.5}, {1, 2, 1}}},
		"cycle":  {Timeline{Keys: 2, To: 1, Frames: 4, Loop: Cycle}, []Frame{{0, 1, 0}, {0, 1, 0.5}, {1, 0, 0}, {1, 0, 0.5}}},
		"bounce": {Timeline{Keys: 2, To: 1, Frames: 4, Loop: Bounce}, []Frame{{0, 1, 0}, {0, 1, 0.5}, {0, 1, 1}, {0, 1, 0.5}}},
		"bounce of three": {Timeline{Keys: 3, To: 2, Frames: 4, Loop: Bounce},
			[]Frame{{0, 1, 0}, {1, 2, 0}, {1, 2, 1}, {0, 1, 1}}},
		"hold":   {Timeline{Keys: 2, To: 1, Frames: 3, Hold: 1}, []Frame{{0, 1, 0}, {0, 1, 0}, {0, 1, 0.5}, {0, 1, 1}, {0, 1, 1}}},
		"beyond": {Timeline{Keys: 2, From: -0.5, To: 2, Frames: 6}, []Frame{{0, 1, -0.5}, {0, 1, 0}, {0, 1, 0.5}, {0, 1, 1}, {0, 1, 1.5}, {0, 1, 2}}},
		"inside": {Timeline{Keys: 2, From: 0.25, To: 0.75, Frames: 2}, []Frame{{0, 1, 0.25}, {0, 1, 0.75}}},
		"eased":  {Timeline{Keys: 2, To: 1, Frames: 5, Ease: smooth}, []Frame{{0, 1, 0}, {0, 1, 0.15625}, {0, 1, 0.5}, {0, 1, 0.84375}, {0, 1, 1}}},
	} {
		if got := plan(t, c.tl, nil); !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
	for name, tl := range map[string]Timeline{
		"one picture": {Keys: 1, To: 1, Frames: 3}, "nowhere": {Keys: 2, Frames: 3}, "backwards": {Keys: 2, From: 1, To: 0, Frames: 3},
		"too few frames": {Keys: 3, To: 2, Frames: 2}, "loop of a part": {Keys: 2, To: 0.5, Frames: 9, Loop: Cycle},
		"unknown loop": {Keys: 2, To: 1, Frames: 9, Loop: "knot"}, "not a number": {Keys: 2, To: math.NaN(), Frames: 3}, "endless": {Keys: 2, To: math.Inf(1), Frames: 3},
	} {
		if _, err := tl.Plan(nil); err == nil {
			t.Errorf("%s: planned", name)
		}
	}
}

func TestPlanFollowsCurves(t *testing.T) {
	// All movement of the first way is between 0.5 and 0.75; the second way is a quarter as long.
	curves := []Curve{{T: []float64{0, 0.5, 0.75, 1}, D: []float64{0, 0, 8, 8}}, {T: []float64{0, 1}, D: []float64{0, 2}}}
	got := plan(t, Timeline{Keys: 3, To: 2, Frames: 6}, curves)
	want := []Frame{{0, 1, 0}, {0, 1, 0.5625}, {0, 1, 0.625}, {0, 1, 0.6875}, {1, 2, 0}, {1, 2, 1}}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}

func TestShare(t *testing.T) {
	for _, c := range []struct {
		n       int
		lengths []float64
		want    []int
	}{
		{10, []float64{1, 1}, []int{5, 5}}, {3, []float64{1, 1}, []int{2, 1}}, {10, []float64{3, 0}, []int{9, 1}},
		{4, []float64{0, 0}, []int{2, 2}}, {3, []float64{1000, 0, 0}, []int{1, 1, 1}}, {7, []float64{5, 2, 0.01, 0.01}, []int{4, 1, 1, 1}},
	} {
		if got := share(c.n, c.lengths); !slices.Equal(got, c.want) {
			t.Errorf("%d steps over %v: %v, want %v", c.n, c.lengths, got, c.want)
		}
	}
}

func TestMeasureEvensOutSteps(t *testing.T) {
	// A way that stands still, then moves with growing speed: t^4.
	place := func(t float64) float64 { return t * t * t * t }
	calls := 0
	dist := func(t, u float64) (float64, error) { calls++; return math.Abs(place(u) - place(t)), nil }
	c, err := Measure(0, 1, 20, 40, dist)
	if err != nil {
		t.Fatal(err)
	}
	if calls != 20+2*40 || len(c.T) != 61 {
		t.Errorf("%d calls, %d samples", calls, len(c.T))
	}
	if math.Abs(c.Length()-1) > 1e-12 || !slices.IsSorted(c.T) || !slices.IsSorted(c.D) {
		t.Fatalf("length %g", c.Length())
	}
	worst, n := 0.0, 30
	for i := range n {
		step := place(c.At(float64(i+1)/float64(n))) - place(c.At(float64(i)/float64(n)))
		worst = max(worst, step*float64(n))
	}
	if worst > 1.1 { // even time has 3.8
		t.Errorf("the longest of %d steps is %.3f times the mean", n, worst)
	}
	back, err := Measure(1, 0, 20, 40, dist)
	if err != nil {
		t.Fatal(err)
	}
	if r := c.Reversed(); math.Abs(r.At(0.3)-back.At(0.3)) > 1e-9 || r.At(0) != 1 || r.At(9) != 0 {
		t.Errorf("reversed %g, measured backwards %g", r.At(0.3), back.At(0.3))
	}
}

func TestMeasureEndsAtJumps(t *testing.T) {
	dist := func(t, u float64) (float64, error) {
		if (t < 0.5) != (u < 0.5) {
			return 1, nil
		}
		return 0, nil
	}
	c, err := Measure(0, 1, 3, 1000, dist)
	if err != nil {
		t.Fatal(err)
	}
	if len(c.T) > 20 || c.Length() != 1 {
		t.Errorf("%d samples around a jump", len(c.T))
	}
	bad := errors.New("no picture")
	if _, err := Measure(0, 1, 2, 0, func(t, u float64) (float64, error) { return 0, bad }); !errors.Is(err, bad) {
		t.Errorf("error %v", err)
	}
	for _, d := range []float64{math.NaN(), -1, math.Inf(1)} {
		if _, err := Measure(0, 1, 2, 0, func(t, u float64) (float64, error) { return d, nil }); err == nil {
			t.Errorf("a distance of %g was taken", d)
		}
	}
}

func TestCurveAt(t *testing.T) {
	c := Curve{T: []float64{0, 0.5, 1}, D: []float64{0, 1, 3}}
	for d, want := range map[float64]float64{-1: 0, 0: 0, 0.5: 0.25, 1: 0.5, 2: 0.75, 3: 1, 9: 1} {
		if got := c.At(d); got != want {
			t.Errorf("at %g: %g, want %g", d, got, want)
		}
	}
	if got := Straight(0, 1).At(math.NaN()); got != 0 {
		t.Errorf("at NaN: %g", got)
	}
	if still := (Curve{T: []float64{0, 1}, D: []float64{0, 0}}); still.At(0) != 0 {
		t.Error("a way without length moves")
	}
}
