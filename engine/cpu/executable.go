package cpu

import (
	"github.com/gomlx/compute"
	"github.com/gomlx/compute/shapes"
	"github.com/pkg/errors"

	"github.com/smalti/smalti/engine/cpu/ir"
)

// Executable is a compiled graph. It is safe for concurrent use.
type Executable struct {
	backend *Backend
	name    string
	params  []*ir.Node
	outputs []*ir.Node

	inner  bool // of a closure: profiles have the operation that runs it
	thunks []thunk
	slots  []slot
	out    []outSlot // by output
	arena  int       // bytes
	memory Memory
}

// slotKind says where the memory of a value comes from.
type slotKind uint8

const (
	inArena slotKind = iota
	isParam
	isConst
	isOutput
)

type slot struct {
	kind  slotKind
	index int // of the parameter or output, or the offset in the arena
	bytes int
	data  []byte // of a constant
}

// outSlot says where an output is found after a run: in memory of its own, or copied from another slot.
type outSlot struct {
	slot int
	copy bool
}

// frame is one run: the memory of every slot.
type frame struct {
	b      *Backend
	slots  [][]byte
	inputs []*Buffer // by slot: the buffer behind it if it is an input that is not donated, else nil
}

// thunk is one step of a run.
type thunk struct {
	name string
	unit string // what it computes, for profiles
	run  func(f *frame)
	work float64 // operations, for profiles: multiply-adds count two; 0 when unknown
}

// Finalize does nothing: an executable holds no memory between runs.
func (e *Executable) Finalize() {}

// Inputs implements compute.Executable.
func (e *Executable) Inputs() (names []string, inputShapes []shapes.Shape) {
	for _, p := range e.params {
		names = append(names, p.Attr.(ir.Parameter).Name)
		inputShapes = append(inputShapes, p.Shape)
	}
	return names, inputShapes
}

// Outputs implements compute.Executable.
func (e *Executable) Outputs() []shapes.Shape {
	ss := make([]shapes.Shape, len(e.outputs))
	for i, o := range e.outputs {
		ss[i] = o.Shape
	}
	return ss
}

// Execute runs the graph. Donated inputs are used up if the run succeeds, and stay as they were if it fails.
func (e *Executable) Execute(inputs []compute.Buffer, donate []bool, device compute.DeviceNum) ([]compute.Buffer, error) {
	bufs, err := e.check(inputs, donate, device)
	if err != nil {
		return nil, errors.WithMessagef(err, "cpu: run %q", e.name)
	}
	arena := e.backend.memory.arenas.take(e.arena)
	outs := make([]*Buffer, len(e.outputs))
	for i, o := range e.outputs {
		outs[i] = e.backend.newBuffer(o.Shape)
	}
	f := e.frame(bufs, donate, arena, outs)
	if err := e.run(f); err != nil {
		for _, o := range outs {
			_ = o.Finalize()
		}
		return nil, errors.WithMessagef(err, "cpu: run %q", e.name)
	}
	for i, o := range e.out {
		if o.copy {
			copy(outs[i].mem, f.slots[o.slot])
		}
	}
	e.backend.memory.arenas.give(arena)
	for i, b := range bufs {
		if len(donate) > 0 && donate[i] {
			_ = b.Finalize()
		}
	}
	results := make([]compute.Buffer, len(outs))
	for i, o := range outs {
		results[i] = o
	}
	return results, nil
}

func (e *Executable) check(inputs []compute.Buffer, donate []bool, device compute.DeviceNum) ([]*Buffer, error) {
	if e.backend.IsFinalized() {
		return nil, errors.New("the backend is finalized")
	}
	if device != 0 {
		return nil, errors.Errorf("no device %d", device)
	}
	if len(inputs) != len(e.params) {
		return nil, errors.Errorf("%d inputs, want %d", len(inputs), len(e.params))
	}
	if len(donate) != 0 && len(donate) != len(inputs) {
		return nil, errors.Errorf("%d donations for %d inputs", len(donate), len(inputs))
	}
	bufs := make([]*Buffer, len(inputs))
	for i, in := range inputs {
		b, ok := in.(*Buffer)
		if !ok || b == nil || b.backend != e.backend {
			return nil, errors.Errorf("input %d is not a buffer of this backend", i)
		}
		if err := b.alive(); err != nil {
			return nil, errors.WithMessagef(err, "input %d", i)
		}
		if !b.shape.Equal(e.params[i].Shape) {
			return nil, errors.Errorf("input %d (%s) is %s, want %s", i, e.params[i].Attr.(ir.Parameter).Name, b.shape, e.params[i].Shape)
		}
		bufs[i] = b
	}
	return bufs, nil
}

func (e *Executable) frame(bufs []*Buffer, donate []bool, arena []byte, outs []*Buffer) *frame {
	f := &frame{b: e.backend, slots: make([][]byte, len(e.slots)), inputs: make([]*Buffer, len(e.slots))}
	for i, s := range e.slots {
		switch s.kind {
		case inArena:
			f.slots[i] = arena[s.index : s.index+s.bytes : s.index+s.bytes]
		case isParam:
			f.slots[i] = bufs[s.index].mem
			if len(donate) == 0 || !donate[s.index] {
				f.inputs[i] = bufs[s.index]
			}
		case isConst:
			f.slots[i] = s.data
		case isOutput:
			f.slots[i] = outs[s.index].mem
		}
	}
	return f
}

// run runs the thunks one after the other; a panic in one becomes an error that names it.
func (e *Executable) run(f *frame) error {
	at := 0
	profile := e.backend.profiling()
	if e.inner {
		profile = nil
	}
	err := protect(func() error {
		if profile != nil {
			for i := range e.thunks {
				at = i
				profile.time(&e.thunks[i], f)
			}
			return nil
		}
		for i := range e.thunks {
			at = i
			e.thunks[i].run(f)
		}
		return nil
	})
	if err != nil {
		return errors.WithMessagef(err, "operation %s", e.thunks[at].name)
	}
	return nil
}
