package cpu

// nest is a loop nest over several arrays at once: dims are its axes from the outermost, strides[k] how far array k
// moves along each axis, in elements. Strides may be zero (broadcast) or negative (reversal).
type nest struct {
	dims    []int
	strides [][]int
	start   []int // offset of the first element of each array
}

// newNest drops axes of length one and joins neighbours that all arrays run through in one go.
func newNest(dims []int, strides ...[]int) *nest {
	n := &nest{strides: make([][]int, len(strides)), start: make([]int, len(strides))}
	for i, d := range dims {
		if d == 1 {
			continue
		}
		if k := len(n.dims) - 1; k >= 0 && n.joins(strides, i, d) {
			n.dims[k] *= d
			for j := range strides {
				n.strides[j][k] = strides[j][i]
			}
			continue
		}
		n.dims = append(n.dims, d)
		for j := range strides {
			n.strides[j] = append(n.strides[j], strides[j][i])
		}
	}
	if len(n.dims) == 0 {
		n.dims = []int{1}
		for j := range strides {
			n.strides[j] = []int{0}
		}
	}
	return n
}

// joins reports whether axis i, of length d, continues the last axis of the nest in every array.
func (n *nest) joins(strides [][]int, i, d int) bool {
	k := len(n.dims) - 1
	for j := range strides {
		if n.strides[j][k] != d*strides[j][i] {
			return false
		}
	}
	return true
}

// inner is the length of the innermost axis, rows how often it runs.
func (n *nest) inner() int { return n.dims[len(n.dims)-1] }

func (n *nest) rows() int {
	r := 1
	for _, d := range n.dims[:len(n.dims)-1] {
		r *= d
	}
	return r
}

// stride is the step of array k along the innermost axis.
func (n *nest) stride(k int) int { return n.strides[k][len(n.dims)-1] }

// size is the number of elements that the nest visits.
func (n *nest) size() int { return n.rows() * n.inner() }

// run calls f for rows lo <= r < hi with the offset of each array at the row's first element.
func (n *nest) run(lo, hi int, f func(at []int)) {
	if lo >= hi || n.inner() == 0 {
		return
	}
	outer := len(n.dims) - 1
	var indexBuf, atBuf [8]int
	index, at := indexBuf[:], atBuf[:]
	if outer > len(index) {
		index = make([]int, outer)
	}
	if len(n.start) > len(at) {
		at = make([]int, len(n.start))
	}
	index, at = index[:outer], at[:len(n.start)]
	copy(at, n.start)
	for a, r := outer-1, lo; a >= 0; a-- {
		index[a] = r % n.dims[a]
		r /= n.dims[a]
		for k := range at {
			at[k] += index[a] * n.strides[k][a]
		}
	}
	for r := lo; r < hi; r++ {
		f(at)
		for a := outer - 1; a >= 0; a-- {
			index[a]++
			if index[a] < n.dims[a] {
				for k := range at {
					at[k] += n.strides[k][a]
				}
				break
			}
			for k := range at {
				at[k] -= (n.dims[a] - 1) * n.strides[k][a]
			}
			index[a] = 0
		}
	}
}

// rowGrain is how many rows of the given length make a piece of work worth handing to a worker.
func rowGrain(inner int) int {
	const elements = 16 << 10
	return max(1, elements/max(1, inner))
}

// contiguous are the strides of a row-major array.
func contiguous(dims []int) []int {
	s := make([]int, len(dims))
	k := 1
	for i := len(dims) - 1; i >= 0; i-- {
		s[i] = k
		k *= dims[i]
	}
	return s
}

// broadcastStrides are the strides of an array of dims seen with the axes of to: of equal rank, with axes of length one
// repeated, or a scalar.
func broadcastStrides(dims, to []int) []int {
	s := make([]int, len(to))
	if len(dims) != len(to) {
		return s
	}
	for i, c := range contiguous(dims) {
		if dims[i] != 1 {
			s[i] = c
		}
	}
	return s
}

func product(dims []int) int {
	p := 1
	for _, d := range dims {
		p *= d
	}
	return p
}
