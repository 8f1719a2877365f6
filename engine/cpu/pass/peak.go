package pass

import (
	"slices"

	"github.com/gomlx/compute"

	"github.com/smalti/smalti/engine/cpu/ir"
)

// Late marks the nodes of a graph, by number, that need one of the given parameters, and what is computed again for them.
func Late(g *ir.Graph, params []*ir.Node) []bool {
	late := make([]bool, len(g.Nodes))
	for _, p := range params {
		late[p.ID] = true
	}
	early := make([]bool, len(g.Nodes)) // read by an early node
	for _, n := range g.Nodes {
		late[n.ID] = late[n.ID] || slices.ContainsFunc(n.In, func(in *ir.Node) bool { return late[in.ID] })
	}
	for _, n := range slices.Backward(g.Live()) {
		late[n.ID] = late[n.ID] || n.Late && !early[n.ID]
		for _, in := range n.In {
			early[in.ID] = early[in.ID] || !late[n.ID]
		}
	}
	return late
}

// LessKept returns a graph of the same results whose runs keep less at a time: see Recompute, which it applies at the moment
// when most is kept, as long as that helps. late are the parameters that are not there at first: what is kept while they
// are waited for is reduced instead. Graphs that keep less than least bytes stay as they are. It decides by shapes alone.
func LessKept(g *ir.Graph, late []*ir.Node, least int) *ir.Graph {
	if len(late) > 0 {
		h, _ := Recompute(g, Late(g, late))
		if h == nil {
			return g
		}
		return h
	}
	units := Partition(g)
	most, at := Peak(g, units)
	for range maxRecompute {
		if most < least {
			break
		}
		h, saved := Recompute(g, from(g, units, at))
		if saved < most/16 {
			break
		}
		again := Partition(h)
		less, then := Peak(h, again)
		if less > most-most/16 {
			break
		}
		g, units, most, at = h, again, less, then
	}
	return g
}

const maxRecompute = 8

// from marks the nodes of the units from a position on.
func from(g *ir.Graph, units []*Unit, at int) []bool {
	late := make([]bool, len(g.Nodes))
	for _, u := range units[at:] {
		for _, n := range u.Nodes {
			late[n.ID] = true
		}
	}
	for _, n := range g.Nodes { // what has no unit
		if Transparent(n) || Alias(n) {
			late[n.ID] = late[n.ID] || late[n.In[0].ID]
		}
	}
	return late
}

// Peak returns the most bytes that are alive at once as the units run, without parameters, constants and outputs of the
// graph, and when that is.
func Peak(g *ir.Graph, units []*Unit) (bytes, at int) {
	last := map[*ir.Node]int{}
	for i, u := range units {
		for _, n := range u.Out {
			last[n] = i
		}
	}
	for i, u := range units {
		u.Reads(func(n *ir.Node) { last[n] = i })
	}
	for _, n := range g.Nodes {
		if n.Op == compute.OpTypeParameter || n.Op == compute.OpTypeConstant {
			delete(last, n)
		}
	}
	for _, n := range g.Outputs {
		delete(last, Root(n))
	}
	ends := make([]int, len(units))
	for n, i := range last {
		ends[i] += n.Bytes()
	}
	now := 0
	for i, u := range units {
		for _, n := range u.Out {
			if _, ok := last[n]; ok {
				now += n.Bytes()
			}
		}
		if now > bytes {
			bytes, at = now, i
		}
		now -= ends[i]
	}
	return bytes, at
}
