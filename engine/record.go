package engine

import (
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/smalti/smalti/engine/cpu"
)

// Span is one run or compilation of a program.
type Span struct {
	Program string
	Engine  int  // number of the engine, in order of its first span
	Compile bool // tracing, passes and planning, not a run
	Start   time.Time
	Time    time.Duration
	Ops     []Op    // what the run consisted of, longest first; only from a Recorder of operations
	Events  []Event // the same one by one, as they ran
}

// Event is one operation of a run.
type Event struct {
	Op   int           // index in the span's Ops
	At   time.Duration // from the start of the span
	Time time.Duration
}

// Op is one kind of operation on one tuple of shapes, within a span or over many.
type Op struct {
	Kind  string // "ConvGeneral", "Cluster", ...
	Name  string // with its shapes
	Count int
	Time  time.Duration // of all
	Best  time.Duration // of the fastest
	Work  float64       // of one: floating-point operations, or elements moved; 0 where unknown
}

// RecordOptions say what a Recorder takes down.
type RecordOptions struct {
	Now func() time.Time // the clock
	// Ops asks for the time of each operation. Runs on one engine then wait for each other.
	Ops bool
}

// Recorder takes down what the programs of all engines of this process spend, as a profile of the Go runtime is of the
// process. It changes no result. Several may record at once. It is safe for concurrent use.
type Recorder struct {
	now func() time.Time
	ops bool

	mu      sync.Mutex
	engines map[*Engine]int
	spans   []Span
	events  int                    // of all spans so far
	sums    map[string]*programSum // of all spans, also those that were taken or were too many
	byOp    map[string]*Op
}

// A long training must not fill the memory, or the disk, with its profile: what is beyond these counts enters the sums only.
const (
	maxSpans  = 100_000
	maxEvents = 200_000 // operations; a trace takes about 300 bytes for each
)

// programSum adds up the spans of a program.
type programSum struct {
	name     string
	runs     int
	time     time.Duration // of runs
	best     time.Duration
	compiled int
	compile  time.Duration
}

// recorders are those at work. The slice is never changed, only replaced, under changing.
var (
	recorders atomic.Pointer[[]*Recorder]
	changing  sync.Mutex
)

// Record starts a Recorder. Stop ends it.
func Record(o RecordOptions) *Recorder {
	r := &Recorder{now: o.Now, ops: o.Ops, engines: map[*Engine]int{}, sums: map[string]*programSum{}, byOp: map[string]*Op{}}
	changing.Lock()
	defer changing.Unlock()
	var all []*Recorder
	if old := recorders.Load(); old != nil {
		all = slices.Clone(*old)
	}
	all = append(all, r)
	recorders.Store(&all)
	return r
}

// Stop ends the recording; what was taken down stays.
func (r *Recorder) Stop() {
	changing.Lock()
	defer changing.Unlock()
	old := recorders.Load()
	if old == nil {
		return
	}
	all := slices.DeleteFunc(slices.Clone(*old), func(x *Recorder) bool { return x == r })
	if len(all) == 0 {
		recorders.Store(nil) // what nobody records costs one load
		return
	}
	recorders.Store(&all)
}

// Take returns the spans since the last Take in the order in which they ended, and forgets them.
func (r *Recorder) Take() []Span {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := r.spans
	r.spans = nil
	return s
}

func (r *Recorder) add(e *Engine, s Span) {
	r.mu.Lock()
	defer r.mu.Unlock()
	n, ok := r.engines[e]
	if !ok {
		n = len(r.engines)
		r.engines[e] = n
	}
	s.Engine = n
	r.sum(s)
	if len(r.spans) >= maxSpans {
		return
	}
	if r.events += len(s.Events); r.events > maxEvents {
		s.Ops, s.Events = nil, nil
	}
	r.spans = append(r.spans, s)
}

func (r *Recorder) sum(s Span) {
	p := r.sums[s.Program]
	if p == nil {
		p = &programSum{name: s.Program}
		r.sums[s.Program] = p
	}
	if s.Compile {
		p.compiled++
		p.compile += s.Time
		return
	}
	if p.runs == 0 || s.Time < p.best {
		p.best = s.Time
	}
	p.runs++
	p.time += s.Time
	for _, o := range s.Ops {
		q := r.byOp[o.Name]
		if q == nil {
			c := o
			r.byOp[o.Name] = &c
			continue
		}
		q.Count += o.Count
		q.Time += o.Time
		q.Best = min(q.Best, o.Best)
	}
}

// timed runs f for a program and tells those who record.
func (e *Engine) timed(program string, compile bool, f func() error) error {
	p := recorders.Load()
	if p == nil {
		return f()
	}
	all := *p
	ops := !compile && slices.ContainsFunc(all, func(r *Recorder) bool { return r.ops })
	if ops {
		e.profiling.Lock()
		defer e.profiling.Unlock()
		e.backend.StartProfile()
	}
	starts := make([]time.Time, len(all))
	for i, r := range all {
		starts[i] = r.now()
	}
	err := f()
	spans := make([]Span, len(all))
	for i, r := range all {
		spans[i] = Span{Program: program, Compile: compile, Start: starts[i], Time: r.now().Sub(starts[i])}
	}
	var lines []Op
	var events []Event
	if ops {
		lines, events = opsOf(e.backend.StopProfile())
	}
	for i, r := range all {
		if r.ops {
			spans[i].Ops, spans[i].Events = lines, events
		}
		r.add(e, spans[i])
	}
	return err
}

// opsOf translates a profile of the backend. The profile starts when the span does, to within a few readings of the clock.
func opsOf(p *cpu.Profile) ([]Op, []Event) {
	if p == nil {
		return nil, nil
	}
	var ops []Op
	for _, l := range p.Lines() {
		ops = append(ops, Op{Kind: l.Kind, Name: l.Name, Count: l.Count, Time: l.Time, Best: l.Best, Work: l.Work})
	}
	slices.SortStableFunc(ops, func(a, b Op) int { return int(b.Time - a.Time) })
	index := make(map[string]int, len(ops))
	for i, o := range ops {
		index[o.Name] = i
	}
	var events []Event
	for _, e := range p.Events() {
		events = append(events, Event{Op: index[e.Line.Name], At: e.At, Time: e.Time})
	}
	return ops, events
}
