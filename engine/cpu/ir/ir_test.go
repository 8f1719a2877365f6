package ir

import (
	"strings"
	"testing"

	"github.com/gomlx/compute"
	"github.com/gomlx/compute/dtypes"
	"github.com/gomlx/compute/shapes"
)

// small is x*x summed up, beside a node that nobody needs.
func small() (g *Graph, square *Node) {
	g = New()
	s := shapes.Make(dtypes.Float32, 3)
	x := g.AddUnique(compute.OpTypeParameter, s, Parameter{Name: "x"})
	g.Params = []*Node{x}
	square = g.Add(compute.OpTypeMul, s, nil, x, x)
	g.Add(compute.OpTypeNeg, s, nil, x)
	g.Outputs = []*Node{g.Add(compute.OpTypeReduceSum, shapes.Make(dtypes.Float32), Axes{Axes: []int{0}}, square)}
	return g, square
}

func TestEqualNodesExistOnce(t *testing.T) {
	g, square := small()
	n := len(g.Nodes)
	x := g.Params[0]
	if again := g.Add(compute.OpTypeMul, square.Shape, nil, x, x); again != square || len(g.Nodes) != n {
		t.Error("an equal node was made again")
	}
	for _, other := range []*Node{g.Add(compute.OpTypeAdd, square.Shape, nil, x, x), g.Add(compute.OpTypeMul, square.Shape, nil, x, square),
		g.AddUnique(compute.OpTypeMul, square.Shape, nil, x, x)} {
		if other == square {
			t.Errorf("node %s %v is taken for another", other.Name(), other.In)
		}
	}
	if len(g.Live()) != 3 {
		t.Errorf("%d live nodes, want 3", len(g.Live()))
	}
}

func TestDumps(t *testing.T) {
	g, _ := small()
	if got, want := g.Dump(), "%0 = Parameter : (Float32)[3] {Index:0 Name:x}\n%1 = Mul %0 %0 : (Float32)[3]\n%3 = ReduceSum %1 : (Float32) {Axes:[0]}\n"; got != want {
		t.Errorf("text:\n%swant\n%s", got, want)
	}
	dot := g.DOT()
	for _, want := range []string{"digraph {", `n0 [label="x (Float32)[3]", style=rounded]`, "n0 -> n1 [headlabel=1]", "n1 -> n3\n", "n3 -> out0"} {
		if !strings.Contains(dot, want) {
			t.Errorf("DOT lacks %q:\n%s", want, dot)
		}
	}
	if strings.Contains(dot, "Neg") {
		t.Error("DOT has a node that nobody needs")
	}
}

// TestVerify breaks a graph in every way that Verify knows.
func TestVerify(t *testing.T) {
	for name, breakIt := range map[string]func(g *Graph, n *Node){
		"a later input":           func(g *Graph, n *Node) { n.In[0] = g.Outputs[0] },
		"a node of elsewhere":     func(g *Graph, n *Node) { n.In[0] = &Node{Shape: n.Shape} },
		"a wrong number":          func(_ *Graph, n *Node) { n.ID = 7 },
		"no shape":                func(_ *Graph, n *Node) { n.Shape = shapes.Shape{} },
		"a foreign output":        func(g *Graph, n *Node) { g.Outputs = []*Node{{ID: 1, Shape: n.Shape}} },
		"parameters out of order": func(g *Graph, _ *Node) { g.Params[0].Attr = Parameter{Index: 1} },
		"a reshape of other size": func(_ *Graph, n *Node) {
			n.Op, n.In, n.Shape = compute.OpTypeReshape, n.In[:1], shapes.Make(dtypes.Float32, 4)
		},
	} {
		g, n := small()
		if err := g.Verify(); err != nil {
			t.Fatal(err)
		}
		breakIt(g, n)
		if err := g.Verify(); err == nil {
			t.Errorf("%s goes unnoticed", name)
		}
	}
}
