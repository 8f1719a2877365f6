package cpu

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/gomlx/compute"
	"github.com/gomlx/compute/dtypes"

	"github.com/smalti/smalti/engine/cpu/ir"
)

// convCase is a convolution as GoMLX asks for it.
type convCase struct {
	axes                      compute.ConvolveAxesConfig
	x, w                      []int
	strides, inDilate, dilate []int
	pads                      [][2]int
	groups                    int
}

func (c convCase) String() string {
	return fmt.Sprintf("x %v w %v axes %+v strides %v pads %v in-dilation %v dilation %v groups %d",
		c.x, c.w, c.axes, c.strides, c.pads, c.inDilate, c.dilate, c.groups)
}

// outSize is the length of a spatial axis of the result.
func (c convCase) outSize(i int) int {
	x := (c.x[c.axes.InputSpatial[i]]-1)*c.inDilate[i] + 1 + c.pads[i][0] + c.pads[i][1]
	k := (c.w[c.axes.KernelSpatial[i]]-1)*c.dilate[i] + 1
	if x < k {
		return 0
	}
	return (x-k)/c.strides[i] + 1
}

// reference is the definition, written over axes and with no cleverness.
func (c convCase) reference(x, w array) array {
	n := len(c.pads)
	dims := make([]int, n+2)
	dims[c.axes.OutputBatch] = c.x[c.axes.InputBatch]
	dims[c.axes.OutputChannels] = c.w[c.axes.KernelOutputChannels]
	for i := range n {
		dims[c.axes.OutputSpatial[i]] = c.outSize(i)
	}
	out := array{dims, make([]float64, product(dims))}
	for o := range out.data {
		out.data[o] = c.sum(x, w, unflat(dims, o))
	}
	return out
}

func (c convCase) sum(x, w array, at []int) (sum float64) {
	n := len(c.pads)
	in, perGroup := c.w[c.axes.KernelInputChannels], c.w[c.axes.KernelOutputChannels]/c.groups
	xi, wi := make([]int, n+2), make([]int, n+2)
	o := at[c.axes.OutputChannels]
	xi[c.axes.InputBatch], wi[c.axes.KernelOutputChannels] = at[c.axes.OutputBatch], o
	taps := make([]int, n)
	for i := range n {
		taps[i] = c.w[c.axes.KernelSpatial[i]]
	}
tap:
	for t := range product(taps) {
		for i, q := range unflat(taps, t) {
			p := at[c.axes.OutputSpatial[i]]*c.strides[i] + q*c.dilate[i] - c.pads[i][0]
			if p < 0 || p%c.inDilate[i] != 0 || p/c.inDilate[i] >= c.x[c.axes.InputSpatial[i]] {
				continue tap
			}
			xi[c.axes.InputSpatial[i]], wi[c.axes.KernelSpatial[i]] = p/c.inDilate[i], q
		}
		for ch := range in {
			xi[c.axes.InputChannels], wi[c.axes.KernelInputChannels] = o/perGroup*in+ch, ch
			sum += x.data[flat(c.x, xi)] * w.data[flat(c.w, wi)]
		}
	}
	return sum
}

func flat(dims, index []int) int {
	at := 0
	for i, d := range dims {
		at = at*d + index[i]
	}
	return at
}

func (c convCase) check(t *testing.T, b *Backend, r *rand.Rand) {
	t.Helper()
	x, w := randomArray(r, c.x...), randomArray(r, c.w...)
	want := c.reference(x, w)
	for _, d := range []dtypes.DType{dtypes.Float32, dtypes.Float64} {
		got := run(t, b, d, one(func(f compute.Function, in []compute.Value) (compute.Value, error) {
			return f.ConvGeneral(in[0], in[1], c.axes, c.strides, c.pads, c.inDilate, c.dilate, c.groups, 1)
		}), x, w)
		tol := 5e-5 // Winograd's
		if d == dtypes.Float64 {
			tol = 1e-12
		}
		near(t, fmt.Sprint(d, " ", c), got[0], want, tol)
	}
}

func axesOf(in, kernel, out [4]int) (a compute.ConvolveAxesConfig) {
	a.InputBatch, a.InputSpatial, a.InputChannels = in[0], []int{in[1], in[2]}, in[3]
	a.KernelSpatial, a.KernelInputChannels, a.KernelOutputChannels = []int{kernel[0], kernel[1]}, kernel[2], kernel[3]
	a.OutputBatch, a.OutputSpatial, a.OutputChannels = out[0], []int{out[1], out[2]}, out[3]
	return a
}

// The forms that occur: forward, gradient of the input, gradient of the kernel, gradient of the kernel with in- and
// out-channels exchanged (second order), each channels last and channels first.
var convForms = map[string]compute.ConvolveAxesConfig{
	"F":       axesOf([4]int{0, 1, 2, 3}, [4]int{0, 1, 2, 3}, [4]int{0, 1, 2, 3}),
	"DX":      axesOf([4]int{0, 1, 2, 3}, [4]int{0, 1, 3, 2}, [4]int{0, 1, 2, 3}),
	"DW":      axesOf([4]int{3, 1, 2, 0}, [4]int{1, 2, 0, 3}, [4]int{2, 0, 1, 3}),
	"DW2":     axesOf([4]int{3, 1, 2, 0}, [4]int{1, 2, 0, 3}, [4]int{3, 0, 1, 2}),
	"F NCHW":  axesOf([4]int{0, 2, 3, 1}, [4]int{2, 3, 1, 0}, [4]int{0, 2, 3, 1}),
	"DX NCHW": axesOf([4]int{0, 2, 3, 1}, [4]int{2, 3, 0, 1}, [4]int{0, 2, 3, 1}),
	"DW NCHW": axesOf([4]int{1, 2, 3, 0}, [4]int{2, 3, 0, 1}, [4]int{1, 2, 3, 0}),
}

// drawConv draws shapes, strides, dilations and pads (negative ones too) of a form.
func drawConv(r *rand.Rand, name string) convCase {
	axes := convForms[name]
	c := convCase{axes: axes, x: make([]int, 4), w: make([]int, 4), groups: 1}
	if name[0] == 'F' && r.IntN(4) == 0 {
		c.groups = 1 + r.IntN(3)
	}
	in := 1 + r.IntN(20)
	c.x[axes.InputBatch], c.x[axes.InputChannels] = 1+r.IntN(20), in*c.groups
	c.w[axes.KernelInputChannels], c.w[axes.KernelOutputChannels] = in, c.groups*(1+r.IntN(40/c.groups))
	for i := range 2 {
		c.x[axes.InputSpatial[i]] = 1 + r.IntN(11)
		c.w[axes.KernelSpatial[i]] = 1 + r.IntN(5)
		steps := []int{1, 1, 1}
		steps[r.IntN(3)] = 1 + r.IntN(3)
		if r.IntN(5) == 0 {
			steps = []int{1 + r.IntN(2), 1 + r.IntN(2), 1 + r.IntN(2)}
		}
		c.strides, c.inDilate, c.dilate = append(c.strides, steps[0]), append(c.inDilate, steps[1]), append(c.dilate, steps[2])
		c.pads = append(c.pads, [2]int{r.IntN(5) - 1, r.IntN(5) - 1})
	}
	return c
}

func TestConvForms(t *testing.T) {
	b := newBackend(t, 2)
	for name := range convForms {
		t.Run(name, func(t *testing.T) {
			checked := 0
			for seed := range uint64(40) {
				r := rand.New(rand.NewPCG(seed, uint64(len(name))))
				c := drawConv(r, name)
				if c.outSize(0) < 1 || c.outSize(1) < 1 {
					continue
				}
				checked++
				c.check(t, b, r)
			}
			if checked < 10 {
				t.Errorf("only %d cases", checked)
			}
		})
	}
}

// TestConvWinograd checks shapes that Winograd's algorithm takes, among them with sizes that leave remainders, in the
// three forms; the gradient of the kernel with one picture and with more than there are groups.
func TestConvWinograd(t *testing.T) {
	b := newBackend(t, 2)
	for _, s := range [][4]int{{1, 16, 16, 24}, {3, 15, 13, 16}, {20, 4, 4, 48}, {2, 9, 12, 33}} {
		for _, name := range []string{"F", "DX", "DW"} {
			c := convCase{axes: convForms[name], x: []int{s[0], s[1], s[2], s[3]}, w: []int{3, 3, s[3], s[3] + 7}, groups: 1, strides: []int{1, 1},
				inDilate: []int{1, 1}, dilate: []int{1, 1}, pads: [][2]int{{1, 1}, {1, 1}}}
			switch name {
			case "DX":
				c.w[2], c.w[3] = s[3]+7, s[3]
			case "DW":
				c.w = []int{s[0], s[1], s[2], s[3] + 7}
			}
			c.check(t, b, rand.New(rand.NewPCG(1, 2)))
		}
	}
}

// TestConvPoly checks convolutions of stride 2 in all forms at sizes that kernel.Poly takes: even and odd ones, one phase smaller than
// another, taps that one remainder lacks.
func TestConvPoly(t *testing.T) {
	b := newBackend(t, 2)
	r := rand.New(rand.NewPCG(6, 1))
	taken := map[string]bool{}
	for _, s := range []struct{ n, side, k, pad, in, out int }{{3, 8, 4, 1, 16, 24}, {2, 14, 4, 1, 33, 17}, {1, 9, 4, 1, 48, 20}, {5, 16, 4, 2, 20, 70}, {2, 24, 4, 0, 40, 16}, {2, 8, 3, 1, 48, 50}} {
		o := (s.side+2*s.pad-s.k)/2 + 1
		rest := s.side + 2*s.pad - s.k - 2*(o-1) // rows at the end that no output sees
		base := convCase{groups: 1, strides: []int{1, 1}, inDilate: []int{1, 1}, dilate: []int{1, 1}}
		two, around := []int{2, 2}, [][2]int{{s.pad, s.pad}, {s.pad, s.pad}}
		back := [][2]int{{s.k - 1 - s.pad, s.k - 1 - s.pad + rest}, {s.k - 1 - s.pad, s.k - 1 - s.pad + rest}}
		for name, set := range map[string]func(c *convCase){
			"F": func(c *convCase) {
				c.x, c.w, c.strides, c.pads = []int{s.n, s.side, s.side, s.in}, []int{s.k, s.k, s.in, s.out}, two, around
			},
			"DX": func(c *convCase) {
				c.x, c.w, c.inDilate, c.pads = []int{s.n, o, o, s.out}, []int{s.k, s.k, s.in, s.out}, two, back
			},
			"DW": func(c *convCase) {
				c.x, c.w, c.dilate, c.pads = []int{s.n, s.side, s.side, s.in}, []int{s.n, o, o, s.out}, two, less(around, rest)
			},
			"DW2": func(c *convCase) {
				c.x, c.w, c.inDilate, c.pads = []int{s.n, o, o, s.out}, []int{s.n, s.side, s.side, s.in}, two, back
			},
		} {
			c := base
			c.axes = convForms[name]
			set(&c)
			dims := []int{0, 0, 0, 0}
			dims[c.axes.OutputBatch], dims[c.axes.OutputChannels] = c.x[c.axes.InputBatch], c.w[c.axes.KernelOutputChannels]
			for i, a := range c.axes.OutputSpatial {
				dims[a] = c.outSize(i)
			}
			v := newConv(c.x, c.w, dims, ir.Conv{Axes: c.axes, Strides: c.strides, Pads: c.pads, InDilate: c.inDilate, Dilate: c.dilate, Groups: 1})
			if name[0] == 'F' || name == "DX" {
				taken[name] = taken[name] || newPoly(b.set, v) != nil
			} else {
				taken[name] = taken[name] || newKernelGradient(b.set, v).poly != nil
			}
			c.check(t, b, r)
		}
	}
	for _, name := range []string{"F", "DX", "DW", "DW2"} {
		if !taken[name] {
			t.Errorf("%s: no case was computed by the algorithm", name)
		}
	}
}

// less takes n off the pads behind.
func less(pads [][2]int, n int) (out [][2]int) {
	for _, p := range pads {
		out = append(out, [2]int{p[0], p[1] - n})
	}
	return out
}

// TestConvExchanged checks gradients of the kernels of transposed convolutions, whose operands change places.
func TestConvExchanged(t *testing.T) {
	b := newBackend(t, 2)
	for seed := range uint64(12) {
		r := rand.New(rand.NewPCG(seed, 3))
		for _, name := range []string{"DW", "DW2"} {
			k, d := [2]int{1 + r.IntN(4), 1 + r.IntN(5)}, [2]int{2 + r.IntN(2), 1 + r.IntN(3)}
			h, w := 1+r.IntN(7), 1+r.IntN(7)
			c := convCase{axes: convForms[name], x: []int{1 + r.IntN(4), h, w, 1 + r.IntN(40)}, groups: 1, strides: []int{1, 1},
				inDilate: d[:], dilate: []int{1, 1}, pads: [][2]int{{r.IntN(4), 0}, {r.IntN(4), 0}}}
			c.w = []int{c.x[0], 1 + r.IntN(15), 1 + r.IntN(15), 1 + r.IntN(40)}
			for i := range 2 { // pad behind so that there are k outputs
				c.pads[i][1] = k[i] - 1 + c.w[1+i] - ((c.x[1+i]-1)*d[i] + 1 + c.pads[i][0])
			}
			if got := [2]int{c.outSize(0), c.outSize(1)}; got != k {
				t.Fatalf("%v outputs, want %v", got, k)
			}
			c.check(t, b, r)
		}
	}
}

// TestConvOnePixel checks pictures of one pixel, of which each output sees one tap or none.
func TestConvOnePixel(t *testing.T) {
	b := newBackend(t, 2)
	for seed := range uint64(20) {
		r := rand.New(rand.NewPCG(seed, 4))
		groups := 1 + r.IntN(2)
		c := convCase{axes: convForms["F"], x: []int{1 + r.IntN(9), 1, 1, groups * (1 + r.IntN(30))}, groups: groups, strides: []int{1 + r.IntN(2), 1},
			inDilate: []int{1, 1 + r.IntN(2)}, dilate: []int{1 + r.IntN(2), 1}, pads: [][2]int{{r.IntN(6), r.IntN(6)}, {r.IntN(6), r.IntN(6)}}}
		c.w = []int{1 + r.IntN(4), 1 + r.IntN(4), c.x[3] / groups, groups * (1 + r.IntN(40))}
		if c.outSize(0) > 0 && c.outSize(1) > 0 {
			c.check(t, b, r)
		}
	}
}

// TestConvReversed checks that a reversed kernel is read backwards.
func TestConvReversed(t *testing.T) {
	b := newBackend(t, 2)
	r := rand.New(rand.NewPCG(1, 1))
	for _, k := range [][2]int{{3, 3}, {4, 2}, {1, 3}, {1, 1}} {
		c := convCase{axes: convForms["DX"], x: []int{2, 6, 7, 5}, w: []int{k[0], k[1], 4, 5}, groups: 1, strides: []int{1, 1},
			inDilate: []int{2, 2}, dilate: []int{1, 1}, pads: [][2]int{{2, 1}, {1, 2}}}
		x, w := randomArray(r, c.x...), randomArray(r, c.w...)
		back := array{w.dims, make([]float64, len(w.data))}
		for p := range k[0] {
			for q := range k[1] {
				copy(back.data[(p*k[1]+q)*20:][:20], w.data[((k[0]-1-p)*k[1]+k[1]-1-q)*20:])
			}
		}
		got := run(t, b, dtypes.Float32, one(func(f compute.Function, in []compute.Value) (compute.Value, error) {
			rev, err := f.Reverse(in[1], 0, 1)
			if err != nil {
				return nil, err
			}
			return f.ConvGeneral(in[0], rev, c.axes, c.strides, c.pads, c.inDilate, c.dilate, 1, 1)
		}), x, w)
		near(t, fmt.Sprint(k), got[0], c.reference(x, back), 5e-5)
	}
}

// TestConv1D checks one spatial axis.
func TestConv1D(t *testing.T) {
	b := newBackend(t, 2)
	r := rand.New(rand.NewPCG(5, 1))
	for _, s := range []int{1, 2} {
		c := convCase{x: []int{2, 9, 5}, w: []int{3, 5, 7}, groups: 1, strides: []int{s}, inDilate: []int{1}, dilate: []int{3 - s}, pads: [][2]int{{1, 2}}}
		c.axes = compute.ConvolveAxesConfig{InputBatch: 0, InputSpatial: []int{1}, InputChannels: 2, KernelSpatial: []int{0}, KernelInputChannels: 1,
			KernelOutputChannels: 2, OutputBatch: 0, OutputSpatial: []int{1}, OutputChannels: 2}
		c.check(t, b, r)
	}
}
