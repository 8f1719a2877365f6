package cpu

import (
	"runtime"
	"sync/atomic"
)

// winogradBytes is how much memory of a backend Winograd's forms of weights may take, four times their originals: what does not
// fit is derived anew in every run, to the same bytes. Time per byte is the same for all, so that the first ones are kept.
const winogradBytes = 256 << 20

// budget counts bytes of what is kept. It is safe for concurrent use.
type budget struct{ used atomic.Int64 }

// reserve reports whether n more bytes fit below most. They count until x is collected.
func (b *budget) reserve(x *Buffer, n, most int) bool {
	if b.used.Add(int64(n)) > int64(most) {
		b.used.Add(-int64(n))
		return false
	}
	runtime.AddCleanup(x, func(n int64) { b.used.Add(-n) }, int64(n))
	return true
}

// packWithin is pack for n bytes that are kept only if they fit the backend's budget.
func (x *Buffer) packWithin(key string, n int, make func() []float32) []float32 {
	return x.pack(key, func() []float32 {
		if !x.backend.memory.winograd.reserve(x, n, winogradBytes) {
			return nil
		}
		return make()
	})
}

// pack returns what make derives from the buffer, kept under a key from the second request on: the first may be the
// only one, as for weights that a training replaces in every step. It returns nil when the caller should derive it itself.
func (x *Buffer) pack(key string, make func() []float32) []float32 {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.dead {
		return nil
	}
	p, seen := x.packs[key]
	if p != nil {
		return p
	}
	if x.packs == nil {
		x.packs = map[string][]float32{}
	}
	if !seen {
		x.packs[key] = nil
		return nil
	}
	p = make()
	x.packs[key] = p
	return p
}
