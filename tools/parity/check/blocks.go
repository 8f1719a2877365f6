package check

import (
	"fmt"
	"image"
	"image/color"
	"regexp"
	"strconv"
	"strings"

	"github.com/gomlx/gomlx/core/graph"

	"github.com/smalti/smalti/clip"
	"github.com/smalti/smalti/engine"
	"github.com/smalti/smalti/golden"
	"github.com/smalti/smalti/gx"
	"github.com/smalti/smalti/paint"
	"github.com/smalti/smalti/pixel"
	"github.com/smalti/smalti/vqgan"
)

func init() { checkers["blocks_cutout"] = blocksCutout }

// blockTolerance is the fixture's: single operations in float32, summed in another order than torch's.
var blockTolerance = golden.Tolerance{Abs: 2e-6, Rel: 1e-5}

// blocks compares single operations: name.x -> name.y, and name.gy -> name.gx.
type blocks struct {
	f *golden.Fixture
	r *golden.Report
	e *engine.Engine
	// picture turns arrays [n,c,h,w] of the file into [n,h,w,c] for the graph, and back.
	picture bool
	tol     golden.Tolerance
}

// op compares one operation. build returns the value, and the node that the gradient flows through.
func (b blocks) op(name, gy string, vars engine.Tensors, build func(v *gx.Vars, x *graph.Node) (y, through *graph.Node)) error {
	turn := func(n *graph.Node, to func(*graph.Node) *graph.Node) *graph.Node {
		if b.picture && n.Rank() == 4 {
			return to(n)
		}
		return n
	}
	p := b.e.Program("block "+name, func(v *gx.Vars, nodes []*graph.Node) []*graph.Node {
		y, through := build(v, turn(nodes[0], vqHWC))
		adjoint := turn(nodes[1], vqHWC)
		if through.IsScalar() {
			adjoint = graph.Reshape(adjoint)
		}
		grad := graph.Gradient(graph.ReduceAllSum(graph.Mul(through, adjoint)), nodes[0])[0]
		return []*graph.Node{turn(y, vqCHW), grad}
	})
	x := b.input(name, gy)
	got, err := p.Run(vars, engine.FromFloats(b.f.Floats(x), b.f.Shape(x)...), engine.FromFloats(b.f.Floats(gy), b.f.Shape(gy)...))
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	b.r.Compare(name+".y", engine.Floats(got[0]), b.f.Floats(name+".y"), b.tol)
	b.r.Compare(name+".gx", engine.Floats(got[1]), b.f.Floats(name+".gx"), b.tol)
	return nil
}

// input is the name of an operation's input: its own, or the one that all share.
func (b blocks) input(name, gy string) string {
	if gy == "gy" {
		return "x"
	}
	return name + ".x"
}

func same(y *graph.Node) (*graph.Node, *graph.Node) { return y, y }

// blocksCutout compares the pieces of the painting loop with VQGAN-CLIP's, and the resizing of pictures with Pillow's.
func blocksCutout(f *golden.Fixture, r *golden.Report) error {
	e, err := startEngine()
	if err != nil {
		return err
	}
	b := blocks{f: f, r: r, e: e, picture: true, tol: blockTolerance}
	for _, name := range f.Names() {
		switch op, part, _ := cutLast(name); {
		case part == "y" && !strings.HasPrefix(name, "pil.") && !strings.HasPrefix(name, "to_pil"):
			err = b.named(op)
		case strings.HasPrefix(name, "lanczos_kernel_ratio_"):
			err = lanczosKernel(f, r, name)
		}
		if err != nil {
			return err
		}
	}
	return pictures(f, r)
}

// cutLast splits a name at its last dot.
func cutLast(name string) (before, after string, found bool) {
	i := strings.LastIndexByte(name, '.')
	if i < 0 {
		return name, "", false
	}
	return name[:i], name[i+1:], true
}

func lanczosKernel(f *golden.Fixture, r *golden.Report, name string) error {
	ratio, err := strconv.ParseFloat(strings.TrimPrefix(name, "lanczos_kernel_ratio_"), 64)
	if err != nil {
		return err
	}
	var got []float32
	for _, v := range paint.Lanczos(ratio, 2) {
		got = append(got, float32(v))
	}
	r.Compare(name, got, f.Floats(name), blockTolerance)
	return nil
}

var sizes = regexp.MustCompile(`_(\d+)x(\d+)_to_(\d+)(?:x(\d+))?$`)

// named compares an operation by its name.
func (b blocks) named(op string) error {
	gy := op + ".gy"
	var s [4]int // h, w, oh, ow
	if m := sizes.FindStringSubmatch(op); m != nil {
		for i := range s {
			s[i], _ = strconv.Atoi(m[i+1])
		}
	}
	switch {
	case strings.HasPrefix(op, "resample_"):
		return b.op(op, gy, nil, func(_ *gx.Vars, x *graph.Node) (*graph.Node, *graph.Node) { return same(cutOut(x, s[2])) })
	case strings.HasPrefix(op, "avgmaxpool_"):
		return b.op(op, gy, nil, func(_ *gx.Vars, x *graph.Node) (*graph.Node, *graph.Node) {
			return same(paint.PoolGraph(x, s[2], s[2]))
		})
	case op == "interp_nearest_x2":
		return b.op(op, gy, nil, func(_ *gx.Vars, x *graph.Node) (*graph.Node, *graph.Node) { return same(gx.UpsampleNearest(x, 2)) })
	case strings.HasPrefix(op, "interp_"):
		parts := strings.Split(op, "_")
		matrix, ok := map[string]func(in, out int) gx.Matrix{
			"nearest_None": gx.NearestMatrix, "area_None": gx.AreaMatrix,
			"bilinear_True":  func(in, out int) gx.Matrix { return gx.LinearMatrix(in, out, true) },
			"bilinear_False": func(in, out int) gx.Matrix { return gx.LinearMatrix(in, out, false) },
			"bicubic_True":   func(in, out int) gx.Matrix { return gx.CubicMatrix(in, out, true) },
			"bicubic_False":  func(in, out int) gx.Matrix { return gx.CubicMatrix(in, out, false) },
		}[parts[1]+"_"+parts[2]]
		if !ok {
			return fmt.Errorf("unknown operation %s", op)
		}
		return b.op(op, gy, nil, func(_ *gx.Vars, x *graph.Node) (*graph.Node, *graph.Node) {
			return same(gx.Resample(x, matrix(s[0], s[2]), matrix(s[1], s[3])))
		})
	case op == "clamp_with_grad":
		return b.op(op, gy, nil, func(_ *gx.Vars, x *graph.Node) (*graph.Node, *graph.Node) { return same(gx.ClampWithGrad(x, 0, 1)) })
	case op == "normalize_clip":
		return b.op(op, gy, nil, func(_ *gx.Vars, x *graph.Node) (*graph.Node, *graph.Node) { return same(normalised(x)) })
	case op == "vector_quantize":
		return b.quantise(op)
	case strings.HasPrefix(op, "prompt"):
		return b.prompt(op)
	}
	return fmt.Errorf("unknown operation %s", op)
}

// cutOut resamples all of x [1,h,w,c] as the loop resamples its cuts.
func cutOut(x *graph.Node, size int) *graph.Node {
	d := x.Shape().Dimensions
	matrix := func(in int) *graph.Node {
		return graph.Reshape(graph.Const(x.Graph(), paint.CropMatrix(size, in, 0, in)), 1, size, in)
	}
	return paint.CropGraph(x, matrix(d[1]), matrix(d[2]))
}

func normalised(x *graph.Node) *graph.Node {
	c := clip.ViTB32()
	row := func(v []float64) *graph.Node {
		return graph.Reshape(graph.ConstAsDType(x.Graph(), x.DType(), v), 1, 1, 1, 3)
	}
	return graph.Div(graph.Sub(x, row(c.Mean[:])), row(c.Std[:]))
}

func (b blocks) quantise(op string) error {
	b.picture = false // the file has the channels last
	dims := b.f.Shape(op + ".codebook")
	c := vqgan.Config{NEmbed: dims[0], EmbedDim: dims[1], Quantiser: vqgan.Nearest}
	trace := b.e.Program("names", func(v *gx.Vars, in []*graph.Node) []*graph.Node { return []*graph.Node{c.LookupGraph(v, in[0])} })
	decls, err := trace.Decls(engine.Int32(1, 1, 1))
	if err != nil {
		return err
	}
	vars := engine.Tensors{decls[0].Name: engine.FromFloats(b.f.Floats(op+".codebook"), dims...)}
	return b.op(op, op+".gy", vars, func(v *gx.Vars, x *graph.Node) (*graph.Node, *graph.Node) {
		zq, _ := c.QuantiseGraph(v, x)
		return zq, zq
	})
}

// prompt compares the loss of a target in the graph, and in its twin on the host.
func (b blocks) prompt(op string) error {
	ws := b.f.Floats(op + ".weight_stop")
	stop := float64(ws[1])
	targets := []paint.Target{{Name: op, Embedding: b.f.Floats(op + ".embed"), Weight: float64(ws[0]), Stop: &stop}}
	err := b.op(op, op+".gy", nil, func(_ *gx.Vars, x *graph.Node) (*graph.Node, *graph.Node) { return paint.TargetsGraph(x, targets) })
	if err != nil {
		return err
	}
	d := b.f.Shape(op + ".x")
	e := paint.Embeddings{N: d[0], D: d[1], Data: b.f.Floats(op + ".x")}
	grad := make([]float64, len(e.Data))
	value, err := paint.TargetsLoss(e, targets, 0, grad)
	if err != nil {
		return err
	}
	gradient := make([]float32, len(grad))
	for i, g := range grad {
		gradient[i] = float32(g) * b.f.Floats(op + ".gy")[0]
	}
	b.r.Compare(op+".host.y", []float32{float32(value)}, b.f.Floats(op+".y"), b.tol)
	b.r.Compare(op+".host.gx", gradient, b.f.Floats(op+".gx"), b.tol)
	return nil
}

// pictures compares what package pixel does to pictures of 8 bits with Pillow and torchvision, to the last bit but for
// to_pil_from_float: torchvision cuts fractions off, smalti rounds.
func pictures(f *golden.Fixture, r *golden.Report) error {
	src := rgb8(f, "pil.src")
	for _, c := range []struct {
		name string
		make func(w, h int) image.Image
	}{
		{"pil.bicubic_down", func(w, h int) image.Image { return pixel.Resize8(src, w, h, pixel.Bicubic) }},
		{"pil.bilinear_down", func(w, h int) image.Image { return pixel.Resize8(src, w, h, pixel.Bilinear) }},
		{"pil.lanczos_down", func(w, h int) image.Image { return pixel.Resize8(src, w, h, pixel.Lanczos) }},
		{"pil.lanczos_up", func(w, h int) image.Image { return pixel.Resize8(src, w, h, pixel.Lanczos) }},
		{"pil.resize_image_32x32", func(int, int) image.Image { return pixel.FitArea(src, 32, 32) }},
		{"pil.zoom_at_0.9", func(w, h int) image.Image { return pixel.ZoomAt(src, float64(w)/2, float64(h)/2, 0.9) }},
	} {
		d := f.Shape(c.name)
		r.Exact(c.name, bytesOf(c.make(d[1], d[0])), f.Ints(c.name))
	}
	pre := pixel.CLIPPreprocess(src, 24)
	got := make([]float32, len(pre.Pix))
	cfg := clip.ViTB32()
	for i, v := range pre.Pix {
		at, c := i/3, i%3
		got[c*pre.W*pre.H+at] = float32((float64(v) - cfg.Mean[c]) / cfg.Std[c])
	}
	r.Compare("clip_preprocess_24", got, f.Floats("clip_preprocess_24"), blockTolerance)
	return toBytes(f, r)
}

func toBytes(f *golden.Fixture, r *golden.Report) error {
	x, d := f.Floats("to_pil_from_float.x"), f.Shape("to_pil_from_float.x")
	plane := d[1] * d[2]
	got := make([]float32, len(x))
	for i, v := range x {
		got[i%plane*3+i/plane] = float32(pixel.To8(v))
	}
	want := make([]float32, len(x))
	for i, v := range f.Ints("to_pil_from_float.y") {
		want[i] = float32(v)
	}
	r.Compare("to_pil_from_float.y", got, want, golden.Tolerance{Abs: 1})
	return nil
}

func rgb8(f *golden.Fixture, name string) *image.NRGBA {
	d, v := f.Shape(name), f.Ints(name)
	img := image.NewNRGBA(image.Rect(0, 0, d[1], d[0]))
	for i := range d[0] * d[1] {
		img.SetNRGBA(i%d[1], i/d[1], color.NRGBA{uint8(v[3*i]), uint8(v[3*i+1]), uint8(v[3*i+2]), 255})
	}
	return img
}

func bytesOf(img image.Image) []int64 {
	b := img.Bounds()
	var out []int64
	for y := b.Min.Y; y < b.Max.Y; y++ {
		for x := b.Min.X; x < b.Max.X; x++ {
			c := color.NRGBAModel.Convert(img.At(x, y)).(color.NRGBA)
			out = append(out, int64(c.R), int64(c.G), int64(c.B))
		}
	}
	return out
}
