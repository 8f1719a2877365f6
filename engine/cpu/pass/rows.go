package pass

import (
	"slices"

	"github.com/gomlx/compute"
	"github.com/gomlx/compute/dtypes"

	"github.com/smalti/smalti/engine/cpu/ir"
)

// Row clusters: elementwise clusters together with the reductions between them over whole trailing axes. A tile of a row
// cluster is some rows; a reduction gives a number for each. Softmax, layer norm, their like and their derivatives run in one
// pass over memory this way.

// Bounds of row clusters. Shorter rows are not worth a call of a kernel each. Longer rows leave the caches; up to here a sum
// is one fold, so a row cluster gives the bits of the operations one by one.
const (
	minRow        = 16
	maxRow        = 8 << 10
	maxRowCluster = 128 // operations
)

// RowLength returns the length of the rows that n reduces if a row cluster may hold it, else 0.
func RowLength(n *ir.Node) int {
	switch n.Op {
	case compute.OpTypeReduceSum, compute.OpTypeReduceMax, compute.OpTypeReduceMin:
	default:
		return 0
	}
	if n.Shape.DType != dtypes.Float32 || n.Size() == 0 {
		return 0
	}
	dims, axes := n.In[0].Shape.Dimensions, n.Attr.(ir.Axes).Axes
	length, kept := 1, false
	for i := len(dims) - 1; i >= 0; i-- {
		switch {
		case dims[i] == 1:
		case !slices.Contains(axes, i):
			kept = true
		case kept:
			return 0
		default:
			length *= dims[i]
		}
	}
	if length < minRow || length > maxRow {
		return 0
	}
	return length
}

// Operand is operand i of a node of a cluster: what an elementwise operation reads through broadcasts and reshapes, and the
// whole operand of a reduction.
func Operand(n *ir.Node, i int) View {
	if Elementwise(n) {
		return Leaf(n.In[i], n)
	}
	d := n.In[i].Shape.Dimensions
	return View{Node: Root(n.In[i]), Dims: d, Strides: broadcastStrides(d, d)}
}

// fusion merges units to row clusters.
type fusion struct {
	units []*Unit // merged ones stay
	at    []int   // by node number: its unit, or -1
	next  [][]int // by unit: those that read its results, may name merged ones
	prev  [][]int
	into  []int // by unit: the one it was merged into, or itself
}

// FuseRows merges reductions of rows with the clusters around them wherever nothing outside would wait for itself.
func FuseRows(g *ir.Graph, units []*Unit) []*Unit {
	f := newFusion(units, len(g.Nodes))
	var seeds []int
	for i, u := range units {
		if u.Row = f.seed(u); u.Row > 0 {
			seeds = append(seeds, i)
		}
	}
	for _, i := range seeds {
		f.grow(i)
	}
	var out []*Unit
	for i, u := range units {
		if f.into[i] != i {
			continue
		}
		if len(u.Nodes) == 1 && !u.Cluster {
			u.Row = 0 // a reduction alone
		}
		u.Cluster = u.Cluster || u.Row > 0
		out = append(out, u)
	}
	f.outs(g, out)
	return sortUnits(out)
}

func newFusion(units []*Unit, nodes int) *fusion {
	f := &fusion{units: units, at: make([]int, nodes), next: make([][]int, len(units)), prev: make([][]int, len(units)), into: make([]int, len(units))}
	for i := range f.at {
		f.at[i] = -1
	}
	for i, u := range units {
		f.into[i] = i
		for _, n := range u.Nodes {
			f.at[n.ID] = i
		}
	}
	for i, u := range units {
		u.Reads(func(n *ir.Node) {
			if j := f.at[n.ID]; j >= 0 {
				f.next[j], f.prev[i] = append(f.next[j], i), append(f.prev[i], j)
			}
		})
	}
	return f
}

// seed is the length of the rows of a unit that a row cluster can grow from, else 0.
func (f *fusion) seed(u *Unit) int {
	if u.Cluster {
		return 0
	}
	return RowLength(u.Nodes[0])
}

// outs drops the results of merged units that nobody outside reads any more.
func (f *fusion) outs(g *ir.Graph, units []*Unit) {
	needed := make([]bool, len(f.at))
	for _, n := range g.Outputs {
		needed[Root(n).ID] = true
	}
	for _, u := range units {
		u.Reads(func(n *ir.Node) { needed[n.ID] = true })
	}
	for _, u := range units {
		u.Out = slices.DeleteFunc(u.Out, func(n *ir.Node) bool { return !needed[n.ID] })
	}
}

// grow merges the neighbours of unit i into it until none fits.
func (f *fusion) grow(i int) {
	for merged := true; merged; {
		merged = false
		i = f.find(i)
		for _, list := range [][]int{f.prev[i], f.next[i]} {
			for _, j := range list {
				if j = f.find(j); j != i && f.fits(i, j) && !f.around(i, j) && !f.around(j, i) {
					f.merge(i, j)
					merged = true
				}
			}
			if merged {
				break
			}
		}
	}
}

func (f *fusion) find(i int) int {
	for f.into[i] != i {
		i = f.into[i]
	}
	return i
}

// size is the number of elements of the rows of a row cluster together.
func (u *Unit) size() int {
	for _, n := range u.Nodes {
		if !Elementwise(n) {
			return n.In[0].Size()
		}
	}
	return u.Nodes[0].Size()
}

// fits reports whether row cluster i may take in unit j.
func (f *fusion) fits(i, j int) bool {
	u, v := f.units[i], f.units[j]
	if len(u.Nodes)+len(v.Nodes) > maxRowCluster || u.Late != v.Late || !v.Cluster && v.Row == 0 {
		return false
	}
	size := u.size()
	if v.Row > 0 && (v.Row != u.Row || v.size() != size) {
		return false
	}
	if v.Row == 0 && v.Nodes[0].Size() != size && v.Nodes[0].Size() != size/u.Row {
		return false
	}
	inside := func(n *ir.Node) bool { k := f.at[n.ID]; return k >= 0 && (f.find(k) == i || f.find(k) == j) }
	for _, w := range []*Unit{u, v} {
		for _, n := range w.Nodes {
			for k := range n.In {
				if o := Operand(n, k); inside(o.Node) && !seenWhole(o, n, u.Row) {
					return false
				}
			}
		}
	}
	return true
}

// seenWhole reports whether node n of a row cluster reads a value of the cluster in order: element by element, or, by a row,
// one number for each row.
func seenWhole(v View, n *ir.Node, row int) bool {
	each := 1 // elements of n for one of the value
	if Elementwise(n) && v.Node.Size() != n.Size() {
		each = row
		if v.Node.Size()*row != n.Size() || v.Node.Shape.DType == dtypes.Bool {
			return false
		}
	}
	run := 1
	for i := len(v.Dims) - 1; i >= 0; i-- {
		d := v.Dims[i]
		if d == 1 {
			continue
		}
		if run < each && (v.Strides[i] != 0 || run*d > each) || run >= each && v.Strides[i] != run/each {
			return false
		}
		run *= d
	}
	return true
}

// around reports whether a way leads from unit i to unit j through others.
func (f *fusion) around(i, j int) bool {
	seen := make([]bool, len(f.units))
	var reaches func(k int) bool
	reaches = func(k int) bool {
		for _, m := range f.next[k] {
			if m = f.find(m); m == j {
				if k != i {
					return true
				}
			} else if !seen[m] && m != i {
				seen[m] = true
				if reaches(m) {
					return true
				}
			}
		}
		return false
	}
	return reaches(i)
}

func (f *fusion) merge(i, j int) {
	u, v := f.units[i], f.units[j]
	f.into[j] = i
	u.key = max(u.key, v.key)
	u.Nodes = append(u.Nodes, v.Nodes...)
	slices.SortFunc(u.Nodes, func(a, b *ir.Node) int { return a.ID - b.ID })
	u.Out = append(u.Out, v.Out...)
	f.next[i], f.prev[i] = append(f.next[i], f.next[j]...), append(f.prev[i], f.prev[j]...)
}
