package pool

import (
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

func TestCoversEveryIndexOnce(t *testing.T) {
	for _, threads := range []int{1, 2, 3, 7} {
		p := New(threads)
		for _, n := range []int{0, 1, 2, 7, 64, 1000} {
			for _, grain := range []int{0, 1, 3, 64, 5000} {
				hits := make([]atomic.Int32, n)
				p.Run(n, grain, func(lo, hi int) {
					if grain > 0 && (lo%grain != 0 || hi-lo > grain && n > grain && threads > 1) {
						t.Errorf("range [%d,%d) of grain %d", lo, hi, grain)
					}
					for i := lo; i < hi; i++ {
						hits[i].Add(1)
					}
				})
				for i := range hits {
					if h := hits[i].Load(); h != 1 {
						t.Fatalf("threads %d n %d grain %d: index %d ran %d times", threads, n, grain, i, h)
					}
				}
			}
		}
		p.Close()
	}
}

func TestManySmallLoopsAndPauses(t *testing.T) {
	p := New(3)
	defer p.Close()
	var sum atomic.Int64
	for i := range 5000 {
		p.Run(10, 1, func(lo, hi int) { sum.Add(int64(lo)) })
		if i%1000 == 0 {
			time.Sleep(2 * time.Millisecond) // long enough to park
		}
	}
	if got := sum.Load(); got != 5000*45 {
		t.Fatalf("sum %d", got)
	}
}

func TestWorkerNumbersDoNotOverlap(t *testing.T) {
	p := New(4)
	defer p.Close()
	var inside [4]atomic.Int32
	p.RunIndexed(2000, 1, func(w, lo, hi int) {
		if inside[w].Add(1) != 1 {
			t.Errorf("worker %d is in two calls at once", w)
		}
		runtime.Gosched()
		inside[w].Add(-1)
	})
}

func TestConcurrentAndNestedRun(t *testing.T) {
	p := New(3)
	defer p.Close()
	var wg sync.WaitGroup
	var sum atomic.Int64
	for range 4 {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for range 200 {
				p.Run(8, 1, func(lo, hi int) { // all at once if the workers are busy
					for range hi - lo {
						p.Run(4, 1, func(a, b int) { sum.Add(int64(b - a)) })
					}
				})
			}
		}()
	}
	wg.Wait()
	if got := sum.Load(); got != 4*200*8*4 {
		t.Fatalf("sum %d", got)
	}
}

func TestPanicReachesTheCaller(t *testing.T) {
	p := New(3)
	defer p.Close()
	for i := range 50 {
		func() {
			defer func() {
				if v := recover(); v != "boom" {
					t.Fatalf("recovered %v", v)
				}
			}()
			p.Run(100, 1, func(lo, hi int) {
				if lo == i {
					panic("boom")
				}
			})
			t.Fatal("Run returned after a panic")
		}()
	}
	var n atomic.Int64
	p.Run(100, 1, func(lo, hi int) { n.Add(int64(hi - lo)) })
	if n.Load() != 100 {
		t.Fatalf("the pool is unusable after a panic: %d of 100", n.Load())
	}
}

func TestCloseTwiceThenRun(t *testing.T) {
	p := New(2)
	p.Run(10, 1, func(lo, hi int) {})
	p.Close()
	p.Close()
	n := 0
	p.Run(10, 1, func(lo, hi int) { n += hi - lo })
	if n != 10 {
		t.Fatalf("a closed pool ran %d of 10", n)
	}
}

func BenchmarkEmptyLoop(b *testing.B) {
	p := New(2)
	defer p.Close()
	for b.Loop() {
		p.Run(2, 1, func(lo, hi int) {})
	}
}
