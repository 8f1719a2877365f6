package kernel

import (
	"math"
	"unsafe"
)

// genericNR is the width of a packed panel in the portable kernels, and the most that any class has.
const genericNR = 32

// Kinds of portable tiles.
const (
	genericTile     = -1
	genericTileT    = -2 // A k-major
	genericTileBF16 = -3 // pairs of bfloat16
)

// tileGo is the portable tile. Products are rounded before they are added (no fused operation), so that the generic class
// gives the same bits on every architecture.
func (s *Set) tileGo(t *tileArgs, mr, kind int) {
	if kind == genericTileBF16 {
		tileBF16Go(t, mr, s.nr)
		return
	}
	taps := unsafe.Slice(t.taps, t.ntaps)
	step := 1
	if kind == genericTileT {
		step = t.lda
	}
	for i := range mr {
		row := i
		if kind == genericTile {
			row = unsafe.Slice(t.rows, mr)[i]
		}
		var acc [genericNR]float32
		t.load(&acc, i)
		b := unsafe.Slice((*float32)(t.b), t.ntaps*t.kc*genericNR)
		for _, tap := range taps {
			for q := range t.kc {
				axpy(&acc, *(*float32)(unsafe.Add(t.a, (row+tap+q*step)*4)), (*[genericNR]float32)(b))
				b = b[genericNR:]
			}
		}
		t.store(&acc, i)
	}
}

func axpy(acc *[genericNR]float32, v float32, b *[genericNR]float32) {
	for j := 0; j < genericNR; j += 4 {
		acc[j] += float32(v * b[j])
		acc[j+1] += float32(v * b[j+1])
		acc[j+2] += float32(v * b[j+2])
		acc[j+3] += float32(v * b[j+3])
	}
}

func (t *tileArgs) row(i int) []float32 {
	return unsafe.Slice((*float32)(unsafe.Add(t.c, i*t.ldc*4)), t.cols)
}

func (t *tileArgs) load(acc *[genericNR]float32, i int) {
	if t.acc != 0 {
		copy(acc[:], t.row(i))
	}
}

func (t *tileArgs) store(acc *[genericNR]float32, i int) { copy(t.row(i), acc[:]) }

// tileBF16Go is the portable tile of bfloat16 pairs: in each step the low products are added first, then the high ones.
func tileBF16Go(t *tileArgs, mr, nr int) {
	taps, rows := unsafe.Slice(t.taps, t.ntaps), unsafe.Slice(t.rows, mr)
	for i, row := range rows {
		var acc [genericNR]float32
		t.load(&acc, i)
		b := unsafe.Slice((*uint32)(t.b), t.ntaps*t.kc*nr)
		for _, tap := range taps {
			a := unsafe.Slice((*uint32)(unsafe.Add(t.a, (row+tap)*2)), t.kc)
			for _, v := range a {
				lo, hi := bfLow(v), bfHigh(v)
				for j, w := range b[:nr] {
					acc[j] += float32(lo * bfLow(w))
					acc[j] += float32(hi * bfHigh(w))
				}
				b = b[nr:]
			}
		}
		t.store(&acc, i)
	}
}

// bfLow and bfHigh widen the halves of a pair.
func bfLow(v uint32) float32  { return math.Float32frombits(v << 16) }
func bfHigh(v uint32) float32 { return math.Float32frombits(v &^ 0xffff) }
