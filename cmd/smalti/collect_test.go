package main

import (
	"runtime"
	"runtime/debug"
	"testing"
	"time"
)

func TestGarbagePercent(t *testing.T) {
	for _, c := range []struct {
		live uint64
		want int
	}{{0, 100}, {slackBytes, 100}, {2 * slackBytes, 50}, {4 * slackBytes, 25}, {1 << 40, 10}} {
		if got := garbagePercent(c.live); got != c.want {
			t.Errorf("%d bytes in use: %d %%, want %d %%", c.live, got, c.want)
		}
	}
}

// TestBoundGarbage holds memory in use, collects, and looks at the percentage that the runtime has then; $GOGC wins.
func TestBoundGarbage(t *testing.T) {
	old := debug.SetGCPercent(100)
	defer debug.SetGCPercent(old)
	percent := func() int {
		p := debug.SetGCPercent(100)
		debug.SetGCPercent(p)
		return p
	}
	held := make([]byte, 2*slackBytes) // never touched, so that it is no memory of the machine's
	boundGarbage(func(string) string { return "100" })
	runtime.GC()
	time.Sleep(20 * time.Millisecond)
	if p := percent(); p != 100 {
		t.Errorf("%d %% although $GOGC is set", p)
	}
	boundGarbage(func(string) string { return "" })
	for range 200 {
		runtime.GC()
		time.Sleep(10 * time.Millisecond)
		if p := percent(); p > 10 && p <= 50 {
			runtime.KeepAlive(held)
			return
		}
	}
	runtime.KeepAlive(held)
	t.Errorf("still %d %% with %d bytes in use", percent(), len(held))
}
