package spec

import (
	"math"
	"testing"
)

func TestLabRoundTrip(t *testing.T) {
	l := Lab{Op: "swap", Pictures: []Operand{{Picture: "ab"}}, Codes: [][2]int32{{1, 2}}, Region: &Region{X: 3, Y: 4, R: 5, Feather: 1},
		Width: 32, Height: 16, VQGAN: ModelRef{Name: "v", SHA256: "cd"}}
	data, err := l.Encode()
	if err != nil {
		t.Fatal(err)
	}
	got, err := DecodeLab(data)
	if err != nil {
		t.Fatal(err)
	}
	again, err := got.Encode()
	if err != nil || string(again) != string(data) {
		t.Errorf("%s came back as %s, %v", data, again, err)
	}
	if _, err := DecodeLab([]byte(`{"kind":"lab","schema":1,"op":"mix","more":1}`)); err == nil {
		t.Error("an unknown field is read")
	}
	if _, err := DecodeLab([]byte(`{"kind":"paint","schema":1}`)); err == nil {
		t.Error("another kind is read")
	}
}

func TestLabRefusals(t *testing.T) {
	pic := Operand{Picture: "ab"}
	for name, l := range map[string]Lab{
		"unknown":       {Op: "melt", Pictures: []Operand{pic}},
		"nothing added": {Op: "arith", Pictures: []Operand{pic}},
		"one to mix":    {Op: "mix", Pictures: []Operand{pic}},
		"no code":       {Op: "swap", Pictures: []Operand{pic}},
		"negative code": {Op: "swap", Pictures: []Operand{pic}, Codes: [][2]int32{{-1, 2}}},
		"no place":      {Op: "brush", Pictures: []Operand{pic, pic}},
		"empty operand": {Op: "mix", Pictures: []Operand{pic, {}}},
		"far":           {Op: "arith", Pictures: []Operand{pic}, With: []Operand{pic}, T: math.NaN()},
	} {
		l.Width, l.Height = 8, 8
		if err := l.Validate(); !IsRefusal(err) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestRegions(t *testing.T) {
	r, err := ParseRegion("circle:10,10,5")
	if err != nil {
		t.Fatal(err)
	}
	if r.Weight(10, 14) != 1 || r.Weight(10, 16) != 0 {
		t.Error("a circle is not round")
	}
	r.Feather = 2
	if w := r.Weight(10, 15); w != 0.5 {
		t.Errorf("the edge of a soft circle is %g", w)
	}
	if r, err = ParseRegion("rect:2, 3, 4, 5"); err != nil {
		t.Fatal(err)
	}
	if r.Weight(5.5, 7.5) != 1 || r.Weight(6.5, 7.5) != 0 || r.Weight(1.5, 4) != 0 {
		t.Error("a rectangle has other edges")
	}
	for _, bad := range []string{"", "circle:1,2", "rect:1,2,3", "disc:1,2,3", "circle:a,b,c", "circle:1,2,0", "rect:1,2,0,4", "circle:1,2,NaN"} {
		if _, err := ParseRegion(bad); !IsRefusal(err) {
			t.Errorf("%q: %v", bad, err)
		}
	}
}
