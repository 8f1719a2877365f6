package train

import (
	"context"
	"math"

	"github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"

	"github.com/smalti/smalti/clip"
	"github.com/smalti/smalti/engine"
	"github.com/smalti/smalti/gx"
)

// clipJudge measures a CLIP in training by zero-shot retrieval: which of all captions of a set is a picture's own?
type clipJudge struct {
	sets   []retrievalSet
	engine *engine.Engine // of the programs
	images *engine.Program
	texts  *engine.Program
}

type retrievalSet struct {
	name     string
	pix      []float32
	captions []string
}

// evalBatch is how many pictures or texts are encoded at once; sets are filled up to a multiple.
const evalBatch = 50

func newClipJudge(r *clipRecipe) clipJudge {
	n, size := r.cfg.EvalPictures, r.cfg.Model.ImageSize()
	var j clipJudge
	add := func(name string, pix []float32, captions []string) {
		if len(captions) > 1 {
			j.sets = append(j.sets, retrievalSet{name, pix, captions})
		}
	}
	for _, s := range r.data.sets(n, size, true) {
		add(s.name, s.pix, s.captions)
	}
	// Scenes as in training, not distorted: colours, grounds and places count here.
	b := r.data.train.Batch(r.cfg.Train.Seed, math.MaxUint64-1, n, size)
	add("scenes", b.Pix, b.Captions)
	return j
}

// Evaluate reports, for each set, the shares of pictures whose own caption is the first and among the first five.
func (r *clipRecipe) Evaluate(ctx context.Context, e *engine.Engine, values Values) (Evaluation, error) {
	j := &r.judge
	if j.engine != e {
		m := r.cfg.Model
		j.engine = e
		j.images = e.Program("clip/images", func(v *gx.Vars, in []*graph.Node) []*graph.Node {
			return []*graph.Node{clip.Normalise(m.ImageGraph(v, in[0]))}
		})
		j.texts = e.Program("clip/texts", func(v *gx.Vars, in []*graph.Node) []*graph.Node {
			return []*graph.Node{clip.Normalise(m.TextGraph(v, in[0]))}
		})
	}
	decls, err := r.cfg.Model.Decls(e)
	if err != nil {
		return Evaluation{}, err
	}
	vars, err := engine.Upload(decls, values)
	if err != nil {
		return Evaluation{}, err
	}
	scores := map[string]float64{}
	size := r.cfg.Model.ImageSize()
	for _, s := range j.sets {
		pictures, err := encodeAll(ctx, j.images, vars, Floats(s.pix, len(s.captions), size, size, 3))
		if err != nil {
			return Evaluation{}, err
		}
		texts, err := encodeAll(ctx, j.texts, vars, r.tokenize(s.captions, r.cfg.Tokens))
		if err != nil {
			return Evaluation{}, err
		}
		scores[s.name+"_r1"], scores[s.name+"_r5"] = recallAt(pictures, texts, s.captions)
	}
	return Evaluation{Scores: scores}, nil
}

// encodeAll runs an encoder over the rows of a, in batches of one size so that one graph serves.
func encodeAll(ctx context.Context, p *engine.Program, vars engine.Tensors, a Array) ([][]float32, error) {
	n := a.Dims[0]
	row := (len(a.F) + len(a.I)) / n
	var out [][]float32
	for at := 0; at < n; at += evalBatch {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		end := min(at+evalBatch, n)
		dims := append([]int{evalBatch}, a.Dims[1:]...)
		var t *tensors.Tensor
		if a.I != nil {
			part := make([]int32, evalBatch*row)
			copy(part, a.I[at*row:end*row])
			t = Ints(part, dims...).tensor()
		} else {
			part := make([]float32, evalBatch*row)
			copy(part, a.F[at*row:end*row])
			t = Floats(part, dims...).tensor()
		}
		res, err := p.Run(vars, t)
		if err != nil {
			return nil, err
		}
		all := engine.Floats(res[0])
		d := len(all) / evalBatch
		for i := range end - at {
			out = append(out, all[i*d:(i+1)*d])
		}
	}
	return out, nil
}

// recallAt compares row i of pictures with all texts. A caption that stands twice counts as right wherever it stands.
func recallAt(pictures, texts [][]float32, captions []string) (first, five float64) {
	for i, p := range pictures {
		own, better := float32(math.Inf(-1)), 0
		for j, t := range texts {
			if captions[j] == captions[i] {
				own = max(own, dot(p, t))
			}
		}
		for j, t := range texts {
			if captions[j] != captions[i] && dot(p, t) >= own {
				better++
			}
		}
		if better == 0 {
			first++
		}
		if better < 5 {
			five++
		}
	}
	n := float64(len(pictures))
	return first / n, five / n
}

func dot(x, y []float32) float32 {
	s := float32(0)
	for i := range x {
		s += x[i] * y[i]
	}
	return s
}
