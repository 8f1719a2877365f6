// Package engine runs graphs: it chooses the backend, compiles a graph once for each tuple of input shapes, keeps
// what was compiled, and turns the panics of graph building into errors.
//
// It imports gx, so no graph of smalti compiles with GoMLX's unrepaired gradients. Only this package names a backend:
// smalti's own CPU backend (engine/cpu). Graphs and callers do not see which one runs.
package engine

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"

	"github.com/gomlx/compute"
	"github.com/gomlx/compute/dtypes"
	"github.com/gomlx/compute/shapes"
	"github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"

	"github.com/smalti/smalti/engine/cpu"
	"github.com/smalti/smalti/gx"
)

// Options choose how graphs run. The zero value uses every processor.
type Options struct {
	Threads int    // workers inside an operation; 0 means one for each processor
	Class   string // of kernels: avx512bf16, avx512, avx2 or generic; empty means $SMALTI_CPU, else the best that this machine has

	Precision string // of products: F32 or Mixed; empty means F32

	// LowMemory computes things again instead of keeping them, to the same bytes: see Engine.LowMemory.
	LowMemory bool

	// Bands computes what is between large maps of a graph band by band, in bands of about so many bytes, and computes a
	// forward pass again block by block for its gradient (docs/engine.md), to the same bytes. 0 computes whole maps.
	Bands int
}

// BandBytes is the size of bands that suits most machines: the rows around a band are few beside it, and a dozen bands are
// little beside a map that is worth cutting.
const BandBytes = 16 << 20

// Names of precisions. F32 computes in float32. Mixed rounds the operands of large products with weights to bfloat16 and
// adds up in float32: relative root mean square error up to 2.5e-3 of a product (docs/engine.md).
const (
	F32   = cpu.F32
	Mixed = cpu.Mixed
)

// ErrPrecision is wrapped by New's error when the class of kernels cannot compute with the precision asked for.
var ErrPrecision = cpu.ErrPrecision

// Engine runs graphs on one backend. It is safe for concurrent use.
type Engine struct {
	backend   *cpu.Backend
	low       bool
	bands     bool
	profiling sync.Mutex // held by a run whose operations are measured
	uploading sync.Mutex // held while tensors become buffers of the backend
}

// Tensors are values by name: the weights of a model, or the whole state of a training.
type Tensors map[string]*tensors.Tensor

// New starts a backend. It fails when the class is unknown or more than this machine can run, and with ErrPrecision when
// the class cannot compute with the precision.
func New(o Options) (*Engine, error) {
	if o.Class == "" {
		o.Class = os.Getenv("SMALTI_CPU") // so that every test can run on every class
	}
	b, err := cpu.New(cpu.Options{Threads: o.Threads, Class: o.Class, Precision: o.Precision, LowMemory: o.LowMemory, Bands: o.Bands})
	if err != nil {
		return nil, fmt.Errorf("engine: start the backend: %w", err)
	}
	return &Engine{backend: b, low: o.LowMemory, bands: o.Bands > 0}, nil
}

// Name says which backend runs, for doctor and for the recipe of a picture.
func (e *Engine) Name() string { return e.backend.Name() }

// Class names the set of instructions that decides which kernels run. Pictures are byte-equal within one class.
func (e *Engine) Class() string { return e.backend.Class() }

// Kernels says which kernels are in use, and Features which extensions of the CPU they could use.
func (e *Engine) Kernels() string    { return e.backend.Kernels() }
func (e *Engine) Features() []string { return cpu.Features() }

// Precision returns F32 or Mixed.
func (e *Engine) Precision() string { return e.backend.Precision() }

// Threads returns the number of workers.
func (e *Engine) Threads() int { return e.backend.Threads() }

// LowMemory reports whether callers should compute things again instead of keeping them: the engine itself then keeps few
// derived forms of weights. No byte of any result depends on it.
func (e *Engine) LowMemory() bool { return e.low }

// Bands reports whether large maps are computed band by band: what a Staged program keeps is little then.
func (e *Engine) Bands() bool { return e.bands }

// Fallbacks counts the operations that were compiled for GoMLX's own backend because ours lacks them, by name.
func (e *Engine) Fallbacks() map[string]int { return e.backend.Fallbacks() }

// Close stops the workers. Nothing of the engine may be used afterwards.
func (e *Engine) Close() { e.backend.Finalize() }

// Build is a graph function: it declares variables on v and computes outputs from inputs. It must be a pure function
// of the shapes of its inputs. It reports misuse by panicking, as GoMLX does.
type Build func(v *gx.Vars, in []*graph.Node) []*graph.Node

// Program is a graph function with what was compiled of it.
type Program struct {
	e     *Engine
	name  string
	rest  string // the name of what Finish runs; empty unless the program is Staged
	build Build

	mu       sync.Mutex
	compiled map[string]*compiled
}

type compiled struct {
	once    sync.Once
	err     error
	g       *graph.Graph
	decls   []gx.Decl
	updates []string
}

// Program returns a graph function ready to run. Nothing is traced before the first Run.
func (e *Engine) Program(name string, build Build) *Program {
	return &Program{e: e, name: name, build: build, compiled: map[string]*compiled{}}
}

// Run executes the program. vars holds the variables by name: each that the graph declares must be there with the
// declared shape. Variables that the graph Sets are replaced in vars after the whole run succeeded; a run that fails
// leaves vars as it was. The outputs are new tensors.
func (p *Program) Run(vars Tensors, in ...*tensors.Tensor) ([]*tensors.Tensor, error) {
	c, err := p.compile(shapesOf(in), nil)
	if err != nil {
		return nil, fmt.Errorf("engine: compile %s: %w", p.name, err)
	}
	weights, err := p.weights(c, vars)
	if err != nil {
		return nil, err
	}
	var outs []*tensors.Tensor
	run := func() {
		bufs := p.e.buffers(in, weights)
		outs = c.g.RunWithBuffers(bufs, make([]bool, len(bufs)), 0)
	}
	if err := p.e.timed(p.name, false, func() error { return Try(run) }); err != nil {
		return nil, fmt.Errorf("engine: run %s: %w", p.name, err)
	}
	n := len(outs) - len(c.updates)
	for i, name := range c.updates {
		vars[name] = outs[n+i]
	}
	return outs[:n], nil
}

// weights finds the variables that a graph declares.
func (p *Program) weights(c *compiled, vars Tensors) ([]*tensors.Tensor, error) {
	weights := make([]*tensors.Tensor, len(c.decls))
	for i, d := range c.decls {
		t, ok := vars[d.Name]
		if !ok {
			return nil, fmt.Errorf("engine: %s: variable %q has no value", p.name, d.Name)
		}
		if !t.Shape().Equal(d.Shape()) {
			return nil, fmt.Errorf("engine: %s: variable %q is %s, want %s", p.name, d.Name, t.Shape(), d.Shape())
		}
		weights[i] = t
	}
	return weights, nil
}

// keepHost is the size in bytes from which on a weight is kept by the backend alone.
const keepHost = 64 << 10

// buffers returns the inputs' and the weights' buffers, made where there are none yet. A large weight has no copy on the host
// from its upload on; a tensor that is read there gets one again. It panics as GoMLX does.
func (e *Engine) buffers(in, weights []*tensors.Tensor) []compute.Buffer {
	e.uploading.Lock() // so that no tensor is uploaded twice, and one that another run reads is left alone
	defer e.uploading.Unlock()
	bufs := make([]compute.Buffer, 0, len(in)+len(weights))
	for i, t := range slices.Concat(in, weights) {
		uploaded := t.IsOnDevice(0)
		b, err := t.Buffer(e.backend, 0)
		if err != nil {
			panic(err)
		}
		if !uploaded && i >= len(in) && t.Memory() >= keepHost {
			t.FinalizeLocal()
		}
		bufs = append(bufs, b)
	}
	return bufs
}

// Keep moves a tensor to the engine now, without a copy on the host if it is large: a model that is loaded is in memory once, as
// Run would have it after its first use. The tensor can still be read.
func (e *Engine) Keep(t *tensors.Tensor) error {
	return Try(func() { e.buffers(nil, []*tensors.Tensor{t}) })
}

// Decls traces the program for inputs of the given shapes, without compiling it, and returns its variables.
func (p *Program) Decls(in ...shapes.Shape) ([]gx.Decl, error) {
	var decls []gx.Decl
	err := Try(func() {
		g := graph.NewGraph(p.e.backend, p.name)
		defer g.Finalize()
		v := gx.NewVars(g)
		p.build(v, parameters(g, in, nil))
		decls = v.Decls()
	})
	if err != nil {
		return nil, fmt.Errorf("engine: trace %s: %w", p.name, err)
	}
	return decls, nil
}

func shapesOf(in []*tensors.Tensor) []shapes.Shape {
	out := make([]shapes.Shape, len(in))
	for i, t := range in {
		out[i] = t.Shape()
	}
	return out
}

func (p *Program) compile(in, late []shapes.Shape) (*compiled, error) {
	key := ""
	for _, s := range slices.Concat(in, late) {
		key += s.String() + ";"
	}
	key += fmt.Sprint(len(late))
	p.mu.Lock()
	c, ok := p.compiled[key]
	if !ok {
		c = &compiled{}
		p.compiled[key] = c
	}
	p.mu.Unlock()
	c.once.Do(func() {
		c.err = p.e.timed(p.name, true, func() error { return Try(func() { p.trace(c, in, late) }) })
	})
	return c, c.err
}

func (p *Program) trace(c *compiled, in, late []shapes.Shape) {
	g := graph.NewGraph(p.e.backend, p.name)
	v := gx.NewVars(g)
	outs := p.build(v, parameters(g, in, late))
	names, values := v.Updates()
	all := append(append([]*graph.Node(nil), outs...), values...)
	if len(all) == 0 {
		panic(errors.New("the graph has no outputs"))
	}
	if err := g.Compile(all...); err != nil {
		panic(err)
	}
	c.g, c.decls, c.updates = g, v.Decls(), names
}

func parameters(g *graph.Graph, in, late []shapes.Shape) []*graph.Node {
	var nodes []*graph.Node
	for i, s := range in {
		nodes = append(nodes, graph.Parameter(g, fmt.Sprintf("input:%d", i), s))
	}
	for i, s := range late {
		nodes = append(nodes, graph.Parameter(g, fmt.Sprintf("%s%d", cpu.LatePrefix, i), s))
	}
	return nodes
}

// Try runs f and returns its panic as an error. GoMLX reports misuse of a graph by panicking with an error value;
// runtime errors (nil pointers, indices) are wrapped too, because a picture half done must not take the program down.
func Try(f func()) (err error) {
	defer func() {
		switch r := recover().(type) {
		case nil:
		case error:
			err = r
		default:
			err = fmt.Errorf("%v", r)
		}
	}()
	f()
	return nil
}

// FromFloats makes a float32 tensor of the given shape. It panics when the data do not fill the shape.
func FromFloats(data []float32, dims ...int) *tensors.Tensor {
	return tensors.FromFlatDataAndDimensions(data, dims...)
}

// Floats copies a float32 tensor's values out. It panics on another type: the caller knows what its graph returns.
func Floats(t *tensors.Tensor) []float32 { return tensors.MustCopyFlatData[float32](t) }

// Ints copies an int32 tensor's values out.
func Ints(t *tensors.Tensor) []int32 { return tensors.MustCopyFlatData[int32](t) }

// Upload makes tensors of arrays by name, with the shapes of their declarations.
func Upload(decls []gx.Decl, values map[string][]float32) (Tensors, error) {
	out := make(Tensors, len(decls))
	for _, d := range decls {
		v, ok := values[d.Name]
		if !ok {
			return nil, fmt.Errorf("engine: variable %q has no value", d.Name)
		}
		if len(v) != d.Shape().Size() {
			return nil, fmt.Errorf("engine: variable %q has %d values, want %v", d.Name, len(v), d.Dims)
		}
		out[d.Name] = tensors.FromFlatDataAndDimensions(v, d.Dims...)
	}
	return out, nil
}

// Float32 is the shape of a float32 array.
func Float32(dims ...int) shapes.Shape { return shapes.Make(dtypes.Float32, dims...) }

// Int32 is the shape of an int32 array.
func Int32(dims ...int) shapes.Shape { return shapes.Make(dtypes.Int32, dims...) }
