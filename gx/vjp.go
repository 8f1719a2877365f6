package gx

import (
	"reflect"

	"github.com/gomlx/compute/shapes"
	"github.com/gomlx/gomlx/core/graph"
)

func field(n *graph.Node, name string) reflect.Value {
	return reflect.ValueOf(n).Elem().FieldByName("inputs").Elem().Elem().FieldByName(name)
}
func ints(v reflect.Value) []int {
	if v.Kind() == reflect.Slice && v.IsNil() {
		return nil
	}
	r := make([]int, v.Len())
	for i := range r {
		r[i] = int(v.Index(i).Int())
	}
	return r
}
func or1(v []int, n int) []int {
	if len(v) == n {
		return v
	}
	r := make([]int, n)
	for i := range r {
		r[i] = 1
	}
	return r
}

type convP struct {
	axes               graph.ConvolveAxesConfig
	strides            []int
	pads               [][2]int
	ld, rd             []int
	cg, bg             int
	inS, kS, outS, nsp []int
}

func axesOf(v reflect.Value) graph.ConvolveAxesConfig {
	i := func(n string) int { return int(v.FieldByName(n).Int()) }
	return graph.ConvolveAxesConfig{
		InputBatch: i("InputBatch"), InputChannels: i("InputChannels"), InputSpatial: ints(v.FieldByName("InputSpatial")),
		KernelInputChannels: i("KernelInputChannels"), KernelOutputChannels: i("KernelOutputChannels"), KernelSpatial: ints(v.FieldByName("KernelSpatial")),
		OutputBatch: i("OutputBatch"), OutputChannels: i("OutputChannels"), OutputSpatial: ints(v.FieldByName("OutputSpatial")),
	}
}

func pick(n *graph.Node, ax []int) []int {
	r := make([]int, len(ax))
	for i, a := range ax {
		r[i] = n.Shape().Dimensions[a]
	}
	return r
}
func nilIf1(v []int) []int {
	for _, x := range v {
		if x != 1 {
			return v
		}
	}
	return nil
}

func convVJP(node *graph.Node, vs []*graph.Node, _ shapes.Shape) []*graph.Node {
	x, w, g := node.Inputs()[0], node.Inputs()[1], vs[0]
	n := x.Rank() - 2
	ax := axesOf(field(node, "axes"))
	s := or1(ints(field(node, "strides")), n)
	ld := or1(ints(field(node, "inputDilations")), n)
	rd := or1(ints(field(node, "kernelDilations")), n)
	pads := make([][2]int, n)
	if pv := field(node, "paddings"); pv.Len() == n {
		for i := range pads {
			pads[i] = [2]int{int(pv.Index(i).Index(0).Int()), int(pv.Index(i).Index(1).Int())}
		}
	}
	cg, bg := int(field(node, "channelGroupCount").Int()), int(field(node, "batchGroupCount").Int())
	if bg > 1 {
		panic("batchGroupCount > 1: not needed")
	}
	if cg < 1 {
		cg = 1
	}
	one := func(x, w, g *graph.Node) (dx, dw *graph.Node) {
		in, ks, out := pick(x, ax.InputSpatial), pick(w, ax.KernelSpatial), pick(g, ax.OutputSpatial)
		lp, rp := make([][2]int, n), make([][2]int, n)
		for i := 0; i < n; i++ {
			lhs := 1 + (in[i]-1)*ld[i]
			rhs := 1 + (ks[i]-1)*rd[i]
			od := 1 + (out[i]-1)*s[i]
			lp[i][0] = rhs - pads[i][0] - 1
			lp[i][1] = lhs + rhs - 1 - od - lp[i][0]
			rp[i][0] = pads[i][0]
			rp[i][1] = od + rhs - lhs - 1 - pads[i][0]
		}
		// d/dx: conv of g with the reversed kernel, in/out channels swapped.
		la := graph.ConvolveAxesConfig{
			InputBatch: ax.OutputBatch, InputChannels: ax.OutputChannels, InputSpatial: ax.OutputSpatial,
			KernelInputChannels: ax.KernelOutputChannels, KernelOutputChannels: ax.KernelInputChannels, KernelSpatial: ax.KernelSpatial,
			OutputBatch: ax.InputBatch, OutputChannels: ax.InputChannels, OutputSpatial: ax.InputSpatial,
		}
		dx = graph.ConvGeneral(g, graph.Reverse(w, ax.KernelSpatial...), la, nilIf1(ld), lp, nilIf1(s), nilIf1(rd), 1, 1)
		ra := graph.ConvolveAxesConfig{
			InputBatch: ax.InputChannels, InputChannels: ax.InputBatch, InputSpatial: ax.InputSpatial,
			KernelInputChannels: ax.OutputBatch, KernelOutputChannels: ax.OutputChannels, KernelSpatial: ax.OutputSpatial,
			OutputBatch: ax.KernelInputChannels, OutputChannels: ax.KernelOutputChannels, OutputSpatial: ax.KernelSpatial,
		}
		dw = graph.ConvGeneral(x, g, ra, nilIf1(rd), rp, nilIf1(ld), nilIf1(s), 1, 1)
		return
	}
	if cg == 1 {
		dx, dw := one(x, w, g)
		return []*graph.Node{dx, dw}
	}
	xs, ws, gs := graph.Split(x, ax.InputChannels, cg), graph.Split(w, ax.KernelOutputChannels, cg), graph.Split(g, ax.OutputChannels, cg)
	var dxs, dws []*graph.Node
	for i := range xs {
		dx, dw := one(xs[i], ws[i], gs[i])
		dxs, dws = append(dxs, dx), append(dws, dw)
	}
	return []*graph.Node{graph.Concatenate(dxs, ax.InputChannels), graph.Concatenate(dws, ax.KernelOutputChannels)}
}

func single(f func(node, v *graph.Node) []*graph.Node) graph.VJP {
	return func(node *graph.Node, vs []*graph.Node, _ shapes.Shape) []*graph.Node { return f(node, vs[0]) }
}

// padVJP: slice the adjoint (negative padding not supported here).
func padVJP(node, v *graph.Node) []*graph.Node {
	cfg := field(node, "axesConfig")
	specs := make([]graph.SliceAxisSpec, v.Rank())
	for i := range specs {
		st, en, in := 0, 0, 0
		if i < cfg.Len() {
			c := cfg.Index(i)
			st, en, in = int(c.FieldByName("Start").Int()), int(c.FieldByName("End").Int()), int(c.FieldByName("Interior").Int())
		}
		specs[i] = graph.AxisRange(st, v.Shape().Dimensions[i]-en).Stride(in + 1)
	}
	dx := graph.Slice(v, specs...)
	return []*graph.Node{dx, graph.Sub(graph.ReduceAllSum(v), graph.ReduceAllSum(dx))}
}

// The registrations take effect when gx is imported.
func init() {
	graph.VJPRegistration[graph.NodeTypeConvGeneral] = convVJP
	graph.VJPRegistration[graph.NodeTypeReverse] = single(func(n, v *graph.Node) []*graph.Node { return []*graph.Node{n.CloneWithInputs(v)} })
	graph.VJPRegistration[graph.NodeTypePad] = single(padVJP)
	graph.VJPRegistration[graph.NodeTypeRsqrt] = single(func(n, v *graph.Node) []*graph.Node {
		return []*graph.Node{graph.Mul(v, graph.MulScalar(graph.Mul(n, graph.Mul(n, n)), -0.5))}
	})
	graph.VJPRegistration[graph.NodeTypeExpm1] = single(func(n, v *graph.Node) []*graph.Node { return []*graph.Node{graph.Mul(v, graph.AddScalar(n, 1))} })
	for _, t := range []graph.NodeType{graph.NodeTypeRound, graph.NodeTypeFloor, graph.NodeTypeCeil, graph.NodeTypeSign} {
		graph.VJPRegistration[t] = single(func(n, v *graph.Node) []*graph.Node { return []*graph.Node{graph.ZerosLike(v)} })
	}
}
