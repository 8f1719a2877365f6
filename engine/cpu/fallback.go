package cpu

import (
	"fmt"
	"sync"

	"github.com/gomlx/compute"
	"github.com/gomlx/compute/gobackend"
	"github.com/gomlx/compute/shapes"

	"github.com/smalti/smalti/engine/cpu/ir"
)

// An operation that this backend lacks is built as a graph of that one operation on GoMLX's Go backend, which runs it
// on copies of its operands. Backend.Fallbacks counts them. Only products and look-ups of quantised weights are left.

// innerBackend is the Go backend, with operations one after the other: in parallel it can deadlock.
var innerBackend = sync.OnceValues(func() (compute.Backend, error) { return gobackend.New("ops_sequential") })

// fallback is the attribute of an ir.OpFallback node: a compiled graph of one result.
type fallback struct {
	name string
	exe  compute.Executable
	in   []shapes.Shape
	out  shapes.Shape
	mu   sync.Mutex
}

// String names the operation.
func (f *fallback) String() string { return f.name }

// fallback records an operation for the Go backend. build gets the values that stand for in.
func (f *Function) fallback(op compute.OpType, in []*ir.Node, build func(g compute.Function, in []compute.Value) (compute.Value, error)) (compute.Value, error) {
	inner, err := innerBackend()
	if err != nil {
		return nil, err
	}
	b := inner.Builder("fallback " + op.String())
	g := b.Main()
	fb := &fallback{name: op.String()}
	params := make([]compute.Value, len(in))
	for i, n := range in {
		if params[i], err = g.Parameter(fmt.Sprint("operand ", i), n.Shape, nil); err != nil {
			return nil, err
		}
		fb.in = append(fb.in, n.Shape)
	}
	out, err := build(g, params)
	if err != nil {
		return nil, err
	}
	if err := g.Return([]compute.Value{out}, nil); err != nil {
		return nil, err
	}
	if fb.exe, err = b.Compile(); err != nil {
		return nil, err
	}
	fb.out = fb.exe.Outputs()[0]
	if err := checkShape(fb.out); err != nil {
		return nil, err
	}
	return f.g.AddUnique(ir.OpFallback, fb.out, fb, in...), nil
}

// run executes the graph on operands in memory and writes its result to dst.
func (f *fallback) run(dst []byte, in [][]byte) error {
	inner, err := innerBackend()
	if err != nil {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	bufs, donate := make([]compute.Buffer, len(in)), make([]bool, len(in))
	for i, mem := range in {
		flat := shapes.UnsafeSliceForDType(f.in[i].DType, pointer(mem), f.in[i].Size())
		if bufs[i], err = inner.BufferFromFlatData(0, flat, f.in[i]); err != nil {
			return err
		}
		donate[i] = true
	}
	outs, err := f.exe.Execute(bufs, donate, 0)
	if err != nil {
		return err
	}
	err = outs[0].ToFlatData(shapes.UnsafeSliceForDType(f.out.DType, pointer(dst), f.out.Size()))
	_ = outs[0].Finalize()
	return err
}

// FusedQuantizedDense falls back: a product with weights in blocks of a few bits.
func (f *Function) FusedQuantizedDense(x, weights, bias compute.Value, q *compute.Quantization, activation compute.ActivationType) (compute.Value, error) {
	values := optional{x, weights, bias, q.Scale, q.ZeroPoint}
	ns, err := f.nodes(values.present()...)
	if err != nil {
		return nil, err
	}
	return f.fallback(compute.OpTypeFusedQuantizedDense, ns, func(g compute.Function, in []compute.Value) (compute.Value, error) {
		v := values.replaced(in)
		inner := *q
		inner.Scale, inner.ZeroPoint = v[3], v[4]
		return g.FusedQuantizedDense(v[0], v[1], v[2], &inner, activation)
	})
}

// QuantizedEmbeddingLookup falls back: rows of a table in blocks of a few bits.
func (f *Function) QuantizedEmbeddingLookup(data, indices compute.Value, q *compute.Quantization) (compute.Value, error) {
	values := optional{data, indices, q.Scale, q.ZeroPoint}
	ns, err := f.nodes(values.present()...)
	if err != nil {
		return nil, err
	}
	return f.fallback(compute.OpTypeQuantizedEmbeddingLookup, ns, func(g compute.Function, in []compute.Value) (compute.Value, error) {
		v := values.replaced(in)
		inner := *q
		inner.Scale, inner.ZeroPoint = v[2], v[3]
		return g.QuantizedEmbeddingLookup(v[0], v[1], &inner)
	})
}

// optional are operands of which some are nil.
type optional []compute.Value

func (o optional) present() (vs []compute.Value) {
	for _, v := range o {
		if v != nil {
			vs = append(vs, v)
		}
	}
	return vs
}

// replaced puts others in the places of those that are present.
func (o optional) replaced(by []compute.Value) optional {
	out := make(optional, len(o))
	for i, v := range o {
		if v != nil {
			out[i], by = by[0], by[1:]
		}
	}
	return out
}
