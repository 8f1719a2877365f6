package track

import (
	"context"
	"errors"
	"fmt"
	"image"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/smalti/smalti/event"
)

// flaky is a Sink in memory that fails as it is told.
type flaky struct {
	fail func(attempt int) error // by number of attempts so far, from 1

	mu      sync.Mutex // only so that tests may look while the lane works
	tries   int
	at      []time.Time // of attempts
	pending []Record
	got     []Record
	signs   int // flushes without records
	closed  *End
}

func (f *flaky) Take(r Record) { f.pending = append(f.pending, r) }

func (f *flaky) Flush(ctx context.Context) error {
	f.mu.Lock()
	f.tries++
	f.at = append(f.at, time.Now())
	tries := f.tries
	f.mu.Unlock()
	if f.fail != nil {
		if err := f.fail(tries); err != nil {
			return err
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.pending) == 0 {
		f.signs++
	}
	f.got, f.pending = append(f.got, f.pending...), nil
	return ctx.Err()
}

// counts are attempts and signs of life so far.
func (f *flaky) counts() (tries, signs int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.tries, f.signs
}

func (f *flaky) Close(_ context.Context, e End) error { f.closed = &e; return nil }

type refusal struct {
	final bool
	after time.Duration
}

func (r refusal) Error() string             { return "refused" }
func (r refusal) Permanent() bool           { return r.final }
func (r refusal) RetryAfter() time.Duration { return r.after }

func step(n int) Record { return Record{Event: event.Event{Kind: event.Step, Step: n}} }

func steps(rs []Record) (out []int) {
	for _, r := range rs {
		out = append(out, r.Step)
	}
	return out
}

func TestLaneRetriesAndTellsOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &flaky{fail: func(n int) error {
			if n <= 8 {
				return fmt.Errorf("wire: %w", refusal{})
			}
			return nil
		}}
		l := newLane("sink", s, Retry{First: time.Second, Longest: 4 * time.Second, Attempts: 3}, pace{}, 10)
		begin := time.Now()
		l.put(step(1))
		synctest.Wait()
		if _, news := l.delivery(); len(news) != 0 {
			t.Fatalf("told after one failure: %v", news)
		}
		time.Sleep(10 * time.Second) // attempts at 0, 1, 3, 7 s
		synctest.Wait()
		d, news := l.delivery()
		if len(news) != 1 || news[0].Kind != event.Warning || !strings.Contains(news[0].Message, "sink does not take") || d.Failures != 4 || d.Error == "" {
			t.Fatalf("%+v, %v", d, news)
		}
		l.put(step(2))
		time.Sleep(time.Minute)
		synctest.Wait()
		d, news = l.delivery()
		if len(news) != 1 || news[0].Kind != event.Notice || d.Written != 2 || d.Dropped != 0 || d.Error != "" || d.Failures != 8 {
			t.Fatalf("%+v, %v", d, news)
		}
		var pauses []time.Duration
		for _, a := range s.at[:9] {
			pauses = append(pauses, a.Sub(begin)/time.Second)
		}
		if want := []time.Duration{0, 1, 3, 7, 11, 15, 19, 23, 27}; !slices.Equal(pauses, want) {
			t.Fatalf("attempts at %v s, want %v", pauses, want)
		}
		l.close(t.Context(), End{Status: Done})
		if !slices.Equal(steps(s.got), []int{1, 2}) || s.closed == nil || s.closed.Status != Done {
			t.Fatalf("got %v, closed %v", steps(s.got), s.closed)
		}
	})
}

func TestLaneWaitsAsLongAsTheServerAsks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &flaky{fail: func(n int) error {
			if n == 1 {
				return refusal{after: 40 * time.Second}
			}
			return nil
		}}
		l := newLane("sink", s, Retry{}, pace{}, 10)
		l.put(step(1))
		time.Sleep(39 * time.Second)
		synctest.Wait()
		if n, _ := s.counts(); n != 1 {
			t.Fatalf("%d attempts before the time", n)
		}
		time.Sleep(2 * time.Second)
		l.close(t.Context(), End{})
		if s.at[1].Sub(s.at[0]) != 40*time.Second || len(s.got) != 1 {
			t.Fatalf("attempts at %v, got %v", s.at, s.got)
		}
	})
}

func TestLaneGivesUpWhereAskingIsVain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &flaky{fail: func(int) error { return refusal{final: true} }}
		l := newLane("sink", s, Retry{}, pace{}, 10)
		l.put(step(1))
		synctest.Wait()
		l.put(step(2))
		l.close(t.Context(), End{})
		d, news := l.delivery()
		if s.tries != 1 || !d.GaveUp || d.Dropped != 2 || d.Written != 0 || len(news) != 1 || !strings.Contains(news[0].Hint, "not tried again") {
			t.Fatalf("%d attempts, %+v, %v", s.tries, d, news)
		}
	})
}

func TestLaneDropsTheOldestAndKeepsTheStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gate := make(chan struct{})
		s := &flaky{fail: func(n int) error {
			if n == 1 {
				<-gate
			}
			return nil
		}}
		l := newLane("sink", s, Retry{}, pace{}, 4)
		l.put(step(0))
		synctest.Wait() // the sink now hangs
		l.put(Record{Event: event.Event{Kind: event.Started, Step: 100}})
		img := image.NewGray(image.Rect(0, 0, 1, 1))
		l.put(step(1))
		l.put(Record{Event: event.Event{Kind: event.Samples, Step: 2, Picture: img}})
		for n := 3; n <= 6; n++ {
			l.put(step(n))
		}
		close(gate)
		l.close(t.Context(), End{})
		d, _ := l.delivery()
		if want := []int{0, 100, 4, 5, 6}; !slices.Equal(steps(s.got), want) || d.Dropped != 3 || d.Written != 5 {
			t.Fatalf("got %v, want %v; %+v", steps(s.got), want, d)
		}
	})
}

func TestLaneBoundsPictures(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gate := make(chan struct{})
		s := &flaky{fail: func(int) error { <-gate; return nil }}
		l := newLane("sink", s, Retry{}, pace{}, 1000)
		l.put(step(0))
		synctest.Wait()
		for n := range 3 * maxPictures {
			l.put(Record{Event: event.Event{Kind: event.Samples, Step: n + 1, Picture: image.NewGray(image.Rect(0, 0, 1, 1))}})
		}
		close(gate)
		l.close(t.Context(), End{})
		if n := len(s.got); n != 1+maxPictures || s.got[n-1].Step != 3*maxPictures {
			t.Fatalf("%d records, the last of step %d", n, s.got[n-1].Step)
		}
	})
}

func TestLaneKeepsItsPaceAndShowsLife(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &flaky{}
		l := newLane("sink", s, Retry{}, pace{every: 15 * time.Second, idle: 30 * time.Second}, 1000)
		for n := range 61 { // one a second
			l.put(step(n))
			time.Sleep(time.Second)
		}
		synctest.Wait()
		if n, _ := s.counts(); n < 4 || n > 6 {
			t.Fatalf("%d flushes in a minute", n)
		}
		time.Sleep(3 * time.Minute)
		synctest.Wait()
		if _, n := s.counts(); n < 3 || n > 6 {
			t.Fatalf("%d signs of life in three minutes", n)
		}
		before := time.Now()
		l.put(step(99))
		l.close(t.Context(), End{})
		if d := time.Since(before); d > time.Second || s.got[len(s.got)-1].Step != 99 {
			t.Fatalf("the end took %v", d)
		}
	})
}

func TestCloseDoesNotWaitForever(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &flaky{fail: func(int) error { return errors.New("down") }}
		l := newLane("sink", s, Retry{}, pace{}, 10)
		l.put(step(1))
		time.Sleep(time.Minute)
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		before := time.Now()
		tries, _ := s.counts()
		l.close(ctx, End{})
		if d := time.Since(before); d > 21*time.Second || s.tries <= tries {
			t.Fatalf("closing took %v and %d attempts", d, s.tries-tries)
		}
		if d, _ := l.delivery(); !d.GaveUp || d.Dropped != 1 {
			t.Fatalf("%+v", d)
		}
	})
}
