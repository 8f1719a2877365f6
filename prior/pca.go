package prior

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/smalti/smalti/rng"
	"github.com/smalti/smalti/weights"
)

// PCA is a linear-Gaussian prior over the latents of whole pictures: z = mean + sum over k of a_k s_k u_k, a_k standard normal,
// and what is left over has the deviation Rest in every direction (Tipping and Bishop 1999, "Probabilistic principal component
// analysis"). It knows where things stand and which pieces go together, and nothing of words.
type PCA struct {
	PCAConfig
	Mean       []float32 // [h*w*C]
	Directions []float32 // u, [k, h*w*C], orthonormal rows, the strongest first
	Deviations []float32 // s, [k]
}

// PCAConfig says what a PCA describes and what it was fitted to.
type PCAConfig struct {
	GridH    int      `json:"grid_h"` // rows of latents
	GridW    int      `json:"grid_w"` // columns
	Channels int      `json:"channels"`
	Axes     int      `json:"axes"`
	Rest     float64  `json:"rest"`     // deviation of what the axes do not tell
	Share    float64  `json:"share"`    // of the variance that the axes tell
	Pictures int      `json:"pictures"` // that it was fitted to
	Codebook Codebook `json:"codebook"` // whose latents these are
}

// Size is the number of numbers of a latent.
func (c PCAConfig) Size() int { return c.GridH * c.GridW * c.Channels }

// maxLatent and maxAxes bound what a file may ask for.
const (
	maxLatent = 1 << 16
	maxAxes   = 1 << 12
)

// Validate reports the first number that is out of its range.
func (c PCAConfig) Validate() error {
	switch {
	case c.GridH < 1 || c.GridW < 1 || c.Channels < 1 || c.GridH > maxLatent || c.GridW > maxLatent || c.Channels > maxLatent || c.Size() > maxLatent:
		return fmt.Errorf("pca config: latents of %dx%dx%d are out of range", c.GridH, c.GridW, c.Channels)
	case c.Axes < 1 || c.Axes > min(c.Size(), maxAxes):
		return fmt.Errorf("pca config: %d axes of %d numbers", c.Axes, c.Size())
	case !(c.Rest > 0):
		return fmt.Errorf("pca config: a rest of %g", c.Rest)
	case len(c.Codebook.SHA256) != 64 || c.Codebook.Factor < 1:
		return fmt.Errorf("pca config: codebook is out of range: sha256 of %d digits, factor %d", len(c.Codebook.SHA256), c.Codebook.Factor)
	}
	return nil
}

// Draw returns a latent [h,w,C]: coefficients are spread times a standard normal number from (seed, "pca").
func (p *PCA) Draw(seed uint64, spread float64) []float32 {
	a := make([]float32, p.Axes)
	rng.New(seed, "pca").FillNormal(a)
	for k := range a {
		a[k] *= float32(spread)
	}
	return p.At(a)
}

// At returns the latent [h,w,C] of coefficients a [k].
func (p *PCA) At(a []float32) []float32 {
	z := slices.Clone(p.Mean)
	for k, c := range a {
		addTo(z, c*p.Deviations[k], p.axis(k))
	}
	return z
}

func (p *PCA) axis(k int) []float32 {
	n := p.Size()
	return p.Directions[k*n : (k+1)*n]
}

func addTo(dst []float32, f float32, v []float32) {
	for i := range dst {
		dst[i] += float32(f * v[i])
	}
}

// Surprise is the mean over the h*w*C directions of the squared distance of a latent from the mean, each direction in its own
// deviation: about 1 for what the PCA was fitted to. It adds weight times its gradient to grad.
func (p *PCA) Surprise(z []float32, weight float64, grad []float32) float64 {
	n := p.Size()
	left := make([]float32, n)
	for i := range left {
		left[i] = z[i] - p.Mean[i]
	}
	scale := 2 * weight / float64(n)
	var sum float64
	for k, s := range p.Deviations {
		u := p.axis(k)
		var along float64
		for i, v := range left {
			along += float64(v) * float64(u[i])
		}
		a := along / float64(s)
		sum += a * a
		addTo(grad, float32(scale*a/float64(s)), u)
		addTo(left, float32(-along), u)
	}
	rest := float32(scale / (p.Rest * p.Rest))
	for i, v := range left {
		sum += float64(v) * float64(v) / (p.Rest * p.Rest)
		grad[i] += float32(rest * v)
	}
	return sum / float64(n)
}

// pcaKey is the metadata that makes a file a PCA.
const pcaKey = "smalti.pca"

// Names of the tensors of a PCA.
const (
	pcaMean       = "pca.mean"
	pcaDirections = "pca.directions"
	pcaDeviations = "pca.deviations"
)

// IsPCA reports whether a weight file holds a PCA.
func IsPCA(f *weights.File) bool {
	_, ok := f.Tensor(pcaMean)
	return ok
}

// ReadPCA reads what Save wrote.
func ReadPCA(f *weights.File) (*PCA, error) {
	p := &PCA{}
	dec := json.NewDecoder(strings.NewReader(f.Metadata()[pcaKey]))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&p.PCAConfig); err != nil {
		return nil, fmt.Errorf("pca: metadata %q of the file: %w", pcaKey, err)
	}
	if err := p.Validate(); err != nil {
		return nil, err
	}
	n, k := p.Size(), p.Axes
	l := weights.NewLoader(f)
	p.Mean, _ = l.Take(pcaMean, n) // Done reports what is wrong
	p.Directions, _ = l.Take(pcaDirections, k, n)
	p.Deviations, _ = l.Take(pcaDeviations, k)
	if err := l.Done(); err != nil {
		return nil, fmt.Errorf("pca: %w", err)
	}
	for _, s := range p.Deviations {
		if !(s > 0) {
			return nil, fmt.Errorf("pca: a deviation of %g", s)
		}
	}
	return p, nil
}

// Save writes a PCA in half precision.
func (p *PCA) Save(w io.Writer) error {
	if err := p.Validate(); err != nil {
		return err
	}
	text, err := json.Marshal(p.PCAConfig)
	if err != nil {
		return fmt.Errorf("pca: write the configuration: %w", err)
	}
	n, k := p.Size(), p.Axes
	return weights.WriteSafetensors(w, map[string]string{pcaKey: string(text)}, []weights.Out{
		{Name: pcaMean, DType: weights.F16, Shape: []int{n}, Floats: p.Mean},
		{Name: pcaDirections, DType: weights.F16, Shape: []int{k, n}, Floats: p.Directions},
		{Name: pcaDeviations, DType: weights.F16, Shape: []int{k}, Floats: p.Deviations},
	})
}
