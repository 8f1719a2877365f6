package cpu

import (
	"github.com/gomlx/compute/shapes"

	"github.com/smalti/smalti/engine/cpu/ir"
)

// band is one band of an ir.Bands, compiled.
type band struct {
	e      *Executable
	in     []bandIn
	lo, hi int // bytes of the result
}

// bandIn is what a band reads of a slot.
type bandIn struct {
	slot   int
	shape  shapes.Shape
	lo, hi int // bytes; hi is 0 for all
}

// makeBands computes a value band by band. What a band has between its operands and its part of the value lies in an arena
// of its own, which all bands use one after the other.
func makeBands(c *compiler, n *ir.Node) (func(f *frame), float64, error) {
	a := n.Attr.(*ir.Bands)
	compiled := map[*ir.Graph]*Executable{}
	bands := make([]band, len(a.Bands))
	var work float64
	for i, from := range a.Bands {
		e := compiled[from.Graph]
		if e == nil {
			var err error
			if e, err = assemble(c.b, c.e.name+" band", from.Graph); err != nil {
				return nil, 0, err
			}
			e.inner = true
			c.bands = max(c.bands, e.memory.Arena)
			compiled[from.Graph] = e
		}
		size := n.Shape.DType.Size()
		bands[i] = band{e: e, lo: from.Lo * size, hi: from.Hi * size}
		for k, in := range from.In {
			shape := from.Graph.Params[k].Shape
			size := shape.DType.Size()
			bands[i].in = append(bands[i].in, bandIn{c.slot(n.In[in.Operand]), shape, in.Lo * size, in.Hi * size})
		}
		for _, t := range e.thunks {
			work += t.work
		}
	}
	dst := c.slot(n)
	return func(f *frame) {
		for i := range bands {
			if err := bands[i].run(f, f.slots[dst]); err != nil {
				panic(err)
			}
		}
	}, work, nil
}

// run computes the band's part of dst.
func (b *band) run(f *frame, dst []byte) error {
	bufs := make([]*Buffer, len(b.in))
	for i, in := range b.in {
		switch {
		case in.hi > 0:
			bufs[i] = &Buffer{backend: f.b, shape: in.shape, mem: f.slots[in.slot][in.lo:in.hi:in.hi]}
		case f.inputs[in.slot] != nil:
			bufs[i] = f.inputs[in.slot] // with what was packed for it
		default:
			bufs[i] = &Buffer{backend: f.b, shape: in.shape, mem: f.slots[in.slot]}
		}
	}
	p := &Pending{e: b.e, bufs: bufs}
	p.begin()
	defer p.Drop()
	return p.into(dst[b.lo:b.hi:b.hi])
}

// into runs an executable of one result that writes into memory.
func (p *Pending) into(dst []byte) error {
	e, m := p.e, &p.e.backend.memory
	p.outs[0] = &Buffer{backend: e.backend, shape: e.outputs[0].Shape, mem: dst}
	arena := m.arenas.take(e.arena)
	defer m.arenas.give(arena)
	e.point(p.f, p.bufs, nil, arena, nil, p.outs)
	if err := e.run(p.f, e.thunks); err != nil {
		return err
	}
	if o := e.out[0]; o.copy {
		copy(dst, p.f.slots[o.slot])
	}
	return nil
}
