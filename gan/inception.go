package gan

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strings"

	"github.com/gomlx/gomlx/core/graph"

	"github.com/smalti/smalti/engine"
	"github.com/smalti/smalti/gx"
	"github.com/smalti/smalti/weights"
)

// ErrNotInception says that a file holds no weights of Inception v3.
var ErrNotInception = errors.New("not an Inception v3")

// Inception is Inception v3 ready to measure pictures by, with weights of the user's own: none come with smalti.
type Inception struct {
	Features int  // length of a feature vector, 2048
	Classes  int  // 1008 in the weights that FID is defined by, 1000 in torchvision's
	FID      bool // the former: figures can be compared with published ones; with other weights they cannot

	values  engine.Tensors
	program *engine.Program
	side    int
}

// inceptionBatch is how many pictures are examined at once.
const inceptionBatch = 8

// OpenInception reads weights by the names of torchvision's state dict: those converted from TensorFlow's network of 2015
// that FID is defined by (pt_inception-2015-12-05), which have 1008 classes, or torchvision's own. The file may be closed
// afterwards.
func OpenInception(e *engine.Engine, f *weights.File) (*Inception, error) {
	l := weights.NewLoader(f)
	first, ok1 := l.Peek("Conv2d_1a_3x3.conv.weight")
	last, ok2 := l.Peek("fc.weight")
	if !ok1 || !ok2 || len(first.Shape) != 4 || len(last.Shape) != 2 || first.Shape[0] < 1 || 32%first.Shape[0] != 0 {
		return nil, fmt.Errorf("%s: %w: Conv2d_1a_3x3.conv.weight and fc.weight are not both there", f.Path(), ErrNotInception)
	}
	net := inceptionNet{divide: 32 / first.Shape[0], classes: last.Shape[0]}
	net.fid = net.classes == 1008
	p := e.Program("inception", func(v *gx.Vars, in []*graph.Node) []*graph.Node {
		features, logits := net.graph(v, in[0])
		return []*graph.Node{features, gx.Softmax(logits)}
	})
	x := &Inception{Features: inceptionFeatures / net.divide, Classes: net.classes, FID: net.fid, program: p, side: inceptionSide}
	decls, err := p.Decls(engine.Float32(inceptionBatch, x.side, x.side, 3))
	if err != nil {
		return nil, err
	}
	l.SkipFunc(func(name string) bool { return strings.HasPrefix(name, "AuxLogits.") }) // helps training only
	if x.values, err = ReadDecls(l, decls); err != nil {
		return nil, fmt.Errorf("%s: %w: %w", f.Path(), ErrNotInception, err)
	}
	return x, nil
}

// Examine returns the features [n,Features] and the probabilities [n,Classes] of pictures [n,size,size,channels] in
// [-1,1], one channel or three. They are brought to 299 x 299 as FID's usual program does: bilinear, without a filter.
func (x *Inception) Examine(ctx context.Context, pix []float32, size, channels int) (features, probs []float32, err error) {
	plane := size * size * channels
	n := len(pix) / plane
	for at := 0; at < n; at += inceptionBatch {
		if err := ctx.Err(); err != nil {
			return nil, nil, err
		}
		part := min(inceptionBatch, n-at)
		big := make([]float32, inceptionBatch*x.side*x.side*3)
		for i := range part {
			enlarge(big[i*x.side*x.side*3:], x.side, pix[(at+i)*plane:(at+i+1)*plane], size, channels)
		}
		outs, err := x.program.Run(x.values, engine.FromFloats(big, inceptionBatch, x.side, x.side, 3))
		if err != nil {
			return nil, nil, fmt.Errorf("inception: %w", err)
		}
		features = append(features, engine.Floats(outs[0])[:part*x.Features]...)
		probs = append(probs, engine.Floats(outs[1])[:part*x.Classes]...)
	}
	return features, probs, nil
}

// enlarge writes a picture [size,size,channels] as [side,side,3] by bilinear interpolation between pixel centres
// (align_corners false); a grey one three times.
func enlarge(into []float32, side int, pic []float32, size, channels int) {
	place := func(i int) (lo, hi int, t float32) {
		s := max(0, (float64(i)+.5)*float64(size)/float64(side)-.5)
		lo = min(int(math.Floor(s)), size-1)
		return lo, min(lo+1, size-1), float32(s - float64(lo))
	}
	for y := range side {
		y0, y1, ty := place(y)
		for x := range side {
			x0, x1, tx := place(x)
			for c := range 3 {
				k := min(c, channels-1)
				at := func(y, x int) float32 { return pic[(y*size+x)*channels+k] }
				into[(y*side+x)*3+c] = between(between(at(y0, x0), at(y0, x1), tx), between(at(y1, x0), at(y1, x1), tx), ty)
			}
		}
	}
}

// between keeps its products apart from the sum: fused they would differ from machine to machine.
func between(a, b, t float32) float32 { return float32(a*(1-t)) + float32(b*t) }
