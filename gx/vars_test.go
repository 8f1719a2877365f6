package gx_test

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"testing"

	"github.com/gomlx/gomlx/core/graph"

	"github.com/smalti/smalti/engine"
	"github.com/smalti/smalti/gx"
)

func TestLayouts(t *testing.T) {
	for _, c := range []struct {
		layout gx.Layout
		dims   []int // in the graph
		file   []int
		at     func(index []int) []int // index in the graph -> index in the file
	}{
		{gx.Plain, []int{2, 3}, []int{2, 3}, func(i []int) []int { return i }},
		{gx.Linear, []int{2, 3}, []int{3, 2}, func(i []int) []int { return []int{i[1], i[0]} }},
		{gx.Conv, []int{2, 3, 4, 5}, []int{5, 4, 2, 3}, func(i []int) []int { return []int{i[3], i[2], i[0], i[1]} }},
		{gx.ConvT, []int{2, 3, 4, 5}, []int{4, 5, 2, 3}, func(i []int) []int { return []int{i[2], i[3], i[0], i[1]} }},
	} {
		if got := c.layout.FileDims(c.dims); !slices.Equal(got, c.file) {
			t.Errorf("layout %d: file dims %v, want %v", c.layout, got, c.file)
		}
		file := make([]float32, size(c.dims))
		for i := range file {
			file[i] = float32(i)
		}
		got := c.layout.FromFile(file, c.dims)
		for at, v := range got {
			index, rest := make([]int, len(c.dims)), at
			for i := len(c.dims) - 1; i >= 0; i-- {
				index[i] = rest % c.dims[i]
				rest /= c.dims[i]
			}
			want := 0
			for i, k := range c.at(index) {
				want = want*c.file[i] + k
			}
			if v != float32(want) {
				t.Fatalf("layout %d: element %v is number %g of the file, want %d", c.layout, index, v, want)
			}
		}
		if back := c.layout.ToFile(got, c.dims); !slices.Equal(back, file) {
			t.Errorf("layout %d: ToFile does not undo FromFile", c.layout)
		}
	}
}

func TestVarsDeclareOnceAndSeeSets(t *testing.T) {
	e, err := startEngine()
	if err != nil {
		t.Fatal(err)
	}
	p := e.Program("vars", func(v *gx.Vars, in []*graph.Node) []*graph.Node {
		a := v.In("block.%d", 1).Get("w", gx.Spec{Dims: []int{2}})
		if v.In("block").In("1").Get("w", gx.Spec{Dims: []int{2}}) != a {
			t.Error("the same name gave two nodes")
		}
		v.Set("block.1.w", graph.AddScalar(a, 1))
		return []*graph.Node{v.Get("block.1.w", gx.Spec{Dims: []int{2}})}
	})
	out, err := p.Run(engine.Tensors{"block.1.w": engine.FromFloats([]float32{1, 2}, 2)})
	if err != nil {
		t.Fatal(err)
	}
	if got := engine.Floats(out[0]); got[0] != 2 || got[1] != 3 {
		t.Errorf("a Get after a Set is %v, want [2 3]", got)
	}
	for name, build := range map[string]engine.Build{
		"another shape": func(v *gx.Vars, _ []*graph.Node) []*graph.Node {
			v.Get("w", gx.Spec{Dims: []int{2}})
			return []*graph.Node{v.Get("w", gx.Spec{Dims: []int{3}})}
		},
		"another layout": func(v *gx.Vars, _ []*graph.Node) []*graph.Node {
			v.Get("w", gx.Spec{Dims: []int{2, 2}})
			return []*graph.Node{v.Get("w", gx.Spec{Dims: []int{2, 2}, Layout: gx.Linear})}
		},
		"set before get": func(v *gx.Vars, in []*graph.Node) []*graph.Node {
			v.Set("w", in[0])
			return in
		},
		"set to another shape": func(v *gx.Vars, in []*graph.Node) []*graph.Node {
			v.Get("w", gx.Spec{Dims: []int{3}})
			v.Set("w", in[0])
			return in
		},
	} {
		if _, err := e.Program(name, build).Decls(engine.Float32(2)); err == nil {
			t.Errorf("%s was not refused", name)
		}
	}
}

func TestMaterialiseIsKeyedByName(t *testing.T) {
	d := func(name string) gx.Decl {
		return gx.Decl{Name: name, Spec: gx.Spec{Dims: []int{3, 3, 8, 16}, Layout: gx.Conv, Init: gx.KaimingUniform}}
	}
	one := gx.Materialise([]gx.Decl{d("a"), d("b")}, 7)
	two := gx.Materialise([]gx.Decl{d("c"), d("b")}, 7)
	if !slices.Equal(one["b"], two["b"]) {
		t.Error("another variable moved the start of b")
	}
	if slices.Equal(one["a"], one["b"]) || slices.Equal(one["a"], gx.Materialise([]gx.Decl{d("a")}, 8)["a"]) {
		t.Error("name or seed does not matter")
	}
	bound, largest := 1/math.Sqrt(3*3*8), 0.0
	for _, v := range one["a"] {
		largest = max(largest, math.Abs(float64(v)))
	}
	if largest > bound || largest < 0.95*bound { // 1152 draws come close to the bound
		t.Errorf("largest %g, bound 1/sqrt(fan in) = %g", largest, bound)
	}
}

func TestFromFileReportsEverythingMissing(t *testing.T) {
	decls := []gx.Decl{
		{Name: "a", Spec: gx.Spec{Dims: []int{2, 3}, Layout: gx.Linear}},
		{Name: "b", Spec: gx.Spec{Dims: []int{2}}}, {Name: "c", Spec: gx.Spec{Dims: []int{2}}},
	}
	values, errs := gx.FromFile(decls, func(name string, shape []int) ([]float32, error) {
		if name != "a" {
			return nil, errors.New("no " + name)
		}
		if !slices.Equal(shape, []int{3, 2}) {
			return nil, fmt.Errorf("asked for %v", shape)
		}
		return []float32{0, 1, 2, 3, 4, 5}, nil
	})
	if len(errs) != 2 {
		t.Errorf("errors %v, want two", errs)
	}
	if !slices.Equal(values["a"], []float32{0, 2, 4, 1, 3, 5}) {
		t.Errorf("a = %v", values["a"])
	}
}
