package vp8

// boolWriter is the arithmetic coder of section 7.
type boolWriter struct {
	out    []byte
	low    uint32 // the bottom of the interval; bit 31 is a carry into what is written
	width  uint32 // of the interval, 128 to 255
	toByte int    // shifts until the next byte is complete
}

func newBoolWriter() *boolWriter { return &boolWriter{width: 255, toByte: 24} }

// bit writes a bit that is false with probability p/256.
func (w *boolWriter) bit(b bool, p uint8) {
	split := 1 + (w.width-1)*uint32(p)>>8
	if b {
		w.low += split
		w.width -= split
	} else {
		w.width = split
	}
	for w.width < 128 {
		w.width <<= 1
		w.shift()
	}
}

func (w *boolWriter) shift() {
	if w.low&(1<<31) != 0 {
		w.carry()
	}
	w.low <<= 1
	if w.toByte--; w.toByte == 0 {
		w.out = append(w.out, byte(w.low>>24))
		w.low &= 1<<24 - 1
		w.toByte = 8
	}
}

func (w *boolWriter) carry() {
	for i := len(w.out) - 1; i >= 0; i-- {
		if w.out[i]++; w.out[i] != 0 {
			return
		}
	}
}

// literal writes the low n bits of v, the highest first, as even chances.
func (w *boolWriter) literal(v uint32, n int) {
	for n--; n >= 0; n-- {
		w.bit(v>>n&1 == 1, 128)
	}
}

// finish returns what was written. Readers fill up with zeros behind it.
func (w *boolWriter) finish() []byte {
	for range 32 {
		w.shift()
	}
	return w.out
}
