package vqgan

import (
	"fmt"

	"github.com/gomlx/gomlx/core/graph"

	"github.com/smalti/smalti/engine"
	"github.com/smalti/smalti/gx"
	"github.com/smalti/smalti/nn"
	"github.com/smalti/smalti/weights"
)

// LPIPS is the learned perceptual distance (Zhang et al. 2018, arXiv:1801.03924) that taming trains VQGANs with: VGG16's
// features (Simonyan and Zisserman 2014) after each of its five groups of convolutions, and a weight for each channel.
type LPIPS struct {
	Widths [5]int // channels of the groups: 64, 128, 256, 512, 512 in VGG16
	Linear bool   // whether channels have weights; without, each counts the same
}

// lpipsLayers are the numbers of VGG16's convolutions in torchvision's features, group by group. A group but the first begins with a
// maximum over 2x2 pixels.
var lpipsLayers = [5][]int{{0, 2}, {5, 7}, {10, 12, 14}, {17, 19, 21}, {24, 26, 28}}

// What LPIPS takes off pictures in [-1,1] and divides by: ImageNet's means and deviations for that range.
var (
	lpipsShift = []float32{-.030, -.088, -.188}
	lpipsScale = []float32{.458, .448, .450}
)

const lpipsEps = 1e-10 // added to the length of a feature

// Graph is the distance of pictures x and y [n,H,W,3] in [-1,1], H and W at least 16: [n].
func (p LPIPS) Graph(v *gx.Vars, x, y *graph.Node) *graph.Node {
	a, b := p.Features(v, x), p.Features(v, y)
	var sum *graph.Node
	for i := range a {
		d := graph.Square(graph.Sub(lpipsUnit(a[i]), lpipsUnit(b[i])))
		if p.Linear {
			w := v.Get(fmt.Sprintf("lin%d.model.1.weight", i), gx.Spec{Dims: []int{1, 1, p.Widths[i], 1}, Layout: gx.Conv, Init: gx.Ones})
			d = graph.Mul(d, graph.Reshape(w, 1, 1, 1, p.Widths[i]))
		}
		h, w := d.Shape().Dimensions[1], d.Shape().Dimensions[2]
		d = graph.MulScalar(graph.ReduceSum(d, 1, 2, 3), 1/float64(h*w))
		if sum == nil {
			sum = d
		} else {
			sum = graph.Add(sum, d)
		}
	}
	return sum
}

// lpipsUnit divides features by their length at each place, as the reference does: epsilon is outside of the root.
func lpipsUnit(x *graph.Node) *graph.Node {
	// The length of zeros has no derivative; the tiny number under the root, far below the reference's epsilon, gives it one.
	length := graph.Sqrt(graph.AddScalar(graph.ReduceAndKeep(graph.Square(x), graph.ReduceSum, -1), 1e-24))
	return graph.Div(x, graph.AddScalar(length, lpipsEps))
}

// Features are the outputs of the five groups, [n,h,w,c] each.
func (p LPIPS) Features(v *gx.Vars, x *graph.Node) []*graph.Node {
	g := x.Graph()
	x = graph.Div(graph.Sub(x, graph.Reshape(graph.Const(g, lpipsShift), 1, 1, 1, 3)), graph.Reshape(graph.Const(g, lpipsScale), 1, 1, 1, 3))
	var out []*graph.Node
	for group, layers := range lpipsLayers {
		if group > 0 {
			x = gx.MaxPool(x, 2)
		}
		for _, n := range layers {
			x = gx.ReLU(nn.Conv(v.In("features.%d", n), x, p.Widths[group], 3, 1, 1, true))
		}
		out = append(out, x)
	}
	return out
}

// Decls lists the variables.
func (p LPIPS) Decls(e *engine.Engine) ([]gx.Decl, error) {
	return e.Program("lpips variables", func(v *gx.Vars, in []*graph.Node) []*graph.Node {
		return []*graph.Node{p.Graph(v, in[0], in[0])}
	}).Decls(engine.Float32(1, 16, 16, 3))
}

// ErrNotLPIPS says that a file holds no VGG16.
var ErrNotLPIPS = fmt.Errorf("no VGG16 in the file")

// lpipsLayouts are the names under which files keep the convolutions: torchvision's vgg16, the lpips package's and, before its
// names, what taming's training checkpoints put.
var lpipsLayouts = []struct{ prefix, slice string }{{"", ""}, {"", "net."}, {"loss.perceptual_loss.", "net."}}

// ReadLPIPS reads VGG16 from a file - of torchvision (vgg16.pth), of the lpips package, or a checkpoint of taming's training - and
// the weights of channels from the same file or, if it is not nil, from linear (the lpips package's vgg.pth). Other tensors of the
// files are none of its business.
func ReadLPIPS(e *engine.Engine, f, linear *weights.File) (LPIPS, engine.Tensors, error) {
	l := weights.NewLoader(f)
	for _, layout := range lpipsLayouts {
		name := func(group, n int) string {
			if layout.slice == "" {
				return fmt.Sprintf("features.%d", n)
			}
			return fmt.Sprintf("%sslice%d.%d", layout.slice, group+1, n)
		}
		from := l.Sub(layout.prefix)
		if !from.Has(name(0, 0) + ".weight") {
			continue
		}
		lin := from
		if linear != nil {
			lin = weights.NewLoader(linear)
		}
		return readLPIPS(e, from, lin, name)
	}
	return LPIPS{}, nil, ErrNotLPIPS
}

func readLPIPS(e *engine.Engine, from, lin *weights.Loader, name func(group, n int) string) (LPIPS, engine.Tensors, error) {
	p := LPIPS{Linear: lin.Has("lin0.model.1.weight")}
	theirs := map[string]string{}
	for group, layers := range lpipsLayers {
		for _, n := range layers {
			for _, part := range []string{".weight", ".bias"} {
				theirs[fmt.Sprintf("features.%d%s", n, part)] = name(group, n) + part
			}
		}
		t, ok := from.Peek(name(group, layers[0]) + ".weight")
		if !ok || len(t.Shape) != 4 {
			return p, nil, fmt.Errorf("vqgan: lpips: no convolution %s", name(group, layers[0]))
		}
		p.Widths[group] = t.Shape[0]
	}
	decls, err := p.Decls(e)
	if err != nil {
		return p, nil, err
	}
	values, errs := gx.FromFile(decls, func(n string, shape []int) ([]float32, error) {
		if file, ok := theirs[n]; ok {
			return from.Take(file, shape...)
		}
		return lin.Take(n, shape...)
	})
	if len(errs) > 0 {
		return p, nil, fmt.Errorf("vqgan: lpips: %w", errs[0])
	}
	ts, err := engine.Upload(decls, values)
	return p, ts, err
}
