package cpu

import (
	"math"
	"slices"

	"github.com/gomlx/compute"
	"github.com/gomlx/compute/dtypes"
	"github.com/gomlx/compute/shapes"
	"github.com/pkg/errors"

	"github.com/smalti/smalti/engine/cpu/ir"
)

// FusedScaledDotProductAttention records softmax(q k^T scale + mask) v for each head, in float32, with as many heads for
// keys as for queries and an additive mask. GoMLX calls FusedScaledDotProductAttentionVJP for its gradient, so that
// nothing is computed twice. It needs no states: the backward pass computes the scores again, in cache.
func (f *Function) FusedScaledDotProductAttention(query, key, value compute.Value, layout compute.AttentionAxesLayout,
	o *compute.ScaledDotProductAttentionConfig) (compute.Value, []compute.Value, error) {
	a, in, err := f.attention(query, key, value, layout, o)
	if err != nil {
		return nil, nil, err
	}
	y := f.g.Add(ir.OpAttention, shapes.Make(dtypes.Float32, a.Batch, a.Queries, a.Heads, a.Width), a, in...)
	return f.toLayout(y, layout), nil, nil
}

// FusedScaledDotProductAttentionVJP records the gradients of attention for queries, keys and values. They are made by
// one operation, as parts of one array that stand as such gradients usually do next: side by side, one projection of a
// token after the other.
func (f *Function) FusedScaledDotProductAttentionVJP(query, key, value compute.Value, layout compute.AttentionAxesLayout,
	o *compute.ScaledDotProductAttentionConfig, _ compute.Value, _ []compute.Value, adjoint compute.Value) (dq, dk, dv compute.Value, err error) {
	a, in, err := f.attention(query, key, value, layout, o)
	if err != nil {
		return nil, nil, nil, err
	}
	d, err := f.node(adjoint)
	if err != nil {
		return nil, nil, nil, err
	}
	base, rows, ok := headRows(f.fromLayout(d, layout))
	if !ok {
		return nil, nil, nil, errors.Errorf("cpu: adjoint %s of an attention", d.Shape)
	}
	a.Adjoint = rows
	in = slices.Insert(in, 3, base)
	s := shapes.Make(dtypes.Float32, a.Batch, a.Queries+2*a.Keys, a.Heads, a.Width)
	if a.Queries == a.Keys {
		s = shapes.Make(dtypes.Float32, a.Batch, a.Queries, 3, a.Heads, a.Width)
	}
	g := f.g.Add(ir.OpAttentionGrad, s, a, in...)
	var parts [3]compute.Value
	for i, length := range []int{a.Queries, a.Keys, a.Keys} {
		starts, limits := make([]int, s.Rank()), slices.Clone(s.Dimensions)
		if a.Queries == a.Keys {
			starts[2], limits[2] = i, i+1
		} else {
			starts[1] = []int{0, a.Queries, a.Queries + a.Keys}[i]
			limits[1] = starts[1] + length
		}
		part, err := f.Slice(g, starts, limits, ones(len(starts)))
		if err != nil {
			return nil, nil, nil, err
		}
		parts[i] = f.toLayout(f.reshape(part.(*ir.Node), a.Batch, length, a.Heads, a.Width), layout)
	}
	return parts[0], parts[1], parts[2], nil
}

// attention reads the arguments that attention and its gradient share: inputs are queries, keys, values and perhaps a mask.
func (f *Function) attention(query, key, value compute.Value, layout compute.AttentionAxesLayout,
	o *compute.ScaledDotProductAttentionConfig) (a ir.Attention, in []*ir.Node, err error) {
	if o == nil {
		o = &compute.ScaledDotProductAttentionConfig{}
	}
	ns, err := f.nodes(query, key, value)
	if err != nil {
		return a, nil, err
	}
	if o.QuerySeqLen != nil || o.KeyValueSeqLen != nil || o.Bias != nil {
		return a, nil, notImplemented(compute.OpTypeFusedScaledDotProductAttention)
	}
	for i, n := range ns {
		if n.Shape.DType != dtypes.Float32 || n.Shape.Rank() != 4 || n.Size() == 0 {
			return a, nil, notImplemented(compute.OpTypeFusedScaledDotProductAttention)
		}
		ns[i] = f.fromLayout(n, layout)
	}
	q, k := ns[0].Shape.Dimensions, ns[1].Shape.Dimensions
	a = ir.Attention{Batch: q[0], Queries: q[1], Keys: k[1], Heads: q[2], Width: q[3], Causal: o.Causal, Scale: float32(o.Scale)}
	if a.Scale == 0 {
		a.Scale = float32(1 / math.Sqrt(float64(a.Width)))
	}
	want := []int{a.Batch, a.Keys, a.Heads, a.Width}
	if !slices.Equal(k, want) || !slices.Equal(ns[2].Shape.Dimensions, want) || a.Causal && a.Queries != a.Keys {
		return a, nil, notImplemented(compute.OpTypeFusedScaledDotProductAttention)
	}
	for i, rows := range []*ir.HeadRows{&a.Q, &a.K, &a.V} {
		base, r, ok := headRows(ns[i])
		if !ok {
			return a, nil, notImplemented(compute.OpTypeFusedScaledDotProductAttention)
		}
		*rows = r
		in = append(in, base)
	}
	if o.Mask == nil {
		return a, in, nil
	}
	mask, err := f.node(o.Mask)
	if err != nil {
		return a, nil, err
	}
	full := []int{a.Batch, a.Heads, a.Queries, a.Keys}
	dims := append(ones(max(0, 4-mask.Shape.Rank())), mask.Shape.Dimensions...)
	if mask.Shape.DType != dtypes.Float32 || len(dims) != 4 || slices.ContainsFunc([]int{0, 1, 2, 3}, func(i int) bool { return dims[i] != 1 && dims[i] != full[i] }) {
		return a, nil, notImplemented(compute.OpTypeFusedScaledDotProductAttention)
	}
	a.Mask = [4]int(broadcastStrides(dims, full))
	return a, append(in, mask), nil
}

// fromLayout is x as [batch,tokens,heads,width], toLayout the way back.
func (f *Function) fromLayout(x *ir.Node, layout compute.AttentionAxesLayout) *ir.Node {
	if layout != compute.AttentionAxesLayoutBHSD {
		return x
	}
	y, err := f.Transpose(x, 0, 2, 1, 3)
	if err != nil {
		panic(err) // of rank four, as was checked
	}
	return y.(*ir.Node)
}

func (f *Function) toLayout(x *ir.Node, layout compute.AttentionAxesLayout) *ir.Node {
	return f.fromLayout(x, layout)
}

// headRows says how the rows of x [batch,tokens,heads,width] lie in the memory of a node that x is a part or a
// transposition of, or of x itself.
func headRows(x *ir.Node) (base *ir.Node, rows ir.HeadRows, ok bool) {
	if x.Shape.Rank() != 4 {
		return nil, rows, false
	}
	base, offset, s := strided(x)
	if s[3] != 1 && x.Shape.Dimensions[3] != 1 { // rows must be in one piece
		base, offset, s = x, 0, contiguous(x.Shape.Dimensions)
	}
	return base, ir.HeadRows{Offset: offset, Batch: s[0], Token: s[1], Head: s[2]}, true
}

// strided follows slices, reshapes and transpositions from x to a node in whose memory element (i,j,...) of x lies at
// offset + i*strides[0] + j*strides[1] + ...
func strided(x *ir.Node) (base *ir.Node, offset int, strides []int) {
	switch x.Op {
	case compute.OpTypeSlice:
		a := x.Attr.(ir.Slice)
		base, offset, strides = strided(x.In[0])
		strides = slices.Clone(strides)
		for i := range strides {
			offset += a.Starts[i] * strides[i]
			strides[i] *= a.Strides[i]
		}
		return base, offset, strides
	case compute.OpTypeTranspose:
		base, offset, from := strided(x.In[0])
		for _, p := range x.Attr.(ir.Axes).Axes {
			strides = append(strides, from[p])
		}
		return base, offset, strides
	case compute.OpTypeReshape:
		base, offset, from := strided(x.In[0])
		if s := divided(x.In[0].Shape.Dimensions, from, x.Shape.Dimensions); s != nil {
			return base, offset, s
		}
	}
	return x, 0, contiguous(x.Shape.Dimensions)
}

// divided are the strides of an array of dims and strides seen as to, if each axis is kept or divided into several, else
// nil.
func divided(dims, strides, to []int) []int {
	out := make([]int, len(to))
	j := len(to) - 1
	for i := len(dims) - 1; i >= 0; i-- {
		left, step := dims[i], strides[i]
		for ; j >= 0 && left > 1; j-- {
			if left%to[j] != 0 {
				return nil
			}
			out[j] = step
			left, step = left/to[j], step*to[j]
		}
		if left > 1 {
			return nil
		}
	}
	return out
}

// wholeOf returns the array of which parts are all slices along one axis, in order, if their concatenation along axis is
// the array itself in another shape; else nil. The gradient of a product that makes queries, keys and values at once ends so.
func wholeOf(parts []*ir.Node, axis int) *ir.Node {
	var whole *ir.Node
	at, along := 0, -1
	for _, p := range parts {
		s := p
		if s.Op == compute.OpTypeReshape {
			s = s.In[0]
		}
		if s.Op != compute.OpTypeSlice || whole != nil && s.In[0] != whole {
			return nil
		}
		whole = s.In[0]
		a := s.Attr.(ir.Slice)
		cut := -1
		for i, d := range whole.Shape.Dimensions {
			if a.Strides[i] != 1 || a.Starts[i] == 0 && a.Limits[i] == d {
				if a.Strides[i] != 1 {
					return nil
				}
				continue
			}
			if cut >= 0 {
				return nil
			}
			cut = i
		}
		if cut < 0 || along >= 0 && cut != along || a.Starts[cut] != at {
			return nil
		}
		along, at = cut, a.Limits[cut]
		if product(p.Shape.Dimensions[:axis]) != product(whole.Shape.Dimensions[:cut]) {
			return nil
		}
	}
	if whole == nil || at != whole.Shape.Dimensions[along] {
		return nil
	}
	return whole
}
