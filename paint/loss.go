package paint

import (
	"fmt"
	"math"

	"github.com/gomlx/gomlx/core/graph"

	"github.com/smalti/smalti/gx"
	"github.com/smalti/smalti/rng"
)

// Target is something that the picture should resemble in the eyes of one image encoder: a prompt, another picture, or
// a random direction.
type Target struct {
	Name    string
	Encoder int // index of the image encoder whose space the embedding is in
	// Embedding holds one or more rows of the encoder's width, one after the other, of any length other than zero. A
	// picture is described by the rows of its cuts.
	Embedding []float32
	Weight    float64 // negative: away from it
	Window    *Window // the part of the picture that it looks at; nil: all of it
	// Stop ends the pull once the distance (negated for negative weights) is below it. nil: never.
	Stop *float64
}

// NoiseEmbedding is the embedding of a noise prompt: normal numbers, which ask for a look that nobody chose.
func NoiseEmbedding(seed uint64, width int) []float32 {
	out := make([]float32, width)
	rng.New(seed, "noise prompt").FillNormal(out)
	return out
}

// targetRows is the targets of one encoder as arrays for its graphs: R rows of unit length, and for each row the sign
// of the weight, the stop, and |weight| / rows of its target.
type targetRows struct {
	width   int
	rows    []float32 // [R,width]
	sign    []float32
	stop    []float32
	scale   []float32
	targets []int // index of the target of each row
}

// newTargetRows takes the targets of an encoder that look at the whole picture.
func newTargetRows(targets []Target, encoder, width int) (*targetRows, error) {
	return windowRows(targets, encoder, width, nil)
}

// windowRows takes those that look at a window.
func windowRows(targets []Target, encoder, width int, w *Window) (*targetRows, error) {
	t := &targetRows{width: width}
	for i, target := range targets {
		if target.Encoder != encoder || target.Weight == 0 || target.Window.key() != w.key() {
			continue
		}
		n := len(target.Embedding) / width
		if n == 0 || n*width != len(target.Embedding) {
			return nil, fmt.Errorf("paint: target %q has %d numbers, want rows of %d", target.Name, len(target.Embedding), width)
		}
		if math.IsNaN(target.Weight) || math.IsInf(target.Weight, 0) {
			return nil, fmt.Errorf("paint: target %q has weight %v", target.Name, target.Weight)
		}
		for r := range n {
			row, err := unit(target.Embedding[r*width : (r+1)*width])
			if err != nil {
				return nil, fmt.Errorf("paint: target %q: %w", target.Name, err)
			}
			stop := -math.MaxFloat32 // a number that every backend can carry
			if target.Stop != nil {
				stop = max(stop, *target.Stop)
			}
			t.rows = append(t.rows, row...)
			t.sign = append(t.sign, float32(math.Copysign(1, target.Weight)))
			t.stop = append(t.stop, float32(stop))
			t.scale = append(t.scale, float32(math.Abs(target.Weight)/float64(n)))
			t.targets = append(t.targets, i)
		}
	}
	return t, nil
}

func (t *targetRows) len() int { return len(t.targets) }

func unit(v []float32) ([]float32, error) {
	var sum float64
	for _, x := range v {
		sum += float64(x) * float64(x)
	}
	if !(sum > 0) || math.IsInf(sum, 0) {
		return nil, fmt.Errorf("an embedding of length %v has no direction", math.Sqrt(sum))
	}
	out := make([]float32, len(v))
	for i, x := range v {
		out[i] = float32(float64(x) / math.Sqrt(sum))
	}
	return out, nil
}

// SphericalGraph is the squared great-circle distance 2*asin(|u-v|/2)^2 between the directions u of embeddings
// [n,D] and unit rows [R,D]: [n,R] (Crowson 2021).
func SphericalGraph(embeddings, rows *graph.Node) *graph.Node {
	n, d := embeddings.Shape().Dimensions[0], embeddings.Shape().Dimensions[1]
	r := rows.Shape().Dimensions[0]
	u := gx.L2Normalize(embeddings, -1)
	diff := graph.Sub(graph.Reshape(u, n, 1, d), graph.Reshape(rows, 1, r, d))
	squared := graph.ReduceSum(graph.Square(diff), -1)
	// Equal and opposite directions have no gradient; the bounds keep it finite.
	half := graph.MulScalar(graph.Sqrt(graph.MaxScalar(squared, 1e-24)), 0.5)
	angle := gx.Arcsin(graph.MinScalar(half, 1-1e-6))
	return graph.MulScalar(graph.Square(angle), 2)
}

// targetNodes are targetRows in a graph.
type targetNodes struct{ rows, sign, stop, scale *graph.Node }

// loss returns the signed distances [n,R] of embeddings [n,D], and the scalar that gradients flow through: a distance
// that is below its stop has none. share [n] is the weight of each cut.
func (t targetNodes) loss(embeddings, share *graph.Node) (signed, through *graph.Node) {
	n, r := share.Shape().Dimensions[0], t.sign.Shape().Dimensions[0]
	signed = graph.Mul(SphericalGraph(embeddings, t.rows), graph.Reshape(t.sign, 1, r))
	weights := graph.Mul(graph.Reshape(share, n, 1), graph.Reshape(t.scale, 1, r))
	return signed, graph.ReduceAllSum(graph.Mul(weights, graph.Max(signed, graph.Reshape(t.stop, 1, r))))
}

// TargetsGraph is the loss of embeddings [n,D] of n cuts against targets: its value, and the scalar that its gradient
// flows through, which differs where a target has stopped.
func TargetsGraph(embeddings *graph.Node, targets []Target) (value, through *graph.Node) {
	n, d := embeddings.Shape().Dimensions[0], embeddings.Shape().Dimensions[1]
	t, err := newTargetRows(targets, 0, d)
	if err != nil {
		panic(err)
	}
	c := func(v []float32, dims ...int) *graph.Node {
		return graph.Reshape(graph.Const(embeddings.Graph(), v), dims...)
	}
	r := t.len()
	share := graph.BroadcastToDims(c([]float32{1 / float32(n)}, 1), n)
	signed, through := targetNodes{c(t.rows, r, d), c(t.sign, r), c(t.stop, r), c(t.scale, r)}.loss(embeddings, share)
	return graph.ReduceAllSum(graph.Mul(graph.MulScalar(signed, 1/float64(n)), c(t.scale, 1, r))), through
}

// TargetsLoss is the slow twin of TargetsGraph on the host, in float64: it returns the value and adds the gradient to
// grad [N,D]. share is how much of the loss looks at the mean embedding.
func TargetsLoss(e Embeddings, targets []Target, share float64, grad []float64) (float64, error) {
	t, err := newTargetRows(targets, e.Encoder, e.D)
	if err != nil {
		return 0, err
	}
	values := make([]float64, len(targets))
	sharedTargets{t, share}.add(e, values, grad)
	var sum float64
	for _, v := range values {
		sum += v
	}
	return sum, nil
}

// Embeddings are what an image encoder made of all cuts of one step.
type Embeddings struct {
	Step, Encoder int
	N, D          int
	Data          []float32 // [N,D], not normalised
}

// EmbeddingLoss is a loss that looks at the embeddings of all cuts together. It needs two passes over the cuts: one for
// the embeddings and one for the gradient; losses that look at each cut alone are Targets, which need one.
type EmbeddingLoss interface {
	Name() string
	// Loss returns the value, and adds the gradient for each embedding to grad [N,D].
	Loss(e Embeddings, grad []float64) float64
}

// sharedTargets is the loss of targets in the two-pass form: a share of it looks at the mean of all embeddings, which
// asks for one coherent scene instead of the object in every cut (deep-daze's averaging weight); the rest looks at
// each cut. With share 0 it is the slow twin of the fused form in chunk graphs.
type sharedTargets struct {
	*targetRows
	share float64
}

// add returns the value of each target (indexed as Painter's targets) and adds the gradient to grad [N,D].
func (s sharedTargets) add(e Embeddings, values []float64, grad []float64) {
	mean := make([]float64, e.D)
	v := make([]float64, e.D)
	for i := range e.N {
		for k := range v {
			v[k] = float64(e.Data[i*e.D+k])
			mean[k] += v[k] / float64(e.N)
		}
		s.one(v, (1-s.share)/float64(e.N), values, grad[i*e.D:(i+1)*e.D])
	}
	if s.share == 0 {
		return
	}
	g := make([]float64, e.D)
	s.one(mean, s.share, values, g)
	for i := range e.N {
		for k := range g {
			grad[i*e.D+k] += g[k] / float64(e.N)
		}
	}
}

// one adds weight times the loss of one embedding v.
func (s sharedTargets) one(v []float64, weight float64, values, grad []float64) {
	var length float64
	for _, x := range v {
		length += x * x
	}
	length = max(math.Sqrt(length), 1e-12)
	for r, target := range s.targets {
		row := s.rows[r*s.width : (r+1)*s.width]
		var squared, dot float64
		for k, x := range v {
			d := x/length - float64(row[k])
			squared += d * d
			dot += x / length * float64(row[k])
		}
		chord := math.Sqrt(max(squared, 1e-24))
		half := min(chord/2, 1-1e-6)
		angle := math.Asin(half)
		sign, scale := float64(s.sign[r]), weight*float64(s.scale[r])
		signed := sign * 2 * angle * angle
		values[target] += scale * signed
		if signed < float64(s.stop[r]) || squared < 1e-24 || chord/2 > half {
			continue
		}
		// d(2a^2)/dv, with the gradient of the chord |u-t| along u projected off v.
		f := scale * sign * 4 * angle / math.Sqrt(1-half*half) / 2 / chord / length
		for k, x := range v {
			u := x / length
			grad[k] += f * ((u - float64(row[k])) - u*(1-dot))
		}
	}
}
