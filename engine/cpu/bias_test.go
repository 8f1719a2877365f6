package cpu

import (
	"math/rand/v2"
	"testing"

	"github.com/gomlx/compute"
	"github.com/gomlx/compute/dtypes"
)

// TestBiases checks products and convolutions with a row added, which become one operation, in the forms that take
// different ways: plain, transposed, with groups, gradients of kernels, products with few rows.
func TestBiases(t *testing.T) {
	b := newBackend(t, 2)
	r := rand.New(rand.NewPCG(1, 1))
	add := func(f compute.Function, v, bias compute.Value, err error, dims ...int) (compute.Value, error) {
		if err != nil {
			return nil, err
		}
		row, err := f.Reshape(bias, dims...)
		if err != nil {
			return nil, err
		}
		return f.Add(row, v)
	}
	for _, c := range []convCase{
		{axes: convForms["F"], x: []int{2, 6, 5, 16}, w: []int{3, 3, 16, 8}, strides: []int{1, 1}, inDilate: []int{1, 1}, groups: 1},
		{axes: convForms["F"], x: []int{2, 6, 5, 4}, w: []int{3, 3, 4, 8}, strides: []int{2, 2}, inDilate: []int{1, 1}, groups: 1},
		{axes: convForms["F"], x: []int{2, 6, 5, 4}, w: []int{3, 3, 4, 8}, strides: []int{1, 1}, inDilate: []int{2, 2}, groups: 1},
		{axes: convForms["F"], x: []int{2, 6, 5, 4}, w: []int{3, 3, 2, 8}, strides: []int{1, 1}, inDilate: []int{1, 1}, groups: 2},
		{axes: convForms["DW"], x: []int{2, 6, 5, 4}, w: []int{2, 6, 5, 8}, strides: []int{1, 1}, inDilate: []int{1, 1}, groups: 1},
	} {
		c.pads, c.dilate = [][2]int{{1, 1}, {1, 1}}, []int{1, 1}
		x, w, bias := randomArray(r, c.x...), randomArray(r, c.w...), randomArray(r, 8)
		want := c.reference(x, w)
		for i := range want.data {
			want.data[i] += bias.data[i%8]
		}
		build := one(func(f compute.Function, in []compute.Value) (compute.Value, error) {
			v, err := f.ConvGeneral(in[0], in[1], c.axes, c.strides, c.pads, c.inDilate, c.dilate, c.groups, 1)
			return add(f, v, in[2], err, 1, 1, 1, 8)
		})
		exe, bufs := compileBody(t, b, dtypes.Float32, build, x, w, bias)
		if n := len(exe.(*Executable).thunks); n != 1 {
			t.Errorf("%v: %d steps, want one", c, n)
		}
		outs, err := exe.Execute(bufs, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		near(t, c.String(), read(outs)[0], want, 5e-5)
	}
	both(t, b, "product", 1e-5, one(func(f compute.Function, in []compute.Value) (compute.Value, error) {
		v, err := f.DotGeneral(in[0], []int{2}, nil, in[1], []int{0}, nil, compute.DotGeneralConfig{})
		return add(f, v, in[2], err, 1, 1, 7)
	}), randomArray(r, 3, 4, 5), randomArray(r, 5, 7), randomArray(r, 7))
	both(t, b, "batched product", 1e-5, one(func(f compute.Function, in []compute.Value) (compute.Value, error) {
		v, err := f.DotGeneral(in[0], []int{1}, []int{0}, in[1], []int{2}, []int{0}, compute.DotGeneralConfig{})
		return add(f, v, in[2], err, 1, 1, 7)
	}), randomArray(r, 3, 4, 5), randomArray(r, 3, 7, 4), randomArray(r, 7))
}

// TestRowsOfABatchAreNoBiases: what is added to a batch of one is rounded as it is for a larger batch, after the product.
func TestRowsOfABatchAreNoBiases(t *testing.T) {
	b := newBackend(t, 2)
	r := rand.New(rand.NewPCG(2, 2))
	x, w, row := randomArray(r, 2, 9, 50), randomArray(r, 50, 33), randomArray(r, 2, 1, 33)
	build := one(func(f compute.Function, in []compute.Value) (compute.Value, error) {
		v, err := f.DotGeneral(in[0], []int{2}, nil, in[1], []int{0}, nil, compute.DotGeneralConfig{})
		if err != nil {
			return nil, err
		}
		return f.Add(v, in[2])
	})
	all := run(t, b, dtypes.Float32, build, x, w, row)[0]
	first := run(t, b, dtypes.Float32, build, array{[]int{1, 9, 50}, x.data[:450]}, w, array{[]int{1, 1, 33}, row.data[:33]})[0]
	for i, v := range first.data {
		if v != all.data[i] {
			t.Fatalf("element %d is %v alone, %v in a batch", i, v, all.data[i])
		}
	}
}
