package train

import (
	"context"
	"fmt"
	"image"
	"math"

	"github.com/smalti/smalti/dataset"
	"github.com/smalti/smalti/engine"
	"github.com/smalti/smalti/pixel"
	"github.com/smalti/smalti/prior"
	"github.com/smalti/smalti/vqgan"
)

// priorJudge measures a prior in training by how likely it finds pictures that it never saw, and shows what it draws.
type priorJudge struct {
	sets  []codedSet
	model *prior.Model // on the coder's engine; its weights change from one evaluation to the next
}

// codedSet is a set of pictures as codes.
type codedSet struct {
	name  string
	in    []prior.Input
	codes []prior.Codes
}

// newPriorJudge composes the sets: scenes of things that are never trained on, of drawings never trained on of things that
// are, and of what is trained on. Scenes as in training count, so that grounds, colours and places do.
func newPriorJudge(r *priorRecipe) (priorJudge, error) {
	var j priorJudge
	if r.data.own != nil {
		for _, s := range []struct {
			name string
			from source
		}{{"held", r.data.held}, {"scenes", r.data.own}} {
			set, err := r.coded(s.name, s.from)
			if err != nil {
				return j, err
			}
			j.sets = append(j.sets, set)
		}
		return j, nil
	}
	shapes := r.cfg.Data == ShapesData
	for _, s := range []struct {
		name    string
		sprites []*dataset.Sprite
	}{{"concepts", r.data.heldConcepts}, {"style", r.data.heldStyle}, {"others", r.data.heldOthers}, {"scenes", nil}} {
		c := r.data.train
		if s.name != "scenes" && !shapes {
			if len(s.sprites) == 0 {
				continue
			}
			composer, err := dataset.NewComposer(s.sprites, dataset.ComposeOptions{ShapeShare: -1})
			if err != nil {
				return j, fmt.Errorf("train: held-out scenes: %w", err)
			}
			if c = composer; r.cfg.Calm {
				c = composer.Calm()
			}
		} else if s.name != "scenes" {
			continue // shapes have no other drawings
		}
		set, err := r.coded(s.name, c)
		if err != nil {
			return j, err
		}
		j.sets = append(j.sets, set)
	}
	return j, nil
}

// coded composes and encodes a set.
func (r *priorRecipe) coded(name string, c source) (codedSet, error) {
	n, size := r.cfg.EvalPictures, r.cfg.Size
	set := codedSet{name: name}
	b := c.Batch(r.cfg.Train.Seed, math.MaxUint64-2, n, size)
	side := size / r.coder.model.Factor()
	set.in = r.inputs(b.Captions)
	plane := size * size * 3
	const batch = 16
	for at := 0; at < n; at += batch {
		part := make([]float32, batch*plane) // filled up, so that one graph serves
		m := min(batch, n-at)
		copy(part, b.Pix[at*plane:(at+m)*plane])
		codes, err := r.coder.encode(part, batch, size)
		if err != nil {
			return set, err
		}
		for i := range m {
			set.codes = append(set.codes, prior.Codes{H: side, W: side, Idx: codes[i*side*side : (i+1)*side*side]})
		}
	}
	return set, nil
}

// Evaluate reports, for each set, the mean of -log p of a code in nats given its caption (_nll), and how much more it is
// without the caption (_words): what the words say about the picture. The engine given may round products, so the coder's
// is used.
func (r *priorRecipe) Evaluate(ctx context.Context, _ *engine.Engine, values Values) (Evaluation, error) {
	m, err := r.evalModel(values)
	if err != nil {
		return Evaluation{}, err
	}
	scores := map[string]float64{}
	for _, s := range r.judge.sets {
		with, err := m.Likelihood(ctx, s.in, s.codes)
		if err != nil {
			return Evaluation{}, err
		}
		without, err := m.Likelihood(ctx, make([]prior.Input, len(s.in)), s.codes)
		if err != nil {
			return Evaluation{}, err
		}
		scores[s.name+"_nll"], scores[s.name+"_words"] = mean(with), mean(without)-mean(with)
	}
	sheet, err := r.sheet(ctx, m)
	return Evaluation{Scores: scores, Sheet: sheet}, err
}

// evalModel is the model with the weights given.
func (r *priorRecipe) evalModel(values Values) (*prior.Model, error) {
	e := r.coder.engine
	decls, err := r.cfg.Model.Decls(e)
	if err != nil {
		return nil, err
	}
	up, err := engine.Upload(decls, values)
	if err != nil {
		return nil, err
	}
	if r.judge.model == nil {
		r.judge.model, err = prior.New(e, r.cfg.Model, up)
		return r.judge.model, err
	}
	for name, t := range up {
		old := r.judge.model.Weights()[name]
		r.judge.model.Weights()[name] = t
		old.MustFinalizeAll()
	}
	return r.judge.model, nil
}

// sheet draws the fixed prompts, always with the same random numbers.
func (r *priorRecipe) sheet(ctx context.Context, m *prior.Model) (image.Image, error) {
	if len(r.cfg.Prompts) == 0 || r.cfg.Samples == 0 {
		return nil, nil
	}
	var in []prior.Input
	for _, x := range r.inputs(r.cfg.Prompts) {
		for range r.cfg.Samples {
			in = append(in, x)
		}
	}
	o := prior.DefaultOptions()
	o.Seed, o.Guidance = r.cfg.Train.Seed, r.cfg.Guidance
	drawn, err := m.Sample(ctx, in, o)
	if err != nil {
		return nil, err
	}
	cells := make([]pixel.Cell, len(drawn))
	for i, c := range drawn {
		p, err := r.coder.model.Decode(vqgan.Codes{H: c.H, W: c.W, Idx: c.Idx})
		if err != nil {
			return nil, err
		}
		cells[i] = pixel.Cell{Picture: p.ToImage(), Caption: r.cfg.Prompts[i/r.cfg.Samples]}
	}
	return pixel.Sheet{Columns: 4 * r.cfg.Samples, CellSize: 128, Gap: 4}.Draw(cells), nil
}

func mean(x []float64) float64 {
	sum := 0.
	for _, v := range x {
		sum += v
	}
	return sum / float64(len(x))
}
