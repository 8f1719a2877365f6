package train

import (
	"context"
	"fmt"
	"math"

	"github.com/smalti/smalti/dataset"
	"github.com/smalti/smalti/engine"
	"github.com/smalti/smalti/gan"
	"github.com/smalti/smalti/weights"
)

// MeasureGAN measures n pictures of a generator's file as an evaluation of that training would.
func MeasureGAN(ctx context.Context, path string, cfg GANConfig, n int) (map[string]float64, error) {
	m, data, e, err := openMeasured(path, cfg)
	if err != nil {
		return nil, err
	}
	defer e.Close()
	cfg.Model, cfg.EvalSamples = m.Config(), n
	return newGANGame(cfg, data).measure(ctx, e, m)
}

// openMeasured opens a generator and the pictures that it is compared with. The caller closes the engine.
func openMeasured(path string, cfg GANConfig) (*gan.Model, *PictureData, *engine.Engine, error) {
	data, err := OpenPictures(cfg.Data, cfg.Model.Size, cfg.HeldOut)
	if err != nil {
		return nil, nil, nil, err
	}
	f, err := weights.Open(path)
	if err != nil {
		return nil, nil, nil, fmt.Errorf("train: measure: %w", err)
	}
	defer f.Close()
	e, err := engine.New(engine.Options{})
	if err != nil {
		return nil, nil, nil, err
	}
	m, err := gan.Open(e, f, nil)
	if err == nil {
		err = data.fits(m.Config())
	}
	if err != nil {
		e.Close()
		return nil, nil, nil, fmt.Errorf("train: measure: %w", err)
	}
	return m, data, e, nil
}

// MeasureInception measures n pictures of a generator's file against the first n that it learnt from (or all, if there
// are fewer), with Inception v3 from a file of the user's: "fid" (Heusel et al. 2017), "kid" and "inception_score". Only
// with the weights that FID is defined by, which standard tells, and with tens of thousands of pictures can the figures
// be compared with published ones. Kernel distances are of a thousand pictures each, as in an evaluation.
func MeasureInception(ctx context.Context, path, inception string, cfg GANConfig, n int) (scores map[string]float64, standard bool, err error) {
	m, data, e, err := openMeasured(path, cfg)
	if err != nil {
		return nil, false, err
	}
	defer e.Close()
	f, err := weights.Open(inception)
	if err != nil {
		return nil, false, fmt.Errorf("train: measure: %w", err)
	}
	defer f.Close()
	x, err := gan.OpenInception(e, f)
	if err != nil {
		return nil, false, fmt.Errorf("train: measure: %w", err)
	}
	c := m.Config()
	real, _, err := examine(ctx, x, c, min(n, data.Train.Len()), func(first, count int) ([]float32, error) {
		index := firstOf(first+count, first+count)[first:]
		pix, _, err := dataset.Planes(data.Train, index)
		return pix, err
	})
	if err != nil {
		return nil, false, err
	}
	fake, probs, err := examine(ctx, x, c, n, func(first, count int) ([]float32, error) {
		labels := c.Classes(first + count)[first:]
		pix, err := m.Planes(ctx, c.Noise(sheetSeed, first, count), labels)
		for i, v := range pix {
			pix[i] = 2*v - 1
		}
		return pix, err
	})
	if err != nil {
		return nil, false, err
	}
	d, most := x.Features, manifoldMost*x.Features
	return map[string]float64{
		"fid":             gan.FrechetDistance(gan.MomentsOf(real, d), gan.MomentsOf(fake, d)),
		"kid":             gan.KernelDistance(real[:min(len(real), most)], fake[:min(len(fake), most)], d),
		"inception_score": gan.ModesOf(probs, x.Classes, modeConfidence, modeShare).Score,
	}, x.FID, nil
}

// examine brings n pictures to features and probabilities, a few at a time: at 299 x 299 they are large.
func examine(ctx context.Context, x *gan.Inception, c gan.Config, n int, pictures func(first, count int) ([]float32, error)) (features, probs []float32, err error) {
	const some = 256
	for at := 0; at < n; at += some {
		pix, err := pictures(at, min(some, n-at))
		if err != nil {
			return nil, nil, err
		}
		f, p, err := x.Examine(ctx, pix, c.Size, c.Channels)
		if err != nil {
			return nil, nil, fmt.Errorf("train: measure: %w", err)
		}
		features, probs = append(features, f...), append(probs, p...)
	}
	if n < 2 {
		return nil, nil, fmt.Errorf("train: measure: %d pictures are too few", n)
	}
	for _, v := range features {
		if math.IsNaN(float64(v)) || math.IsInf(float64(v), 0) {
			return nil, nil, fmt.Errorf("train: measure: a feature is %w", ErrNotFinite)
		}
	}
	return features, probs, nil
}
