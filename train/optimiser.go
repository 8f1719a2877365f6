package train

import (
	"math"
	"sync"

	"github.com/smalti/smalti/gx"
)

// Chunks of this many weights are the unit of host work; sums are formed inside a chunk and then over chunks in order,
// so the numbers do not depend on the number of goroutines.
const chunkSize = 1 << 15

// flat is all trained weights, one after the other in the order of their declaration, with what goes with them.
type flat struct {
	decls   []gx.Decl
	offsets []int // offsets[i] is where decls[i] begins; one more at the end
	chunks  []chunk

	value, m, v, ema []float32
}

// chunk is a range of the flat arrays inside one variable.
type chunk struct {
	from, to int
	decay    bool
}

func newFlat(decls []gx.Decl, decay func(gx.Decl) bool) *flat {
	f := &flat{decls: decls, offsets: []int{0}}
	at := 0
	for _, d := range decls {
		end := at + d.Shape().Size()
		for from := at; from < end; from += chunkSize {
			f.chunks = append(f.chunks, chunk{from, min(from+chunkSize, end), decay(d)})
		}
		at = end
		f.offsets = append(f.offsets, at)
	}
	f.value, f.m, f.v, f.ema = make([]float32, at), make([]float32, at), make([]float32, at), make([]float32, at)
	return f
}

// of returns the part of one of f's arrays that belongs to the i-th variable.
func (f *flat) of(array []float32, i int) []float32 {
	return array[f.offsets[i]:f.offsets[i+1]:f.offsets[i+1]]
}

// values shares an array's parts by name.
func (f *flat) values(array []float32) Values {
	out := make(Values, len(f.decls))
	for i, d := range f.decls {
		out[d.Name] = f.of(array, i)
	}
	return out
}

// each calls do for every chunk, from several goroutines.
func (f *flat) each(workers int, do func(i int, c chunk)) {
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			for i := w; i < len(f.chunks); i += workers {
				do(i, f.chunks[i])
			}
		})
	}
	wg.Wait()
}

// norm is the Euclidean norm of grad. It is not finite when an element is not.
func (f *flat) norm(workers int, grad []float32) float64 {
	sums := make([]float64, len(f.chunks))
	f.each(workers, func(i int, c chunk) {
		sum := 0.
		for _, g := range grad[c.from:c.to] {
			sum += float64(g) * float64(g)
		}
		sums[i] = sum
	})
	total := 0.
	for _, s := range sums {
		total += s
	}
	return math.Sqrt(total)
}

// update is one step of AdamW with decoupled weight decay (Loshchilov and Hutter 2019, algorithm 2) on scale*grad, and
// of the moving average of the weights. step counts from 0.
func (f *flat) update(c Config, step int, grad []float32, scale float64) {
	t := float64(step + 1)
	lr := c.Rate(step)
	k := adamStep{
		scale: float32(scale), b1: float32(c.Beta1), b2: float32(c.Beta2), eps: float32(c.Epsilon),
		rate:  float32(lr / (1 - math.Pow(c.Beta1, t))),
		root:  float32(1 / math.Sqrt(1-math.Pow(c.Beta2, t))),
		decay: float32(lr * c.WeightDecay), average: float32(1 - c.averaging(step)),
	}
	f.each(c.workers(), func(_ int, r chunk) {
		one := k
		if !r.decay {
			one.decay = 0
		}
		one.apply(f.value[r.from:r.to], f.m[r.from:r.to], f.v[r.from:r.to], f.ema[r.from:r.to], grad[r.from:r.to])
	})
}

// adamStep holds the constants of one AdamW step: rate is lr over the bias correction of the first moment, root one over
// the root of that of the second.
type adamStep struct {
	scale, b1, b2, eps, rate, root, decay, average float32
}

// The conversions keep products and sums separate: a compiler that fuses them would give other bytes on other machines.
func (k *adamStep) apply(p, m, v, ema, grad []float32) {
	m, v, ema, grad = m[:len(p)], v[:len(p)], ema[:len(p)], grad[:len(p)]
	c1, c2, keep := 1-k.b1, 1-k.b2, 1-k.decay
	for i := range p {
		g := float32(grad[i] * k.scale)
		mi := float32(k.b1*m[i]) + float32(c1*g)
		vi := float32(k.b2*v[i]) + float32(c2*float32(g*g))
		d := float32(float32(math.Sqrt(float64(vi)))*k.root) + k.eps
		x := float32(p[i]*keep) - float32(k.rate*mi)/d
		m[i], v[i], p[i] = mi, vi, x
		ema[i] += float32(k.average * (x - ema[i]))
	}
}

// Weights is a Stepper's access to what is trained.
type Weights struct {
	f *flat
}

// Get returns a variable's value, its two Adam moments and its moving average, to be read or changed in place; ok is
// false when there is no such variable.
func (w Weights) Get(name string) (value, m, v, ema []float32, ok bool) {
	for i, d := range w.f.decls {
		if d.Name == name {
			return w.f.of(w.f.value, i), w.f.of(w.f.m, i), w.f.of(w.f.v, i), w.f.of(w.f.ema, i), true
		}
	}
	return nil, nil, nil, nil, false
}
