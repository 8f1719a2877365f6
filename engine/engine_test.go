package engine

import (
	"testing"

	"github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"

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

// TestFailedRunLeavesVariables covers failures before, while compiling and while running: nothing of vars may change.
func TestFailedRunLeavesVariables(t *testing.T) {
	e := sharedEngine(t)
	p := e.Program("fails", func(v *gx.Vars, in []*graph.Node) []*graph.Node {
		w := v.Get("w", gx.Spec{Dims: []int{2}})
		v.Set("w", graph.AddScalar(w, 1))
		if in[0].Shape().Dimensions[0] == 3 {
			panic("three is refused")
		}
		return []*graph.Node{graph.Div(in[0], graph.Sub(in[0], in[0]))} // integers: panics in the middle of the run
	})
	w := FromFloats([]float32{1, 2}, 2)
	vars := Tensors{"w": w}
	for _, x := range []*tensors.Tensor{
		tensors.FromFlatDataAndDimensions([]int32{1, 2}, 2),
		tensors.FromFlatDataAndDimensions([]int32{1, 2, 3}, 3),
	} {
		if _, err := p.Run(vars, x); err == nil {
			t.Errorf("a run on %s did not fail", x.Shape())
		}
	}
	if _, err := p.Run(Tensors{"w": FromFloats([]float32{1}, 1)}, FromFloats([]float32{1}, 1)); err == nil {
		t.Error("a variable of a wrong shape went unnoticed")
	}
	if vars["w"] != w || Floats(w)[0] != 1 || Floats(w)[1] != 2 {
		t.Errorf("w is %v after failed runs", Floats(vars["w"]))
	}
}

func TestNegativeThreadsAreRefused(t *testing.T) {
	if _, err := New(Options{Threads: -1}); err == nil {
		t.Error("an engine with -1 threads was started")
	}
}
