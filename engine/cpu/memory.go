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

// reserve returns n bytes, aligned, that free must get back: large ones are not the Go runtime's. The slice that free gets must be
// the whole of it.
func reserve(n int) []byte {
	if n < mapFrom {
		return allocate(n)
	}
	return mapPages(n)[:n]
}

// free gives back what reserve returned. Nobody may read it any more.
func free(b []byte) {
	if len(b) >= mapFrom {
		unmapPages(b)
	}
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

// recycler keeps memory that was given back, by size, because fresh memory costs page faults and zeroing. It keeps at most
// keep bytes, those of the sizes that were given back last.
type recycler struct {
	mu    sync.Mutex
	sizes map[int][][]byte
	order []int // sizes, that which was given back last at the end
	held  int
	keep  int

	closed          bool // dropped: nothing is kept any more
	arenas          arenas
	packs, winograd budget // of all packs, of Winograd's
}

// What a recycler keeps, in bytes: enough for the largest convolution's weights in Winograd's form, on which the other sizes
// of a painting come on top.
const (
	keepBytes    = 192 << 20
	keepLowBytes = 64 << 20
)

// get returns n bytes with any content.
func (r *recycler) get(n int) []byte {
	r.mu.Lock()
	list := r.sizes[n]
	if k := len(list); k > 0 {
		b := list[k-1]
		r.sizes[n] = list[:k-1]
		r.held -= n
		r.mu.Unlock()
		return b
	}
	r.mu.Unlock()
	return reserve(n)
}

// put gives memory back that nobody uses any more.
func (r *recycler) put(b []byte) {
	n := len(b)
	if n == 0 {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if n > r.keep || r.closed {
		free(b)
		return
	}
	if r.sizes == nil {
		r.sizes = map[int][][]byte{}
	}
	if i := slices.Index(r.order, n); i >= 0 {
		r.order = slices.Delete(r.order, i, i+1)
	}
	r.order = append(r.order, n)
	for r.held+n > r.keep && len(r.order) > 0 {
		old := r.order[0]
		list := r.sizes[old]
		if len(list) == 0 {
			delete(r.sizes, old)
			r.order = r.order[1:]
			continue
		}
		free(list[len(list)-1])
		r.sizes[old] = list[:len(list)-1]
		r.held -= old
	}
	if !slices.Contains(r.order, n) {
		r.order = append(r.order, n)
	}
	r.sizes[n] = append(r.sizes[n], b)
	r.held += n
}

func (r *recycler) drop() {
	r.mu.Lock()
	for _, list := range r.sizes {
		for _, b := range list {
			free(b)
		}
	}
	r.sizes, r.order, r.held, r.closed = nil, nil, 0, true
	r.mu.Unlock()
	r.arenas.drop()
}

// arenas keeps the arenas that are not in use, for all executables of a backend: most run one after the other, and then
// one arena, as large as the largest needs, serves them all. Runs at the same time have an arena each.
type arenas struct {
	mu     sync.Mutex
	free   [][]byte
	closed bool
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
	free(m)
	return reserve(n)
}

// give takes back what take returned.
func (a *arenas) give(m []byte) {
	if len(m) == 0 {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.closed {
		free(m)
		return
	}
	a.free = append(a.free, m)
}

func (a *arenas) drop() {
	a.mu.Lock()
	for _, m := range a.free {
		free(m)
	}
	a.free, a.closed = nil, true
	a.mu.Unlock()
}
