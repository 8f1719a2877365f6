package cpu

import (
	"github.com/gomlx/compute"
	"github.com/gomlx/compute/shapes"

	"github.com/smalti/smalti/engine/cpu/ir"
)

// executable compiles a closure, once however many operations use it.
func (f *Function) executable() (*Executable, error) {
	if f.exe == nil {
		e, err := compile(f.builder.backend, f.builder.name+" closure", f.g)
		if err != nil {
			return nil, err
		}
		e.inner = true
		f.exe = e
	}
	return f.exe, nil
}

// passed is where an operand of an operation that runs closures is found.
type passed struct {
	slot  int
	shape shapes.Shape
}

func (c *compiler) operands(ns []*ir.Node) []passed {
	out := make([]passed, len(ns))
	for i, n := range ns {
		out[i] = passed{c.slot(n), n.Shape}
	}
	return out
}

// borrow makes buffers of operands' memory for runs of closures. They are not finalized: the memory belongs to the frame.
func (f *frame) borrow(os []passed) []compute.Buffer {
	bufs := make([]compute.Buffer, len(os))
	for i, o := range os {
		if b := f.inputs[o.slot]; b != nil {
			bufs[i] = b // with what was packed for it
			continue
		}
		bufs[i] = &Buffer{backend: f.b, shape: o.shape, mem: f.slots[o.slot]}
	}
	return bufs
}

// call runs a closure. Its inputs stay.
func (e *Executable) call(in []compute.Buffer) []compute.Buffer {
	out, err := e.Execute(in, nil, 0)
	if err != nil {
		panic(err)
	}
	return out
}

func release(bufs []compute.Buffer) {
	for _, b := range bufs {
		_ = b.Finalize()
	}
}

// store copies results to where several laid them out.
func store(dst []byte, bufs []compute.Buffer) {
	at := 0
	for _, b := range bufs {
		at += alignUp(copy(dst[at:], b.(*Buffer).mem))
	}
}

func makePart(c *compiler, n *ir.Node) (func(f *frame), float64, error) {
	dst, src, from := c.slot(n), c.slot(n.In[0]), n.Attr.(ir.Part).Offset
	return func(f *frame) { copy(f.slots[dst], f.slots[src][from:]) }, float64(n.Size()), nil
}

func (c *compiler) closures(n *ir.Node) (a *control, first, second *Executable, err error) {
	a = n.Attr.(*control)
	if first, err = a.first.executable(); err != nil {
		return nil, nil, nil, err
	}
	second, err = a.second.executable()
	return a, first, second, err
}

func makeWhile(c *compiler, n *ir.Node) (func(f *frame), float64, error) {
	a, cond, body, err := c.closures(n)
	if err != nil {
		return nil, 0, err
	}
	k := len(a.state)
	initial, in1, in2 := c.operands(n.In[:k]), c.operands(n.In[k:k+a.captured]), c.operands(n.In[k+a.captured:])
	dst := c.slot(n)
	return func(f *frame) {
		state, captured1, captured2 := f.borrow(initial), f.borrow(in1), f.borrow(in2)
		var own []compute.Buffer // the state, when it is not the initial one
		defer func() { release(own) }()
		for {
			out := cond.call(append(append([]compute.Buffer(nil), state...), captured1...))
			again := out[0].(*Buffer).mem[0] != 0
			release(out)
			if !again {
				break
			}
			next := body.call(append(append([]compute.Buffer(nil), state...), captured2...))
			release(own)
			state, own = next, next
		}
		store(f.slots[dst], state)
	}, 0, nil
}

func makeIf(c *compiler, n *ir.Node) (func(f *frame), float64, error) {
	a, onTrue, onFalse, err := c.closures(n)
	if err != nil {
		return nil, 0, err
	}
	pred, in1, in2 := c.slot(n.In[0]), c.operands(n.In[1:1+a.captured]), c.operands(n.In[1+a.captured:])
	dst := c.slot(n)
	return func(f *frame) {
		e, in := onFalse, in2
		if f.slots[pred][0] != 0 {
			e, in = onTrue, in1
		}
		out := e.call(f.borrow(in))
		store(f.slots[dst], out)
		release(out)
	}, 0, nil
}
