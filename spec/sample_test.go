package spec

import (
	"math"
	"strings"
	"testing"
)

func TestSampleSurvivesEncoding(t *testing.T) {
	class := 7
	s := DefaultSample()
	s.Class, s.Width, s.Height, s.Seed, s.Number = &class, 64, 32, 1<<40, 3
	data, err := s.Encode()
	if err != nil {
		t.Fatal(err)
	}
	head, err := ReadHead(data)
	if err != nil || head.Kind != KindSample {
		t.Fatalf("head %+v, %v", head, err)
	}
	back, err := DecodeSample(data)
	if err != nil || *back.Class != 7 || back.Seed != 1<<40 || back.Number != 3 || back.TopK != s.TopK {
		t.Fatalf("read back %+v, %v", back, err)
	}
	if _, err := DecodeSample([]byte(strings.Replace(string(data), `"seed"`, `"sead"`, 1))); err == nil {
		t.Error("an unknown field was accepted")
	}
	if _, err := DecodeSample([]byte(strings.Replace(string(data), `"sample"`, `"lab"`, 1))); err == nil {
		t.Error("a recipe of another kind was accepted")
	}
}

func TestSampleRefusals(t *testing.T) {
	class, below := 1, -1
	for name, spoil := range map[string]func(*Sample){
		"temperature": func(s *Sample) { s.Temperature = math.NaN() },
		"top-k":       func(s *Sample) { s.TopK = -1 },
		"top-p":       func(s *Sample) { s.TopP = 1.1 },
		"guidance":    func(s *Sample) { s.Guidance = 101 },
		"class":       func(s *Sample) { s.Class = &below },
		"prompt":      func(s *Sample) { s.Class, s.Prompt = &class, "a" },
		"prior":       func(s *Sample) { s.Prior.Name = "" },
		"size":        func(s *Sample) { s.Width = 8 },
		"number":      func(s *Sample) { s.Number = -1 },
		"keep":        func(s *Sample) { s.Keep = 2 },
	} {
		s := DefaultSample()
		if err := s.Validate(); err != nil {
			t.Fatal(err)
		}
		if spoil(&s); !IsRefusal(s.Validate()) {
			t.Errorf("%s: %v", name, s.Validate())
		}
	}
}

func TestDrawnStart(t *testing.T) {
	j := Default()
	j.Prompts = []Prompt{{Text: "a", Weight: 1}}
	d := DefaultDraw()
	j.Start.Kind, j.Start.Draw = "prior", &d
	number := 5
	d.Number = &number
	data, err := j.Encode()
	if err != nil {
		t.Fatal(err)
	}
	back, err := Decode(data)
	if err != nil || *back.Start.Draw.Number != 5 || back.Start.Draw.Guidance != d.Guidance {
		t.Fatalf("read back %+v, %v", back, err)
	}
	for name, spoil := range map[string]func(*Job){
		"no draw":    func(j *Job) { j.Start.Draw = nil },
		"other kind": func(j *Job) { j.Start.Kind = "codes" },
		"fade":       func(j *Job) { j.Start.Fade = math.NaN() },
		"number":     func(j *Job) { bad := -1; e := d; e.Number = &bad; j.Start.Draw = &e },
		"guidance":   func(j *Job) { e := d; e.Guidance = -1; j.Start.Draw = &e },
	} {
		k := j
		if spoil(&k); k.Validate() == nil {
			t.Errorf("%s was accepted", name)
		}
	}
}
