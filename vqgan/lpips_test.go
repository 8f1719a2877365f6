package vqgan

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/gomlx/gomlx/core/graph"

	"github.com/smalti/smalti/engine"
	"github.com/smalti/smalti/gx"
	"github.com/smalti/smalti/rng"
	"github.com/smalti/smalti/weights"
)

var toyWidths = [5]int{2, 3, 4, 5, 6}

// toyVGG lists the tensors of a small VGG16 under the names of a layout.
func toyVGG(name func(group, n int) string, linear bool) map[string]weights.Out {
	out := map[string]weights.Out{}
	in := 3
	add := func(n string, dims ...int) {
		size := 1
		for _, d := range dims {
			size *= d
		}
		data := make([]float32, size)
		rng.New(1, "vgg", uint64(len(out))).FillUniform(data, -.4, .5)
		if strings.HasPrefix(n, "lin") || strings.Contains(n, ".lin") {
			rng.New(1, "lin", uint64(len(out))).FillUniform(data, 0, 1)
		}
		out[n] = weights.Out{Name: n, DType: weights.F32, Shape: dims, Floats: data}
	}
	for group, layers := range lpipsLayers {
		for _, n := range layers {
			add(name(group, n)+".weight", toyWidths[group], in, 3, 3)
			add(name(group, n)+".bias", toyWidths[group])
			in = toyWidths[group]
		}
	}
	if linear {
		for i, w := range toyWidths {
			prefix := strings.TrimSuffix(name(0, 0), "net.slice1.0")
			add(fmt.Sprintf("%slin%d.model.1.weight", strings.TrimSuffix(prefix, "features.0"), i), 1, w, 1, 1)
		}
	}
	return out
}

func fileOf(t *testing.T, tensors map[string]weights.Out) *weights.File {
	t.Helper()
	var outs []weights.Out
	for _, o := range tensors {
		outs = append(outs, o)
	}
	var b bytes.Buffer
	if err := weights.WriteSafetensors(&b, nil, outs); err != nil {
		t.Fatal(err)
	}
	f, err := weights.OpenBytes(b.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

func torchvision(_, n int) string { return fmt.Sprintf("features.%d", n) }

// TestLPIPSAgainstLoops holds the distance to plain loops over pixels in double precision.
func TestLPIPSAgainstLoops(t *testing.T) {
	const side = 16
	ts := toyVGG(torchvision, true)
	x, y := make([]float32, 3*side*side), make([]float32, 3*side*side)
	rng.New(2, "x").FillUniform(x, -1, 1)
	rng.New(2, "y").FillUniform(y, -1, 1)
	want := 0.
	a, b := slowVGG(ts, x, side), slowVGG(ts, y, side)
	for group := range a {
		lin := ts[fmt.Sprintf("lin%d.model.1.weight", group)].Floats
		c := toyWidths[group]
		sum := 0.
		for at := 0; at < len(a[group]); at += c {
			na, nb := 1e-10, 1e-10
			var qa, qb float64
			for k := range c {
				qa += a[group][at+k] * a[group][at+k]
				qb += b[group][at+k] * b[group][at+k]
			}
			na, nb = na+math.Sqrt(qa), nb+math.Sqrt(qb)
			for k := range c {
				sum += float64(lin[k]) * math.Pow(a[group][at+k]/na-b[group][at+k]/nb, 2)
			}
		}
		want += sum / float64(len(a[group])/c)
	}
	got := lpipsOf(t, fileOf(t, ts), nil, x, y, side)
	if math.Abs(got-want) > 1e-5*want || want < 1e-3 {
		t.Errorf("distance %g, want %g", got, want)
	}
	if same := lpipsOf(t, fileOf(t, ts), nil, x, x, side); same != 0 {
		t.Errorf("a picture is %g from itself", same)
	}
}

func lpipsOf(t *testing.T, f, linear *weights.File, x, y []float32, side int) float64 {
	t.Helper()
	e, err := engine.New(engine.Options{Threads: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	p, ts, err := ReadLPIPS(e, f, linear)
	if err != nil {
		t.Fatal(err)
	}
	if p.Widths != toyWidths {
		t.Fatalf("widths %v", p.Widths)
	}
	prog := e.Program("lpips", func(v *gx.Vars, in []*graph.Node) []*graph.Node { return []*graph.Node{p.Graph(v, in[0], in[1])} })
	outs, err := prog.Run(ts, engine.FromFloats(x, 1, side, side, 3), engine.FromFloats(y, 1, side, side, 3))
	if err != nil {
		t.Fatal(err)
	}
	return float64(engine.Floats(outs[0])[0])
}

// slowVGG computes the features of a picture, row by row of pixels with channels last.
func slowVGG(ts map[string]weights.Out, pix []float32, side int) (out [][]float64) {
	x := make([]float64, len(pix))
	for i, v := range pix {
		x[i] = (float64(v) - float64(lpipsShift[i%3])) / float64(lpipsScale[i%3])
	}
	in := 3
	for group, layers := range lpipsLayers {
		if group > 0 {
			half := side / 2
			small := make([]float64, half*half*in)
			for i := range small {
				k, px, py := i%in, i/in%half, i/in/half
				small[i] = math.Inf(-1)
				for d := range 4 {
					small[i] = max(small[i], x[((2*py+d/2)*side+2*px+d%2)*in+k])
				}
			}
			x, side = small, half
		}
		for _, n := range layers {
			w, bias, c := ts[torchvision(group, n)+".weight"].Floats, ts[torchvision(group, n)+".bias"].Floats, toyWidths[group]
			next := make([]float64, side*side*c)
			for i := range next {
				k, px, py := i%c, i/c%side, i/c/side
				sum := float64(bias[k])
				for tap := range 9 {
					sx, sy := px+tap%3-1, py+tap/3-1
					if sx < 0 || sy < 0 || sx >= side || sy >= side {
						continue
					}
					for j := range in {
						sum += x[(sy*side+sx)*in+j] * float64(w[(k*in+j)*9+tap])
					}
				}
				next[i] = max(0, sum)
			}
			x, in = next, c
		}
		out = append(out, x)
	}
	return out
}

// TestLPIPSLayouts reads the same weights under every name they go by.
func TestLPIPSLayouts(t *testing.T) {
	const side = 16
	x, y := make([]float32, 3*side*side), make([]float32, 3*side*side)
	rng.New(2, "x").FillUniform(x, -1, 1)
	rng.New(2, "y").FillUniform(y, -1, 1)
	all := toyVGG(torchvision, true)
	want := lpipsOf(t, fileOf(t, all), nil, x, y, side)
	for _, prefix := range []string{"", "loss.perceptual_loss."} {
		named := toyVGG(func(group, n int) string { return fmt.Sprintf("%snet.slice%d.%d", prefix, group+1, n) }, true)
		if got := lpipsOf(t, fileOf(t, named), nil, x, y, side); got != want {
			t.Errorf("%q: distance %g, want %g", prefix, got, want)
		}
	}
	conv, lin := map[string]weights.Out{}, map[string]weights.Out{}
	for n, o := range all {
		if strings.HasPrefix(n, "lin") {
			lin[n] = o
		} else {
			conv[n] = o
		}
	}
	conv["classifier.0.weight"] = weights.Out{Name: "classifier.0.weight", DType: weights.F32, Shape: []int{1}, Floats: []float32{1}}
	if got := lpipsOf(t, fileOf(t, conv), fileOf(t, lin), x, y, side); got != want {
		t.Errorf("two files: distance %g, want %g", got, want)
	}
	if got := lpipsOf(t, fileOf(t, conv), nil, x, y, side); got <= want {
		t.Errorf("without weights below 1: %g, not more than %g", got, want)
	}
	e, err := engine.New(engine.Options{Threads: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	if _, _, err := ReadLPIPS(e, fileOf(t, lin), nil); !errors.Is(err, ErrNotLPIPS) {
		t.Errorf("a file without VGG16: %v", err)
	}
	delete(conv, "features.12.bias")
	if _, _, err := ReadLPIPS(e, fileOf(t, conv), nil); err == nil || !strings.Contains(err.Error(), "features.12.bias") {
		t.Errorf("a file without one of its tensors: %v", err)
	}
}
