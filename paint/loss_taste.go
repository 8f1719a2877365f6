package paint

import "math"

// Taste is minus a score that is linear in the directions of one encoder's embeddings, in the mean over the cuts:
//
//	-scale * mean_i (w . v_i/|v_i| + b)
//
// as aesthetic predictors on CLIP score pictures (Schuhmann et al. 2022). A negative scale leads away from it.
type Taste struct {
	Label   string
	Encoder int
	Weight  []float32 // [D]
	Bias    float32
	Scale   float64
}

// Name is the label.
func (t Taste) Name() string { return t.Label }

// Loss adds -scale/n (w - u (u . w)) / |v| to the gradient of each embedding v, u being its direction.
func (t Taste) Loss(e Embeddings, grad []float64) float64 {
	if e.Encoder != t.Encoder {
		return 0
	}
	each := t.Scale / float64(e.N)
	value := 0.0
	for i := range e.N {
		v, g := e.Data[i*e.D:(i+1)*e.D], grad[i*e.D:(i+1)*e.D]
		var along, square float64
		for k, x := range v {
			along += float64(x) * float64(t.Weight[k])
			square += float64(x) * float64(x)
		}
		length := math.Sqrt(max(square, 1e-24))
		along /= length // u . w
		value -= each * (along + float64(t.Bias))
		for k, x := range v {
			g[k] -= each * (float64(t.Weight[k]) - float64(x)/length*along) / length
		}
	}
	return value
}
