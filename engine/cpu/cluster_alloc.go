package cpu

import (
	"slices"

	"github.com/smalti/smalti/engine/cpu/ir"
)

// Where the values of a cluster live: in the memory of operands and results, or in registers that are shared.

// findAliases finds the operands whose memory a result may take over: read in full and in order, once only, and not
// after the result is written.
func (a *assembler) findAliases() {
	lastRead := make([]int, len(a.floats))
	for i := range a.instrs {
		a.instrs[i].reads(func(v int) { lastRead[v] = i }, func(int) {})
	}
	readers := map[int]int{}
	for _, l := range a.leaves {
		readers[l.slot]++
	}
	for _, o := range a.outs {
		if o.isBool {
			continue
		}
		written := slices.IndexFunc(a.instrs, func(in instr) bool { return !in.writesBool() && in.dst == o.value })
		for _, l := range a.leaves {
			if l.mode == modeDirect && !l.isBool && l.full(a.size/l.each) && readers[l.slot] == 1 && lastRead[l.value] <= written {
				a.aliases[o.node] = append(a.aliases[o.node], l.slot)
			}
		}
	}
}

// inPlace returns the slots whose memory the result n may take over.
func (p *program) inPlace(n *ir.Node) []int { return p.aliases[n] }

// allocate gives registers to the values that live only inside a tile: linear scan over the instructions.
func (a *assembler) allocate() {
	p := a.program
	fixed := func(n int) []int {
		r := make([]int, n)
		for i := range r {
			r[i] = -2 // not decided
		}
		return r
	}
	p.regs, p.boolRegs = fixed(len(p.floats)), fixed(len(p.bools))
	lastF, lastB := make([]int, len(p.floats)), make([]int, len(p.bools))
	for i := range p.instrs {
		p.instrs[i].reads(func(v int) { lastF[v] = i }, func(v int) { lastB[v] = i })
	}
	for _, l := range p.leaves {
		switch {
		case l.mode == modeScalar:
		case l.mode == modeDirect && l.isBool:
			p.boolRegs[l.value] = -1
		case l.mode == modeDirect || l.mode == modeRows || l.mode == modeOneRow:
			p.regs[l.value] = -1
		case l.isBool:
			p.boolRegs[l.value] = p.numBoolRegs
			p.numBoolRegs++
			lastB[l.value] = len(p.instrs)
		default: // patterns and gathered tiles keep their registers: patterns survive from tile to tile
			p.regs[l.value] = p.numRegs
			p.numRegs++
			lastF[l.value] = len(p.instrs)
		}
	}
	for _, s := range p.splats {
		p.regs[s.value] = p.numRegs
		p.numRegs++
		lastF[s.value] = len(p.instrs)
	}
	for _, o := range p.outs {
		if o.isBool {
			p.boolRegs[o.value] = -1
		} else {
			p.regs[o.value] = -1
		}
	}
	var freeF, freeB []int
	for i := range p.instrs {
		in := &p.instrs[i]
		switch in.code {
		case cSpread, cBinaryRows, cScaleShift, cNormalise: // the numbers of rows are read while the result is written
			freeF = assign(freeF, &p.regs[in.dst], &p.numRegs)
		case cExpSum:
			freeF = assign(freeF, &p.regs[in.dst], &p.numRegs)
			freeF = assign(freeF, &p.regs[in.c], &p.numRegs)
		}
		in.reads(func(v int) { freeF = retire(freeF, p.regs[v], lastF[v], i) }, func(v int) { freeB = retire(freeB, p.boolRegs[v], lastB[v], i) })
		if in.writesBool() {
			freeB = assign(freeB, &p.boolRegs[in.dst], &p.numBoolRegs)
		} else {
			freeF = assign(freeF, &p.regs[in.dst], &p.numRegs)
		}
	}
}

// retire frees a register after its last use.
func retire(free []int, reg, last, at int) []int {
	if reg >= 0 && last == at && !slices.Contains(free, reg) {
		return append(free, reg)
	}
	return free
}

// assign gives a value without a place a register.
func assign(free []int, reg *int, num *int) []int {
	if *reg != -2 {
		return free
	}
	if k := len(free); k > 0 {
		*reg = free[k-1]
		return free[:k-1]
	}
	*reg = *num
	*num++
	return free
}
