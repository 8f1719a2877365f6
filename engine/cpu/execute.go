package cpu

import (
	"strings"

	"github.com/gomlx/compute"
	"github.com/pkg/errors"

	"github.com/smalti/smalti/engine/cpu/ir"
)

// Execute runs the graph. Donated inputs are used up if the run succeeds, and stay as they were if it fails.
func (e *Executable) Execute(inputs []compute.Buffer, donate []bool, device compute.DeviceNum) ([]compute.Buffer, error) {
	if device != 0 {
		return nil, errors.Errorf("cpu: run %q: no device %d", e.name, device)
	}
	if len(donate) != 0 && len(donate) != len(inputs) {
		return nil, errors.Errorf("cpu: run %q: %d donations for %d inputs", e.name, len(donate), len(inputs))
	}
	bufs := make([]*Buffer, len(e.params))
	if err := e.check(bufs, inputs, func(*ir.Node) bool { return true }); err != nil {
		return nil, err
	}
	p := &Pending{e: e, bufs: bufs, donate: donate}
	p.begin()
	outs, err := p.step(e.thunks, func(outSlot) bool { return true })
	p.Drop()
	if err != nil {
		return nil, err
	}
	for i, b := range bufs {
		if len(donate) > 0 && donate[i] {
			_ = b.Finalize()
		}
	}
	return outs, nil
}

// Pending is a run that waits for the late parameters. It holds the memory of what is kept for them, but none of what a run
// needs besides. It is not safe for concurrent use; other runs of the executable may go on meanwhile.
type Pending struct {
	e      *Executable
	bufs   []*Buffer
	donate []bool
	f      *frame
	kept   []byte
	outs   []*Buffer
}

// Start runs what does not need the late parameters (LatePrefix): inputs are all others, in order. It returns the outputs
// that do not need them, in order. The inputs must stay as they are until Finish or Drop, one of which must follow.
func (e *Executable) Start(inputs []compute.Buffer) (*Pending, []compute.Buffer, error) {
	bufs := make([]*Buffer, len(e.params))
	if err := e.check(bufs, inputs, func(p *ir.Node) bool { return !isLate(p) }); err != nil {
		return nil, nil, err
	}
	p := &Pending{e: e, bufs: bufs}
	p.begin()
	outs, err := p.step(e.thunks[:e.late], func(o outSlot) bool { return !o.late })
	if err != nil {
		p.Drop()
		return nil, nil, err
	}
	return p, outs, nil
}

// Finish runs the rest with the late parameters, in order, and returns the outputs that need them, in order. The run
// ends with it, whether it succeeds or not.
func (p *Pending) Finish(late []compute.Buffer) ([]compute.Buffer, error) {
	defer p.Drop()
	if p.f == nil {
		return nil, errors.Errorf("cpu: run %q: it has ended already", p.e.name)
	}
	if err := p.e.check(p.bufs, late, isLate); err != nil {
		return nil, err
	}
	return p.step(p.e.thunks[p.e.late:], func(o outSlot) bool { return o.late })
}

// Drop ends the run. It may be called again.
func (p *Pending) Drop() {
	p.e.backend.memory.arenas.give(p.kept)
	if p.f != nil {
		for _, x := range p.f.used {
			if x != nil {
				x.unuse()
			}
		}
	}
	p.f, p.kept = nil, nil
}

func isLate(p *ir.Node) bool { return strings.HasPrefix(p.Attr.(ir.Parameter).Name, LatePrefix) }

// begin takes the memory of what is kept.
func (p *Pending) begin() {
	p.f = &frame{b: p.e.backend, slots: make([][]byte, len(p.e.slots)), inputs: make([]*Buffer, len(p.e.slots)),
		used: make([]*Buffer, len(p.e.slots))}
	if p.e.kept > 0 {
		p.kept = p.e.backend.memory.arenas.take(p.e.kept)
	}
	p.outs = make([]*Buffer, len(p.e.out))
}

// step runs some of the thunks and returns the outputs that which chooses.
func (p *Pending) step(thunks []thunk, which func(o outSlot) bool) ([]compute.Buffer, error) {
	e, m := p.e, &p.e.backend.memory
	arena := m.arenas.take(e.arena)
	for i, o := range e.out {
		if which(o) {
			p.outs[i] = e.backend.newBuffer(e.outputs[i].Shape)
		}
	}
	e.point(p.f, p.bufs, p.donate, arena, p.kept, p.outs)
	if err := e.run(p.f, thunks); err != nil { // a panic too has ended all workers' parts
		m.arenas.give(arena)
		for i, o := range e.out {
			if which(o) {
				_ = p.outs[i].Finalize()
			}
		}
		return nil, errors.WithMessagef(err, "cpu: run %q", e.name)
	}
	var results []compute.Buffer
	for i, o := range e.out {
		if !which(o) {
			continue
		}
		if o.copy {
			copy(p.outs[i].mem, p.f.slots[o.slot])
		}
		results = append(results, p.outs[i])
	}
	m.arenas.give(arena)
	return results, nil
}

// check puts the inputs for those parameters that which chooses into bufs.
func (e *Executable) check(bufs []*Buffer, inputs []compute.Buffer, which func(p *ir.Node) bool) error {
	if e.backend.IsFinalized() {
		return errors.Errorf("cpu: run %q: the backend is finalized", e.name)
	}
	n := 0
	for i, p := range e.params {
		if !which(p) {
			continue
		}
		if n < len(inputs) {
			b, err := e.input(inputs[n], p)
			if err != nil {
				return errors.WithMessagef(err, "cpu: run %q: input %d (%s)", e.name, i, p.Attr.(ir.Parameter).Name)
			}
			bufs[i] = b
		}
		n++
	}
	if len(inputs) != n {
		return errors.Errorf("cpu: run %q: %d inputs, want %d", e.name, len(inputs), n)
	}
	return nil
}

func (e *Executable) input(in compute.Buffer, p *ir.Node) (*Buffer, error) {
	b, ok := in.(*Buffer)
	if !ok || b == nil || b.backend != e.backend {
		return nil, errors.New("it is not a buffer of this backend")
	}
	if err := b.alive(); err != nil {
		return nil, err
	}
	if !b.shape.Equal(p.Shape) {
		return nil, errors.Errorf("it is %s, want %s", b.shape, p.Shape)
	}
	return b, nil
}
