package gx

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/gomlx/compute/dtypes"
	"github.com/gomlx/compute/shapes"
	"github.com/gomlx/gomlx/core/graph"

	"github.com/smalti/smalti/rng"
)

// Layout says how a variable's array in the graph relates to the array of the reference implementation's file.
type Layout uint8

const (
	Plain  Layout = iota // the same
	Linear               // graph [in,out], file [out,in]
	Conv                 // graph [kh,kw,in,out] (HWIO), file [out,in,kh,kw] (OIHW)
	ConvT                // graph [kh,kw,in,out], file [in,out,kh,kw] (transposed convolution)
)

// FileDims returns the shape that an array of shape dims in the graph has in the reference's file.
func (l Layout) FileDims(dims []int) []int {
	switch l {
	case Linear:
		return []int{dims[1], dims[0]}
	case Conv:
		return []int{dims[3], dims[2], dims[0], dims[1]}
	case ConvT:
		return []int{dims[2], dims[3], dims[0], dims[1]}
	}
	return slices.Clone(dims)
}

// FromFile reorders an array in the file's layout into the graph's; dims is the shape in the graph.
func (l Layout) FromFile(data []float32, dims []int) []float32 {
	if l == Plain {
		return data
	}
	out := make([]float32, len(data))
	l.FromFileInto(out, data, dims)
	return out
}

// FromFileInto is FromFile into an array of the caller's, which may not overlap data.
func (l Layout) FromFileInto(dst, data []float32, dims []int) {
	l.reorder(dst, data, dims, func(dst, src []float32, graphAt, fileAt int) { dst[graphAt] = src[fileAt] })
}

// ToFile is the inverse of FromFile.
func (l Layout) ToFile(data []float32, dims []int) []float32 {
	if l == Plain {
		return data
	}
	out := make([]float32, len(data))
	l.reorder(out, data, dims, func(dst, src []float32, graphAt, fileAt int) { dst[fileAt] = src[graphAt] })
	return out
}

func (l Layout) reorder(out, data []float32, dims []int, move func(dst, src []float32, graphAt, fileAt int)) {
	switch l {
	case Plain:
		copy(out, data)
		return
	case Linear:
		for i := range dims[0] {
			for o := range dims[1] {
				move(out, data, i*dims[1]+o, o*dims[0]+i)
			}
		}
		return
	}
	taps, in, outs := dims[0]*dims[1], dims[2], dims[3]
	for tap := range taps {
		for i := range in {
			for o := range outs {
				file := (o*in+i)*taps + tap
				if l == ConvT {
					file = (i*outs+o)*taps + tap
				}
				move(out, data, (tap*in+i)*outs+o, file)
			}
		}
	}
}

// Init is how a variable starts when it is trained from nothing. The zero value is zeros.
type Init struct {
	kind  initKind
	scale float64
}

type initKind uint8

const (
	initZeros initKind = iota
	initOnes
	initConst
	initNormal
	initUniform
	initKaiming
	initXavier
)

// Zeros and Ones start a variable as a constant.
var (
	Zeros = Init{kind: initZeros}
	Ones  = Init{kind: initOnes}
	// KaimingUniform is PyTorch's default for linear layers and convolutions: U(-b, b) with b = 1/sqrt(fan in)
	// (He et al. 2015, with the gain that torch.nn.Linear.reset_parameters uses).
	KaimingUniform = Init{kind: initKaiming}
	// XavierUniform is U(-b, b) with b = sqrt(6/(fan in + fan out)) (Glorot and Bengio 2010).
	XavierUniform = Init{kind: initXavier}
)

// Const starts every element at v.
func Const(v float64) Init { return Init{initConst, v} }

// Normal starts elements at N(0, std^2).
func Normal(std float64) Init { return Init{initNormal, std} }

// Uniform starts elements at U(-bound, bound).
func Uniform(bound float64) Init { return Init{initUniform, bound} }

// values draws the starting values of a variable of the given shape and layout.
func (i Init) values(s *rng.Stream, dims []int, layout Layout) []float32 {
	out := make([]float32, size(dims))
	fanIn, fanOut := fans(dims, layout)
	bound := i.scale
	switch i.kind {
	case initOnes, initConst:
		v := float32(1)
		if i.kind == initConst {
			v = float32(i.scale)
		}
		for k := range out {
			out[k] = v
		}
	case initNormal:
		for k := range out {
			out[k] = float32(i.scale * s.Normal())
		}
	case initKaiming:
		bound = 1 / math.Sqrt(float64(max(1, fanIn)))
	case initXavier:
		bound = math.Sqrt(6 / float64(max(1, fanIn+fanOut)))
	}
	if i.kind >= initUniform {
		s.FillUniform(out, -bound, bound)
	}
	return out
}

func fans(dims []int, layout Layout) (in, out int) {
	n := len(dims)
	if n < 2 {
		return size(dims), size(dims)
	}
	in, out = dims[n-2], dims[n-1]
	for _, d := range dims[:n-2] {
		in, out = in*d, out*d
	}
	if layout == ConvT { // PyTorch counts the fan of a transposed convolution over its outputs
		return out, in
	}
	if layout == Plain && n == 2 { // [rows, columns] tables: a row is a vector
		return dims[1], dims[0]
	}
	return in, out
}

func size(dims []int) int {
	n := 1
	for _, d := range dims {
		n *= d
	}
	return n
}

// Spec describes one variable: its shape in the graph (float32), its layout and its start.
type Spec struct {
	Dims   []int
	Layout Layout
	Init   Init
}

// Decl is a variable that a graph function asked for.
type Decl struct {
	Name string // full name, parts joined with "."
	Spec
}

// Shape returns the shape of the variable in the graph.
func (d Decl) Shape() shapes.Shape { return shapes.Make(dtypes.Float32, d.Dims...) }

// Vars gives a graph function its named variables (weights, statistics, optimiser moments). Variables are plain
// inputs of the graph: the function declares each on first use, and whoever runs the graph passes a value by that
// name. Nothing is global and nothing is hidden in a context, so the same function serves inference, training and
// the comparison with a reference.
//
// A Vars belongs to one graph. In returns a view of a part of the names.
type Vars struct {
	prefix string
	reg    *registry
}

type registry struct {
	g     *graph.Graph
	decls []Decl
	nodes map[string]*graph.Node
	specs map[string]Spec
	sets  map[string]*graph.Node
	order []string // names of sets in order
}

// NewVars returns an empty registry of variables for the graph g.
func NewVars(g *graph.Graph) *Vars {
	return &Vars{reg: &registry{g: g, nodes: map[string]*graph.Node{}, specs: map[string]Spec{}, sets: map[string]*graph.Node{}}}
}

// Graph returns the graph under construction.
func (v *Vars) Graph() *graph.Graph { return v.reg.g }

// In returns the view of the variables below a name, formatted as by fmt.Sprintf.
func (v *Vars) In(format string, args ...any) *Vars {
	return &Vars{prefix: v.full(fmt.Sprintf(format, args...)), reg: v.reg}
}

// Name returns the full name of a variable of this view.
func (v *Vars) Name(name string) string { return v.full(name) }

func (v *Vars) full(name string) string {
	if v.prefix == "" {
		return name
	}
	return v.prefix + "." + name
}

// Get returns the variable of a name, declaring it on first use. It panics when a later use disagrees on the shape
// or layout: the engine turns panics of graph functions into errors.
func (v *Vars) Get(name string, spec Spec) *graph.Node {
	full := v.full(name)
	r := v.reg
	if n, ok := r.nodes[full]; ok {
		if old := r.specs[full]; !slices.Equal(old.Dims, spec.Dims) || old.Layout != spec.Layout {
			panic(fmt.Errorf("variable %q is used as %v and as %v", full, old.Dims, spec.Dims))
		}
		if set, ok := r.sets[full]; ok {
			return set
		}
		return n
	}
	d := Decl{Name: full, Spec: spec}
	n := graph.Parameter(r.g, full, d.Shape())
	r.decls = append(r.decls, d)
	r.nodes[full], r.specs[full] = n, spec
	return n
}

// Set gives a declared variable a new value, which the engine stores after the whole run has succeeded. Later Gets
// in the same graph see the new value.
func (v *Vars) Set(name string, value *graph.Node) {
	full := v.full(name)
	n, ok := v.reg.nodes[full]
	if !ok {
		panic(fmt.Errorf("variable %q is set before it is declared", full))
	}
	if !n.Shape().Equal(value.Shape()) {
		panic(fmt.Errorf("variable %q of shape %s is set to a value of shape %s", full, n.Shape(), value.Shape()))
	}
	if _, again := v.reg.sets[full]; !again {
		v.reg.order = append(v.reg.order, full)
	}
	v.reg.sets[full] = value
}

// Decls returns the variables below this view, in order of first use.
func (v *Vars) Decls() []Decl {
	var out []Decl
	for _, d := range v.reg.decls {
		if v.prefix == "" || strings.HasPrefix(d.Name, v.prefix+".") {
			out = append(out, d)
		}
	}
	return out
}

// Node returns the graph parameter of a declared variable by its full name, as it was before any Set.
func (v *Vars) Node(full string) *graph.Node { return v.reg.nodes[full] }

// Updates returns the names that were Set, in order, with their new values.
func (v *Vars) Updates() (names []string, values []*graph.Node) {
	for _, n := range v.reg.order {
		names, values = append(names, n), append(values, v.reg.sets[n])
	}
	return names, values
}

// Materialise draws the starting values of variables. Each variable has its own random stream, keyed by its name:
// adding a layer does not move the start of the others.
func Materialise(decls []Decl, seed uint64) map[string][]float32 {
	out := make(map[string][]float32, len(decls))
	for _, d := range decls {
		out[d.Name] = d.Init.values(rng.New(seed, "init/"+d.Name), d.Dims, d.Layout)
	}
	return out
}

// FromFile fills variables from a file: take returns the array of a name with the shape it must have in the file's
// layout, and fails when it is absent or has another shape. The first failure does not stop the rest, so that a
// loader can report everything that is wrong at once; the errors are returned together.
func FromFile(decls []Decl, take func(name string, shape []int) ([]float32, error)) (map[string][]float32, []error) {
	out := make(map[string][]float32, len(decls))
	var errs []error
	for _, d := range decls {
		data, err := take(d.Name, d.Layout.FileDims(d.Dims))
		if err != nil {
			errs = append(errs, err)
			continue
		}
		out[d.Name] = d.Layout.FromFile(data, d.Dims)
	}
	return out, errs
}
