package train

import (
	"bytes"
	"context"
	"errors"
	"math"
	"slices"
	"testing"

	"github.com/gomlx/gomlx/core/graph"

	"github.com/smalti/smalti/gx"
)

// clipWorker is a worker with drawn weights for a recipe, ready for step 0.
func clipWorkers(t *testing.T, r *clipRecipe, n int) []*worker {
	t.Helper()
	var ws []*worker
	var f *flat
	for range n {
		w, err := newWorker(r, "")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(w.engine.Close)
		if f == nil {
			batch, err := r.Batch(0, 0)
			if err != nil {
				t.Fatal(err)
			}
			decls, _, err := w.decls(r, batch)
			if err != nil {
				t.Fatal(err)
			}
			f = newFlat(decls, decays)
			for name, v := range gx.Materialise(decls, 4) {
				copy(f.values(f.value)[name], v)
			}
		}
		w.flat = f
		ws = append(ws, w)
	}
	return ws
}

// TestJoinedGradientIsThatOfTheWholeBatch compares four micro-batches, joined, with all their examples in one batch of the
// plain loss.
func TestJoinedGradientIsThatOfTheWholeBatch(t *testing.T) {
	c := toyClip()
	c.Train.MicroBatches, c.Train.BatchSize, c.Join = 4, 3, true
	joined := newClipRecipe(c, mustScenes(t))
	ws := clipWorkers(t, joined, 2)
	micros := make([][]Array, 4)
	for i := range micros {
		var err error
		if micros[i], err = joined.Batch(0, i); err != nil {
			t.Fatal(err)
		}
	}
	micros[2][clipPairs].I[0] = micros[0][clipPairs].I[2] // examples 6 and 1 have one caption
	got := joinedGradient(ws, joined, joined, 0, micros)
	if got.err != nil {
		t.Fatal(got.err)
	}

	whole := joinArrays(micros, nil)
	whole[clipPairs] = Floats(keepOnHost(whole[clipPairs].I), 12, 12)
	c.Train.MicroBatches, c.Train.BatchSize, c.Join = 1, 12, false
	plain := newClipRecipe(c, mustScenes(t))
	w := clipWorkers(t, plain, 1)[0]
	want := w.runStep(0, 0, len(plain.Metrics()), whole)
	if want.err != nil {
		t.Fatal(want.err)
	}
	if math.Abs(got.loss-want.loss) > 1e-5*want.loss {
		t.Errorf("loss %g, want %g", got.loss, want.loss)
	}
	norm, far := 0., 0.
	for i, x := range want.grad {
		norm, far = norm+float64(x)*float64(x), far+math.Pow(float64(got.grad[i]-x), 2)
	}
	if far > 1e-10*norm { // sums of float32 in another order: 1e-5 of the gradient
		t.Errorf("the gradients differ by %g of their norm", math.Sqrt(far/norm))
	}
	for i := range got.metrics {
		if math.Abs(got.metrics[i]-want.metrics[i]) > 1e-5*math.Abs(want.metrics[i])+1e-7 {
			t.Errorf("metric %s: %g, want %g", plain.Metrics()[i], got.metrics[i], want.metrics[i])
		}
	}
}

// keepOnHost is keepOf by its definition.
func keepOnHost(marks []int32) []float32 {
	n := len(marks) / 2
	keep := make([]float32, n*n)
	for i := range n {
		for j := range n {
			if i == j || marks[2*i] != marks[2*j] && marks[2*i+1] != marks[2*j+1] {
				keep[i*n+j] = 1
			}
		}
	}
	return keep
}

func TestMarksTellWhatDistinctTells(t *testing.T) {
	b := mustScenes(t).train.Batch(3, 5, 60, 8)
	got := runGraph(t, func(in []*graph.Node) []*graph.Node { return []*graph.Node{keepOf(in[0])} }, Ints(marks(b), 60, 2))
	want := distinct(b)
	if !slices.Equal(got[0], want) {
		t.Error("the matrices differ")
	}
	if n := len(want) - int(sumOf(want)); n == 0 {
		t.Error("no pair is left out: the test says nothing")
	}
}

func sumOf(x []float32) float64 {
	s := 0.
	for _, v := range x {
		s += float64(v)
	}
	return s
}

func TestJoinedClipResumesByteEqualWhateverTheWorkers(t *testing.T) {
	whole, parts := t.TempDir(), t.TempDir()
	c := toyClip()
	c.Train.Steps, c.Train.MicroBatches, c.Train.SaveEvery, c.Join = 3, 3, 1, true
	c.Train.Workers = 2
	if _, err := RunClip(context.Background(), c, nil, Options{Dir: whole}); err != nil {
		t.Fatal(err)
	}
	c.Train.Workers = 1
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	if _, err := RunClip(ctx, c, cancelAt(2, cancel), Options{Dir: parts}); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	if err := ReadConfig(parts, &c); err != nil { // it names the vocabulary
		t.Fatal(err)
	}
	if _, err := RunClip(context.Background(), c, nil, Options{Dir: parts, Resume: true}); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{StateFile, ModelFile} {
		if !bytes.Equal(readFile(t, whole, name), readFile(t, parts, name)) {
			t.Errorf("%s differs", name)
		}
	}
}

func TestAdversarialPicturesAreHarder(t *testing.T) {
	c := toyClip()
	c.Adversarial, c.EpsilonFrom, c.EpsilonTo = 1, .5, .6
	r := newClipRecipe(c, mustScenes(t))
	batch, err := r.Batch(0, 0)
	if err != nil {
		t.Fatal(err)
	}
	n := c.Train.BatchSize
	outs := runVars(t, func(v *gx.Vars, in []*graph.Node) []*graph.Node {
		o := r.Loss(v, in)
		clean := r.compare(v, r.cfg.Model.ImageGraph(v, in[clipPictures]), r.cfg.Model.TextGraph(v, in[clipTokens]), in[clipPairs], in[clipConcepts])
		moved := movedAgainst(in[clipPictures], clean.Metrics[0], in[clipEpsilon])
		return append([]*graph.Node{moved}, o.Metrics...)
	}, batch)
	if clean, hard := outs[1][0], outs[5][0]; hard <= clean {
		t.Errorf("contrast %g of pictures moved against it, %g of those as they are", hard, clean)
	}
	plane := len(batch[0].F) / n
	for i := range n {
		d := 0.
		for k := i * plane; k < (i+1)*plane; k++ {
			d += math.Pow(float64(outs[0][k]-batch[0].F[k]), 2)
		}
		if want := float64(batch[clipEpsilon].F[i]); math.Abs(math.Sqrt(d)-want) > 1e-4 || want < .5 || want > .6 {
			t.Errorf("picture %d moved by %g, want %g of .5 to .6", i, math.Sqrt(d), want)
		}
	}
	c.Join = true
	if c.Validate() == nil {
		t.Error("joined and adversarial at once was taken")
	}
}
