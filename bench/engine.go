package bench

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/smalti/smalti/engine"
	"github.com/smalti/smalti/engine/cpu/kernel"
	"github.com/smalti/smalti/engine/cpu/pool"
)

// Options say how to measure.
type Options struct {
	Threads int    // workers inside an operation; 0 means one for each processor
	Class   string // of kernels; empty means the best that this machine has
	Now     func() time.Time

	Only string        // measure the cases whose names contain this
	Runs int           // runs of a case at least; 0 means 5
	For  time.Duration // time for a case at least; 0 means 300 ms, or none for small shapes
	// Small shrinks every shape: to see that the cases run, not how fast.
	Small bool
}

// Line is the result of one case.
type Line struct {
	Name    string  `json:"name"`
	Shape   string  `json:"shape"`
	Seconds float64 `json:"seconds"` // of the best run
	Rate    float64 `json:"rate"`
	Unit    string  `json:"unit"`    // of Rate and Peak: GFLOP/s or GB/s
	Peak    float64 `json:"peak"`    // of the loop beside it, 0 where there is none
	Of      string  `json:"of"`      // what the loop did
	Percent float64 `json:"percent"` // Rate of Peak
	Runs    int     `json:"runs"`
}

// limit is what a case is held against.
type limit uint8

const (
	fma    limit = iota // multiply-adds of float32
	dots                // dot products of bfloat16
	copied              // a copy of memory: work is the bytes read and written
)

func (l limit) String() string { return [...]string{"f32 FMA", "bf16 dot", "copy"}[l] }

func (l limit) unit() string {
	if l == copied {
		return "GB/s"
	}
	return "GFLOP/s"
}

// benchCase is something to measure.
type benchCase struct {
	name, shape string
	limit       limit
	work        float64 // floating-point operations (a multiply-add counts two) or bytes of one run
	// prepare returns what is timed; it has run once or more by then.
	prepare func(b *bed) (run func() error, err error)
}

// bed is what cases run on.
type bed struct {
	engine  *engine.Engine
	set     *kernel.Set
	pool    *pool.Pool // of the loops beside, and of kernels that are measured without the engine
	threads int
}

// each runs f for every job below n on all threads.
func (b *bed) each(n int, f func(worker, job int)) {
	b.pool.RunIndexed(n, 1, func(worker, lo, hi int) {
		for j := lo; j < hi; j++ {
			f(worker, j)
		}
	})
}

// Names lists the cases of Engine, without those that this class of kernels lacks.
func Names(o Options) ([]string, error) {
	class, err := classOf(o)
	if err != nil {
		return nil, err
	}
	var out []string
	for _, c := range cases(o.Small, kernel.For(class)) {
		out = append(out, c.name)
	}
	return out, nil
}

func classOf(o Options) (kernel.Class, error) {
	if o.Class == "" {
		return kernel.Detect(), nil
	}
	c, err := kernel.ParseClass(o.Class)
	if err == nil && c > kernel.Detect() {
		err = fmt.Errorf("this machine cannot run kernels of class %s, only up to %s", c, kernel.Detect())
	}
	return c, err
}

// Engine measures kernels and operations, one after the other, and hands each result to report.
func Engine(ctx context.Context, o Options, report func(Line) error) error {
	class, err := classOf(o)
	if err != nil {
		return fmt.Errorf("bench: %w", err)
	}
	e, err := engine.New(engine.Options{Threads: o.Threads, Class: o.Class})
	if err != nil {
		return err
	}
	defer e.Close()
	b := &bed{engine: e, set: kernel.For(class), pool: pool.New(e.Threads()), threads: e.Threads()}
	defer b.pool.Close()
	for _, c := range cases(o.Small, b.set) {
		if !strings.Contains(c.name, o.Only) {
			continue
		}
		line, err := b.measure(ctx, c, o)
		if err != nil {
			return fmt.Errorf("bench: %s: %w", c.name, err)
		}
		if err := report(line); err != nil {
			return err
		}
	}
	return nil
}

// measure takes turns between a case and its limit.
func (b *bed) measure(ctx context.Context, c benchCase, o Options) (Line, error) {
	line := Line{Name: c.name, Shape: c.shape, Unit: c.limit.unit(), Of: c.limit.String()}
	run, err := c.prepare(b)
	if err != nil {
		return line, err
	}
	runs, long := o.Runs, o.For
	if runs == 0 {
		runs = 5
	}
	if long == 0 && !o.Small {
		long = 300 * time.Millisecond
	}
	beside := b.beside(c.limit, c.work)
	for begin := o.Now(); line.Runs < runs || o.Now().Sub(begin) < long; line.Runs++ {
		if err := ctx.Err(); err != nil {
			return line, err
		}
		start := o.Now()
		work := beside()
		if d := o.Now().Sub(start).Seconds(); d > 0 {
			line.Peak = max(line.Peak, work/d*1e-9)
		}
		start = o.Now()
		if err := run(); err != nil {
			return line, err
		}
		if d := o.Now().Sub(start).Seconds(); line.Runs == 0 || d < line.Seconds {
			line.Seconds = d
		}
	}
	line.Rate = c.work / max(line.Seconds, 1e-9) * 1e-9
	if line.Peak > 0 {
		line.Percent = 100 * line.Rate / line.Peak
	}
	return line, nil
}

// beside returns the loop that shows a limit, on as many threads as the engine has, and its work.
func (b *bed) beside(l limit, work float64) func() float64 {
	if l == copied {
		n := int(work) / 8 // float32 read and written
		from, to := make([]float32, n), make([]float32, n)
		part := (n + b.threads - 1) / b.threads
		return func() float64 {
			b.each(b.threads, func(_, i int) {
				lo, hi := min(n, i*part), min(n, (i+1)*part)
				copy(to[lo:hi], from[lo:hi])
			})
			return float64(8 * n)
		}
	}
	const rounds = 200_000 // about a millisecond
	return func() float64 {
		flops := make([]float64, b.threads)
		b.each(b.threads, func(_, i int) { flops[i] = b.set.PeakLoop(l == dots, rounds) })
		var sum float64
		for _, f := range flops {
			sum += f
		}
		return sum
	}
}
