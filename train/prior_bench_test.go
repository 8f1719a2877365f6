package train

import (
	"fmt"
	"testing"

	"github.com/smalti/smalti/engine"
	"github.com/smalti/smalti/prior"
	"github.com/smalti/smalti/rng"
)

// BenchmarkPriorGradient measures one micro-batch on one thread at the size of the built-in prior: 16 tokens, 64 codes out of
// 1024. Optimiser and encoder are not part of it.
func BenchmarkPriorGradient(b *testing.B) {
	for _, precision := range []string{engine.F32, engine.Mixed} {
		for _, n := range []int{16, 32, 64} {
			b.Run(fmt.Sprintf("%s/batch=%d", precision, n), func(b *testing.B) { benchPrior(b, precision, n) })
		}
	}
}

func benchPrior(b *testing.B, precision string, n int) {
	c := DefaultPrior()
	text := *c.Model.Text
	text.Vocab = 4096
	c.Model = prior.ForCaptions(1024, 8, text, c.Model.Layers, c.Model.Heads, c.Model.Width)
	r := &priorRecipe{cfg: c}
	w, err := newWorker(r, precision)
	if err != nil {
		b.Skip(err)
	}
	defer w.engine.Close()
	s := rng.New(1, "bench")
	draw := func(m, k int) []int32 {
		out := make([]int32, m)
		for i := range out {
			out[i] = int32(s.IntN(k))
		}
		return out
	}
	codes := Ints(draw(n*64, 1024), n, 64)
	batch := []Array{Ints(draw(n*text.Length, text.Vocab), n, text.Length), codes, codes}
	trained, _, err := w.decls(r, batch)
	if err != nil {
		b.Fatal(err)
	}
	f := newFlat(trained, r.Decays)
	values, _, err := drawn(trained, 1, nil)
	if err != nil {
		b.Fatal(err)
	}
	st := state{flat: f}
	if err := st.fill(values); err != nil {
		b.Fatal(err)
	}
	w.flat = f
	step := 0
	for b.Loop() {
		step++ // weights change, so they are packed anew
		if g := w.runStep(step, 0, 1, batch); g.err != nil {
			b.Fatal(g.err)
		}
	}
	b.ReportMetric(float64(n*b.N)/b.Elapsed().Seconds(), "sequences/s")
}
