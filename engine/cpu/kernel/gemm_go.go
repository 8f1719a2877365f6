package kernel

import "unsafe"

// genericNR is the width of a packed panel in the portable kernels.
const genericNR = 32

// genericTiles gives the portable tiles. Products are rounded before they are added (no fused operation), so that the
// generic class gives the same bits on every architecture.
func genericTiles() (tiles, tilesT []tilePair) {
	for mr := 1; mr <= maxMR; mr++ {
		f := func(t *tileArgs) { tileGo(t, mr) }
		g := func(t *tileArgs) { tileTGo(t, mr) }
		tiles = append(tiles, tilePair{f, f})
		tilesT = append(tilesT, tilePair{g, g})
	}
	return
}

func tileGo(t *tileArgs, mr int) {
	taps, rows := unsafe.Slice(t.taps, t.ntaps), unsafe.Slice(t.rows, mr)
	for i, row := range rows {
		var acc [genericNR]float32
		t.load(&acc, i)
		b := unsafe.Slice((*float32)(t.b), t.ntaps*t.kc*genericNR)
		for _, tap := range taps {
			a := unsafe.Slice((*float32)(unsafe.Add(t.a, (row+tap)*4)), t.kc)
			for _, v := range a {
				axpy(&acc, v, (*[genericNR]float32)(b))
				b = b[genericNR:]
			}
		}
		t.store(&acc, i)
	}
}

func tileTGo(t *tileArgs, mr int) {
	taps := unsafe.Slice(t.taps, t.ntaps)
	for i := range mr {
		var acc [genericNR]float32
		t.load(&acc, i)
		b := unsafe.Slice((*float32)(t.b), t.ntaps*t.kc*genericNR)
		for _, tap := range taps {
			for q := range t.kc {
				axpy(&acc, *(*float32)(unsafe.Add(t.a, (tap+q*t.lda+i)*4)), (*[genericNR]float32)(b))
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
