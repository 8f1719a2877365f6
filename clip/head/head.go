// Package head is a judgement of pictures that is linear in CLIP's features: a score w . u + b of the unit features u, as
// LAION's linear aesthetic predictors have it (Schuhmann et al. 2022, arXiv:2210.08402, section 5.3). Files of theirs are
// read; Fit makes one from pictures somebody likes and others.
package head

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"

	"github.com/smalti/smalti/weights"
)

// Head scores unit features of one CLIP model.
type Head struct {
	Weight []float32
	Bias   float32
	// CLIP and SHA256 name the model whose features it was fitted to; empty when the file does not say.
	CLIP, SHA256 string
}

// ErrFormat is wrapped by errors about files that hold no head.
var ErrFormat = errors.New("no linear head")

// Score is the head's score of features of any length but zero: w . v/|v| + b.
func (h *Head) Score(v []float32) float64 {
	var dot, square float64
	for i, x := range v {
		dot += float64(x) * float64(h.Weight[i])
		square += float64(x) * float64(x)
	}
	return dot/math.Sqrt(max(square, 1e-30)) + float64(h.Bias)
}

// maxWidth is more than the features of any CLIP.
const maxWidth = 1 << 16

// Keys of the safetensors metadata.
const (
	clipKey   = "clip"
	sha256Key = "clip_sha256"
)

// Read reads a head: a file of weights with one matrix [1,D] or vector [D], and at most one single number, the bias; or JSON
// {"weight": [...], "bias": b}.
func Read(data []byte) (*Head, error) {
	if t := bytes.TrimSpace(data); len(t) > 0 && t[0] == '{' {
		return readJSON(t)
	}
	f, err := weights.OpenBytes(data)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	h := &Head{CLIP: f.Metadata()[clipKey], SHA256: f.Metadata()[sha256Key]}
	biases := 0
	for _, name := range f.Names() {
		t, _ := f.Tensor(name)
		single, row := t.NumElements() == 1, len(t.Shape) > 0 && t.NumElements() == t.Shape[len(t.Shape)-1]
		if t.NumElements() > maxWidth || !single && (!row || h.Weight != nil) {
			return nil, fmt.Errorf("%w: the file holds %s %v; want one row of weights and a bias", ErrFormat, name, t.Shape)
		}
		values, err := t.Float32()
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		if single {
			h.Bias = values[0]
			biases++
		} else {
			h.Weight = slices.Clone(values)
		}
	}
	if biases > 1 {
		return nil, fmt.Errorf("%w: the file holds %d single numbers, want one bias", ErrFormat, biases)
	}
	return h, h.check()
}

func readJSON(data []byte) (*Head, error) {
	var in struct {
		Weight []float32 `json:"weight"`
		Bias   float32   `json:"bias"`
	}
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	if err := d.Decode(&in); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrFormat, err)
	}
	h := &Head{Weight: in.Weight, Bias: in.Bias}
	return h, h.check()
}

func (h *Head) check() error {
	if len(h.Weight) < 2 {
		return fmt.Errorf("%w: there are no weights", ErrFormat)
	}
	for _, v := range append([]float32{h.Bias}, h.Weight...) {
		if math.IsNaN(float64(v)) || math.IsInf(float64(v), 0) {
			return fmt.Errorf("%w: a weight is %v", ErrFormat, v)
		}
	}
	return nil
}

// Write writes a head as safetensors: weight [1,D], bias [1].
func (h *Head) Write(w io.Writer) error {
	meta := map[string]string{clipKey: h.CLIP, sha256Key: h.SHA256}
	return weights.WriteSafetensors(w, meta, []weights.Out{
		{Name: "bias", DType: weights.F32, Shape: []int{1}, Floats: []float32{h.Bias}},
		{Name: "weight", DType: weights.F32, Shape: []int{1, len(h.Weight)}, Floats: h.Weight}})
}
