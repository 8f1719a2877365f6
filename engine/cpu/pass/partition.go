// Package pass owns the rewriting of recorded graphs: which operations run together. It knows package ir and nothing of
// kernels or memory. Start with [Partition].
package pass

import (
	"slices"

	"github.com/gomlx/compute"
	"github.com/gomlx/compute/dtypes"

	"github.com/smalti/smalti/engine/cpu/ir"
)

// Unit is what one thunk runs: a single operation, or a cluster of elementwise ones, perhaps with reductions of rows.
type Unit struct {
	Nodes   []*ir.Node // in topological order
	Cluster bool
	Row     int        // length of the rows of a row cluster, else 0
	Out     []*ir.Node // of Nodes: those that others need in memory
	Late    bool       // waits for a late parameter

	key int // order of execution
}

// maxCluster bounds the operations of a cluster: registers of a tile should stay in the first-level cache.
const maxCluster = 48

// Elementwise reports whether a node can run in a cluster: float32 arithmetic, comparisons, selections and logic.
func Elementwise(n *ir.Node) bool {
	if n.Size() == 0 {
		return false
	}
	d := n.Shape.DType
	switch n.Op {
	case compute.OpTypeAdd, compute.OpTypeSub, compute.OpTypeMul, compute.OpTypeDiv, compute.OpTypeMax, compute.OpTypeMin, compute.OpTypePow,
		compute.OpTypeNeg, compute.OpTypeAbs, compute.OpTypeSqrt, compute.OpTypeRsqrt, compute.OpTypeExp, compute.OpTypeExpm1, compute.OpTypeLog,
		compute.OpTypeLog1p, compute.OpTypeTanh, compute.OpTypeLogistic, compute.OpTypeErf, compute.OpTypeSin, compute.OpTypeCos,
		compute.OpTypeFloor, compute.OpTypeCeil, compute.OpTypeRound, compute.OpTypeSign,
		ir.OpSwish, ir.OpQuickGELU, ir.OpGELU, ir.OpSwishGrad, ir.OpQuickGELUGrad, ir.OpGELUGrad, ir.OpMulRecip:
		return d == dtypes.Float32
	case compute.OpTypeEqual, compute.OpTypeNotEqual, compute.OpTypeLessThan, compute.OpTypeLessOrEqual, compute.OpTypeGreaterThan,
		compute.OpTypeGreaterOrEqual:
		return n.In[0].Shape.DType == dtypes.Float32
	case compute.OpTypeLogicalAnd, compute.OpTypeLogicalOr, compute.OpTypeLogicalXor, compute.OpTypeLogicalNot:
		return true
	case compute.OpTypeWhere:
		return d == dtypes.Float32
	case compute.OpTypeConvertDType:
		from := n.In[0].Shape.DType
		return (d == dtypes.Float32 && from == dtypes.Bool) || (d == dtypes.Bool && from == dtypes.Float32)
	}
	return false
}

// Transparent reports whether a node only changes how its operand is seen: clusters look through it.
func Transparent(n *ir.Node) bool {
	return n.Op == compute.OpTypeReshape || n.Op == compute.OpTypeBroadcastInDim
}

// Alias reports whether a node's value is its operand's memory.
func Alias(n *ir.Node) bool {
	switch n.Op {
	case compute.OpTypeReshape, compute.OpTypeBitcast, compute.OpTypeOptimizationBarrier, compute.OpTypeSchedulingBarrier:
		return true
	}
	return false
}

// Root follows aliases to the node that owns the memory.
func Root(n *ir.Node) *ir.Node {
	for Alias(n) {
		n = n.In[0]
	}
	return n
}

type partition struct {
	live  []*ir.Node
	users [][]*ir.Node // by node number
	level []int        // by node number: how many operations that are not elementwise lie before
	class []int        // by node number: index of the cluster, or -1
	out   []bool       // by node number: an output of the graph
	late  []bool       // by node number: see Late
}

// Partition groups the live nodes of a graph into units in an order of execution.
//
// Elementwise nodes of one level and one size form clusters where they are connected. Levels and sizes never fall along
// an edge (an elementwise result is at least as large as its operands), so a path between two nodes of a cluster never
// leaves it, and clusters cannot wait for each other.
//
// Units that do not need the late parameters come before all others.
func Partition(g *ir.Graph, late ...*ir.Node) []*Unit {
	p := newPartition(g)
	p.late = Late(g, late)
	p.levels()
	p.sink()
	return p.order(p.units(p.connect()))
}

func newPartition(g *ir.Graph) *partition {
	p := &partition{live: g.Live(), users: make([][]*ir.Node, len(g.Nodes)), level: make([]int, len(g.Nodes)),
		class: make([]int, len(g.Nodes)), out: make([]bool, len(g.Nodes))}
	for _, n := range p.live {
		for _, in := range n.In {
			p.users[in.ID] = append(p.users[in.ID], n)
		}
	}
	for _, n := range g.Outputs {
		p.out[n.ID] = true
	}
	return p
}

func (p *partition) levels() {
	for _, n := range p.live {
		l := 0
		for _, in := range n.In {
			l = max(l, p.level[in.ID])
		}
		if !Elementwise(n) && !Transparent(n) && len(n.In) > 0 {
			l++
		}
		p.level[n.ID] = l
	}
}

// sink moves an elementwise node to the level of its users when all of them come later and its operand is in memory
// anyway: it is computed there instead of being stored.
func (p *partition) sink() {
	for i := len(p.live) - 1; i >= 0; i-- {
		n := p.live[i]
		users := p.users[n.ID]
		if p.out[n.ID] || len(users) == 0 || !(Elementwise(n) || Transparent(n)) {
			continue
		}
		to := p.level[users[0].ID]
		for _, u := range users {
			if !Elementwise(u) && !Transparent(u) {
				to = -1
				break
			}
			to = min(to, p.level[u.ID])
		}
		if to > p.level[n.ID] && (n.Late || Transparent(n) || p.cheapLater(n, to)) {
			p.level[n.ID] = to
			p.late[n.ID] = p.late[n.ID] || !slices.ContainsFunc(users, func(u *ir.Node) bool { return !p.late[u.ID] })
		}
	}
}

func (p *partition) cheapLater(n *ir.Node, to int) bool {
	large := 0
	for _, in := range n.In {
		if in.Size() < n.Size() || in.Size() == 1 {
			continue
		}
		large++
		r := Root(in)
		if r.Op == compute.OpTypeBroadcastInDim {
			continue
		}
		stored := !Elementwise(r)
		if n.Shape.DType == dtypes.Bool || !stored {
			stored = slices.ContainsFunc(p.users[r.ID], func(u *ir.Node) bool { return u != n && p.level[u.ID] >= to })
		}
		if !stored {
			return false
		}
	}
	return large <= 1
}

// connect puts connected elementwise nodes of equal level and size into one class and returns the classes.
func (p *partition) connect() [][]*ir.Node {
	parent := make([]int, len(p.class))
	for i := range parent {
		parent[i] = i
	}
	var find func(int) int
	find = func(i int) int {
		for parent[i] != i {
			parent[i] = parent[parent[i]]
			i = parent[i]
		}
		return i
	}
	for _, n := range p.live {
		if !Elementwise(n) {
			continue
		}
		for _, in := range n.In {
			for in.Op == compute.OpTypeReshape {
				in = in.In[0]
			}
			if Elementwise(in) && in.Size() == n.Size() && p.level[in.ID] == p.level[n.ID] && p.late[in.ID] == p.late[n.ID] {
				parent[find(in.ID)] = find(n.ID)
			}
		}
	}
	at := map[int]int{}
	var classes [][]*ir.Node
	for _, n := range p.live {
		p.class[n.ID] = -1
		if !Elementwise(n) {
			continue
		}
		r := find(n.ID)
		i, ok := at[r]
		if !ok || len(classes[i]) >= maxCluster {
			i = len(classes)
			at[r] = i
			classes = append(classes, nil)
		}
		classes[i] = append(classes[i], n)
		p.class[n.ID] = i
	}
	return classes
}

// units makes a unit of every cluster and of every other node that does work, and says which values of a cluster are
// needed outside.
func (p *partition) units(classes [][]*ir.Node) []*Unit {
	var units []*Unit
	stored := p.stored()
	for _, nodes := range classes {
		u := &Unit{Nodes: nodes, Cluster: true}
		for _, n := range nodes {
			if stored[n.ID] {
				u.Out = append(u.Out, n)
			}
		}
		units = append(units, u)
	}
	for _, n := range p.live {
		if Elementwise(n) || Alias(n) || n.Op == compute.OpTypeParameter || n.Op == compute.OpTypeConstant {
			continue
		}
		if n.Op == compute.OpTypeBroadcastInDim && !stored[n.ID] {
			continue
		}
		units = append(units, &Unit{Nodes: []*ir.Node{n}, Out: []*ir.Node{n}})
	}
	return units
}

// stored marks the nodes whose values must be in memory: those that outputs, other operations or other clusters read.
func (p *partition) stored() []bool {
	s := make([]bool, len(p.class))
	for i := len(p.live) - 1; i >= 0; i-- {
		n := p.live[i]
		if p.out[n.ID] {
			s[Root(n).ID] = true
		}
		switch {
		case Elementwise(n):
			for _, in := range n.In {
				if leaf := Leaf(in, n); leaf.Node != nil && p.class[leaf.Node.ID] != p.class[n.ID] {
					s[leaf.Node.ID] = true
				}
			}
		case n.Op == compute.OpTypeBroadcastInDim && !s[n.ID], Alias(n):
		default:
			for _, in := range n.In {
				s[Root(in).ID] = true
			}
		}
	}
	return s
}

// View is how a cluster sees an operand: element i of the operation's result reads the element of Node's value at the
// sum of Strides times the coordinates of i in Dims.
type View struct {
	Node    *ir.Node
	Dims    []int
	Strides []int
}

// Leaf follows an operand of an elementwise operation through broadcasts and reshapes to the node whose memory, or
// whose register, it reads.
func Leaf(in, user *ir.Node) View {
	v := View{Node: in, Dims: user.Shape.Dimensions, Strides: broadcastStrides(in.Shape.Dimensions, user.Shape.Dimensions)}
	for {
		switch {
		case v.Node.Op == compute.OpTypeBroadcastInDim:
			v = v.throughBroadcast()
		case Alias(v.Node):
			// The strides are those of a contiguous value, whatever its shape.
			v.Node = v.Node.In[0]
		default:
			return v
		}
		if v.Node.Op == compute.OpTypeBroadcastInDim && !v.plain() {
			if w, ok := v.refine(); ok {
				v = w
				continue
			}
			return v
		}
	}
}

// plain reports whether the strides are those of the node's own shape broadcast along the view's axes one by one, so
// that a broadcast below can be followed.
func (v View) plain() bool {
	d := v.Node.Shape.Dimensions
	return slices.Equal(v.Strides, broadcastStrides(d, v.Dims))
}

// refine rewrites the view in the axes of the node's shape, if the view reads all of the node in order.
func (v View) refine() (View, bool) {
	size := 1
	for i := len(v.Dims) - 1; i >= 0; i-- {
		if v.Dims[i] != 1 && v.Strides[i] != size {
			return v, false
		}
		size *= v.Dims[i]
	}
	if size != v.Node.Size() {
		return v, false
	}
	d := v.Node.Shape.Dimensions
	return View{Node: v.Node, Dims: d, Strides: broadcastStrides(d, d)}, true
}

func (v View) throughBroadcast() View {
	b := v.Node
	src := b.In[0]
	axes := b.Attr.(ir.Axes).Axes
	// strides of the source along the axes of the broadcast's result
	own := contiguous(src.Shape.Dimensions)
	along := make([]int, b.Shape.Rank())
	for i, a := range axes {
		if src.Shape.Dimensions[i] != 1 {
			along[a] = own[i]
		}
	}
	out := View{Node: src, Dims: v.Dims, Strides: make([]int, len(v.Dims))}
	if b.Shape.Rank() == len(v.Dims) {
		for i := range out.Strides {
			if b.Shape.Dimensions[i] != 1 {
				out.Strides[i] = along[i]
			}
		}
	}
	return out
}

// broadcastStrides are the strides of a contiguous array of dims seen with the axes of to: equal rank with size-one
// axes repeated, or a scalar.
func broadcastStrides(dims, to []int) []int {
	s := make([]int, len(to))
	if len(dims) != len(to) {
		return s
	}
	for i, c := range contiguous(dims) {
		if dims[i] != 1 {
			s[i] = c
		}
	}
	return s
}

func contiguous(dims []int) []int {
	s := make([]int, len(dims))
	k := 1
	for i := len(dims) - 1; i >= 0; i-- {
		s[i] = k
		k *= dims[i]
	}
	return s
}

// order sorts the units topologically, in the order of the recording as far as possible.
func (p *partition) order(units []*Unit) []*Unit {
	for _, u := range units {
		u.key = u.Nodes[len(u.Nodes)-1].ID
		if u.Late = p.late[u.Nodes[0].ID]; u.Late {
			u.key += len(p.late)
		}
	}
	return sortUnits(units)
}
