package cpu

import (
	"reflect"

	"github.com/gomlx/compute"
	"github.com/gomlx/compute/dtypes"
	"github.com/gomlx/compute/notimplemented"
	"github.com/gomlx/compute/shapes"
	"github.com/pkg/errors"

	"github.com/smalti/smalti/engine/cpu/ir"
)

// Builder records one computation.
type Builder struct {
	notimplemented.Builder
	backend *Backend
	name    string
	main    *Function
	done    bool
}

func newBuilder(b *Backend, name string) *Builder {
	x := &Builder{Builder: notimplemented.Builder{ErrFn: notImplemented}, backend: b, name: name}
	x.main = &Function{Function: notimplemented.Function{ErrFn: notImplemented}, builder: x, g: ir.New()}
	return x
}

// Name implements compute.Builder.
func (b *Builder) Name() string { return b.name }

// Main returns the only function: closures are not supported.
func (b *Builder) Main() compute.Function { return b.main }

// NewFunction is refused.
func (b *Builder) NewFunction(string) (compute.Function, error) {
	return nil, notImplemented(compute.OpTypeCall)
}

// OpShape implements compute.Builder.
func (b *Builder) OpShape(v compute.Value) (shapes.Shape, error) { return b.main.Shape(v) }

// Compile compiles what was recorded. The builder must not be used after it.
func (b *Builder) Compile() (compute.Executable, error) {
	if !b.main.returned {
		return nil, errors.Errorf("cpu: compile %q: Return was not called", b.name)
	}
	if b.done {
		return nil, errors.Errorf("cpu: %q was compiled already", b.name)
	}
	b.done = true
	var e *Executable
	err := protect(func() (err error) {
		e, err = compile(b.backend, b.name, b.main.g)
		return err
	})
	if err != nil {
		return nil, errors.WithMessagef(err, "cpu: compile %q", b.name)
	}
	return e, nil
}

// protect runs f and turns its panic into an error.
func protect(f func() error) (err error) {
	defer func() {
		switch r := recover().(type) {
		case nil:
		case error:
			err = errors.WithStack(r)
		default:
			err = errors.Errorf("%v", r)
		}
	}()
	return f()
}

// Function records operations. Its methods are in function_*.go: each infers the shape, simplifies what is trivial,
// and returns a node, or refuses with ErrNotImplemented.
type Function struct {
	notimplemented.Function
	builder  *Builder
	g        *ir.Graph
	returned bool
}

var _ compute.Function = (*Function)(nil)

// Name implements compute.Function.
func (f *Function) Name() string { return compute.MainName }

// Builder implements compute.Function.
func (f *Function) Builder() compute.Builder { return f.builder }

// Parent implements compute.Function.
func (f *Function) Parent() compute.Function { return nil }

// Closure is refused.
func (f *Function) Closure() (compute.Function, error) {
	return nil, notImplemented(compute.OpTypeCall)
}

// Shape implements compute.Function.
func (f *Function) Shape(v compute.Value) (shapes.Shape, error) {
	n, err := f.node(v)
	if err != nil {
		return shapes.Invalid(), err
	}
	return n.Shape, nil
}

// node checks that a value belongs to this function.
func (f *Function) node(v compute.Value) (*ir.Node, error) {
	n, ok := v.(*ir.Node)
	if !ok || n == nil {
		return nil, errors.Errorf("cpu: %T is not a value of this backend", v)
	}
	if n.ID >= len(f.g.Nodes) || f.g.Nodes[n.ID] != n {
		return nil, errors.New("cpu: the value belongs to another function")
	}
	if f.returned {
		return nil, errors.New("cpu: the function has returned already")
	}
	return n, nil
}

func (f *Function) nodes(vs ...compute.Value) ([]*ir.Node, error) {
	ns := make([]*ir.Node, len(vs))
	for i, v := range vs {
		n, err := f.node(v)
		if err != nil {
			return nil, err
		}
		ns[i] = n
	}
	return ns, nil
}

// Parameter adds an input.
func (f *Function) Parameter(name string, shape shapes.Shape, _ *compute.ShardingSpec) (compute.Value, error) {
	if f.returned {
		return nil, errors.New("cpu: the function has returned already")
	}
	if err := checkShape(shape); err != nil {
		return nil, err
	}
	n := f.g.AddUnique(compute.OpTypeParameter, shape, ir.Parameter{Index: len(f.g.Params), Name: name})
	f.g.Params = append(f.g.Params, n)
	return n, nil
}

// Constant adds a constant, a copy of flat.
func (f *Function) Constant(flat any, dims ...int) (compute.Value, error) {
	v := reflect.ValueOf(flat)
	if v.Kind() != reflect.Slice {
		return nil, errors.Errorf("cpu: constant of type %T, want a slice", flat)
	}
	shape := shapes.Make(dtypes.FromGoType(v.Type().Elem()), dims...)
	if err := checkShape(shape); err != nil {
		return nil, err
	}
	if v.Len() != shape.Size() {
		return nil, errors.Errorf("cpu: %d elements for a constant of %s", v.Len(), shape)
	}
	mem := allocate(int(shape.ByteSize()))
	copy(mem, dtypes.UnsafeByteSliceFromAny(flat))
	return f.constant(shape, mem), nil
}

// constant adds a constant that keeps mem.
func (f *Function) constant(shape shapes.Shape, mem []byte) *ir.Node {
	return f.g.Add(compute.OpTypeConstant, shape, &ir.Constant{Bytes: mem})
}

// Return names the outputs.
func (f *Function) Return(outputs []compute.Value, _ []*compute.ShardingSpec) error {
	ns, err := f.nodes(outputs...)
	if err != nil {
		return err
	}
	if len(ns) == 0 {
		return errors.New("cpu: a function must return something")
	}
	f.g.Outputs, f.returned = ns, true
	return nil
}
