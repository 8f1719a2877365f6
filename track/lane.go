package track

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/smalti/smalti/event"
)

// Retry says how a lane goes on after a failure.
type Retry struct {
	First    time.Duration // the pause after the first failure, doubled after each further one; 0: 1 s
	Longest  time.Duration // the longest pause; 0: 1 min
	Attempts int           // failures in a row before the user is told; 0: 6, which is half a minute with the above
}

func (r Retry) filled() Retry {
	if r.First <= 0 {
		r.First = time.Second
	}
	if r.Longest <= 0 {
		r.Longest = time.Minute
	}
	if r.Attempts <= 0 {
		r.Attempts = 6
	}
	return r
}

// pause is the time to wait after n failures in a row, the last being err.
func (r Retry) pause(n int, err error) time.Duration {
	d := r.First
	for range n - 1 {
		if d >= r.Longest {
			break
		}
		d *= 2
	}
	d = min(d, r.Longest)
	var asked interface{ RetryAfter() time.Duration }
	if errors.As(err, &asked) {
		d = max(d, min(asked.RetryAfter(), 10*time.Minute))
	}
	return d
}

func permanent(err error) bool {
	var p interface{ Permanent() bool }
	return errors.As(err, &p) && p.Permanent()
}

// Delivery is how a sink fared.
type Delivery struct {
	Sink     string `json:"sink"`
	Written  int    `json:"written"`            // records that reached their place
	Dropped  int    `json:"dropped,omitempty"`  // records that never will
	Failures int    `json:"failures,omitempty"` // attempts that failed
	GaveUp   bool   `json:"gave_up,omitempty"`  // the sink refused for good, or the run ended first
	Error    string `json:"error,omitempty"`    // the last failure, "" once the sink works again
	Where    string `json:"where,omitempty"`    // where people find what was written: a path or an address
}

// pace is how often a lane flushes.
type pace struct {
	every time.Duration // at most so often, except at the end; 0: at once
	idle  time.Duration // a sign of life after so long without records; 0: none
}

// maxPictures bounds the memory of a queue, as one sheet of samples can take megabytes.
const maxPictures = 16

// lane is the way to one sink: a bounded queue and a goroutine that empties it.
//
// When the queue is full, or has as many pictures as it may, the oldest picture in it is dropped, or if there is none the oldest record that is not the
// start or the end of a run: the newest numbers are worth most, and training never waits.
type lane struct {
	name  string
	sink  Sink
	retry Retry
	pace  pace
	limit int

	mu    sync.Mutex
	queue []Record
	stat  Delivery
	told  bool          // the user knows that the sink fails
	news  []event.Event // what the user should know next

	wake    chan struct{} // holds a token when the queue is not empty
	closing chan struct{} // closed when no more records come
	end     End           // set before closing is closed
	stop    context.CancelFunc
	done    chan struct{}
}

func newLane(name string, s Sink, r Retry, p pace, limit int) *lane {
	ctx, stop := context.WithCancel(context.Background())
	l := &lane{name: name, sink: s, retry: r.filled(), pace: p, limit: limit, stat: Delivery{Sink: name},
		wake: make(chan struct{}, 1), closing: make(chan struct{}), stop: stop, done: make(chan struct{})}
	go l.run(ctx)
	return l
}

// put queues a record without waiting. It must not be called after close.
func (l *lane) put(r Record) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.stat.GaveUp {
		l.stat.Dropped++
		return
	}
	pictures := 0
	for i := range l.queue {
		if l.queue[i].Picture != nil {
			pictures++
		}
	}
	if len(l.queue) >= l.limit || r.Picture != nil && pictures >= maxPictures {
		i := victim(l.queue)
		l.queue = append(l.queue[:i], l.queue[i+1:]...)
		l.stat.Dropped++
	}
	l.queue = append(l.queue, r)
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

// victim is the index of the record that a full queue loses.
func victim(q []Record) int {
	first := -1
	for i, r := range q {
		if r.Picture != nil {
			return i
		}
		if first < 0 && r.Kind != event.Started && r.Kind != event.Done && r.Kind != event.Failed {
			first = i
		}
	}
	return max(first, 0)
}

// close ends the lane: what is queued is still brought to its place, as long as ctx lasts.
func (l *lane) close(ctx context.Context, end End) {
	l.end = end
	close(l.closing)
	select {
	case <-l.done:
	case <-ctx.Done():
		l.stop()
		<-l.done
	}
}

// delivery says how the sink fared so far, and what the user should know and does not yet.
func (l *lane) delivery() (Delivery, []event.Event) {
	l.mu.Lock()
	defer l.mu.Unlock()
	news := l.news
	l.news = nil
	return l.stat, news
}

func (l *lane) run(ctx context.Context) {
	defer close(l.done)
	defer l.stop()
	for {
		last := false
		select {
		case <-l.wake:
		case <-l.closing:
			last = true
		case <-l.idle():
		case <-ctx.Done():
			l.abandon(0)
			return
		}
		n := l.take()
		if (n > 0 || !last) && !l.try(ctx, n, l.sink.Flush) {
			return
		}
		if last {
			l.try(ctx, 0, func(ctx context.Context) error { return l.sink.Close(ctx, l.end) })
			return
		}
		if l.pace.every > 0 {
			l.sleep(ctx, l.pace.every, l.closing)
		}
	}
}

// idle fires when it is time for a sign of life, never if the lane gives none.
func (l *lane) idle() <-chan time.Time {
	if l.pace.idle <= 0 {
		return nil
	}
	return time.After(l.pace.idle)
}

// take moves the queue to the sink and says how many records it was.
func (l *lane) take() int {
	l.mu.Lock()
	batch := l.queue
	l.queue = nil
	l.mu.Unlock()
	for _, r := range batch {
		l.sink.Take(r)
	}
	return len(batch)
}

// try calls do until it succeeds, refuses for good, or ctx is over. The end of the run cuts the pause that it falls
// into short.
func (l *lane) try(ctx context.Context, n int, do func(context.Context) error) bool {
	closing := l.closing
	for failures := 1; ; failures++ {
		err := do(ctx)
		if err == nil {
			l.succeeded(n)
			return true
		}
		l.failed(failures, err)
		if permanent(err) || ctx.Err() != nil {
			l.abandon(n)
			return false
		}
		if !l.sleep(ctx, l.retry.pause(failures, err), closing) {
			closing = nil
		}
	}
}

// sleep waits for d, until cut is closed (then it returns false), or until ctx is over.
func (l *lane) sleep(ctx context.Context, d time.Duration, cut <-chan struct{}) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	case <-cut:
		return false
	}
	return true
}

func (l *lane) succeeded(n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.stat.Written += n
	l.stat.Error = ""
	if w, ok := l.sink.(interface{ Where() string }); ok && l.stat.Where != w.Where() {
		l.stat.Where = w.Where()
		l.news = append(l.news, event.Event{Kind: event.Notice, Path: l.stat.Where, Message: l.name + " writes to " + l.stat.Where})
	}
	if l.told {
		l.told = false
		l.news = append(l.news, event.Event{Kind: event.Notice, Values: map[string]float64{"dropped": float64(l.stat.Dropped)},
			Message: l.name + " takes the run's numbers again"})
	}
}

// failed counts a failure and tells of it once: at once if it is for good, else when it has lasted.
func (l *lane) failed(inRow int, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.stat.Failures++
	l.stat.Error = err.Error()
	final := permanent(err)
	if l.told || !final && inRow < l.retry.Attempts {
		return
	}
	l.told = true
	e := event.Event{Kind: event.Warning, Message: l.name + " does not take the run's numbers: " + err.Error(),
		Hint: "the run goes on and its numbers stay in its folder; " + l.name + " is tried again"}
	if final {
		e.Hint = "the run goes on and its numbers stay in its folder; " + l.name + " is not tried again"
	}
	l.news = append(l.news, e)
}

// abandon gives up what is queued, and n records more.
func (l *lane) abandon(n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.stat.Dropped += n + len(l.queue)
	l.queue = nil
	l.stat.GaveUp = true
}
