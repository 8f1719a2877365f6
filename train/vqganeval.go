package train

import (
	"context"
	"fmt"
	"image"
	"math"

	"github.com/gomlx/gomlx/core/graph"

	"github.com/smalti/smalti/engine"
	"github.com/smalti/smalti/gan"
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
	for _, s := range r.data.sets(r.cfg.EvalPictures, r.cfg.Crop, false) {
		j.sets = append(j.sets, pictureSet{s.name, len(s.captions), s.pix})
	}
	return j
}

// Evaluate reports, for each set, the mean peak signal-to-noise ratio in decibels, the mean structural
// similarity and the perceptual distance; over all sets the Fréchet distance of the originals' and the reconstructions'
// features, the number of codes in use and their perplexity. The sheet shows pictures over their reconstructions.
func (r *vqganRecipe) Evaluate(ctx context.Context, e *engine.Engine, values Values) (Evaluation, error) {
	j, m := &r.judge, r.cfg.Model
	if j.engine != e {
		j.engine = e
		j.program = e.Program("vqgan/reconstruct", r.measure)
	}
	decls, err := m.Decls(e)
	if err != nil {
		return Evaluation{}, err
	}
	vars, err := engine.Upload(decls, values)
	if err != nil {
		return Evaluation{}, err
	}
	if r.look != nil {
		for name, t := range r.look.upload() {
			vars[name] = t
		}
	}
	usage := vqgan.NewUsage(m.NEmbed)
	ev := Evaluation{Scores: map[string]float64{}}
	var before, after []float32
	for i, s := range j.sets {
		y, err := r.reconstruct(ctx, vars, s, &usage)
		if err != nil {
			return Evaluation{}, err
		}
		before, after = append(before, y.before...), append(after, y.after...)
		ev.Scores[s.name+"_psnr"], ev.Scores[s.name+"_ssim"] = meanPSNR(s.pix, y.pix, r.cfg.Crop), meanSSIM(s.pix, y.pix, r.cfg.Crop)
		if r.look != nil {
			ev.Scores[s.name+"_perceptual"] = mean(y.distance)
		}
		if i == 0 {
			ev.Sheet = beforeAfter(s.pix, y.pix, r.cfg.Crop, min(s.n, 24))
		}
	}
	if r.look != nil {
		d := r.look.width
		ev.Scores["frechet"] = gan.FrechetDistance(gan.MomentsOf(before, d), gan.MomentsOf(after, d))
	}
	ev.Scores["codes_used"], ev.Scores["codes_perplexity"] = float64(usage.Used()), usage.Perplexity()
	if r.epoch[0] > 0 {
		ev.Scores["codes_trained"] = float64(r.epoch[0])
	}
	ev.Warnings = r.complain(usage)
	return ev, nil
}

// measure reconstructs pictures [n,S,S,3] in [0,1]: reconstructions, codes and, with a perceptual network, distances [n]
// and the features of both, [n,d].
func (r *vqganRecipe) measure(v *gx.Vars, in []*graph.Node) []*graph.Node {
	m := r.cfg.Model
	x := graph.AddScalar(graph.MulScalar(in[0], 2), -1)
	zq, codes := m.QuantiseGraph(v, m.EncodeGraph(v, x))
	y := graph.MinScalar(graph.MaxScalar(m.DecodeGraph(v, zq), -1), 1)
	out := []*graph.Node{graph.MulScalar(graph.AddScalar(y, 1), .5), codes}
	if p := r.look; p != nil {
		w := v.In(perceptualPrefix)
		out = append(out, p.distance(w, x, y), p.features(w, x), p.features(w, y))
	}
	return out
}

// complain says in words what is wrong with the codes of an evaluation.
func (r *vqganRecipe) complain(u vqgan.Usage) []string {
	k := len(u.Counts)
	if u.Total < 4*k || u.Used()*4 >= k { // a few pictures cannot use many codes
		return nil
	}
	return []string{fmt.Sprintf("%d %% of codes in use (%d of %d) on pictures never trained on: let revive_until last longer, raise revive_below, or take fewer codes",
		100*u.Used()/k, u.Used(), k)}
}

// vqganEvalBatch is how many pictures are reconstructed at once; sets are filled up to a multiple.
const vqganEvalBatch = 20

// reconstructed is what a set became.
type reconstructed struct {
	pix, before, after []float32
	distance           []float64
}

func (r *vqganRecipe) reconstruct(ctx context.Context, vars engine.Tensors, s pictureSet, usage *vqgan.Usage) (out reconstructed, err error) {
	size := r.cfg.Crop
	plane := size * size * 3
	side := size / r.cfg.Model.Factor()
	for at := 0; at < s.n; at += vqganEvalBatch {
		if err := ctx.Err(); err != nil {
			return out, err
		}
		n := min(vqganEvalBatch, s.n-at)
		part := make([]float32, vqganEvalBatch*plane)
		copy(part, s.pix[at*plane:(at+n)*plane])
		res, err := r.judge.program.Run(vars, Floats(part, vqganEvalBatch, size, size, 3).tensor())
		if err != nil {
			return out, err
		}
		out.pix = append(out.pix, engine.Floats(res[0])[:n*plane]...)
		if err := usage.Add(vqgan.Codes{W: side, H: n * side, Idx: engine.Ints(res[1])[:n*side*side]}); err != nil {
			return out, err
		}
		if r.look != nil {
			d := r.look.width
			for _, x := range engine.Floats(res[2])[:n] {
				out.distance = append(out.distance, float64(x))
			}
			out.before, out.after = append(out.before, engine.Floats(res[3])[:n*d]...), append(out.after, engine.Floats(res[4])[:n*d]...)
		}
	}
	return out, nil
}

// meanSSIM is the mean structural similarity of pictures of size x size in two arrays.
func meanSSIM(x, y []float32, size int) float64 {
	plane, sum := size*size*3, 0.
	for at := 0; at < len(x); at += plane {
		sum += pixel.SSIM(pixel.Image{W: size, H: size, Pix: x[at : at+plane]}, pixel.Image{W: size, H: size, Pix: y[at : at+plane]})
	}
	return sum / float64(len(x)/plane)
}

// meanPSNR is the mean over pictures of side size of the peak signal-to-noise ratio in decibels, as it is reported in papers.
func meanPSNR(x, y []float32, size int) float64 {
	plane := size * size * 3
	sum := 0.
	for at := 0; at < len(x); at += plane {
		sum += psnr(x[at:at+plane], y[at:at+plane])
	}
	return sum / float64(len(x)/plane)
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
