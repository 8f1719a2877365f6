package head

import (
	"bytes"
	"errors"
	"math"
	"slices"
	"testing"

	"github.com/smalti/smalti/rng"
	"github.com/smalti/smalti/weights"
)

// crowd draws features whose first axis leans one way.
func crowd(seed uint64, n, d int, lean float64) [][]float32 {
	s := rng.New(seed, "crowd")
	out := make([][]float32, n)
	for i := range out {
		out[i] = make([]float32, d)
		s.FillNormal(out[i])
		out[i][0] += float32(lean)
	}
	return out
}

func TestFitFindsTheDirection(t *testing.T) {
	liked, other := crowd(1, 60, 8, 2), crowd(2, 90, 8, -2)
	h, r, err := Fit(liked, other, 1, 0)
	if err != nil {
		t.Fatal(err)
	}
	if r.Liked != 60 || r.Other != 90 || r.Folds != Folds {
		t.Errorf("report %+v", r)
	}
	if r.HeldOut < 0.9 || r.AUC < 0.95 || r.Seen < r.HeldOut-0.05 { // two normals 4 apart overlap by 2.3 %
		t.Errorf("held out %g, area %g, seen %g", r.HeldOut, r.AUC, r.Seen)
	}
	length := 0.0
	for _, w := range h.Weight {
		length += float64(w) * float64(w)
	}
	if c := float64(h.Weight[0]) / math.Sqrt(length); c < 0.9 {
		t.Errorf("the head leans %g along the axis that tells the sides apart", c)
	}
	right := 0
	for _, v := range liked {
		if h.Score(v) > 0 {
			right++
		}
	}
	if right < 54 {
		t.Errorf("the head of unit features likes %d of 60", right)
	}
	again, _, err := Fit(liked, other, 1, 0)
	if err != nil || !slices.Equal(again.Weight, h.Weight) || again.Bias != h.Bias {
		t.Errorf("a second fit differs: %v", err)
	}
}

// Of noise there is nothing to learn, and the report says so however well the head knows what it has seen.
func TestFitOfNoise(t *testing.T) {
	_, r, err := Fit(crowd(3, 40, 64, 0), crowd(4, 40, 64, 0), 1e-3, 0)
	if err != nil {
		t.Fatal(err)
	}
	if r.Seen < 0.99 || r.HeldOut > 0.7 || r.AUC > 0.7 { // 80 draws of a coin: 0.7 is 3.6 deviations off
		t.Errorf("of noise: seen %g, held out %g, area %g", r.Seen, r.HeldOut, r.AUC)
	}
}

// At the minimum every central difference of the loss is zero, which the analytic gradient must also say elsewhere.
func TestFitIsAMinimum(t *testing.T) {
	p := newProblem(crowd(5, 7, 4, 1), crowd(6, 9, 4, -1), 0.5)
	at := func(v []float64) float64 { return p.loss(v, make([]float64, 5), make([]float64, 16)) }
	w, b := p.solve()
	for name, v := range map[string][]float64{"minimum": append(slices.Clone(w), b), "elsewhere": {0.3, -0.2, 0.5, 1, -0.7}} {
		grad := make([]float64, 5)
		p.loss(v, grad, make([]float64, 16))
		for k := range v {
			const h = 1e-5
			up, down := slices.Clone(v), slices.Clone(v)
			up[k], down[k] = up[k]+h, down[k]-h
			slope := (at(up) - at(down)) / (2 * h)
			if math.Abs(slope-grad[k]) > 1e-6 {
				t.Errorf("%s: gradient %d is %g, want %g", name, k, grad[k], slope)
			}
			if name == "minimum" && math.Abs(slope) > 1e-6 {
				t.Errorf("at the minimum the slope %d is %g", k, slope)
			}
		}
	}
}

func TestFitRefuses(t *testing.T) {
	if _, _, err := Fit(crowd(1, 1, 4, 0), crowd(2, 9, 4, 0), 1, 0); err == nil {
		t.Error("one picture was enough")
	}
	if _, _, err := Fit(crowd(1, 3, 4, 0), crowd(2, 9, 4, 0), 0, 0); err == nil {
		t.Error("no penalty was accepted")
	}
}

func TestReadAndWrite(t *testing.T) {
	want := &Head{Weight: []float32{1, -2, 0.5}, Bias: 3, CLIP: "builtin/clip", SHA256: "abc"}
	var buf bytes.Buffer
	if err := want.Write(&buf); err != nil {
		t.Fatal(err)
	}
	got, err := Read(buf.Bytes())
	if err != nil || !slices.Equal(got.Weight, want.Weight) || got.Bias != 3 || got.CLIP != want.CLIP || got.SHA256 != want.SHA256 {
		t.Errorf("read back %+v, %v", got, err)
	}
	if s := got.Score([]float32{0, 0, 2}); s != 3.5 {
		t.Errorf("a score of %g, want 3.5", s)
	}
	if got, err = Read([]byte(` {"weight": [1, 2], "bias": 0.5}`)); err != nil || !slices.Equal(got.Weight, []float32{1, 2}) || got.Bias != 0.5 {
		t.Errorf("of JSON: %+v, %v", got, err)
	}
	file := func(outs ...weights.Out) []byte {
		var b bytes.Buffer
		if err := weights.WriteSafetensors(&b, nil, outs); err != nil {
			t.Fatal(err)
		}
		return b.Bytes()
	}
	vector := weights.Out{Name: "w", DType: weights.F32, Shape: []int{3}, Floats: []float32{1, 2, 3}}
	if got, err = Read(file(vector)); err != nil || len(got.Weight) != 3 || got.Bias != 0 {
		t.Errorf("of a vector alone: %+v, %v", got, err)
	}
	other := vector
	other.Name = "v"
	matrix := weights.Out{Name: "w", DType: weights.F32, Shape: []int{2, 2}, Floats: []float32{1, 2, 3, 4}}
	nan := vector
	nan.Floats = []float32{1, float32(math.NaN()), 1}
	for what, data := range map[string][]byte{"two vectors": file(vector, other), "a matrix": file(matrix), "NaN": file(nan),
		"other JSON": []byte(`{"a":1}`), "an empty object": []byte(`{}`)} {
		if _, err := Read(data); !errors.Is(err, ErrFormat) {
			t.Errorf("%s: %v", what, err)
		}
	}
}
