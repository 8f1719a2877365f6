package cpu

import (
	"fmt"
	"strings"

	"github.com/gomlx/compute"
	"github.com/gomlx/compute/dtypes"

	"github.com/smalti/smalti/engine/cpu/ir"
	"github.com/smalti/smalti/engine/cpu/kernel"
	"github.com/smalti/smalti/engine/cpu/pass"
)

// A cluster of elementwise operations is compiled to a program: instructions over registers that hold one tile of
// elements. Running it tile by tile keeps everything but the operands and results in the first-level cache.
//
// All values of a cluster have the same number of elements, in the same order, but in row clusters (cluster_rows.go). Operands
// may be smaller; leaf.go says how.

// tileLength is the usual number of elements of a tile: 4 KiB of float32.
const tileLength = 1024

// rowsLength is that of row clusters, which have more to do for each tile: a call for each number of a row. A tile, its
// result and the next tile, which arrives meanwhile, fit into 32 KiB.
const rowsLength = 2304

// code is the kind of an instruction.
type code uint8

const (
	cUnary         code = iota // dst = op a
	cBinary                    // dst = a op b
	cBinaryScalar              // dst = a op scalar b, or scalar b op a
	cBinaryRows                // the same, with b a number for each row of a
	cCompare                   // bool dst = a op b
	cCompareScalar             // bool dst = a op scalar b
	cSelect                    // dst = bool a ? b : c
	cAnd                       // bool dst = a && b, and so on
	cOr
	cXor
	cNot
	cSpread // dst = a, a number for each row, in every element of the row
	cReduce // dst = for each row of a the sum (op Add), the largest or the smallest

	// Made of several by fuse, with the same bits.
	cSumProduct   // dst = for each row the sum of a*b
	cSquaresAbout // dst = for each row the sum of (a-b)^2, b a number for each row
	cExpSum       // dst = e^(a-b), b a number for each row; c = for each row the sum of dst
	cScaleShift   // dst = a*b*c + d, b a number for each row
	cNormalise    // dst = (a-e)*b*c + d, b and e a number for each row
	cNone         // became part of another
)

// fusedNames are the names of the kernels that fuse chose, for profiles.
var fusedNames = map[code]string{cSumProduct: "SumProduct", cSquaresAbout: "SquaresAbout", cExpSum: "ExpSum", cScaleShift: "ScaleShift", cNormalise: "Normalise"}

// instr is an instruction. Operands are indices into the float32 values, the bool values or the scalars of the program, as
// its code says.
type instr struct {
	code       code
	op         kernel.Op
	dst        int
	a, b, c, d int
	e          int
	reversed   bool

	ahead        int // elements from a tile of a to the next; 0 where that is not in memory
	cStep, dStep int // from a row of c or d to the next; 0 where all rows are alike
}

// program is a compiled cluster.
type program struct {
	size   int
	row    int // length of the rows of a row cluster, else 0
	instrs []instr
	leaves []*leaf

	tiles tiling

	floats, bools []int // the values of each type: how many elements of the tile one of theirs stands for
	outs          []outValue
	regs          []int // float values that are registers (scratch), by value: index of the register or -1
	boolRegs      []int
	numRegs       int
	numBoolRegs   int
	scalars       int
	splats        []splat
	aliases       map[*ir.Node][]int // results -> slots of operands whose memory they may take over
	unit          *pass.Unit
	scratch       scratchList
}

// outValue is a result: a value that lives in the memory of a slot.
type outValue struct {
	node   *ir.Node
	value  int
	isBool bool
}

// splat is a register filled with a scalar, for instructions that take no scalars.
type splat struct{ value, scalar int }

var unaryOps = map[compute.OpType]kernel.Op{
	compute.OpTypeNeg: kernel.Neg, compute.OpTypeAbs: kernel.Abs, compute.OpTypeSqrt: kernel.Sqrt, compute.OpTypeRsqrt: kernel.Rsqrt,
	compute.OpTypeExp: kernel.Exp, compute.OpTypeExpm1: kernel.Expm1, compute.OpTypeLog: kernel.Log, compute.OpTypeLog1p: kernel.Log1p,
	compute.OpTypeTanh: kernel.Tanh, compute.OpTypeLogistic: kernel.Logistic, compute.OpTypeErf: kernel.Erf, compute.OpTypeSin: kernel.Sin,
	compute.OpTypeCos: kernel.Cos, compute.OpTypeFloor: kernel.Floor, compute.OpTypeCeil: kernel.Ceil, compute.OpTypeRound: kernel.Round,
	compute.OpTypeSign: kernel.Sign, ir.OpSwish: kernel.Swish, ir.OpQuickGELU: kernel.QuickGELU, ir.OpGELU: kernel.GELU,
}

var binaryOps = map[compute.OpType]kernel.Op{
	compute.OpTypeAdd: kernel.Add, compute.OpTypeSub: kernel.Sub, compute.OpTypeMul: kernel.Mul, compute.OpTypeDiv: kernel.Div,
	compute.OpTypeMax: kernel.Max, compute.OpTypeMin: kernel.Min, compute.OpTypePow: kernel.Pow,
	ir.OpSwishGrad: kernel.SwishGrad, ir.OpQuickGELUGrad: kernel.QuickGELUGrad, ir.OpGELUGrad: kernel.GELUGrad,
}

var compareOps = map[compute.OpType]kernel.Op{
	compute.OpTypeEqual: kernel.Eq, compute.OpTypeNotEqual: kernel.Ne, compute.OpTypeLessThan: kernel.Lt,
	compute.OpTypeLessOrEqual: kernel.Le, compute.OpTypeGreaterThan: kernel.Gt, compute.OpTypeGreaterOrEqual: kernel.Ge,
}

// swapped is the comparison with its operands exchanged.
var swapped = map[kernel.Op]kernel.Op{kernel.Eq: kernel.Eq, kernel.Ne: kernel.Ne, kernel.Lt: kernel.Gt, kernel.Le: kernel.Ge,
	kernel.Gt: kernel.Lt, kernel.Ge: kernel.Le}

// operand is a value as an instruction sees it: a tile, a scalar, or a number for each row of the tile.
type operand struct {
	scalar, rows bool
	index        int
}

// assembler builds a program.
type assembler struct {
	*program
	c       *compiler
	inside  map[*ir.Node]bool
	stored  map[*ir.Node]bool
	value   map[*ir.Node]int // float or bool value
	leafOf  map[string]operand
	consts  map[float32]int
	splatOf map[int]int
	spreads map[int]int
	known   map[string]*ir.Node // see again
	first   map[*ir.Node]*ir.Node
}

// newProgram compiles a cluster.
func newProgram(c *compiler, u *pass.Unit) *program {
	p := &program{size: rowsSize(u), row: u.Row, unit: u, aliases: map[*ir.Node][]int{}}
	a := &assembler{program: p, c: c, inside: map[*ir.Node]bool{}, stored: map[*ir.Node]bool{},
		value: map[*ir.Node]int{}, leafOf: map[string]operand{}, consts: map[float32]int{}, splatOf: map[int]int{}, spreads: map[int]int{},
		known: map[string]*ir.Node{}, first: map[*ir.Node]*ir.Node{}}
	for _, n := range u.Nodes {
		a.inside[n] = true
	}
	for _, n := range u.Out {
		a.stored[n] = true
	}
	a.tiling(u)
	for _, n := range u.Nodes {
		if !a.again(n) {
			a.emit(n)
		}
	}
	a.fuse()
	a.findAliases()
	a.allocate()
	return p
}

// tiling collects the operands and decides on the tiles.
func (a *assembler) tiling(u *pass.Unit) {
	for _, n := range u.Nodes {
		for i := range n.In {
			v := pass.Operand(n, i)
			if a.inside[v.Node] {
				continue
			}
			key := leafKey(v)
			if _, ok := a.leafOf[key]; ok {
				continue
			}
			l := newLeaf(v, a.c.slot(v.Node))
			l.each = a.each(product(v.Dims))
			a.leafOf[key] = operand{index: len(a.leaves)}
			a.leaves = append(a.leaves, l)
		}
	}
	a.tiles = chooseTiles(a.size, a.row, a.leaves)
	for _, l := range a.leaves {
		switch {
		case l.mode == modeScalar:
			l.value = a.scalars
			a.scalars++
		case l.mode == modeRows:
			l.value = a.newFloat(l.block)
		case l.isBool:
			l.value = a.newBool(l.each)
		default:
			l.value = a.newFloat(l.each)
		}
	}
}

func leafKey(v pass.View) string { return fmt.Sprint(v.Node.ID, v.Dims, v.Strides) }

// each is how many elements of a tile one element of a value with size elements stands for.
func (a *assembler) each(size int) int {
	if size == a.size {
		return 1
	}
	return a.row
}

func (a *assembler) newFloat(each int) int {
	a.floats = append(a.floats, each)
	return len(a.floats) - 1
}

func (a *assembler) newBool(each int) int {
	a.bools = append(a.bools, each)
	return len(a.bools) - 1
}

// get returns an operand of node n.
func (a *assembler) get(n *ir.Node, i int) operand {
	v := pass.Operand(n, i)
	if a.inside[v.Node] {
		return operand{index: a.value[v.Node], rows: v.Node.Size() != product(v.Dims)}
	}
	l := a.leaves[a.leafOf[leafKey(v)].index]
	return operand{scalar: l.mode == modeScalar, rows: l.mode == modeRows, index: l.value}
}

// tile returns an operand as a tile: a scalar through a splat register, numbers of rows spread out.
func (a *assembler) tile(o operand) int {
	if o.rows {
		return a.spread(o.index)
	}
	if !o.scalar {
		return o.index
	}
	if v, ok := a.splatOf[o.index]; ok {
		return v
	}
	v := a.newFloat(1)
	a.splatOf[o.index] = v
	a.splats = append(a.splats, splat{v, o.index})
	return v
}

// spread returns the tile in which each row holds its number.
func (a *assembler) spread(from int) int {
	if v, ok := a.spreads[from]; ok {
		return v
	}
	v := a.newFloat(1)
	a.instrs = append(a.instrs, instr{code: cSpread, dst: v, a: from})
	a.spreads[from] = v
	return v
}

// constant returns the scalar of a number.
func (a *assembler) constant(x float32) operand {
	i, ok := a.consts[x]
	if !ok {
		i = a.scalars
		a.scalars++
		a.consts[x] = i
		a.leaves = append(a.leaves, &leaf{mode: modeScalar, slot: -1, number: x, value: i})
	}
	return operand{scalar: true, index: i}
}

// emit appends the instruction of a node.
func (a *assembler) emit(n *ir.Node) {
	isBool := n.Shape.DType == dtypes.Bool
	var in instr
	switch {
	case n.Attr != nil && !pass.Elementwise(n):
		in = instr{code: cReduce, op: foldOps[n.Op], a: a.tile(a.get(n, 0))}
	case len(n.In) == 1 && unaryOps[n.Op] == 0 && n.Op != compute.OpTypeNeg:
		in = a.special(n)
	case len(n.In) == 1:
		in = instr{code: cUnary, op: unaryOps[n.Op], a: a.tile(a.get(n, 0))}
	case n.Op == compute.OpTypeWhere:
		in = instr{code: cSelect, a: a.get(n, 0).index, b: a.tile(a.get(n, 1)), c: a.tile(a.get(n, 2))}
	case n.Op == compute.OpTypeLogicalAnd:
		in = instr{code: cAnd, a: a.get(n, 0).index, b: a.get(n, 1).index}
	case n.Op == compute.OpTypeLogicalOr:
		in = instr{code: cOr, a: a.get(n, 0).index, b: a.get(n, 1).index}
	case n.Op == compute.OpTypeLogicalXor:
		in = instr{code: cXor, a: a.get(n, 0).index, b: a.get(n, 1).index}
	case isBool:
		in = a.compare(n)
	case n.Op == ir.OpMulRecip:
		in = a.arithmetic(kernel.Mul, a.get(n, 0), a.recip(a.get(n, 1)))
	default:
		in = a.arithmetic(binaryOps[n.Op], a.get(n, 0), a.get(n, 1))
	}
	a.finish(n, in)
}

// finish gives the instruction its result and appends it.
func (a *assembler) finish(n *ir.Node, in instr) {
	if n.Shape.DType == dtypes.Bool {
		in.dst = a.newBool(a.each(n.Size()))
	} else {
		in.dst = a.newFloat(a.each(n.Size()))
	}
	a.value[n] = in.dst
	a.instrs = append(a.instrs, in)
	if a.stored[n] {
		a.outs = append(a.outs, outValue{n, in.dst, n.Shape.DType == dtypes.Bool})
	}
}

func (a *assembler) special(n *ir.Node) instr {
	x := a.get(n, 0)
	switch {
	case n.Op == compute.OpTypeLogicalNot:
		return instr{code: cNot, a: x.index}
	case n.Shape.DType == dtypes.Bool: // x != 0
		return instr{code: cCompareScalar, op: kernel.Ne, a: a.tile(x), b: a.constant(0).index}
	case n.Op == compute.OpTypeConvertDType:
		return instr{code: cSelect, a: x.index, b: a.tile(a.constant(1)), c: a.tile(a.constant(0))}
	}
	panic(fmt.Errorf("%s in a cluster", n.Name()))
}

func (a *assembler) arithmetic(op kernel.Op, x, y operand) instr {
	switch {
	case y.scalar:
		return instr{code: cBinaryScalar, op: op, a: a.tile(x), b: y.index}
	case x.scalar:
		return instr{code: cBinaryScalar, op: op, a: a.tile(y), b: x.index, reversed: true}
	case y.rows:
		return instr{code: cBinaryRows, op: op, a: a.tile(x), b: y.index}
	case x.rows:
		return instr{code: cBinaryRows, op: op, a: y.index, b: x.index, reversed: true}
	}
	return instr{code: cBinary, op: op, a: a.tile(x), b: a.tile(y)}
}

func (a *assembler) compare(n *ir.Node) instr {
	op, x, y := compareOps[n.Op], a.get(n, 0), a.get(n, 1)
	switch {
	case y.scalar:
		return instr{code: cCompareScalar, op: op, a: a.tile(x), b: y.index}
	case x.scalar:
		return instr{code: cCompareScalar, op: swapped[op], a: a.tile(y), b: x.index}
	}
	return instr{code: cCompare, op: op, a: a.tile(x), b: a.tile(y)}
}

// reads calls f with the float and bool values that an instruction reads.
func (in *instr) reads(float, boolean func(v int)) {
	switch in.code {
	case cUnary, cBinaryScalar, cCompareScalar, cSpread, cReduce:
		float(in.a)
	case cBinary, cBinaryRows, cCompare, cSumProduct, cSquaresAbout, cExpSum:
		float(in.a)
		float(in.b)
	case cScaleShift, cNormalise:
		if in.code == cNormalise {
			float(in.e)
		}
		float(in.a)
		float(in.b)
		float(in.c)
		float(in.d)
	case cSelect:
		boolean(in.a)
		float(in.b)
		float(in.c)
	case cAnd, cOr, cXor:
		boolean(in.a)
		boolean(in.b)
	case cNot:
		boolean(in.a)
	}
}

// writesBool reports whether the result is of type bool.
func (in *instr) writesBool() bool {
	switch in.code {
	case cCompare, cCompareScalar, cAnd, cOr, cXor, cNot:
		return true
	}
	return false
}

// String lists the operations, for profiles.
func (p *program) String() string {
	names := make([]string, len(p.unit.Nodes))
	for i, n := range p.unit.Nodes {
		names[i] = n.Name()
	}
	fused := ""
	for _, in := range p.instrs {
		if name := fusedNames[in.code]; name != "" {
			fused += ", " + name
		}
	}
	return fmt.Sprintf("%v %s (%d leaves, %d outs%s)", p.unit.Nodes[0].Shape, strings.Join(names, " "), len(p.leaves), len(p.outs), fused)
}
