package kernel

import (
	"fmt"
	"sync"
)

// Set is the kernels of one CPU class. It is immutable and safe for concurrent use.
//
// Unless said otherwise the destination decides the length, operands must be at least as long (else the call panics
// before it writes), a destination may be exactly an operand, and may not overlap one otherwise.
type Set struct {
	class Class
	nr    int // columns of a packed panel
	mr    int // rows of the main tile

	unary   [numUnary]func(dst, x []float32)
	binary  [numBinary]func(dst, x, y []float32)
	scalarR [numBinary]func(dst, x []float32, y float32) // x op y
	scalarL [numBinary]func(dst, x []float32, y float32) // y op x

	compare       [numCompare]func(dst []bool, x, y []float32)
	compareScalar [numCompare]func(dst []bool, x []float32, y float32)
	sel           func(dst []float32, cond []bool, x, y []float32)

	fma       func(dst, a, b, c []float32)
	fmaScalar func(dst, a, c []float32, b float32)
	affine    func(dst, x []float32, a, b float32)

	sum, max, min, sumSq func(x []float32) float32
	dot                  func(x, y []float32) float32
	sumProduct           func(x, y []float32) float32
	expSum               func(dst, x []float32, shift float32, ahead int) float32
	squaresAbout         func(x []float32, m float32, ahead int) float32
	scaleShift           func(dst, x, a, b []float32, s float32)
	normalise            func(dst, x, a, b []float32, m, s float32)

	f16ToF32  func(dst []float32, x []uint16)
	f32ToF16  func(dst []uint16, x []float32)
	bf16ToF32 func(dst []float32, x []uint16)
	f32ToBF16 func(dst []uint16, x []float32)
	pairBF16  func(dst, x, y []float32)

	tile, tileT int // numbers of the first tiles: A row-major, A k-major
	tileBF16    int
	winograd    int // number of the first transform
	trans       func(dst []float32, ldd int, src []float32, lds, rows, cols int)
}

var sets [AVX512BF16 + 1]struct {
	once sync.Once
	set  *Set
}

// For returns the kernels of class c. It panics if this machine cannot run c: ask [Detect] first.
func For(c Class) *Set {
	if c > Detect() {
		panic(fmt.Sprintf("kernel: this machine cannot run class %s, only up to %s", c, Detect()))
	}
	e := &sets[c]
	e.once.Do(func() {
		s := newGeneric()
		s.class = c
		if c > Generic {
			s.useAssembly()
		}
		e.set = s
	})
	return e.set
}

// Class tells which class the kernels are of.
func (s *Set) Class() Class { return s.class }

// NR is the number of columns of a packed panel: the unit in which the columns of a matrix product may be split between threads.
func (s *Set) NR() int { return s.nr }

// MR is the number of rows of the main tile: row splits at multiples of it waste nothing.
func (s *Set) MR() int { return s.mr }

// String says which kernels these are.
func (s *Set) String() string {
	if s.class == Generic {
		return fmt.Sprintf("portable Go: products in tiles of %dx%d", s.mr, s.nr)
	}
	bf16 := "none for bfloat16"
	if s.HasBF16() {
		bf16 = "also in bfloat16"
	}
	return fmt.Sprintf("assembly of %d bits: products in tiles of %dx%d (%s), convolutions by Winograd F(4x4,3x3) and directly, loops over vectors",
		map[bool]int{true: 512, false: 256}[s.class >= AVX512], s.mr, s.nr, bf16)
}
