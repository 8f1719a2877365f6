// Package plan places values in one piece of memory so that values which are not needed at the same time share it.
// Start with [Place].
package plan

import "slices"

// Value is a piece of memory that is written first at step Def and read last at step Last.
type Value struct {
	Bytes     int
	Def, Last int
	Share     int // index of a value that ends at this one's Def and whose place it takes over, or -1
}

// Place returns the offset of each value and the size of the memory. Offsets and sizes are multiples of align. A value
// that takes over a place must not be larger than its predecessor.
func Place(values []Value, align int) (offsets []int, size int) {
	offsets = make([]int, len(values))
	order := make([]int, len(values))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return values[a].Def - values[b].Def })

	// The last step of a place counts for the whole chain of values that take it over.
	next := make([]int, len(values))
	for i := range next {
		next[i] = -1
	}
	for i, v := range values {
		if v.Share >= 0 {
			next[v.Share] = i
		}
	}
	last := func(i int) int {
		l := values[i].Last
		for next[i] >= 0 {
			i = next[i]
			l = max(l, values[i].Last)
		}
		return l
	}

	var free []span // sorted by offset, neighbours joined
	type busy struct {
		span
		last int
	}
	var held []busy
	step := -1
	for _, i := range order {
		v := values[i]
		if v.Share >= 0 {
			offsets[i] = offsets[v.Share]
			continue
		}
		if v.Def > step {
			step = v.Def
			held = slices.DeleteFunc(held, func(b busy) bool {
				if b.last < step {
					free = release(free, b.span)
					return true
				}
				return false
			})
		}
		n := (max(v.Bytes, 1) + align - 1) / align * align
		var s span
		s, free, size = take(free, n, size)
		offsets[i] = s.off
		held = append(held, busy{s, last(i)})
	}
	return offsets, size
}

type span struct{ off, n int }

// take finds the smallest free span of at least n bytes, or grows the memory.
func take(free []span, n, size int) (span, []span, int) {
	best := -1
	for i, f := range free {
		if f.n >= n && (best < 0 || f.n < free[best].n) {
			best = i
		}
	}
	if best >= 0 {
		s := span{free[best].off, n}
		free[best].off += n
		free[best].n -= n
		if free[best].n == 0 {
			free = slices.Delete(free, best, best+1)
		}
		return s, free, size
	}
	// The last span may be free and reach the end.
	if k := len(free); k > 0 && free[k-1].off+free[k-1].n == size {
		off := free[k-1].off
		return span{off, n}, free[:k-1], off + n
	}
	return span{size, n}, free, size + n
}

func release(free []span, s span) []span {
	i, _ := slices.BinarySearchFunc(free, s.off, func(f span, off int) int { return f.off - off })
	free = slices.Insert(free, i, s)
	if i+1 < len(free) && free[i].off+free[i].n == free[i+1].off {
		free[i].n += free[i+1].n
		free = slices.Delete(free, i+1, i+2)
	}
	if i > 0 && free[i-1].off+free[i-1].n == free[i].off {
		free[i-1].n += free[i].n
		free = slices.Delete(free, i, i+1)
	}
	return free
}
