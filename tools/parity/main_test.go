package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/smalti/smalti/weights"
)

func fixture(t *testing.T, name, kind string, tensors ...weights.Out) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), name)
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "config.json"), []byte(`{"kind":"`+kind+`"}`), 0o644); err != nil {
		t.Fatal(err)
	}
	f, err := os.Create(filepath.Join(dir, "io.safetensors"))
	if err != nil {
		t.Fatal(err)
	}
	if err := weights.WriteSafetensors(f, nil, tensors); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	return dir
}

func parity(args ...string) (status int, stdout, stderr string) {
	var out, errs bytes.Buffer
	status = run(args, &out, &errs)
	return status, out.String(), errs.String()
}

func TestSkipsAndIgnores(t *testing.T) {
	odd := fixture(t, "odd", "astrology")
	file := filepath.Join(odd, "config.json")
	status, out, errs := parity(odd+"/", file, filepath.Join(odd, "absent"))
	if status != 0 || out != "skip astrology odd\n" || errs != "" {
		t.Errorf("status %d, stdout %q, stderr %q", status, out, errs)
	}
}

func TestFailureIsSaid(t *testing.T) {
	f32 := func(name string, v float32) weights.Out {
		return weights.Out{Name: name, DType: weights.F32, Shape: []int{1}, Floats: []float32{v}}
	}
	dir := fixture(t, "wrong", "nn_ops", f32("relu.x", 1), f32("relu.y", 2), f32("relu.gy", 1), f32("relu.gx", 1))
	status, out, errs := parity(dir)
	if status != 1 || !strings.HasPrefix(out, "wrong relu.y 1.000e+00 5.000e-01 ") || !strings.Contains(out, " FAIL\n") {
		t.Errorf("status %d, stdout %q", status, out)
	}
	if !strings.Contains(out, "wrong relu.gx 0.000e+00 0.000e+00 1e-05+1e-05*|b| ok\n") {
		t.Errorf("stdout %q lacks the tensor that is right", out)
	}
	if !strings.Contains(errs, "element 0 is 1, want 2") {
		t.Errorf("stderr %q does not say what is wrong", errs)
	}
	// A folder that is no fixture is an error, not silence.
	if status, out, errs := parity(t.TempDir()); status != 1 || out != "" || errs == "" {
		t.Errorf("empty folder: status %d, stdout %q, stderr %q", status, out, errs)
	}
}
