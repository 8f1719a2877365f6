package paint

import (
	"fmt"
	"sync"

	"github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"

	"github.com/smalti/smalti/engine"
	"github.com/smalti/smalti/gx"
)

// eye is one image encoder with the graphs that look at a picture through it. A graph handles a chunk of cuts; the
// gradient of every cut comes out as its own plane, so that the sum over cuts is made in one order whatever the chunk.
//
// For pooled schemes the picture is pooled once (view) and cuts, planes and their sum are of the pooled picture; the
// way back through the pooling is one more graph.
type eye struct {
	encoder ImageEncoder
	index   int
	scheme  Scheme
	source  CutSource

	view, viewBack *engine.Program // nil unless pooled
	fused          *engine.Program // distances to the targets and gradient planes in one pass
	embed          *engine.Program // embeddings alone
	back           *engine.Program // gradient planes from the gradient for the embeddings
	cuts           *engine.Program // the cuts themselves, for looking at

	noise *tensors.Tensor // of the last chunk; its memory is used again
}

func newEye(e *engine.Engine, encoder ImageEncoder, index int, s Scheme, source CutSource) *eye {
	y := &eye{encoder: encoder, index: index, scheme: s, source: source}
	name := func(part string) string { return fmt.Sprintf("paint: encoder %d: %s", index, part) }
	if s.Pooled {
		y.view = e.Program(name("view"), func(_ *gx.Vars, in []*graph.Node) []*graph.Node {
			return []*graph.Node{y.viewGraph(in[0])}
		})
		y.viewBack = e.Program(name("view gradient"), func(_ *gx.Vars, in []*graph.Node) []*graph.Node {
			return []*graph.Node{vjp(y.viewGraph(in[0]), in[1], in[0])}
		})
	}
	y.fused = e.Program(name("loss"), y.fusedGraph)
	y.embed = e.Program(name("embed"), func(v *gx.Vars, in []*graph.Node) []*graph.Node {
		return []*graph.Node{encoder.ImageGraph(v, y.cutGraph(in).cuts)}
	})
	y.back = e.Program(name("gradient"), func(v *gx.Vars, in []*graph.Node) []*graph.Node {
		last := len(in) - 1
		c := y.cutGraph(in[:last])
		return []*graph.Node{c.plane(vjp(encoder.ImageGraph(v, c.cuts), in[last], c.root))}
	})
	y.cuts = e.Program(name("cuts"), func(_ *gx.Vars, in []*graph.Node) []*graph.Node {
		return []*graph.Node{y.cutGraph(in).cuts}
	})
	return y
}

// vjp is the product of the adjoint of y with the Jacobian of y by x.
func vjp(y, adjoint, x *graph.Node) *graph.Node {
	return graph.Gradient(graph.ReduceAllSum(graph.Mul(y, adjoint)), x)[0]
}

func (y *eye) viewGraph(x *graph.Node) *graph.Node {
	size := y.encoder.ImageSize()
	if y.scheme.KeepAspect {
		return fitGraph(x, size)
	}
	return PoolGraph(x, size, size)
}

// cutNodes is the way from the view to the cuts. Between root and cuts gradients are taken by GoMLX; from the root back
// to the view, plane does it, because each cut's part must stay apart.
type cutNodes struct {
	root  *graph.Node                     // [n,S,S,3] resampled squares, or copies of the view
	cuts  *graph.Node                     // [n,S,S,3] what the encoder sees
	plane func(g *graph.Node) *graph.Node // gradient for root -> gradient for the view, one plane for each cut
}

// cutGraph builds the cuts of a chunk. Inputs: the view [1,h,w,3]; unless pooled, rows [n,S,h] and columns [n,S,w]; the
// parameters [n,P] if there are any; the noise [n,S,S,3] if there is any. What follows is not looked at.
func (y *eye) cutGraph(in []*graph.Node) cutNodes {
	var c cutNodes
	view, next := in[0], 1
	if y.scheme.Pooled {
		n, s := in[next].Shape().Dimensions[0], y.encoder.ImageSize()
		if y.scheme.params() == 0 && y.scheme.Noise == 0 {
			next++ // a pooled scheme without either has an empty input that says n
		}
		c.root = graph.BroadcastToDims(view, n, s, s, 3)
		c.plane = func(g *graph.Node) *graph.Node { return g }
	} else {
		rows, cols := in[1], in[2]
		next = 3
		c.root = CropGraph(view, rows, cols)
		c.plane = func(g *graph.Node) *graph.Node { return CropAdjoint(g, rows, cols) }
	}
	c.cuts = c.root
	if k := y.scheme.params(); k > 0 {
		p, from := in[next], 0
		next++
		for _, a := range y.scheme.Augments {
			own := graph.Slice(p, graph.AxisRange(), graph.AxisRange(from, from+a.Params()))
			c.cuts = a.Apply(c.cuts, own)
			from += a.Params()
		}
	}
	if y.scheme.Noise > 0 {
		c.cuts = graph.Add(c.cuts, in[next])
	}
	if y.scheme.Clamp {
		c.cuts = gx.ClampWithGrad(c.cuts, 0, 1)
	}
	return c
}

// CropGraph applies each cut's rows [n,S,h] and columns [n,S,w] to the view [1,h,w,c]: [n,S,S,c].
func CropGraph(view, rows, cols *graph.Node) *graph.Node {
	d := view.Shape().Dimensions
	h, w, c := d[1], d[2], d[3]
	n, s := rows.Shape().Dimensions[0], rows.Shape().Dimensions[1]
	t := graph.DotGeneral(rows, []int{2}, nil, graph.Reshape(view, h, w*c), []int{0}, nil) // [n,S,w*c]
	t = graph.Reshape(t, n, s, w, c)
	t = graph.DotGeneral(cols, []int{2}, []int{0}, t, []int{2}, []int{0}) // [n,S(x),S(y),c]
	return graph.TransposeAllAxes(t, 0, 2, 1, 3)
}

// CropAdjoint takes the gradient for each cut [n,S,S,c] back to the view, one plane for each cut: [n,h,w,c].
func CropAdjoint(g, rows, cols *graph.Node) *graph.Node {
	t := graph.DotGeneral(cols, []int{1}, []int{0}, g, []int{2}, []int{0}) // [n,w,S(y),c]
	t = graph.DotGeneral(rows, []int{1}, []int{0}, t, []int{2}, []int{0})  // [n,h,w,c]
	return t
}

// fusedGraph: the inputs of cutGraph, then target rows [R,D], sign [R], stop [R], scale [R], and the weight of each cut
// [n]. Outputs: signed distances [n,R] and planes.
func (y *eye) fusedGraph(v *gx.Vars, in []*graph.Node) []*graph.Node {
	t := in[len(in)-5:]
	c := y.cutGraph(in[:len(in)-5])
	signed, through := targetNodes{t[0], t[1], t[2], t[3]}.loss(y.encoder.ImageGraph(v, c.cuts), t[4])
	return []*graph.Node{signed, c.plane(graph.Gradient(through, c.root)[0])}
}

// chunk is the host's side of one chunk of cuts.
type chunk struct {
	first, real int               // index of the first cut, and how many are not padding
	n           int               // size of the chunk in the graph
	in          []*tensors.Tensor // inputs of cutGraph after the view
}

// chunkSize splits cuts into chunks of at most limit, as even as possible, so that little of the last is padding.
func (y *eye) chunkSize(cuts, limit int) int {
	if limit <= 0 || limit >= cuts {
		return cuts
	}
	count := (cuts + limit - 1) / limit
	return (cuts + count - 1) / count
}

// draw makes the inputs of n cuts from first on, which hold until the next call. What goes beyond the last cut of the step
// is padded with copies of it, which nobody counts.
func (y *eye) draw(step, first, cuts, n, width, height int) (*chunk, error) {
	s := y.encoder.ImageSize()
	c := &chunk{first: first, real: min(n, cuts-first), n: n}
	var rows, cols, params []float32
	if !y.scheme.Pooled {
		rows, cols = make([]float32, 0, n*s*height), make([]float32, 0, n*s*width)
	}
	keys, drawn := make([]CutKey, n), make([]Cut, n)
	for i := range n {
		k := CutKey{Step: step, Encoder: y.index, Index: min(first+i, cuts-1), Width: width, Height: height, Size: s}
		cut, err := y.cut(k)
		if err != nil {
			return nil, fmt.Errorf("paint: cut %d of step %d: %w", k.Index, step, err)
		}
		keys[i], drawn[i] = k, cut
		if !y.scheme.Pooled {
			rows = append(rows, CropMatrix(s, height, cut.Box.Y, cut.Box.Size)...)
			cols = append(cols, CropMatrix(s, width, cut.Box.X, cut.Box.Size)...)
		}
		params = append(params, cut.Params...)
	}
	if !y.scheme.Pooled {
		c.in = append(c.in, engine.FromFloats(rows, n, s, height), engine.FromFloats(cols, n, s, width))
	}
	if p := y.scheme.params(); p > 0 {
		c.in = append(c.in, engine.FromFloats(params, n, p))
	}
	if y.scheme.Noise > 0 {
		c.in = append(c.in, y.noises(keys, drawn))
	}
	if len(c.in) == 0 {
		c.in = append(c.in, engine.FromFloats(make([]float32, n), n))
	}
	return c, nil
}

// cut is the source's, checked. One that the source draws has no noise yet: see noises.
func (y *eye) cut(k CutKey) (Cut, error) {
	if d, ok := y.source.(Drawn); ok {
		c := d.plain(k)
		return c, y.scheme.checkPlain(c, k)
	}
	c, err := y.source.Cut(k)
	if err != nil {
		return c, err
	}
	return c, y.scheme.checkCut(c, k)
}

// noises is the noise of cuts, [n,S,S,3]. The cuts of a Drawn are drawn here, each where it belongs and several at a time.
func (y *eye) noises(keys []CutKey, cuts []Cut) *tensors.Tensor {
	s := y.encoder.ImageSize()
	shape := engine.Float32(len(cuts), s, s, 3)
	if y.noise == nil || !y.noise.Shape().Equal(shape) {
		y.noise = tensors.FromShape(shape)
	}
	d, drawn := y.source.(Drawn)
	tensors.MustMutableFlatData(y.noise, func(all []float32) {
		var wg sync.WaitGroup
		defer wg.Wait()
		for i, c := range cuts {
			to := all[i*3*s*s:][:3*s*s]
			if drawn {
				wg.Go(func() { d.noise(keys[i], to) })
				continue
			}
			copy(to, c.Noise)
		}
	})
	return y.noise
}

// see makes the view of a picture x [1,h,w,3].
func (y *eye) see(x *tensors.Tensor) (*tensors.Tensor, error) {
	if y.view == nil {
		return x, nil
	}
	out, err := y.view.Run(nil, x)
	if err != nil {
		return nil, err
	}
	return out[0], nil
}

// fold adds planes [n,...] onto sum, one cut after the other.
func (c *chunk) fold(sum, planes []float32) {
	for i := range c.real {
		plane := planes[i*len(sum) : (i+1)*len(sum)]
		for k, g := range plane {
			sum[k] += g
		}
	}
}

// foldOut folds the planes that are the last of a program's outputs, and gives all outputs' memory back.
func (c *chunk) foldOut(sum []float32, out []*tensors.Tensor) error {
	tensors.MustConstFlatData(out[len(out)-1], func(planes []float32) { c.fold(sum, planes) })
	for _, t := range out {
		if err := t.FinalizeAll(); err != nil {
			return fmt.Errorf("paint: %w", err)
		}
	}
	return nil
}
