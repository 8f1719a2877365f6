package main

import "fmt"

// Mandatory prefixes of EVEX encodings.
const (
	pp66 = 1
	ppF3 = 2
	ppF2 = 3
)

// evexRR encodes a 512-bit instruction of map 0F38, W0, on three registers: op dst, v, rm. It is for the bf16
// instructions, which the Go assembler does not know (Intel SDM vol. 2, section 2.7).
func evexRR(pp, op, dst, v, rm int) string {
	p0 := 2 // map 0F38
	set := func(p *int, clear bool, bit int) {
		if clear { // extension bits are stored inverted
			*p |= bit
		}
	}
	set(&p0, dst&8 == 0, 0x80)
	set(&p0, rm&16 == 0, 0x40)
	set(&p0, rm&8 == 0, 0x20)
	set(&p0, dst&16 == 0, 0x10)
	p1 := 4 | pp | (^v&15)<<3
	p2 := 0x40 // 512 bits
	set(&p2, v&16 == 0, 0x08)
	return fmt.Sprintf("BYTE $0x62; BYTE $0x%02x; BYTE $0x%02x; BYTE $0x%02x; BYTE $0x%02x; BYTE $0x%02x", p0, p1, p2, op, 0xc0|(dst&7)<<3|rm&7)
}

// dotBF16 adds to 16 float32 the products of pairs of bf16: dst += v.lo*rm.lo + v.hi*rm.hi.
func dotBF16(dst, v, rm int) string {
	return evexRR(ppF3, 0x52, dst, v, rm) + fmt.Sprintf(" // VDPBF16PS Z%d, Z%d, Z%d", rm, v, dst)
}
