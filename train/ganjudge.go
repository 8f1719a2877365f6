package train

import (
	"context"
	"errors"
	"fmt"
	"image"
	"slices"
	"strings"
	"sync"

	"github.com/smalti/smalti/dataset"
	"github.com/smalti/smalti/engine"
	"github.com/smalti/smalti/gan"
	"github.com/smalti/smalti/gx"
	"github.com/smalti/smalti/pixel"
	"github.com/smalti/smalti/weights"
)

// bestScore is the score that marks the best generator: a distance of feature distributions, smaller is better.
const bestScore = "distance"

// sheetSeed is the seed of the noise that all sheets and evaluations show, so that they can be compared.
const sheetSeed = 1

// Measures of an evaluation.
const (
	modeConfidence = .8   // a picture counts for a class when the classifier is this sure
	modeShare      = .02  // and a class is covered by this share of the pictures
	nearestK       = 3    // neighbours of precision and recall
	manifoldMost   = 1000 // pictures for precision, recall and the kernel distance, which cost their square
	heldMost       = 5000 // pictures held out that are measured against
	alikePairs     = 100  // pairs of pictures that are compared among themselves
)

// ganJudge measures generators with a classifier's features.
type ganJudge struct {
	path    string // of the classifier's file
	data    *PictureData
	mu      sync.Mutex
	engine  *engine.Engine // of the examiner
	exam    *gan.Examiner
	held    []float32   // features of the pictures held out
	moments gan.Moments // theirs
}

// open reads the classifier for an engine and measures the pictures held out, once.
func (j *ganJudge) open(e *engine.Engine) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.engine == e {
		return nil
	}
	f, err := weights.Open(j.path)
	if err != nil {
		return err
	}
	defer f.Close()
	if j.exam, err = gan.OpenClassifier(e, f); err != nil {
		return err
	}
	if h := j.data.Held; j.exam.Size != h.Size() || j.exam.Channels != h.Channels() {
		return fmt.Errorf("%s judges pictures of %d pixels in %d channels, the data have %d in %d", j.path, j.exam.Size, j.exam.Channels, h.Size(), h.Channels())
	}
	pix, _, err := dataset.Planes(j.data.Held, firstOf(j.data.Held.Len(), heldMost))
	if err != nil {
		return err
	}
	if j.held, _, err = j.exam.Examine(pix); err != nil {
		return err
	}
	j.moments = gan.MomentsOf(j.held, j.exam.Features)
	j.engine = e
	return nil
}

// measure compares pictures [n,S,S,C] in [0,1] with those held out.
func (j *ganJudge) measure(e *engine.Engine, planes []float32) (map[string]float64, error) {
	if err := j.open(e); err != nil {
		return nil, fmt.Errorf("train: judge: %w", err)
	}
	pix := make([]float32, len(planes))
	for i, v := range planes {
		pix[i] = 2*v - 1
	}
	features, probs, err := j.exam.Examine(pix)
	if err != nil {
		return nil, fmt.Errorf("train: judge: %w", err)
	}
	d := j.exam.Features
	some, real := features[:min(len(features), manifoldMost*d)], j.held[:min(len(j.held), manifoldMost*d)]
	scores := map[string]float64{bestScore: gan.FrechetDistance(j.moments, gan.MomentsOf(features, d)), "kernel_distance": gan.KernelDistance(real, some, d)}
	scores["precision"], scores["recall"] = gan.PrecisionRecall(real, some, d, nearestK)
	if j.exam.Tags {
		return scores, nil
	}
	m := gan.ModesOf(probs, len(j.exam.Names), modeConfidence, modeShare)
	scores["modes"], scores["kl_uniform"], scores["class_score"] = float64(m.Covered), m.KL, m.Score
	for i, name := range j.exam.Names {
		scores["share_"+name] = m.Share[i]
	}
	return scores, nil
}

// Sheet shows pictures of always the same noise.
func (g *ganGame) Sheet(ctx context.Context, e *engine.Engine, values Values) (image.Image, error) {
	m, err := g.model(e, values)
	if err != nil {
		return nil, err
	}
	c := g.cfg
	pics, err := m.Sample(ctx, c.Model.Noise(sheetSeed, 0, c.Sheet), nil)
	if err != nil {
		return nil, err
	}
	cells := make([]pixel.Cell, len(pics))
	for i, p := range pics {
		cells[i] = pixel.Cell{Picture: p.ToImage()}
	}
	columns := 1
	for columns*columns < len(cells) {
		columns++
	}
	return pixel.Sheet{Columns: columns, CellSize: max(c.Model.Size, 56), Gap: 1}.Draw(cells), nil
}

// model is the generator of the given values.
func (g *ganGame) model(e *engine.Engine, values Values) (*gan.Model, error) {
	ts, err := g.generatorTensors(values)
	if err != nil {
		return nil, err
	}
	return gan.New(e, g.cfg.Model, ts)
}

// Evaluate measures pictures of always the same noise: with a classifier (GANConfig.Judge) by its features and classes,
// and always by how alike they are among themselves.
func (g *ganGame) Evaluate(ctx context.Context, e *engine.Engine, values Values) (Evaluation, error) {
	if g.data == nil {
		return Evaluation{Scores: map[string]float64{}}, nil
	}
	m, err := g.model(e, values)
	if err != nil {
		return Evaluation{}, err
	}
	scores, err := g.measure(ctx, e, m)
	return Evaluation{Scores: scores}, err
}

func (g *ganGame) measure(ctx context.Context, e *engine.Engine, m *gan.Model) (map[string]float64, error) {
	c := g.cfg
	planes, err := m.Planes(ctx, c.Model.Noise(sheetSeed, 0, c.EvalSamples), nil)
	if err != nil {
		return nil, err
	}
	scores := map[string]float64{}
	if g.judge != nil {
		if scores, err = g.judge.measure(e, planes); err != nil {
			return nil, err
		}
	}
	if c.EvalSamples > 1 {
		scores["alike"] = gan.Alikeness(planes, c.Model.Size, c.Model.Channels, alikePairs)
	}
	return scores, nil
}

// warmGAN starts from a file: a training state, or the model of a generator. What has another shape keeps its draw.
func warmGAN(path string) WarmStart {
	return func(decls []gx.Decl, stats Values) (Values, []string, error) {
		f, err := weights.Open(path)
		if err != nil {
			return nil, nil, fmt.Errorf("train: start from: %w", err)
		}
		defer f.Close()
		names := []func(string) string{
			func(n string) string { return emaPrefix + n },
			func(n string) string { return memoryPrefix + n },
			func(n string) string { return strings.TrimPrefix(n, generatorName+".") },
		}
		find := func(name string) *weights.Tensor {
			for _, n := range names {
				if t, ok := f.Tensor(n(name)); ok && n(name) != name {
					return t
				}
			}
			return nil
		}
		values, misfits := Values{}, []string(nil)
		for _, d := range decls {
			t := find(d.Name)
			if t == nil {
				misfits = append(misfits, fmt.Sprintf("%s is not in %s and starts anew", d.Name, path))
				continue
			}
			if want := d.Layout.FileDims(d.Dims); !slices.Equal(t.Shape, want) {
				misfits = append(misfits, fmt.Sprintf("%s has the shape %v there and %v here, and starts anew", d.Name, t.Shape, want))
				continue
			}
			data, err := t.Float32()
			if err != nil {
				return nil, nil, fmt.Errorf("train: start from: %s: %w", d.Name, err)
			}
			values[d.Name] = slices.Clone(d.Layout.FromFile(data, d.Dims)) // data may lie in the file
		}
		if len(values) == 0 {
			return nil, nil, fmt.Errorf("train: start from %s: %w", path, errors.New("no variable of the networks is in the file"))
		}
		for name, s := range stats {
			if t := find(name); t != nil && slices.Equal(t.Shape, []int{len(s)}) {
				if data, err := t.Float32(); err == nil {
					copy(s, data)
				}
			}
		}
		return values, misfits, nil
	}
}
