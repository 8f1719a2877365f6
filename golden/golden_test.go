package golden

import (
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/smalti/smalti/weights"
)

func TestCompare(t *testing.T) {
	nan, inf := float32(math.NaN()), float32(math.Inf(1))
	tests := []struct {
		name      string
		got, want []float32
		tol       Tolerance
		ok        bool
	}{
		{"equal", []float32{1, 2}, []float32{1, 2}, Tolerance{}, true},
		{"off", []float32{1, 2.1}, []float32{1, 2}, Tolerance{}, false},
		{"abs", []float32{1, 2.1}, []float32{1, 2}, Tolerance{Abs: 0.11}, true},
		{"abs too small", []float32{1, 2.1}, []float32{1, 2}, Tolerance{Abs: 0.09}, false},
		{"rel", []float32{101}, []float32{100}, Tolerance{Rel: 0.011}, true},
		{"rel of a small element", []float32{100, 1}, []float32{100, 0.5}, Tolerance{Rel: 0.011}, false},
		{"of max", []float32{100, 1}, []float32{100, 0.5}, Tolerance{OfMax: 0.01}, true},
		{"nan", []float32{nan}, []float32{1}, Tolerance{Abs: 1e9}, false},
		{"nan wanted", []float32{nan}, []float32{nan}, Tolerance{Abs: 1e9}, false},
		{"inf", []float32{inf}, []float32{1}, Tolerance{Abs: 1e9}, false},
		{"inf wanted", []float32{1}, []float32{inf}, Tolerance{Rel: 1}, false},
		{"same inf", []float32{inf}, []float32{inf}, Tolerance{}, true},
		{"shorter", []float32{1}, []float32{1, 2}, Tolerance{Abs: 1e9}, false},
		{"nothing", nil, nil, Tolerance{}, false},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			r := NewReport("f")
			r.Compare("x", tc.got, tc.want, tc.tol)
			res := r.Results()[0]
			if res.OK != tc.ok {
				t.Errorf("OK = %v (%s), want %v", res.OK, res.Why, tc.ok)
			}
			if n := len(strings.Fields(res.String())); n != 6 {
				t.Errorf("line %q has %d fields", res, n)
			}
		})
	}
}

func TestExact(t *testing.T) {
	r := NewReport("f")
	r.Exact("same", []int64{1, 2}, []int64{1, 2})
	r.Exact("off", []int64{1, 3}, []int64{1, 2})
	r.Exact("short", []int64{1}, []int64{1, 2})
	for i, want := range []bool{true, false, false} {
		if got := r.Results()[i]; got.OK != want {
			t.Errorf("%s: OK = %v", got.Tensor, got.OK)
		}
	}
	if got := r.Results()[1].MaxAbs; got != 1 {
		t.Errorf("MaxAbs = %v, want 1", got)
	}
}

func TestFixture(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "toy")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(dir); err == nil {
		t.Error("a folder without config.json was opened")
	}
	if err := os.WriteFile(filepath.Join(dir, "config.json"), []byte(`{"kind":"toy","n":3}`), 0o644); err != nil {
		t.Fatal(err)
	}
	w, err := os.Create(filepath.Join(dir, "io.safetensors"))
	if err != nil {
		t.Fatal(err)
	}
	err = weights.WriteSafetensors(w, nil, []weights.Out{
		{Name: "x", DType: weights.F32, Shape: []int{2, 1}, Floats: []float32{1, 2}},
		{Name: "i", DType: weights.I64, Shape: []int{1}, Ints: []int64{7}},
	})
	if err != nil || w.Close() != nil {
		t.Fatal(err)
	}
	f, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var cfg struct{ N int }
	if err := f.Config(&cfg); err != nil || cfg.N != 3 {
		t.Errorf("Config: %v, %v", cfg, err)
	}
	if f.Kind != "toy" || f.Name != "toy" || !f.Has("x") || f.Has("y") {
		t.Errorf("fixture %+v", f)
	}
	if x := f.Floats("x"); len(x) != 2 || x[1] != 2 || len(f.Shape("x")) != 2 || f.Ints("i")[0] != 7 {
		t.Errorf("x = %v %v, i = %v", x, f.Shape("x"), f.Ints("i"))
	}
	if got := f.Sibling("other"); got != filepath.Join(filepath.Dir(f.Dir), "other") {
		t.Errorf("Sibling = %s", got)
	}
	defer func() {
		if recover() == nil {
			t.Error("a missing tensor went unnoticed")
		}
	}()
	f.Floats("y")
}
