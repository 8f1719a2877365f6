package cpu

import (
	"github.com/gomlx/compute"
	"github.com/gomlx/compute/dtypes"

	"github.com/smalti/smalti/engine/cpu/ir"
	"github.com/smalti/smalti/engine/cpu/pass"
)

// fuse is where several nodes of a cluster become one instruction.
func (a *assembler) fuse(u *pass.Unit) {
	_ = u
}

// inner returns the node that operand i of n reads if it is one of the cluster of operation op that nothing else reads.
func (a *assembler) inner(n *ir.Node, i int, op compute.OpType) *ir.Node {
	v := pass.Leaf(n.In[i], n)
	m := v.Node
	if a.inside[m] && m.Op == op && a.uses[m] == 1 && !a.stored[m] && m.Shape.DType == dtypes.Float32 {
		return m
	}
	return nil
}
