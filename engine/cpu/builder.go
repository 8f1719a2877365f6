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
	all     []*Function
	done    bool
}

func newBuilder(b *Backend, name string) *Builder {
	x := &Builder{Builder: notimplemented.Builder{ErrFn: notImplemented}, backend: b, name: name}
	x.main = x.function(compute.MainName, nil)
	return x
}

func (b *Builder) function(name string, parent *Function) *Function {
	f := &Function{Function: notimplemented.Function{ErrFn: notImplemented}, builder: b, name: name, parent: parent, g: ir.New()}
	b.all = append(b.all, f)
	return f
}

// owner is the function that a node belongs to, or nil.
func (b *Builder) owner(n *ir.Node) *Function {
	for _, f := range b.all {
		if f.g.Has(n) {
			return f
		}
	}
	return nil
}

// Name implements compute.Builder.
func (b *Builder) Name() string { return b.name }

// Main implements compute.Builder.
func (b *Builder) Main() compute.Function { return b.main }

// NewFunction returns a function to be called.
func (b *Builder) NewFunction(name string) (compute.Function, error) {
	if name == "" {
		return nil, errors.New("cpu: a function without a name")
	}
	for _, f := range b.all {
		if f.name == name {
			return nil, errors.Errorf("cpu: there is a function %q already", name)
		}
	}
	return b.function(name, nil), nil
}

// OpShape implements compute.Builder.
func (b *Builder) OpShape(v compute.Value) (shapes.Shape, error) {
	n, ok := v.(*ir.Node)
	if !ok || n == nil || b.owner(n) == nil {
		return shapes.Invalid(), errors.Errorf("cpu: %T is not a value of this builder", v)
	}
	return n.Shape, nil
}

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
	name     string    // empty: a closure
	parent   *Function // of a closure
	g        *ir.Graph
	returned bool

	captures []capture
	declared int         // parameters but for the captured ones, once returned
	exe      *Executable // of a closure, once compiled
}

var _ compute.Function = (*Function)(nil)

// Name implements compute.Function.
func (f *Function) Name() string { return f.name }

// Builder implements compute.Function.
func (f *Function) Builder() compute.Builder { return f.builder }

// Parent implements compute.Function.
func (f *Function) Parent() compute.Function {
	if f.parent == nil {
		return nil
	}
	return f.parent
}

// Shape implements compute.Function.
func (f *Function) Shape(v compute.Value) (shapes.Shape, error) {
	return f.builder.OpShape(v)
}

// node checks that a value belongs to this function, or makes it so in a closure.
func (f *Function) node(v compute.Value) (*ir.Node, error) {
	n, ok := v.(*ir.Node)
	if !ok || n == nil {
		return nil, errors.Errorf("cpu: %T is not a value of this backend", v)
	}
	if f.returned {
		return nil, errors.New("cpu: the function has returned already")
	}
	if !f.g.Has(n) {
		return f.capture(n)
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
	f.addCaptures()
	return nil
}
