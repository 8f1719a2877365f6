package cpu

import (
	"math"
	"sync"

	"github.com/smalti/smalti/engine/cpu/kernel"
)

// tileState is what one worker needs to run a program.
type tileState struct {
	floats  [][]float32 // by value
	bools   [][]bool
	scalars []float32
	regs    []float32
	boolBuf []bool
	n       int // length of the tile that the registers are cut to

	mem     [][]float32 // by leaf
	boolMem [][]bool
	out     [][]float32 // by result
	outBool [][]bool

	laid   []int    // by leaf: base of the pattern that is laid out, or -1
	filled []uint32 // by splat: bits of the scalar that fills it
	valid  []bool   // by splat
}

// scratchList keeps states between runs.
type scratchList struct {
	mu   sync.Mutex
	free []*tileState
}

func (p *program) state() *tileState {
	p.scratch.mu.Lock()
	defer p.scratch.mu.Unlock()
	if k := len(p.scratch.free); k > 0 {
		s := p.scratch.free[k-1]
		p.scratch.free = p.scratch.free[:k-1]
		return s
	}
	n := (p.tiles.length + 15) &^ 15
	return &tileState{
		floats: make([][]float32, len(p.floats)), bools: make([][]bool, len(p.bools)), scalars: make([]float32, p.scalars),
		regs: view[float32](allocate(4 * n * p.numRegs)), boolBuf: view[bool](allocate(n * p.numBoolRegs)),
		mem: make([][]float32, len(p.leaves)), boolMem: make([][]bool, len(p.leaves)),
		out: make([][]float32, len(p.outs)), outBool: make([][]bool, len(p.outs)),
		laid: make([]int, len(p.leaves)), filled: make([]uint32, len(p.splats)), valid: make([]bool, len(p.splats)),
	}
}

func (p *program) release(s *tileState) {
	for _, x := range [][][]float32{s.floats, s.mem, s.out} {
		clear(x)
	}
	for _, x := range [][][]bool{s.bools, s.boolMem, s.outBool} {
		clear(x)
	}
	p.scratch.mu.Lock()
	p.scratch.free = append(p.scratch.free, s)
	p.scratch.mu.Unlock()
}

// thunk returns the step that runs the program.
func (p *program) thunk(c *compiler) thunk {
	outs := make([]int, len(p.outs))
	for i, o := range p.outs {
		outs[i] = c.slot(o.node)
	}
	cost := 1 + len(p.instrs)
	grain := max(1, (32<<10)/(p.tiles.length*cost/4+1))
	name := "Cluster"
	if p.row > 0 {
		name = "Rows"
		grain *= 2 // many of the instructions are about a number for each row
	}
	return thunk{name: name, unit: name + " " + p.String(), work: float64(p.size * len(p.instrs)), run: func(f *frame) {
		f.b.pool.Run(p.tiles.count, grain, func(lo, hi int) {
			s := p.state()
			p.begin(s, f, outs)
			for t := lo; t < hi; t++ {
				p.bind(s, t)
				p.run(f.b.set, s)
			}
			p.release(s)
		})
	}}
}

// begin points a state at the memory of a run.
func (p *program) begin(s *tileState, f *frame, outs []int) {
	for i, l := range p.leaves {
		s.laid[i] = -1
		switch {
		case l.slot < 0:
			s.scalars[l.value] = l.number
		case l.isBool:
			s.boolMem[i] = view[bool](f.slots[l.slot])
		default:
			s.mem[i] = view[float32](f.slots[l.slot])
			if l.mode == modeScalar && l.outer == 0 {
				s.scalars[l.value] = s.mem[i][0]
			}
		}
	}
	for i, o := range p.outs {
		if o.isBool {
			s.outBool[i] = view[bool](f.slots[outs[i]])
		} else {
			s.out[i] = view[float32](f.slots[outs[i]])
		}
	}
	clear(s.valid)
	s.n = -1
}

// bind points the values of a state at tile t.
func (p *program) bind(s *tileState, t int) {
	off, n := p.tiles.tile(t)
	width := (p.tiles.length + 15) &^ 15
	if n != s.n {
		s.n = n
		for v, r := range p.regs {
			if r >= 0 {
				s.floats[v] = s.regs[r*width:][:n/p.floats[v]]
			}
		}
		for v, r := range p.boolRegs {
			if r >= 0 {
				s.bools[v] = s.boolBuf[r*width:][:n/p.bools[v]]
			}
		}
	}
	for i, l := range p.leaves {
		if l.slot < 0 {
			continue
		}
		off, n, length := off/l.each, n/l.each, p.tiles.length/l.each
		switch {
		case l.mode == modeScalar:
			if l.outer > 0 {
				s.scalars[l.value] = s.mem[i][l.base(off/l.block)]
			}
		case l.mode == modeRows:
			s.floats[l.value] = s.mem[i][off/l.block:][:n/l.block]
		case l.isBool:
			s.bools[l.value] = bindLeaf(l, s.bools[l.value], s.boolMem[i], off, n, &s.laid[i], s.boolBuf, p.boolRegs[l.value]*width, length)
		default:
			s.floats[l.value] = bindLeaf(l, s.floats[l.value], s.mem[i], off, n, &s.laid[i], s.regs, p.regs[l.value]*width, length)
		}
	}
	for i, x := range p.splats {
		v := s.scalars[x.scalar]
		if bits := math.Float32bits(v); !s.valid[i] || s.filled[i] != bits {
			full := s.regs[p.regs[x.value]*width:][:p.tiles.length]
			for j := range full {
				full[j] = v
			}
			s.valid[i], s.filled[i] = true, bits
		}
	}
	for i, o := range p.outs {
		if o.isBool {
			each := p.bools[o.value]
			s.bools[o.value] = s.outBool[i][off/each : (off+n)/each]
		} else {
			each := p.floats[o.value]
			s.floats[o.value] = s.out[i][off/each : (off+n)/each]
		}
	}
}

// bindLeaf returns the tile of an operand: a slice of its memory, or its register filled.
func bindLeaf[T any](l *leaf, reg, mem []T, off, n int, laid *int, buf []T, at, length int) []T {
	switch l.mode {
	case modeDirect:
		from := off
		if off >= l.period || l.outer > 0 {
			from = l.start(off) + off%l.period
		}
		return mem[from : from+n]
	case modeOneRow:
		base := l.start(off)
		return mem[base : base+l.period]
	case modePattern:
		if base := l.start(off); *laid != base {
			repeat(buf[at:at+length], mem[base:base+l.period])
			*laid = base
		}
		return reg
	}
	gather(reg, mem, l.dims, l.strides, off)
	return reg
}

// run runs the instructions on the bound tile.
func (p *program) run(k *kernel.Set, s *tileState) {
	for i := range p.instrs {
		in := &p.instrs[i]
		switch in.code {
		case cUnary:
			k.Unary(in.op, s.floats[in.dst], s.floats[in.a])
		case cBinary:
			k.Binary(in.op, s.floats[in.dst], s.floats[in.a], s.floats[in.b])
		case cBinaryScalar:
			k.BinaryScalar(in.op, s.floats[in.dst], s.floats[in.a], s.scalars[in.b], in.reversed)
		case cBinaryRows:
			width := p.floats[in.b]
			dst, x := s.floats[in.dst], s.floats[in.a]
			for r, y := range s.floats[in.b] {
				k.BinaryScalar(in.op, dst[r*width:(r+1)*width], x[r*width:(r+1)*width], y, in.reversed)
			}
		case cSpread:
			spread(s.floats[in.dst], s.floats[in.a], p.floats[in.a], 0)
		case cSumProduct, cSquaresAbout, cExpSum, cScaleShift, cNormalise:
			p.runFused(k, s, in)
		case cReduce:
			foldEach(k, in.op, s.floats[in.dst], s.floats[in.a], p.row)
		case cCompare:
			k.Compare(in.op, s.bools[in.dst], s.floats[in.a], s.floats[in.b])
		case cCompareScalar:
			k.CompareScalar(in.op, s.bools[in.dst], s.floats[in.a], s.scalars[in.b])
		case cSelect:
			k.Select(s.floats[in.dst], s.bools[in.a], s.floats[in.b], s.floats[in.c])
		default:
			logic(in.code, s.bools[in.dst], s.bools[in.a], s.bools[in.b])
		}
	}
}

// logic computes a boolean operation.
func logic(c code, dst, x, y []bool) {
	x = x[:len(dst)]
	switch c {
	case cNot:
		for i := range dst {
			dst[i] = !x[i]
		}
		return
	case cAnd:
		y = y[:len(dst)]
		for i := range dst {
			dst[i] = x[i] && y[i]
		}
	case cOr:
		y = y[:len(dst)]
		for i := range dst {
			dst[i] = x[i] || y[i]
		}
	case cXor:
		y = y[:len(dst)]
		for i := range dst {
			dst[i] = x[i] != y[i]
		}
	}
}
