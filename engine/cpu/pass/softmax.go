package pass

import (
	"github.com/gomlx/compute"
	"github.com/gomlx/compute/dtypes"

	"github.com/smalti/smalti/engine/cpu/ir"
)

// Softmaxes rewrites softmaxes of package gx and their gradients, whose sums lie between 1 and the length of a row: a product
// with 1/sum, computed once a row, instead of divisions by the sum; and y*(dy - sum(dy*y)) of the result y instead of three
// divisions more. It looks at operations alone, never at sizes. It changes nodes and their operands.
func Softmaxes(g *ir.Graph) {
	live := g.Live()
	uses := usesOf(g, live)
	made := map[*ir.Node]*ir.Node{} // by exponential: the softmax
	for _, n := range live {
		if n.Shape.DType != dtypes.Float32 || n.Size() == 0 {
			continue
		}
		switch n.Op {
		case compute.OpTypeDiv:
			if e := n.In[0]; isExponential(e) && sumOf(n.In[1]) == e {
				n.Op = ir.OpMulRecip
				if made[e] == nil {
					made[e] = n
				}
			}
		case compute.OpTypeMul:
			softmaxGradient(n, uses, made)
		}
	}
}

// softmaxGradient rewrites n = (dy/s + sum(-(dy * e/(s*s)))) * e where s is the sum of the exponentials e.
func softmaxGradient(n *ir.Node, uses []int, made map[*ir.Node]*ir.Node) {
	for i, e := range n.In {
		add := n.In[1-i]
		if !isExponential(e) || add.Op != compute.OpTypeAdd || uses[add.ID] != 1 {
			continue
		}
		for j, d := range add.In {
			if d.Op != compute.OpTypeDiv || sumOf(d.In[1]) != e {
				continue
			}
			dy, m := d.In[0], negatedSum(add.In[1-j])
			if m == nil || m.Op != compute.OpTypeMul {
				continue
			}
			for k, y := range m.In {
				if m.In[1-k] != dy || uses[y.ID] != 1 || y.Op != compute.OpTypeDiv || y.In[0] != e || !isSquare(y.In[1], e) {
					continue
				}
				if made[e] == nil {
					y.Op, y.In, made[e] = ir.OpMulRecip, []*ir.Node{e, d.In[1]}, y
				}
				m.In = []*ir.Node{dy, made[e]}
				add.In = []*ir.Node{dy, add.In[1-j]}
				n.In = []*ir.Node{add, made[e]}
				return
			}
		}
	}
}

// bare follows a node through reshapes and broadcasts.
func bare(n *ir.Node) *ir.Node {
	for Transparent(n) {
		n = n.In[0]
	}
	return n
}

// isExponential matches e^(x - max(x)).
func isExponential(n *ir.Node) bool {
	if n.Op != compute.OpTypeExp || n.In[0].Op != compute.OpTypeSub {
		return false
	}
	d := n.In[0]
	m := bare(d.In[1])
	return m.Op == compute.OpTypeReduceMax && m.In[0] == d.In[0]
}

// sumOf returns what n is the sum of, or nil.
func sumOf(n *ir.Node) *ir.Node {
	if n = bare(n); n.Op == compute.OpTypeReduceSum {
		return n.In[0]
	}
	return nil
}

// negatedSum returns x where n is sum(-x), or nil.
func negatedSum(n *ir.Node) *ir.Node {
	if n = bare(n); n.Op == compute.OpTypeReduceSum && n.In[0].Op == compute.OpTypeNeg {
		return n.In[0].In[0]
	}
	return nil
}

// isSquare reports whether n is the square of the sum of e.
func isSquare(n, e *ir.Node) bool {
	n = bare(n)
	return n.Op == compute.OpTypeMul && sumOf(n.In[0]) == e && sumOf(n.In[1]) == e
}
