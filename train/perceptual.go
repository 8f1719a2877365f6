package train

import (
	"errors"
	"fmt"
	"strings"

	"github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"

	"github.com/smalti/smalti/clip"
	"github.com/smalti/smalti/engine"
	"github.com/smalti/smalti/gx"
	"github.com/smalti/smalti/vqgan"
	"github.com/smalti/smalti/weights"
)

// BuiltinClip is the name of the CLIP that is part of the program.
const BuiltinClip = "builtin/clip"

// PerceptualConfig is a network that says how different two pictures look.
type PerceptualConfig struct {
	Model  string  `json:"model"`  // name or file of a CLIP, whose image tower serves, or file with VGG16 (vqgan.LPIPS); empty for none
	Linear string  `json:"linear"` // file with LPIPS' weights of channels, where those of a VGG16 lie apart; empty else
	SHA256 string  `json:"sha256"` // of Model's file, filled in by the training
	Weight float64 `json:"weight"` // of the distance; 0 for none
	Side   int     `json:"side"`   // side to which pictures are brought before; 0 is that of the pictures that a CLIP was trained on, with VGG16 none
}

// perceptualPrefix is before the names of the network's variables.
const perceptualPrefix = "perceptual"

// perceptual is such a network, loaded.
type perceptual struct {
	values Values           // by the names in the training's graph
	dims   map[string][]int // of them
	side   int              // to which pictures are brought; 0 leaves them
	width  int              // of embed

	between func(v *gx.Vars, x, y *graph.Node) *graph.Node // distance of pictures [n,side,side,3] in [-1,1]: [n]
	embed   func(v *gx.Vars, x *graph.Node) *graph.Node    // what a whole picture is like: the same -> [n,width]
}

// distance compares pictures x and y [n,S,S,3] in [-1,1]: [n].
func (p *perceptual) distance(v *gx.Vars, x, y *graph.Node) *graph.Node {
	return p.between(v, p.scale(x), p.scale(y))
}

// features is what pictures x [n,S,S,3] in [-1,1] are like: [n,width].
func (p *perceptual) features(v *gx.Vars, x *graph.Node) *graph.Node { return p.embed(v, p.scale(x)) }

// scale brings pictures to p.side.
func (p *perceptual) scale(x *graph.Node) *graph.Node {
	if p.side == 0 {
		return x
	}
	return resize(x, p.side)
}

// upload makes tensors of the weights.
func (p *perceptual) upload() engine.Tensors {
	out := engine.Tensors{}
	for name, data := range p.values {
		out[name] = tensors.FromFlatDataAndDimensions(data, p.dims[name]...)
	}
	return out
}

// openPerceptual loads a network and notes its sha256 in c, or refuses another than the one noted; nil for none.
func openPerceptual(c *PerceptualConfig, lend Lender) (*perceptual, error) {
	if c.Weight == 0 || c.Model == "" {
		return nil, nil
	}
	if lend == nil {
		return nil, fmt.Errorf("train: nobody lends the perceptual network %s", c.Model)
	}
	f, sum, err := lend("clip", c.Model)
	if err != nil {
		return nil, fmt.Errorf("train: perceptual network: %w", err)
	}
	defer f.Close()
	if c.SHA256 != "" && c.SHA256 != sum {
		return nil, fmt.Errorf("train: perceptual network %s: its weights are not those that the training began with", c.Model)
	}
	c.SHA256 = sum
	e, err := engine.New(engine.Options{Threads: 1})
	if err != nil {
		return nil, err
	}
	defer e.Close()
	p, ts, err := readVGG(e, f, c, lend)
	if errors.Is(err, vqgan.ErrNotLPIPS) {
		p, ts, err = readTower(e, f, c)
	}
	if err != nil {
		return nil, fmt.Errorf("train: perceptual network %s: %w", c.Model, err)
	}
	p.values, p.dims = Values{}, map[string][]int{}
	for name, t := range ts {
		p.values[perceptualPrefix+"."+name] = engine.Floats(t)
		p.dims[perceptualPrefix+"."+name] = t.Shape().Dimensions
	}
	return p, nil
}

// readVGG makes a network of a file with VGG16.
func readVGG(e *engine.Engine, f *weights.File, c *PerceptualConfig, lend Lender) (*perceptual, engine.Tensors, error) {
	var linear *weights.File
	if c.Linear != "" {
		l, _, err := lend("clip", c.Linear)
		if err != nil {
			return nil, nil, err
		}
		defer l.Close()
		linear = l
	}
	m, ts, err := vqgan.ReadLPIPS(e, f, linear)
	if err != nil {
		return nil, nil, err
	}
	if c.Side != 0 && (c.Side < 16 || c.Side > 1024) {
		return nil, nil, fmt.Errorf("side is out of range: %d of 16..1024", c.Side)
	}
	p := &perceptual{side: c.Side, width: m.Widths[4], between: m.Graph}
	p.embed = func(v *gx.Vars, x *graph.Node) *graph.Node { return graph.ReduceMean(m.Features(v, x)[4], 1, 2) }
	return p, ts, nil
}

// readTower makes a network of the image tower of a CLIP.
func readTower(e *engine.Engine, f *weights.File, c *PerceptualConfig) (*perceptual, engine.Tensors, error) {
	m, all, err := clip.Read(e, f, nil)
	if err != nil {
		return nil, nil, err
	}
	if m.Role == clip.Judge {
		return nil, nil, fmt.Errorf("train: perceptual: %w", ErrJudge)
	}
	ts := engine.Tensors{}
	for name, t := range all {
		if strings.HasPrefix(name, "visual.") {
			ts[name] = t
		}
	}
	p := &perceptual{side: c.Side, width: m.EmbedDim}
	if p.side == 0 {
		p.side = m.ImageSize()
	}
	p.between = func(v *gx.Vars, x, y *graph.Node) *graph.Node {
		return featureDistance(m.StagesGraph(v, positive(x)), m.StagesGraph(v, positive(y)))
	}
	p.embed = func(v *gx.Vars, x *graph.Node) *graph.Node {
		return m.ImageGraph(v, positive(resize(x, m.ImageSize())))
	}
	return p, ts, p.fits(m)
}

// positive brings values from [-1,1] to [0,1].
func positive(x *graph.Node) *graph.Node { return graph.MulScalar(graph.AddScalar(x, 1), .5) }

// fits tells whether the tower takes pictures of p.side.
func (p *perceptual) fits(m clip.Config) error {
	switch {
	case p.side < 1 || p.side > 1024:
		return fmt.Errorf("train: perceptual.side is out of range: %d", p.side)
	case m.Vision.Kind == clip.Conv && p.side%(1<<(len(m.Vision.Widths)-1)) != 0:
		return fmt.Errorf("train: perceptual.side is out of range: %d does not halve %d times", p.side, len(m.Vision.Widths)-1)
	case m.Vision.Kind != clip.Conv && p.side != m.ImageSize():
		return fmt.Errorf("train: perceptual.side is out of range: the network takes pictures of %d pixels", m.ImageSize())
	}
	return nil
}

// featureDistance compares what a network saw of two batches of pictures at each of its stages, [n,...,c]: the mean over places
// of the squared difference of the features at unit length, and over stages (Zhang et al. 2018, arXiv:1801.03924, equation 1
// with all weights equal). [n], between 0 and 4.
func featureDistance(a, b []*graph.Node) *graph.Node {
	var sum *graph.Node
	for i := range a {
		d := graph.Square(graph.Sub(gx.L2Normalize(a[i], -1), gx.L2Normalize(b[i], -1)))
		places := 1
		for _, n := range d.Shape().Dimensions[1 : d.Rank()-1] {
			places *= n
		}
		axes := make([]int, d.Rank()-1)
		for k := range axes {
			axes[k] = k + 1
		}
		d = graph.MulScalar(graph.ReduceSum(d, axes...), 1/float64(places*len(a)))
		if sum == nil {
			sum = d
		} else {
			sum = graph.Add(sum, d)
		}
	}
	return sum
}

// resize brings square pictures [n,S,S,c] to another side: means of areas to a smaller one, bilinear to a larger one.
func resize(x *graph.Node, side int) *graph.Node {
	s := x.Shape().Dimensions[1]
	switch {
	case s == side:
		return x
	case s%side == 0:
		return gx.AvgPool(x, s/side)
	case s > side:
		m := gx.AreaMatrix(s, side)
		return gx.Resample(x, m, m)
	}
	m := gx.LinearMatrix(s, side, false)
	return gx.Resample(x, m, m)
}
