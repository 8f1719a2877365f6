package train

import (
	"context"
	"fmt"
	"math"
	"strings"
	"sync"

	"github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"

	"github.com/smalti/smalti/dataset"
	"github.com/smalti/smalti/engine"
	"github.com/smalti/smalti/event"
	"github.com/smalti/smalti/gan"
	"github.com/smalti/smalti/gx"
	"github.com/smalti/smalti/rng"
)

// Pictures that a probe looks at, in runs of probeBatch.
const (
	probePictures = 256
	probeBatch    = 32
	probeBins     = 30
)

// ganProbe measures how steep the judge is: the norms of its gradient at real pictures, at generated ones and between.
type ganProbe struct {
	mu      sync.Mutex
	engine  *engine.Engine
	program *engine.Program
}

// programOf is the graph of a run: pictures, classes, noise, epsilon -> norms at real, fake and mixed pictures, [n] each.
func (p *ganProbe) programOf(e *engine.Engine, c gan.Config) *engine.Program {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.engine != e {
		p.engine = e
		p.program = e.Program("gan probe", func(v *gx.Vars, in []*graph.Node) []*graph.Node {
			real, labels := in[0], in[1]
			fake := graph.StopGradient(c.GenerateGraph(v.In(generatorName), in[2], labels, nil))
			judge := func(x *graph.Node) *graph.Node { return c.JudgeGraph(v.In(discriminatorName), x, labels, nil) }
			var out []*graph.Node
			for _, x := range []*graph.Node{real, gan.Mix(real, fake, graph.ZerosLike(in[3])), gan.Mix(real, fake, in[3])} {
				out = append(out, gan.GradientPenalty(judge, x).Norms)
			}
			return out
		})
	}
	return p.program
}

// Probe returns histograms of the norms, and their means among the scores.
func (g *ganGame) Probe(ctx context.Context, e *engine.Engine, values Values) (map[string]event.Histogram, map[string]float64, error) {
	if g.data == nil {
		return nil, nil, nil
	}
	c := g.cfg.Model
	prog := g.probe.programOf(e, c)
	index := firstOf(g.data.Held.Len(), probePictures)
	pix, labels, err := dataset.Planes(g.data.Held, index)
	if err != nil {
		return nil, nil, err
	}
	n, plane := len(index)/probeBatch*probeBatch, c.Size*c.Size*c.Channels
	if n == 0 {
		return nil, nil, nil
	}
	vars, err := g.tensorsOf(e, values)
	if err != nil {
		return nil, nil, err
	}
	z, eps := c.Noise(sheetSeed, 0, n), make([]float32, n)
	rng.New(sheetSeed, "gan/probe").FillUniform(eps, 0, 1)
	places := []string{"real", "fake", "mixed"}
	norms := make([][]float64, len(places))
	for at := 0; at < n; at += probeBatch {
		if err := ctx.Err(); err != nil {
			return nil, nil, err
		}
		end := at + probeBatch
		outs, err := prog.Run(vars, engine.FromFloats(pix[at*plane:end*plane], probeBatch, c.Size, c.Size, c.Channels),
			tensors.FromFlatDataAndDimensions(labels[at:end], probeBatch), engine.FromFloats(z[at*c.Latent:end*c.Latent], probeBatch, c.Latent),
			engine.FromFloats(eps[at:end], probeBatch))
		if err != nil {
			return nil, nil, fmt.Errorf("train: probe: %w", err)
		}
		for i, t := range outs {
			for _, v := range engine.Floats(t) {
				norms[i] = append(norms[i], float64(v))
			}
		}
	}
	histograms, scores := map[string]event.Histogram{}, map[string]float64{}
	for i, place := range places {
		sum := 0.
		for _, v := range norms[i] {
			sum += v
		}
		name := "norm_" + place
		scores[name] = sum / float64(n)
		if h := event.Bin(norms[i], probeBins); h.Valid() && !math.IsNaN(scores[name]) {
			histograms[name] = h
		}
	}
	return histograms, scores, nil
}

// tensorsOf are both players' values, running statistics included, under their names in the game.
func (g *ganGame) tensorsOf(e *engine.Engine, values Values) (engine.Tensors, error) {
	out := engine.Tensors{}
	for player, list := range map[string]func(*engine.Engine) ([]gx.Decl, error){generatorName: g.cfg.Model.GeneratorDecls, discriminatorName: g.cfg.Model.DiscriminatorDecls} {
		decls, err := list(e)
		if err != nil {
			return nil, err
		}
		own := Values{}
		for name, v := range values {
			if rest, ok := strings.CutPrefix(name, player+"."); ok {
				own[rest] = v
			}
		}
		ts, err := engine.Upload(decls, own)
		if err != nil {
			return nil, err
		}
		for name, t := range ts {
			out[player+"."+name] = t
		}
	}
	return out, nil
}
