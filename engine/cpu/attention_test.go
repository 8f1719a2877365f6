package cpu

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/gomlx/gomlx/core/graph"

	"github.com/smalti/smalti/engine/cpu/ir"
	"github.com/smalti/smalti/gx"
)

// attentionCase is a shape of attention: queries, keys, heads, width.
type attentionCase struct {
	s, t, h, d int
	mask       []int // dimensions, or nil
	causal     bool
}

var attentionCases = []attentionCase{
	{50, 50, 12, 64, nil, false}, {1, 50, 3, 64, nil, false}, {7, 7, 1, 1, nil, false}, {1, 1, 2, 5, nil, false}, {13, 29, 3, 17, nil, false},
	{33, 33, 2, 40, nil, true}, {300, 300, 1, 24, nil, true}, {257, 257, 2, 9, nil, false}, {11, 5, 2, 33, []int{1, 1, 11, 5}, false},
	{6, 6, 2, 8, []int{3, 1, 1, 6}, false}, {6, 9, 2, 8, []int{3, 2, 6, 1}, false},
	{150, wideKeys + 3, 1, 3, nil, false}, {70, wideKeys, 2, 5, []int{1, 1, 70, wideKeys}, false}, // on all cores {77, 77, 2, 65, []int{1, 2, 77, 77}, false},
}

// TestAttention: attention and its gradients for queries, keys and values are one operation each, right and the same for
// any threads, for one block of queries and for several.
func TestAttention(t *testing.T) {
	r := rand.New(rand.NewPCG(9, 9))
	for _, c := range attentionCases {
		t.Run(fmt.Sprint(c), func(t *testing.T) {
			in := []array{randomArray(r, 3, c.s, c.h, c.d), randomArray(r, 3, c.t, c.h, c.d), randomArray(r, 3, c.t, c.h, c.d), randomArray(r, 3, c.s, c.h, c.d)}
			if c.mask != nil {
				in = append(in, randomArray(r, c.mask...))
			}
			p := pattern{ops: []string{"Attention", "AttentionGrad"}, in: in, build: func(in []*graph.Node) []*graph.Node {
				var y *graph.Node
				switch {
				case c.causal:
					y = gx.CausalAttention(in[0], in[1], in[2])
				case c.mask != nil:
					y = gx.Attention(in[0], in[1], in[2], in[4])
				default:
					y = gx.Attention(in[0], in[1], in[2], nil)
				}
				return append(graph.Gradient(graph.ReduceAllSum(graph.Mul(y, in[3])), in[0], in[1], in[2]), y)
			}}
			p.check(t, 1e-5) // chains of up to 300 multiply-adds of numbers near one
		})
	}
}

// TestAttentionInPlace: queries, keys and values are read where one product wrote them, and their gradients are what
// enters that product's gradient: no slices, transpositions or concatenations.
func TestAttentionInPlace(t *testing.T) {
	r := rand.New(rand.NewPCG(10, 10))
	const n, l, h, d = 3, 10, 4, 6
	in := []array{randomArray(r, n, l, h*d), randomArray(r, h*d, 3*h*d), randomArray(r, n, l, h*d)}
	p := pattern{in: in,
		build: func(in []*graph.Node) []*graph.Node {
			qkv := graph.Split(graph.DotGeneral(in[0], []int{2}, nil, in[1], []int{0}, nil), 2, 3)
			for i := range qkv {
				qkv[i] = graph.Reshape(qkv[i], n, l, h, d)
			}
			y := graph.Reshape(gx.Attention(qkv[0], qkv[1], qkv[2], nil), n, l, h*d)
			return append(graph.Gradient(graph.ReduceAllSum(graph.Mul(y, in[2])), in[0]), y)
		}}
	b := newBackend(t, 2)
	_, steps := p.results(t, b, f32)
	want := []string{"Attention", "AttentionGrad", "DotGeneral", "DotGeneral"}
	var got []string
	for _, s := range steps {
		got = append(got, firstWord(s))
	}
	if slices.Sort(got); !slices.Equal(got, want) {
		t.Errorf("steps %v, want %v", got, want)
	}
	p.check(t, 1e-5)
}

// TestAttentionAlone: a head's numbers do not depend on the batch or on the other heads, and a query's not on the others.
func TestAttentionAlone(t *testing.T) {
	r := rand.New(rand.NewPCG(11, 11))
	const n, l, h, d = 3, 50, 2, 16
	x := randomArray(r, n, l, h, d)
	b := newBackend(t, 2)
	attend := func(cut func(x *graph.Node) *graph.Node, queries int) array {
		out, _ := pattern{in: []array{x}, build: func(in []*graph.Node) []*graph.Node {
			x := cut(in[0])
			return []*graph.Node{gx.Attention(first(x, queries), x, x, nil)}
		}}.results(t, b, f32)
		return out[0]
	}
	all := attend(func(x *graph.Node) *graph.Node { return x }, l)
	one := attend(func(x *graph.Node) *graph.Node { return graph.Slice(x, graph.AxisElem(0)) }, 1)
	for i := range one.data {
		if one.data[i] != all.data[i] {
			t.Fatalf("element %d is %v alone, %v among others", i, one.data[i], all.data[i])
		}
	}
}

func first(x *graph.Node, n int) *graph.Node {
	return graph.Slice(x, graph.AxisRange(), graph.AxisRange(0, n))
}

// TestWholeOf: slices that are put together again are the array, and only then.
func TestWholeOf(t *testing.T) {
	r := rand.New(rand.NewPCG(12, 12))
	x := randomArray(r, 2, 3, 4)
	part := func(x *graph.Node, i int) *graph.Node {
		return graph.Reshape(graph.Slice(x, graph.AxisRange(), graph.AxisElem(i)), 2, 4)
	}
	for name, c := range map[string]struct {
		steps int
		build func(x *graph.Node) *graph.Node
	}{
		"whole": {0, func(x *graph.Node) *graph.Node {
			return graph.Concatenate([]*graph.Node{part(x, 0), part(x, 1), part(x, 2)}, 1)
		}},
		"swapped": {4, func(x *graph.Node) *graph.Node {
			return graph.Concatenate([]*graph.Node{part(x, 1), part(x, 0), part(x, 2)}, 1)
		}},
		"short": {3, func(x *graph.Node) *graph.Node { return graph.Concatenate([]*graph.Node{part(x, 0), part(x, 1)}, 1) }},
		"other axis": {4, func(x *graph.Node) *graph.Node {
			return graph.Concatenate([]*graph.Node{part(x, 0), part(x, 1), part(x, 2)}, 0)
		}},
	} {
		t.Run(name, func(t *testing.T) {
			p := pattern{in: []array{x}, build: func(in []*graph.Node) []*graph.Node { return []*graph.Node{c.build(in[0])} }}
			if _, steps := p.results(t, newBackend(t, 1), f32); len(steps) != c.steps {
				t.Errorf("%d steps, want %d: %v", len(steps), c.steps, steps)
			}
			p.check(t, 0)
		})
	}
}

// TestAttentionWide: a head computed by all cores together has the bits of one that a core computes alone.
func TestAttentionWide(t *testing.T) {
	const queries, keys, width = 150, 700, 24
	r := rand.New(rand.NewPCG(13, 13))
	rows := func(n int) ir.HeadRows { return ir.HeadRows{Batch: n * width, Head: width, Token: width} }
	shape := ir.Attention{Batch: 1, Heads: 1, Queries: queries, Keys: keys, Width: width, Scale: .2, Q: rows(queries), K: rows(keys), V: rows(keys), Adjoint: rows(queries)}
	random := func(n int) []float32 {
		x := make([]float32, n*width)
		for i := range x {
			x[i] = float32(r.NormFloat64())
		}
		return x
	}
	h := heads{q: random(queries), k: random(keys), v: random(keys), adjoint: random(queries)}
	f := &frame{b: newBackend(t, 3)}
	narrow, wide := newAttention(shape), &attention{Attention: shape, block: wideBlock, wide: true}
	if narrow.wide || narrow.block == wide.block {
		t.Fatal("the blocks are the same")
	}
	results := func(size int, compute func(h heads)) []float32 {
		h.dst = make([]float32, size)
		compute(h)
		return h.dst
	}
	y := results(queries*width, func(h heads) { narrow.forward(f.b.set, narrow.space(f, false), h, 0, 0) })
	if !slices.Equal(y, results(queries*width, func(h heads) { wide.forwardWide(f, h, 0, 0) })) {
		t.Error("the results differ")
	}
	g := results((queries+2*keys)*width, func(h heads) { narrow.backward(f.b.set, narrow.space(f, true), h, 0, 0) })
	if !slices.Equal(g, results((queries+2*keys)*width, func(h heads) { wide.backwardWide(f, h, 0, 0) })) {
		t.Error("the gradients differ")
	}
}
