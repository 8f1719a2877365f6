package pass

import (
	"slices"

	"github.com/gomlx/compute"
	"github.com/gomlx/compute/dtypes"

	"github.com/smalti/smalti/engine/cpu/ir"
)

// Bands returns a graph of the same results in which large maps, of more than band bytes, are computed band by band where
// something between them would otherwise be as large: the normalised map that a convolution reads, an enlarged map, the
// squares that a norm's variance adds up, a convolution's result before it is added to something. Only what others need whole
// stays a map: what a statistic is taken of and read again, what enters attention. Such a value becomes one ir.OpBands.
//
// Bands change no bit: convolutions are cut at multiples of four rows, where Winograd's tiles begin, and read the rows around;
// sums over all positions are cut where the engine cuts them anyway (ReducePart), and the parts added up as before.
// Batches of several pictures stay whole. It decides by shapes alone.
func Bands(g *ir.Graph, band int) *ir.Graph {
	b := bander{partition: newPartition(g), band: band, info: make([]bandInfo, len(g.Nodes)), copies: make([]*ir.Node, len(g.Nodes)), out: ir.New()}
	for _, n := range b.live {
		b.info[n.ID] = b.decide(n)
	}
	for _, n := range b.live {
		if !b.info[n.ID].passing {
			b.copies[n.ID] = b.rewrite(n)
		}
	}
	for _, n := range g.Params {
		b.out.Params = append(b.out.Params, b.copies[n.ID])
	}
	for _, n := range g.Outputs {
		b.out.Outputs = append(b.out.Outputs, b.value(n, map[*ir.Node]*ir.Node{}))
	}
	return b.out
}

// ReducePart is how many rows of inner elements a sum over rows adds up apart, before the parts are added up in the same way:
// about 16 Ki elements, at least 8 rows, so that there are fewer parts than rows.
func ReducePart(inner int) int { return max(8, (16<<10)/inner) }

type bander struct {
	*partition
	band   int
	info   []bandInfo // by number
	copies []*ir.Node // by number: in the new graph
	out    *ir.Graph
}

// bandInfo is what is known of a map.
type bandInfo struct {
	passing bool       // never whole in memory: computed where it is read
	conv    bool       // made by a convolution that is passing
	maps    []*ir.Node // maps in memory that it is made of
}

// kind is how an operation can be computed for a band of its rows.
type kind uint8

const (
	kindOther   kind = iota
	kindEach         // elementwise
	kindReshape      // of whole rows
	kindSpread       // broadcast, along rows and others
	kindConv         // stride 1
	kindPair         // sum over axes within rows
	kindSum          // over all rows
)

// rowAxis is the axis of a map's rows, the first of more than one element, or -1.
func rowAxis(n *ir.Node) int {
	for i, d := range n.Shape.Dimensions {
		if d > 1 {
			if i == n.Shape.Rank()-1 {
				return -1
			}
			return i
		}
	}
	return -1
}

func rows(n *ir.Node) int { return n.Shape.Dimensions[rowAxis(n)] }

// rowSize is the number of elements of a row.
func rowSize(n *ir.Node) int { return n.Size() / rows(n) }

// isMap reports whether a node is larger than a band and has rows.
func (b *bander) isMap(n *ir.Node) bool {
	d := n.Shape.DType
	return (d == dtypes.Float32 || d == dtypes.Bool) && 4*n.Size() > b.band && rowAxis(n) >= 0
}

// kind of a node that is a map, or the sum of one.
func (b *bander) kind(n *ir.Node) kind {
	switch {
	case n.Op == compute.OpTypeReduceSum && n.Shape.DType == dtypes.Float32 && b.isMap(n.In[0]):
		return b.sumKind(n)
	case !b.isMap(n):
	case Elementwise(n):
		return kindEach
	case n.Op == compute.OpTypeReshape && rowAxis(n.In[0]) >= 0:
		from, to := rowSize(n.In[0]), rowSize(n)
		if from%to == 0 || to%from == 0 {
			return kindReshape
		}
	case n.Op == compute.OpTypeBroadcastInDim:
		return kindSpread
	case n.Op == compute.OpTypeConvGeneral && isBandConv(n):
		return kindConv
	}
	return kindOther
}

// sumKind tells sums within rows from sums over all of them.
func (b *bander) sumKind(n *ir.Node) kind {
	x, axes := n.In[0], n.Attr.(ir.Axes).Axes
	at := rowAxis(x)
	first, last := slices.Min(axes), slices.Max(axes)
	if first > at {
		if at == rowAxis(n) && rows(n) == rows(x) && rowAxis(n) < n.Shape.Rank()-1 {
			return kindPair
		}
		return kindOther
	}
	for i := range last + 1 {
		if x.Shape.Dimensions[i] > 1 && !slices.Contains(axes, i) {
			return kindOther
		}
	}
	if n.Size() < 2 || x.Size()/n.Size() <= 2*ReducePart(n.Size()) {
		return kindOther
	}
	return kindSum
}

// isBandConv reports whether a convolution keeps the rows' places: one picture, channels last, stride 1, no dilation, odd kernels.
func isBandConv(n *ir.Node) bool {
	a := n.Attr.(ir.Conv)
	ones := []int{1, 1}
	x := a.Axes
	return n.Shape.DType == dtypes.Float32 && a.Groups == 1 && a.BGroups <= 1 &&
		slices.Equal(a.Strides, ones) && slices.Equal(a.InDilate, ones) && slices.Equal(a.Dilate, ones) &&
		x.InputBatch == 0 && x.InputChannels == 3 && slices.Equal(x.InputSpatial, []int{1, 2}) &&
		x.OutputBatch == 0 && x.OutputChannels == 3 && slices.Equal(x.OutputSpatial, []int{1, 2}) &&
		rowAxis(n) == 1 && rowAxis(n.In[0]) == 1 && n.In[1].Shape.Dimensions[x.KernelSpatial[0]]%2 == 1 && n.In[1].Shape.Dimensions[x.KernelSpatial[1]]%2 == 1
}

// readers are the nodes that read n, seen through reshapes that are passing or may be.
func (b *bander) readers(n *ir.Node) (all []*ir.Node) {
	for _, u := range b.users[n.ID] {
		if u.Op == compute.OpTypeReshape && !b.out0(u) && b.kind(u) == kindReshape {
			all = append(all, b.readers(u)...)
			continue
		}
		all = append(all, u)
	}
	return all
}

func (b *bander) out0(n *ir.Node) bool { return b.partition.out[n.ID] }

// decide says whether a node is in memory. Elementwise operations on one map are not, if all readers can do without; what
// is made of several maps, or of a convolution, has one reader, or is in memory.
func (b *bander) decide(n *ir.Node) bandInfo {
	whole := bandInfo{maps: []*ir.Node{n}}
	k := b.kind(n)
	if !b.isMap(n) || k == kindOther {
		return whole
	}
	var in bandInfo
	for _, x := range n.In {
		if !b.isMap(x) {
			continue
		}
		i := b.info[x.ID]
		in.conv = in.conv || i.conv
		for _, m := range i.maps {
			if !slices.Contains(in.maps, m) {
				in.maps = append(in.maps, m)
			}
		}
	}
	if b.out0(n) {
		if k == kindReshape && !b.info[n.In[0].ID].passing {
			in.passing = true // shows what is in memory
			return in
		}
		return whole
	}
	readers := b.readers(n)
	one := len(readers) == 1
	elementwise := one && b.kind(readers[0]) == kindEach && readers[0].Size() == n.Size()
	in.passing = !slices.ContainsFunc(readers, func(u *ir.Node) bool { return !b.absorbs(u, n) })
	switch k {
	case kindReshape:
		in.passing = true
		return in
	case kindConv:
		in.passing = elementwise || one && b.kind(readers[0]) == kindPair
		in.conv, in.maps = true, nil
	case kindPair:
		return whole
	case kindEach, kindSpread:
		if in.conv || len(in.maps) > 1 && !(one && b.kind(readers[0]) == kindSum) {
			in.passing = elementwise
		}
	}
	if !in.passing {
		return whole
	}
	return in
}

// absorbs reports whether a reader can compute bands of its operand n for itself.
func (b *bander) absorbs(u, n *ir.Node) bool {
	k := b.kind(u)
	for i, x := range u.In {
		if Root(x) != Root(n) {
			continue
		}
		switch k {
		case kindEach, kindSpread:
			if !along(u, x) {
				return false
			}
		case kindConv:
			if i > 0 {
				return false
			}
		}
	}
	return k == kindEach || k == kindSpread || k == kindPair || k == kindSum || k == kindConv
}

// along reports whether a row of an elementwise operation or broadcast n needs one row of its operand x, not all of it.
func along(n, x *ir.Node) bool {
	at := rowAxis(n)
	if n.Op == compute.OpTypeBroadcastInDim {
		i := slices.Index(n.Attr.(ir.Axes).Axes, at)
		return i >= 0 && x.Shape.Dimensions[i] > 1
	}
	return x.Shape.Rank() == n.Shape.Rank() && x.Shape.Dimensions[at] > 1
}

// rewrite copies a node that is in memory, as bands where that saves a map.
func (b *bander) rewrite(n *ir.Node) *ir.Node {
	k := b.kind(n)
	x := n
	if len(n.In) > 0 {
		x = n.In[0]
	}
	passes := func(x *ir.Node) bool { // something other than a view
		for x.Op == compute.OpTypeReshape && b.info[x.ID].passing {
			x = x.In[0]
		}
		return b.info[x.ID].passing
	}
	switch {
	case k == kindSum && passes(x):
		return b.sumBands(n)
	case k == kindConv && passes(x), k == kindPair && passes(x), k == kindEach && b.hasConv(n):
		return b.rowBands(n)
	}
	private := map[*ir.Node]*ir.Node{}
	in := make([]*ir.Node, len(n.In))
	for i, x := range n.In {
		in[i] = b.value(x, private)
	}
	return b.add(n, in)
}

func (b *bander) hasConv(n *ir.Node) bool {
	return slices.ContainsFunc(n.In, func(x *ir.Node) bool { return b.isMap(x) && b.info[x.ID].passing && b.info[x.ID].conv })
}

func (b *bander) add(n *ir.Node, in []*ir.Node) *ir.Node {
	m := b.out.AddUnique(n.Op, n.Shape, n.Attr, in...)
	m.Late = n.Late
	return m
}

// value returns the node of the new graph for n; what is passing is copied for each reader.
func (b *bander) value(n *ir.Node, private map[*ir.Node]*ir.Node) *ir.Node {
	if !b.info[n.ID].passing {
		return b.copies[n.ID]
	}
	if m := private[n]; m != nil {
		return m
	}
	in := make([]*ir.Node, len(n.In))
	for i, x := range n.In {
		in[i] = b.value(x, private)
	}
	private[n] = b.add(n, in)
	return private[n]
}
