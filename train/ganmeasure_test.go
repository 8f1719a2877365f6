package train

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"path/filepath"
	"testing"

	"github.com/smalti/smalti/gan"
	"github.com/smalti/smalti/rng"
	"github.com/smalti/smalti/weights"
)

// toyInception writes an Inception v3 of a sixteenth of the width: names and shapes as in a state dict.
func toyInception(t *testing.T, classes int) string {
	t.Helper()
	var outs []weights.Out
	add := func(name string, mean, spread float64, shape ...int) {
		n := 1
		for _, d := range shape {
			n *= d
		}
		x, s := make([]float32, n), rng.New(8, name)
		for i := range x {
			x[i] = float32(mean + spread*s.Normal())
		}
		outs = append(outs, weights.Out{Name: name, DType: weights.F32, Shape: shape, Floats: x})
	}
	conv := func(name string, out, in, h, w int) {
		if out /= 16; in > 3 { // the first sees colours
			in /= 16
		}
		add(name+".conv.weight", 0, math.Sqrt(2/float64(in*h*w)), out, in, h, w)
		for part, mean := range map[string]float64{"weight": 1, "bias": 0, "running_mean": 0, "running_var": 1} {
			add(name+".bn."+part, mean, .01, out)
		}
	}
	conv("Conv2d_1a_3x3", 32, 3, 3, 3)
	conv("Conv2d_2a_3x3", 32, 32, 3, 3)
	conv("Conv2d_2b_3x3", 64, 32, 3, 3)
	conv("Conv2d_3b_1x1", 80, 64, 1, 1)
	conv("Conv2d_4a_3x3", 192, 80, 3, 3)
	double := func(block string, in int) {
		conv(block+".branch3x3dbl_1", 64, in, 1, 1)
		conv(block+".branch3x3dbl_2", 96, 64, 3, 3)
		conv(block+".branch3x3dbl_3", 96, 96, 3, 3)
	}
	for i, in := range []int{192, 256, 288} {
		b := fmt.Sprintf("Mixed_5%c", 'b'+i)
		conv(b+".branch1x1", 64, in, 1, 1)
		conv(b+".branch5x5_1", 48, in, 1, 1)
		conv(b+".branch5x5_2", 64, 48, 5, 5)
		double(b, in)
		conv(b+".branch_pool", []int{32, 64, 64}[i], in, 1, 1)
	}
	conv("Mixed_6a.branch3x3", 384, 288, 3, 3)
	double("Mixed_6a", 288)
	for i, c := range []int{128, 160, 160, 192} {
		b := fmt.Sprintf("Mixed_6%c.branch", 'b'+i)
		for _, l := range []struct {
			name             string
			out, in, down, w int
		}{{"1x1", 192, 768, 1, 1}, {"7x7_1", c, 768, 1, 1}, {"7x7_2", c, c, 1, 7}, {"7x7_3", 192, c, 7, 1}, {"7x7dbl_1", c, 768, 1, 1}, {"7x7dbl_2", c, c, 7, 1},
			{"7x7dbl_3", c, c, 1, 7}, {"7x7dbl_4", c, c, 7, 1}, {"7x7dbl_5", 192, c, 1, 7}, {"_pool", 192, 768, 1, 1}} {
			conv(b+l.name, l.out, l.in, l.down, l.w)
		}
	}
	conv("Mixed_7a.branch3x3_1", 192, 768, 1, 1)
	conv("Mixed_7a.branch3x3_2", 320, 192, 3, 3)
	conv("Mixed_7a.branch7x7x3_1", 192, 768, 1, 1)
	conv("Mixed_7a.branch7x7x3_2", 192, 192, 1, 7)
	conv("Mixed_7a.branch7x7x3_3", 192, 192, 7, 1)
	conv("Mixed_7a.branch7x7x3_4", 192, 192, 3, 3)
	for i, in := range []int{1280, 2048} {
		b := fmt.Sprintf("Mixed_7%c.branch", 'b'+i)
		conv(b+"1x1", 320, in, 1, 1)
		conv(b+"3x3_1", 384, in, 1, 1)
		conv(b+"3x3_2a", 384, 384, 1, 3)
		conv(b+"3x3_2b", 384, 384, 3, 1)
		conv(b+"3x3dbl_1", 448, in, 1, 1)
		conv(b+"3x3dbl_2", 384, 448, 3, 3)
		conv(b+"3x3dbl_3a", 384, 384, 1, 3)
		conv(b+"3x3dbl_3b", 384, 384, 3, 1)
		conv(b+"_pool", 192, in, 1, 1)
	}
	add("fc.weight", 0, .1, classes, 128)
	add("fc.bias", 0, .1, classes)
	path := filepath.Join(t.TempDir(), "inception.safetensors")
	if err := weights.SaveFile(path, func(w io.Writer) error { return weights.WriteSafetensors(w, nil, outs) }); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestMeasureInception measures a generator that draws noise, and data against themselves.
func TestMeasureInception(t *testing.T) {
	cfg := tinyGAN(barSet(t), BasicGAN)
	cfg.Train.Steps, cfg.SheetEvery, cfg.Train.EvalEvery = 1, 0, 0
	dir := t.TempDir()
	if _, err := RunGAN(context.Background(), cfg, nil, Options{Dir: dir}); err != nil {
		t.Fatal(err)
	}
	model := filepath.Join(dir, ModelFile)
	toy := toyInception(t, 1008)
	got, standard, err := MeasureInception(context.Background(), model, toy, cfg, 24)
	if err != nil || !standard || len(got) != 3 {
		t.Fatalf("%v, standard %v, %v", got, standard, err)
	}
	if !(got["fid"] > 0) || !(got["inception_score"] >= 1) || math.IsNaN(got["kid"]) {
		t.Errorf("measures %v", got)
	}
	again, _, err := MeasureInception(context.Background(), model, toy, cfg, 24)
	if err != nil || again["fid"] != got["fid"] || again["kid"] != got["kid"] {
		t.Errorf("measured again: %v, %v", again, err)
	}
	if _, standard, err := MeasureInception(context.Background(), model, toyInception(t, 10), cfg, 4); err != nil || standard {
		t.Errorf("weights of another kind: standard %v, %v", standard, err)
	}
	if _, _, err := MeasureInception(context.Background(), model, model, cfg, 4); !errors.Is(err, gan.ErrNotInception) {
		t.Errorf("a generator as Inception: %v", err)
	}
	if _, _, err := MeasureInception(context.Background(), toy, toy, cfg, 4); !errors.Is(err, gan.ErrNotGAN) {
		t.Errorf("Inception as a generator: %v", err)
	}
}
