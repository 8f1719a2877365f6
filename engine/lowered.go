package engine

import (
	"reflect"

	"github.com/gomlx/compute"
	"github.com/gomlx/compute/gobackend"
	"github.com/gomlx/compute/shapes"
)

// newLowered starts GoMLX's Go backend with operations one after the other (in parallel it can deadlock:
// operations hold the pool's workers while they wait for more) behind a wrapper that lowers what it does slowly or
// wrongly to what it does well (lower.go, lowerconv.go).
func newLowered(threads int) (compute.Backend, error) {
	b, err := gobackend.New("ops_sequential")
	if err != nil {
		return nil, err
	}
	// The backend's own option for this prints to standard output, where only results belong.
	workers := reflect.ValueOf(b).Elem().FieldByName("Workers")
	workers.MethodByName("SetMaxParallelism").Call([]reflect.Value{reflect.ValueOf(threads)})
	return &lowered{b}, nil
}

// lowered wraps the backend. Buffers, builders, functions and executables are wrapped too, because GoMLX compares the
// backends that they name by identity; values pass through as they are.
type lowered struct {
	compute.Backend
}

func (b *lowered) Name() string   { return "go" }
func (b *lowered) String() string { return "go" }
func (b *lowered) Builder(name string) compute.Builder {
	return &loweredBuilder{Builder: b.Backend.Builder(name), be: b}
}

type loweredBuffer struct {
	compute.Buffer
	b *lowered
}

func (b *loweredBuffer) Backend() compute.Backend { return b.b }
func (b *loweredBuffer) CopyToDevice(d compute.DeviceNum) (compute.Buffer, error) {
	i, err := b.Buffer.CopyToDevice(d)
	if err != nil {
		return nil, err
	}
	return &loweredBuffer{i, b.b}, nil
}
func (b *lowered) BufferFromFlatData(d compute.DeviceNum, flat any, s shapes.Shape) (compute.Buffer, error) {
	i, err := b.Backend.BufferFromFlatData(d, flat, s)
	if err != nil {
		return nil, err
	}
	return &loweredBuffer{i, b}, nil
}
func (b *lowered) NewSharedBuffer(d compute.DeviceNum, s shapes.Shape) (compute.Buffer, any, error) {
	i, f, err := b.Backend.NewSharedBuffer(d, s)
	if err != nil {
		return nil, nil, err
	}
	return &loweredBuffer{i, b}, f, nil
}

type loweredExecutable struct {
	compute.Executable
	b *lowered
}

func (e *loweredExecutable) Execute(in []compute.Buffer, donate []bool, d compute.DeviceNum) ([]compute.Buffer, error) {
	inner := make([]compute.Buffer, len(in))
	for i, b := range in {
		inner[i] = b.(*loweredBuffer).Buffer
	}
	out, err := e.Executable.Execute(inner, donate, d)
	if err != nil {
		return nil, err
	}
	for i := range out {
		out[i] = &loweredBuffer{out[i], e.b}
	}
	return out, nil
}

type loweredBuilder struct {
	compute.Builder
	be   *lowered
	main *loweredFunction
}

func (b *loweredBuilder) Main() compute.Function {
	if b.main == nil {
		b.main = &loweredFunction{Function: b.Builder.Main(), b: b}
	}
	return b.main
}
func (b *loweredBuilder) NewFunction(name string) (compute.Function, error) {
	f, err := b.Builder.NewFunction(name)
	if err != nil {
		return nil, err
	}
	return &loweredFunction{Function: f, b: b}, nil
}
func (b *loweredBuilder) Compile() (compute.Executable, error) {
	e, err := b.Builder.Compile()
	if err != nil {
		return nil, err
	}
	return &loweredExecutable{e, b.be}, nil
}

type loweredFunction struct {
	compute.Function
	b      *loweredBuilder
	parent *loweredFunction
}

func (f *loweredFunction) Builder() compute.Builder { return f.b }
func (f *loweredFunction) Parent() compute.Function {
	if f.parent == nil {
		return nil
	}
	return f.parent
}
func (f *loweredFunction) Closure() (compute.Function, error) {
	c, err := f.Function.Closure()
	if err != nil {
		return nil, err
	}
	return &loweredFunction{Function: c, b: f.b, parent: f}, nil
}

// unwrap returns the function below the wrapper.
func unwrap(f compute.Function) compute.Function {
	if w, ok := f.(*loweredFunction); ok {
		return w.Function
	}
	return f
}
func (f *loweredFunction) Call(g compute.Function, in ...compute.Value) ([]compute.Value, error) {
	return f.Function.Call(unwrap(g), in...)
}
func (f *loweredFunction) Sort(c compute.Function, axis int, stable bool, in ...compute.Value) ([]compute.Value, error) {
	return f.Function.Sort(unwrap(c), axis, stable, in...)
}
func (f *loweredFunction) While(c, b compute.Function, in ...compute.Value) ([]compute.Value, error) {
	return f.Function.While(unwrap(c), unwrap(b), in...)
}
func (f *loweredFunction) If(p compute.Value, t, e compute.Function) ([]compute.Value, error) {
	return f.Function.If(p, unwrap(t), unwrap(e))
}
