package engine

import (
	"slices"

	"github.com/gomlx/compute"
	"github.com/gomlx/compute/dtypes"
	"github.com/gomlx/compute/dtypes/bfloat16"
	"github.com/gomlx/compute/dtypes/float16"
)

// Pad crashes in the Go backend when an edge is negative; cropping is left to Slice here.
func (f *loweredFunction) Pad(x, fill compute.Value, axes ...compute.PadAxis) (compute.Value, error) {
	if !slices.ContainsFunc(axes, func(a compute.PadAxis) bool { return a.Start < 0 || a.End < 0 }) {
		return f.Function.Pad(x, fill, axes...)
	}
	l := lowering{f: f.Function}
	grown := slices.Clone(axes)
	for i := range grown {
		grown[i].Start, grown[i].End = max(0, grown[i].Start), max(0, grown[i].End)
	}
	y := l.value(f.Function.Pad(x, fill, grown...))
	if l.err != nil {
		return nil, l.err
	}
	limits := slices.Clone(l.dims(y))
	starts := make([]int, len(limits))
	for i, a := range axes {
		starts[i] = max(0, -a.Start)
		limits[i] = max(starts[i], limits[i]-max(0, -a.End))
	}
	y = l.slice(y, starts, limits, nil)
	return y, l.err
}

// Transpose by the identity, which gradients are full of, is nothing.
func (f *loweredFunction) Transpose(x compute.Value, permutation ...int) (compute.Value, error) {
	if isIdentity(permutation) {
		return x, nil
	}
	return f.Function.Transpose(x, permutation...)
}

func isIdentity(permutation []int) bool {
	for i, p := range permutation {
		if i != p {
			return false
		}
	}
	return true
}

// lowering emits operations into a function and keeps the first error; after it, values are nil and nothing is emitted.
type lowering struct {
	f   compute.Function
	err error

	transposed map[compute.Value]transposition // values that transpose made, to go back without doing it
}

// transposition is a value before its axes were permuted.
type transposition struct {
	of          compute.Value
	permutation []int
}

func (l *lowering) value(v compute.Value, err error) compute.Value {
	if l.err == nil {
		l.err = err
	}
	if l.err != nil {
		return nil
	}
	return v
}

func (l *lowering) dims(x compute.Value) []int {
	if l.err != nil {
		return nil
	}
	s, err := l.f.Shape(x)
	if err != nil {
		l.err = err
		return nil
	}
	return s.Dimensions
}

func (l *lowering) transpose(x compute.Value, permutation ...int) compute.Value {
	if t, ok := l.transposed[x]; ok {
		x, permutation = t.of, compose(t.permutation, permutation)
	}
	if l.err != nil || isIdentity(permutation) {
		return x
	}
	// A transposition that moves only axes of one element is a reshape.
	dims := l.dims(x)
	last, moved := -1, false
	out := make([]int, len(dims))
	for i, p := range permutation {
		out[i] = dims[p]
		if dims[p] == 1 {
			continue
		}
		moved = moved || p < last
		last = p
	}
	if !moved {
		return l.reshape(x, out...)
	}
	y := l.value(l.f.Transpose(x, permutation...))
	if l.transposed == nil {
		l.transposed = map[compute.Value]transposition{}
	}
	l.transposed[y] = transposition{x, permutation}
	return y
}

// compose returns the permutation that is first a, then b.
func compose(a, b []int) []int {
	out := make([]int, len(b))
	for i, p := range b {
		out[i] = a[p]
	}
	return out
}

func (l *lowering) reshape(x compute.Value, dims ...int) compute.Value {
	if l.err != nil || slices.Equal(l.dims(x), dims) {
		return x
	}
	return l.value(l.f.Reshape(x, dims...))
}

func (l *lowering) slice(x compute.Value, starts, limits, strides []int) compute.Value {
	if l.err != nil {
		return nil
	}
	whole := true
	for i, d := range l.dims(x) {
		whole = whole && starts[i] == 0 && limits[i] == d && (strides == nil || strides[i] == 1)
	}
	if whole {
		return x
	}
	return l.value(l.f.Slice(x, starts, limits, strides))
}

func (l *lowering) concatenate(axis int, xs ...compute.Value) compute.Value {
	if l.err != nil || len(xs) == 1 {
		return xs[0]
	}
	return l.value(l.f.Concatenate(axis, xs...))
}

// product is the matrix product of a [m,k] and b [k,n].
func (l *lowering) product(a, b compute.Value) compute.Value {
	if l.err != nil {
		return nil
	}
	return l.value(l.f.DotGeneral(a, []int{1}, nil, b, []int{0}, nil, compute.DotGeneralConfig{}))
}

// pad surrounds x with zeros, interior ones too; edges may be negative.
func (l *lowering) pad(x compute.Value, axes ...compute.PadAxis) compute.Value {
	if l.err != nil || !slices.ContainsFunc(axes, func(a compute.PadAxis) bool { return a != compute.PadAxis{} }) {
		return x
	}
	s, err := l.f.Shape(x)
	if err != nil {
		l.err = err
		return nil
	}
	zero := l.value(l.f.Constant(zeroOf(s.DType)))
	if l.err != nil {
		return nil
	}
	return l.value((&loweredFunction{Function: l.f}).Pad(x, zero, axes...))
}

func zeroOf(d dtypes.DType) any {
	switch d {
	case dtypes.Float64:
		return []float64{0}
	case dtypes.BFloat16:
		return []bfloat16.BFloat16{0}
	case dtypes.Float16:
		return []float16.Float16{0}
	}
	return []float32{0}
}
