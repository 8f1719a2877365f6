package train

import (
	"context"
	"image"
	"math"

	"github.com/gomlx/gomlx/core/graph"

	"github.com/smalti/smalti/dataset"
	"github.com/smalti/smalti/engine"
	"github.com/smalti/smalti/gx"
	"github.com/smalti/smalti/pixel"
	"github.com/smalti/smalti/vqgan"
)

// vqganJudge reconstructs pictures of things that training never sees, and drawings of things that it does.
type vqganJudge struct {
	sets    []pictureSet
	engine  *engine.Engine // of the program
	program *engine.Program
}

type pictureSet struct {
	name string
	n    int
	pix  []float32 // [n,S,S,3] in [0,1]
}

func newVQGANJudge(r *vqganRecipe) vqganJudge {
	var j vqganJudge
	n, size := r.cfg.EvalPictures, r.cfg.Crop
	for _, s := range []struct {
		name    string
		sprites []*dataset.Sprite
	}{{"concepts", r.data.heldConcepts}, {"style", r.data.heldStyle}} {
		if pix, captions := plainSet(s.sprites, n, size); len(captions) > 0 {
			j.sets = append(j.sets, pictureSet{s.name, len(captions), pix})
		}
	}
	return j
}

// Evaluate reports, for each set, the peak signal-to-noise ratio in decibels over all its pixels, and over all sets the
// number of codes in use and their perplexity. The sheet shows pictures over their reconstructions.
func (r *vqganRecipe) Evaluate(ctx context.Context, e *engine.Engine, values Values) (Evaluation, error) {
	j, m := &r.judge, r.cfg.Model
	if j.engine != e {
		j.engine = e
		j.program = e.Program("vqgan/reconstruct", func(v *gx.Vars, in []*graph.Node) []*graph.Node {
			zq, codes := m.QuantiseGraph(v, m.EncodeGraph(v, graph.AddScalar(graph.MulScalar(in[0], 2), -1)))
			y := graph.MulScalar(graph.AddScalar(m.DecodeGraph(v, zq), 1), .5)
			return []*graph.Node{graph.MinScalar(graph.MaxScalar(y, 0), 1), codes}
		})
	}
	decls, err := m.Decls(e)
	if err != nil {
		return Evaluation{}, err
	}
	vars, err := engine.Upload(decls, values)
	if err != nil {
		return Evaluation{}, err
	}
	usage := vqgan.NewUsage(m.NEmbed)
	ev := Evaluation{Scores: map[string]float64{}}
	for i, s := range j.sets {
		y, err := r.reconstruct(ctx, vars, s, &usage)
		if err != nil {
			return Evaluation{}, err
		}
		ev.Scores[s.name+"_psnr"] = psnr(s.pix, y)
		if i == 0 {
			ev.Sheet = beforeAfter(s.pix, y, r.cfg.Crop, min(s.n, 24))
		}
	}
	ev.Scores["codes_used"], ev.Scores["codes_perplexity"] = float64(usage.Used()), usage.Perplexity()
	return ev, nil
}

// vqganEvalBatch is how many pictures are reconstructed at once; sets are filled up to a multiple.
const vqganEvalBatch = 20

func (r *vqganRecipe) reconstruct(ctx context.Context, vars engine.Tensors, s pictureSet, usage *vqgan.Usage) ([]float32, error) {
	size := r.cfg.Crop
	plane := size * size * 3
	side := size / r.cfg.Model.Factor()
	var out []float32
	for at := 0; at < s.n; at += vqganEvalBatch {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		n := min(vqganEvalBatch, s.n-at)
		part := make([]float32, vqganEvalBatch*plane)
		copy(part, s.pix[at*plane:(at+n)*plane])
		res, err := r.judge.program.Run(vars, Floats(part, vqganEvalBatch, size, size, 3).tensor())
		if err != nil {
			return nil, err
		}
		out = append(out, engine.Floats(res[0])[:n*plane]...)
		if err := usage.Add(vqgan.Codes{W: side, H: n * side, Idx: engine.Ints(res[1])[:n*side*side]}); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// psnr is 10 log10(1/mean square difference) of values in [0,1]; at most 100.
func psnr(x, y []float32) float64 {
	sum := 0.
	for i := range x {
		d := float64(x[i]) - float64(y[i])
		sum += d * d
	}
	return -10 * math.Log10(max(sum/float64(len(x)), 1e-10))
}

// beforeAfter lays the first n pictures out, each row over the row of their reconstructions.
func beforeAfter(x, y []float32, size, n int) image.Image {
	const columns = 12
	plane := size * size * 3
	cell := func(pix []float32, i int) pixel.Cell {
		return pixel.Cell{Picture: pixel.Image{W: size, H: size, Pix: pix[i*plane : (i+1)*plane]}.ToImage()}
	}
	var cells []pixel.Cell
	for row := 0; row < n; row += columns {
		for _, pix := range [][]float32{x, y} {
			for i := row; i < row+columns; i++ {
				if i < n {
					cells = append(cells, cell(pix, i))
				} else {
					cells = append(cells, pixel.Cell{})
				}
			}
		}
	}
	return pixel.Sheet{Columns: columns, CellSize: 2 * size, Gap: 2}.Draw(cells)
}
