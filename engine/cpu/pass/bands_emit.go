package pass

import (
	"slices"

	"github.com/gomlx/compute"
	"github.com/gomlx/compute/shapes"

	"github.com/smalti/smalti/engine/cpu/ir"
)

// group is one ir.OpBands as it is made.
type group struct {
	*bander
	root     *ir.Node
	operands []*ir.Node // of the old graph
	index    map[*ir.Node]int
	graphs   map[string]*ir.Graph
	attr     *ir.Bands
}

// span is a range of rows.
type span struct{ lo, hi int }

// rowBands computes a node by bands of its rows.
func (b *bander) rowBands(n *ir.Node) *ir.Node {
	s := b.newGroup(n)
	grid, widest := rowSize(n), n.Size() // elements of n that a band has a multiple of, and of the largest map
	s.walk(n, func(m *ir.Node) {
		if m.Op != compute.OpTypeConvGeneral {
			return
		}
		widest = max(widest, m.Size())
		all := gcd(m.Size(), n.Size())
		tiles, over, under := 4*rowSize(m), n.Size()/all, m.Size()/all
		grid = lcm(grid, tiles/gcd(tiles, under)*over)
	})
	step := max(1, b.band/4*n.Size()/widest/grid) * grid / rowSize(n)
	for lo := 0; lo < rows(n); lo += step {
		hi := min(lo+step, rows(n))
		s.band(lo*rowSize(n), hi*rowSize(n), func(e *emitter) *ir.Node { return e.compute(n, span{lo, hi}) })
	}
	return s.node(n.Shape)
}

// sumBands computes a sum over all positions: the parts by bands, then their sum.
func (b *bander) sumBands(n *ir.Node) *ir.Node {
	s := b.newGroup(n)
	x, inner := n.In[0], n.Size()
	length := x.Size() / inner
	part := ReducePart(inner)
	parts := (length + part - 1) / part
	rows := rowSize(x) / inner // positions of a row of x, or x's rows are longer than positions
	step := max(1, b.band/4/inner/part)
	for lo := 0; lo < parts; lo += step {
		hi := min(lo+step, parts)
		if full := length / part; lo < full { // the last, shorter part is a band of its own
			hi = min(hi, full)
		}
		first, last := lo*part, min(hi*part, length)
		s.band(lo*inner, hi*inner, func(e *emitter) *ir.Node {
			r := span{first / rows, (last + rows - 1) / rows}
			flat := e.reshape(e.rows(x, r), (r.hi-r.lo)*rows, inner)
			flat = e.slice(flat, 0, first-r.lo*rows, last-r.lo*rows)
			flat = e.reshape(flat, hi-lo, (last-first)/(hi-lo), inner)
			return e.g.Add(compute.OpTypeReduceSum, shapes.Make(n.Shape.DType, hi-lo, inner), ir.Axes{Axes: []int{1}}, flat)
		})
		lo = hi - step
	}
	sums := s.node(shapes.Make(n.Shape.DType, parts, inner))
	m := b.out.AddUnique(compute.OpTypeReduceSum, shapes.Make(n.Shape.DType, inner), ir.Axes{Axes: []int{0}}, sums)
	m.Late = n.Late
	m = b.out.AddUnique(compute.OpTypeReshape, n.Shape, nil, m)
	m.Late = n.Late
	return m
}

func (b *bander) newGroup(n *ir.Node) *group {
	return &group{bander: b, root: n, index: map[*ir.Node]int{}, graphs: map[string]*ir.Graph{}, attr: &ir.Bands{}}
}

// walk calls f with a node and those below it that are passing.
func (s *group) walk(n *ir.Node, f func(n *ir.Node)) {
	f(n)
	for _, x := range n.In {
		if s.info[x.ID].passing {
			s.walk(x, f)
		}
	}
}

// band adds a band that writes elements lo to hi and whose graph build makes.
func (s *group) band(lo, hi int, build func(e *emitter) *ir.Node) {
	e := &emitter{group: s, g: ir.New(), params: map[seen]*ir.Node{}, done: map[rowsOf]*ir.Node{}}
	e.g.Outputs = []*ir.Node{build(e)}
	key := e.g.Dump()
	if g, ok := s.graphs[key]; ok {
		e.g = g
	} else {
		s.graphs[key] = e.g
	}
	s.attr.Bands = append(s.attr.Bands, ir.Band{Graph: e.g, In: e.in, Lo: lo, Hi: hi})
}

// node adds the finished group to the new graph.
func (s *group) node(shape shapes.Shape) *ir.Node {
	in := make([]*ir.Node, len(s.operands))
	for i, x := range s.operands {
		in[i] = s.copies[x.ID]
		if Elementwise(s.root) && s.inPlace(i, shape) {
			s.attr.InPlace = append(s.attr.InPlace, i)
		}
	}
	m := s.out.AddUnique(ir.OpBands, shape, s.attr, in...)
	m.Late = s.root.Late
	return m
}

// inPlace reports whether every band reads of an operand what it writes of the result, and nothing else.
func (s *group) inPlace(operand int, shape shapes.Shape) bool {
	if x := s.operands[operand].Shape; x.DType != shape.DType || x.Size() != shape.Size() {
		return false
	}
	for _, band := range s.attr.Bands {
		for _, in := range band.In {
			if in.Operand == operand && (in.Lo != band.Lo || in.Hi != band.Hi) {
				return false
			}
		}
	}
	return true
}

// emitter makes the graph of one band.
type emitter struct {
	*group
	g      *ir.Graph
	in     []ir.BandIn
	params map[seen]*ir.Node
	done   map[rowsOf]*ir.Node
}

type rowsOf struct {
	n *ir.Node
	r span
}

// seen is a parameter: an operand seen with a shape.
type seen struct {
	in    ir.BandIn
	shape string
}

// operand returns a parameter for elements lo to hi of a value in memory, for all of it if hi is 0, seen with a shape.
func (e *emitter) operand(n *ir.Node, lo, hi int, shape shapes.Shape) *ir.Node {
	for n.Op == compute.OpTypeReshape && e.info[n.ID].passing {
		n = n.In[0]
	}
	if n.Op == compute.OpTypeConstant && hi == 0 {
		return e.g.Add(n.Op, n.Shape, n.Attr)
	}
	i, ok := e.index[n]
	if !ok {
		i = len(e.operands)
		e.index[n] = i
		e.operands = append(e.operands, n)
	}
	key := seen{ir.BandIn{Operand: i, Lo: lo, Hi: hi}, shape.String()}
	m, ok := e.params[key]
	if !ok {
		m = e.g.AddUnique(compute.OpTypeParameter, shape, ir.Parameter{Index: len(e.g.Params)})
		e.g.Params = append(e.g.Params, m)
		e.in = append(e.in, key.in)
		e.params[key] = m
	}
	return m
}

// withRows is a node's shape with r rows.
func withRows(n *ir.Node, r span) shapes.Shape {
	s := n.Shape.Clone()
	s.Dimensions[rowAxis(n)] = r.hi - r.lo
	return s
}

// rows returns rows of a node, from memory or computed.
func (e *emitter) rows(n *ir.Node, r span) *ir.Node {
	view := n
	for view.Op == compute.OpTypeReshape && e.info[view.ID].passing {
		view = view.In[0]
	}
	if !e.info[view.ID].passing {
		return e.operand(view, r.lo*rowSize(n), r.hi*rowSize(n), withRows(n, r))
	}
	key := rowsOf{n, r}
	m, ok := e.done[key]
	if !ok {
		m = e.compute(n, r)
		e.done[key] = m
	}
	return m
}

// compute returns rows of a node from those of its operands.
func (e *emitter) compute(n *ir.Node, r span) *ir.Node {
	switch e.kind(n) {
	case kindReshape:
		return e.view(n, r)
	case kindConv:
		return e.conv(n, r)
	case kindPair:
		return e.g.Add(n.Op, withRows(n, r), n.Attr, e.rows(n.In[0], r))
	}
	in := make([]*ir.Node, len(n.In))
	for i, x := range n.In {
		if along(n, x) {
			in[i] = e.rows(x, r)
		} else {
			in[i] = e.operand(x, 0, 0, x.Shape)
		}
	}
	return e.g.Add(n.Op, withRows(n, r), n.Attr, in...)
}

// view returns rows of a reshape.
func (e *emitter) view(n *ir.Node, r span) *ir.Node {
	x := n.In[0]
	from, to := rowSize(x), rowSize(n)
	have := span{r.lo * to / from, (r.hi*to + from - 1) / from}
	all := span{have.lo * from / to, have.hi * from / to}
	y := e.g.Add(compute.OpTypeReshape, withRows(n, all), nil, e.rows(x, have))
	if all == r {
		return y
	}
	return e.slice(y, rowAxis(n), r.lo-all.lo, r.hi-all.lo)
}

// conv returns rows of a convolution: rows beyond the map are padding, others are read.
func (e *emitter) conv(n *ir.Node, r span) *ir.Node {
	a := n.Attr.(ir.Conv)
	x, w := n.In[0], n.In[1]
	taps := w.Shape.Dimensions[a.Axes.KernelSpatial[0]]
	lo, hi := r.lo-a.Pads[0][0], r.hi-1-a.Pads[0][0]+taps
	have := span{max(0, lo), min(hi, rows(x))}
	a.Pads = [][2]int{{have.lo - lo, hi - have.hi}, a.Pads[1]}
	if a.Rows == 0 {
		a.Rows = rows(n)
	}
	in := []*ir.Node{e.rows(x, have)}
	for _, p := range n.In[1:] {
		in = append(in, e.operand(p, 0, 0, p.Shape))
	}
	return e.g.Add(n.Op, withRows(n, r), a, in...)
}

// slice returns elements lo to hi of an axis.
func (e *emitter) slice(n *ir.Node, at, lo, hi int) *ir.Node {
	dims := n.Shape.Dimensions
	if lo == 0 && hi == dims[at] {
		return n
	}
	s := ir.Slice{Starts: make([]int, len(dims)), Limits: slices.Clone(dims), Strides: make([]int, len(dims))}
	for i := range s.Strides {
		s.Strides[i] = 1
	}
	s.Starts[at], s.Limits[at] = lo, hi
	shape := n.Shape.Clone()
	shape.Dimensions[at] = hi - lo
	return e.g.Add(compute.OpTypeSlice, shape, s, n)
}

func (e *emitter) reshape(n *ir.Node, dims ...int) *ir.Node {
	if slices.Equal(n.Shape.Dimensions, dims) {
		return n
	}
	return e.g.Add(compute.OpTypeReshape, shapes.Make(n.Shape.DType, dims...), nil, n)
}

func gcd(a, b int) int {
	for b != 0 {
		a, b = b, a%b
	}
	return a
}

func lcm(a, b int) int { return a / gcd(a, b) * b }
