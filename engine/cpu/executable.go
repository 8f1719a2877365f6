package cpu

import (
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
	late   int       // first thunk that needs late parameters
	arena  int       // bytes of what lives before or after the late parameters come
	kept   int       // bytes of what lives across
	memory Memory
}

// slotKind says where the memory of a value comes from.
type slotKind uint8

const (
	inArena slotKind = iota
	isParam
	isConst
	isOutput
	isKept
)

type slot struct {
	kind   slotKind
	index  int // of the parameter or output, or the offset in its arena
	bytes  int
	data   []byte // of a constant
	packed bool   // a parameter that is read in packed form alone
}

// outSlot says where an output is found after a run: in memory of its own, or copied from another slot.
type outSlot struct {
	slot int
	copy bool
	late bool // needs late parameters
}

// frame is one run: the memory of every slot.
type frame struct {
	b      *Backend
	slots  [][]byte
	inputs []*Buffer // by slot: the buffer behind it if it is an input that is not donated, else nil
	used   []*Buffer // by slot: the buffer in use
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

// point gives the slots of a frame their memory, as far as it is there: that of inputs which are not nil, of outs that are
// not nil, and of arenas.
func (e *Executable) point(f *frame, bufs []*Buffer, donate []bool, arena, kept []byte, outs []*Buffer) {
	for i, s := range e.slots {
		switch {
		case s.kind == inArena && arena != nil:
			f.slots[i] = arena[s.index : s.index+s.bytes : s.index+s.bytes]
		case s.kind == isKept && kept != nil:
			f.slots[i] = kept[s.index : s.index+s.bytes : s.index+s.bytes]
		case s.kind == isParam && bufs[s.index] != nil:
			donated := len(donate) > 0 && donate[s.index]
			if f.used[i] == nil {
				f.used[i] = bufs[s.index]
				f.slots[i] = bufs[s.index].use(s.packed && !donated)
			}
			if !donated {
				f.inputs[i] = bufs[s.index]
			}
		case s.kind == isConst:
			f.slots[i] = s.data
		case s.kind == isOutput && outs[s.index] != nil:
			f.slots[i] = outs[s.index].mem
		}
	}
}

// run runs thunks one after the other; a panic in one becomes an error that names it.
func (e *Executable) run(f *frame, thunks []thunk) error {
	at := 0
	profile := e.backend.profiling()
	if e.inner {
		profile = nil
	}
	err := protect(func() error {
		for i := range thunks {
			if at = i; profile != nil {
				profile.time(&thunks[i], f)
			} else {
				thunks[i].run(f)
			}
		}
		return nil
	})
	if err != nil {
		return errors.WithMessagef(err, "operation %s", thunks[at].name)
	}
	return nil
}
