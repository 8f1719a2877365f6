package train

import (
	"context"
	"errors"
	"fmt"
	"image"
	"slices"
	"strings"

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

// ganJudge measures generators.
type ganJudge struct {
	cfg GANConfig
}

func newGANJudge(cfg GANConfig, data *PictureData) (*ganJudge, error) {
	return &ganJudge{cfg: cfg}, nil
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

func (g *ganGame) Evaluate(ctx context.Context, e *engine.Engine, values Values) (Evaluation, error) {
	return Evaluation{Scores: map[string]float64{}}, nil
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
			values[d.Name] = d.Layout.FromFile(data, d.Dims)
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
