package engine

import (
	"testing"

	"github.com/gomlx/gomlx/core/graph"

	"github.com/smalti/smalti/gx"
)

func TestProgramRunsUpdatesAndReportsPanics(t *testing.T) {
	e, err := New(Options{Threads: 2})
	if err != nil {
		t.Fatal(err)
	}
	p := e.Program("step", func(v *gx.Vars, in []*graph.Node) []*graph.Node {
		w := v.In("layer").Get("weight", gx.Spec{Dims: []int{2}, Init: gx.Ones})
		v.In("layer").Set("weight", graph.Add(w, in[0]))
		return []*graph.Node{graph.Mul(w, in[0])}
	})
	decls, err := p.Decls(Float32(2))
	if err != nil || len(decls) != 1 || decls[0].Name != "layer.weight" {
		t.Fatalf("Decls = %v, %v", decls, err)
	}
	vars, err := Upload(decls, gx.Materialise(decls, 1))
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if _, err := p.Run(vars, FromFloats([]float32{1, 2}, 2)); err != nil {
			t.Fatal(err)
		}
	}
	if got := Floats(vars["layer.weight"]); got[0] != 3 || got[1] != 5 {
		t.Errorf("after two steps: %v", got)
	}
	if _, err := p.Run(Tensors{}, FromFloats([]float32{1, 2}, 2)); err == nil {
		t.Error("a variable without a value went unnoticed")
	}
	if _, err := p.Run(vars, FromFloats([]float32{1, 2, 3}, 3)); err == nil {
		t.Error("a shape mismatch inside the graph went unnoticed")
	}
}
