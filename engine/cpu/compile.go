package cpu

import (
	"fmt"
	"slices"

	"github.com/gomlx/compute"
	"github.com/gomlx/compute/dtypes"

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
	bands int   // bytes of the largest arena of a band

	chooses map[*ir.Node]bool // see choosing; nil before it is asked for
}

func compile(b *Backend, name string, g *ir.Graph) (*Executable, error) {
	if !b.plain {
		pass.Samples(g)
		pass.Activations(g)
		pass.Softmaxes(g)
	}
	pass.Biases(g)
	if b.bands > 0 && len(lateParams(g)) > 0 {
		g = pass.Segments(g, lateParams(g), b.bands/16)
	}
	g = pass.LessKept(g, lateParams(g), b.recompute)
	if b.bands > 0 {
		g = pass.Bands(g, b.bands)
	}
	return assemble(b, name, g)
}

// assemble turns a graph that the passes are done with into an executable.
func assemble(b *Backend, name string, g *ir.Graph) (*Executable, error) {
	if err := g.Verify(); err != nil {
		return nil, fmt.Errorf("after the passes: %w", err)
	}
	c := &compiler{b: b, g: g, e: &Executable{backend: b, name: name, params: g.Params, outputs: g.Outputs}, at: make([]int, len(g.Nodes))}
	for i := range c.at {
		c.at[i] = -1
	}
	c.units = pass.Partition(g, lateParams(g)...)
	if !b.plain {
		c.units = pass.FuseRows(g, c.units)
	}
	c.e.late = len(c.units)
	if i := slices.IndexFunc(c.units, func(u *pass.Unit) bool { return u.Late }); i >= 0 {
		c.e.late = i
	}
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
	c.e.memory.Arena += c.bands
	return c.e, nil
}

// LatePrefix begins the names of parameters that Start does without.
const LatePrefix = "late:"

// lateParams are the parameters that are not there at first.
func lateParams(g *ir.Graph) (late []*ir.Node) {
	for _, p := range g.Params {
		if isLate(p) {
			late = append(late, p)
		}
	}
	return late
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
	c.findPacked()
	late := pass.Late(c.g, lateParams(c.g))
	for i, o := range c.g.Outputs {
		s := c.slot(o)
		out := outSlot{slot: s, late: late[o.ID], copy: c.e.slots[s].kind != inArena || c.crosses(s)}
		if !out.copy {
			c.e.slots[s].kind, c.e.slots[s].index = isOutput, i
		}
		c.e.out = append(c.e.out, out)
	}
}

// findPacked marks the parameters that are read as right operands of products alone, whose packed form holds all of them.
func (c *compiler) findPacked() {
	plain := make([]bool, len(c.e.slots))
	for _, u := range c.units {
		n := u.Nodes[0]
		if u.Cluster || n.Op != compute.OpTypeDotGeneral || n.Shape.DType != dtypes.Float32 || c.mixed(n) {
			u.Reads(func(n *ir.Node) { plain[c.slot(n)] = true })
			continue
		}
		d := newDot(n.In[0].Shape.Dimensions, n.In[1].Shape.Dimensions, n.Attr.(ir.Dot))
		for i, in := range n.In {
			if i != 1 || !d.wholeWeight() || d.k == 0 {
				plain[c.slot(in)] = true
			}
		}
	}
	for _, o := range c.g.Outputs {
		plain[c.slot(o)] = true
	}
	for i := range c.e.slots {
		c.e.slots[i].packed = c.e.slots[i].kind == isParam && !plain[i]
	}
}

// crosses reports whether a value is made before the late parameters are there and read afterwards.
func (c *compiler) crosses(s int) bool { return c.def[s] < c.e.late && c.last[s] >= c.e.late }

// place puts values into the arenas; results of clusters take over the memory of operands that nobody reads later. What
// waits for late parameters lies in the arena of what is kept, with all that shares its memory. In bands everything does, if that is
// clearly less than two arenas: what is kept block by block makes place for what comes after its last reader.
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
			for _, from := range c.inPlace(n, programs[i]) {
				k, ok := index[from]
				if ok && c.last[from] == i && !taken[from] && c.e.slots[from].bytes == v.Bytes {
					v.Share, taken[from] = k, true
					break
				}
			}
			index[s] = len(values)
			values = append(values, v)
		}
	}
	first := make([]int, len(values)) // of those that share a value's memory
	kept := make([]bool, len(values)) // by the first
	for s, k := range index {
		for first[k] = k; values[first[k]].Share >= 0; {
			first[k] = values[first[k]].Share
		}
		kept[first[k]] = kept[first[k]] || c.crosses(s)
	}
	c.lay(values, index, first, kept)
}

// lay gives the values of slots their places: index is the slot's value, first the first of those that share its memory, kept whether that
// one lies in the arena of what is kept.
func (c *compiler) lay(values []plan.Value, index map[int]int, first []int, kept []bool) {
	var short, long []plan.Value
	at := make([]int, len(values)) // among the short or the long ones
	for k, v := range values {
		part := &short
		if kept[first[k]] {
			part = &long
		}
		if at[k] = len(*part); v.Share >= 0 {
			v.Share = at[v.Share]
		}
		*part = append(*part, v)
	}
	var inArena, inKept []int // offsets
	inArena, c.e.arena = plan.Place(short, alignment)
	inKept, c.e.kept = plan.Place(long, alignment)
	if c.b.bands > 0 && c.e.kept > 0 {
		if all, size := plan.Place(values, alignment); size < (c.e.arena+c.e.kept)*7/8 {
			for s, k := range index {
				c.e.slots[s].kind, c.e.slots[s].index = isKept, all[k]
			}
			c.e.arena, c.e.kept = 0, size
			return
		}
	}
	for s, k := range index {
		if kept[first[k]] {
			c.e.slots[s].kind, c.e.slots[s].index = isKept, inKept[at[k]]
		} else {
			c.e.slots[s].index = inArena[at[k]]
		}
	}
}

// inPlace lists the slots of operands whose place the value of a unit may take.
func (c *compiler) inPlace(n *ir.Node, p *program) (slots []int) {
	if p != nil {
		return p.inPlace(n)
	}
	if a, ok := n.Attr.(*ir.Bands); ok {
		for _, i := range a.InPlace {
			slots = append(slots, c.slot(n.In[i]))
		}
	}
	return slots
}
