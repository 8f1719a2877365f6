// Package ir owns the graph that the CPU backend compiles: operations as nodes, equal nodes once only. It knows shapes
// and attributes, no data and no kernels.
//
// Start with [Graph.Add], through which every node is made.
package ir

import (
	"fmt"
	"strings"

	"github.com/gomlx/compute"
	"github.com/gomlx/compute/shapes"
)

// Operations beyond those of GoMLX.
const (
	// OpFallback runs a graph of one operation on GoMLX's Go backend.
	OpFallback compute.OpType = compute.OpTypeLast + 1 + iota
	// OpRNGState and OpRNGBits are the two results of RNGBitGenerator.
	OpRNGState
	OpRNGBits
	// OpSample is the sum of rows of a table, each times its weight: In is the table [r,c], then pairs of rows int32 [...]
	// and weights [...]; the result is [...,c].
	OpSample
	// OpSpread adds rows to places in a table of zeros, each times its weight: In is the rows [...,c], then pairs of places
	// and weights; the result is the table [r,c].
	OpSpread
	// OpPart is one result of an operation that has several: a copy of a part of its value.
	OpPart
	// OpAttention is attention of all heads, [b,s,h,d]: In is what queries, keys and values are read from, and perhaps a mask.
	OpAttention
	// OpAttentionGrad is its gradient: In has the adjoint after the values. The result is [b,s,3,h,d] for as many queries as
	// keys, else [b,s+2t,h,d]: the gradients for queries, keys and values.
	OpAttentionGrad
	// Activations of x and their derivatives, operands dy and x: package pass makes them.
	OpSwish
	OpQuickGELU
	OpGELU
	OpSwishGrad
	OpQuickGELUGrad
	OpGELUGrad
	// OpMulRecip is x * (1/y), two roundings.
	OpMulRecip
	// OpBands is a value that is computed band by band (Bands).
	OpBands
)

var names = map[compute.OpType]string{OpRNGState: "RNGState", OpRNGBits: "RNGBits",
	OpSample: "Sample", OpSpread: "Spread", OpPart: "Part", OpAttention: "Attention", OpAttentionGrad: "AttentionGrad",
	OpSwish: "Swish", OpQuickGELU: "QuickGELU", OpGELU: "GELU",
	OpSwishGrad: "SwishGrad", OpQuickGELUGrad: "QuickGELUGrad", OpGELUGrad: "GELUGrad", OpMulRecip: "MulRecip",
	OpBands: "Bands"}

// Node is one operation and its result. It belongs to one Graph; only passes change it.
type Node struct {
	ID    int // position in Graph.Nodes: inputs have smaller ones
	Op    compute.OpType
	In    []*Node
	Shape shapes.Shape
	Attr  any // of the type that belongs to Op (attrs.go), or nil

	Late   bool // computed where it is read, not as soon as it can be (pass.Recompute)
	Unique bool // equal to no other: see Graph.AddUnique
}

// Name is the operation's name, for messages and profiles.
func (n *Node) Name() string {
	if n.Op == OpFallback {
		if s, ok := n.Attr.(fmt.Stringer); ok {
			return "Fallback:" + s.String()
		}
		return "Fallback"
	}
	if s, ok := names[n.Op]; ok {
		return s
	}
	return n.Op.String()
}

// Size is the number of elements.
func (n *Node) Size() int { return n.Shape.Size() }

// Bytes is the size of the result in memory.
func (n *Node) Bytes() int { return int(n.Shape.ByteSize()) }

// Graph holds nodes in the order of their making, which is topological.
type Graph struct {
	Nodes   []*Node
	Params  []*Node
	Outputs []*Node

	index map[string]*Node
}

// New returns an empty graph.
func New() *Graph { return &Graph{index: map[string]*Node{}} }

// Add returns the node of an operation, which is an old one if there is an equal one. A nil key for equality is never
// equal: see AddUnique.
func (g *Graph) Add(op compute.OpType, shape shapes.Shape, attr any, in ...*Node) *Node {
	var b strings.Builder
	fmt.Fprintf(&b, "%d %v", int(op), attr)
	for _, n := range in {
		fmt.Fprintf(&b, " %d", n.ID)
	}
	fmt.Fprintf(&b, " %d%v", int(shape.DType), shape.Dimensions)
	key := b.String()
	if n, ok := g.index[key]; ok {
		return n
	}
	n := g.AddUnique(op, shape, attr, in...)
	n.Unique = false
	g.index[key] = n
	return n
}

// Has reports whether a node belongs to the graph.
func (g *Graph) Has(n *Node) bool { return n.ID < len(g.Nodes) && g.Nodes[n.ID] == n }

// AddUnique adds a node that is equal to no other: parameters, barriers, loops, fallbacks.
func (g *Graph) AddUnique(op compute.OpType, shape shapes.Shape, attr any, in ...*Node) *Node {
	shape.AxisNames = nil
	n := &Node{ID: len(g.Nodes), Op: op, In: in, Shape: shape, Attr: attr, Unique: true}
	g.Nodes = append(g.Nodes, n)
	return n
}

// Live returns the nodes that the outputs need, in topological order, and all parameters.
func (g *Graph) Live() []*Node {
	live := make([]bool, len(g.Nodes))
	for _, n := range g.Outputs {
		live[n.ID] = true
	}
	for _, n := range g.Params {
		live[n.ID] = true
	}
	for i := len(g.Nodes) - 1; i >= 0; i-- {
		if live[i] {
			for _, in := range g.Nodes[i].In {
				live[in.ID] = true
			}
		}
	}
	var out []*Node
	for i, n := range g.Nodes {
		if live[i] {
			out = append(out, n)
		}
	}
	return out
}

// Dump writes the live nodes one a line.
func (g *Graph) Dump() string {
	var b strings.Builder
	for _, n := range g.Live() {
		fmt.Fprintf(&b, "%%%d = %s", n.ID, n.Name())
		for _, in := range n.In {
			fmt.Fprintf(&b, " %%%d", in.ID)
		}
		fmt.Fprintf(&b, " : %s", n.Shape)
		if n.Attr != nil && n.Op != compute.OpTypeConstant {
			fmt.Fprintf(&b, " %+v", n.Attr)
		}
		b.WriteByte('\n')
	}
	return b.String()
}

// DOT writes the live nodes as a graph for Graphviz (`dot -Tsvg`): parameters and outputs have frames of their own.
func (g *Graph) DOT() string {
	var b strings.Builder
	b.WriteString("digraph {\n\tnode [shape=box, fontname=monospace]\n")
	for _, n := range g.Live() {
		style := ""
		if n.Op == compute.OpTypeParameter || n.Op == compute.OpTypeConstant {
			style = ", style=rounded"
		}
		label := n.Name() + " " + n.Shape.String()
		if p, ok := n.Attr.(Parameter); ok {
			label = p.Name + " " + n.Shape.String()
		}
		fmt.Fprintf(&b, "\tn%d [label=%q%s]\n", n.ID, label, style)
		for i, in := range n.In {
			fmt.Fprintf(&b, "\tn%d -> n%d", in.ID, n.ID)
			if len(n.In) > 1 {
				fmt.Fprintf(&b, " [headlabel=%d]", i)
			}
			b.WriteByte('\n')
		}
	}
	for i, n := range g.Outputs {
		fmt.Fprintf(&b, "\tout%d [label=\"output %d\", shape=plain]\n\tn%d -> out%d\n", i, i, n.ID, i)
	}
	b.WriteString("}\n")
	return b.String()
}

// Verify checks what every pass must keep: inputs come before their users and belong to the graph, as do parameters, in the
// order of their indices, and outputs; and aliases are as large as what they show.
func (g *Graph) Verify() error {
	for i, p := range g.Params {
		if a, ok := p.Attr.(Parameter); !ok || !g.Has(p) || a.Index != i {
			return fmt.Errorf("parameter %d is node %d (%s) %v", i, p.ID, p.Name(), p.Attr)
		}
	}
	for i, o := range g.Outputs {
		if !g.Has(o) {
			return fmt.Errorf("output %d is a node of another graph", i)
		}
	}
	for i, n := range g.Nodes {
		if n.ID != i {
			return fmt.Errorf("node %d has number %d", i, n.ID)
		}
		if !n.Shape.Ok() {
			return fmt.Errorf("node %d (%s) has no shape", i, n.Name())
		}
		if n.Op == compute.OpTypeReshape || n.Op == compute.OpTypeBitcast {
			if len(n.In) != 1 || n.In[0].Bytes() != n.Bytes() {
				return fmt.Errorf("node %d (%s) does not show the bytes of its operand", i, n.Name())
			}
		}
		for _, in := range n.In {
			if in.ID >= i || g.Nodes[in.ID] != in {
				return fmt.Errorf("node %d (%s) uses node %d, which does not come before it", i, n.Name(), in.ID)
			}
		}
	}
	return nil
}
