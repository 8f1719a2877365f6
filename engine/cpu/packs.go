package cpu

import (
	"runtime"
	"sync/atomic"
)

// What is kept of the forms in which kernels want weights, in bytes. Winograd's are four times their originals; what does not
// fit is derived anew in every run, to the same bytes. Time per byte is the same for all, so that the first ones are kept.
const (
	winogradBytes = 256 << 20
	lowPackBytes  = 384 << 20 // of all packs, where memory is low; none of Winograd's then
)

// budget counts bytes of what is kept. It is safe for concurrent use.
type budget struct {
	used atomic.Int64
	most int64
}

// reserve reports whether n more bytes fit. They count until they are returned.
func (b *budget) reserve(n int) bool {
	if b.used.Add(int64(n)) > b.most {
		b.used.Add(-int64(n))
		return false
	}
	return true
}

// pack is a form of a weight that kernels want.
type pack struct {
	mem      []byte // nil when it was asked for once, or does not fit
	winograd bool
	unpack   func(dst, packed []float32) // makes the weight again, exactly; nil where that cannot be
}

// packing says how to make a pack.
type packing struct {
	key      string
	bytes    int
	winograd bool
	make     func(dst []float32)
	unpack   func(dst, packed []float32)
}

// holdings is the memory of a buffer. It is apart from it so that it can be given back when the buffer is gone.
type holdings struct {
	memory *recycler
	mem    []byte
	packs  map[string]*pack
}

func (h *holdings) release() {
	h.memory.put(h.mem)
	for _, p := range h.packs {
		h.drop(p)
	}
	h.mem, h.packs = nil, nil
}

func (h *holdings) drop(p *pack) {
	if p.mem == nil {
		return
	}
	h.memory.packs.used.Add(-int64(len(p.mem)))
	if p.winograd {
		h.memory.winograd.used.Add(-int64(len(p.mem)))
	}
	free(p.mem)
	p.mem = nil
}

// room reports whether a pack of n bytes may be kept, and counts it if so.
func (r *recycler) room(n int, winograd bool) bool {
	if winograd && !r.winograd.reserve(n) {
		return false
	}
	if !r.packs.reserve(n) {
		if winograd {
			r.winograd.used.Add(-int64(n))
		}
		return false
	}
	return true
}

// pack returns a form of the buffer, kept from the second request on if it fits: the first may be the only one, as for weights
// that a training replaces in every step. It returns nil when the caller should derive it itself.
func (x *Buffer) pack(o packing) []float32 {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.dead {
		return nil
	}
	p, seen := x.packs[o.key]
	if !seen {
		if x.packs == nil {
			x.packs = map[string]*pack{}
		}
		x.packs[o.key] = &pack{winograd: o.winograd}
		return nil
	}
	if p.mem == nil {
		if !x.backend.memory.room(o.bytes, o.winograd) {
			return nil
		}
		mem := reserve(o.bytes)
		o.make(view[float32](mem))
		p.mem, p.unpack = mem, o.unpack
		x.holds()
		x.slim(1)
	}
	return view[float32](p.mem)
}

// holds makes sure that the buffer's memory is given back when the buffer is gone.
func (x *Buffer) holds() {
	if x.held == nil {
		x.held = &holdings{memory: &x.backend.memory}
		runtime.AddCleanup(x, (*holdings).release, x.held)
	}
	x.held.packs = x.packs
}

// use returns the buffer's memory for a run, which must call unuse. If it may be nil, a buffer that lives in its packs alone stays
// so; its weights are there again after restore.
func (x *Buffer) use(mayBeNil bool) []byte {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.users++; !mayBeNil {
		x.pinned = true
		x.restore()
	}
	return x.mem
}

// unuse ends a use.
func (x *Buffer) unuse() {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.users--
	x.slim(0)
}

// slim gives the buffer's own memory back when no more than some runs use it, all runs that ever used it read packed forms alone, and each
// of these is kept: the packs hold its numbers. The one run that makes the last pack may go on, as it reads nothing else.
func (x *Buffer) slim(users int) {
	if x.users > users || x.pinned || x.dead || len(x.mem) < mapFrom || x.held == nil || x.held.mem == nil {
		return
	}
	whole := false
	for _, p := range x.packs {
		if p.mem == nil {
			return
		}
		whole = whole || p.unpack != nil
	}
	if whole {
		free(x.mem)
		x.mem, x.held.mem = nil, nil
	}
}

// plain returns the memory of a buffer in use.
func (x *Buffer) plain() []byte {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.restore()
	return x.mem
}

// restore makes the buffer's own memory again out of a pack.
func (x *Buffer) restore() {
	if x.mem != nil {
		return
	}
	for _, p := range x.packs {
		if p.mem != nil && p.unpack != nil {
			mem := x.backend.memory.get(int(x.shape.ByteSize()))
			p.unpack(view[float32](mem), view[float32](p.mem))
			x.mem, x.held.mem = mem, mem
			return
		}
	}
}
