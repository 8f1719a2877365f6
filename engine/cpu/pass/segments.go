package pass

import (
	"slices"

	"github.com/gomlx/compute"

	"github.com/smalti/smalti/engine/cpu/ir"
)

// Segments returns a graph of the same results that keeps, for a run in two parts, only the waists of the first part: values
// between which everything flows through one of them alone, as through the outputs of the blocks of a residual network.
// Where the second part reads anything else of the first, it gets copies of what computes it from the waist before,
// convolutions included, made when they are first read; so the activations of one block live at a time, and that block's
// forward pass runs once more (Chen et al. 2016, arXiv:1604.06174, with blocks for the square root's segments). Values of at
// most small bytes, such as the statistics of norms, are kept all the same. A graph without waists is returned as it is.
//
// late are the parameters that are not there at first.
func Segments(g *ir.Graph, late []*ir.Node, small int) *ir.Graph {
	s := segments{live: g.Live(), small: small, forward: make([]bool, len(g.Nodes))}
	isLate := Late(g, late)
	for _, o := range g.Outputs {
		s.forward[o.ID] = !isLate[o.ID]
	}
	for _, n := range slices.Backward(s.live) {
		for _, in := range n.In {
			s.forward[in.ID] = s.forward[in.ID] || s.forward[n.ID]
		}
	}
	if !s.findWaists(g) {
		return g
	}
	return s.rewrite(g)
}

type segments struct {
	live    []*ir.Node
	small   int
	forward []bool // by number: an output of the first part needs it
	kept    []bool // by number
	out     *ir.Graph
	copies  []*ir.Node // by old number
	again   []*ir.Node // by old number: computed once more
}

// given reports whether a node is there anyway.
func given(n *ir.Node) bool {
	return n.Op == compute.OpTypeParameter || n.Op == compute.OpTypeConstant
}

// findWaists marks what is kept and reports whether there is a waist among it.
func (s *segments) findWaists(g *ir.Graph) bool {
	last := make([]int, len(g.Nodes)) // by root: number of the last reader in the first part
	for _, n := range s.live {
		if s.forward[n.ID] {
			for _, in := range n.In {
				r := Root(in)
				last[r.ID] = max(last[r.ID], n.ID)
			}
		}
	}
	s.kept = make([]bool, len(g.Nodes))
	from := sources{maps: make([][]*ir.Node, len(g.Nodes))}
	end := 0 // of what is alive besides the node that is looked at
	var before *ir.Node
	found := false
	for _, n := range s.live {
		if !s.forward[n.ID] || Alias(n) {
			continue
		}
		if given(n) || n.Bytes() <= s.small {
			s.kept[n.ID] = true
			continue
		}
		if pure := from.add(n, s.small); !pure && end <= n.ID {
			s.kept[n.ID], found = true, true
			if before != nil && n.Bytes() > before.Bytes() && s.oneStep(before, n) {
				s.kept[n.ID] = false
			}
			before = n
		}
		end = max(end, last[n.ID])
	}
	return found
}

// oneStep reports whether n is one convolution of what elementwise operations make of the waist before it: cheap to compute again.
func (s *segments) oneStep(before, n *ir.Node) bool {
	x := n.In[0]
	for Transparent(x) || Elementwise(x) && len(x.In) == 1 {
		x = x.In[0]
	}
	return n.Op == compute.OpTypeConvGeneral && x == before
}

// sources follows values back to what elementwise operations make them of.
type sources struct{ maps [][]*ir.Node }

// add reports whether n is made of at most one value of more than small bytes by elementwise operations.
func (f *sources) add(n *ir.Node, small int) (pure bool) {
	if !Elementwise(n) && !Transparent(n) {
		f.maps[n.ID] = []*ir.Node{n}
		return false
	}
	var all []*ir.Node
	for _, in := range n.In {
		in = Root(in)
		if given(in) || in.Bytes() <= small {
			continue
		}
		for _, m := range f.maps[in.ID] {
			if !slices.Contains(all, m) {
				all = append(all, m)
			}
		}
	}
	if len(all) > 1 {
		all = []*ir.Node{n}
	}
	f.maps[n.ID] = all
	return len(all) == 0 || all[0] != n
}

// rewrite copies the graph; the second part reads copies of what is not kept.
func (s *segments) rewrite(g *ir.Graph) *ir.Graph {
	s.out, s.copies, s.again = ir.New(), make([]*ir.Node, len(g.Nodes)), make([]*ir.Node, len(g.Nodes))
	for _, n := range s.live {
		second := !s.forward[n.ID] && !given(n)
		in := make([]*ir.Node, len(n.In))
		for i, x := range n.In {
			if in[i] = s.copies[x.ID]; second {
				in[i] = s.repeat(x)
			}
		}
		m := s.out.AddUnique(n.Op, n.Shape, n.Attr, in...)
		m.Late = n.Late || second
		s.copies[n.ID] = m
	}
	for _, n := range g.Params {
		s.out.Params = append(s.out.Params, s.copies[n.ID])
	}
	for _, n := range g.Outputs {
		s.out.Outputs = append(s.out.Outputs, s.copies[n.ID])
	}
	return s.out
}

// repeat returns the node that the second part reads for x.
func (s *segments) repeat(x *ir.Node) *ir.Node {
	if !s.forward[x.ID] || s.kept[Root(x).ID] {
		return s.copies[x.ID]
	}
	if m := s.again[x.ID]; m != nil {
		return m
	}
	in := make([]*ir.Node, len(x.In))
	for i, y := range x.In {
		in[i] = s.repeat(y)
	}
	m := s.out.AddUnique(x.Op, x.Shape, x.Attr, in...)
	m.Late = true
	s.again[x.ID] = m
	return m
}
