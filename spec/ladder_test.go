package spec

import (
	"reflect"
	"testing"
)

func TestLadder(t *testing.T) {
	l, err := NewLadder(2, 256, 128, 100)
	if want := []Rung{{33, 64, 32}, {66, 128, 64}}; err != nil || !reflect.DeepEqual(l, want) {
		t.Fatalf("%v, %v; want %v", l, err, want)
	}
	j := Default()
	j.Prompts, j.Width, j.Height, j.Ladder = []Prompt{{Text: "x", Weight: 1}}, 256, 128, l
	for step, want := range map[int]int{0: 64, 32: 64, 33: 128, 65: 128, 66: 256, 1000: 256} {
		if w, h := j.SizeOf(step); w != want || h != want/2 {
			t.Errorf("step %d is taken at %dx%d, want width %d", step, w, h, want)
		}
	}
	for steps, want := range map[int]int{0: 64, 1: 64, 33: 64, 34: 128, 66: 128, 67: 256} {
		if w, _ := j.SizeAt(steps); w != want {
			t.Errorf("after %d steps the width is %d, want %d", steps, w, want)
		}
	}
	data, err := j.Encode()
	if err != nil {
		t.Fatal(err)
	}
	if back, err := Decode(data); err != nil || !reflect.DeepEqual(back.Ladder, l) {
		t.Errorf("read back: %v, %v", back, err)
	}
	for name, change := range map[string]func(*Job){
		"steps in disorder": func(j *Job) { j.Ladder = []Rung{{66, 64, 32}, {33, 128, 64}} },
		"shrinking":         func(j *Job) { j.Ladder = []Rung{{33, 128, 64}, {66, 64, 32}} },
		"larger than whole": func(j *Job) { j.Ladder = []Rung{{33, 512, 64}} },
		"a region":          func(j *Job) { j.Prompts = []Prompt{{Text: "x", Weight: 1, Region: &Region{X: 9, Y: 9, R: 5}}} },
		"a prior":           func(j *Job) { j.Losses.Prior = &Likely{Weight: 1, Prior: ModelRef{Name: "p"}} },
	} {
		bad := j
		change(&bad)
		if err := bad.Validate(); err == nil {
			t.Errorf("%s went unnoticed", name)
		}
	}
	for _, n := range []struct{ n, side, steps int }{{-1, 256, 100}, {7, 1024, 100}, {3, 100, 100}, {2, 256, 2}} {
		if _, err := NewLadder(n.n, n.side, n.side, n.steps); !IsRefusal(err) {
			t.Errorf("%+v: %v", n, err)
		}
	}
}
