package clip

import (
	"context"
	"errors"
	"math"
	"strings"
)

// Classifier tells which of a set of labels a picture shows, without having been trained for it (zero-shot, Radford et
// al. 2021, section 3.1).
type Classifier struct {
	labels [][]float32 // unit features
	scale  float64
}

// Templates make sentences of labels, which CLIP knows better than single words. "{}" stands for the label.
var Templates = []string{"a photo of a {}.", "a picture of a {}.", "a drawing of a {}."}

// NewClassifier encodes labels with each of the templates (Templates if there is none) and averages.
func (m *Model) NewClassifier(ctx context.Context, labels []string, templates ...string) (*Classifier, error) {
	if len(labels) == 0 {
		return nil, errors.New("clip: no labels to choose from")
	}
	if len(templates) == 0 {
		templates = Templates
	}
	var texts []string
	for _, l := range labels {
		for _, t := range templates {
			texts = append(texts, strings.ReplaceAll(t, "{}", l))
		}
	}
	features, err := m.EncodeText(ctx, texts...)
	if err != nil {
		return nil, err
	}
	c := &Classifier{scale: m.LogitScale()}
	for i := range labels {
		c.labels = append(c.labels, meanDirection(features[i*len(templates):(i+1)*len(templates)]))
	}
	return c, nil
}

// Classify returns the probability of each label for a picture's features: softmax of the scaled cosines.
func (c *Classifier) Classify(features []float32) []float64 {
	out := make([]float64, len(c.labels))
	largest := math.Inf(-1)
	for i, l := range c.labels {
		out[i] = c.scale * Similarity(features, l)
		largest = max(largest, out[i])
	}
	sum := 0.0
	for i := range out {
		out[i] = math.Exp(out[i] - largest)
		sum += out[i]
	}
	for i := range out {
		out[i] /= sum
	}
	return out
}

// meanDirection is the mean of vectors brought to length 1.
func meanDirection(vs [][]float32) []float32 {
	out := make([]float32, len(vs[0]))
	for _, v := range vs {
		length := 0.0
		for _, x := range v {
			length += float64(x) * float64(x)
		}
		if length = math.Sqrt(length); length == 0 {
			continue
		}
		for i, x := range v {
			out[i] += float32(float64(x) / length / float64(len(vs)))
		}
	}
	return out
}
