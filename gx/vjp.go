package gx

import (
	"fmt"
	"reflect"

	"github.com/gomlx/compute/shapes"
	"github.com/gomlx/gomlx/core/graph"
)

// The registrations take effect when gx is imported; engine imports gx, so every graph of smalti has them. For an
// operation y = f(x) and the adjoint v of y (the derivative of the root with respect to y), each returns the adjoint of
// x. They are written in operations that have derivatives themselves, so that gradients of gradients work.
func init() {
	graph.VJPRegistration[graph.NodeTypeConvGeneral] = convVJP
	// y[i] = x[i0 + i*stride]: the adjoint spread out, zeros between. GoMLX's own, but through a Pad that has one.
	graph.VJPRegistration[graph.NodeTypePad] = single(padVJP)
	// Reversing twice is the identity.
	graph.VJPRegistration[graph.NodeTypeReverse] = single(func(node, v *graph.Node) []*graph.Node {
		return []*graph.Node{node.CloneWithInputs(v)}
	})
	// d/dx x^(-1/2) = -1/2 x^(-3/2) = -1/2 y^3.
	graph.VJPRegistration[graph.NodeTypeRsqrt] = single(func(y, v *graph.Node) []*graph.Node {
		return []*graph.Node{graph.Mul(v, graph.MulScalar(graph.Mul(y, graph.Square(y)), -0.5))}
	})
	// d/dx (e^x - 1) = e^x = y + 1.
	graph.VJPRegistration[graph.NodeTypeExpm1] = single(func(y, v *graph.Node) []*graph.Node {
		return []*graph.Node{graph.Mul(v, graph.AddScalar(y, 1))}
	})
	// Steps: flat wherever they have a derivative.
	for _, t := range []graph.NodeType{graph.NodeTypeRound, graph.NodeTypeFloor, graph.NodeTypeCeil, graph.NodeTypeSign} {
		graph.VJPRegistration[t] = single(func(_, v *graph.Node) []*graph.Node {
			return []*graph.Node{graph.ZerosLike(v)}
		})
	}
}

func single(f func(node, v *graph.Node) []*graph.Node) graph.VJP {
	return func(node *graph.Node, vs []*graph.Node, _ shapes.Shape) []*graph.Node { return f(node, vs[0]) }
}

// padVJP: y = x with Interior zeros between and Start, End fills around, so the adjoint of x is every (Interior+1)-th
// element of v from Start on. Negative edges cropped x there: the adjoint is zero. The fill value was used wherever x
// was not.
func padVJP(node, v *graph.Node) []*graph.Node {
	config := attribute(node, "axesConfig")
	x := node.Inputs()[0]
	specs := make([]graph.SliceAxisSpec, v.Rank())
	missing := make([]graph.PadAxis, v.Rank())
	cropped := false
	for i := range specs {
		var start, step int
		if i < config.Len() {
			start = intField(config.Index(i), "Start")
			step = intField(config.Index(i), "Interior")
		}
		step++
		in, out := x.Shape().Dimensions[i], v.Shape().Dimensions[i]
		// The elements of x that are in y: first..last, at start + first*step ... in y.
		first := 0
		if start < 0 {
			first = (-start + step - 1) / step
		}
		last := in - 1
		if start+last*step > out-1 {
			last = floorDiv(out-1-start, step)
		}
		if last < first {
			return []*graph.Node{graph.ZerosLike(x), graph.ReduceAllSum(v)}
		}
		from := start + first*step
		specs[i] = graph.AxisRange(from, start+last*step+1).Stride(step)
		missing[i] = graph.PadAxis{Start: first, End: in - 1 - last}
		cropped = cropped || missing[i] != graph.PadAxis{}
	}
	dx := graph.Slice(v, specs...)
	fill := graph.Sub(graph.ReduceAllSum(v), graph.ReduceAllSum(dx))
	if cropped {
		dx = graph.Pad(dx, graph.ScalarZero(v.Graph(), v.DType()), missing...)
	}
	return []*graph.Node{dx, fill}
}

func floorDiv(a, b int) int {
	if a < 0 {
		return -((-a + b - 1) / b)
	}
	return a / b
}

// attribute reads an attribute of an operation. GoMLX keeps them in private structs, one type for each operation; the
// test TestAttributes says which names are relied on.
func attribute(node *graph.Node, name string) reflect.Value {
	inputs := reflect.ValueOf(node).Elem().FieldByName("inputs")
	if inputs.IsValid() && inputs.Kind() == reflect.Interface && !inputs.IsNil() && inputs.Elem().Kind() == reflect.Pointer {
		if v := inputs.Elem().Elem().FieldByName(name); v.IsValid() {
			return v
		}
	}
	panic(fmt.Errorf("gx: this version of GoMLX keeps no attribute %q in %s: its gradient needs a new look", name, node.Type()))
}

func intField(v reflect.Value, name string) int {
	f := v.FieldByName(name)
	if !f.IsValid() {
		panic(fmt.Errorf("gx: this version of GoMLX has no field %s.%s", v.Type(), name))
	}
	return int(f.Int())
}

func intSlice(v reflect.Value) []int {
	out := make([]int, v.Len())
	for i := range out {
		out[i] = int(v.Index(i).Int())
	}
	return out
}
