package cpu

import (
	"fmt"

	"github.com/gomlx/compute"
	"github.com/gomlx/compute/dtypes"
	"github.com/gomlx/compute/shapes"
	"github.com/pkg/errors"

	"github.com/smalti/smalti/engine/cpu/ir"
)

// Functions beside the main one. Each has a graph of its own. A closure may use values of other functions of its builder: it
// gets an additional parameter for each, and the operation that uses the closure an additional operand. Calls are copied into
// their callers; loops, branches and sorts run the compiled closure.

// capture is a value of another function that a closure uses: inside it is a parameter.
type capture struct{ outer, inner *ir.Node }

// Closure returns a function without a name that may use values of others. GoMLX makes all closures, nested ones too, from the
// main function, so that whose values a closure may use is checked where the closure is used.
func (f *Function) Closure() (compute.Function, error) {
	if f.returned {
		return nil, errors.New("cpu: the function has returned already")
	}
	return f.builder.function("", f), nil
}

// capture returns the parameter that stands for a value of another function of the builder. Constants are copied.
func (f *Function) capture(n *ir.Node) (*ir.Node, error) {
	if f.parent == nil || f.builder.owner(n) == nil {
		return nil, errors.New("cpu: the value belongs to another function")
	}
	if c, ok := n.Attr.(*ir.Constant); ok {
		return f.constant(n.Shape, c.Bytes), nil
	}
	for _, c := range f.captures {
		if c.outer == n {
			return c.inner, nil
		}
	}
	in := f.g.AddUnique(compute.OpTypeParameter, n.Shape, ir.Parameter{Name: fmt.Sprintf("captured %d", len(f.captures))})
	f.captures = append(f.captures, capture{n, in})
	return in, nil
}

// addCaptures makes the captured values the last parameters.
func (f *Function) addCaptures() {
	f.declared = len(f.g.Params)
	for _, c := range f.captures {
		p := c.inner.Attr.(ir.Parameter)
		p.Index = len(f.g.Params)
		c.inner.Attr = p
		f.g.Params = append(f.g.Params, c.inner)
	}
}

// use checks that a function can be used by an operation of f and returns what it captured, as values of f.
func (f *Function) use(what string, g compute.Function) (*Function, []*ir.Node, error) {
	fn, ok := g.(*Function)
	switch {
	case !ok || fn == nil || fn.builder != f.builder:
		return nil, nil, errors.Errorf("cpu: %s is not a function of this builder", what)
	case !fn.returned:
		return nil, nil, errors.Errorf("cpu: %s has not returned", what)
	}
	var captured []*ir.Node
	for _, c := range fn.captures {
		n, err := f.node(c.outer)
		if err != nil {
			return nil, nil, errors.WithMessagef(err, "cpu: what %s captured", what)
		}
		captured = append(captured, n)
	}
	return fn, captured, nil
}

// takes checks the parameters of a function.
func (f *Function) takes(what string, want []shapes.Shape) error {
	if f.declared != len(want) {
		return errors.Errorf("cpu: %s takes %d values, want %d", what, f.declared, len(want))
	}
	for i, s := range want {
		if p := f.g.Params[i].Shape; !p.Equal(s) {
			return errors.Errorf("cpu: parameter %d of %s is %s, want %s", i, what, p, s)
		}
	}
	return nil
}

// returns checks the results of a function.
func (f *Function) returns(what string, want []shapes.Shape) error {
	if len(f.g.Outputs) != len(want) {
		return errors.Errorf("cpu: %s returns %d values, want %d", what, len(f.g.Outputs), len(want))
	}
	for i, s := range want {
		if o := f.g.Outputs[i].Shape; !o.Equal(s) {
			return errors.Errorf("cpu: result %d of %s is %s, want %s", i, what, o, s)
		}
	}
	return nil
}

func shapesOf(ns []*ir.Node) []shapes.Shape {
	ss := make([]shapes.Shape, len(ns))
	for i, n := range ns {
		ss[i] = n.Shape
	}
	return ss
}

// several records an operation with results of the given shapes: one value that holds them one after the other, and a part for
// each. A single result is the value itself.
func (f *Function) several(op compute.OpType, attr any, results []shapes.Shape, in []*ir.Node) []compute.Value {
	if len(results) == 1 {
		return []compute.Value{f.g.AddUnique(op, results[0], attr, in...)}
	}
	size := 0
	var offsets []int
	for _, s := range results {
		offsets = append(offsets, size)
		size += alignUp(int(s.ByteSize()))
	}
	all := f.g.AddUnique(op, shapes.Make(dtypes.Uint8, size), attr, in...)
	values := make([]compute.Value, len(results))
	for i, s := range results {
		values[i] = f.g.Add(ir.OpPart, s, ir.Part{Offset: offsets[i]}, all)
	}
	return values
}

// Call records a copy of a function's operations.
func (f *Function) Call(g compute.Function, inputs ...compute.Value) ([]compute.Value, error) {
	in, err := f.nodes(inputs...)
	if err != nil {
		return nil, err
	}
	fn, captured, err := f.use("the called function", g)
	if err != nil {
		return nil, err
	}
	if err := fn.takes("the called function", shapesOf(in)); err != nil {
		return nil, err
	}
	in = append(in, captured...)
	made := map[*ir.Node]*ir.Node{}
	for _, n := range fn.g.Live() {
		if p, ok := n.Attr.(ir.Parameter); ok && n.Op == compute.OpTypeParameter {
			made[n] = in[p.Index]
			continue
		}
		operands := make([]*ir.Node, len(n.In))
		for i, o := range n.In {
			operands[i] = made[o]
		}
		if n.Unique {
			made[n] = f.g.AddUnique(n.Op, n.Shape, n.Attr, operands...)
			continue
		}
		made[n] = f.g.Add(n.Op, n.Shape, n.Attr, operands...)
	}
	values := make([]compute.Value, len(fn.g.Outputs))
	for i, o := range fn.g.Outputs {
		values[i] = made[o]
	}
	return values, nil
}

// control is the attribute of a loop or a branch: its closures, and how many operands each of them captured.
type control struct {
	first, second *Function // condition and body, or the branches
	captured      int       // operands of first that were captured; those of second follow
	state         []shapes.Shape
}

// String is short: graphs are dumped one line an operation.
func (c *control) String() string { return fmt.Sprintf("%v", c.state) }

// While records a loop: body replaces the state as long as cond holds.
func (f *Function) While(cond, body compute.Function, initial ...compute.Value) ([]compute.Value, error) {
	state, err := f.nodes(initial...)
	if err != nil {
		return nil, err
	}
	if len(state) == 0 {
		return nil, errors.New("cpu: a loop without state")
	}
	c := &control{state: shapesOf(state)}
	first, in1, err := f.use("the condition", cond)
	if err != nil {
		return nil, err
	}
	second, in2, err := f.use("the body", body)
	if err != nil {
		return nil, err
	}
	for _, err := range []error{first.takes("the condition", c.state), first.returns("the condition", []shapes.Shape{shapes.Make(dtypes.Bool)}),
		second.takes("the body", c.state), second.returns("the body", c.state)} {
		if err != nil {
			return nil, err
		}
	}
	c.first, c.second, c.captured = first, second, len(in1)
	return f.several(compute.OpTypeWhile, c, c.state, append(append(state, in1...), in2...)), nil
}

// If records a branch: the results of one of two closures.
func (f *Function) If(pred compute.Value, onTrue, onFalse compute.Function) ([]compute.Value, error) {
	p, err := f.node(pred)
	if err != nil {
		return nil, err
	}
	if !p.Shape.IsScalar() || p.Shape.DType != dtypes.Bool {
		return nil, errors.Errorf("cpu: a branch on %s, want a boolean", p.Shape)
	}
	first, in1, err := f.use("the true branch", onTrue)
	if err != nil {
		return nil, err
	}
	second, in2, err := f.use("the false branch", onFalse)
	if err != nil {
		return nil, err
	}
	results := shapesOf(first.g.Outputs)
	for _, err := range []error{first.takes("the true branch", nil), second.takes("the false branch", nil), second.returns("the false branch", results)} {
		if err != nil {
			return nil, err
		}
	}
	c := &control{first: first, second: second, captured: len(in1), state: results}
	return f.several(compute.OpTypeIf, c, results, append(append([]*ir.Node{p}, in1...), in2...)), nil
}
