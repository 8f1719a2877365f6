package pass

import (
	"github.com/gomlx/compute"
	"github.com/gomlx/compute/dtypes"

	"github.com/smalti/smalti/engine/cpu/ir"
)

// Samples makes one operation of a sum of looked up rows that are each multiplied with a number, and one of the gradient
// of that for the table: a bilinear warp is four such rows. It changes the nodes of the sums.
func Samples(g *ir.Graph) {
	live := g.Live()
	s := samples{uses: usesOf(g, live)}
	for i := len(live) - 1; i >= 0; i-- {
		n := live[i]
		if n.Op != compute.OpTypeAdd || n.Shape.DType != dtypes.Float32 || n.Size() == 0 || s.inside[n] {
			continue
		}
		terms := s.terms(n, nil, true)
		if in := s.gathered(terms); in != nil {
			n.Op, n.In = ir.OpSample, in
		} else if in := s.scattered(terms); in != nil {
			n.Op, n.In = ir.OpSpread, in
		} else {
			continue
		}
		s.claim(terms)
	}
}

// usesOf counts the readers of each node, by number; outputs have two more.
func usesOf(g *ir.Graph, live []*ir.Node) []int {
	uses := make([]int, len(g.Nodes))
	for _, n := range live {
		for _, in := range n.In {
			uses[in.ID]++
		}
	}
	for _, n := range g.Outputs {
		uses[n.ID] += 2
	}
	return uses
}

type samples struct {
	uses   []int
	inside map[*ir.Node]bool // sums that are part of one that was replaced
}

// terms lists the operands of a sum ((a+b)+c)+..., whose inner sums nobody else reads, in order.
func (s *samples) terms(n *ir.Node, to []*ir.Node, root bool) []*ir.Node {
	if n.Op != compute.OpTypeAdd || !root && s.uses[n.ID] != 1 {
		return append(to, n)
	}
	return append(s.terms(n.In[0], to, false), n.In[1])
}

func (s *samples) claim(terms []*ir.Node) {
	if s.inside == nil {
		s.inside = map[*ir.Node]bool{}
	}
	for _, t := range terms {
		s.inside[t] = true
	}
}

// gathered returns the operands of OpSample if the terms are rows of one table times numbers, else nil.
func (s *samples) gathered(terms []*ir.Node) []*ir.Node {
	if len(terms) < 2 {
		return nil
	}
	var in []*ir.Node
	for _, t := range terms {
		row, weight := s.scaled(t, func(x *ir.Node) bool { return x.Op == compute.OpTypeGather && s.uses[x.ID] == 1 && isRowGather(x) })
		if row == nil {
			return nil
		}
		if in == nil {
			in = append(in, row.In[0])
		}
		if in[0] != row.In[0] {
			return nil
		}
		in = append(in, row.In[1], weight)
	}
	return in
}

// scattered returns the operands of OpSpread if the terms are scatters of one array of rows times numbers, else nil.
func (s *samples) scattered(terms []*ir.Node) []*ir.Node {
	if len(terms) < 2 {
		return nil
	}
	var in []*ir.Node
	for _, t := range terms {
		if t.Op != compute.OpTypeScatterSum || s.uses[t.ID] != 1 || !isRowScatter(t) {
			return nil
		}
		rows, weight := s.scaled(t.In[2], func(x *ir.Node) bool { return in == nil || x == in[0] })
		if rows == nil {
			return nil
		}
		if in == nil {
			in = append(in, rows)
		}
		in = append(in, t.In[1], weight)
	}
	return in
}

// scaled takes a product that nobody else reads apart: an operand of its shape that is wanted, and one with a number for
// each row of that.
func (s *samples) scaled(n *ir.Node, wanted func(x *ir.Node) bool) (rows, weight *ir.Node) {
	if n.Op != compute.OpTypeMul || s.uses[n.ID] != 1 {
		return nil, nil
	}
	for i, x := range n.In {
		if !x.Shape.Equal(n.Shape) || !wanted(x) {
			continue
		}
		if v := Leaf(n.In[1-i], n); numberForEachRow(v, n) {
			return x, v.Node
		}
	}
	return nil, nil
}

// numberForEachRow reports whether a view reads one number for each row of n, in order.
func numberForEachRow(v View, n *ir.Node) bool {
	d := n.Shape.Dimensions
	last := len(d) - 1
	if len(v.Dims) != len(d) || last < 1 || v.Strides[last] != 0 || d[last] < 2 || v.Node.Size()*d[last] != n.Size() {
		return false
	}
	step := 1
	for i := last - 1; i >= 0; i-- {
		if d[i] != 1 && v.Strides[i] != step {
			return false
		}
		step *= d[i]
	}
	return true
}

// isRowGather reports whether n looks up whole rows of a table [r,c] by single int32 numbers.
func isRowGather(n *ir.Node) bool {
	a, table, index := n.Attr.(ir.Gather), n.In[0].Shape.Dimensions, n.In[1].Shape
	last := n.Shape.Rank() - 1
	return len(table) == 2 && table[0] > 0 && index.DType == dtypes.Int32 && isOnly(a.Collapsed, 0) && isOnly(a.StartMap, 0) &&
		a.SliceSizes[1] == table[1] && isOnly(a.Offset, last) && a.IndexAxis == index.Rank()-1 && index.Dimensions[a.IndexAxis] == 1
}

// isRowScatter reports whether n adds whole rows to a table of zeros at places that are single int32 numbers.
func isRowScatter(n *ir.Node) bool {
	a, index := n.Attr.(ir.Scatter), n.In[1].Shape
	return n.Shape.Rank() == 2 && isZero(n.In[0]) && index.DType == dtypes.Int32 && isOnly(a.Inserted, 0) && isOnly(a.ToAxes, 0) &&
		isOnly(a.Window, n.In[2].Shape.Rank()-1) && a.IndexAxis == index.Rank()-1 && index.Dimensions[a.IndexAxis] == 1
}

func isOnly(axes []int, axis int) bool { return len(axes) == 1 && axes[0] == axis }

// isZero reports whether n is a constant of float32 zeros of either sign, perhaps repeated.
func isZero(n *ir.Node) bool {
	for Transparent(n) {
		n = n.In[0]
	}
	c, ok := n.Attr.(*ir.Constant)
	if !ok {
		return false
	}
	for i, b := range c.Bytes {
		if i%4 == 3 {
			b &^= 0x80 // little endian: the sign
		}
		if b != 0 {
			return false
		}
	}
	return true
}
