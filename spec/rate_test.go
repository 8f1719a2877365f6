package spec

import "testing"

func TestRates(t *testing.T) {
	if d, err := ParseDrop("75:0.1"); err != nil || d != (Drop{75, 0.1}) {
		t.Errorf("drop %v, %v", d, err)
	}
	if n, f, err := ParsePlateau("20"); err != nil || n != 20 || f != 0.5 {
		t.Errorf("plateau %v %v, %v", n, f, err)
	}
	if n, f, err := ParsePlateau("20:0.9"); err != nil || n != 20 || f != 0.9 {
		t.Errorf("plateau %v %v, %v", n, f, err)
	}
	if m, err := ParseModel("builtin/clip=0.5"); err != nil || m.Name != "builtin/clip" || m.Weight != 0.5 {
		t.Errorf("model %v, %v", m, err)
	}
	if m, err := ParseModel("builtin/clip"); err != nil || m.Weight != 0 {
		t.Errorf("model %v, %v", m, err)
	}
	for _, bad := range []string{"", "75", "x:1", "75:y"} {
		if _, err := ParseDrop(bad); !IsRefusal(err) {
			t.Errorf("drop %q: %v", bad, err)
		}
	}
	for _, bad := range []string{"", "0", "x", "3:y"} {
		if _, _, err := ParsePlateau(bad); !IsRefusal(err) {
			t.Errorf("plateau %q: %v", bad, err)
		}
	}
	for _, bad := range []string{"a=", "a=0", "a=-1", "a=NaN"} {
		if _, err := ParseModel(bad); !IsRefusal(err) {
			t.Errorf("model %q: %v", bad, err)
		}
	}
	j := Default()
	j.Prompts = []Prompt{{Text: "x", Weight: 1}}
	for name, change := range map[string]func(*Optimiser){
		"out of order":       func(o *Optimiser) { o.Drops = []Drop{{5, 0.1}, {5, 0.1}} },
		"factor 0":           func(o *Optimiser) { o.Drops = []Drop{{5, 0}} },
		"drops and restarts": func(o *Optimiser) { o.Drops, o.Restarts = []Drop{{5, 0.1}}, 2 },
		"plateau of 1":       func(o *Optimiser) { o.Plateau, o.PlateauFactor = 5, 1 },
	} {
		bad := j
		change(&bad.Optimiser)
		if err := bad.Validate(); !IsRefusal(err) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
