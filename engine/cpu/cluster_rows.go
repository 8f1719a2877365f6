package cpu

import (
	"fmt"

	"github.com/gomlx/compute"

	"github.com/smalti/smalti/engine/cpu/ir"
	"github.com/smalti/smalti/engine/cpu/kernel"
	"github.com/smalti/smalti/engine/cpu/pass"
)

// A row cluster (pass.Unit.Row > 0) is a program whose tiles are whole rows. Beside values with an element for each of the
// tile's it has values with a number for each row: what reductions give, and what is computed from that alone. A row is
// reduced by the kernel that reduces it in an operation of its own, so both ways give the same bits.

// foldOps are the reductions that row clusters hold.
var foldOps = map[compute.OpType]kernel.Op{compute.OpTypeReduceSum: kernel.Add, compute.OpTypeReduceMax: kernel.Max, compute.OpTypeReduceMin: kernel.Min}

// rowsSize is the number of elements of a unit's largest values.
func rowsSize(u *pass.Unit) int {
	size := 0
	for _, n := range u.Nodes {
		size = max(size, n.Size())
		if !pass.Elementwise(n) {
			size = n.In[0].Size()
			break
		}
	}
	return size
}

// again reports whether an equal operation on equal operands has been emitted, and if so takes its value: passes compute
// some values twice, which may end up in one cluster. Values in memory stay.
func (a *assembler) again(n *ir.Node) bool {
	key := fmt.Sprint(int(n.Op), n.Attr, n.Shape.DType, n.Size())
	for i := range n.In {
		v := pass.Operand(n, i)
		if m, ok := a.first[v.Node]; ok {
			v.Node = m
		}
		key += leafKey(v)
	}
	m, ok := a.known[key]
	if !ok {
		a.known[key] = n
		return false
	}
	if a.stored[n] {
		return false
	}
	a.first[n], a.value[n] = m, a.value[m]
	return true
}

// foldEach reduces each row of x.
func foldEach(k *kernel.Set, op kernel.Op, dst, x []float32, width int) {
	fold := k.Sum
	switch op {
	case kernel.Max:
		fold = k.Max
	case kernel.Min:
		fold = k.Min
	}
	for r := range dst {
		dst[r] = fold(x[r*width:][:width])
	}
}
