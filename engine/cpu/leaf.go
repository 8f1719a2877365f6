package cpu

import (
	"github.com/gomlx/compute/dtypes"

	"github.com/smalti/smalti/engine/cpu/pass"
)

// mode is how a tile gets at an operand of a cluster.
type mode uint8

const (
	modeDirect  mode = iota // the tile is a slice of the operand's memory
	modeScalar              // one number for the whole tile
	modePattern             // the tile repeats a short row, which is laid out once
	modeGather              // the tile is collected element by element or run by run
	modeOneRow              // a slice of the operand's memory, the same for all rows of the tile
	modeRows                // one number for each row of the tile, a slice of the operand's memory
)

// leaf is an operand of a cluster. Element i of the cluster reads
//
//	memory[ base(i / block) + (i % block) % period ]
//
// where base is a sum over the outer axes. A whole operand has block = period = size, a scalar block = size and period =
// 1, a row [c] of channels block = size and period = c, [n,1,1,c] block = h*w*c and period = c, [n,h,w,1] block = c and
// period = 1. What does not fit this (a transposed operand) is gathered along all its axes.
type leaf struct {
	mode   mode
	isBool bool
	slot   int     // -1: number
	number float32 // a scalar that is part of the program
	value  int     // index among the floats, bools or scalars of the program
	each   int     // elements of the tile for one that is read: 1, or the length of a row for what is read by numbers of rows

	dims, strides []int // joined
	outer         int   // number of axes that base runs over
	block, period int
	regular       bool
}

func newLeaf(v pass.View, slot int) *leaf {
	n := newNest(v.Dims, v.Strides)
	l := &leaf{slot: slot, each: 1, isBool: v.Node.Shape.DType == dtypes.Bool, dims: n.dims, strides: n.strides[0]}
	k := len(l.dims) - 1
	l.period, l.outer = 1, k+1
	switch l.strides[k] {
	case 1:
		l.period = l.dims[k]
		l.outer = k
	case 0:
	default:
		return l
	}
	if len(l.dims) == 1 && l.dims[0] == 1 {
		l.period, l.outer = 1, 0
	}
	l.block = l.period
	if l.outer > 0 && l.strides[l.outer-1] == 0 {
		l.outer--
		l.block *= l.dims[l.outer]
	}
	l.regular = true
	return l
}

// full reports whether the operand is read whole and in order.
func (l *leaf) full(size int) bool { return l.regular && l.period == size && l.block == size }

// base is the offset of a block.
func (l *leaf) base(block int) int {
	off := 0
	for i := l.outer - 1; i >= 0; i-- {
		off += block % l.dims[i] * l.strides[i]
		block /= l.dims[i]
	}
	return off
}

// start is the base of the block that holds element off.
func (l *leaf) start(off int) int {
	if l.outer == 0 {
		return 0
	}
	return l.base(off / l.block)
}

// tiling cuts a cluster's elements into segments of equal length and these into tiles, the last of which may be shorter.
type tiling struct {
	segment, length, perSegment, count int
}

// tile returns the first element of tile i and its length.
func (t *tiling) tile(i int) (off, n int) {
	s, k := i/t.perSegment, i%t.perSegment
	return s*t.segment + k*t.length, min(t.length, t.segment-k*t.length)
}

// shortBlock is the length below which a block is not worth a tile of its own: the operand is spread out instead.
const shortBlock = 256

// chooseTiles decides on the tiles and how each operand is seen from them. It depends on the shapes only. The tiles of a row
// cluster (row > 0) are whole rows.
func chooseTiles(size, row int, leaves []*leaf) tiling {
	segment, unit := size, max(1, row) // tiles begin at multiples of unit
	for _, l := range leaves {
		if !l.regular {
			continue
		}
		for _, edge := range []int{l.block * l.each, l.period * l.each} {
			if edge < segment && edge >= shortBlock && (edge == l.block*l.each || edge > tileLength) && segment%edge == 0 && edge%unit == 0 {
				segment = edge
			}
		}
	}
	for _, l := range leaves {
		if row == 0 && l.regular && l.period > 1 && l.period < segment && l.block%segment == 0 && l.period <= tileLength && segment%l.period == 0 {
			if l.period%unit == 0 {
				unit = l.period
			}
		}
	}
	for _, l := range leaves { // rows of a tile that have a number each are whole
		if row == 0 && l.hasRows() && l.block < segment && segment%l.block == 0 && l.block%unit == 0 && l.block <= tileLength {
			unit = l.block
		}
	}
	most := tileLength
	if row > 0 {
		most = rowsLength
	}
	length := min(segment, max(1, most/unit)*unit)
	for _, l := range leaves {
		l.choose(segment/l.each, unit/l.each, length/l.each)
	}
	per := (segment + length - 1) / length
	return tiling{segment: segment, length: length, perSegment: per, count: size / segment * per}
}

// shortRow is the length below which a row is not worth an instruction of its own.
const shortRow = 16

// hasRows reports whether the operand is one number for each of many rows, all in order: [n,h,w,1] and the like.
func (l *leaf) hasRows() bool {
	return l.regular && !l.isBool && l.period == 1 && l.outer == 1 && l.strides[0] == 1 && l.block >= shortRow
}

func (l *leaf) choose(segment, unit, length int) {
	l.mode = modeGather
	if l.hasRows() && l.block < segment && unit%l.block == 0 {
		l.mode = modeRows
		return
	}
	if !l.regular || l.block%segment != 0 {
		return
	}
	switch {
	case l.period == 1 && !l.isBool:
		l.mode = modeScalar
	case l.period == 1:
	case l.period%segment == 0:
		l.mode = modeDirect
	case l.period <= length && unit%l.period == 0:
		l.mode = modePattern
	}
}

// gather collects n elements from element off on.
func gather[T any](dst, src []T, dims, strides []int, off int) {
	k := len(dims) - 1
	if k == 1 && strides[0] == 1 && strides[1] == 0 {
		spread(dst, src, dims[1], off)
		return
	}
	var buf [8]int
	index := buf[:0]
	if k >= len(buf) {
		index = make([]int, 0, k+1)
	}
	index = index[:k+1]
	at := 0
	for i := k; i >= 0; i-- {
		index[i] = off % dims[i]
		off /= dims[i]
		at += index[i] * strides[i]
	}
	inner, step := dims[k], strides[k]
	for len(dst) > 0 {
		run := min(inner-index[k], len(dst))
		switch step {
		case 0:
			x, d := src[at], dst[:run]
			for i := range d {
				d[i] = x
			}
		case 1:
			copy(dst[:run], src[at:])
		default:
			for i := range run {
				dst[i] = src[at+i*step]
			}
		}
		dst = dst[run:]
		at -= index[k] * step
		index[k] = 0
		for i := k - 1; i >= 0; i-- {
			index[i]++
			at += strides[i]
			if index[i] < dims[i] {
				break
			}
			at -= dims[i] * strides[i]
			index[i] = 0
		}
	}
}

// spread is gather for [n,h,w,1] seen as [n,h,w,times]: each number several times, from element off on.
func spread[T any](dst, src []T, times, off int) {
	at := off / times
	head := min((times-off%times)%times, len(dst))
	for j := range head {
		dst[j] = src[at]
	}
	if head > 0 {
		at++
	}
	dst = dst[head:]
	whole := len(dst) / times
	switch src := src[at:]; times {
	case 3: // channels of a picture
		d := dst[:3*whole]
		for _, v := range src[:whole] {
			d[0], d[1], d[2] = v, v, v
			d = d[3:]
		}
	default:
		for i, v := range src[:whole] {
			row := dst[i*times:][:times]
			for j := range row {
				row[j] = v
			}
		}
	}
	for j := whole * times; j < len(dst); j++ {
		dst[j] = src[at+whole]
	}
}

// repeat fills dst with copies of row.
func repeat[T any](dst, row []T) {
	n := copy(dst, row)
	for n < len(dst) {
		n += copy(dst[n:], dst[:n])
	}
}
