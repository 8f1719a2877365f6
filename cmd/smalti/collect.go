package main

import (
	"runtime"
	"runtime/debug"
	"runtime/metrics"
)

// slackBytes is about how much garbage may lie around before it is collected, once the memory in use is more than that.
const slackBytes = 256 << 20

// boundGarbage keeps the garbage between collections below slackBytes, or the tenth part of the memory in use. The runtime's own
// rule allows as much garbage as there is memory in use, which is gigabytes of weights here; they hold no pointers, so that
// collecting more often costs little. Whoever sets $GOGC has decided otherwise.
func boundGarbage(env func(string) string) {
	if env("GOGC") != "" {
		return
	}
	type sentinel struct{ self *sentinel } // has a pointer, so that it is an object of its own
	s := &sentinel{}
	old := 100
	var again func(*sentinel)
	again = func(s *sentinel) { // after each collection
		if p := garbagePercent(liveBytes()); p != old {
			old = p
			debug.SetGCPercent(p)
		}
		runtime.SetFinalizer(s, again)
	}
	runtime.SetFinalizer(s, again)
}

// garbagePercent is the percentage of live bytes that may be garbage.
func garbagePercent(live uint64) int {
	if live <= slackBytes {
		return 100
	}
	return max(10, int(100*slackBytes/live))
}

// liveBytes is what the last collection found in use.
func liveBytes() uint64 {
	s := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	metrics.Read(s)
	if s[0].Value.Kind() != metrics.KindUint64 {
		return 0
	}
	return s[0].Value.Uint64()
}
