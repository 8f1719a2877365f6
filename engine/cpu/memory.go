package cpu

import (
	"slices"
	"sync"
	"unsafe"
)

// alignment of every value in memory, in bytes: a cache line and a vector.
const alignment = 64

func alignUp(n int) int { return (n + alignment - 1) &^ (alignment - 1) }

// allocate returns n zeroed bytes, aligned.
func allocate(n int) []byte {
	b := make([]byte, n+alignment)
	skip := int(-uintptr(unsafe.Pointer(unsafe.SliceData(b))) & (alignment - 1))
	return b[skip : skip+n : skip+n]
}

// view reinterprets memory as elements of type T. The memory must be aligned for T.
func view[T any](mem []byte) []T {
	var zero T
	size := int(unsafe.Sizeof(zero))
	if len(mem) < size {
		return nil
	}
	return unsafe.Slice((*T)(unsafe.Pointer(unsafe.SliceData(mem))), len(mem)/size)
}

// bytesOf is the memory of a slice.
func bytesOf[T any](s []T) []byte {
	if len(s) == 0 {
		return nil
	}
	var zero T
	return unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(s))), len(s)*int(unsafe.Sizeof(zero)))
}

// recycler keeps memory that was given back, by size, because fresh memory costs page faults and zeroing. What it keeps
// is bounded by the most that was in use at a time, roughly: it drops everything when it holds more than keepBytes.
type recycler struct {
	mu   sync.Mutex
	free map[int][][]byte
	held int

	arenas   arenas
	winograd budget // of packs
}

const keepBytes = 256 << 20

// get returns n bytes with any content.
func (r *recycler) get(n int) []byte {
	r.mu.Lock()
	list := r.free[n]
	if k := len(list); k > 0 {
		b := list[k-1]
		r.free[n] = list[:k-1]
		r.held -= n
		r.mu.Unlock()
		return b
	}
	r.mu.Unlock()
	return allocate(n)
}

// put gives memory back that nobody uses any more.
func (r *recycler) put(b []byte) {
	if len(b) == 0 {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.free == nil || r.held+len(b) > keepBytes {
		r.free, r.held = map[int][][]byte{}, 0
		if len(b) > keepBytes {
			return
		}
	}
	r.free[len(b)] = append(r.free[len(b)], b)
	r.held += len(b)
}

func (r *recycler) drop() {
	r.mu.Lock()
	r.free, r.held = nil, 0
	r.mu.Unlock()
	r.arenas.drop()
}

// arenas keeps the arenas that are not in use, for all executables of a backend: most run one after the other, and then
// one arena, as large as the largest needs, serves them all. Runs at the same time have an arena each.
type arenas struct {
	mu   sync.Mutex
	free [][]byte
}

// take returns at least n bytes with any content: the smallest arena that is large enough. When there is none, the largest one
// makes place for a new one.
func (a *arenas) take(n int) []byte {
	a.mu.Lock()
	best, largest := -1, -1
	for i, m := range a.free {
		if len(m) >= n && (best < 0 || len(m) < len(a.free[best])) {
			best = i
		}
		if largest < 0 || len(m) > len(a.free[largest]) {
			largest = i
		}
	}
	out := best
	if out < 0 {
		out = largest
	}
	var m []byte
	if out >= 0 {
		m = a.free[out]
		a.free = slices.Delete(a.free, out, out+1)
	}
	a.mu.Unlock()
	if best >= 0 {
		return m
	}
	return allocate(n)
}

// give takes back what take returned.
func (a *arenas) give(m []byte) {
	if len(m) == 0 {
		return
	}
	a.mu.Lock()
	a.free = append(a.free, m)
	a.mu.Unlock()
}

func (a *arenas) drop() {
	a.mu.Lock()
	a.free = nil
	a.mu.Unlock()
}
