package pass

import "github.com/smalti/smalti/engine/cpu/ir"

// Recompute returns a graph of the same results in which less has to be kept from the early nodes for the late ones (those
// that late marks by number; what needs a late node must be late). Gradients read whole normalised maps, sigmoids and
// products of the forward pass, all of which elementwise operations make of one map: late readers get copies of these
// operations, which run within their clusters. What is kept is the cheapest set of values from which all can be made, a minimum
// cut of the graph (as Jain et al. 2020, arXiv:1910.02653, choose whole graphs' recomputation, and PyTorch's AOTAutograd its own);
// of equally cheap sets the last one, so that little is computed twice. No operation that reads or writes more memory than
// before is ever repeated: a value that others than clusters read late is kept. It returns nil when nothing is gained.
//
// saved is by how many bytes less is kept.
func Recompute(g *ir.Graph, late []bool) (out *ir.Graph, saved int) {
	p := newPartition(g)
	p.late = late
	r := recompute{partition: p, forced: make([]bool, len(g.Nodes)), need: make([]bool, len(g.Nodes))}
	before := r.needs()
	kept := r.cut()
	after := 0
	for _, n := range p.live {
		if kept[n.ID] && len(n.In) > 0 {
			after += n.Bytes()
		}
	}
	if after >= before {
		return nil, 0
	}
	r.kept = kept
	return r.rewrite(g), before - after
}

type recompute struct {
	*partition
	forced []bool // by node number: early, and read late by something that is not elementwise
	need   []bool // early, and read late by something elementwise, through no other node
	kept   []bool // the cut
}

// needs finds what late nodes read and returns the bytes that are kept for them as the graph is.
func (r *recompute) needs() (bytes int) {
	seen := make([]bool, len(r.late))
	count := func(n *ir.Node) {
		if n = Root(n); !seen[n.ID] && !r.late[n.ID] && len(n.In) > 0 {
			seen[n.ID] = true
			bytes += n.Bytes()
		}
	}
	for _, n := range r.live {
		for _, in := range n.In {
			switch {
			case !r.late[n.ID] || r.late[in.ID]:
			case Elementwise(n):
				r.need[in.ID] = true
				count(Leaf(in, n).Node)
			default:
				r.forced[Root(in).ID] = true
				count(in)
			}
		}
	}
	return bytes
}

// repeatable reports whether a node may be computed again.
func repeatable(n *ir.Node) bool { return Elementwise(n) || Transparent(n) || Alias(n) }

// cut returns the cheapest set of early values that separates what cannot be computed again from what is needed.
func (r *recompute) cut() []bool {
	f := newFlow(2*len(r.late) + 2)
	source, sink := 2*len(r.late), 2*len(r.late)+1
	for _, n := range r.live {
		if r.late[n.ID] {
			continue
		}
		into, from := 2*n.ID, 2*n.ID+1
		most := n.Bytes()
		switch {
		case r.forced[n.ID]:
			most = 0 // it is there anyway
		case Transparent(n) || Alias(n):
			most = endless
		}
		f.edge(into, from, most)
		switch {
		case len(n.In) == 0: // parameters and constants are there
		case repeatable(n):
			for _, in := range n.In {
				f.edge(2*in.ID+1, into, endless)
			}
		default:
			f.edge(source, into, endless)
		}
		if r.need[n.ID] {
			f.edge(from, sink, endless)
		}
	}
	f.run(source, sink)
	reach := f.reaching(sink)
	kept := make([]bool, len(r.late))
	for _, n := range r.live {
		kept[n.ID] = !r.late[n.ID] && reach[2*n.ID+1] && !reach[2*n.ID] || r.forced[n.ID]
	}
	return kept
}

// rewrite copies the graph; late elementwise nodes read copies of what is not kept.
func (r *recompute) rewrite(g *ir.Graph) *ir.Graph {
	unit := make([]int, len(g.Nodes))
	for i := range unit {
		unit[i] = -1
	}
	r.levels()
	r.sink()
	for i, nodes := range r.connect() {
		for _, n := range nodes {
			unit[n.ID] = i
		}
	}
	c := copier{recompute: r, out: ir.New(), copies: make([]*ir.Node, len(g.Nodes)), again: map[again]*ir.Node{}}
	for _, n := range r.live {
		in := make([]*ir.Node, len(n.In))
		for i, x := range n.In {
			in[i] = c.copies[x.ID]
			if r.late[n.ID] && !r.late[x.ID] && Elementwise(n) {
				in[i] = c.repeat(x, unit[n.ID])
			}
		}
		c.copies[n.ID] = c.add(n, in)
	}
	for _, n := range g.Params {
		c.out.Params = append(c.out.Params, c.copies[n.ID])
	}
	for _, n := range g.Outputs {
		c.out.Outputs = append(c.out.Outputs, c.copies[n.ID])
	}
	return c.out
}

type copier struct {
	*recompute
	out    *ir.Graph
	copies []*ir.Node // by old number
	again  map[again]*ir.Node
}

// again is a node computed once more for a cluster.
type again struct{ node, unit int }

func (c *copier) add(n *ir.Node, in []*ir.Node) *ir.Node {
	m := c.out.AddUnique(n.Op, n.Shape, n.Attr, in...)
	m.Late = n.Late
	return m
}

// repeat returns the node to read for an early node n within a cluster of late nodes.
func (c *copier) repeat(n *ir.Node, unit int) *ir.Node {
	if c.kept[n.ID] || !repeatable(n) || len(n.In) == 0 {
		return c.copies[n.ID]
	}
	k := again{n.ID, unit}
	if m, ok := c.again[k]; ok {
		return m
	}
	in := make([]*ir.Node, len(n.In))
	changed := Elementwise(n)
	for i, x := range n.In {
		in[i] = c.repeat(x, unit)
		changed = changed || in[i] != c.copies[x.ID]
	}
	if !changed {
		return c.copies[n.ID]
	}
	m := c.add(n, in)
	m.Late = true
	c.again[k] = m
	return m
}
