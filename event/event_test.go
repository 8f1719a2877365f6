package event

import (
	"encoding/json"
	"image"
	"math"
	"reflect"
	"sync"
	"testing"
)

func TestEventAsOneLineOfJSON(t *testing.T) {
	cases := []struct {
		name string
		e    Event
		want string
	}{
		{"a step names its numbers even when they are zero", Event{Kind: Step},
			`{"kind":"step","step":0,"steps":0,"loss":0}`},
		{"zero fields are left out", Event{Kind: Saved, Path: "out.png"}, `{"kind":"saved","path":"out.png"}`},
		{"maps are sorted", Event{Kind: Step, Step: 3, Steps: 9, Loss: 0.5, Losses: map[string]float64{"tv": 1, "clip": 2}},
			`{"kind":"step","step":3,"steps":9,"loss":0.5,"losses":{"clip":2,"tv":1}}`},
		{"a diverged loss can be reported", Event{Kind: Step, Step: 1, Loss: math.NaN(), Losses: map[string]float64{"a": math.Inf(-1), "b": math.Inf(1)}},
			`{"kind":"step","step":1,"steps":0,"loss":"NaN","losses":{"a":"-Infinity","b":"Infinity"}}`},
		{"pictures stay out, line breaks are escaped", Event{Kind: Preview, Picture: image.NewGray(image.Rect(0, 0, 1, 1)), Message: "a\nb"},
			`{"kind":"preview","message":"a\nb"}`},
		{"text, scores, seconds", Event{Kind: Done, Text: map[string]string{"k": "v"}, Scores: map[string]float64{"end": .25}, Seconds: 1.5, Hint: "h"},
			`{"kind":"done","text":{"k":"v"},"hint":"h","scores":{"end":0.25},"seconds":1.5}`},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			got, err := json.Marshal(c.e)
			if err != nil {
				t.Fatal(err)
			}
			if string(got) != c.want {
				t.Fatalf("got  %s\nwant %s", got, c.want)
			}
			var back Event
			if err := json.Unmarshal(got, &back); err != nil {
				t.Fatal(err)
			}
			again, err := json.Marshal(back)
			if err != nil || string(again) != c.want {
				t.Fatalf("after reading back: %s, %v", again, err)
			}
		})
	}
}

func TestEventRefusesWrongNumbers(t *testing.T) {
	for _, in := range []string{`{"loss":"nan"}`, `{"losses":{"a":true}}`, `{"step":"x"}`, `[]`} {
		var e Event
		if err := json.Unmarshal([]byte(in), &e); err == nil {
			t.Errorf("%s was read as %+v", in, e)
		}
	}
}

func TestMultiKeepsOrderAndDropsNil(t *testing.T) {
	var order []string
	s := Multi(Func(func(Event) { order = append(order, "a") }), nil, Func(func(Event) { order = append(order, "b") }))
	s.Emit(Event{Kind: Done})
	if !reflect.DeepEqual(order, []string{"a", "b"}) {
		t.Fatalf("order %v", order)
	}
	Multi().Emit(Event{})
	Or(nil).Emit(Event{})
	Discard.Emit(Event{})
}

func TestRecorderAndLockedFromManyGoroutines(t *testing.T) {
	var r Recorder
	var plain int
	s := Multi(&r, Locked(Func(func(Event) { plain++ })))
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for j := range 50 {
				s.Emit(Event{Kind: Step, Step: i*50 + j})
			}
		})
	}
	wg.Wait()
	s.Emit(Event{Kind: Done, Message: "first"})
	s.Emit(Event{Kind: Done, Message: "last"})
	if n := len(r.Events(Step)); n != 400 || plain != 402 || len(r.Events()) != 402 || len(r.Events(Step, Done)) != 402 {
		t.Fatalf("recorded %d steps of 400, counted %d of 402", n, plain)
	}
	if e, ok := r.Last(Done); !ok || e.Message != "last" {
		t.Fatalf("last done: %+v %v", e, ok)
	}
	if _, ok := r.Last(Failed); ok {
		t.Fatal("a failure nobody reported")
	}
}
