package nn_test

import (
	"math"
	"testing"

	"github.com/gomlx/compute/shapes"
	"github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"

	"github.com/smalti/smalti/engine"
	"github.com/smalti/smalti/gx"
	"github.com/smalti/smalti/nn"
	"github.com/smalti/smalti/rng"
)

// run executes build with the starting values of its own variables, after patch has changed them.
func run(t *testing.T, build engine.Build, patch func(map[string][]float32), in ...*tensors.Tensor) ([]*tensors.Tensor, map[string][]int) {
	t.Helper()
	e, err := engine.New(engine.Options{Threads: 1})
	if err != nil {
		t.Fatal(err)
	}
	p := e.Program(t.Name(), build)
	var ins []shapes.Shape
	for _, x := range in {
		ins = append(ins, x.Shape())
	}
	decls, err := p.Decls(ins...)
	if err != nil {
		t.Fatal(err)
	}
	values := gx.Materialise(decls, 1)
	if patch != nil {
		patch(values)
	}
	vars, err := engine.Upload(decls, values)
	if err != nil {
		t.Fatal(err)
	}
	outs, err := p.Run(vars, in...)
	if err != nil {
		t.Fatal(err)
	}
	files := map[string][]int{}
	for _, d := range decls {
		files[d.Name] = d.Layout.FileDims(d.Dims)
	}
	return outs, files
}

func normal(name string, dims ...int) *tensors.Tensor {
	n := 1
	for _, d := range dims {
		n *= d
	}
	data := make([]float32, n)
	rng.New(3, name).FillNormal(data)
	return engine.FromFloats(data, dims...)
}

// near fails when a and b differ by more than tol anywhere.
func near(t *testing.T, what string, got, want []float32, tol float64) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%s: %d values, want %d", what, len(got), len(want))
	}
	for i := range got {
		if d := math.Abs(float64(got[i] - want[i])); !(d <= tol) {
			t.Fatalf("%s: element %d is %g, want %g", what, i, got[i], want[i])
		}
	}
}

func TestLinear(t *testing.T) {
	x := engine.FromFloats([]float32{1, 2, 3, -1, 0, 1}, 2, 1, 3)
	outs, files := run(t, func(v *gx.Vars, in []*graph.Node) []*graph.Node {
		return []*graph.Node{nn.Linear(v.In("fc"), in[0], 2, true)}
	}, func(w map[string][]float32) {
		copy(w["fc.weight"], []float32{1, 10, 2, 20, 3, 30}) // [in,out]
		copy(w["fc.bias"], []float32{0.5, -0.5})
	}, x)
	near(t, "y", engine.Floats(outs[0]), []float32{14.5, 139.5, 2.5, 19.5}, 0)
	if f := files["fc.weight"]; f[0] != 2 || f[1] != 3 {
		t.Errorf("weight is %v in files, want [2 3]", f)
	}
}

// TestAttention compares with the sum written out in float64: 1e-6 is a few roundings of values near 1.
func TestAttention(t *testing.T) {
	const n, s, h, d = 2, 5, 3, 4
	for _, causal := range []bool{false, true} {
		q, k, v := normal("q", n, s, h, d), normal("k", n, s, h, d), normal("v", n, s, h, d)
		outs, _ := run(t, func(_ *gx.Vars, in []*graph.Node) []*graph.Node {
			return []*graph.Node{nn.Attention(in[0], in[1], in[2], causal)}
		}, nil, q, k, v)
		qf, kf, vf := engine.Floats(q), engine.Floats(k), engine.Floats(v)
		at := func(b, i, head, c int) int { return ((b*s+i)*h+head)*d + c }
		want := make([]float32, n*s*h*d)
		for b := range n {
			for head := range h {
				for i := range s {
					seen := s
					if causal {
						seen = i + 1
					}
					weights, sum := make([]float64, seen), 0.0
					for j := range weights {
						dot := 0.0
						for c := range d {
							dot += float64(qf[at(b, i, head, c)]) * float64(kf[at(b, j, head, c)])
						}
						weights[j] = math.Exp(dot / math.Sqrt(d))
						sum += weights[j]
					}
					for c := range d {
						y := 0.0
						for j, w := range weights {
							y += w / sum * float64(vf[at(b, j, head, c)])
						}
						want[at(b, i, head, c)] = float32(y)
					}
				}
			}
		}
		near(t, "attention", engine.Floats(outs[0]), want, 1e-6)
	}
}

// TestNorms checks the moments that the norms promise: mean 0 and variance 1 over what they normalise.
func TestNorms(t *testing.T) {
	const n, h, w, c, groups = 2, 3, 4, 6, 3
	outs, _ := run(t, func(v *gx.Vars, in []*graph.Node) []*graph.Node {
		x := graph.AddScalar(graph.MulScalar(in[0], 3), 2)
		return []*graph.Node{nn.GroupNorm(v.In("g"), x, groups, 1e-6), nn.LayerNorm(v.In("l"), x, 1e-5)}
	}, nil, normal("x", n, h, w, c))
	check := func(what string, ys []float32, member func(i int) int, sets int) {
		sum, sq, count := make([]float64, sets), make([]float64, sets), make([]float64, sets)
		for i, y := range ys {
			k := member(i)
			sum[k], sq[k], count[k] = sum[k]+float64(y), sq[k]+float64(y)*float64(y), count[k]+1
		}
		for k := range sets {
			if m, v := sum[k]/count[k], sq[k]/count[k]; math.Abs(m) > 1e-6 || math.Abs(v-1) > 1e-4 {
				t.Errorf("%s: set %d has mean %g and mean square %g", what, k, m, v)
			}
		}
	}
	check("group norm", engine.Floats(outs[0]), func(i int) int { return i/(h*w*c)*groups + i%c/(c/groups) }, n*groups)
	check("layer norm", engine.Floats(outs[1]), func(i int) int { return i / c }, n*h*w)
}

// TestDownsample checks the one-sided padding: with a kernel of ones, the last row and column see zeros.
func TestDownsample(t *testing.T) {
	outs, _ := run(t, func(v *gx.Vars, in []*graph.Node) []*graph.Node {
		return []*graph.Node{nn.Downsample(v, in[0], nn.Wrap{}), nn.Upsample(v.In("up"), in[0], nn.Wrap{})}
	}, func(w map[string][]float32) {
		for name := range w {
			for i := range w[name] {
				w[name][i] = 0
			}
		}
		for i := range w["conv.weight"] {
			w["conv.weight"][i] = 1
		}
		w["up.conv.weight"][4] = 1 // the middle tap
	}, engine.FromFloats([]float32{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16}, 1, 4, 4, 1))
	near(t, "down", engine.Floats(outs[0]), []float32{54, 45, 72, 54}, 0)
	near(t, "up", engine.Floats(outs[1])[:16], []float32{1, 1, 2, 2, 3, 3, 4, 4, 1, 1, 2, 2, 3, 3, 4, 4}, 0)
}

// TestCodec checks that names are taming's and that gradients reach every variable.
func TestCodec(t *testing.T) {
	c := nn.Codec{Ch: 4, Mult: []int{1, 2}, ResBlocks: 1, Attn: []bool{false, true}, MidAttn: true, Groups: 2, In: 3, Out: 3, Z: 5}
	var grads int
	outs, files := run(t, func(v *gx.Vars, in []*graph.Node) []*graph.Node {
		y := c.Decode(v.In("decoder"), c.Encode(v.In("encoder"), in[0]))
		y.AssertDims(1, 4, 6, 3)
		var params []*graph.Node
		for _, d := range v.Decls() {
			params = append(params, v.Node(d.Name))
		}
		out := []*graph.Node{}
		for _, g := range graph.Gradient(graph.ReduceAllSum(graph.Mul(y, y)), params...) {
			out = append(out, graph.ReduceAllMax(graph.Abs(g)))
		}
		grads = len(out)
		return out
	}, nil, normal("x", 1, 4, 6, 3))
	if grads != len(files) {
		t.Fatalf("%d gradients for %d variables", grads, len(files))
	}
	zero := 0
	for _, g := range outs {
		if engine.Floats(g)[0] == 0 {
			zero++
		}
	}
	// A shift of all keys changes no softmax: the gradient of the k.bias of the five attention blocks is rounding only.
	if zero > 5 {
		t.Errorf("%d of %d variables have no gradient", zero, grads)
	}
	for _, name := range []string{"encoder.conv_in.weight", "encoder.down.0.block.0.norm1.weight", "encoder.down.1.block.0.nin_shortcut.bias",
		"encoder.down.0.downsample.conv.weight", "encoder.down.1.attn.0.proj_out.weight", "encoder.mid.attn_1.q.weight", "encoder.mid.block_2.conv2.bias",
		"encoder.norm_out.weight", "decoder.up.1.block.1.conv1.weight", "decoder.up.1.upsample.conv.bias", "decoder.up.1.attn.1.norm.bias", "decoder.conv_out.weight"} {
		if files[name] == nil {
			t.Errorf("no variable %q", name)
		}
	}
	if f := files["encoder.conv_in.weight"]; len(f) != 4 || f[0] != 4 || f[1] != 3 || f[2] != 3 {
		t.Errorf("encoder.conv_in.weight is %v in files, want [4 3 3 3]", f)
	}
}
