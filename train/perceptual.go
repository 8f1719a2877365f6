package train

import (
	"fmt"
	"strings"

	"github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"

	"github.com/smalti/smalti/clip"
	"github.com/smalti/smalti/engine"
	"github.com/smalti/smalti/gx"
)

// BuiltinClip is the name of the CLIP that is part of the program.
const BuiltinClip = "builtin/clip"

// PerceptualConfig is a network that says how different two pictures look.
type PerceptualConfig struct {
	Model  string  `json:"model"`  // name or file of a CLIP, whose image tower serves; empty for none
	SHA256 string  `json:"sha256"` // of its file, filled in by the training
	Weight float64 `json:"weight"` // of the distance; 0 for none
	Side   int     `json:"side"`   // side to which pictures are brought before; 0 is that of the pictures that the network was trained on
}

// perceptualPrefix is before the names of the network's variables.
const perceptualPrefix = "perceptual"

// perceptual is such a network, loaded.
type perceptual struct {
	values   Values                                        // by the names in the training's graph
	dims     map[string][]int                              // of them
	features func(v *gx.Vars, x *graph.Node) []*graph.Node // [n,side,side,3] in [0,1] -> what its stages put out
	embed    func(v *gx.Vars, x *graph.Node) *graph.Node   // the same -> [n,width], what the whole picture is like
	side     int
	width    int
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
	m, ts, err := clip.Read(e, f, nil)
	if err != nil {
		return nil, fmt.Errorf("train: perceptual network %s: %w", c.Model, err)
	}
	p := &perceptual{values: Values{}, dims: map[string][]int{}, features: m.StagesGraph, side: c.Side, width: m.EmbedDim}
	p.embed = func(v *gx.Vars, x *graph.Node) *graph.Node {
		if s := m.ImageSize(); s != p.side {
			x = resize(x, s)
		}
		return m.ImageGraph(v, x)
	}
	for name, t := range ts {
		if strings.HasPrefix(name, "visual.") {
			p.values[perceptualPrefix+"."+name] = engine.Floats(t)
			p.dims[perceptualPrefix+"."+name] = t.Shape().Dimensions
		}
	}
	if p.side == 0 {
		p.side = m.ImageSize()
	}
	return p, p.fits(m)
}

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

// distance compares pictures x and y [n,S,S,3] in [-1,1] by what the network sees at each of its stages: the mean over
// places of the squared difference of the features at unit length, and over stages (Zhang et al. 2018, arXiv:1801.03924,
// equation 1 with all weights equal). [n], between 0 and 4.
func (p *perceptual) distance(v *gx.Vars, x, y *graph.Node) *graph.Node {
	a, b := p.features(v, p.scale(x)), p.features(v, p.scale(y))
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

// scale brings pictures [n,S,S,3] in [-1,1] to p.side and to [0,1].
func (p *perceptual) scale(x *graph.Node) *graph.Node {
	return resize(graph.MulScalar(graph.AddScalar(x, 1), .5), p.side)
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
