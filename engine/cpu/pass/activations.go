package pass

import (
	"encoding/binary"
	"math"

	"github.com/gomlx/compute"
	"github.com/gomlx/compute/dtypes"

	"github.com/smalti/smalti/engine/cpu/ir"
)

// Activations makes one operation of SiLU, QuickGELU and GELU as package gx writes them, and one of each derivative as
// automatic differentiation writes it: a kernel each instead of up to ten, and the derivative needs no value of the
// forward pass but the operand. It looks at operations alone, never at sizes, so that a picture does not depend on the
// others of its batch. It changes the nodes of the results.
func Activations(g *ir.Graph) {
	for _, n := range g.Live() {
		if n.Shape.DType != dtypes.Float32 || n.Size() == 0 {
			continue
		}
		switch n.Op {
		case compute.OpTypeMul:
			if op, x := activation(n); x != nil {
				n.Op, n.In = op, []*ir.Node{x}
			}
		case compute.OpTypeAdd:
			if op, dy, x := derivative(n); x != nil {
				n.Op, n.In = op, []*ir.Node{dy, x}
			}
		}
	}
}

// derivatives are the activations' derivatives, times that of their result.
var derivatives = map[compute.OpType]compute.OpType{ir.OpSwish: ir.OpSwishGrad, ir.OpQuickGELU: ir.OpQuickGELUGrad, ir.OpGELU: ir.OpGELUGrad}

// activation matches x * gate(x) and returns the operation and x, or nil.
func activation(n *ir.Node) (op compute.OpType, x *ir.Node) {
	for i, gate := range n.In {
		x := n.In[1-i]
		if op, y := gateOf(gate); y != nil && y == x {
			return op, x
		}
	}
	return 0, nil
}

// gateOf matches the factor of an activation: logistic(x), logistic(1.702*x), (erf(x/sqrt 2) + 1)/2.
func gateOf(n *ir.Node) (op compute.OpType, x *ir.Node) {
	if n.Op == compute.OpTypeLogistic {
		if x := scaled(n.In[0], quick); x != nil {
			return ir.OpQuickGELU, x
		}
		return ir.OpSwish, n.In[0]
	}
	if e := scaled(n, 0.5); e != nil {
		if e = shifted(e, 1); e != nil && e.Op == compute.OpTypeErf {
			if x := scaled(e.In[0], math.Sqrt2/2); x != nil {
				return ir.OpGELU, x
			}
		}
	}
	return 0, nil
}

// quick is the factor of QuickGELU.
const quick = 1.702

// derivative matches dy*gate + dy*x*gate'(x), the gradient of x * gate(x) for x.
func derivative(n *ir.Node) (op compute.OpType, dy, x *ir.Node) {
	for i, m := range n.In {
		if m.Op != compute.OpTypeMul {
			continue
		}
		for j, gate := range m.In {
			op, x := gateOf(gate)
			if x == nil {
				continue
			}
			dy := m.In[1-j]
			if slopeOf(op, gate, n.In[1-i], dy, x) {
				return derivatives[op], dy, x
			}
		}
	}
	return 0, nil, nil
}

// slopeOf reports whether n is dy*x*gate'(x).
func slopeOf(op compute.OpType, gate, n, dy, x *ir.Node) bool {
	switch op {
	case ir.OpQuickGELU:
		if n = scaled(n, quick); n == nil {
			return false
		}
		fallthrough
	case ir.OpSwish: // (dy*x) * (s*(1-s))
		return product(n, func(m *ir.Node) bool { return isProduct(m, dy, x) }, func(m *ir.Node) bool {
			return product(m, func(s *ir.Node) bool { return s == gate }, func(d *ir.Node) bool {
				return d.Op == compute.OpTypeSub && d.In[1] == gate && isNumber(d.In[0], 1)
			})
		})
	case ir.OpGELU: // ((dy*x)/2 * (e^-(x/sqrt 2)^2 * 2/sqrt pi)) / sqrt 2
		if n = scaled(n, math.Sqrt2/2); n == nil {
			return false
		}
		return product(n, func(m *ir.Node) bool { h := scaled(m, 0.5); return h != nil && isProduct(h, dy, x) }, func(m *ir.Node) bool {
			e := scaled(m, 2/math.Sqrt(math.Pi))
			if e == nil || e.Op != compute.OpTypeExp || e.In[0].Op != compute.OpTypeNeg {
				return false
			}
			sq := e.In[0].In[0]
			return sq.Op == compute.OpTypeMul && sq.In[0] == sq.In[1] && scaled(sq.In[0], math.Sqrt2/2) == x
		})
	}
	return false
}

// product reports whether n is a product whose factors satisfy f and g in some order.
func product(n *ir.Node, f, g func(*ir.Node) bool) bool {
	return n.Op == compute.OpTypeMul && (f(n.In[0]) && g(n.In[1]) || f(n.In[1]) && g(n.In[0]))
}

func isProduct(n, x, y *ir.Node) bool {
	return product(n, func(m *ir.Node) bool { return m == x }, func(m *ir.Node) bool { return m == y })
}

// scaled returns x where n is x times a number, and nil elsewhere. The constant must be the float32 nearest to it or one of
// its neighbours: it may have been computed in another way.
func scaled(n *ir.Node, by float64) *ir.Node { return withNumber(n, compute.OpTypeMul, by) }

// shifted returns x where n is x plus a number, and nil elsewhere.
func shifted(n *ir.Node, by float64) *ir.Node { return withNumber(n, compute.OpTypeAdd, by) }

func withNumber(n *ir.Node, op compute.OpType, number float64) *ir.Node {
	if n.Op != op {
		return nil
	}
	for i, c := range n.In {
		if isNumber(c, number) && n.In[1-i].Shape.EqualDimensions(n.Shape) {
			return n.In[1-i]
		}
	}
	return nil
}

// isNumber reports whether every element of n is a constant near x.
func isNumber(n *ir.Node, x float64) bool {
	for n.Op == compute.OpTypeBroadcastInDim || n.Op == compute.OpTypeReshape {
		n = n.In[0]
	}
	if n.Op != compute.OpTypeConstant || n.Shape.DType != dtypes.Float32 || n.Size() != 1 {
		return false
	}
	v := math.Float32frombits(binary.LittleEndian.Uint32(n.Attr.(*ir.Constant).Bytes))
	return math.Abs(float64(v)-x) <= math.Abs(x)*0x1p-23
}
