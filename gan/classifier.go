package gan

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/gomlx/gomlx/core/graph"

	"github.com/smalti/smalti/engine"
	"github.com/smalti/smalti/gx"
	"github.com/smalti/smalti/weights"
)

// classifierKey is the metadata key of a classifier's file.
const classifierKey = "smalti.classifier"

// ErrNotClassifier says that a file holds no classifier of this package.
var ErrNotClassifier = errors.New("not a classifier")

// Classifier is a small convolutional network that is trained on the same pictures as a GAN, to measure it: its last
// hidden layer gives the features of the distances, its classes the modes.
type Classifier struct {
	Size     int      `json:"size"`     // side of the pictures
	Channels int      `json:"channels"` // 1 or 3
	Width    int      `json:"width"`    // channels of the first convolution
	Features int      `json:"features"` // length of a feature vector
	Names    []string `json:"names"`    // classes, or tags
	Tags     bool     `json:"tags"`     // names are tags: any number of them holds for a picture
}

// Validate says what is wrong with a classifier, nil when it can be built.
func (c Classifier) Validate() error {
	for _, p := range []struct {
		name      string
		v, lo, hi int
	}{{"size", c.Size, 8, 1024}, {"width", c.Width, 1, 1024}, {"features", c.Features, 2, 1024}, {"names", len(c.Names), 2, 10_000}} {
		if p.v < p.lo || p.v > p.hi {
			return fmt.Errorf("classifier: %s is %d, out of %d..%d", p.name, p.v, p.lo, p.hi)
		}
	}
	if c.Channels != 1 && c.Channels != 3 {
		return fmt.Errorf("classifier: %d channels, want 1 or 3", c.Channels)
	}
	return nil
}

// Graph maps pictures x [n,S,S,C] in [-1,1] to features [n,Features], not negative, and logits [n,len(Names)].
func (c Classifier) Graph(v *gx.Vars, x *graph.Node) (features, logits *graph.Node) {
	x.AssertDims(-1, c.Size, c.Size, c.Channels)
	l := layer{out: c.Width, kernel: 3, stride: 1, pad: 1, init: gx.KaimingUniform}
	x = gx.ReLU(norm(v.In("norm0"), l.conv(v.In("conv0"), x), Layer, nil))
	for i := 1; x.Shape().Dimensions[1] > 7; i++ {
		l.stride, l.out = 2, min(8*c.Width, 2*l.out)
		x = gx.ReLU(norm(v.In("norm%d", i), l.conv(v.In("conv%d", i), x), Layer, nil))
	}
	x = graph.Reshape(x, x.Shape().Dimensions[0], -1)
	features = gx.ReLU(layer{out: c.Features, bias: true, init: gx.KaimingUniform}.linear(v.In("features"), x))
	return features, layer{out: len(c.Names), bias: true, init: gx.KaimingUniform}.linear(v.In("output"), features)
}

// Decls lists the variables.
func (c Classifier) Decls(e *engine.Engine) ([]gx.Decl, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	p := e.Program("classifier variables", func(v *gx.Vars, in []*graph.Node) []*graph.Node {
		_, logits := c.Graph(v, in[0])
		return []*graph.Node{logits}
	})
	return p.Decls(engine.Float32(1, c.Size, c.Size, c.Channels))
}

// SaveClassifier writes a classifier as float32 safetensors, with its configuration in the metadata.
func SaveClassifier(w io.Writer, c Classifier, decls []gx.Decl, values map[string][]float32) error {
	text, err := json.Marshal(c)
	if err != nil {
		return fmt.Errorf("classifier: write the configuration: %w", err)
	}
	outs := make([]weights.Out, 0, len(decls))
	for _, d := range decls {
		outs = append(outs, weights.Out{Name: d.Name, DType: weights.F32, Shape: d.Layout.FileDims(d.Dims), Floats: d.Layout.ToFile(values[d.Name], d.Dims)})
	}
	return weights.WriteSafetensors(w, map[string]string{classifierKey: string(text)}, outs)
}

// Examiner is a classifier ready for use.
type Examiner struct {
	Classifier
	values  engine.Tensors
	program *engine.Program
}

// OpenClassifier reads a classifier. The file may be closed afterwards.
func OpenClassifier(e *engine.Engine, f *weights.File) (*Examiner, error) {
	text, ok := f.Metadata()[classifierKey]
	if !ok {
		return nil, fmt.Errorf("%s: %w", f.Path(), ErrNotClassifier)
	}
	var c Classifier
	if err := json.Unmarshal([]byte(text), &c); err != nil {
		return nil, fmt.Errorf("classifier: metadata %q of the file: %w", classifierKey, err)
	}
	decls, err := c.Decls(e)
	if err != nil {
		return nil, err
	}
	values, err := ReadDecls(weights.NewLoader(f), decls)
	if err != nil {
		return nil, err
	}
	return NewExaminer(e, c, values), nil
}

// NewExaminer makes a classifier of weights by variable name.
func NewExaminer(e *engine.Engine, c Classifier, values engine.Tensors) *Examiner {
	x := &Examiner{Classifier: c, values: values}
	x.program = e.Program("classifier", func(v *gx.Vars, in []*graph.Node) []*graph.Node {
		features, logits := c.Graph(v, in[0])
		probs := graph.Sigmoid(logits)
		if !c.Tags {
			probs = gx.Softmax(logits)
		}
		return []*graph.Node{features, probs}
	})
	return x
}

// Examine returns the features [n,Features] and the probabilities [n,len(Names)] of pictures [n,S,S,C] in [-1,1].
func (x *Examiner) Examine(pix []float32) (features, probs []float32, err error) {
	const most = 64 // pictures of a run
	plane := x.Size * x.Size * x.Channels
	n := len(pix) / plane
	for at := 0; at < n; at += most {
		part := min(most, n-at)
		some := make([]float32, most*plane)
		copy(some, pix[at*plane:(at+part)*plane])
		outs, err := x.program.Run(x.values, engine.FromFloats(some, most, x.Size, x.Size, x.Channels))
		if err != nil {
			return nil, nil, fmt.Errorf("classifier: %w", err)
		}
		features = append(features, engine.Floats(outs[0])[:part*x.Features]...)
		probs = append(probs, engine.Floats(outs[1])[:part*len(x.Names)]...)
	}
	return features, probs, nil
}
