package paint

import (
	"github.com/gomlx/gomlx/core/graph"
)

// Channel of Jitter, in kornia's numbering.
const (
	Brightness = iota
	Contrast
	Saturation
	Hue
)

// Jitter changes brightness, contrast, saturation and hue with probability P, as kornia 0.6.4's ColorJitter (which
// follows torchvision) does for pictures in [0,1]. Factors are drawn from 1-F to 1+F, the turn of the hue from -F to F
// (in whole turns). A part whose range is zero is left out of the graph.
type Jitter struct {
	P                                     float64
	Brightness, Contrast, Saturation, Hue float64
	// Order is the order of the parts; nil means the order of the constants. It is fixed for a run, where kornia draws it
	// anew for each batch: it shapes the graph.
	Order []int
}

func (Jitter) Name() string { return "jitter" }

// Params: whether to change; then the four factors.
func (Jitter) Params() int { return 5 }

func (j Jitter) Draw(d Draws) []float32 {
	on := flag(d.Cut.Bernoulli(j.P))
	around := func(centre, r float64) float32 { return float32(centre + d.Cut.Uniform(-r, r)) }
	return []float32{on, around(1, j.Brightness), around(1, j.Contrast), around(1, j.Saturation), around(0, j.Hue)}
}

func (j Jitter) Apply(x, p *graph.Node) *graph.Node {
	order := j.Order
	if order == nil {
		order = []int{Brightness, Contrast, Saturation, Hue}
	}
	y := x
	for _, part := range order {
		f := param(p, 1+part)
		switch {
		case part == Brightness && j.Brightness != 0:
			y = clamp01(graph.Mul(y, f))
		case part == Contrast && j.Contrast != 0:
			mean := graph.ReduceAndKeep(gray(y), graph.ReduceMean, 1, 2)
			y = blend(mean, y, f)
		case part == Saturation && j.Saturation != 0:
			y = blend(gray(y), y, f)
		case part == Hue && j.Hue != 0:
			y = turnHue(y, f)
		}
	}
	return choose(p, 0, y, x)
}

// blend is f*y + (1-f)*other within [0,1]; other may have size 1 where y has more.
func blend(other, y, f *graph.Node) *graph.Node {
	return clamp01(graph.Add(graph.Mul(y, f), graph.Mul(other, graph.OneMinus(f))))
}

// gray is the luma of ITU-R BT.601: [n,h,w,3] to [n,h,w,1].
func gray(x *graph.Node) *graph.Node {
	r, g, b := channels(x)
	return graph.Add(graph.Add(graph.MulScalar(r, 0.299), graph.MulScalar(g, 0.587)), graph.MulScalar(b, 0.114))
}

func channels(x *graph.Node) (r, g, b *graph.Node) {
	at := func(i int) *graph.Node {
		return graph.Slice(x, graph.AxisRange(), graph.AxisRange(), graph.AxisRange(), graph.AxisElem(i))
	}
	return at(0), at(1), at(2)
}

// turnHue turns the hue of x by f turns in HSV (Smith 1978). Where two channels are equal, the first one is the
// largest (or smallest), which decides where their gradient goes.
func turnHue(x, f *graph.Node) *graph.Node {
	r, g, b := channels(x)
	largest := graph.Max(graph.Max(r, g), b)
	smallest := graph.Min(graph.Min(r, g), b)
	delta := graph.Sub(largest, smallest)
	zero := graph.ScalarZero(x.Graph(), x.DType())
	divisor := graph.Where(graph.Equal(delta, zero), graph.OnesLike(delta), delta)
	sixth := graph.Where(graph.Equal(r, largest), graph.Sub(g, b),
		graph.Where(graph.Equal(g, largest),
			graph.Add(graph.Sub(b, r), graph.MulScalar(divisor, 2)),
			graph.Add(graph.Sub(r, g), graph.MulScalar(divisor, 4))))
	h := graph.Add(graph.Div(sixth, divisor), graph.MulScalar(f, 6)) // six to a turn
	s := graph.Div(delta, graph.AddScalar(largest, 1e-8))
	chroma := graph.Mul(largest, s)
	channel := func(n float64) *graph.Node {
		k := graph.AddScalar(h, n)
		k = graph.Sub(k, graph.MulScalar(graph.StopGradient(graph.Floor(graph.MulScalar(k, 1./6))), 6))
		ramp := graph.MinScalar(graph.Min(k, graph.AddScalar(graph.Neg(k), 4)), 1)
		return graph.Sub(largest, graph.Mul(chroma, graph.MaxScalar(ramp, 0)))
	}
	return graph.Concatenate([]*graph.Node{channel(5), channel(3), channel(1)}, -1)
}

// Gray takes the colour away with probability P.
type Gray struct{ P float64 }

func (Gray) Name() string { return "gray" }

// Params: whether to change.
func (Gray) Params() int { return 1 }

func (g Gray) Draw(d Draws) []float32 { return []float32{flag(d.Cut.Bernoulli(g.P))} }

func (Gray) Apply(x, p *graph.Node) *graph.Node {
	return choose(p, 0, graph.BroadcastToDims(gray(x), x.Shape().Dimensions...), x)
}

// Sharpen blends each cut with a blurred copy of itself, with probability P, as kornia's RandomSharpness: the factor is
// drawn from 0 (blurred) to Max, at most 1 (unchanged).
type Sharpen struct{ P, Max float64 }

func (Sharpen) Name() string { return "sharpen" }

// Params: whether to change; then the factor.
func (Sharpen) Params() int { return 2 }

func (s Sharpen) Draw(d Draws) []float32 {
	return []float32{flag(d.Cut.Bernoulli(s.P)), float32(d.Cut.Uniform(0, s.Max))}
}

func (Sharpen) Apply(x, p *graph.Node) *graph.Node {
	d := x.Shape().Dimensions
	h, w := d[1], d[2]
	part := func(y *graph.Node, axis, from, to int) *graph.Node {
		spec := []graph.SliceAxisSpec{graph.AxisRange(), graph.AxisRange(), graph.AxisRange(), graph.AxisRange()}
		spec[axis] = graph.AxisRange(from, to)
		return graph.Slice(y, spec...)
	}
	sum3 := func(y *graph.Node, axis, n int) *graph.Node {
		return graph.Add(graph.Add(part(y, axis, 0, n-2), part(y, axis, 1, n-1)), part(y, axis, 2, n))
	}
	centre := part(part(x, 1, 1, h-1), 2, 1, w-1)
	blurred := graph.Add(sum3(sum3(x, 1, h), 2, w), graph.MulScalar(centre, 4))
	blurred = clamp01(graph.MulScalar(blurred, 1./13))
	// The outermost pixels have no neighbours on one side and stay as they are.
	middle := graph.Concatenate([]*graph.Node{part(part(x, 1, 1, h-1), 2, 0, 1), blurred, part(part(x, 1, 1, h-1), 2, w-1, w)}, 2)
	whole := graph.Concatenate([]*graph.Node{part(x, 1, 0, 1), middle, part(x, 1, h-1, h)}, 1)
	changed := graph.Add(whole, graph.Mul(graph.Sub(x, whole), param(p, 1)))
	return choose(p, 0, changed, x)
}
