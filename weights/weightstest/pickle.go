package weightstest

import (
	"encoding/binary"
	"fmt"
	"strings"

	"github.com/smalti/smalti/weights"
)

// Pickle builds a pickle of protocol 2 operation by operation. Methods return the receiver, for chains.
type Pickle struct {
	buf  []byte
	memo map[string]uint32
}

// NewPickle begins a pickle.
func NewPickle() *Pickle { return &Pickle{buf: []byte{0x80, 2}, memo: make(map[string]uint32)} }

// Bytes ends the pickle.
func (p *Pickle) Bytes() []byte { return append(p.buf, '.') }

// Op appends operations, and whatever belongs to them, as they are.
func (p *Pickle) Op(ops string) *Pickle {
	p.buf = append(p.buf, ops...)
	return p
}

// Str pushes a string, through the memo when it was there before.
func (p *Pickle) Str(s string) *Pickle {
	return p.memoized("s"+s, func() {
		p.buf = append(binary.LittleEndian.AppendUint32(append(p.buf, 'X'), uint32(len(s))), s...)
	})
}

// Global pushes a class or function, through the memo when it was there before.
func (p *Pickle) Global(module, name string) *Pickle {
	return p.memoized("g"+module+"\n"+name, func() { p.Op("c" + module + "\n" + name + "\n") })
}

func (p *Pickle) memoized(key string, push func()) *Pickle {
	i, ok := p.memo[key]
	if !ok {
		i = uint32(len(p.memo))
		p.memo[key] = i
		push()
	}
	switch {
	case ok && i < 256:
		p.buf = append(p.buf, 'h', byte(i))
	case ok:
		p.buf = binary.LittleEndian.AppendUint32(append(p.buf, 'j'), i)
	case i < 256:
		p.buf = append(p.buf, 'q', byte(i))
	default:
		p.buf = binary.LittleEndian.AppendUint32(append(p.buf, 'r'), i)
	}
	return p
}

// Int pushes an integer.
func (p *Pickle) Int(n int) *Pickle {
	switch {
	case n >= 0 && n < 1<<8:
		p.buf = append(p.buf, 'K', byte(n))
	case n >= 0 && n < 1<<16:
		p.buf = binary.LittleEndian.AppendUint16(append(p.buf, 'M'), uint16(n))
	case int(int32(n)) == n:
		p.buf = binary.LittleEndian.AppendUint32(append(p.buf, 'J'), uint32(n))
	default:
		p.buf = binary.LittleEndian.AppendUint64(append(p.buf, 0x8a, 8), uint64(n))
	}
	return p
}

// Ints pushes a tuple of integers.
func (p *Pickle) Ints(ns []int) *Pickle {
	p.Op("(")
	for _, n := range ns {
		p.Int(n)
	}
	return p.Op("t")
}

// OrderedDict pushes an empty collections.OrderedDict.
func (p *Pickle) OrderedDict() *Pickle { return p.Global("collections", "OrderedDict").Op(")R") }

// torchClass returns the name of torch's storage class for an element type.
func torchClass(d weights.DType) string {
	switch d {
	case weights.F64:
		return "DoubleStorage"
	case weights.F16:
		return "HalfStorage"
	case weights.BF16:
		return "BFloat16Storage"
	case weights.I64:
		return "LongStorage"
	case weights.I32:
		return "IntStorage"
	case weights.I16:
		return "ShortStorage"
	case weights.I8:
		return "CharStorage"
	case weights.U8:
		return "ByteStorage"
	case weights.Bool:
		return "BoolStorage"
	}
	return "FloatStorage"
}

// rowMajor returns the strides of a contiguous tensor.
func rowMajor(shape []int) []int {
	strides := make([]int, len(shape))
	step := 1
	for i := len(shape) - 1; i >= 0; i-- {
		strides[i] = step
		step *= shape[i]
	}
	return strides
}

// tensor pushes a tensor that refers to a storage by key. Legacy files have a sixth part in the reference.
func (p *Pickle) tensor(t Tensor, s *storage, legacy bool) *Pickle {
	if t.Parameter {
		p.Global("torch._utils", "_rebuild_parameter").Op("(")
	}
	strides := t.Strides
	if strides == nil {
		strides = rowMajor(t.Shape)
	}
	p.Global("torch._utils", "_rebuild_tensor_v2").Op("((")
	p.Str("storage").Global("torch", torchClass(s.dtype)).Str(s.key).Str("cpu").Int(s.n)
	if legacy {
		p.Op("N")
	}
	p.Op("tQ").Int(t.Offset).Ints(t.Shape).Ints(strides).Op("\x89").OrderedDict().Op("tR")
	if t.Parameter {
		p.Op("\x88").OrderedDict().Op("tR")
	}
	return p
}

// stateDict pushes an OrderedDict of tensors with the attribute _metadata that torch gives it.
func (p *Pickle) stateDict(ts []Tensor, of []*storage, legacy bool) *Pickle {
	p.OrderedDict().Op("(")
	for i, t := range ts {
		p.Str(t.Name).tensor(t, of[i], legacy)
	}
	return p.Op("u}").Str("_metadata").OrderedDict().Op("sb")
}

// lightning pushes a PyTorch-Lightning checkpoint: a class as a key, tensors outside the state_dict, and odd values.
func (p *Pickle) lightning(ts []Tensor, of []*storage) *Pickle {
	first := func() {
		if len(ts) > 0 {
			p.tensor(ts[0], of[0], false)
		} else {
			p.Op("N")
		}
	}
	p.Op("}(").Str("epoch").Int(12).Str("global_step").Int(123456).Str("pytorch-lightning_version").Str("1.4.2")
	p.Str("callbacks").Op("}").Global("pytorch_lightning.callbacks.model_checkpoint", "ModelCheckpoint")
	p.Op("}(").Str("monitor").Str("val/loss").Str("best_model_score")
	first()
	p.Op("us")
	p.Str("hyper_parameters").Global("argparse", "Namespace").Op(")\x81}").Str("lr").Op("G\x3f\x50\x62\x4d\xd2\xf1\xa9\xfcsb")
	p.Str("optimizer_states").Op("]}(").Str("state").Op("}").Int(0).Op("}").Str("exp_avg")
	first()
	p.Op("ss").Str("param_groups").Op("]ua").Str("lr_schedulers").Op("]")
	return p.Str("state_dict").stateDict(ts, of, false).Op("u")
}

// module is a node of the tree that dotted names span.
type module struct {
	names    []string // attributes in order of first use
	children map[string]*module
	tensors  map[string]int
}

func moduleTree(ts []Tensor) (*module, error) {
	root := &module{}
	for i, t := range ts {
		at := root
		parts := strings.Split(t.Name, ".")
		for _, part := range parts[:len(parts)-1] {
			at = at.child(part)
		}
		last := parts[len(parts)-1]
		if _, ok := at.children[last]; ok {
			return nil, fmt.Errorf("tensor %s is a module as well", t.Name)
		}
		if at.tensors == nil {
			at.tensors = make(map[string]int)
		}
		at.tensors[last] = i
		at.names = append(at.names, last)
	}
	return root, nil
}

func (m *module) child(name string) *module {
	if m.children == nil {
		m.children = make(map[string]*module)
	}
	c := m.children[name]
	if c == nil {
		c = &module{}
		m.children[name] = c
		m.names = append(m.names, name)
	}
	return c
}

// script pushes a module as torch.jit.save does: an object of a class under __torch__ whose state has all attributes.
func (p *Pickle) script(m *module, path string, ts []Tensor, of []*storage) *Pickle {
	p.Global("__torch__"+path, "Module").Op(")\x81}(").Str("training").Op("\x89")
	for _, name := range m.names {
		p.Str(name)
		if c := m.children[name]; c != nil {
			p.script(c, path+"."+name, ts, of)
		} else {
			i := m.tensors[name]
			p.tensor(ts[i], of[i], false)
		}
	}
	return p.Str("_is_full_backward_hook").Op("Nub")
}
