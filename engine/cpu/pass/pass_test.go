package pass

import (
	"slices"
	"testing"

	"github.com/gomlx/compute"
	"github.com/gomlx/compute/dtypes"
	"github.com/gomlx/compute/shapes"

	"github.com/smalti/smalti/engine/cpu/ir"
)

func f32(dims ...int) shapes.Shape { return shapes.Make(dtypes.Float32, dims...) }

func param(g *ir.Graph, dims ...int) *ir.Node {
	n := g.AddUnique(compute.OpTypeParameter, f32(dims...), ir.Parameter{Index: len(g.Params)})
	g.Params = append(g.Params, n)
	return n
}

// TestPartition checks a normalisation: what comes before the sum is one cluster, what comes after another, reshapes do
// not part what they connect, and units come in an order in which operands are ready.
func TestPartition(t *testing.T) {
	g := ir.New()
	x := param(g, 4, 6)
	a := g.Add(compute.OpTypeNeg, f32(4, 6), nil, x)
	b := g.Add(compute.OpTypeExp, f32(4, 6), nil, a)
	sum := g.Add(compute.OpTypeReduceSum, f32(4), ir.Axes{Axes: []int{1}}, b)
	col := g.Add(compute.OpTypeReshape, f32(4, 1), nil, sum)
	c := g.Add(compute.OpTypeDiv, f32(4, 6), nil, b, col)
	flat := g.Add(compute.OpTypeReshape, f32(24), nil, c)
	d := g.Add(compute.OpTypeTanh, f32(24), nil, flat)
	g.Outputs = []*ir.Node{d}
	if err := g.Verify(); err != nil {
		t.Fatal(err)
	}
	units := Partition(g)
	var got [][]*ir.Node
	for _, u := range units {
		got = append(got, u.Nodes)
	}
	want := [][]*ir.Node{{a, b}, {sum}, {c, d}}
	if !slices.EqualFunc(got, want, func(x, y []*ir.Node) bool { return slices.Equal(x, y) }) {
		t.Fatalf("units %v, want %v", got, want)
	}
	if !slices.Equal(units[0].Out, []*ir.Node{b}) || !slices.Equal(units[2].Out, []*ir.Node{d}) {
		t.Errorf("stored: %v and %v", units[0].Out, units[2].Out)
	}
}

// TestSink checks that a factor which only a later cluster needs is computed there when its operand is in memory anyway.
func TestSink(t *testing.T) {
	g := ir.New()
	x := param(g, 8, 8)
	late := g.Add(compute.OpTypeExp, f32(8, 8), nil, x)
	dot := g.Add(compute.OpTypeDotGeneral, f32(8, 8), ir.Dot{LContract: []int{1}, RContract: []int{0}}, x, x)
	y := g.Add(compute.OpTypeMul, f32(8, 8), nil, late, dot)
	g.Outputs = []*ir.Node{y}
	units := Partition(g)
	if len(units) != 2 || !slices.Equal(units[1].Nodes, []*ir.Node{late, y}) {
		t.Errorf("%d units; the last one is %v", len(units), units[len(units)-1].Nodes)
	}
}

func TestLeaf(t *testing.T) {
	g := ir.New()
	row := param(g, 3)
	x := param(g, 2, 5, 3)
	wide := g.Add(compute.OpTypeBroadcastInDim, f32(5, 3), ir.Axes{Axes: []int{1}}, row)
	again := g.Add(compute.OpTypeBroadcastInDim, f32(2, 5, 3), ir.Axes{Axes: []int{1, 2}}, wide)
	flat := g.Add(compute.OpTypeReshape, f32(30), nil, again)
	back := g.Add(compute.OpTypeReshape, f32(2, 5, 3), nil, flat)
	sum := g.Add(compute.OpTypeAdd, f32(2, 5, 3), nil, x, back)
	v := Leaf(back, sum)
	if v.Node != wide && v.Node != row {
		t.Fatalf("the leaf is %s", v.Node.Name())
	}
	if want := map[*ir.Node][]int{row: {0, 0, 1}, wide: {0, 3, 1}}[v.Node]; !slices.Equal(v.Strides, want) {
		t.Errorf("strides %v of %v, want %v", v.Strides, v.Node.Shape, want)
	}
	if whole := Leaf(x, sum); whole.Node != x || !slices.Equal(whole.Strides, []int{15, 3, 1}) {
		t.Errorf("whole operand: %v %v", whole.Node.Name(), whole.Strides)
	}
}

func TestBiases(t *testing.T) {
	g := ir.New()
	x, w, b := param(g, 2, 4), param(g, 4, 3), param(g, 3)
	row := g.Add(compute.OpTypeReshape, f32(1, 3), nil, b)
	for _, shared := range []bool{false, true} {
		dot := g.AddUnique(compute.OpTypeDotGeneral, f32(2, 3), ir.Dot{LContract: []int{1}, RContract: []int{0}}, x, w)
		sum := g.AddUnique(compute.OpTypeAdd, f32(2, 3), nil, dot, row)
		g.Outputs = []*ir.Node{sum}
		if shared {
			g.Outputs = append(g.Outputs, dot)
		}
		Biases(g)
		if fused := sum.Op == compute.OpTypeDotGeneral; fused == shared {
			t.Errorf("shared %v: the sum is %s", shared, sum.Name())
		} else if fused && (len(sum.In) != 3 || sum.In[2] != b) {
			t.Errorf("operands %v", sum.In)
		}
	}
}

// TestRecomputeCut checks the choice: of a chain and its side products the cheapest value is kept, what a reduction makes is
// never made again, what a product reads late is kept, and late readers get copies that run within their cluster.
func TestRecomputeCut(t *testing.T) {
	g := ir.New()
	x := param(g, 8, 8)
	dx := param(g, 8, 8)
	dot := g.Add(compute.OpTypeDotGeneral, f32(8, 8), ir.Dot{LContract: []int{1}, RContract: []int{0}}, x, x)
	s := g.Add(compute.OpTypeLogistic, f32(8, 8), nil, dot)
	y := g.Add(compute.OpTypeMul, f32(8, 8), nil, dot, s)
	fed := g.Add(compute.OpTypeExp, f32(8, 8), nil, y)
	next := g.Add(compute.OpTypeDotGeneral, f32(8, 8), ir.Dot{LContract: []int{1}, RContract: []int{0}}, fed, x)
	a := g.Add(compute.OpTypeMul, f32(8, 8), nil, dx, s)
	b := g.Add(compute.OpTypeMul, f32(8, 8), nil, a, y)
	back := g.Add(compute.OpTypeDotGeneral, f32(8, 8), ir.Dot{LContract: []int{0}, RContract: []int{0}}, fed, b)
	g.Outputs = []*ir.Node{next, back}
	late := Late(g, []*ir.Node{dx})
	if got := []bool{late[y.ID], late[dx.ID], late[a.ID], late[back.ID]}; !slices.Equal(got, []bool{false, true, true, true}) {
		t.Fatalf("late: %v", got)
	}
	h, saved := Recompute(g, late)
	if h == nil || saved != 4*64 { // s, y and fed were kept; dot and fed are now
		t.Fatalf("%d bytes saved", saved)
	}
	if err := h.Verify(); err != nil {
		t.Fatal(err)
	}
	copies := 0
	for _, n := range h.Nodes {
		if n.Late {
			copies++
		}
	}
	if copies != 2 {
		t.Errorf("%d operations are repeated, want the logistic function and the product", copies)
	}
	units := Partition(h)
	if n := len(units); n != 5 || len(units[3].Nodes) != 4 || len(units[3].Out) != 1 {
		t.Errorf("%d units: %v", n, units)
	}
	if again, _ := Recompute(h, Late(h, h.Params[1:])); again != nil {
		t.Error("there was more to gain")
	}
}
