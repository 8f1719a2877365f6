// Package pool runs loops on a fixed set of goroutines that spin between loops and park when idle, because waking a
// parked goroutine costs about 100 us and an operation of a graph often less. Start with [New] and [Pool.Run].
//
// The pool decides when and where a chunk runs, never what it computes: callers must give results that do not depend on
// the order of chunks.
package pool

import (
	"runtime"
	"sync"
	"sync/atomic"
)

// spins is how often an idle worker looks for work before it parks: roughly 60 us of plain loads. (PAUSE would be caught
// by the hypervisor on virtual machines.)
const spins = 60_000

// The state word: the number of workers inside the loop, whether the loop is open to more, and the loop's number.
const (
	activeMask = 1<<16 - 1
	openBit    = 1 << 16
	genShift   = 17
)

type pad [64]byte

// Pool is a set of workers. A Pool of one thread has none: everything runs in the caller.
type Pool struct {
	threads int
	running sync.Mutex // held by the caller whose loop the workers run

	_     pad
	state atomic.Uint64
	_     pad
	next  atomic.Int64 // first index not handed out
	_     pad

	n, grain int
	body     func(worker, lo, hi int)
	failure  atomic.Pointer[failure]

	workers []*worker
	closed  atomic.Bool
	exited  sync.WaitGroup
}

type worker struct {
	id     int
	parked atomic.Bool
	wake   chan struct{}
	_      pad
}

// failure is a panic caught in a worker, thrown again in the caller.
type failure struct{ value any }

// New starts a pool of the given number of threads, the caller of Run included; threads < 1 means GOMAXPROCS.
func New(threads int) *Pool {
	if threads < 1 {
		threads = runtime.GOMAXPROCS(0)
	}
	p := &Pool{threads: threads}
	for id := 1; id < threads; id++ {
		w := &worker{id: id, wake: make(chan struct{}, 1)}
		p.workers = append(p.workers, w)
		p.exited.Add(1)
		go p.loop(w)
	}
	return p
}

// Threads is the number of threads that Run may use, the caller included.
func (p *Pool) Threads() int { return p.threads }

// Run calls f on disjoint ranges [lo,hi) that cover [0,n) and returns when all calls have returned. Ranges begin at
// multiples of grain and are grain long but for the last (grain < 1 picks one that gives each thread several); which
// thread gets which range is decided as they become free. A panic in f stops the handing out of ranges and is thrown again here.
//
// Run may be called from several goroutines and from inside f: whoever finds the workers busy, or has a single range or
// thread, calls f(0, n).
func (p *Pool) Run(n, grain int, f func(lo, hi int)) {
	if n <= 0 {
		return
	}
	if p.threads == 1 || grain >= n {
		f(0, n)
		return
	}
	p.RunIndexed(n, grain, func(_, lo, hi int) { f(lo, hi) })
}

// RunIndexed is Run for bodies with scratch: worker is in [0, Threads()) and no two calls with the same worker overlap
// within one RunIndexed. Two concurrent RunIndexed may use the same numbers, so scratch belongs to the call.
func (p *Pool) RunIndexed(n, grain int, f func(worker, lo, hi int)) {
	if n <= 0 {
		return
	}
	if grain < 1 {
		grain = max(1, n/(4*p.threads))
	}
	if p.threads == 1 || grain >= n || p.closed.Load() || !p.running.TryLock() {
		f(0, 0, n)
		return
	}
	defer p.running.Unlock()
	p.n, p.grain, p.body = n, grain, f
	p.next.Store(0)
	p.failure.Store(nil)
	gen := p.state.Load()>>genShift + 1
	p.state.Store(gen<<genShift | openBit)
	p.wakeUp((n+grain-1)/grain - 1)
	p.finish()
}

// finish takes part in the loop, waits for the workers that joined it and passes on their panic.
func (p *Pool) finish() {
	p.share()
	if f := p.failure.Load(); f != nil { // only now: a worker may fail last
		panic(f.value)
	}
}

// share is finish but for the workers' panic.
func (p *Pool) share() {
	defer func() {
		p.next.Store(int64(p.n)) // after a panic here: no new ranges
		p.state.And(^uint64(openBit))
		for k := 0; p.state.Load()&activeMask != 0; k++ {
			if k > spins {
				runtime.Gosched()
			}
		}
		p.body = nil
	}()
	p.work(0)
}

// wakeUp unparks at most k workers.
func (p *Pool) wakeUp(k int) {
	for _, w := range p.workers {
		if k <= 0 {
			return
		}
		k--
		if w.parked.CompareAndSwap(true, false) {
			w.wake <- struct{}{}
		}
	}
}

// work runs ranges until none is left.
func (p *Pool) work(id int) {
	for {
		lo := int(p.next.Add(int64(p.grain))) - p.grain
		if lo >= p.n {
			return
		}
		p.body(id, lo, min(lo+p.grain, p.n))
	}
}

// join runs ranges in a worker; a panic ends the loop for everybody.
func (p *Pool) join(id int) {
	defer func() {
		if v := recover(); v != nil {
			p.failure.CompareAndSwap(nil, &failure{v})
			p.next.Store(int64(p.n))
		}
		p.state.Add(^uint64(0)) // leave
	}()
	p.work(id)
}

func (p *Pool) loop(w *worker) {
	defer p.exited.Done()
	last := uint64(0)
	for {
		s, ok := p.await(w, last)
		if !ok {
			return
		}
		if s&openBit == 0 {
			last = s >> genShift
			continue
		}
		if p.state.CompareAndSwap(s, s+1) {
			last = s >> genShift
			p.join(w.id)
		}
	}
}

// await returns the state once a loop after number last was published, or false when the pool closes.
func (p *Pool) await(w *worker, last uint64) (uint64, bool) {
	for k := 0; ; k++ {
		if s := p.state.Load(); s>>genShift != last {
			return s, true
		}
		if k < spins {
			continue
		}
		if p.closed.Load() {
			return 0, false
		}
		w.parked.Store(true)
		idle := p.state.Load()>>genShift == last && !p.closed.Load()
		if idle || !w.parked.CompareAndSwap(true, false) {
			<-w.wake
		}
		k = 0
	}
}

// Close ends the workers and waits for them. Later loops run in their callers. It may be called twice.
func (p *Pool) Close() {
	if p.closed.Swap(true) {
		return
	}
	p.running.Lock() // a loop under way ends first
	defer p.running.Unlock()
	for _, w := range p.workers {
		if w.parked.CompareAndSwap(true, false) {
			w.wake <- struct{}{}
		}
	}
	p.exited.Wait()
}
