package spec

import (
	"reflect"
	"strings"
	"testing"
)

func stop(v float64) *float64 { return &v }

func TestPromptGrammar(t *testing.T) {
	for in, want := range map[string][]Prompt{
		"a red apple":               {{Text: "a red apple", Weight: 1}},
		" a | b:2 ":                 {{Text: "a", Weight: 1}, {Text: "b", Weight: 2}},
		"blur:-0.5":                 {{Text: "blur", Weight: -0.5}},
		"tree:1.5:0.7":              {{Text: "tree", Weight: 1.5, Stop: stop(0.7)}},
		"fog:-0.3:-1.3":             {{Text: "fog", Weight: -0.3, Stop: stop(-1.3)}},
		"Rothko: orange":            {{Text: "Rothko: orange", Weight: 1}},
		"Rothko: orange:2":          {{Text: "Rothko: orange", Weight: 2}},
		"a:b:c:3":                   {{Text: "a:b:c", Weight: 3}},
		"http://x/y":                {{Text: "http://x/y", Weight: 1}},
		`at 10\:30`:                 {{Text: "at 10:30", Weight: 1}},
		`at 10\:30:2`:               {{Text: "at 10:30", Weight: 2}},
		"infinity:inf":              {{Text: "infinity:inf", Weight: 1}},
		"hex:0x10":                  {{Text: "hex:0x10", Weight: 1}},
		"one:1:2:3":                 {{Text: "one:1", Weight: 2, Stop: stop(3)}},
		"a seed ^ a tree | sun:0.5": {{Text: "a seed", Weight: 1, Until: 50}, {Text: "a tree", Weight: 1, From: 50}, {Text: "sun", Weight: 0.5, From: 50}},
	} {
		got, err := ParsePrompts([]string{in}, 100)
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("ParsePrompts(%q) = %+v, %v; want %+v", in, got, err, want)
		}
	}
	for _, in := range []string{"", "  ", "a||b", "a | ", ":2", "^ a"} {
		if _, err := ParsePrompts([]string{in}, 100); !IsRefusal(err) {
			t.Errorf("ParsePrompts(%q) was not refused: %v", in, err)
		}
	}
}

func FuzzParsePrompts(f *testing.F) {
	f.Add("a:1|b:2:3^c")
	f.Fuzz(func(t *testing.T, s string) {
		ps, err := ParsePrompts([]string{s}, 60)
		if err != nil {
			return
		}
		for _, p := range ps {
			if strings.TrimSpace(p.Text) == "" {
				t.Errorf("%q gave an empty prompt", s)
			}
		}
	})
}

func TestFlagPrompts(t *testing.T) {
	if f, w, s, err := ParseImagePrompt(`C:\cat.png:0.5`); err != nil || f != `C:\cat.png` || w != 0.5 || s != nil {
		t.Errorf("image prompt: %q %v %v %v", f, w, s, err)
	}
	if p, err := ParseNoisePrompt("123:0.2"); err != nil || *p.Noise != 123 || p.Weight != 0.2 {
		t.Errorf("noise prompt: %+v %v", p, err)
	}
	for _, s := range []string{"", "x", "1:", "1:x", "-1:2"} {
		if _, err := ParseNoisePrompt(s); !IsRefusal(err) {
			t.Errorf("ParseNoisePrompt(%q) was not refused", s)
		}
	}
}

func TestSizes(t *testing.T) {
	for in, want := range map[string][2]int{"128x96": {128, 96}, "64": {64, 64}} {
		if w, h, err := ParseSize(in); err != nil || w != want[0] || h != want[1] {
			t.Errorf("ParseSize(%q) = %d, %d, %v", in, w, h, err)
		}
	}
	for _, in := range []string{"", "x", "12x", "x12", "12x13x14", "12 x 13", "1e3x5", "+4x4"} {
		if _, _, err := ParseSize(in); !IsRefusal(err) {
			t.Errorf("ParseSize(%q) was not refused", in)
		}
	}
}

func job() Job {
	j := Default()
	j.Prompts = []Prompt{{Text: "a red apple <&>", Weight: 1}}
	return j
}

func TestJobRoundTripIsCanonical(t *testing.T) {
	j := job()
	a, err := j.Encode()
	if err != nil {
		t.Fatal(err)
	}
	back, err := Decode(a)
	if err != nil {
		t.Fatal(err)
	}
	b, _ := back.Encode()
	if string(a) != string(b) || !reflect.DeepEqual(*back, j) {
		t.Errorf("not a fixed point:\n%s\n%s", a, b)
	}
	if !strings.HasPrefix(string(a), `{"build":`) || !strings.Contains(string(a), "<&>") {
		t.Errorf("keys are not sorted or text is escaped: %s", a)
	}
}

func TestDecodeRefusesWhatItDoesNotKnow(t *testing.T) {
	j := job()
	good, _ := j.Encode()
	for name, bad := range map[string]string{
		"not JSON":      "{",
		"other schema":  strings.Replace(string(good), `"schema":1`, `"schema":9`, 1),
		"unknown field": strings.Replace(string(good), `"seed":0`, `"seed":0,"sede":1`, 1),
		"out of range":  strings.Replace(string(good), `"count":8`, `"count":0`, 1),
	} {
		if bad == string(good) {
			t.Fatalf("%s: the test does not change the job", name)
		}
		if _, err := Decode([]byte(bad)); err == nil {
			t.Errorf("%s was read", name)
		}
	}
}

func TestValidateNamesTheFlagAndOffersARange(t *testing.T) {
	for want, breakIt := range map[string]func(*Job){
		"--steps":     func(j *Job) { j.Steps = 0 },
		"--cuts":      func(j *Job) { j.Cuts.Count = -1 },
		"--scheme":    func(j *Job) { j.Cuts.Scheme = "nope" },
		"--opt":       func(j *Job) { j.Optimiser.Name = "nope" },
		"--lr":        func(j *Job) { j.Optimiser.LR = -1 },
		"--precision": func(j *Job) { j.Precision = "f8" },
		"--size":      func(j *Job) { j.Width = 0 },
		"--clip":      func(j *Job) { j.CLIP = nil },
		"no prompt":   func(j *Job) { j.Prompts = nil },
	} {
		j := job()
		breakIt(&j)
		err := j.Validate()
		if !IsRefusal(err) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", want, err)
		}
	}
	j := job()
	if err := j.Validate(); err != nil {
		t.Errorf("the default job is refused: %v", err)
	}
}
