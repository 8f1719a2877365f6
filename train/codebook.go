package train

import (
	"context"
	"fmt"
	"math"
	"strings"
	"sync"

	"github.com/gomlx/gomlx/core/graph"

	"github.com/smalti/smalti/engine"
	"github.com/smalti/smalti/gx"
	"github.com/smalti/smalti/rng"
)

// What k-means starts a codebook from: this many vectors for each code at most, this many rounds.
const (
	kmeansPerCode = 16
	kmeansRounds  = 10
)

const codebookName = "quantize.embedding.weight"

// Start makes the drawn network one that pictures pass through, and begins the codebook with what its encoder puts out.
func (r *vqganRecipe) Start(ctx context.Context, e *engine.Engine, values Values) error {
	openTrunk(values)
	return r.cluster(ctx, e, values)
}

// openTrunk scales drawn weights so that a new autoencoder begins as nearly linear: the last convolution of each residual
// block adds next to nothing (Zhang et al. 2019, arXiv:1901.09321), and those of the trunk keep the variance of what they get
// instead of a third of it. Otherwise what is the same for every picture grows on the way and covers what is not, and a
// network as drawn spends its first hundreds of steps on that.
func openTrunk(values Values) {
	for name, w := range values {
		scale := float32(1)
		switch {
		case !isTrunk(name):
		case strings.HasSuffix(name, ".conv2.weight"), strings.HasSuffix(name, ".proj_out.weight"):
			scale = .02
		case !strings.HasSuffix(name, ".conv1.weight"):
			scale = float32(math.Sqrt(3))
		}
		for i := range w {
			w[i] *= scale
		}
	}
}

// isTrunk reports whether a variable is a kernel of the autoencoder outside of attention's inner products.
func isTrunk(name string) bool {
	ours := strings.HasPrefix(name, "encoder.") || strings.HasPrefix(name, "decoder.") || strings.HasPrefix(name, "quant_conv.") || strings.HasPrefix(name, "post_quant_conv.")
	inner := strings.Contains(name, "norm") || strings.HasSuffix(name, ".q.weight") || strings.HasSuffix(name, ".k.weight") || strings.HasSuffix(name, ".v.weight")
	return ours && !inner && strings.HasSuffix(name, ".weight")
}

// Restart begins the codebook with the outputs of an encoder that has learnt without one.
func (r *vqganRecipe) Restart(ctx context.Context, e *engine.Engine, step int, values Values) ([]string, error) {
	if r.cfg.QuantiseFrom == 0 || step != r.cfg.QuantiseFrom {
		return nil, nil
	}
	return []string{codebookName}, r.cluster(ctx, e, values)
}

// cluster replaces the codebook by cluster centres of the encoder's outputs for the first batches.
func (r *vqganRecipe) cluster(ctx context.Context, e *engine.Engine, values Values) error {
	m := r.cfg.Model
	p := e.Program("vqgan/start", func(v *gx.Vars, in []*graph.Node) []*graph.Node {
		return []*graph.Node{m.EncodeGraph(v, graph.AddScalar(graph.MulScalar(in[0], 2), -1))}
	})
	var vectors []float32
	c := r.cfg.Train
	for i := 0; len(vectors) < kmeansPerCode*m.NEmbed*m.EmbedDim && i < 8*c.MicroBatches; i++ {
		if err := ctx.Err(); err != nil {
			return err
		}
		batch, err := r.Batch(i/c.MicroBatches, i%c.MicroBatches)
		if err != nil {
			return err
		}
		decls, err := p.Decls(batch[0].shape())
		if err != nil {
			return err
		}
		vars, err := engine.Upload(decls, values)
		if err != nil {
			return err
		}
		outs, err := p.Run(vars, batch[0].tensor())
		if err != nil {
			return err
		}
		vectors = append(vectors, engine.Floats(outs[0])...)
	}
	if m.L2 {
		normaliseRows(vectors, m.EmbedDim)
	}
	copy(values[codebookName], kmeans(rng.New(c.Seed, "vqgan/kmeans"), vectors, m.EmbedDim, m.NEmbed, m.L2))
	return nil
}

// kmeans finds k centres of the rows of x (width d) by Lloyd's rounds from a random choice of rows; with sphere, centres are
// of unit length as the rows are. An empty cluster takes a random row. Centres are summed in the order of rows.
func kmeans(s *rng.Stream, x []float32, d, k int, sphere bool) []float32 {
	n := len(x) / d
	centres := make([]float32, 0, k*d)
	for _, i := range s.Perm(n) {
		if len(centres) == k*d {
			break
		}
		centres = append(centres, x[i*d:(i+1)*d]...)
	}
	for len(centres) < k*d { // fewer rows than codes
		i := s.IntN(n)
		centres = append(centres, x[i*d:(i+1)*d]...)
	}
	owner := make([]int, n)
	for range kmeansRounds {
		inParallel(n, 2, func(i int) { owner[i] = nearestRow(centres, x[i*d:(i+1)*d]) })
		sums, counts := make([]float64, k*d), make([]int, k)
		for i, o := range owner {
			counts[o]++
			for j := range d {
				sums[o*d+j] += float64(x[i*d+j])
			}
		}
		for o, count := range counts {
			if count == 0 {
				i := s.IntN(n)
				copy(centres[o*d:(o+1)*d], x[i*d:(i+1)*d])
				continue
			}
			for j := range d {
				centres[o*d+j] = float32(sums[o*d+j] / float64(count))
			}
		}
		if sphere {
			normaliseRows(centres, d)
		}
	}
	return centres
}

// nearestRow is the index of the row of table at the smallest distance from x, the first of equals.
func nearestRow(table, x []float32) int {
	best, at := float32(math.Inf(1)), 0
	for i := 0; i*len(x) < len(table); i++ {
		row, sum := table[i*len(x):(i+1)*len(x)], float32(0)
		for j, v := range x {
			sum += (v - row[j]) * (v - row[j])
		}
		if sum < best {
			best, at = sum, i
		}
	}
	return at
}

// normaliseRows brings rows of width d to unit length; a row of zeros stays.
func normaliseRows(x []float32, d int) {
	for at := 0; at < len(x); at += d {
		row, sum := x[at:at+d], 0.
		for _, v := range row {
			sum += float64(v) * float64(v)
		}
		if sum > 0 {
			scale := float32(1 / math.Sqrt(sum))
			for i := range row {
				row[i] *= scale
			}
		}
	}
}

// usageDecay is of the moving average of how often a code is used.
const usageDecay = .99

// Memory is the usage of codes, and the sums of a codebook that is made of means.
func (r *vqganRecipe) Memory() Values {
	m := Values{"usage": r.usage}
	if r.cfg.Codebook != "" {
		m["seen"], m["epoch"] = r.seen, r.epoch
	}
	if r.cfg.Codebook == EMACodebook {
		m["codebook_sums"], m["codebook_sizes"] = r.sums, r.sizes
	}
	return m
}

// AfterStep counts the codes of the step and, now and then, puts dead ones where the encoder's outputs are.
func (r *vqganRecipe) AfterStep(step int, extra [][]Array, w Weights) error {
	if step <= r.cfg.QuantiseFrom {
		return nil
	}
	counts := make([]int, len(r.usage))
	for _, micro := range extra {
		for _, code := range micro[1].I {
			if code < 0 || int(code) >= len(counts) {
				return fmt.Errorf("code %d is outside the codebook of %d", code, len(counts))
			}
			counts[code]++
		}
	}
	for i, c := range counts {
		r.usage[i] += (1 - usageDecay) * (float32(c) - r.usage[i])
		r.seen[i] += float32(c)
	}
	if step%r.epochSteps() == 0 {
		r.endEpoch()
	}
	c := r.cfg
	if c.Freeze == FreezeEncoder {
		return nil
	}
	if c.Codebook == EMACodebook {
		if err := r.average(extra, counts, w); err != nil {
			return err
		}
	}
	if c.ReviveEvery == 0 || step%c.ReviveEvery != 0 || step > c.ReviveUntil {
		return nil
	}
	return r.revive(step, extra, w)
}

// revive moves codes that are hardly used to outputs of the encoder in this step.
func (r *vqganRecipe) revive(step int, extra [][]Array, w Weights) error {
	c := r.cfg
	value, m, v, ema, ok := w.Get(codebookName)
	if !ok {
		return fmt.Errorf("there is no variable %s", codebookName)
	}
	mean := float32(r.vectors()) / float32(len(r.usage))
	s := rng.New(c.Train.Seed, "vqgan/revive", uint64(step))
	d := c.Model.EmbedDim
	for i, u := range r.usage {
		if u >= float32(c.ReviveBelow)*mean {
			continue
		}
		z := extra[s.IntN(len(extra))][0].F
		at := s.IntN(len(z) / d)
		row := append([]float32(nil), z[at*d:(at+1)*d]...)
		if c.Model.L2 {
			normaliseRows(row, d)
		}
		copy(value[i*d:], row)
		copy(ema[i*d:], row)
		clear(m[i*d : (i+1)*d])
		clear(v[i*d : (i+1)*d])
		r.usage[i] = mean
		if c.Codebook == EMACodebook {
			copy(r.sums[i*d:], row)
			r.sizes[i] = 1
		}
	}
	return nil
}

// endEpoch counts the codes of an epoch: batches are too small to tell how many are in use.
func (r *vqganRecipe) endEpoch() {
	r.epoch[0] = 0
	for i, n := range r.seen {
		if n > 0 {
			r.epoch[0]++
		}
		r.seen[i] = 0
	}
}

// average moves each code to the moving mean of the vectors that chose it (van den Oord et al. 2017, equations 6 to 8); with
// L2 to its direction. Vectors are summed in the order of micro-batches and places. A code that nobody has chosen for so
// long that its sum has faded stays where it is.
func (r *vqganRecipe) average(extra [][]Array, counts []int, w Weights) error {
	value, _, _, ema, ok := w.Get(codebookName)
	if !ok {
		return fmt.Errorf("there is no variable %s", codebookName)
	}
	d, keep := r.cfg.Model.EmbedDim, float32(r.cfg.Decay)
	sums := make([]float32, len(r.sums))
	for _, micro := range extra {
		z := append([]float32(nil), micro[0].F...)
		if r.cfg.Model.L2 {
			normaliseRows(z, d)
		}
		for i, code := range micro[1].I {
			for j := range d {
				sums[int(code)*d+j] += z[i*d+j]
			}
		}
	}
	const faded = 1e-4
	for k := range counts {
		row := append([]float32(nil), r.sums[k*d:(k+1)*d]...)
		for j := range row {
			row[j] = float32(keep*row[j]) + float32((1-keep)*sums[k*d+j])
		}
		copy(r.sums[k*d:], row)
		r.sizes[k] = float32(keep*r.sizes[k]) + float32((1-keep)*float32(counts[k]))
		if r.sizes[k] < faded {
			continue
		}
		for j := range row {
			row[j] /= r.sizes[k]
		}
		if r.cfg.Model.L2 {
			normaliseRows(row, d)
		}
		copy(value[k*d:], row)
		copy(ema[k*d:], row)
	}
	return nil
}

// inParallel calls f(0..n-1) from the given number of goroutines; which one calls what must not matter.
func inParallel(n, workers int, f func(i int)) {
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			for i := w; i < n; i += workers {
				f(i)
			}
		})
	}
	wg.Wait()
}
