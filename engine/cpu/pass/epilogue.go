package pass

import (
	"github.com/gomlx/compute"
	"github.com/gomlx/compute/dtypes"

	"github.com/smalti/smalti/engine/cpu/ir"
)

// Biases gives matrix products and convolutions whose only use is to have a row of channels added a third operand, the
// row: the sum costs no pass over memory then. It changes the nodes of the sums.
func Biases(g *ir.Graph) {
	live := g.Live()
	uses := make([]int, len(g.Nodes))
	for _, n := range live {
		for _, in := range n.In {
			uses[in.ID]++
		}
	}
	for _, n := range g.Outputs {
		uses[n.ID] += 2
	}
	for _, n := range live {
		if n.Op != compute.OpTypeAdd || n.Shape.DType != dtypes.Float32 || n.Size() == 0 {
			continue
		}
		for i, m := range n.In {
			if uses[m.ID] != 1 || len(m.In) != 2 || !m.Shape.EqualDimensions(n.Shape) || !channelsLast(m) {
				continue
			}
			if v := Leaf(n.In[1-i], n); isRow(v, n) {
				n.Op, n.Attr, n.In = m.Op, m.Attr, []*ir.Node{m.In[0], m.In[1], v.Node}
				break
			}
		}
	}
}

// channelsLast reports whether m is a product or convolution whose last axis is that of the output channels.
func channelsLast(m *ir.Node) bool {
	last := m.Shape.Rank() - 1
	switch m.Op {
	case compute.OpTypeDotGeneral:
		d := m.Attr.(ir.Dot)
		r := m.In[1].Shape.Rank()
		return last >= 0 && r-len(d.RContract)-len(d.RBatch) == 1
	case compute.OpTypeConvGeneral:
		return m.Attr.(ir.Conv).Axes.OutputChannels == last
	}
	return false
}

// isRow reports whether a view repeats one row of n's last axis. The row must be a vector where it comes from: one row of a
// batch of one is a row of its batch, which a larger batch would add in another place, and round otherwise.
func isRow(v View, n *ir.Node) bool {
	last := n.Shape.Rank() - 1
	for i, s := range v.Strides {
		if i < last && s != 0 && v.Dims[i] != 1 {
			return false
		}
	}
	return v.Node.Shape.Rank() == 1 && len(v.Dims) == last+1 && v.Dims[last] > 1 && v.Strides[last] == 1 && v.Node.Size() == v.Dims[last]
}
