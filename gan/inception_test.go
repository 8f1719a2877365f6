package gan

import (
	"bytes"
	"context"
	"errors"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/gomlx/gomlx/core/graph"

	"github.com/smalti/smalti/engine"
	"github.com/smalti/smalti/gx"
	"github.com/smalti/smalti/rng"
	"github.com/smalti/smalti/weights"
)

// toyInception writes weights of a sixteenth of the width under the names of the real ones.
func toyInception(t *testing.T, classes int) *weights.File {
	t.Helper()
	e := testEngine(t)
	net := inceptionNet{divide: 16, classes: classes}
	p := e.Program("toy", func(v *gx.Vars, in []*graph.Node) []*graph.Node {
		f, l := net.graph(v, in[0])
		return []*graph.Node{f, l}
	})
	decls, err := p.Decls(engine.Float32(1, inceptionSide, inceptionSide, 3))
	if err != nil {
		t.Fatal(err)
	}
	var outs []weights.Out
	for _, d := range decls {
		s := rng.New(5, d.Name)
		x := make([]float32, d.Shape().Size())
		mean, spread := 0., 0.
		switch {
		case strings.HasSuffix(d.Name, "running_var"), strings.HasSuffix(d.Name, "bn.weight"):
			mean, spread = 1, .2
		case len(d.Dims) == 4: // as Kaiming would, so that features neither vanish nor explode
			spread = math.Sqrt(2 / float64(d.Dims[0]*d.Dims[1]*d.Dims[2]))
		default:
			spread = .2
		}
		for i := range x {
			x[i] = float32(mean + spread*s.Normal())
			if strings.HasSuffix(d.Name, "running_var") {
				x[i] = max(x[i], .3)
			}
		}
		outs = append(outs, weights.Out{Name: d.Name, DType: weights.F32, Shape: d.Layout.FileDims(d.Dims), Floats: x})
		if name, ok := strings.CutSuffix(d.Name, "running_mean"); ok { // what a state dict holds besides
			outs = append(outs, weights.Out{Name: name + "num_batches_tracked", DType: weights.I64, Shape: []int{1}, Ints: []int64{7}})
		}
	}
	outs = append(outs, weights.Out{Name: "AuxLogits.fc.bias", DType: weights.F32, Shape: []int{2}, Floats: []float32{1, 2}})
	return fileOf(t, outs)
}

func fileOf(t *testing.T, outs []weights.Out) *weights.File {
	t.Helper()
	var b bytes.Buffer
	if err := weights.WriteSafetensors(&b, nil, outs); err != nil {
		t.Fatal(err)
	}
	f, err := weights.OpenBytes(b.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// twin computes Inception v3 one number at a time, in float64 and in PyTorch's order of axes, as torchvision and the
// usual program for FID define it.
type twin struct {
	t   *testing.T
	f   *weights.File
	fid bool
}

type planes [][][]float64 // [channel][row][column]

func (w twin) data(name string) ([]float32, []int) {
	x, ok := w.f.Tensor(name)
	if !ok {
		w.t.Fatalf("no %s", name)
	}
	d, err := x.Float32()
	if err != nil {
		w.t.Fatal(err)
	}
	return d, x.Shape
}

func zeros(c, h, width int) planes {
	out := make(planes, c)
	for i := range out {
		out[i] = make([][]float64, h)
		for y := range out[i] {
			out[i][y] = make([]float64, width)
		}
	}
	return out
}

func (w twin) conv(name string, x planes, stride, ph, pw int) planes {
	k, s := w.data(name + ".conv.weight") // [out,in,kh,kw]
	gamma, _ := w.data(name + ".bn.weight")
	beta, _ := w.data(name + ".bn.bias")
	mean, _ := w.data(name + ".bn.running_mean")
	variance, _ := w.data(name + ".bn.running_var")
	h, wd := len(x[0]), len(x[0][0])
	out := zeros(s[0], (h+2*ph-s[2])/stride+1, (wd+2*pw-s[3])/stride+1)
	for o := range out {
		for y := range out[o] {
			for z := range out[o][y] {
				sum := 0.
				for c := range s[1] {
					for p := range s[2] {
						for q := range s[3] {
							yy, zz := y*stride+p-ph, z*stride+q-pw
							if yy >= 0 && zz >= 0 && yy < h && zz < wd {
								sum += x[c][yy][zz] * float64(k[((o*s[1]+c)*s[2]+p)*s[3]+q])
							}
						}
					}
				}
				sum = (sum-float64(mean[o]))/math.Sqrt(float64(variance[o])+.001)*float64(gamma[o]) + float64(beta[o])
				out[o][y][z] = max(0, sum)
			}
		}
	}
	return out
}

// pool is a 3x3 pool: maxima, means over nine, or means over what is there.
func (w twin) pool(x planes, stride, pad int, kind string) planes {
	h, wd := len(x[0]), len(x[0][0])
	out := zeros(len(x), (h+2*pad-3)/stride+1, (wd+2*pad-3)/stride+1)
	for c := range out {
		for y := range out[c] {
			for z := range out[c][y] {
				sum, n, most := 0., 0., math.Inf(-1)
				for p := range 3 {
					for q := range 3 {
						yy, zz := y*stride+p-pad, z*stride+q-pad
						if yy >= 0 && zz >= 0 && yy < h && zz < wd {
							sum, n, most = sum+x[c][yy][zz], n+1, max(most, x[c][yy][zz])
						}
					}
				}
				out[c][y][z] = map[string]float64{"max": most, "nine": sum / 9, "there": sum / n}[kind]
			}
		}
	}
	return out
}

func (w twin) features(x planes) []float64 {
	mean := map[bool]string{true: "there", false: "nine"}[w.fid]
	last := map[bool]string{true: "max", false: "nine"}[w.fid]
	x = w.conv("Conv2d_1a_3x3", x, 2, 0, 0)
	x = w.conv("Conv2d_2a_3x3", x, 1, 0, 0)
	x = w.conv("Conv2d_2b_3x3", x, 1, 1, 1)
	x = w.pool(x, 2, 0, "max")
	x = w.conv("Conv2d_3b_1x1", x, 1, 0, 0)
	x = w.conv("Conv2d_4a_3x3", x, 1, 0, 0)
	x = w.pool(x, 2, 0, "max")
	for _, n := range []string{"Mixed_5b.", "Mixed_5c.", "Mixed_5d."} {
		b5 := w.conv(n+"branch5x5_2", w.conv(n+"branch5x5_1", x, 1, 0, 0), 1, 2, 2)
		b3 := w.conv(n+"branch3x3dbl_3", w.conv(n+"branch3x3dbl_2", w.conv(n+"branch3x3dbl_1", x, 1, 0, 0), 1, 1, 1), 1, 1, 1)
		x = slices.Concat(w.conv(n+"branch1x1", x, 1, 0, 0), b5, b3, w.conv(n+"branch_pool", w.pool(x, 1, 1, mean), 1, 0, 0))
	}
	n := "Mixed_6a."
	b3 := w.conv(n+"branch3x3dbl_3", w.conv(n+"branch3x3dbl_2", w.conv(n+"branch3x3dbl_1", x, 1, 0, 0), 1, 1, 1), 2, 0, 0)
	x = slices.Concat(w.conv(n+"branch3x3", x, 2, 0, 0), b3, w.pool(x, 2, 0, "max"))
	for _, n := range []string{"Mixed_6b.", "Mixed_6c.", "Mixed_6d.", "Mixed_6e."} {
		b7 := w.conv(n+"branch7x7_3", w.conv(n+"branch7x7_2", w.conv(n+"branch7x7_1", x, 1, 0, 0), 1, 0, 3), 1, 3, 0)
		d := w.conv(n+"branch7x7dbl_3", w.conv(n+"branch7x7dbl_2", w.conv(n+"branch7x7dbl_1", x, 1, 0, 0), 1, 3, 0), 1, 0, 3)
		d = w.conv(n+"branch7x7dbl_5", w.conv(n+"branch7x7dbl_4", d, 1, 3, 0), 1, 0, 3)
		x = slices.Concat(w.conv(n+"branch1x1", x, 1, 0, 0), b7, d, w.conv(n+"branch_pool", w.pool(x, 1, 1, mean), 1, 0, 0))
	}
	n = "Mixed_7a."
	b7 := w.conv(n+"branch7x7x3_3", w.conv(n+"branch7x7x3_2", w.conv(n+"branch7x7x3_1", x, 1, 0, 0), 1, 0, 3), 1, 3, 0)
	x = slices.Concat(w.conv(n+"branch3x3_2", w.conv(n+"branch3x3_1", x, 1, 0, 0), 2, 0, 0), w.conv(n+"branch7x7x3_4", b7, 2, 0, 0), w.pool(x, 2, 0, "max"))
	for _, n := range []string{"Mixed_7b.", "Mixed_7c."} {
		kind := mean
		if n == "Mixed_7c." {
			kind = last
		}
		a := w.conv(n+"branch3x3_1", x, 1, 0, 0)
		b := w.conv(n+"branch3x3dbl_2", w.conv(n+"branch3x3dbl_1", x, 1, 0, 0), 1, 1, 1)
		x = slices.Concat(w.conv(n+"branch1x1", x, 1, 0, 0), w.conv(n+"branch3x3_2a", a, 1, 0, 1), w.conv(n+"branch3x3_2b", a, 1, 1, 0),
			w.conv(n+"branch3x3dbl_3a", b, 1, 0, 1), w.conv(n+"branch3x3dbl_3b", b, 1, 1, 0), w.conv(n+"branch_pool", w.pool(x, 1, 1, kind), 1, 0, 0))
	}
	out := make([]float64, len(x))
	for c := range x {
		for _, row := range x[c] {
			for _, v := range row {
				out[c] += v / float64(len(row)*len(x[c]))
			}
		}
	}
	return out
}

// bilinear is torch.nn.functional.interpolate(mode="bilinear", align_corners=False) to 299 x 299.
func bilinear(pic []float32, size, channels int) planes {
	out := zeros(3, inceptionSide, inceptionSide)
	at := func(c, y, x int) float64 {
		return float64(pic[(min(max(y, 0), size-1)*size+min(max(x, 0), size-1))*channels+min(c, channels-1)])
	}
	for c := range out {
		for y := range out[c] {
			for x := range out[c][y] {
				fy, fx := (float64(y)+.5)*float64(size)/inceptionSide-.5, (float64(x)+.5)*float64(size)/inceptionSide-.5
				y0, x0 := math.Floor(fy), math.Floor(fx)
				ty, tx, i, k := fy-y0, fx-x0, int(y0), int(x0)
				out[c][y][x] = (1-ty)*((1-tx)*at(c, i, k)+tx*at(c, i, k+1)) + ty*((1-tx)*at(c, i+1, k)+tx*at(c, i+1, k+1))
			}
		}
	}
	return out
}

func TestInceptionAgainstASlowTwin(t *testing.T) {
	const size = 20
	for _, channels := range []int{1, 3} { // the variants, and the pictures
		classes := map[int]int{1: 1008, 3: 10}[channels]
		f := toyInception(t, classes)
		x, err := OpenInception(testEngine(t), f)
		if err != nil {
			t.Fatal(err)
		}
		if x.Features != 128 || x.Classes != classes || x.FID != (classes == 1008) {
			t.Fatalf("%d features, %d classes, FID %v", x.Features, x.Classes, x.FID)
		}
		pix := normals("inception", 2, size*size*channels, 0, .5)
		got, probs, err := x.Examine(context.Background(), pix, size, channels)
		if err != nil {
			t.Fatal(err)
		}
		plane := size * size * channels
		want := twin{t, f, x.FID}.features(bilinear(pix[plane:], size, channels)) // of the second picture
		largest := slices.Max(want)
		for k, v := range want { // float32 through 48 layers against float64
			if d := math.Abs(float64(got[x.Features+k]) - v); !(d < 1e-4*largest) {
				t.Errorf("%d channels: feature %d is %g, want %g", channels, k, got[x.Features+k], v)
			}
		}
		if largest < 1e-3 || slices.Equal(got[:x.Features], got[x.Features:]) {
			t.Errorf("features say nothing: the largest is %g", largest)
		}
		sum := 0.
		for _, p := range probs[:classes] {
			sum += float64(p)
		}
		if len(probs) != 2*classes || math.Abs(sum-1) > 1e-5 {
			t.Errorf("%d probabilities, the first picture's add up to %g", len(probs), sum)
		}
	}
}

func TestInceptionRefuses(t *testing.T) {
	zeros := func(name string, shape ...int) weights.Out {
		n := 1
		for _, d := range shape {
			n *= d
		}
		return weights.Out{Name: name, DType: weights.F32, Shape: shape, Floats: make([]float32, n)}
	}
	for what, outs := range map[string][]weights.Out{
		"a part":        {zeros("Conv2d_1a_3x3.conv.weight", 2, 3, 3, 3), zeros("fc.weight", 1008, 128)},
		"another model": {zeros("main.0.weight", 4, 4, 4, 4)},
		"odd widths":    {zeros("Conv2d_1a_3x3.conv.weight", 5, 3, 3, 3), zeros("fc.weight", 1008, 128)},
	} {
		if _, err := OpenInception(testEngine(t), fileOf(t, outs)); !errors.Is(err, ErrNotInception) {
			t.Errorf("%s: %v", what, err)
		}
	}
}
