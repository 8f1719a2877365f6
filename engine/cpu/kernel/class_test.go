package kernel

import (
	"fmt"
	"strings"
	"testing"
)

func TestClassNames(t *testing.T) {
	for c := Generic; c <= AVX512BF16; c++ {
		got, err := ParseClass(c.String())
		if err != nil || got != c {
			t.Errorf("ParseClass(%q) = %v, %v", c, got, err)
		}
	}
	if _, err := ParseClass("sse"); err == nil {
		t.Error("an unknown class was accepted")
	}
	if Class(9).String() != "class(9)" {
		t.Errorf("Class(9) is %q", Class(9))
	}
}

func TestForRefusesWhatTheMachineLacks(t *testing.T) {
	if s := For(Generic); s.Class() != Generic || s.HasBF16() {
		t.Fatalf("For(Generic) is of class %s", s.Class())
	}
	if Detect() == AVX512BF16 {
		t.Skip("this machine lacks nothing")
	}
	defer func() {
		if recover() == nil {
			t.Fatal("kernels that this machine cannot run were handed out")
		}
	}()
	For(Detect() + 1)
}

func TestOpsHaveNamesAndKernels(t *testing.T) {
	if len(opNames) != int(endOps) {
		t.Fatalf("%d names for %d operations", len(opNames), endOps)
	}
	seen := map[string]Op{}
	for o := Op(0); o < endOps; o++ {
		if p, ok := seen[o.String()]; ok {
			t.Errorf("%d and %d are both called %s", p, o, o)
		}
		seen[o.String()] = o
		kinds := 0
		for _, is := range []bool{o.IsUnary(), o.IsBinary(), o.IsCompare()} {
			if is {
				kinds++
			}
		}
		if kinds != 1 {
			t.Errorf("%s is of %d kinds", o, kinds)
		}
	}
	eachClass(t, func(t *testing.T, s *Set) {
		for o, f := range s.unary {
			if f == nil {
				t.Errorf("%s has no kernel", Op(o))
			}
		}
		for o := range s.binary {
			if s.binary[o] == nil || s.scalarL[o] == nil || s.scalarR[o] == nil {
				t.Errorf("%s lacks a kernel", numUnary+Op(o))
			}
		}
		for o := range s.compare {
			if s.compare[o] == nil || s.compareScalar[o] == nil {
				t.Errorf("%s lacks a kernel", numOps+Op(o))
			}
		}
	})
}

// TestNothingAllocates: what runs once a tile or a block must not feed the collector.
func TestNothingAllocates(t *testing.T) {
	s := For(Detect())
	x, y := make([]float32, 64*64), make([]float32, 64*64)
	packed, packed16 := make([]float32, s.PackedSize(64, 64)), make([]uint16, s.PackedSizeBF16(64, 64))
	a16 := make([]uint16, 64*64)
	c := square(1, 8, 8, 16, 16, 1)
	w, d := s.NewWinograd(c), s.NewDirect(c)
	wp, dp := make([]float32, w.WeightSize()), make([]float32, max(d.WeightSize(), 16*16*16))
	p := s.NewPoly(halves(1, 8, 16, 16, false))
	g := s.NewPolyGrad(halves(1, 8, 16, 16, true))
	scratch := make([]float32, max(w.Scratch(), d.Scratch(), p.Scratch(), g.Scratch()))
	for name, f := range map[string]func(){
		"Gemm":     func() { s.Gemm(y, 64, x, 64, packed, 64, 64, 64, false) },
		"GemmBF16": func() { s.GemmBF16(y, 64, a16, 64, packed16, 64, 64, 64, false) },
		"PackB":    func() { s.PackB(packed, x, 64, 64, 1, 64) },
		"Unary":    func() { s.Unary(Exp, y, x) },
		"Binary":   func() { s.Binary(Add, y, x, x) },
		"Sum":      func() { s.Sum(x) },
		"Softmax":  func() { s.SoftmaxRows(y, x, 64, 64) },
		"Winograd": func() { w.Run(0, y, x, wp, nil, scratch) },
		"Direct":   func() { d.Run(0, y, x, dp, nil, scratch) },
		"Poly":     func() { p.Run(0, y, x, dp, nil, scratch) },
		"PolyGrad": func() { g.Run(0, y, x, dp, scratch) },
	} {
		if n := testing.AllocsPerRun(20, f); n != 0 {
			t.Errorf("%s allocates %g times", name, n)
		}
	}
}

// TestFeaturesMatchTheClass holds what doctor prints to what decides.
func TestFeaturesMatchTheClass(t *testing.T) {
	has := map[string]bool{}
	for _, f := range Features() {
		has[f] = true
	}
	if best := Detect(); has["avx512_bf16"] != (best == AVX512BF16) && best >= AVX512 || best >= AVX2 && !(has["avx2"] && has["fma"]) || best >= AVX512 && !has["avx512vl"] {
		t.Errorf("class %s with features %v", best, Features())
	}
	eachClass(t, func(t *testing.T, s *Set) {
		want := fmt.Sprintf("tiles of %dx%d", s.MR(), s.NR())
		if got := s.String(); !strings.Contains(got, want) || strings.Contains(got, "portable") != (s.Class() == Generic) {
			t.Errorf("%s, want %s of class %s", got, want, s.Class())
		}
	})
}
