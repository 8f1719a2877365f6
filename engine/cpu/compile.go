package cpu

import (
	"fmt"

	"github.com/gomlx/compute"

	"github.com/smalti/smalti/engine/cpu/ir"
	"github.com/smalti/smalti/engine/cpu/pass"
	"github.com/smalti/smalti/engine/cpu/plan"
)

// compiler turns a graph into an Executable.
type compiler struct {
	b     *Backend
	g     *ir.Graph
	e     *Executable
	at    []int // by node number: its slot, or -1
	units []*pass.Unit
	last  []int // by slot: the last unit that reads it
	def   []int // by slot: the unit that writes it

	chooses map[*ir.Node]bool // see choosing; nil before it is asked for
}

func compile(b *Backend, name string, g *ir.Graph) (*Executable, error) {
	if !b.plain {
		pass.Samples(g)
	}
	pass.Biases(g)
	g = pass.LessKept(g, nil, b.recompute)
	c := &compiler{b: b, g: g, e: &Executable{backend: b, name: name, params: g.Params, outputs: g.Outputs}, at: make([]int, len(g.Nodes))}
	for i := range c.at {
		c.at[i] = -1
	}
	c.units = pass.Partition(g)
	c.makeSlots()
	programs := make([]*program, len(c.units))
	for i, u := range c.units {
		if u.Cluster {
			programs[i] = newProgram(c, u)
		}
	}
	c.place(programs)
	c.e.memory = c.report()
	for i, u := range c.units {
		t, err := c.thunk(u, programs[i])
		if err != nil {
			return nil, err
		}
		c.e.thunks = append(c.e.thunks, t)
	}
	return c.e, nil
}

// slot is where the value of a node is found.
func (c *compiler) slot(n *ir.Node) int {
	s := c.at[pass.Root(n).ID]
	if s < 0 {
		panic(fmt.Errorf("node %d (%s) is not in memory", n.ID, n.Name()))
	}
	return s
}

// makeSlots gives a slot to every value that is in memory, and finds out which live in outputs.
func (c *compiler) makeSlots() {
	add := func(n *ir.Node, s slot) {
		s.bytes = n.Bytes()
		c.at[n.ID] = len(c.e.slots)
		c.e.slots = append(c.e.slots, s)
		c.def, c.last = append(c.def, -1), append(c.last, -1)
	}
	for _, n := range c.g.Live() {
		switch n.Op {
		case compute.OpTypeParameter:
			add(n, slot{kind: isParam, index: n.Attr.(ir.Parameter).Index})
		case compute.OpTypeConstant:
			add(n, slot{kind: isConst, data: n.Attr.(*ir.Constant).Bytes})
		}
	}
	for i, u := range c.units {
		for _, n := range u.Out {
			add(n, slot{kind: inArena})
			c.def[c.at[n.ID]] = i
			c.last[c.at[n.ID]] = i
		}
	}
	for i, u := range c.units {
		u.Reads(func(n *ir.Node) { c.last[c.slot(n)] = i })
	}
	for i, o := range c.g.Outputs {
		s := c.slot(o)
		if c.e.slots[s].kind == inArena {
			c.e.slots[s].kind, c.e.slots[s].index = isOutput, i
			c.e.out = append(c.e.out, outSlot{slot: s})
			continue
		}
		c.e.out = append(c.e.out, outSlot{slot: s, copy: true})
	}
}

// place puts values into the arena; results of clusters take over the memory of operands that nobody reads later.
func (c *compiler) place(programs []*program) {
	var values []plan.Value
	index := map[int]int{} // slot -> value
	taken := map[int]bool{}
	for i, u := range c.units {
		for _, n := range u.Out {
			s := c.at[n.ID]
			if c.e.slots[s].kind != inArena {
				continue
			}
			v := plan.Value{Bytes: c.e.slots[s].bytes, Def: i, Last: c.last[s], Share: -1}
			if programs[i] != nil {
				for _, from := range programs[i].inPlace(n) {
					k, ok := index[from]
					if ok && c.last[from] == i && !taken[from] && c.e.slots[from].bytes == v.Bytes {
						v.Share, taken[from] = k, true
						break
					}
				}
			}
			index[s] = len(values)
			values = append(values, v)
		}
	}
	offsets, size := plan.Place(values, alignment)
	for s, k := range index {
		c.e.slots[s].index = offsets[k]
	}
	c.e.arena = size
}
